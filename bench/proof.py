"""What verification costs, how soon it knows, and whether it ever cries wolf.

    python bench/proof.py [--quick] [--uploads 2000]

Four tables, from simulated CDNs whose purges take known times; clocks are skipped, but for the last line of the first:

- upload-to-fresh against the vendor's own delay, target 1.2 times for the median and the 95th percentile. SQS counts
  whole seconds, so what is over between two of them is seen at the next one: that is the floor, up to a second.
- messages, HEADs of S3, requests at edges, and calls of vendors that an upload costs more than without verification.
- what is left of that where `verify` is off: nothing, and `multicdn.proof` is never imported.
- false alarms among uploads that supersede each other every 0.2 to 4.5 seconds, with compression and late purges.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import yaml
from rich.console import Console
from rich.table import Table

from multicdn.simulators import Origin, Topology
from multicdn.simulators.kit.edge import Edge
from multicdn.testing.loopback.environment import LocalEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pytest

sys.path.append(str(Path(__file__).parents[1] / "tests"))

_TARGET, _SECOND = 1.2, 1.0
_DELAYS = (2.0, 5.0, 10.0, 30.0)
_AT_ONCE = (1, 100, 1000)

# Seconds beyond those that Fastly publishes; CloudFront is asked.
_LATEST = {"fastly": 1.9, "cloudfront": 8.0}

_BUCKET = "acme-site"


@contextmanager
def _world(vendors: Mapping[str, str], *, verify: object, chained: bool = False) -> Iterator[tuple[Any, Any, Any]]:
    """CDNs, the function, and what it tells."""
    import pytest
    from kit.tiers import Tiers
    from kit.worlds_log import Told

    with (
        pytest.MonkeyPatch.context() as patch,
        Origin() as origin,
        Told.listening() as told,
        Tiers(patch, origin, vendors, chained=chained) as tiers,
    ):
        tiers.warp.sleep(patch)
        yield tiers, tiers.world(verify=verify), told


# Time


class Delay(NamedTuple):
    """Seconds from uploads to fresh, where a purge takes so many."""

    how: str
    seconds: float
    measured: Sequence[float]

    @property
    def median(self) -> float:
        """Of the ratio."""
        return statistics.median(self.measured) / self.seconds

    @property
    def p95(self) -> float:
        """Of the ratio."""
        return sorted(self.measured)[max(0, round(0.95 * len(self.measured)) - 1)] / self.seconds

    @property
    def allowed(self) -> float:
        """The target, or the next whole second, which SQS can't do better than."""
        return max(_TARGET, (self.seconds + _SECOND) / self.seconds)


def skipped(how: str, vendor: str, seconds: float, uploads: int) -> Delay:
    """Measure with skipped clocks."""
    with _world({"cdn": vendor}, verify=True) as (tiers, world, told):
        cdn = tiers.cdns["cdn"]
        cdn.topology.purge_delay = seconds
        if how == "published":
            _publish(tiers.patch, type(world.dispatcher._delivery.providers["cdn"]), seconds)  # noqa: SLF001
        for number in range(uploads + 1):  # the first one only imports what the others need
            world.upload("a.css", f"old {number}", told=False)
            cdn.edge.purge_where(lambda _: True)
            tiers.warp.skip(seconds + 0.37)
            tiers.ask("a.css")
            world.upload("a.css", f"new {number}")
            world.run(4 * seconds + 60)
        measured = [line["age_seconds"] for line in told.lines("fresh")][1:]
        if len(measured) < uploads or told.lines("stale", "unknown"):
            raise RuntimeError(f"{how}, {seconds:g} s: {len(measured)} of {uploads} fresh, {told('stale', 'unknown')}")
    return Delay(how, seconds, measured)


def _publish(patch: pytest.MonkeyPatch, vendor: Any, seconds: float) -> None:
    """Let a vendor say of its purges that they take so long."""
    whole = vendor.purge_urls

    def purge_urls(self: Any, urls: Sequence[str], call: Any) -> Any:
        return msgspec.structs.replace(whole(self, urls, call), estimate=seconds)

    patch.setattr(vendor, "purge_urls", purge_urls)


def real(seconds: float, uploads: int) -> Delay:
    """Measure with a worker and the loopback AWS, in real time: Akamai publishes five seconds."""
    options = {"type": "akamai", "edgerc": "${env:EDGERC}"}
    route = {"bucket": _BUCKET, "urls": ["https://www.acme.com/{key}"], "purge": ["akamai"], "verify": "true"}
    config = {"version": 1, "providers": {"akamai": options}, "routes": [route]}
    with tempfile.TemporaryDirectory(prefix="multicdn-bench-") as folder:
        path = Path(folder, "multicdn.config.yml")
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        topologies = {"akamai": Topology(purge_delay=seconds)}
        with LocalEnvironment(path, auth=False, topologies=topologies) as stage, stage.worker("--gather", "0.1"):
            for number in range(uploads + 1):
                stage.put(_BUCKET, f"{number}.css", b"old")
                time.sleep(0.31 if number else 2 * seconds)
            return Delay("published, real time", seconds, _fresh(stage, uploads + 1)[1:])


def _fresh(stage: LocalEnvironment, uploads: int) -> list[float]:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        lines = [json.loads(line) for line in stage.worker_log().splitlines() if line.startswith("{")]
        found = [line for line in lines if line["event"] == "fresh"]
        if sum(line["targets"] for line in found) >= uploads:
            return [line["age_seconds"] for line in found]
        time.sleep(0.2)
    raise TimeoutError(stage.worker_log()[-2000:])


def time_table(console: Console, *, quick: bool) -> bool:
    """Print upload-to-fresh, and whether it is soon enough."""
    delays = [
        skipped(how, vendor, seconds, 5 if quick else 40)
        for how, vendor in (("asked (Confirm)", "cloudfront"), ("published", "fastly"))
        for seconds in _DELAYS
    ]
    delays.append(real(5.0, 4 if quick else 20))
    table = Table("finished is", "vendor, s", "median, s", "median", "p95", "allowed", "", title="Upload to fresh")
    for each in delays:
        passed = max(each.median, each.p95) <= each.allowed
        row = (f"{each.seconds:g}", f"{statistics.median(each.measured):.2f}", f"{each.median:.2f} x")
        table.add_row(each.how, *row, f"{each.p95:.2f} x", f"{each.allowed:.2f} x", "ok" if passed else "FAILED")
    console.print(table)
    return all(max(each.median, each.p95) <= each.allowed for each in delays)


# Costs


def cost(vendor: str, uploads: int, *, verify: object) -> Counter[str]:
    """Count what uploads at once come to, when all has ended."""
    import pytest

    with _world({"cdn": vendor}, verify=verify) as (tiers, world, told), pytest.MonkeyPatch.context() as patch:
        requests, handle = Counter[str](), Edge.handle

        def counted(edge: Edge, request: Any) -> Any:
            requests["edge requests"] += 1
            return handle(edge, request)

        patch.setattr(Edge, "handle", counted)
        for number in range(uploads):
            world.upload(f"{number}.css", "new")
        world.run(900)
        sent = [call for call in world.aws.calls if call.operation == "SendMessageBatch"]
        calls = tiers.cdns["cdn"].calls
        return Counter(
            {
                "messages": sum(len(call.json["Entries"]) for call in sent),
                "invocations": world.invocations,
                "HEADs": world.aws.heads,
                "edge requests": requests["edge requests"],
                "vendor calls": len(calls),
                "fresh": sum(line["targets"] for line in told.lines("fresh")),
            }
        )


_COUNTED = ("messages", "invocations", "HEADs", "edge requests", "vendor calls")


def cost_table(console: Console, *, quick: bool) -> None:
    """Print what verification costs more than nothing."""
    table = Table("", "uploads at once", *_COUNTED, "looked at", title="What verification costs more, for all of them")
    for vendor in ("cloudfront", "fastly"):
        for uploads in _AT_ONCE[:2] if quick else _AT_ONCE:
            for name, verify in (("sample of 20", True), ("all", {"sample": "all"})):
                plain, verified = cost(vendor, uploads, verify=False), cost(vendor, uploads, verify=verify)
                more = [str(verified[each] - plain[each]) for each in _COUNTED]
                table.add_row(f"{vendor}, {name}", f"{uploads:,}", *more, str(verified["fresh"]))
    console.print(table)


_PROOF = "multicdn.proof"


def off() -> dict[str, Any]:
    """Count where nothing is verified, in a process of its own: it has imported nothing else."""
    found = cost("fastly", 100, verify=False)
    imported = [name for name in sys.modules if name == _PROOF or name.startswith(f"{_PROOF}.")]
    return {**found, "imported": imported}


def off_table(console: Console) -> bool:
    """Print what is left where `verify` is off."""
    found = json.loads(subprocess.run([sys.executable, __file__, "--off"], stdout=subprocess.PIPE, check=True).stdout)  # noqa: S603 - ourselves
    looked = ("messages", "HEADs", "edge requests")
    passed = not (found["imported"] or any(found.get(each) for each in looked))
    table = Table(*looked, "modules of multicdn.proof", "", title="100 uploads without `verify`")
    row = [str(found.get(each, 0)) for each in looked]
    table.add_row(*row, str(len(found["imported"])), "ok" if passed else "FAILED")
    console.print(table)
    return passed


# False alarms


def alarm_table(console: Console, uploads: int) -> bool:
    """Print how uploads that supersede each other end."""
    from kit.busy_site import Busy, compressing

    columns = ("CDNs", "uploads", "fresh", "superseded", "stale", "unknown", "old in the end", "left", "")
    table, passed = Table(*columns, title="Rewritten every 0.2 to 4.5 s, compressed, late purges"), True
    for chained in (False, True):
        vendors = {"cloudfront": "cloudfront", "fastly": "fastly"}
        with _world(vendors, verify=True, chained=chained) as (tiers, world, told):
            compressing(tiers)
            world.gather = 0.3
            busy = Busy(world, tiers, _LATEST)
            busy.run(uploads // 2)
            events = Counter(event for event, _ in told("fresh", "superseded", "stale", "unknown"))
            wrong = events["stale"] + events["unknown"] + len(busy.old()) + len(world.waiting) + len(world.letters)
            passed = passed and not wrong
            for line in told.lines("stale", "unknown")[:5]:
                print(json.dumps(line), file=sys.stderr)
            counts = [str(events[name]) for name in ("fresh", "superseded", "stale", "unknown")]
            ends = (str(len(busy.old())), str(len(world.waiting) + len(world.letters)))
            name = "one behind the other" if chained else "side by side"
            table.add_row(name, f"{uploads // 2:,}", *counts, *ends, "FAILED" if wrong else "ok")
    console.print(table)
    return passed


def main() -> int:
    """Measure, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--uploads", type=int, default=2000, help="in which false alarms are looked for")
    parser.add_argument("--off", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.getLogger("botocore").setLevel(logging.CRITICAL)
    if arguments.off:
        print(json.dumps(off()))
        return 0
    console = Console()
    passed = [time_table(console, quick=arguments.quick), off_table(console)]
    cost_table(console, quick=arguments.quick)
    passed.append(alarm_table(console, arguments.uploads // 10 if arguments.quick else arguments.uploads))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())

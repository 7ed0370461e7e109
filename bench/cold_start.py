"""What the first event after a pause costs: milliseconds and memory, through AWS's own runtime client.

    python bench/cold_start.py [--rounds 7]

For each config its bundle is built and run by Lambda's runtime client on loopback, against simulated vendors. The floor
is what no design can avoid: a handler that imports the vendor's library, in the same bundle, and does nothing else.
This machine has neither Lambda's processors nor its disks: use the ratios.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.table import Table
from rig.lambda_runtime import LambdaFunction

from multicdn import config
from multicdn.installer.bundle.build import build
from multicdn.simulators import Origin, load
from multicdn.testing.loopback.simulator_config import config_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from rig.lambda_runtime import Invocation

    from multicdn.simulators import Simulator

# What a vendor's provider talks through: the least that one must load to make a call.
FLOORS = {
    "fastly": "import requests",
    "cloudfront": "import boto3",
    "cloudflare": "import cloudflare",
    "all three": "import boto3, cloudflare, requests",
}
CONFIGS = {**{name: (name,) for name in ("fastly", "cloudfront", "cloudflare")}, "all three": tuple(FLOORS)[:3]}

EVENT = {
    "Records": [
        {
            "eventVersion": "2.6",
            "eventSource": "aws:s3",
            "awsRegion": "us-east-1",
            "eventTime": "2026-11-23T09:00:00.123Z",
            "eventName": "ObjectCreated:Put",
            "s3": {
                "s3SchemaVersion": "1.0",
                "bucket": {"name": "acme-site", "arn": "arn:aws:s3:::acme-site"},
                "object": {"key": "img/logo.png", "size": 19, "sequencer": "0065A1B2C3D4E5F601"},
            },
        }
    ]
}


class Cost(NamedTuple):
    """Of one cold start: milliseconds until the process is ready, for its first event, and megabytes."""

    init: float
    first: float
    memory: float

    @property
    def total(self) -> float:
        """Milliseconds from the start of the process to its first answer."""
        return self.init + self.first


class Ready(NamedTuple):
    """A built bundle, unpacked, and what it needs to run."""

    task: Path
    environment: dict[str, str]
    megabytes: float


def main() -> None:
    """Build, measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="multicdn-bench-")))
        origin = stack.enter_context(Origin())
        simulators = {name: stack.enter_context(load(name)(origin.url, limits=False)) for name in tuple(FLOORS)[:3]}
        ready = {name: _prepare(folder / name, {each: simulators[each] for each in CONFIGS[name]}) for name in CONFIGS}
        cases: dict[tuple[str, str], Callable[[], Cost]] = {
            (name, which): lambda made=made, handler=handler: _measure(made, handler)  # type: ignore[misc]
            for name, made in ready.items()
            for which, handler in (("multicdn", "multicdn.handler.handler"), ("floor", "floor.handler"))
        }
        cases["", "empty"] = lambda: _measure(ready["fastly"], "empty.handler")
        costs: dict[tuple[str, str], list[Cost]] = {case: [] for case in cases}
        for _ in range(rounds):  # interleaved, so that what else this machine does hits all alike
            for case, measure in cases.items():
                costs[case].append(measure())
    _print({case: _median(found) for case, found in costs.items()}, ready)


def _prepare(folder: Path, simulators: dict[str, Simulator]) -> Ready:
    folder.mkdir()
    described = config_for(simulators)
    route = {"bucket": "acme-site", "urls": ["https://www.acme.com/{key}"], "purge": list(simulators)}
    file = folder / "bench.yml"  # JSON is YAML
    file.write_text(json.dumps({"version": 1, "providers": described.providers, "routes": [route]}), encoding="utf-8")
    architecture = "arm64" if platform.machine() == "aarch64" else "x86_64"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    made = build(config.load(file), file, architecture=architecture, python=python, work=folder)  # type: ignore[arg-type]
    task = folder / "task"
    with zipfile.ZipFile(made.path) as archive:
        archive.extractall(task)
    handler = "def handler(event, context):\n    return None\n"
    (task / "floor.py").write_text(f"{FLOORS[folder.name]}\n{handler}", encoding="utf-8")
    (task / "empty.py").write_text(handler, encoding="utf-8")
    return Ready(task, described.environment, made.size / 1e6)


def _measure(made: Ready, handler: str) -> Cost:
    with LambdaFunction(made.task, handler=handler, environment=made.environment) as function:
        return _cost(function.invoke(EVENT), function.log)


def _cost(invocation: Invocation, log: list[str]) -> Cost:
    if invocation.failure is not None or invocation.init_seconds is None:
        raise SystemExit(f"{invocation.failure}\n" + "\n".join(log))
    return Cost(invocation.init_seconds * 1e3, invocation.seconds * 1e3, invocation.memory / 2**20)


def _median(costs: list[Cost]) -> Cost:
    return Cost(*(statistics.median(each) for each in zip(*costs, strict=True)))


def _print(costs: dict[tuple[str, str], Cost], ready: dict[str, Ready]) -> None:
    empty = costs["", "empty"]
    table = Table(
        title=f"Cold start with one upload; an empty handler takes {empty.total:.0f} ms, {empty.memory:.0f} MB"
    )
    for heading in (
        "config",
        "bundle MB",
        "init ms",
        "event ms",
        "total ms",
        "floor ms",
        "ratio",
        "MB",
        "floor MB",
        "ratio",
    ):
        table.add_column(heading, justify="left" if heading == "config" else "right")
    for name, made in ready.items():
        ours, floor = costs[name, "multicdn"], costs[name, "floor"]
        times = (ours.init, ours.first, ours.total, floor.total)
        table.add_row(
            name,
            f"{made.megabytes:.1f}",
            *(f"{value:.0f}" for value in times),
            f"{ours.total / floor.total:.2f}",
            f"{ours.memory:.0f}",
            f"{floor.memory:.0f}",
            f"{ours.memory / floor.memory:.2f}",
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()

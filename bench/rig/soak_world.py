"""The environment of a soak: AWS on loopback, every vendor's simulator, worker processes, and the uploads."""

from __future__ import annotations

import contextlib
import json
import os
import random
import tempfile
import time
from collections import Counter
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from multicdn import config as config_file
from multicdn.installer.template.stack import RECEIVES
from multicdn.model import Change, ChangeKind
from multicdn.oncall.letters import NOBODY
from multicdn.oncall.message_queue import MessageQueue
from multicdn.queue.sender import DEAD_LETTERS, QUEUE
from multicdn.simulators import VENDORS, Origin, Topology, load
from multicdn.simulators.cloudflare.api import CloudflareSimulator, Zone
from multicdn.simulators.cloudfront import xml
from multicdn.simulators.cloudfront.api import AccessKey, CloudFrontSimulator
from multicdn.simulators.kit import faults
from multicdn.testing.loopback.aws import LoopbackAws
from multicdn.testing.loopback.resources import make_public_bucket, make_queue, queue_depth
from multicdn.testing.loopback.simulator_config import config_for
from rig import soak_breaks
from rig.cache_oracle import CacheOracle
from rig.fault_schedule import FaultSchedule
from rig.proof_oracle import ProofOracle
from rig.soak_gateway import Gateway
from rig.soak_model import SoakReport
from rig.worker_processes import Command, WorkerProcesses, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from multicdn.simulators import Simulator
    from multicdn.simulators.kit.http_server import Request
    from rig.soak_model import SoakSettings

_BUCKET = "acme-site"

# Each object in it changes once: so it is clear which purge belongs to a preload.
_LOADED = "downloads/"

# No preload is at Pixboost, where it would wait in the queue for five minutes: its estimate of when the purge is done.
_ROUTES: list[dict[str, Any]] = [
    {"urls": ["https://www.acme.com/{key}"], "purge": ["cloudfront", "fastly", "cloudflare", "akamai"]},
    {"prefix": "news/", "soft": "true", "tags": ["news-{stem}"], "purge": ["fastly", "cloudflare", "akamai"]},
    {"prefix": "img/", "urls": ["https://www.acme.com/{key}"], "purge": ["pixboost"]},
    {
        "prefix": _LOADED,
        "urls": ["https://downloads.acme.com/{key}"],
        "purge": ["highwinds", "edgecast"],
        "preload": ["edgecast"],
        "verify": {},
    },
]

# Who fetches from whom: the first is purged once the second has finished, and fetches what is loaded there.
_OUTER, _INNER = "highwinds", "edgecast"

# Seconds that their purges take to have an effect. That of the inner one takes longer than the outer one's turn: what
# doesn't wait for it comes too early.
_PROPAGATION = {_OUTER: 0.4, _INNER: 4.0}

# Edgecast and Highwinds take some fifty URLs a minute, so few uploads are theirs.
_FOLDERS = ["assets/", "docs/a b/", "news/", "img/"] * 6 + [_LOADED]

# The first worker has a minute's grace: it waits for whom the others leave behind, until its time is up.
_GRACES = ("1m", "1s")

# Seconds for which a vendor is silent, longer than a worker has time; to which share of the calls.
_SILENCE, _SILENT_SHARE = 30.0, 0.8

# How many of the batches that are too large CloudFront refuses, and how.
_TOO_LARGE_SHARE = 0.9
_TOO_LARGE = faults.status(
    413, {"Content-Type": "text/xml"}, xml.error("BatchTooLarge", "too many paths", sender=True, request_id="soak")
)

# Vendors with so few calls that they meet hardly a fault unless each call does.
_SELDOM_CALLED, _OFTEN = ("highwinds", "pixboost"), 1.0

# Purges that Edgecast refuses, all while there are faults; it loads meanwhile.
_UNPURGED_SHARE = 1.0

# While dead letters are sent back, something in front of SQS answers every third send in its place, so many times.
_EACH_SWALLOWED = 3
_MOST_REDRIVES = 10

_POLL_INTERVAL = 0.1
_TICK = 0.25


class SoakWorld:
    """AWS, the vendors, the workers, and what is expected of them. A context manager."""

    def __init__(self, settings: SoakSettings, aws: LoopbackAws | None = None) -> None:
        self._report = SoakReport()
        self._given = aws
        self._edges: dict[str, Simulator] = {}
        self._settings = settings
        self._random = random.Random(settings.seed)  # noqa: S311 - not for security
        self._faults = FaultSchedule(settings.seed)
        self._changes: list[Change] = []
        self._most_of_a_message = 0
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="multicdn-soak-")))
            self._aws = self._given or stack.enter_context(LoopbackAws(auth=False))
            self._sqs = self._aws.client("sqs")
            self._queue = make_queue(self._aws, "soak", visibility=self._settings.visibility, receives=RECEIVES)
            self._dead_letters = MessageQueue(self._sqs, self._queue.dead_letter_url)
            origin = stack.enter_context(Origin())
            self._make_edges(stack, origin.url)
            self._workers = stack.enter_context(WorkerProcesses(self._commands(folder)))
            self._workers.wait_until_started()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def upload_under_faults(self) -> None:
        """Upload objects and kill workers while the vendors show faults."""
        settings = self._settings
        for name, simulator in self._edges.items():
            if name == settings.down:
                self._faults.outage(simulator)
            elif name != settings.healthy:
                self._show_special_faults(name, simulator)
                self._faults.mix(simulator, self._fault_share(name))
        ticks, uploading = round(settings.fault_seconds / _TICK), round(settings.upload_seconds / _TICK)
        kills = Counter(self._random.choices(range(ticks // 4, ticks + 1), k=settings.kills))
        began = time.monotonic()
        for tick in range(1, ticks + 1):
            self._upload(settings.uploads * min(tick, uploading) // uploading - self._report.uploads)
            for _ in range(kills[tick]):
                self._kill()
            self._workers.revive()
            time.sleep(max(0.0, began + tick * _TICK - time.monotonic()))

    def _show_special_faults(self, name: str, simulator: Simulator) -> None:
        """Show faults for what a mix rarely brings about: a spent time, halves, a load without its purge."""
        if name == self._settings.silent:
            self._faults.sometimes(simulator, "silence", faults.hang(_SILENCE), _SILENT_SHARE)
        elif name == "cloudfront" and self._settings.largest:
            self._faults.sometimes(simulator, "too large", _TOO_LARGE, _TOO_LARGE_SHARE, self._is_large)
        elif name == "edgecast":
            self._faults.sometimes(simulator, "no purge", faults.status(400, {}, "{}"), _UNPURGED_SHARE, _purges)

    def _fault_share(self, name: str) -> float:
        if name in _SELDOM_CALLED:
            return _OFTEN
        # Halves are accepted one after the other, or nothing would be shown of them.
        return 0.0 if name == "cloudfront" and self._settings.largest else self._settings.fault_share

    def _is_large(self, request: Request) -> bool:
        return request.body.count(b"<Path>") > self._settings.largest

    def end_faults(self) -> None:
        """End the faults of all vendors but the one that is out."""
        for name, simulator in self._edges.items():
            if name != self._settings.down:
                self._faults.clear(simulator)

    def drain(self) -> None:
        """Wait until the queue is empty: nothing waits, is delayed or is being worked on.

        Raises:
            TimeoutError: that took too long.
        """
        end = time.monotonic() + self._settings.drain_timeout
        while left := queue_depth(self._sqs, self._queue.url):
            if time.monotonic() > end:
                raise TimeoutError(f"{left} messages are left in the queue; {self._workers.count()}")
            self._workers.revive()
            time.sleep(_POLL_INTERVAL)

    def judge(self) -> None:
        """Note what is lost, neither done nor among the dead letters; what came too early; and what came too often."""
        report, unmet = self._report, self._oracle.unmet()
        with self._dead_letters.opened() as messages:
            explained = self._oracle.explained(unmet, messages)
            report.died = sum(message.provider == NOBODY for message in messages)
            report.redriven = len(messages)
            self._proofs.given_up(messages)
        report.lost = unmet - explained
        report.dead_lettered = Counter(expectation.provider for expectation in explained)
        report.hasty = self._oracle.hasty()
        report.calls = {name: len(edge.calls) for name, edge in self._edges.items()}
        report.mistaken = sum(call.status == HTTPStatus.CONFLICT for call in self._edges["cloudfront"].calls)
        report.targets = {name: sum(call.items for call in edge.calls) for name, edge in self._edges.items()}
        report.interrupted = self._workers.interrupted
        report.repeated = self._repeated()
        report.returned = max(0, self._workers.begun - report.messages - report.interrupted)

    def end_outage(self) -> None:
        """End the outage, if there is one, and send the dead letters back.

        Raises:
            RuntimeError: they could not be sent.
        """
        if self._settings.down:
            self._faults.clear(self._edges[self._settings.down])
        self._edges[_INNER].topology.pops[0].ignores = 1
        swallowed = range(0, self._settings.swallowed * _EACH_SWALLOWED, _EACH_SWALLOWED)
        with Gateway(self._aws.endpoint, swallowed) as gateway:
            environment = {**self._environment, "AWS_ENDPOINT_URL": gateway.url}
            for _ in range(_MOST_REDRIVES):
                status, text = run(Command(["dlq", "redrive", "--yes"], environment, self._broken))
                if not status:
                    return
        raise RuntimeError(f"the dead letters can't be sent back: {text}")

    def report(self) -> SoakReport:
        """Note the rest, and return the report."""
        report, logged = self._report, self._workers.count()
        report.expected = len(self._oracle)
        report.faults = self._faults.shown
        report.requeued, report.dead = logged["requeued"], logged["dead"]
        report.handled = sum(line["messages"] for line in self._workers.lines() if line["event"] == "worker-batch")
        report.late = self._workers.ended_at_their_limit
        report.stderr = self._workers.stderr()
        return report

    def judge_the_end(self) -> None:
        """Note what else is not done though all vendors are well and all dead letters were sent back."""
        self._report.unmet = self._oracle.unmet() - self._report.lost
        self._report.left = (
            queue_depth(self._sqs, self._queue.url),
            queue_depth(self._sqs, self._queue.dead_letter_url),
        )
        with self._dead_letters.opened() as messages:
            self._report.reasons = tuple(message.reason for message in messages)
        self._report.proofs = self._proofs.judged(list(self._workers.lines()))

    def _repeated(self) -> int:
        """Targets that the healthy vendor was called for although no message in which they stood had come back."""
        report, healthy = self._report, self._settings.healthy
        excused = report.asked[healthy] + self._most_of_a_message * report.interrupted
        return max(0, report.targets[healthy] - excused)

    def _make_edges(self, stack: contextlib.ExitStack, origin: str) -> None:
        """The verified ones are in front of the bucket, one behind the other; nobody asks the others for anything."""
        origins = dict.fromkeys(VENDORS, origin)
        origins[_INNER] = make_public_bucket(self._aws, _BUCKET)
        for vendor in (_INNER, *(each for each in VENDORS if each != _INNER)):
            edge = self._edges[vendor] = self._simulator(vendor, origins[vendor])
            if vendor in _PROPAGATION:
                edge.topology = Topology(purge_delay=_PROPAGATION[vendor], forwards_host=vendor == _OUTER)
            stack.enter_context(edge)
            if vendor == _INNER:
                origins[_OUTER] = edge.edge_url
        self._proofs = ProofOracle(self._edges[_INNER], self._edges[_OUTER])

    def _simulator(self, vendor: str, origin: str) -> Simulator:
        """Without the vendors' own limits, which would make the soak last: 429s come by the faults."""
        if vendor == "cloudflare":  # on the plan with the highest rates, for the same reason
            return CloudflareSimulator(origin, zones=[Zone("acme.com", plan="enterprise")], limits=False)
        if vendor != "cloudfront":
            return load(vendor)(origin, limits=False)
        keys = self._aws.environment()
        credentials = AccessKey(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"])
        return CloudFrontSimulator(origin, credentials=credentials, limits=False)

    def _commands(self, folder: Path) -> list[Command]:
        """What each worker is started with."""
        settings, queue = self._settings, self._queue
        simulated = config_for(self._edges)
        within = {"within": f"{settings.within}s"}
        routes = [
            {"bucket": _BUCKET, **route, **({"verify": within} if "verify" in route else {})} for route in _ROUTES
        ]
        for name in (_INNER, _OUTER):
            simulated.providers[name]["via"] = self._edges[name].edge_url
        simulated.providers[_OUTER]["pulls_from"] = [_INNER]
        paths = []
        for grace in _GRACES:
            delivery = {
                "give_up_after": f"{settings.give_up_after}s",
                "first_delay": "1s",
                "longest_delay": f"{settings.longest_delay}s",
                "grace": grace,
                "concurrency": 1,
            }
            text = json.dumps({"version": 1, "providers": simulated.providers, "routes": routes, "delivery": delivery})
            paths.append(folder / f"grace-{grace}.yml")
            paths[-1].write_text(text, encoding="utf-8")
        self._oracle = CacheOracle(config_file.load(paths[0]), self._edges)
        addresses = {QUEUE: queue.url, DEAD_LETTERS: queue.dead_letter_url}
        self._environment = {**_inherited(), **self._aws.environment(), **simulated.environment, **addresses}
        self._broken = [soak_breaks.code(name) for name in settings.broken.split(" + ") if name]
        arguments = ["worker", "--queue", queue.url, "--batch-size", str(settings.batch)]
        arguments += ["--gather", "0.3", "--batches", "1"]
        environments = [{**self._environment, "MULTICDN_CONFIG": str(path)} for path in paths]
        return [Command(arguments, environments[min(number, 1)], self._broken) for number in range(settings.workers)]

    def _upload(self, count: int) -> None:
        """Change objects, and let S3 tell of it, in any order and now and then again."""
        changes = [self._change() for _ in range(count)]
        for change in changes:
            if change.key.startswith(_LOADED):
                self._store(change)
            self._oracle.upload(change)
        self._changes += changes
        notices = changes + [self._random.choice(self._changes) for _ in changes if self._chance()]
        self._random.shuffle(notices)
        self._send(notices)

    def _store(self, change: Change) -> None:
        """Let an object that is verified be in S3 as a change says, and what is purged be ignored now and then."""
        body = f"{change.key} {change.sequencer}".encode() if change.kind is ChangeKind.CREATED else b""
        if body:
            self._aws.client("s3").put_object(Bucket=_BUCKET, Key=change.key, Body=body, CacheControl="max-age=86400")
        self._proofs.upload(f"https://downloads.acme.com/{quote(change.key)}", change.key, body)
        if self._random.random() < self._settings.ignored:
            self._edges[_OUTER].topology.pops[0].ignores += 1

    def _change(self) -> Change:
        self._report.uploads += 1
        # Some objects change often: a fifth of the changes are of a hundredth of the objects.
        number = int(self._settings.keys * self._random.random() ** 3)
        folder = _FOLDERS[number % len(_FOLDERS)]
        if folder == _LOADED:
            number = self._report.uploads
        kind = ChangeKind.REMOVED if self._random.random() < self._settings.removals else ChangeKind.CREATED
        # What is verified has one spelling: the others of an object aren't looked at, and may be ignored.
        name = f"{folder}{number:05}.css" if folder == _LOADED else f"{folder}{number:05}é.css"
        return Change(_BUCKET, name, kind, sequencer=f"{self._report.uploads:016X}")

    def _chance(self) -> bool:
        return self._random.random() < self._settings.copies

    def _send(self, changes: Sequence[Change]) -> None:
        for batch in _tens(changes):
            entries = [{"Id": str(number), "MessageBody": _body(change)} for number, change in enumerate(batch)]
            answer = self._sqs.send_message_batch(QueueUrl=self._queue.url, Entries=entries)
            assert not answer.get("Failed"), answer
        self._report.messages += len(changes)
        for change in changes:
            asked = Counter(expectation.provider for expectation in self._oracle.expectations(change))
            self._report.asked += asked
            self._most_of_a_message = max(self._most_of_a_message, asked[self._settings.healthy])

    def _kill(self) -> None:
        self._report.kills += self._workers.kill(self._random.randrange(self._settings.workers))


def _purges(request: Request) -> bool:
    return request.path.endswith("purge")


def _body(change: Change) -> str:
    """Write a message as S3 does: the key encoded like a form."""
    entity = {
        "bucket": {"name": change.bucket},
        "object": {"key": quote_plus(change.key, safe="/"), "sequencer": change.sequencer},
    }
    name = "ObjectRemoved:Delete" if change.kind is ChangeKind.REMOVED else "ObjectCreated:Put"
    record = {"eventSource": "aws:s3", "eventName": name, "s3": entity}
    return json.dumps({"Records": [record]})


def _inherited() -> dict[str, str]:
    """Variables that a process needs to run at all; none that would turn it to the real AWS."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MULTICDN_"))}


def _tens(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    for start in range(0, len(changes), 10):
        yield changes[start : start + 10]

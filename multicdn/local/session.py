"""A config with everything around it, and the one place that knows all of it: what happens, and what one can do."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from multicdn import config as config_file
from multicdn.local.edges import SimulatedEdges
from multicdn.local.handling import Handling, is_dead
from multicdn.local.logged import Logged
from multicdn.local.objects import ObjectVersions
from multicdn.local.routes import Places
from multicdn.local.site import Site
from multicdn.local.state import LocalState, QueueState
from multicdn.local.timeline import Timeline, word
from multicdn.local.waiting import queue_state
from multicdn.model import ChangeKind, Status
from multicdn.plugins.discovery import Plugins
from multicdn.queue.sender import DEAD_LETTERS, QUEUE
from multicdn.routing.router import Router
from multicdn.steering import visible
from multicdn.testing.loopback.config_copy import FIRST_DELAY, LONGEST_DELAY
from multicdn.testing.loopback.environment import LocalEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from multicdn.events.intake import Intake
    from multicdn.local.edges import EdgeAnswer
    from multicdn.model import Change, Job, Outcome
    from multicdn.proof.ladder import Note
    from multicdn.queue.retry import Decision

# Seconds between two looks at the edges, and at the queue: at a long one less often, but not so seldom that it seems
# to stand still.
_LOOK, _LOOK_AT_QUEUE, _SELDOM = 0.05, 0.5, 3.0
_PER_LOOK = 5

# A session token of the user's own would not be known here.
_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_PLACES = ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "MULTICDN_CONFIG", QUEUE, DEAD_LETTERS)


class ActionError(ValueError):
    """What was asked for can't be done; the text is for whoever asked."""


class LocalSession:
    """A context manager; everything in it is gone at its end. Safe for many threads.

    Args:
        file: the config file; it is known to be right.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._started = time.time()
        self._objects = ObjectVersions()
        self._timeline = Timeline()
        self._lock = threading.RLock()
        self._queue = QueueState()
        self._over = threading.Event()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            site = stack.enter_context(Site())
            self._local = stack.enter_context(LocalEnvironment(self._file, hasty=True, site=site.origin))
            stack.enter_context(_only_here(self._local.environment()))
            self._logged = stack.enter_context(Logged())
            plugins = Plugins()
            config = config_file.load(self._local.config_path, plugins)
            self._router = Router(config.routes, config.providers, plugins.hooks.urls)
            self._places = Places(self._router, self._local.edges)
            self._site = site
            self._handling = stack.enter_context(Handling(config, plugins, self._local.queue, self))
            self._edges = SimulatedEdges(self._local.edges, config.types, config.providers, self._places, self._objects)
            watching = threading.Thread(target=self._watch, name="multicdn-watch", daemon=True)
            watching.start()
            stack.callback(watching.join, 1.0)
            stack.callback(self._over.set)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @cached_property
    def exports(self) -> dict[str, str]:
        """Variables for other programs that are to work on this AWS, such as ``aws`` and ``multicdn purge``."""
        ours = self._local.environment()
        return {name: ours[name] for name in (*_CREDENTIALS, *_PLACES)}

    @cached_property
    def s3_line(self) -> str:
        """What to type to upload a file."""
        variables = " ".join(f"{name}={self.exports[name]}" for name in _CREDENTIALS)
        where = f"--endpoint-url {self._local.aws.endpoint} --region {self._local.aws.region}"
        return f"{variables} aws {where} s3 cp index.html s3://{self._local.buckets[0]}/"

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What is otherwise here than in AWS."""
        left_out = [f"{name} is left out: {reason}" for name, reason in self._local.left_out.items()]
        waits = f"jobs wait for {FIRST_DELAY} to {LONGEST_DELAY} here, since the config doesn't say how long"
        return (*left_out, *([waits] if self._local.hastened else []))

    def state(self) -> LocalState:
        """What there is to see now."""
        now = time.time()
        with self._lock:
            objects, uploads = self._timeline.objects(), self._timeline.uploads()
        return LocalState(
            config=str(self._file),
            s3=self.s3_line,
            started=self._started,
            buckets=tuple(self._local.buckets),
            notes=self.notes,
            providers=self._edges.states(objects, self._handling.breaker, now),
            uploads=uploads,
            queue=self._queue,
            log=self._logged.lines(),
        )

    def upload(self, bucket: str, key: str, body: str | None) -> int:
        """Put a new version of an object; return its number, which is its text, too, where none is given.

        Raises:
            ActionError: there is no such bucket, or S3 doesn't take the object.
        """
        bucket = self._bucket(bucket)
        with self._lock:
            number = self._objects.next_version(bucket, key)
            content = (f"version {number}\n" if body is None else body).encode()
            etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
            # Before S3 has it: the event may come before this returns.
            added = self._added(bucket, key, ChangeKind.CREATED, etag, time.time())
        with self._taken_back(bucket, key, added):
            self._local.put(bucket, key, content)
        return number

    def remove(self, bucket: str, key: str) -> None:
        """Remove an object.

        Raises:
            ActionError: there is no such bucket, or no such object in it.
        """
        bucket = self._bucket(bucket)
        if not self._local.has(bucket, key):  # no event would come of it
            raise ActionError(f"there is no s3://{visible(bucket)}/{visible(key)} to remove")
        with self._lock:
            added = self._added(bucket, key, ChangeKind.REMOVED, "", time.time())
        with self._taken_back(bucket, key, added):
            self._local.aws.client("s3").delete_object(Bucket=bucket, Key=key)

    def fetch(self, provider: str, url: str) -> EdgeAnswer:
        """Get a URL through an edge, as a client does.

        Raises:
            ActionError: there is no such provider, or it is no URL.
        """
        self._known(provider)
        try:
            return self._edges.fetch(provider, url, self._objects_shown())
        except ValueError as error:
            raise ActionError(str(error)) from None

    def fault(self, provider: str, fault: str) -> None:
        """Put a provider into trouble, or let it be well again.

        Raises:
            ActionError: there is no such provider, or no such trouble.
        """
        self._known(provider)
        try:
            self._edges.fault(provider, fault)
        except KeyError:
            raise ActionError(f"no such fault: {fault!r}") from None

    def received(self, intake: Intake) -> None:
        """A batch has come to the handler."""
        with self._lock:
            for change in intake.changes:
                if change.kind is not ChangeKind.ACCESS:
                    self._seen(change)
            for queued in intake.queued_jobs:
                [message] = queued.job.messages
                self._timeline.returned(message, queued.job)

    def calling(self, job: Job) -> None:
        """A vendor is called for a job."""
        with self._lock:
            self._timeline.calling(job)

    def ended(self, outcome: Outcome) -> None:
        """A job has ended."""
        with self._lock:
            self._timeline.ended(outcome, time.time())

    def decided(self, decisions: Sequence[Decision]) -> None:
        """It was decided what becomes of jobs that were not accepted, and what follows those that were."""
        with self._lock:
            for decision in decisions:
                dead, job = is_dead(decision), decision.queued.job
                if not dead and decision.status in (Status.ACCEPTED, Status.STALE):
                    self._timeline.follow(job)
                else:
                    self._timeline.put_off(job, decision.reason, dead=dead)

    def followed(self, notes: Sequence[Note]) -> None:
        """Something was found out about purges that are followed."""
        with self._lock:
            for note in notes:
                self._timeline.found(note, time.time())

    def over(self, intake: Intake) -> None:
        """A batch is done."""
        with self._lock:
            self._timeline.over(intake.messages)

    def _seen(self, change: Change) -> None:
        etag = change.etag.strip('"')
        known = self._timeline.find(change.bucket, change.key, word(change.kind), etag, change.sequencer)
        if known is None:
            known = self._added(change.bucket, change.key, change.kind, etag, _moment(change.time))
        self._timeline.received(change.cause, known, change.sequencer)

    def _added(self, bucket: str, key: str, kind: ChangeKind, etag: str, at: float) -> str:
        place = self._places.of(bucket, key, kind)
        self._site.learn(bucket, key, place.public, place.tags)
        version = self._objects.changed(bucket, key, None if kind is ChangeKind.REMOVED else etag)
        verified = [name for name in place.actions if self._router.verify(bucket, key, name)]
        return self._timeline.add(
            bucket, key, word(kind), version, at, place.actions, etag, verified, dict(self._local.tiers)
        )

    @contextlib.contextmanager
    def _taken_back(self, bucket: str, key: str, added: str) -> Iterator[None]:
        """Forget a change that S3 didn't take."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError) as error:
            with self._lock:
                self._timeline.forget(added)
                self._objects.forget(bucket, key)
            raise ActionError(f"S3 doesn't take it: {error}") from None

    def _bucket(self, name: str) -> str:
        if name and name not in self._local.buckets:
            raise ActionError(f"the config has no bucket {name!r}; it has {', '.join(self._local.buckets)}")
        return name or self._local.buckets[0]

    def _known(self, provider: str) -> None:
        if provider not in self._local.edges:
            raise ActionError(f"no simulated provider {provider!r}; there are {', '.join(self._local.edges)}")

    def _objects_shown(self) -> list[tuple[str, str, str]]:
        with self._lock:
            return self._timeline.objects()

    def _watch(self) -> None:
        next_look = 0.0
        while not self._over.wait(_LOOK):
            with self._lock:
                if self._timeline.open:
                    self._timeline.observe(self._edges.is_fresh, time.time())
            began = time.monotonic()
            if began >= next_look:
                self._look_at_queue()
                self._edges.trim()
                next_look = began + min(_SELDOM, max(_LOOK_AT_QUEUE, _PER_LOOK * (time.monotonic() - began)))

    def _look_at_queue(self) -> None:
        queue = self._local.queue
        with contextlib.suppress(OSError, ValueError, KeyError):  # it is looked at again at once
            waiting, dead = map(self._local.aws.messages, (queue.url, queue.dead_letter_url))
            self._queue = queue_state(waiting, dead, time.time())


def _moment(text: str) -> float:
    """The time of an event in seconds since 1970; now, where it says none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return time.time()


@contextlib.contextmanager
def _only_here(environment: dict[str, Any]) -> Iterator[None]:
    """Let all that this process does with AWS be done on loopback."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)

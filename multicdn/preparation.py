"""What is done before the first event, while Lambda gives the function a whole processor: one step after the other.

The steps run plugins' code, and INIT has 10 seconds: what isn't done then is thrown away, and all of it is done anew
within the first event (docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html). So they are taken by a
thread, since nothing else can be left behind if it hangs; when their time is over the first event does what is left. It
is one thread: several that import at once wait for each other, and take longer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn import aws_clients, region, secrets, steering, tls
from multicdn.bounds import bounded
from multicdn.delivery import refusals
from multicdn.errors import told
from multicdn.log import emit
from multicdn.routing import spellings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multicdn.aws.s3 import Objects
    from multicdn.config import Config
    from multicdn.delivery.delivery import Delivery
    from multicdn.handover import Handover
    from multicdn.proof.following import Following
    from multicdn.provider import Provider
    from multicdn.publishing import Publisher

# Seconds for all steps. What is loaded before them, and the start of Python, take less than one.
LONGEST = 5.0


class Preparation(Struct, frozen=True):
    """Something to be done, and how the log calls it when it fails.

    Attributes:
        run: does it. Whatever it raises is no harm to the others.
        level, event: of the log.
        fields: of the event, beside the reason.
    """

    run: Callable[[], object]
    level: int
    event: str
    fields: Mapping[str, str] = {}

    def complain(self, reason: str) -> None:
        """Log that it isn't done."""
        emit(self.level, self.event, **self.fields, reason=reason)


def steps(
    config: Config,
    handover: Handover,
    publisher: Publisher | None,
    objects: Objects,
    follow: Callable[[], Following],
    delivery: Delivery,
) -> Iterator[Preparation]:
    """What a function has to prepare: its own things first, which no plugin shall keep it from.

    Args:
        config: whose routes say which providers are used, and what else an event may need.
        handover: has a client of the queue to make.
        publisher: the same for others who are told; None where nobody is.
        objects: the same for S3.
        follow: makes what follows purges.
        delivery: has threads to start.
    """
    yield Preparation(handover.prepare, logging.ERROR, "requeue-failed")
    if publisher is not None:
        yield Preparation(publisher.prepare, logging.WARNING, "publish-failed")
    yield Preparation(_load, logging.WARNING, "not-prepared")
    if handover.has_queue:
        yield Preparation(partial(_load_what_waits, config, objects, follow), logging.WARNING, "not-prepared")
    if any(route.metadata for route in config.routes):
        yield Preparation(objects.prepare, logging.WARNING, "not-prepared")
    used = {name for route in config.routes for name in (*route.purge, *route.preload)}
    for name in (name for name in config.providers if name in used):
        provider = config.providers[name]
        for run in (provider.prepare, partial(_load_stores, provider), partial(delivery.prepare, name)):
            yield Preparation(run, logging.WARNING, "not-prepared", {"provider": name})


def _load() -> None:
    """What every event needs, and Python loads on first use."""
    "".encode("idna")  # as names of hosts are
    secrets.redact("")  # learns how the credentials that AWS gives the function may be spelled
    # Compiles what each event looks through keys, targets and its log with.
    spellings.is_plain("")
    refusals.host_of("")
    steering.without_steering("")


def _load_stores(provider: Provider) -> None:
    """What a provider's secrets are asked of. A client is made and thrown away: the next takes a tenth of the time."""
    found = map(secrets.parse_reference, (secret.reference for secret in provider.secrets()))
    for service in {scheme for scheme, _ in filter(None, found)} & secrets.OPERATIONS.keys():
        aws_clients.client(service, region=region.of_environment())


def _load_what_waits(config: Config, objects: Objects, follow: Callable[[], Following]) -> None:
    """What comes back from the queue: jobs, purges to be looked at, and deploys. The last two ask S3."""
    from multicdn.routing import allowed  # noqa: F401

    waits, follows = any(route.waits for route in config.routes), any(route.verify for route in config.routes)
    if waits:
        from multicdn.aws import uploads  # noqa: F401
        from multicdn.planning import deploys  # noqa: F401
    if follows or config.tiers:
        follow()
    if follows:
        tls.context()  # to look at the site itself
    if waits or follows:
        objects.prepare()


def take(steps: Iterator[Preparation], seconds: float = LONGEST) -> None:
    """Take steps in their order, for so many seconds at most. Never raises for anything that they do."""
    taking = _Taking(tuple(steps), seconds)
    try:
        taking.start()
    except RuntimeError:
        return taking.leave("no thread could be started for it: the process has too many")
    taking.join(seconds)
    taking.leave(f"not done within {seconds:g} s; the first event does what is left")


class _Taking(threading.Thread):
    """Takes steps until it is left behind."""

    def __init__(self, steps: Sequence[Preparation], seconds: float) -> None:
        super().__init__(name="multicdn-preparation", daemon=True)
        self._left = list(steps)
        self._until = time.monotonic() + seconds
        self._longest = seconds / 2
        self._lock = threading.Lock()

    def run(self) -> None:
        """Take one after the other."""
        while (step := self._next()) is not None:
            reason = ""
            try:
                with bounded(self._longest):  # a client of AWS that hangs shall leave time for all that are none
                    step.run()
            except BaseException as error:  # noqa: BLE001 - a plugin's, of any kind; its first call does without
                reason = told(error)
            self._end(step, reason)

    def leave(self, reason: str) -> None:
        """Have it take no further step, and complain of those that it has not done."""
        with self._lock:
            left, self._left = self._left, []
        for step in left:
            step.complain(reason)

    def _next(self) -> Preparation | None:
        with self._lock:
            return self._left[0] if self._left and time.monotonic() < self._until else None

    def _end(self, step: Preparation, reason: str) -> None:
        with self._lock:
            if not self._left:  # it was left behind, and that was said
                return
            del self._left[0]
        if reason:
            step.complain(reason)

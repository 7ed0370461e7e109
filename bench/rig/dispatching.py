"""A dispatcher in this process, as the function has one, which nothing but vendors holds up."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from typing import TYPE_CHECKING, Any

from multicdn import config
from multicdn.delivery.clock import Clock
from multicdn.delivery.delivery import Delivery
from multicdn.dispatcher import Dispatcher
from multicdn.plugins.discovery import Plugins
from rig.events import BUCKET

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Of an invocation: no pace takes longer.
SECONDS = 100_000.0

URL = "https://www.acme.com/"


class SkippingClock(Clock):
    """Nobody waits for a pace: the time is over at once."""

    def __init__(self) -> None:
        self._skipped = 0.0

    def now(self) -> float:
        """Seconds, with those that were skipped."""
        return super().now() + self._skipped

    def sleep(self, seconds: float) -> None:
        """Skip them."""
        self._skipped += seconds


def dispatcher_for(providers: Mapping[str, Mapping[str, Any]]) -> Dispatcher:
    """A new one, for a bucket of which all these are purged, with paces in which nothing is booked yet."""
    route = {"bucket": BUCKET, "urls": [f"{URL}{{key}}"], "purge": list(providers)}
    plugins = Plugins()
    loaded = config.parse(json.dumps({"version": 1, "providers": providers, "routes": [route]}), "bench", plugins)
    return Dispatcher(loaded, plugins, Delivery(loaded.providers, clock=SkippingClock()))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Log and metrics are written as ever, but to nowhere."""
    logger, handler = logging.getLogger("multicdn"), logging.StreamHandler(io.StringIO())
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]

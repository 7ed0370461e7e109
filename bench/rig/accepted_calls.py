"""What a vendor's API has accepted, whatever its client saw of the answer: faults lose some, and make up others."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.simulators import Simulator
    from multicdn.simulators.kit.http_server import Request, Response

# Operations of Edgecast and Pixboost that load.
_LOADS = re.compile("/(?:bulk)?load$|/warmup$")


class AcceptedCall(NamedTuple):
    """A call that was accepted.

    Attributes:
        loads: whether it preloads; else it purges, or asks something.
        texts: all texts of its body.
        came, done: when it came, and when what it asked for was done, in seconds of the simulator's clock.
    """

    loads: bool
    texts: frozenset[str]
    came: float
    done: float


class AcceptedCalls:
    """Notes what a simulator accepts from now on.

    Args:
        simulator: whose API takes what it is about as JSON; of Pixboost's, only loads do.
    """

    def __init__(self, simulator: Simulator) -> None:
        self._api, self._clock = simulator.api, simulator.clock
        self._calls: list[AcceptedCall] = []
        self._lock = threading.Lock()
        simulator.api = self._noted  # type: ignore[method-assign]

    def of(self, text: str, *, loads: bool) -> list[AcceptedCall]:
        """The calls that preload, or the others, that have a text."""
        with self._lock:
            return [call for call in self._calls if call.loads is loads and text in call.texts]

    def _noted(self, request: Request) -> Response:
        came = self._clock()
        response = self._api(request)
        if 200 <= response.status < 300 and request.body:
            texts = frozenset(_texts(json.loads(request.body)))
            call = AcceptedCall(bool(_LOADS.search(request.path)), texts, came, self._clock())
            with self._lock:
                self._calls.append(call)
        return response


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)

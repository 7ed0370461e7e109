"""Faults of a vendor's API over time: a random mix of every kind, or an outage; each is counted."""

from __future__ import annotations

import threading
import zlib
from collections import Counter
from typing import TYPE_CHECKING

from multicdn.simulators.kit import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multicdn.simulators.kit.faults import Fault, Handler
    from multicdn.simulators.kit.http_server import Request, Response
    from multicdn.simulators.kit.simulator import Simulator

_PAGE = "<html><title>503 Service Unavailable</title><h1>Guru Meditation</h1></html>"

# Each kind of fault, and how it is made; all are as likely as each other.
_KINDS: Mapping[str, Callable[[], Fault]] = {
    "429": lambda: faults.status(429, {"Retry-After": "1"}, "{}"),
    "500": lambda: faults.status(500, {}, "{}"),
    "503": lambda: faults.status(503, {}, _PAGE),
    "reset": faults.reset,
    "lost answer": faults.lost,
    "hang": lambda: faults.hang(3.0),
    "slow": lambda: faults.slow(0.3),
    "garbage": faults.garbage,
    "cut": lambda: faults.drop_after(25),
}


class FaultSchedule:
    """Switches faults on and off, and counts those that were shown.

    Args:
        seed: of the random choices.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._shown: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def shown(self) -> Counter[str]:
        """Faults of each kind that were shown so far, counted."""
        with self._lock:
            return Counter(self._shown)

    def mix(self, simulator: Simulator, share: float) -> None:
        """Meet a share of the calls with faults of all kinds."""
        share_of_kind = share / len(_KINDS)
        for index, (name, make) in enumerate(_KINDS.items()):
            # The oldest rule that applies wins, so the later ones are asked less often.
            probability = share_of_kind / (1 - index * share_of_kind)
            seed = zlib.crc32(f"{self._seed} {simulator.vendor} {index}".encode())
            simulator.faults.sometimes(self._counted(name, make()), probability, seed)

    def sometimes(
        self,
        simulator: Simulator,
        name: str,
        fault: Fault,
        share: float,
        when: Callable[[Request], bool] | None = None,
    ) -> None:
        """Meet a share of some calls with one fault. Before ``mix``, which is then for the others."""
        seed = zlib.crc32(f"{self._seed} {simulator.vendor} {name}".encode())
        simulator.faults.sometimes(self._counted(name, fault), share, seed, when)

    def outage(self, simulator: Simulator) -> None:
        """Meet every call with a 503."""
        simulator.faults.clear()
        simulator.faults.always(self._counted("outage", _KINDS["503"]()))

    def clear(self, simulator: Simulator) -> None:
        """End all faults of a vendor."""
        simulator.faults.clear()

    def _counted(self, name: str, fault: Fault) -> Fault:
        def counted(request: Request, answer: Handler, released: threading.Event) -> Response:
            with self._lock:
                self._shown[name] += 1
            return fault(request, answer, released)

        return counted

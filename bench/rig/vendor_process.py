"""Simulated vendors in a process of their own: what they take of the processor isn't what is measured."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from multicdn.simulators import Origin, load
from multicdn.simulators.kit import faults
from multicdn.testing.loopback.simulator_config import SimulatorConfig, config_for
from rig.own_process import OwnProcess

if TYPE_CHECKING:
    from collections.abc import Sequence


class VendorProcess(OwnProcess):
    """Well vendors without limits. A context manager.

    Args:
        names: of their types.
        latency: seconds that each answer takes.

    Attributes:
        described: a config for them, and its variables.
    """

    described: SimulatorConfig

    def __init__(self, names: Sequence[str], latency: float = 0.0) -> None:
        super().__init__(_serve, tuple(names), latency)

    def reached(self, how: Any) -> None:
        """Keep it."""
        self.described = how


def _serve(names: Sequence[str], latency: float, pipe: Any) -> None:
    with ExitStack() as stack:
        origin = stack.enter_context(Origin())
        simulators = {name: stack.enter_context(load(name)(origin.url, limits=False)) for name in names}
        for simulator in simulators.values() if latency else ():
            simulator.faults.always(faults.slow(latency))
        pipe.send(config_for(simulators))
        pipe.recv()  # until it is killed

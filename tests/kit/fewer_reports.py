"""Workers of pytest-xdist tell how each test went, and no more than that when nothing went wrong before or after it.

A message takes both sides some tenths of a millisecond, and there are sixty thousand in a run.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def begin(config: pytest.Config) -> None:
    """Keep to ourselves that a test begins, and that a set-up or tear-down has passed; in a worker, as long as it is
    made as it is. That a test begins is shown by ``-v`` alone.
    """
    _replace(config, "pytest_runtest_logreport", lambda tell: partial(_tell_what_counts, tell))
    if config.get_verbosity() <= 0:
        _replace(config, "pytest_runtest_logstart", lambda tell: _tell_nothing)


def _replace(config: pytest.Config, name: str, make: Callable[[Callable[..., object]], Callable[..., object]]) -> None:
    for hook in getattr(config.hook, name).get_hookimpls():
        if type(hook.plugin).__name__ == "WorkerInteractor":
            hook.function = make(hook.function)


def _tell_what_counts(tell: Callable[..., object], report: pytest.TestReport) -> None:
    if report.when == "call" or not report.passed:
        tell(report=report)


def _tell_nothing(nodeid: str, location: object) -> None:
    """Nobody asks."""

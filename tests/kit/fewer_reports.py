"""Workers of pytest-xdist tell how each test went, and no more than that when nothing went wrong before or after it.

A report takes both sides some tenths of a millisecond, and there are thirty thousand in a run.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def begin(config: pytest.Config) -> None:
    """Keep reports to ourselves that a set-up or tear-down has passed; in a worker, as long as it is made as it is."""
    for hook in config.hook.pytest_runtest_logreport.get_hookimpls():
        if type(hook.plugin).__name__ == "WorkerInteractor":
            hook.function = partial(_tell_what_counts, hook.function)


def _tell_what_counts(tell: Callable[..., object], report: pytest.TestReport) -> None:
    if report.when == "call" or not report.passed:
        tell(report=report)

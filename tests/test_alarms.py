"""Who is told, and when: hours of an installed stack, with the function's own metrics and the template's own alarms."""

from __future__ import annotations

import pytest
from kit.simulated_stack import HOUR, MINUTE, SimulatedStack

LATE = 10 * MINUTE
SICK = "SickLateAlarm"


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> SimulatedStack:
    return SimulatedStack(monkeypatch)


@pytest.mark.parametrize("every", [0, 60, 700])
def test_nobody_is_told_of_a_healthy_hour(stack: SimulatedStack, every: float) -> None:
    stack.pass_(HOUR, every)
    assert stack.rang() == {}


@pytest.mark.parametrize("answer", [(503, {}), (429, {"Retry-After": "900"}), (401, {})])
@pytest.mark.parametrize("every", [60, 2 * HOUR])
def test_a_vendor_in_trouble_is_told_within_ten_minutes_and_until_it_is_over(
    stack: SimulatedStack, every: float, answer: tuple[int, dict[str, str]]
) -> None:
    stack.answers["sick.test"] = lambda: answer
    stack.pass_(30 * MINUTE, every)
    assert stack.rang().keys() - {"DeadLettersAlarm", "QueueGrowsAlarm"} == {SICK}
    assert stack.rang()[SICK] <= LATE
    assert SICK in stack.ringing()
    del stack.answers["sick.test"]
    stack.pass_(HOUR, every)
    assert SICK not in stack.ringing()
    import sys; print(stack.rang(), {n: [(round((t - 1795424400)/60, 1), s) for t, s in a.changes] for n, a in stack.alarms.items() if a.rang}, len(stack.dead), file=sys.stderr)

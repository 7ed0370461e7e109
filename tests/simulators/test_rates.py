"""Rate limits, by a clock that stands still."""

from __future__ import annotations

import pytest

from multicdn.simulators import ManualClock, SlidingWindow, TokenBucket


def test_bucket_gives_what_it_saved_and_then_its_rate() -> None:
    clock = ManualClock()
    bucket = TokenBucket(rate=2, capacity=5, clock=clock)
    assert [bucket.take() for _ in range(5)] == [0.0] * 5
    assert bucket.take() == pytest.approx(0.5)
    assert bucket.take(3) == pytest.approx(1.5)
    clock.advance(0.5)
    assert bucket.take() == 0.0
    clock.advance(1000)
    assert bucket.remaining == 5


def test_window_holds_its_limit_in_any_period() -> None:
    clock = ManualClock()
    window = SlidingWindow(limit=3, seconds=10, clock=clock)
    assert window.take(2) == 0.0
    clock.advance(4)
    assert window.take() == 0.0
    assert (window.remaining, window.resets_at) == (0, clock() + 10)
    assert window.take() == pytest.approx(6)
    assert window.take(3) == pytest.approx(10)
    clock.advance(6)
    assert (window.remaining, window.take(2)) == (2, 0.0)


def test_window_never_takes_more_than_its_limit_at_once() -> None:
    window = SlidingWindow(limit=3, seconds=10, clock=ManualClock())
    assert window.take(4) == 10
    assert window.remaining == 3


def test_unused_window_is_reset_already() -> None:
    clock = ManualClock()
    assert SlidingWindow(limit=3, seconds=10, clock=clock).resets_at == clock()

"""Threads that wait for the next invocation."""

from __future__ import annotations

import gc
import os
import threading
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING

import pytest
from kit.scripted_provider import Scripted, accept, delivery, demand, urls

from multicdn.delivery.threads import Threads
from multicdn.provider import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kit.scripted_provider import Seen

    from multicdn.provider import Receipt


def ran_in(threads: Threads, name: str) -> threading.Thread:
    """The thread that does some work of this name, which waits for more by the time this returns."""
    told: list[threading.Thread] = []
    done = threading.Event()

    def work() -> None:
        told.append(threading.current_thread())
        done.set()

    threads.run(name, work)
    assert done.wait(10)
    assert comes_true(lambda: waits(threads, name))
    return told[0]


def waits(threads: Threads, name: str) -> bool:
    """Whether a thread of this name waits for work."""
    return name in threads._idle._waiting


def comes_true(asked: Callable[[], bool]) -> bool:
    """Whether something comes true soon."""
    until = time.monotonic() + 10
    while not (true := asked()) and time.monotonic() < until:
        time.sleep(0.001)
    return true


def named(name: str) -> threading.Thread:
    """The one thread that works for a name, which no other test has: threads of theirs may still be there."""
    [found] = [thread for thread in threading.enumerate() if thread.name == f"multicdn-{name}"]
    return found


def held(until: threading.Event) -> None:
    """Hang until something happens."""
    until.wait(10)


@pytest.fixture
def threads() -> Iterator[Threads]:
    before = set(threading.enumerate())
    made = Threads()
    yield made
    made._idle.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


def test_the_next_work_of_a_name_is_done_by_the_same_thread_and_that_of_another_by_another(threads: Threads) -> None:
    acme, bravo = ran_in(threads, "tried-acme"), ran_in(threads, "tried-bravo")
    assert ran_in(threads, "tried-acme") is acme is not bravo
    assert [thread.name for thread in (acme, bravo)] == ["multicdn-tried-acme", "multicdn-tried-bravo"]
    assert acme.daemon


def test_a_thread_that_was_started_before_does_the_first_work(threads: Threads) -> None:
    threads.start("tried-acme")
    waiting = named("tried-acme")
    assert comes_true(lambda: waits(threads, "tried-acme"))
    assert ran_in(threads, "tried-acme") is waiting


def test_a_thread_that_hangs_is_replaced_and_one_of_both_is_kept(threads: Threads) -> None:
    hangs = threading.Event()
    threads.run("tried-acme", lambda: held(hangs))
    hung = named("tried-acme")
    other = ran_in(threads, "tried-acme")
    assert other is not hung
    hangs.set()
    hung.join(10)
    assert not hung.is_alive()
    assert ran_in(threads, "tried-acme") is other


def test_what_one_work_leaves_in_a_context_variable_the_next_one_does_not_see(threads: Threads) -> None:
    left: ContextVar[str] = ContextVar("left", default="nothing")
    seen: list[str] = []

    def leave(something: str) -> None:
        left.set(something)

    one = ran_in(threads, "tried-acme")
    for work in (lambda: leave("something"), lambda: seen.append(left.get())):
        threads.run("tried-acme", work)
        assert comes_true(lambda: waits(threads, "tried-acme")), "another thread would do the next work"
    assert seen == ["nothing"]
    assert ran_in(threads, "tried-acme") is one


def test_a_work_that_is_done_is_not_kept(threads: Threads) -> None:
    class Work:
        def __call__(self) -> None:
            gone.append(False)

        def __del__(self) -> None:
            gone.append(True)

    gone: list[bool] = []
    threads.run("tried-acme", Work())
    ran_in(threads, "tried-bravo")
    assert comes_true(lambda: gone == [False, True])


def test_threads_end_with_what_has_them() -> None:
    threads, hangs = Threads(), threading.Event()
    waiting = ran_in(threads, "tried-acme")
    threads.run("tried-bravo", lambda: held(hangs))
    hung = named("tried-bravo")
    del threads
    gc.collect()
    waiting.join(10)
    hangs.set()
    hung.join(10)
    assert not waiting.is_alive()
    assert not hung.is_alive(), "it would wait for ever"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can't fork")
def test_a_process_that_was_forked_has_threads_of_its_own(threads: Threads) -> None:
    ran_in(threads, "tried-acme")
    number = os.fork()
    if not number:
        try:
            ran_in(threads, "tried-acme")
        finally:
            os._exit(0 if waits(threads, "tried-acme") else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) == 0


def test_the_next_invocation_calls_from_the_same_thread() -> None:
    callers: list[tuple[str, threading.Thread]] = []

    def answer(seen: Seen) -> Receipt:
        callers.append((seen.targets[0], threading.current_thread()))
        return accept(seen)

    deliver = delivery(Scripted(limits=Limits(targets=1), answer=answer)).deliver
    for _ in range(2):
        assert deliver([demand(urls(3))], 30).undelivered == ()
    assert len(callers) == 6
    assert len({thread for _, thread in callers}) == 1

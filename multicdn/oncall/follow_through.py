"""Purges by hand, and what follows them, in this process: where no queue is, what has to wait has a timer.

What is decided is that of the function: ``proof.following``. A decision with a delay becomes a timer here instead of a
message, and a dead letter something to be told. Providers that fetch from others are held until those are done. There
is one delivery at a time for each provider, so that none is called more at once than it bears.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from multicdn.model import Outcome, Report, Status
from multicdn.oncall.background import BackgroundDelivery
from multicdn.oncall.order import Announcement
from multicdn.oncall.timers import Timer, Timers, is_repetition
from multicdn.planning.jobs import unlocated
from multicdn.queue.retry import MessageHistory
from multicdn.routing.durations import seconds as seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from multicdn.delivery.delivery import Delivery
    from multicdn.model import Job
    from multicdn.oncall.board import Board
    from multicdn.oncall.courses import Courses
    from multicdn.oncall.order import Turns
    from multicdn.proof.following import Following
    from multicdn.proof.ladder import Note
    from multicdn.proof.pursuit import Pursuit
    from multicdn.queue.retry import Decision
    from multicdn.routing.demand import Demand

# Seconds between two looks at what is due, and for one look at the vendor and its edges.
_TICK = 0.05
_LOOK = 20.0

# The part of a time that is said in which providers may wait for others: the rest is for their own calls.
_HOLDING = 0.75

# Seconds for which stale edges are purged again where nobody waits for that but the providers behind them.
_REPETITIONS = 120.0

_NEW = MessageHistory(sent={}, attempts={}, origins={})


class Times(NamedTuple):
    """How long it may take, in seconds.

    Attributes:
        timeout: for all calls, and for those that wait for others; None where nobody has said.
        calls: for the calls of one provider where nobody has said.
        wait: for what was accepted to be finished, and fresh; None where nobody waits for it.
    """

    timeout: float | None
    calls: float
    wait: float | None = None


class FollowThrough:
    """Purges, and follows.

    Args:
        delivery: makes the calls, observed by the board.
        following: decides what follows.
        order: of the providers.
        times: how long it may take.
        board: shows how far it is.
        courses: the same, of what was accepted.
        tell: told of all that happens, in the thread that runs.
    """

    def __init__(
        self,
        delivery: Delivery,
        following: Following,
        order: Turns,
        times: Times,
        board: Board,
        courses: Courses,
        tell: Callable[[Note | Announcement], None],
    ) -> None:
        self._delivery, self._following = delivery, following
        self._order, self._times = order, times
        self._board, self._courses, self._tell = board, courses, tell
        self._demands: dict[str, list[Demand]] = defaultdict(list)
        self._held: dict[str, tuple[str, ...]] = {}
        self._redo: dict[str, set[tuple[str, str]]] = defaultdict(set)
        self._working: dict[str, BackgroundDelivery] = {}
        self._called: set[str] = set()
        self._timers = Timers()
        self._pursuits: dict[str, Pursuit] = {}
        self._outcomes: list[Outcome] = []
        self._seen: dict[int, Outcome] = {}
        self._redone = 0
        self._watched = 0
        self._stopped = threading.Event()
        self._began = time.monotonic()
        self._over_at: float | None = None

    def stop(self) -> None:
        """Begin nothing more, from any thread."""
        self._stopped.set()
        self._delivery.stop()

    def run(self, demands: Iterable[Demand]) -> Report:
        """Purge, wait and follow, and return how it ended: each target's first purge, and all that wasn't accepted."""
        self._began = time.monotonic()
        for demand in demands:
            self._demands[demand.provider].append(demand)
        self._held = {name: names for name, names in self._order.waits.items() if name in self._demands}
        for name in [each for each in self._demands if each not in self._held]:
            self._call(name, self._demands[name])
        for name, names in self._held.items():
            self._tell(Announcement("held", name, names, self._longest_hold(name)))
            self._board.phase(name, f"waits for {' and '.join(names)}")
        while self._is_open():
            self._step()
            time.sleep(_TICK)
        return Report((*self._outcomes, *self._left()))

    # One step

    def _is_open(self) -> bool:
        if self._working:
            return True
        if self._stopped.is_set():
            return False
        now = time.monotonic()
        if self._held or any(self._timers.owed):
            self._over_at = None
            return bool(self._held) or self._times.timeout is None or now - self._began < self._times.timeout
        calls = self._redo or self._timers.has_calls
        looks = self._times.wait is not None and (self._timers or self._pursuits)
        if not (calls or looks):
            return False
        # The time for it counts from when all that must be done is.
        if self._over_at is None:
            self._over_at = now + (_REPETITIONS if self._times.wait is None else self._times.wait)
        return now < self._over_at

    def _step(self) -> None:
        ended = [name for name, calls in self._working.items() if calls.ended.is_set()]
        accepted = self._accepted(ended)
        now = time.time()
        steps: list[Decision] = []
        if accepted:
            steps += self._follow(Report(tuple(accepted)), None, now)
        for name in ended:
            del self._working[name]
        over = [(name, each) for name, each in self._pursuits.items() if each.is_over]
        for name, pursuit in over:
            del self._pursuits[name]
            for finding in pursuit.findings():
                self._courses.found(finding, time.monotonic() - self._began)
            steps += self._follow(Report(), pursuit, now)
        self._timers.set(steps, now)
        for course in self._courses.all() if over or accepted else ():
            self._board.phase(course.name, course.words)
        if not self._stopped.is_set():
            self._begin_what_is_due(now)
            self._release()

    def _accepted(self, ended: Iterable[str]) -> list[Outcome]:
        """What was accepted since the last step: the board is told at once, and the end of a delivery tells all."""
        watched = self._board.outcomes(self._watched)
        self._watched += len(watched)
        told = [outcome for outcome in watched if outcome.status is Status.ACCEPTED]
        for name in ended:
            calls = self._working[name]
            told += [outcome for outcome in calls.report if outcome.status is Status.ACCEPTED]
            self._outcomes += calls.report.undelivered if name in self._called else calls.report
            self._called.add(name)
        new = {id(outcome): outcome for outcome in told if id(outcome) not in self._seen}
        self._seen |= new
        for outcome in new.values():
            self._courses.accepted(outcome, time.monotonic() - self._began)
        return list(new.values())

    def _follow(self, report: Report, pursuit: Pursuit | None, now: float) -> list[Decision]:
        findings = pursuit.findings() if pursuit else ()
        found = self._following.next(report, (), findings, _NEW, now, now)
        for note in found.notes:
            self._courses.note(note, time.monotonic() - self._began)
            self._tell(note)
            if note.event == "stale" and note.state == "purged":
                self._redo_after(note.queued.job.instance, {(each.bucket, each.key) for each, _ in note.subjects})
        return found.steps

    def _begin_what_is_due(self, now: float) -> None:
        for name, timers in self._timers.due(now).items():
            looks = [timer for timer in timers if timer.queued.look]
            calls = [timer for timer in timers if not timer.queued.look]
            begun: list[Timer] = []
            if looks and name not in self._pursuits:
                self._pursuits[name] = self._following.begin(
                    [timer.queued for timer in looks], self._look_for(), hurried=False
                )
                begun += looks
            if calls and name not in self._working:
                jobs = [timer.queued.job for timer in calls]
                if not all(map(is_repetition, jobs)):
                    self._tell(Announcement("again", name))
                self._call(name, returned=jobs)
                begun += calls
            self._timers.drop(begun)

    def _look_for(self) -> float:
        left = _LOOK if self._over_at is None else self._over_at - time.monotonic()
        return max(1.0, min(_LOOK, left))

    # Those that wait

    def _release(self) -> None:
        for name, names in list(self._held.items()):
            busy = tuple(each for each in names if self._is_busy(each, fresh=name in self._order.fresh))
            late = time.monotonic() - self._began >= self._longest_hold(name)
            if busy and not late:
                continue
            del self._held[name]
            self._board.phase(name, "")
            failed = (
                dict.fromkeys(busy, self._why(busy)) if busy else self._failed(names, fresh=name in self._order.fresh)
            )
            if failed:
                self._tell(Announcement("overdue", name, tuple(failed), reason=next(iter(failed.values()))))
            else:
                self._tell(Announcement("released", name, names))
            self._call(name, self._demands[name])
        for name, places in list(self._redo.items()):
            busy = tuple(each for each in self._order.waits[name] if self._is_busy(each, fresh=False))
            if not busy and name not in self._working:
                del self._redo[name]
                self._redone += 1
                if again := list(_about(self._demands[name], places, f"redone {self._redone}")):
                    self._tell(Announcement("redone", name, self._order.waits[name]))
                    self._redo_after(name, places)
                    self._call(name, again)

    def _redo_after(self, name: str, places: set[tuple[str, str]]) -> None:
        """Let those that fetch from a provider be purged once more for some objects, once it is done with these."""
        for each in self._order.after(name):
            if each not in self._held and each in self._demands:
                self._redo[each] |= places

    def _is_busy(self, name: str, *, fresh: bool) -> bool:
        if name in self._held or name in self._redo or name in self._working:
            return True
        looks = self._pursuits[name].looks if name in self._pursuits else ()
        pending = (*looks, *self._timers.of(name))
        return any(fresh or queued.look is None or not queued.look.finished for queued in pending)

    def _failed(self, names: Collection[str], *, fresh: bool) -> dict[str, str]:
        """Why providers didn't come to what was waited for, though they are done, by name."""
        found = {}
        for course in self._courses.all() if fresh else ():
            if course.state in ("stale", "unknown"):
                found[course.name.partition("/")[0]] = f"it is {course.state}"
        for outcome in self._outcomes:
            if outcome.status is not Status.ACCEPTED:
                found[outcome.job.instance] = outcome.reason
        return {name: reason for name, reason in found.items() if name in names}

    def _why(self, names: Collection[str]) -> str:
        reasons = (course.reason for course in self._courses.all() if course.name.partition("/")[0] in names)
        return next(filter(None, reasons), "it has not finished")

    def _longest_hold(self, name: str) -> float:
        most = seconds_of(self._order.at_most[name])
        return most if self._times.timeout is None else min(most, _HOLDING * self._times.timeout)

    # BackgroundDelivery

    def _call(self, name: str, demands: Sequence[Demand] = (), returned: Sequence[Job] = ()) -> None:
        timeout = self._times.timeout
        left = self._times.calls if timeout is None else max(1.0, timeout - (time.monotonic() - self._began))
        if self._over_at is not None:
            left = min(left, max(1.0, self._over_at - time.monotonic()))
        calls = self._working[name] = BackgroundDelivery(lambda: self._delivery.deliver(demands, left, returned), name)
        calls.begin()

    def _left(self) -> Iterator[Outcome]:
        """What was never begun, as ones that may be done later."""
        why = "interrupted" if self._stopped.is_set() else "the time was up"
        for name in self._held:
            reason = f"it waited for {' and '.join(self._held[name])}: {why}"
            yield from (
                Outcome(job, Status.PACED, reason) for demand in self._demands[name] for job in unlocated(demand)
            )
        for job in self._timers.owed:
            yield Outcome(job, Status.PACED, f"not purged a second time: {why}")


def _about(demands: Iterable[Demand], places: set[tuple[str, str]], mark: str) -> Iterator[Demand]:
    """The part of demands that is about some objects, as a request of its own for vendors that deduplicate them."""
    for demand in demands:
        wants = {
            target: msgspec.structs.replace(want, marks=frozenset((*want.marks, mark)))
            for target, want in demand.wants.items()
            if any((each.bucket, each.key) in places for sequel in want.sequels for each in sequel.subjects)
        }
        if wants:
            yield msgspec.structs.replace(demand, wants=wants)

"""One configured provider instance in one invocation."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from multicdn.delivery.lane import Lane, side_by_side
from multicdn.delivery.patience import COMPUTING
from multicdn.delivery.shares import shares
from multicdn.errors import bug
from multicdn.log import log_widened, plugin_bug
from multicdn.model import Action

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from multicdn.delivery.breaker import Breaker
    from multicdn.delivery.discovery import Discoveries
    from multicdn.delivery.invocation import Run
    from multicdn.delivery.ledger import Ledger
    from multicdn.delivery.shares import InstanceWork
    from multicdn.delivery.threads import Threads
    from multicdn.model import Job, Outcome
    from multicdn.provider import Discover, Provider


class InstanceRun:
    """Finds out what an instance stands for, plans, and runs a lane for each provider found.

    Args:
        work: of the instance.
        provider: the instance.
        ledger: where the ends of its jobs are noted.
        discoveries: of this and earlier invocations.
        run: the invocation.
        breaker: of the instance.
        attempts: how many invocations have tried some of the work before.

    Attributes:
        ledger: the same.
        finished: whether all of it has ended.
        purges: whether it has anything to purge.
        peers: the runs of other instances of the same vendor, which may stand for the same cache.
    """

    def __init__(
        self,
        work: InstanceWork,
        provider: Provider,
        ledger: Ledger,
        discoveries: Discoveries,
        run: Run,
        breaker: Breaker,
        attempts: int = 0,
    ) -> None:
        self.ledger = ledger
        self.finished = False
        self.peers: Sequence[InstanceRun] = ()
        self.purges = any(job.action is Action.PURGE for job in work.jobs)
        self._work = work
        self._provider = provider
        self._discoveries = discoveries
        self._run = run
        self._breaker = breaker
        self._attempts = attempts
        self._purges_open = self.purges
        self._lanes: tuple[Lane, ...] = ()
        # Until they are planned, the demands themselves stand in the ledger: a plugin may hang while planning, too.
        self.ledger.open(work.jobs)
        run.patience.busy(COMPUTING, self)

    def find_peers(self, runs: Iterable[InstanceRun]) -> None:
        """Take the runs of its vendor for its peers."""
        self.peers = [run for run in runs if run is not self and type(run._provider) is type(self._provider)]  # noqa: SLF001

    def give_up(self) -> None:
        """Note that its calls under way are not waited for any longer."""
        self._breaker.give_up(self._run)
        for lane in self._lanes:
            lane.give_up()

    def close(self) -> list[Outcome]:
        """How each of its jobs ended; what is still open has not been done."""
        return self.ledger.close(() if self.purges else self._unpurged_by_peers(), self._run.ends)

    def is_calling(self) -> bool:
        """Whether a call of it is under way."""
        return self._breaker.has_calls(self._run)

    def begin(self, threads: Threads) -> bool:
        """Start, and say whether that was possible: a process may have no thread left, which costs this one alone."""
        try:
            threads.run(self._work.instance, self.run)
        except RuntimeError:
            self.ledger.abandon("no thread could be started for it: the process has too many")
            self._end_purges()
            self.finished = True
            self._run.patience.idle(self)
            return False
        return True

    def run(self) -> None:
        """Do all of it. Whatever goes wrong stays in the ledger."""
        self._run.patience.busy(COMPUTING, after=self)
        try:
            self._serve()
        except BaseException as error:  # noqa: BLE001 - a plugin's bug must not pass for success, nor reach the others
            plugin_bug(self._work.instance, error)
            self.ledger.abandon(bug(error))
        finally:
            self._end_purges()
            self.finished = True
            self._run.patience.idle()

    def _serve(self) -> None:
        lanes = self._lanes = self._planned()
        side_by_side([lane.purge for lane in lanes], self._run.patience.idle)
        self._end_purges()
        if any(lane.preloads for lane in lanes):
            self._preload(lanes)

    def _planned(self) -> tuple[Lane, ...]:
        lanes = []
        jobs: list[Job] = []
        ended: list[Outcome] = []
        for share in shares(self._work, self._provider, self._find, self.ledger.end):
            plan = share.plan()
            if plan.bug:
                plugin_bug(share.name, plan.bug)
            log_widened(share.name, plan.widened)
            if self._run.observer:
                self._run.observer.planned(share.name, plan.jobs, plan.rejected)
            ended += plan.rejected
            jobs += plan.jobs
            lanes.append(
                Lane(share.name, share.provider, plan.jobs, self.ledger, self._run, self._breaker, self._attempts)
            )
        self.ledger.replace(self._work.jobs, jobs, ended)
        return tuple(lanes)

    def _find(self, provider: Discover, bucket: str) -> Mapping[str, Provider]:
        return self._discoveries.find(self._work.instance, provider, bucket, self._run, self._breaker)

    def _preload(self, lanes: Sequence[Lane]) -> None:
        """Preload after the purges: what is loaded before them may be the old bytes."""
        unpurged = self.ledger.unpurged()
        if not self.purges:
            # Another instance may stand for the same cache; one that hangs must not keep this one waiting for long.
            self._run.purged.wait(self._run.left() / 2)
            unpurged = self._unpurged_by_peers()
        side_by_side([partial(lane.preload, unpurged) for lane in lanes], self._run.patience.idle)

    def _unpurged_by_peers(self) -> list[Outcome]:
        return [outcome for peer in self.peers for outcome in peer.ledger.unpurged()]

    def _end_purges(self) -> None:
        if self._purges_open:
            self._purges_open = False
            self._run.purged.done()

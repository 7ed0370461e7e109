"""Nouns of a soak: the settings that it is run with, and the report of what happened in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from rig.cache_oracle import Expectation
from rig.proof_oracle import Proofs

# Messages that may come once more since a busy machine was too slow to delete them.
_LATE_SHARE = 0.05


@dataclass(frozen=True, kw_only=True)
class SoakSettings:
    """Load, faults and limits of a soak.

    Attributes:
        uploads: how many objects change, over ``upload_seconds``.
        removals: share of them that are removed.
        keys: how many objects there are.
        upload_seconds: for which uploads come.
        fault_seconds: for which vendors show faults and workers are killed, from the first upload on.
        workers: processes on the queue. The first one waits for vendors until its time is up, the others for a second.
        kills: how often one of them is killed during ``fault_seconds``.
        copies: share of the messages that are delivered a second time, later and out of order.
        fault_share: share of the calls that meet a fault, at all vendors but the healthy one.
        down: the vendor that is out until all others are done; empty for none.
        silent: the vendor that doesn't answer most of its calls, for longer than a worker has time.
        healthy: the vendor without faults.
        largest: paths that CloudFront takes in one call, most of the times; 0 for as many as ever. It is called every
            two seconds, so the parts of its batches take their time.
        batch: messages that a worker takes at most.
        give_up_after: seconds after which a job becomes a dead letter.
        longest_delay: seconds that a job waits in the queue at most, and a circuit breaker stays open.
        visibility: seconds for which a message is hidden from other workers. When nine tenths are over, a worker that
            has not handled its batch is killed.
        drain_timeout: seconds to wait at most for the queue to be empty.
        seed: of everything random.
        swallowed: sends that SQS never sees, though they are answered 200, while the dead letters go back.
        ignored: share of the uploads that are verified with which an edge ignores one more purge.
        within: seconds for which an edge may stay stale before it is told.
        broken: what is broken on purpose, names as ``soak_breaks.code`` takes them, joined by " + "; empty for
            nothing.
    """

    uploads: int = 2400
    removals: float = 0.15
    keys: int = 1500
    upload_seconds: float = 6.0
    fault_seconds: float = 12.0
    workers: int = 4
    kills: int = 6
    copies: float = 0.1
    fault_share: float = 0.4
    down: str = "cloudflare"
    silent: str = "akamai"
    healthy: str = "fastly"
    largest: int = 0
    batch: int = 250
    give_up_after: int = 12
    longest_delay: int = 4
    visibility: int = 6
    drain_timeout: float = 120.0
    swallowed: int = 3
    seed: int = 1
    ignored: float = 0.1
    within: int = 20
    broken: str = ""


# As small as a test may be: all vendors, all faults.
SMALL = SoakSettings(
    uploads=400,
    keys=400,
    upload_seconds=2.0,
    fault_seconds=4.0,
    workers=3,
    kills=2,
    batch=40,
    give_up_after=1,
    longest_delay=1,
    visibility=4,
    swallowed=1,
)


@dataclass
class SoakReport:
    """The result of a soak, in numbers.

    Attributes:
        uploads: objects that changed.
        messages: of S3 that were sent, copies included.
        handled: messages in batches that workers finished, requeued ones included.
        expected: purges and preloads that the uploads asked for, each vendor and target counted once.
        asked: targets of each vendor in all messages; one more for each time that it stands in another message.
        kills: workers killed.
        interrupted: messages of S3 that these were at.
        late: workers that had to be killed since their time was over.
        faults: shown by the vendors, by kind.
        requeued: messages with jobs that had to wait.
        dead: messages with jobs that were given up.
        died: messages of S3 that the queue's redrive policy has taken: nobody could handle them.
        redriven: dead letters sent back when the vendor that was out was back.
        calls: to each vendor's API.
        targets: in those calls.
        repeated: targets that the healthy vendor was called for once more, though no kill was to blame.
        returned: messages of S3 that a worker was given once more, though no kill was to blame.
        mistaken: calls that CloudFront took for another batch, since they had its reference.
        dead_lettered: expectations by vendor that dead letters explained before they were sent back.
        lost: expectations that were neither met nor explained by a dead letter.
        hasty: preloads that went before their purge.
        unmet: other expectations that were not met in the end, when all dead letters had been sent back.
        proofs: what was verified, and what of it ended wrong.
        left: messages in the queue and among the dead letters in the end.
        reasons: why messages are among the dead letters in the end.
        stderr: output of the workers that is no log line.
    """

    uploads: int = 0
    messages: int = 0
    handled: int = 0
    expected: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    interrupted: int = 0
    late: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    requeued: int = 0
    dead: int = 0
    died: int = 0
    redriven: int = 0
    calls: dict[str, int] = field(default_factory=dict)
    targets: dict[str, int] = field(default_factory=dict)
    repeated: int = 0
    returned: int = 0
    mistaken: int = 0
    dead_lettered: Counter[str] = field(default_factory=Counter)
    lost: set[Expectation] = field(default_factory=set)
    hasty: list[Expectation] = field(default_factory=list)
    unmet: set[Expectation] = field(default_factory=set)
    proofs: Proofs = field(default_factory=Proofs)
    left: tuple[int, int] = (0, 0)
    reasons: tuple[str, ...] = ()
    stderr: str = ""

    @property
    def signs(self) -> list[str]:
        """What shows that something is wrong, for people; empty if all is well."""
        found = {
            "lost": len(self.lost),
            "preloaded before their purge": len(self.hasty),
            "repeated at the healthy vendor": self.repeated,
            "messages returned": self.returned if self.returned > self.messages * _LATE_SHARE else 0,
            "taken for another batch": self.mistaken,
            "messages died": self.died,
            "not done in the end": len(self.unmet),
            "messages left": sum(self.left),
            "not fresh in the end": len(self.proofs.old),
            "proofs not told": len(self.proofs.untold),
            "told as superseded by nothing": len(self.proofs.superseded),
            "purged before what they fetch from": len(self.proofs.early),
        }
        return [f"{count:,} {what}" for what, count in found.items() if count]

    def lines(self) -> list[str]:
        """Format it for people."""
        calls = ", ".join(f"{name} {count:,} ({self.targets[name]:,} targets)" for name, count in self.calls.items())
        in_dead_letters = f"{self.dead_lettered.total():,} expected in them: {_counts(self.dead_lettered)}"
        return [
            f"uploads    {self.uploads:,} in {self.messages:,} messages: {self.expected:,} purges and preloads",
            f"deliveries {self.handled:,} messages in finished batches",
            f"kills      {self.kills}, at {self.interrupted:,} messages; {self.late} more at the end of their time",
            f"faults     {self.faults.total():,}: {_counts(self.faults)}",
            f"requeued   {self.requeued:,}",
            f"dead       {self.dead:,}; {in_dead_letters}",
            f"redriven   {self.redriven:,}",
            f"proofs     {self.proofs.objects:,} objects, {self.proofs.in_turn:,} in turn: {_counts(self.proofs.told)}",
            f"calls      {calls}",
            f"wrong      {', '.join(self.signs) or 'nothing'}",
        ]


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counter.most_common()) or "none"

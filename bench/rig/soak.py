"""A soak: thousands of uploads, vendors in trouble, workers that are killed; and in the end nothing may be lost.

Real are the workers, which are processes, and all they run: config, secrets, providers, queue. AWS and the vendors are
on loopback. Seeded, as far as the scheduling of processes allows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rig.cache_oracle import Owed

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What happens in a soak.

    Attributes:
        uploads: how many, over ``seconds``.
        keys: how many objects there are.
        seconds: for which uploads come.
        storm: seconds for which vendors have trouble and workers are killed, from the first upload on.
        workers: processes on the queue.
        kills: how often one of them is killed during the storm.
        copies: share of the messages that are delivered a second time, later and out of order.
        trouble: share of the calls that meet a fault, at all vendors but the healthy one.
        sick: the vendor that is out until all others are done.
        healthy: the vendor that has no trouble.
        batch: messages that a worker takes at most.
        give_up_after: seconds after which a job becomes a dead letter.
        visibility: seconds for which a message is hidden from other workers; a worker's time for a batch.
        patience: seconds to wait at most for the queue to be empty.
        seed: of everything random.
    """

    uploads: int = 2400
    keys: int = 1500
    seconds: float = 6.0
    storm: float = 12.0
    workers: int = 4
    kills: int = 6
    copies: float = 0.1
    trouble: float = 0.4
    sick: str = "cloudflare"
    healthy: str = "fastly"
    batch: int = 250
    give_up_after: int = 12
    visibility: int = 6
    patience: float = 120.0
    seed: int = 1


@dataclass
class Ledger:
    """What happened.

    Attributes:
        uploads: objects that changed.
        messages: of S3 that were sent, copies included.
        handled: messages in batches that workers finished, requeued ones included.
        owed: purges and preloads that the uploads asked for, each vendor and target counted once.
        asked: targets of each vendor in all messages; one more for each time that it stands in another message.
        kills: workers killed.
        faults: shown by the vendors, by kind.
        requeued: messages with jobs that had to wait.
        dead: messages with jobs that were given up.
        redriven: dead letters sent back when the sick vendor was well again.
        calls: to each vendor's API.
        targets: in those calls.
        in_dead_letters: of what is owed, what the dead letters explained before they were sent back.
        lost: of what is owed, what was neither done nor explained by a dead letter.
        undone: what was not done in the end, when all of them had been sent back.
        left: messages in the queue and among the dead letters in the end.
        complaints: what the workers wrote that is no log line.
    """

    uploads: int = 0
    messages: int = 0
    handled: int = 0
    owed: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    requeued: int = 0
    dead: int = 0
    redriven: int = 0
    calls: dict[str, int] = field(default_factory=dict)
    targets: dict[str, int] = field(default_factory=dict)
    in_dead_letters: Counter[str] = field(default_factory=Counter)
    lost: set[Owed] = field(default_factory=set)
    undone: set[Owed] = field(default_factory=set)
    left: tuple[int, int] = (0, 0)
    complaints: str = ""

    def lines(self) -> list[str]:
        """For people."""
        calls = ", ".join(f"{name} {count:,} ({self.targets[name]:,} targets)" for name, count in self.calls.items())
        return [
            f"uploads    {self.uploads:,} in {self.messages:,} messages: {self.owed:,} purges and preloads owed",
            f"deliveries {self.handled:,} messages in finished batches",
            f"kills      {self.kills}",
            f"faults     {self.faults.total():,}: {_counts(self.faults)}",
            f"requeued   {self.requeued:,}",
            f"dead       {self.dead:,}; {self.in_dead_letters.total():,} owed in them: {_counts(self.in_dead_letters)}",
            f"redriven   {self.redriven:,}",
            f"calls      {calls}",
            f"lost       {len(self.lost):,}; not done in the end: {len(self.undone):,}",
        ]


def run(settings: Settings, say: Callable[[str], None] = lambda _: None) -> Ledger:
    """Run a soak and return its ledger.

    Args:
        settings: what happens in it.
        say: told about its phases.

    Raises:
        TimeoutError: the queue was not empty in time.
    """
    from rig.soak_world import World

    with World(settings) as world:
        say(f"storm: {settings.uploads:,} uploads, {settings.sick} is out")
        world.storm()
        say(f"calm: {settings.sick} is still out")
        world.calm()
        world.drain()
        world.judge()
        say(f"{settings.sick} is back: the dead letters go back")
        world.heal()
        world.drain()
        return world.close()


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counter.most_common()) or "none"

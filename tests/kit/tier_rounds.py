"""Rounds of a deploy through CDNs one behind another: clients who never rest, faults, kills and duplicates."""

from __future__ import annotations

import contextlib
import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botocore.exceptions import ConnectionClosedError

from kit.aws_wire import Refused
from kit.tiers import Tiers
from kit.world import SITE, World
from multicdn.simulators.kit import faults
from multicdn.simulators.kit.http_server import ConnectionDropped

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence

    from kit.aws_wire import Call
    from multicdn.simulators import Request, Response
    from multicdn.simulators.kit.faults import Handler


@dataclass
class Trouble:
    """What goes wrong in a world while it lasts; seeded.

    Attributes:
        share: of the calls to vendors, and of those to SQS, that meet a fault.
        deaths: share of the invocations that the function doesn't survive.
        shown: how often what happened.
    """

    world: World
    tiers: Tiers
    seed: int
    share: float = 0.3
    deaths: float = 0.2
    shown: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._steps = math.inf
        self._on = True
        self.world.aws.fault = self._sqs
        self.world.killed = self._killed
        self.world.before = self._before
        for cdn in self.tiers.cdns.values():
            cdn.faults.always(self._vendor, lambda _: self._on)
        self._before()

    def end(self) -> None:
        """All are well again."""
        self._on, self._steps = False, math.inf
        self.world.aws.fault = lambda _: None
        self.world.killed = lambda: False
        self.world.before = lambda: None
        for cdn in self.tiers.cdns.values():
            cdn.faults.clear()

    def _before(self) -> None:
        """The function begins an invocation, and dies after some of its steps, or doesn't."""
        self._steps = self._random.randint(0, 6) if self._random.random() < self.deaths else math.inf

    def _killed(self) -> bool:
        dead = self._steps < math.inf
        if dead:
            self._note("killed")
            self.world.start()
        return dead

    def _note(self, what: str) -> None:
        self.shown[what] = self.shown.get(what, 0) + 1

    def _alive(self) -> bool:
        self._steps -= 1
        return self._steps >= 0

    def _sqs(self, call: Call) -> None:
        if call.service != "sqs":
            return
        if not self._alive():
            raise ConnectionClosedError(endpoint_url="sqs")
        chance = self._random.random()
        if chance < self.share / 4:
            self._note("sqs 503")
            raise Refused(503, "ServiceUnavailable")
        if chance < self.share / 2:
            self._note("sqs timeout")
            raise ConnectionClosedError(endpoint_url="sqs")

    def _vendor(self, request: Request, answer: Handler, released: threading.Event) -> Response:
        if not self._alive():
            if self._steps == -1 and self._random.random() < 0.5:
                answer(request)  # it died before it saw the answer
            raise ConnectionDropped
        if self._random.random() >= self.share:
            return answer(request)
        name, fault = self._random.choice(_FAULTS)
        self._note(name)
        return fault(request, answer, released)


_FAULTS: list[tuple[str, faults.Fault]] = [
    ("429", faults.status(429, {"Retry-After": "1"})),
    ("503", faults.status(503)),
    ("500", faults.status(500)),
    ("reset", faults.reset()),
    ("lost answer", faults.lost()),
    ("hang", faults.hang(0.01)),
]


@dataclass(frozen=True)
class Round:
    """What became of one round.

    Attributes:
        pinned: keys of which an edge has old bytes for ever, and where.
        left: messages and dead letters that are left.
        shown: how often what went wrong.
        redriven: dead letters sent back.
    """

    pinned: dict[str, list[str]]
    left: int
    shown: dict[str, int]
    redriven: int


# Seconds in which everything that can still happen has happened; and how often a person sends dead letters back.
_ROUND = 900.0
_MOST_REDRIVES = 6


def rounds(
    tiers: Tiers, world: World, numbers: Sequence[int], *, delays: Callable[[random.Random], float]
) -> Iterator[Round]:
    """Rounds of a deploy of several keys with clients everywhere, faults and kills; in the end all are well.

    Args:
        tiers: the CDNs.
        world: the function in front of them.
        numbers: of the rounds: each is seeded by its own.
        delays: makes the delay of each CDN's purges.
    """
    for number in numbers:
        chance = random.Random(number)
        keys = [f"{number}/{place}.css" for place in range(chance.randint(1, 6))]
        for cdn in tiers.cdns.values():
            cdn.topology.purge_delay = delays(chance)
        for key in keys:
            world.upload(key, "old", told=False)
            tiers.ask(key)
        with _clients(tiers, world, keys):
            trouble = Trouble(world, tiers, number)
            wanted = _deploy(world, keys, chance)
            world.run(chance.choice([20, 60, 120]))
            trouble.end()
            redriven = _recovered(world)
        bodies = {key: tiers.bodies(key) for key in keys}
        pinned = {
            key: wrong for key in keys if (wrong := [name for name, body in bodies[key].items() if body != wanted[key]])
        }
        yield Round(pinned, len(world.waiting) + len(world.letters), trouble.shown, redriven)


def _deploy(world: World, keys: Sequence[str], chance: random.Random) -> dict[str, str]:
    """New bytes for each object, and for some newer ones at once; what each has in the end."""
    wanted = dict.fromkeys(keys, "new")
    for key in keys:
        world.upload(key, "new", copies=chance.choice([0, 0, 0, 1, 3]))
        if chance.random() < 0.2:
            wanted[key] = "newer"
            world.upload(key, "newer")
    return wanted


def _recovered(world: World) -> int:
    """Let all time pass that there is, and send dead letters back; how many."""
    world.run(_ROUND)
    redriven = 0
    for _ in range(_MOST_REDRIVES):
        again = world.redrive()
        if not again:
            break
        redriven += again
        world.run(_ROUND)
    return redriven


@contextlib.contextmanager
def _clients(tiers: Tiers, world: World, keys: Sequence[str]) -> Iterator[None]:
    """Clients who ask the outermost CDN whenever anything has happened, be it the call of a vendor."""
    cdns = list(tiers.cdns.values())

    def ask() -> None:
        for key in keys:
            cdns[-1].fetch(f"{SITE}/{key}")

    def asked_after(whole: Callable[[Request], Response]) -> Callable[[Request], Response]:
        def api(request: Request) -> Response:
            response = whole(request)
            ask()
            return response

        return api

    world.between = ask
    for cdn in cdns:
        cdn.api = asked_after(cdn.api)  # type: ignore[method-assign]
    try:
        yield
    finally:
        world.between = lambda: None
        for cdn in cdns:
            del cdn.api

"""CDNs one behind another in front of a bucket, clients who never rest, and all that can go wrong with the function."""

from __future__ import annotations

import json
import math
import random
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import ConnectionClosedError

from kit.aws_wire import Refused
from kit.warp import Warp
from kit.world import BUCKET, SITE, World
from multicdn.simulators import Topology, load
from multicdn.simulators.cloudfront.api import CloudFrontSimulator
from multicdn.simulators.kit import faults
from multicdn.simulators.kit.http_server import ConnectionDropped, Request, Response
from multicdn.testing.loopback.simulator_config import config_for

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pytest

    from kit.aws_wire import Call
    from multicdn.simulators import Fetched, Origin, Simulator
    from multicdn.simulators.kit.faults import Handler

_VERSION = {"version": 1}


class _SkewedCloudFront(CloudFrontSimulator):
    """Its clock is put forward; that of the signatures, which botocore reads elsewhere, isn't."""

    warp: Warp

    @property
    def skew(self) -> float:
        return -self.warp.skipped if hasattr(self, "warp") else 0.0

    @skew.setter
    def skew(self, _: float) -> None:
        """It follows from the clock."""


class Tiers:
    """A chain of CDNs, the innermost first. A context manager.

    Args:
        patch: of the test.
        origin: of the innermost one.
        vendors: type of each CDN by its name.

    Attributes:
        cdns: the simulators by name.
    """

    def __init__(self, patch: pytest.MonkeyPatch, origin: Origin, vendors: Mapping[str, str]) -> None:
        self.patch, self.origin, self.warp = patch, origin, Warp(patch)
        self.cdns: dict[str, Simulator] = {}
        self._vendors = vendors
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        url = self.origin.url
        for name, vendor in self._vendors.items():
            kind: Any = _SkewedCloudFront if vendor == "cloudfront" else load(vendor)
            more = {"completed_after": 0.0} if vendor == "cloudfront" else {}
            cdn = kind(url, clock=self.warp, limits=False, **more)
            if isinstance(cdn, _SkewedCloudFront):
                cdn.warp = self.warp
            cdn.topology = Topology(forwards_host=bool(self.cdns))
            self.cdns[name] = self._stack.enter_context(cdn)
            url = cdn.edge_url
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def world(
        self,
        *,
        pulls: bool = True,
        verify: object = True,
        options: Mapping[str, Mapping[str, object]] | None = None,
        route: Mapping[str, object] | None = None,
        others: Mapping[str, Mapping[str, object]] | None = None,
    ) -> World:
        """The function in front of them.

        Args:
            pulls: whether the config says which one fetches from which.
            verify: of the route.
            options: further ones of providers, by name.
            route: further options of the route.
            others: further providers.
        """
        described = config_for(self.cdns)
        inner = ""
        for name, cdn in self.cdns.items():
            own = described.providers[name]
            own |= {"via": cdn.edge_url, **({"pulls_from": [inner]} if inner and pulls else {})}
            own |= (options or {}).get(name, {})
            inner = name
        # The outermost stands first: the order of a list is not that of purges.
        purge = list(reversed(self.cdns))
        one = {"bucket": BUCKET, "urls": [f"{SITE}/{{key}}"], "purge": purge, "verify": verify, **(route or {})}
        config = {**_VERSION, "providers": {**described.providers, **(others or {})}, "routes": [one]}
        world = World(self.patch, self.warp, self.origin, json.dumps(config), environment=described.environment)
        world.between = lambda: None
        return world

    def ask(self, key: str, **headers: str) -> list[Fetched]:
        """Clients everywhere, from the outermost CDN to the innermost."""
        return [cdn.fetch(f"{SITE}/{key}", headers) for cdn in reversed(self.cdns.values())]

    def bodies(self, key: str) -> dict[str, str]:
        """What each CDN serves."""
        return {name: cdn.fetch(f"{SITE}/{key}").body.decode() for name, cdn in self.cdns.items()}


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


_ROUND = 900.0
_MOST_REDRIVES = 6


def rounds(tiers: Tiers, world: World, numbers: Sequence[int], *, delays: Callable[[random.Random], float]) -> Iterator[Round]:
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
        wanted = dict.fromkeys(keys, "new")
        for key in keys:
            world.upload(key, "old", told=False)
            tiers.ask(key)
        outermost = list(tiers.cdns.values())[-1]

        def clients(keys: Sequence[str] = keys, outermost: Simulator = outermost) -> None:
            for key in keys:
                outermost.fetch(f"{SITE}/{key}")

        world.between = clients
        with _asked_after_each_call(tiers, clients):
            trouble = Trouble(world, tiers, number)
            for key in keys:
                world.upload(key, "new", copies=chance.choice([0, 0, 0, 1, 3]))
                if chance.random() < 0.2:
                    wanted[key] = "newer"
                    world.upload(key, "newer")
            world.run(chance.choice([20, 60, 120]))
            trouble.end()
            world.run(_ROUND)
            redriven = 0
            for _ in range(_MOST_REDRIVES):
                if not (again := world.redrive()):
                    break
                redriven += again
                world.run(_ROUND)
        pinned: dict[str, list[str]] = {}
        for key in keys:
            wrong = [name for name, body in tiers.bodies(key).items() if body != wanted[key]]
            if wrong:
                pinned[key] = wrong
        yield Round(pinned, len(world.waiting) + len(world.letters), trouble.shown, redriven)


class _asked_after_each_call:
    """Clients ask as soon as a vendor has done what it was asked."""

    def __init__(self, tiers: Tiers, clients: Callable[[], None]) -> None:
        self._cdns, self._clients = list(tiers.cdns.values()), clients

    def __enter__(self) -> None:
        for cdn in self._cdns:
            whole = cdn.api

            def api(request: Request, whole: Callable[[Request], Response] = whole) -> Response:
                response = whole(request)
                self._clients()
                return response

            cdn.api = api  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        for cdn in self._cdns:
            del cdn.api

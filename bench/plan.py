"""From an event to jobs: time of the processor an object, on one core; and what thousands of routes cost.

    python bench/plan.py [--quick]

The floor is what no design can avoid: parsing the JSON of the batch and decoding its keys. For routes it is parsing
their templates into a dict by prefix; for what is to be the same with many routes, what it is with few.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from rig import report
from rig.events import BUCKET, batch
from rig.figures import compared_times, interleaved, timed

from multicdn.config.checker import parse
from multicdn.events import envelopes
from multicdn.model import Change
from multicdn.planning import planner
from multicdn.plugins.discovery import Plugins
from multicdn.routing import placeholders
from multicdn.routing.route import Route
from multicdn.routing.router import Router

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rig.figures import Figure, Spent

TITLE = "Plan"

CONFIG = """
version: 1
providers:
  site: {type: cloudfront, distribution: E8F6HK73EP0LT}
  fastly: {token: "${env:TOKEN}", service: SU1Z0isxPaozGVKXdv0eY}
  cloudflare: {token: "${env:TOKEN}", zone: 023e105f4ecef8ad9ca31a8372d0c353}
routes:
  - bucket: acme-site
    index: index.html
    exclude: ["*.map", "*.tmp"]
    urls: ["https://www.acme.com/{key}"]
    purge: [site, fastly, cloudflare]
"""

ROUTES = (1, 100, 10_000)

_KEYS = {"plain keys": False, "one key in ten escaped": True}
_STAGES = ("decode", "route", "plan", "decode to jobs")

ROWS = (
    *(f"{stage}, {keys}" for keys in _KEYS for stage in _STAGES),
    *(f"a route of {number:,}" for number in ROUTES),
    f"a route of {ROUTES[-1]:,}, of one of {ROUTES[1]}",
    f"an object among {ROUTES[-1]:,} routes, of one among 1",
)

# At most: of the floor, from the event to jobs, which is 15 µs where the floor is 3.7; a route among 10,000, of one
# among 100; and the routing of an object among 10,000 routes, of that with one.
MOST_OF_FLOOR, MOST_PER_ROUTE, MOST_OF_ONE = 4.0, 1.5, 1.3


def keys(objects: int, *, escaped: bool) -> list[str]:
    """Keys of a site's pictures. One in ten needs decoding, or none."""
    folders = ["assets" if number % 10 or not escaped else "caf\u00e9 images" for number in range(objects)]
    return [f"{folder}/2026/11/picture-{number:05}.jpg" for number, folder in enumerate(folders)]


def floor(event: dict[str, Any]) -> int:
    """Parse and decode, and nothing else."""
    found = 0
    for message in event["Records"]:
        for record in json.loads(message["body"])["Records"]:
            found += bool(unquote_plus(record["s3"]["object"]["key"]))
    return found


def stages(objects: int, rounds: int, *, escaped: bool) -> dict[str, list[Spent]]:
    """What each stage takes for all objects, and the floor."""
    event = batch(keys(objects, escaped=escaped))
    config = parse(CONFIG, "bench", Plugins())
    router = Router(config.routes, config.providers)
    intake = envelopes.decode(event)
    demands, _ = router.demands(intake.changes)
    by_provider = {name: [each for each in demands if each.provider == name] for name in config.providers}

    def plan() -> int:
        plans = [planner.plan(name, config.providers[name], wanted) for name, wanted in by_provider.items()]
        return sum(len(made.jobs) for made in plans)

    def whole() -> None:
        router.demands(envelopes.decode(event).changes)
        plan()

    work: dict[str, Callable[[], object]] = {
        "floor": lambda: floor(event),
        "decode": lambda: envelopes.decode(event),
        "route": lambda: router.demands(intake.changes),
        "plan": plan,
        "decode to jobs": whole,
    }
    return interleaved({name: lambda one=one: timed(one) for name, one in work.items()}, rounds)  # type: ignore[misc]


class _Router:
    """A router of so many routes, each of a prefix of one bucket, and what is measured of it."""

    def __init__(self, number: int, objects: int) -> None:
        self.number, self.objects = number, objects
        self._providers = parse(CONFIG, "bench", Plugins()).providers
        self._routes = [
            Route(
                bucket=BUCKET,
                prefix=f"tenant-{tenant:05}/",
                index="index.html",
                urls=(f"https://tenant-{tenant:05}.acme.com/{{path}}",),
                purge=("site",),
            )
            for tenant in range(number)
        ]
        # Of a hundred tenants at most, all over the list.
        tenants = [place * max(1, number // 100) for place in range(min(number, 100))]
        keys = [f"tenant-{tenants[place % len(tenants)]:05}/a/{place}.jpg" for place in range(objects)]
        self._changes = [Change(BUCKET, key) for key in keys]
        self._router = self.make()
        assert len(self.route()[0].wants) == objects

    def parse(self) -> dict[str, list[Any]]:
        return {route.prefix: [placeholders.parse(text) for text in route.urls] for route in self._routes}

    def make(self) -> Router:
        return Router(self._routes, self._providers)

    def route(self) -> list[Any]:
        return self._router.demands(self._changes)[0]


def routing(objects: int, rounds: int) -> dict[tuple[int, str], list[Spent]]:
    """Measure routers of ``ROUTES``: what ``parse`` takes, the floor, ``make`` and ``route``."""
    routers = [_Router(number, objects) for number in ROUTES]
    works = {(each.number, work.__name__): work for each in routers for work in (each.parse, each.make, each.route)}
    return interleaved({name: lambda work=work: timed(work) for name, work in works.items()}, rounds)  # type: ignore[misc]


def figures(*, quick: bool) -> Iterator[Figure]:
    """Measure stages and routers."""
    objects, rounds = (500, 5) if quick else (2000, 25)
    for which, escaped in _KEYS.items():
        found = stages(objects, rounds, escaped=escaped)
        for stage in _STAGES:
            limit = MOST_OF_FLOOR if stage == _STAGES[-1] and not escaped else None
            yield compared_times(
                f"{stage}, {which}",
                found[stage],
                found["floor"],
                unit="µs",
                each=objects,
                limit=limit,
                note="an object",
            )
    by_number = routing(objects, 5 if quick else 15)
    made = {number: [spent.each(number) for spent in by_number[number, "make"]] for number in ROUTES}
    for number in ROUTES:
        parsed = [spent.each(number) for spent in by_number[number, "parse"]]
        yield compared_times(f"a route of {number:,}", made[number], parsed, unit="µs", note="to make the router")
    one, some, most = ROUTES
    growth = made[most], made[some], by_number[most, "route"], by_number[one, "route"]
    yield compared_times(ROWS[-2], *growth[:2], unit="µs", limit=MOST_PER_ROUTE)
    yield compared_times(ROWS[-1], *growth[2:], unit="µs", each=objects, limit=MOST_OF_ONE, note="an object")


if __name__ == "__main__":
    sys.exit(report.main(sys.modules[__name__], __doc__))

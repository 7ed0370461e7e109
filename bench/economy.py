"""What a deploy and a month of small changes cost on four vendors: calls, dollars, and innocent objects dropped.

    python bench/economy.py

Compared are one call for each object and host, as the usual Lambda does it; ours; and ours with ``collapse: budget``.
The jobs are those of the real planner with the vendors' real limits; dollars are by the vendors' own price lists. No
network is used. Changes arrive as they do from SQS: in batches of what fits into one invocation.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Literal, NamedTuple

from rich.console import Console
from rich.table import Table

from multicdn.config.checker import parse
from multicdn.model import Change
from multicdn.planning import collapse, planner
from multicdn.plugins.discovery import Plugins
from multicdn.routing.router import Router

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from multicdn.provider import Provider
    from multicdn.routing.demand import Demand

    Strategy = Literal["one call an object", "ours", "ours, budget"]

VENDORS = ("cloudfront", "cloudflare", "fastly", "akamai")
STRATEGIES: tuple[Strategy, ...] = ("one call an object", "ours", "ours, budget")

CONFIG = """
version: 1
providers:
  cloudfront: {{distribution: E8F6HK73EP0LT}}
  cloudflare: {{token: "${{env:TOKEN}}", zone: 023e105f4ecef8ad9ca31a8372d0c353}}
  fastly: {{token: "${{env:TOKEN}}", service: SU1Z0isxPaozGVKXdv0eY}}
  akamai: {{edgerc: "${{env:EDGERC}}"}}
routes:
  - bucket: acme-site
    urls: ["https://www.acme.com/{{key}}"]
    purge: [{vendor}]
    collapse: {policy}
"""

# Objects of the site, and how many of them a deploy changes. 10,000 of 50,000 altogether.
SITE = {
    "api/": (2_500, 2_500),
    "archive/": (22_500, 0),
    "blog/": (6_000, 3_000),
    "docs/v2/": (4_000, 4_000),
    "img/": (15_000, 500),
}

# Messages of one S3 event each that fit into the 6 MB which Lambda takes.
BATCH = 3_500

# Small changes: so many files on each day of a month, all over the blog and the pictures.
TRICKLE, DAYS = 50, 30


class Cost(NamedTuple):
    """The cost of some changes at one vendor.

    Attributes:
        calls: to the vendor's API.
        targets: in them.
        dollars: by the vendor's price list, as the first purges of a month.
        innocent: objects that were dropped and had not changed.
        allowed: how many the policy lets through: one for each changed object.
    """

    calls: int
    targets: int
    dollars: float
    innocent: int
    allowed: int


def keys(folder: str, number: int) -> list[str]:
    """Keys of a folder."""
    return [f"{folder}{place:05}.html" for place in range(number)]


def site() -> set[str]:
    """All keys of the site."""
    return {key for folder, (objects, _) in SITE.items() for key in keys(folder, objects)}


def deploy() -> list[list[str]]:
    """The changes of a deploy in the order in which a sync uploads them, cut as they arrive."""
    changed = [key for folder, (_, number) in SITE.items() for key in keys(folder, number)]
    return [changed[start : start + BATCH] for start in range(0, len(changed), BATCH)]


def at_once() -> list[list[str]]:
    """The same deploy as one event: what ``multicdn purge`` sends, or a queue that is left to fill."""
    return [[key for event in deploy() for key in event]]


def trickle() -> list[list[str]]:
    """The changes of each day of a month: one event a day at best."""
    days = []
    for day in range(DAYS):
        blog = keys("blog/", SITE["blog/"][0])[day * 40 : day * 40 + TRICKLE - 10]
        days.append(blog + keys("img/", SITE["img/"][0])[day * 10 : day * 10 + 10])
    return days


def measure(vendor: str, strategy: Strategy, events: Sequence[Sequence[str]]) -> Cost:
    """Plan all events with one strategy, and add up what the vendor is asked."""
    policy = "budget" if strategy == "ours, budget" else "never"
    config = parse(CONFIG.format(policy=policy, vendor=vendor), "bench", Plugins())
    provider, router = config.providers[vendor], Router(config.routes, config.providers)
    calls = targets = innocent = 0
    unchanged, spent = site(), dict[type["Provider"], int]()
    for changed in events:
        unchanged -= set(changed)  # those that a later event tells of count as unchanged until they are
        demands, decisions = collapse.collapse(_demands(router, changed), config.providers, _Count(unchanged), spent)
        jobs = planner.plan(vendor, provider, demands).jobs
        wanted = sum(len(job.targets) for job in jobs)
        calls += len(changed) if strategy == "one call an object" else len(jobs)
        targets += wanted
        innocent += sum(_below(unchanged, decision.directories) for decision in decisions)
    price = provider.price
    dollars = max(0, targets - price.free) * price.dollars if price else 0.0
    return Cost(calls, targets, dollars, innocent, sum(map(len, events)))


def _demands(router: Router, changed: Iterable[str]) -> list[Demand]:
    demands, failures = router.demands([Change("acme-site", key, cause=key) for key in changed])
    assert not failures
    return demands


class _Count:
    """The bounded listing of the bucket."""

    def __init__(self, unchanged: set[str]) -> None:
        self._unchanged = unchanged

    def __call__(self, bucket: str, prefix: str, limit: int) -> int:
        assert bucket == "acme-site"
        return min(limit, _below(self._unchanged, [prefix]))


def _below(unchanged: Iterable[str], directories: Sequence[str]) -> int:
    return sum(key.startswith(tuple(directories)) for key in unchanged) if directories else 0


WORKLOADS: dict[str, Callable[[], list[list[str]]]] = {
    "a deploy of 10,000 of 50,000": deploy,
    "the same in one event": at_once,
    f"{DAYS} days of {TRICKLE} files": trickle,
    "deploy and days in one month": lambda: [*deploy(), *trickle()],
}


def main() -> None:
    """Measure and print the table."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    table = Table(
        "changes", "vendor", "strategy", "calls", "targets", "dollars", "innocent", title="What purging costs"
    )
    for name, events in WORKLOADS.items():
        for vendor in VENDORS:
            for strategy in STRATEGIES:
                cost = measure(vendor, strategy, events())
                counts = f"{cost.calls:,}", f"{cost.targets:,}", f"{cost.dollars:.2f}", f"{cost.innocent:,}"
                table.add_row(name, vendor, strategy, *counts)
        table.add_section()
    Console(width=120).print(table)


if __name__ == "__main__":
    main()

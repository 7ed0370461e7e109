"""From an event to its last line of the log, work grows with what there is to do, and no faster.

Counted are the instructions and calls of the interpreter, which are the same on any machine.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from multicdn import config, metrics
from multicdn.events import envelopes
from multicdn.model import Action, Change, Job, Outcome, Receipt, Report, Status, TargetKind
from multicdn.planning import planner
from multicdn.planning.collapse import collapse
from multicdn.plugins.discovery import Plugins
from multicdn.provenance import Provenance
from multicdn.queue.retry import MessageHistory
from multicdn.records import Fates, ended, records
from multicdn.routing.router import Router

if TYPE_CHECKING:
    from collections.abc import Callable

    from multicdn.config import Config

# Of twice as many more, linear work takes exactly twice as much more, and one more instruction for each pair shows.
LINEAR = 2.02

# Where keys are as deep as there are many, how often a path is halved counts as well.
NEARLY = 2.1

PROVIDERS = """
version: 1
providers:
  site: {type: cloudfront, distribution: E8F6HK73EP0LT}
  fastly: {token: "${env:TOKEN}", service: SU1Z0isxPaozGVKXdv0eY}
  cloudflare: {token: "${env:TOKEN}", zone: 023e105f4ecef8ad9ca31a8372d0c353}
routes:
"""

SITE = """  - {bucket: acme-site, index: index.html, exclude: ["*.map"], purge: [site, fastly, cloudflare],
     urls: ["https://www.acme.com/{key}"]}
"""
COLLAPSED = SITE.replace("index:", "collapse: {over: 3}, index:")
TAGGED = """  - {bucket: acme-site, purge: [fastly], tags: ["{stem}", all]}
"""
BELOW = """  - {bucket: acme-site, purge: [site], urls: ["https://www.acme.com/{key}"],
     prefixes: ["https://www.acme.com/{dir}"]}
"""


def loaded(routes: str = SITE) -> Config:
    return config.parse(PROVIDERS + routes, "growth", Plugins())


def instructions(work: Callable[[], object]) -> int:
    """How many instructions and calls a piece of work takes."""
    count = 0

    def trace(frame: Any, event: str, _: object) -> Any:
        nonlocal count
        count += event == "opcode"
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        return trace

    def profile(_: object, event: str, __: object) -> None:
        nonlocal count
        count += event == "c_call"

    before = sys.gettrace(), sys.getprofile()
    sys.settrace(trace)
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(before[1])
        sys.settrace(before[0])
    return count


def changes(number: int) -> list[Change]:
    return [Change("acme-site", f"a/{place % 7}/{place}.jpg", sequencer=f"{place:05}", cause=f"m{place}")
            for place in range(number)]  # fmt: skip


def deep(number: int) -> list[Change]:
    return [Change("acme-site", f"{'a/' * place}{place}.jpg") for place in range(number)]


def routed(found: list[Change], routes: str = SITE) -> Callable[[], object]:
    read = loaded(routes)
    router = Router(read.routes, read.providers)

    def work() -> None:
        demands, _ = router.demands(found)
        demands, _ = collapse(demands, read.providers, lambda *_: 0)
        for name, provider in read.providers.items():
            planner.plan(name, provider, [demand for demand in demands if demand.provider == name])

    return work


def many_routes(number: int) -> Callable[[], object]:
    routes = "".join(
        f'  - {{bucket: acme-site, prefix: "{place}/", purge: [site], urls: ["https://h{place}.acme.com/{{path}}"]}}\n'
        for place in range(number)
    )
    read = loaded(routes)
    return lambda: Router(read.routes, read.providers)


def decoded(number: int) -> Callable[[], object]:
    body = '{"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, '
    messages = [
        {"messageId": f"m{place}", "eventSource": "aws:sqs", "body": f'{body}"object": {{"key": "a{place}"}}}}}}]}}'}
        for place in range(number)
    ]
    assert len(envelopes.decode({"Records": messages}).changes) == number
    return lambda: envelopes.decode({"Records": messages})


def job(first: int, number: int, **members: Any) -> Job:
    places = range(first, first + number)
    targets, causes = tuple(f"/{place}" for place in places), tuple(frozenset((f"m{place}",)) for place in places)
    behind = tuple(Provenance("acme-site", (f"{place}",), 1) for place in places)
    return Job("site", Action.PURGE, TargetKind.URL, targets, causes, provenance=behind, **members)


def ending(report: Report) -> Callable[[], object]:
    times = {message: [1.0] for outcome in report for message in outcome.job.messages}
    providers = loaded().providers

    def work() -> None:
        found = ended(report, Fates([], [], report), MessageHistory({}, {}, {}), 9.0)
        list(records(found))
        metrics.measure(metrics.Ending(report, returned=report, times=times, now=9.0), providers)

    return work


def batch(number: int) -> Callable[[], object]:
    done = Receipt("I1")
    half = number // 2
    return ending(Report((
        Outcome(job(0, half), Status.ACCEPTED, receipt=done), Outcome(job(half, half), Status.RETRY, "503"),
    )))  # fmt: skip


def singles(number: int) -> Callable[[], object]:
    """Half are accepted, each with an id of its own, and half aren't, each for a reason of its own."""
    return ending(Report(tuple(
        Outcome(job(place, 1), Status.REJECTED, f"no {place}") if place % 2
        else Outcome(job(place, 1), Status.ACCEPTED, receipt=Receipt(f"I{place}"))
        for place in range(number)
    )))  # fmt: skip


def returned(number: int) -> Callable[[], object]:
    """Jobs that came back, of two targets each, one of which the next has as well."""
    jobs = [job(place, 2, reference=f"r{place}") for place in range(number)]
    provider = loaded().providers["site"]
    return lambda: planner.plan("site", provider, [], jobs)


@pytest.mark.parametrize(
    "made",
    [
        decoded,
        lambda number: routed(changes(number)),
        lambda number: routed(changes(1) * number),
        lambda number: routed(changes(number), TAGGED),
        lambda number: routed(changes(number), BELOW),
        lambda number: routed(changes(number), COLLAPSED),
        lambda number: routed(deep(number), COLLAPSED),
        many_routes,
        returned,
        batch,
        singles,
    ],
    ids=["messages", "uploads", "one key", "one tag", "below prefixes", "collapsed", "deep", "routes", "returned",
         "batch", "singles"],
)  # fmt: skip
def test_twice_as_much_takes_twice_the_work(
    made: Callable[[int], Callable[[], object]], request: pytest.FixtureRequest
) -> None:
    few, more, most = (made(number) for number in (40, 80, 160))
    few()  # whatever is made once for all is there from now on
    few_cost, more_cost, most_cost = instructions(few), instructions(more), instructions(most)
    assert more_cost > few_cost
    limit = NEARLY if request.node.callspec.id == "deep" else LINEAR
    assert most_cost - more_cost < limit * (more_cost - few_cost)

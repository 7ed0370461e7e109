"""What a purge or a preload by hand has to wait for, and what of it is followed: here, or by the function.

Nothing is imported for it where nobody waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from multicdn.model import Action
from multicdn.routing.tiers import sources
from multicdn.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multicdn.cli._followed import Pursued
    from multicdn.cli._options import CommonOptions
    from multicdn.cli.arguments import Loaded
    from multicdn.config import Config
    from multicdn.model import Report
    from multicdn.oncall.courses import Course
    from multicdn.oncall.manual import ManualRequest, Orders
    from multicdn.oncall.order import Turns
    from multicdn.oncall.preview import Preview
    from multicdn.routing.demand import Demand
    from multicdn.routing.router import Router


def router(loaded: Loaded, request: ManualRequest, wait: float | None) -> Router:
    """The routes; where somebody waits until edges are fresh, with what they are looked at by."""
    from multicdn.routing.router import Router

    config, hook = loaded.config, loaded.plugins.hooks.urls
    fresh = any(tier.pulls_from and tier.wait_for == "fresh" for tier in config.tiers.values())
    if request.action is Action.PURGE and (wait is not None or fresh):
        from multicdn.oncall import looked_at

        return looked_at.router(config, hook, every=wait is not None)
    return Router(config.routes, config.providers, hook, config.places)


def _order(loaded: Loaded, orders: Orders) -> Turns:
    from multicdn.oncall.order import order

    names = {demand.provider for demand in orders.demands}
    return order([name for name in loaded.config.providers if name in names], loaded.config.tiers)


def pursued(
    loaded: Loaded, request: ManualRequest, orders: Orders, router: Router, wait: float | None
) -> Pursued | None:
    """What is followed from here: what somebody waits for, and that of which a provider behind it waits for the end.

    None where nothing is: then all is called at once, and once.
    """
    config, turns = loaded.config, _order(loaded, orders)
    if request.action is not Action.PURGE or (turns.is_plain and wait is None):
        return None
    from multicdn.cli._followed import Pursued
    from multicdn.oncall import looked_at
    from multicdn.oncall.explain import Explainer

    names = frozenset(demand.provider for demand in orders.demands)
    followed = names if wait is not None else turns.waited_for
    explainer = Explainer(config, loaded.places, loaded.plugins.hooks.urls) if wait is not None else None
    demands = looked_at.marked(orders.demands, followed, explainer)
    unknown = list(looked_at.unknown_urls(demands)) if wait is not None else []
    rules = looked_at.rules(router) if wait is not None else router.verify
    return Pursued(turns, followed, demands, rules, wait, unknown)


def in_order(loaded: Loaded, request: ManualRequest, orders: Orders) -> Sequence[Demand]:
    """The demands as the function does them: those of a provider that fetches from others follow these."""
    turns = _order(loaded, orders)
    if request.action is not Action.PURGE or not turns.waits:
        return orders.demands
    from multicdn.oncall.order import chained

    return chained(orders.demands, turns)


def told(
    loaded: Loaded, orders: Orders, pursued: Pursued | None = None, shown: Sequence[Preview] = ()
) -> Iterator[str]:
    """Lines on the order of the providers, and on what would be waited for."""
    turns = _order(loaded, orders)
    if pursued is None and turns.is_plain:
        return
    from multicdn.cli import _followed

    names = {demand.provider: None for demand in orders.demands}
    yield from _followed.foretold([name for name in loaded.config.providers if name in names], turns, pursued, shown)


def as_in_s3(pursued: Pursued) -> Pursued:
    """The same with what S3 has now of what is looked at. Calls AWS, if there is any."""
    from multicdn.aws.s3 import Objects
    from multicdn.oncall import looked_at

    return pursued._replace(demands=looked_at.as_in_s3(pursued.demands, Objects().stored))


class FollowedUp(NamedTuple):
    """How a purge ended that was followed.

    Attributes:
        report: of all calls.
        interrupted: whether Ctrl-C ended it.
        courses: how far it came; None where nobody waited for that.
        unfinished: names of those that have not finished, and that what wasn't purged waits for.
    """

    report: Report
    interrupted: bool
    courses: list[Course] | None
    unfinished: tuple[str, ...]


def follow(
    config: Config, request: ManualRequest, shown: Sequence[Preview], settings: CommonOptions, pursued: Pursued
) -> FollowedUp:
    """Deliver, and what follows."""
    from multicdn.cli import _delivering, _followed
    from multicdn.oncall.courses import Courses
    from multicdn.oncall.follow_through import Times

    courses = Courses({name: config.providers[name] for name in pursued.names}, pursued.unknown)
    times = Times(settings.timeout, _delivering.time_for(None, shown), pursued.wait)
    runner = _followed.runner(pursued, config, times, verbose=settings.verbose, courses=courses)
    ended = _delivering.delivered(config, pursued.demands, request.action, shown, settings, runner)
    found = courses.all()
    running = {course.name.partition("/")[0] for course in found if course.finished is None}
    left = dict.fromkeys(outcome.job.instance for outcome in ended.report.undelivered)
    unfinished = dict.fromkeys(each for name in left for each in pursued.order.waits.get(name, ()) if each in running)
    return FollowedUp(ended.report, ended.interrupted, None if pursued.wait is None else found, tuple(unfinished))


def alone(loaded: Loaded, request: ManualRequest, orders: Orders) -> Iterator[str]:
    """Lines on the providers that are purged without those that they fetch from."""
    names, tiers = {demand.provider for demand in orders.demands}, loaded.config.tiers
    if request.action is not Action.PURGE:
        return
    for name in (each for each in tiers if each in names):
        inner = tiers[name].pulls_from
        if inner and names.isdisjoint(sources(name, tiers)):
            are = "are" if len(inner) > 1 else "is"
            yield f"{name} fetches from {' and '.join(inner)}, which {are} not purged now: what is old there comes back"


def tell_courses(courses: Sequence[Course] | None, settings: CommonOptions) -> bool:
    """Say how far what was waited for came, and whether it came to its end."""
    if courses is None:
        return True
    from multicdn.cli import _followed

    settings.print(redact(line) for line in _followed.lines(courses))
    return _followed.is_proven(courses)


def as_json(courses: Sequence[Course] | None) -> list[dict[str, Any]] | None:
    """How far what was waited for came, for programs; None where nobody waited."""
    if courses is None:
        return None
    from multicdn.cli import _followed

    return _followed.as_json(courses)

"""Which changes of a batch wait for the rest of their deploy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from kit.scripted_provider import Scripted

from multicdn.model import Change, ChangeKind
from multicdn.planning import deploys
from multicdn.queue.retry import MessageHistory, RetryPolicy
from multicdn.routing.route import Route
from multicdn.routing.router import Router
from multicdn.routing.settle import Settle
from multicdn.routing.tiers import Tier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multicdn.planning.front import Holding
    from multicdn.queue.waiting import Unrouted
    from multicdn.routing.router import Missing

NOON = 1_790_000_000.0
AT_NOON = "2026-09-21T14:13:20.000Z"


class S3:
    """What S3 knows, and what it was asked."""

    def __init__(self, uploads: Mapping[str, float] | None = None, last: float | None = None) -> None:
        self.uploads, self.last = uploads or {}, last
        self.asked: list[str] = []

    def changed(self, bucket: str, prefix: str, since: float) -> Mapping[str, float]:
        self.asked.append(f"{bucket}/{prefix}")
        return {key: time for key, time in self.uploads.items() if time >= since}

    def uploaded(self, bucket: str, key: str) -> tuple[float | None, str]:
        self.asked.append(f"{bucket}/{key}")
        return self.last, ""


def router(**members: Any) -> Router:
    own = {"bucket": "acme-site", "urls": ("https://www.acme.com/{key}",), "tags": ("all",), "purge": ("acme",)}
    return Router([Route(**{**own, **members})], {"acme": Scripted()})


SETTLING = router(settle=Settle(quiet="20s", most="10m"))
AFTER = router(after="done.json")


def hold(
    router: Router,
    *changes: Change,
    now: float,
    s3: S3 | None = None,
    missing: Missing | None = None,
    sent: Mapping[str, float] | None = None,
    attempts: Mapping[str, int] | None = None,
) -> Holding:
    history = MessageHistory(sent or {}, attempts or {}, {})
    return deploys.hold(router, changes, missing or {}, history, s3 or S3(), RetryPolicy(), now)


def parts(router: Router, *members: str) -> frozenset[str]:
    """The parts of the one route, of some members or all."""
    [(_, found)] = router.parts(Change("acme-site", "a")).items()
    return frozenset(part for part in found if not members or part.partition(":")[2] in members)


def groups(holding: Holding) -> list[Unrouted]:
    return sorted(holding.groups, key=lambda group: group.changes[0].key)


def test_what_waits_waits_for_its_route_alone_and_all_else_is_untouched() -> None:
    other = Change("another", "a", cause="m2")
    holding = hold(SETTLING, Change("acme-site", "a", cause="m1"), other, now=NOON)
    [group] = holding.groups
    assert (group.waiting.missing, group.delay) == (tuple(sorted(parts(SETTLING))), 20)
    assert other not in holding.missing


def test_the_newest_change_of_a_key_waits_for_all_that_any_of_them_waits_for() -> None:
    old = Change("acme-site", "a", sequencer="01", cause="m1")
    new = Change("acme-site", "a", sequencer="02", cause="m2")
    sent = {"m1": NOON - 2, "m2": NOON - 1}
    for missing in ({"m2": parts(SETTLING, "tags")}, {"m1": parts(SETTLING, "tags")}):
        [group] = hold(SETTLING, new, old, now=NOON, missing=missing, sent=sent).groups
        assert [change.sequencer for change in group.changes] == ["02"]
        assert frozenset(group.waiting.missing) == parts(SETTLING)


def test_what_waits_for_a_part_of_the_route_is_routed_for_that_alone_when_the_deploy_is_over() -> None:
    change = Change("acme-site", "a", cause="m1")
    tags = parts(SETTLING, "tags")
    holding = hold(SETTLING, change, now=NOON, missing={"m1": tags}, sent={"m1": NOON - 25})
    assert (holding.groups, holding.missing[change]) == ([], tags)


def test_an_old_change_does_not_grow_young_by_waiting_with_new_ones() -> None:
    """Else uploads that never end would keep for ever what was never followed by the last object."""
    changes = (Change("acme-site", "a", cause="m1"), Change("acme-site", "b", cause="m2"))
    missing = dict.fromkeys(("m1", "m2"), parts(AFTER))
    sent = {"m1": NOON - 5 * 3600, "m2": NOON - 60}
    old, new = groups(hold(AFTER, *changes, now=NOON, missing=missing, sent=sent))
    assert (old.waiting.since, new.waiting.since) == (sent["m1"], sent["m2"])
    assert (old.delay, new.delay) == (10, 10)
    sent["m1"] -= 3600
    old, new = groups(hold(AFTER, *changes, now=NOON, missing=missing, sent=sent))
    assert (old.delay, new.delay) == (None, 10)


def test_tries_of_before_are_kept_and_none_is_added() -> None:
    missing = {"m1": parts(SETTLING)}
    [group] = hold(SETTLING, Change("acme-site", "a", cause="m1"), now=NOON, missing=missing, attempts={"m1": 3}).groups
    assert group.waiting.attempt == 3


@pytest.mark.parametrize(
    ("told", "waits"), [("", "m1 sent"), ("2099-01-01T00:00:00Z", "m1 sent"), ("2026-09-21T14:13:05.000Z", "event")]
)
def test_a_change_counts_from_its_own_time_but_never_from_later_than_its_message(told: str, waits: str) -> None:
    change = Change("acme-site", "a", time=told, cause="m1")
    holding = hold(SETTLING, change, now=NOON + 1, sent={"m1": NOON})
    [group] = holding.groups
    assert group.delay == {"m1 sent": 19, "event": 4}[waits]
    assert group.changes[0].time == (told or AT_NOON), "what has no time would begin anew each time"


def test_a_route_that_is_about_removals_alone_asks_for_no_uploads() -> None:
    removals = router(settle=Settle(quiet="20s"), on=(ChangeKind.REMOVED,))
    s3 = S3({"b": NOON + 24})
    change = Change("acme-site", "a", ChangeKind.REMOVED, cause="m1")
    assert hold(removals, change, now=NOON + 25, sent={"m1": NOON}, s3=s3).groups == []
    assert s3.asked == []


def test_the_fixed_part_of_a_prefix_is_listed_and_keys_are_compared_as_the_route_does() -> None:
    news = router(settle=Settle(quiet="20s"), prefix="2026/News/", ignore_case=True)
    change = Change("acme-site", "2026/news/a", cause="m1")
    for key, waits in (("2026/NEWS/b", True), ("2026/sport/b", False)):
        s3 = S3({key: NOON + 20})
        assert bool(hold(news, change, now=NOON + 25, sent={"m1": NOON}, s3=s3).groups) is waits
        assert s3.asked == ["acme-site/2026/"]


def test_what_goes_on_is_told_with_its_reason() -> None:
    changes = [Change("acme-site", key, cause="m1") for key in "ab"]
    [released] = hold(SETTLING, *changes, now=NOON + 25, sent={"m1": NOON}).released
    assert released.objects == (("acme-site", "a"), ("acme-site", "b"))
    assert (released.seconds, released.reason, released.late) == (25.0, "no change came for 20 s", False)
    [released] = hold(SETTLING, *changes, now=NOON + 700, sent={"m1": NOON}, s3=S3({"c": NOON + 690})).released
    assert (released.seconds, released.late) == (700.0, True)


def test_what_fetches_from_a_cdn_that_waited_for_its_deploy_is_purged_once_more_after_it() -> None:
    own = {"bucket": "acme-site", "urls": ("https://www.acme.com/{key}",)}
    routes = [
        Route(**own, purge=("inner",), settle=Settle(quiet="20s")),
        Route(**own, purge=("outer",)),
        Route(**own, purge=("aside",)),
    ]
    providers = {route.purge[0]: Scripted() for route in routes}
    made = Router(routes, providers, tiers={"outer": Tier(pulls_from=("inner",))})
    change = Change("acme-site", "a", cause="m1")
    first = hold(made, change, now=NOON)
    assert {each.provider for each in made.demands([change], missing=first.missing)[0]} == {"outer", "aside"}
    waited: Missing = {"m1": frozenset(first.groups[0].waiting.missing)}
    later = hold(made, change, now=NOON + 60, missing=waited, sent={"m1": NOON})
    [demand] = made.demands([change], missing=later.missing)[0]
    assert demand.provider == "inner"
    [sequel] = [want.sequel for want in demand.wants.values()]
    assert sequel
    assert [one.provider for one in sequel.then] == ["outer"]

"""Who waits for whom: what follows each target once it is purged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from kit.sample_plugins import Full, Plain, Warmer

from multicdn.model import Action, Change, ChangeKind, Target, TargetKind
from multicdn.planning.planner import plan
from multicdn.routing.route import Route
from multicdn.routing.router import Router
from multicdn.routing.tiers import Tier
from multicdn.routing.verify import Verify
from multicdn.secrets import Secret
from multicdn.sequel import Sequel, Subject, Then

if TYPE_CHECKING:
    from multicdn.provider import Provider
    from multicdn.routing.demand import Demand

PROVIDERS: dict[str, Provider] = {
    "inner": Plain(),
    "middle": Plain(),
    "outer": Plain(),
    "tagged": Full(token=Secret.literal("x"), service="s"),
    "warmer": Warmer(),
}
URL = "https://a.example/"
AT = "2026-11-26T10:00:00.000Z"


def route(**members: Any) -> Route:
    return Route(**{"bucket": "b", "urls": (URL + "{key}",), "spellings": ("browser",), **members})


def demands(routes: list[Route], *changes: Change, **pulls_from: tuple[str, ...]) -> list[Demand]:
    tiers = {name: Tier(pulls_from=names) for name, names in pulls_from.items()}
    found, failures = Router(routes, PROVIDERS, tiers=tiers).demands(changes)
    assert not failures
    return found


def change(key: str = "a.css", kind: ChangeKind = ChangeKind.CREATED, cause: str = "m1") -> Change:
    return Change("b", key, kind, etag="e", sequencer="01", time=AT, cause=cause)


def sequels(demand: Demand) -> dict[str, Sequel | None]:
    return {target.value: want.sequel for target, want in demand.wants.items()}


def asked(found: list[Demand]) -> set[tuple[str, Action]]:
    return {(demand.provider, demand.action) for demand in found}


def test_nothing_follows_where_nobody_wants_to_know() -> None:
    router = Router([route(purge=("inner", "outer"))], PROVIDERS, tiers={})
    assert not router.has_sequels
    assert all(not want.sequels for demand in router.demands([change()])[0] for want in demand.wants.values())


def test_an_outer_cdn_follows_its_inner_one_target_by_target() -> None:
    found = demands([route(purge=("outer", "inner"), index="index.html")], change("d/index.html"), outer=("inner",))
    assert asked(found) == {("inner", Action.PURGE)}
    assert sequels(found[0]) == {
        URL + text: Sequel(then=(Then("outer", "purge", "b", (("url", URL + text),)),))
        for text in ("d/", "d/index.html")
    }


def test_tiers_follow_each_other_and_none_waits_for_one_that_does_not_purge() -> None:
    routes = [route(purge=("outer", "middle", "inner"))]
    found = demands(routes, change(), outer=("middle", "inner"), middle=("inner",))
    assert asked(found) == {("inner", Action.PURGE)}
    last = Then("outer", "purge", "b", (("url", URL + "a.css"),))
    assert sequels(found[0])[URL + "a.css"] == Sequel(
        then=(Then("middle", "purge", "b", (("url", URL + "a.css"),), sequel=Sequel(then=(last,))),)
    )
    # Through one that this route doesn't purge, the order is the same.
    found = demands([route(purge=("outer", "inner"))], change(), outer=("middle",), middle=("inner",))
    assert asked(found) == {("inner", Action.PURGE)}
    found = demands([route(purge=("outer",))], change(), outer=("middle",), middle=("inner",))
    assert asked(found) == {("outer", Action.PURGE)}


def test_order_holds_between_routes_of_one_object_and_not_between_objects() -> None:
    routes = [route(purge=("inner",)), route(prefix="x/", purge=("outer",))]
    found = demands(routes, change("x/a"), change("y/a"), outer=("inner",))
    assert asked(found) == {("inner", Action.PURGE)}
    [inner] = found
    assert sequels(inner)[URL + "y/a"] is None
    followed = sequels(inner)[URL + "x/a"]
    assert [then.provider for then in followed.then] == ["outer"]


def test_targets_that_the_inner_cdn_does_not_have_follow_each_of_its_own() -> None:
    routes = [route(purge=("inner",)), route(urls=(), tags=("t-{name}",), purge=("tagged",))]
    [inner] = demands(routes, change(), tagged=("inner",))
    assert sequels(inner)[URL + "a.css"] == Sequel(then=(Then("tagged", "purge", "b", (("tag", "t-a.css"),)),))


def test_an_object_is_looked_at_by_its_first_url_through_each_provider() -> None:
    found = demands(
        [route(purge=("inner", "outer"), index="index.html", verify=Verify())], change("index.html"), outer=("inner",)
    )
    also = (("url", URL + "index.html"),)
    subject = Subject(URL, "b", "index.html", time=AT, etag="e", sequencer="01", also=also)
    first = sequels(found[0])[URL]
    assert first is not None
    assert first.subjects == (subject,)
    assert first.then[0].sequel == Sequel((subject,))
    other = sequels(found[0])[URL + "index.html"]
    assert not other.subjects


def test_what_was_removed_is_looked_at_as_gone_and_who_may_read_it_is_not_looked_at() -> None:
    verified = route(purge=("inner",), verify=Verify(), on=tuple(ChangeKind))
    [removed] = demands([verified], change(kind=ChangeKind.REMOVED))
    [sequel] = sequels(removed).values()
    assert sequel.subjects[0].gone
    [access] = demands([verified], change(kind=ChangeKind.ACCESS))
    assert list(sequels(access).values()) == [None]


def test_urls_of_their_own_are_looked_at_where_a_route_has_them_and_tags_carry_them() -> None:
    verify = Verify(urls=("https://www.example.com/{key}",))
    [demand] = demands([route(urls=(), tags=("t", "all"), purge=("tagged",), verify=verify)], change())
    first, second = demand.wants.values()
    assert [subject.url for subject in first.sequel.subjects] == ["https://www.example.com/a.css"]
    assert second.sequel is None


def test_of_a_big_change_a_sample_is_looked_at_which_is_the_same_through_each_provider() -> None:
    verified = route(purge=("inner", "outer"), verify=Verify(sample=5))
    found = demands([verified], *(change(f"{number:03}", cause=f"m{number}") for number in range(100)))
    looked_at = [
        {subject.key for sequel in sequels(demand).values() if sequel for subject in sequel.subjects}
        for demand in found
    ]
    assert looked_at == [{"000", "020", "040", "060", "080"}] * 2
    everything = route(purge=("inner",), verify=Verify(sample="all"))
    [demand] = demands([everything], *(change(f"{number:03}") for number in range(100)))
    assert all(sequels(demand).values())


def test_a_preload_follows_the_purge_of_its_cache_once_it_is_fresh() -> None:
    verified = route(purge=("inner", "outer"), preload=("warmer",), verify=Verify())
    found = demands([verified], change(), outer=("inner",))
    assert asked(found) == {("inner", Action.PURGE)}
    sequel = sequels(found[0])[URL + "a.css"]
    assert sequel.then[0].sequel
    assert sequel.then[0].sequel.then == (Then("warmer", "preload", "b", (("url", URL + "a.css"),), fresh=True),)
    # Without anything to wait for, delivery itself waits for the published times.
    plain = demands([route(purge=("inner",), preload=("warmer",))], change(), other=("another",))
    assert asked(plain) == {("inner", Action.PURGE), ("warmer", Action.PRELOAD)}


def test_an_outer_cdn_waits_for_fresh_where_it_says_so() -> None:
    tiers = {"outer": Tier(pulls_from=("inner",), wait_for="fresh")}
    routes = [route(purge=("inner", "outer"), verify=Verify())]
    [inner], _ = Router(routes, PROVIDERS, tiers=tiers).demands([change()])
    sequel = sequels(inner)[URL + "a.css"]
    assert [then.fresh for then in sequel.then] == [True]


def test_sequels_come_through_planning_and_two_changes_of_one_object_are_looked_at_as_one() -> None:
    verified = route(urls=(), tags=("t",), purge=("tagged",), verify=Verify(urls=(URL + "{key}",)))
    router = Router([verified], PROVIDERS, tiers={})
    old, new = (Change("b", "a", sequencer=text, time=AT, cause=text) for text in ("0A", "0B"))
    first, second = (router.demands([each])[0][0] for each in (old, new))
    [job] = plan("tagged", PROVIDERS["tagged"], [first, second, demands([verified], change("z"))[0]]).jobs
    assert job.targets == ("t",)
    [sequel] = job.sequels
    assert {subject.key: subject.sequencer for subject in sequel.subjects} == {"a": "0B", "z": "01"}
    assert Target(TargetKind.TAG, "t") in first.wants


@pytest.mark.parametrize(
    ("urls", "key", "url"),
    [
        (("", "list?of={dir}", "{key}"), "d/a.css", "d/a.css"),
        (("{dir}", "{key}"), "d/a.css", "d/a.css"),
        (("{dir}{stem}-small{ext}", "{path}"), "d/a.jpg", "d/a.jpg"),
        (("", "{dir}{stem}"), "d/a.html", "d/a"),
        (("",), "a.css", None),
        (("{dir}",), "d/a.css", None),
        (("", "{key}"), "index.html", ""),
    ],
)
def test_an_object_is_never_compared_with_a_start_page_or_a_list(urls: tuple[str, ...], key: str, url: str) -> None:
    """Which a route may purge together with each object."""
    own = route(urls=tuple(URL + text for text in urls), purge=("inner",), verify=Verify(), index="index.html")
    [demand] = demands([own], change(key))
    looked_at = {subject.url for each in sequels(demand).values() if each for subject in each.subjects}
    assert looked_at == ({URL + url} if url is not None else set())


def test_what_a_hook_makes_of_urls_is_looked_at() -> None:
    own = route(urls=(URL, URL + "{key}"), purge=("inner",), verify=Verify())
    router = Router([own], PROVIDERS, lambda _, urls: [*urls[:1], urls[1].replace("a.example", "b.example")], tiers={})
    [demand] = router.demands([change()])[0]
    looked_at = {subject.url for each in sequels(demand).values() if each for subject in each.subjects}
    assert looked_at == {"https://b.example/a.css"}


def test_nobody_waits_for_a_cdn_that_has_nothing_to_purge() -> None:
    """Removed objects have no tags, and those of others may be unreadable."""
    routes = [route(purge=("tagged",), urls=(), tags_from="cache-tag"), route(purge=("outer",))]
    for kind in (ChangeKind.CREATED, ChangeKind.REMOVED):
        assert asked(demands(routes, change(kind=kind), outer=("tagged",))) == {("outer", Action.PURGE)}


def test_a_cdn_is_purged_once_more_when_what_the_inner_one_is_purged_by_is_known_at_last() -> None:
    tags = {("b", "a.css", "cache-tag"): ("t",)}
    routes = [
        route(purge=("tagged",), urls=(), tags_from="cache-tag"),
        route(purge=("outer",)),
        route(purge=("middle",)),
    ]
    router = Router(routes, PROVIDERS, tiers={"outer": Tier(pulls_from=("tagged",))})
    missing = router.untagged(change())
    found, _ = router.demands([change()], tags, {"m1": missing})
    assert asked(found) == {("tagged", Action.PURGE)}
    assert sequels(found[0]) == {"t": Sequel(then=(Then("outer", "purge", "b", (("url", f"{URL}a.css"),)),))}

    def fails(change: Change, _: Any) -> Any:
        raise RuntimeError(change.key)

    router = Router(routes, PROVIDERS, fails, tiers={"outer": Tier(pulls_from=("middle",))})
    failures = {failure.missing for failure in router.demands([change()])[1]}
    assert any(len(parts) > 1 for parts in failures)
    assert Router(routes, PROVIDERS, tiers={"x": Tier(pulls_from=("y",))}).untagged(change()) != missing

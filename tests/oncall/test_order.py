"""Who waits for whom among providers that are purged by hand. Pure."""

from __future__ import annotations

import pytest
from kit.scripted_provider import demand

from multicdn.oncall.order import chained, order, waves
from multicdn.routing.tiers import Tier

CHAIN = {"b": Tier(pulls_from=("a",)), "c": Tier(pulls_from=("b",), wait_for="fresh", wait_at_most="5m")}


@pytest.mark.parametrize(
    ("names", "turns"),
    [
        ("abc", [["a"], ["b"], ["c"]]),
        ("cba", [["a"], ["b"], ["c"]]),
        ("ac", [["a"], ["c"]]),
        ("bcd", [["b", "d"], ["c"]]),
        ("d", [["d"]]),
        ("", []),
    ],
)
def test_turns(names: str, turns: list[list[str]]) -> None:
    assert waves(names, order(names, CHAIN).waits) == turns


def test_a_loop_ends() -> None:
    assert waves("ab", {"a": ("b",), "b": ("a",)}) == [["a", "b"]]


def test_what_the_config_says_of_those_that_wait() -> None:
    found = order("abc", {**CHAIN, "a": Tier(again="5s"), "d": Tier(again="9s")})
    assert (found.waits, found.fresh, found.again) == ({"b": ("a",), "c": ("b",)}, {"c"}, {"a": "5s"})
    assert (found.at_most, found.waited_for, found.after("a")) == ({"b": "15m", "c": "5m"}, {"a", "b"}, ["b"])
    assert order("ad", CHAIN).is_plain


def test_in_the_queue_each_target_follows_its_own_and_so_do_those_behind_it() -> None:
    one, two = "https://www.acme.com/1", "https://www.acme.com/2"
    demands = [demand([one, two], "c"), demand([one], "b"), demand([one, two], "a")]
    (a,) = chained(demands, order("abc", CHAIN))
    assert a.provider == "a"
    sequels = {target.value: want.sequel for target, want in a.wants.items()}
    assert sequels[two] is None
    (then,) = sequels[one].then if sequels[one] else ()
    assert (then.provider, then.targets, then.fresh) == ("b", (("url", one),), False)
    behind = then.sequel.then if then.sequel else ()
    assert [(each.provider, each.targets, each.fresh) for each in behind] == [
        ("c", (("url", one),), True),
        ("c", (("url", two),), True),
    ]


def test_in_the_queue_those_that_wait_for_nobody_stay_as_they_are() -> None:
    demands = [demand(["https://www.acme.com/1"], name) for name in ("a", "d")]
    assert chained(demands, order("ad", CHAIN)) == demands

"""Whatever a careless plugin hands over in planning costs one target, or one kind, and is named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from multicdn.model import Action, Status, Target, TargetKind
from multicdn.planning import planner
from multicdn.provider import Call, Limits, PurgeHosts, PurgePrefixes, PurgeTags, PurgeUrls, Receipt, option
from multicdn.routing.demand import Demand, Want

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WANT = Want(frozenset(("m1",)), frozenset(("mark",)))


@dataclass(frozen=True, kw_only=True)
class Scripted(PurgeUrls, PurgePrefixes, PurgeTags, PurgeHosts):
    """A vendor that takes what it is asked."""

    endpoint: str = option(default="https://api.acme.example", help="base URL")
    url_limits = prefix_limits = tag_limits = host_limits = Limits(targets=10)

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        return Receipt()

    purge_prefixes = purge_tags = purge_hosts = purge_urls


class Rust(BaseException):
    """As pyo3's PanicException, which is no Exception."""


def raising(error: BaseException) -> Any:
    def act(*_: object) -> Any:
        raise error

    return act


ODD_ANSWERS = [
    pytest.param(lambda t: None, id="None"),
    pytest.param(lambda t: (), id="nothing"),
    pytest.param(lambda t: (t.value.encode(),), id="bytes"),
    pytest.param(lambda t: (7,), id="int"),
    pytest.param(lambda t: (Target(TargetKind.URL, None),), id="target of None"),  # type: ignore[arg-type]
    pytest.param(lambda t: (Target(TargetKind.URL, b"x"),), id="target of bytes"),  # type: ignore[arg-type]
    pytest.param(lambda t: (Target("url", "x"), Target("odd", "x")), id="odd kind"),  # type: ignore[arg-type]
    pytest.param(lambda t: (Target(TargetKind.URL, "\ud800"),), id="surrogate"),
    pytest.param(lambda t: (Target(TargetKind.URL, ""),), id="empty"),
    pytest.param(lambda t: (Target(TargetKind.URL, " \t"),), id="blank"),
    pytest.param(lambda t: (Target(TargetKind.EVERYTHING, ""),), id="everything"),
    pytest.param(raising(SystemExit(1)), id="SystemExit"),
    pytest.param(raising(Rust("panic")), id="panic"),
    pytest.param(raising(StopIteration()), id="StopIteration"),
]


@pytest.mark.parametrize("answer", ODD_ANSWERS)
def test_whatever_locate_makes_of_one_target_costs_that_target_alone_and_is_named(answer: Any) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Careless(Scripted):
        def locate(self, target: Target, action: Action) -> tuple[Target, ...]:
            found: tuple[Target, ...] = answer(target) if target.value.endswith("bad") else (target,)
            return found

    wants = {Target(TargetKind.URL, f"https://a/{name}"): WANT for name in ("1", "bad", "2")}
    found = planner.plan("acme", Careless(), [Demand("acme", Action.PURGE, soft=False, bucket="b", wants=wants)])
    assert [job.targets for job in found.jobs] == [("https://a/1", "https://a/2")]
    [outcome] = found.rejected
    assert outcome.job.targets == ("https://a/bad",)
    assert outcome.status is Status.RETRY
    assert outcome.reason.startswith("bug in the plugin: ")
    assert found.bug is not None


@pytest.mark.parametrize("kind", [TargetKind.URL, TargetKind.TAG, TargetKind.PREFIX, TargetKind.HOST])
def test_no_empty_target_reaches_a_plugin(kind: TargetKind) -> None:
    class Strict(Scripted):
        def locate(self, target: Target, action: Action) -> tuple[Target, ...]:
            assert target.value.strip()
            return (target,)

    wants = {Target(kind, value): WANT for value in ("", "  ")}
    found = planner.plan("acme", Strict(), [Demand("acme", Action.PURGE, soft=False, bucket="b", wants=wants)])
    assert found.jobs == ()
    assert [outcome.status for outcome in found.rejected] == [Status.REJECTED] * 2
    assert all("empty" in outcome.reason for outcome in found.rejected)


@pytest.mark.parametrize("make", [lambda: None, lambda: 3, lambda: Limits(targets=0), raising(SystemExit(1))])
def test_odd_limits_of_one_kind_cost_no_other_kind(make: Callable[[], Any]) -> None:
    class Careless(Scripted):
        @property
        def tag_limits(self) -> Any:
            return make()

    wants = {Target(TargetKind.URL, "https://a/1"): WANT, Target(TargetKind.TAG, "news"): WANT}
    found = planner.plan("acme", Careless(), [Demand("acme", Action.PURGE, soft=False, bucket="b", wants=wants)])
    assert [job.kind for job in found.jobs] == [TargetKind.URL]
    assert [(outcome.job.targets, outcome.status) for outcome in found.rejected] == [(("news",), Status.RETRY)]


@pytest.mark.parametrize("weight", [None, "12", b"", 1.5], ids=repr)
def test_an_odd_weight_costs_its_target_alone(weight: Any) -> None:
    class Careless(Scripted):
        url_limits = Limits(targets=10, bytes=1000)

        def weigh(self, target: str) -> int:
            return weight if target.endswith("bad") else 10  # type: ignore[no-any-return]

    wants = {Target(TargetKind.URL, f"https://a/{name}"): WANT for name in ("1", "bad", "2")}
    found = planner.plan("acme", Careless(), [Demand("acme", Action.PURGE, soft=False, bucket="b", wants=wants)])
    assert [job.targets for job in found.jobs] == [("https://a/1", "https://a/2")]
    assert [outcome.job.targets for outcome in found.rejected] == [("https://a/bad",)]

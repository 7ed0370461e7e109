"""From what a provider is to do to the fewest calls that its limits allow."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multicdn.errors import TargetsRefused
from multicdn.http import Http
from multicdn.model import Action, Job, Outcome, Status, Target, TargetKind
from multicdn.planning.jobs import unlocated
from multicdn.planning.planner import Plan, plan
from multicdn.provider import (
    Call,
    Limits,
    PreloadUrls,
    PurgeEverything,
    PurgeTags,
    PurgeUrls,
    Receipt,
    SoftPurge,
    option,
)
from multicdn.routing.demand import Demand, Want
from multicdn.simulators import Request, Response, Server

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PURGE, PRELOAD = Action.PURGE, Action.PRELOAD
URL, TAG, PREFIX, EVERYTHING = TargetKind.URL, TargetKind.TAG, TargetKind.PREFIX, TargetKind.EVERYTHING
ENVELOPE = len('{"urls":[]}')


@dataclass(frozen=True, kw_only=True)
class Vendor(SoftPurge, PurgeUrls, PurgeTags, PurgeEverything, PreloadUrls):
    """A vendor with any limits, which sends its targets as a JSON array.

    It knows ``https://a.example/x`` by the name ``/x`` too, can't act on what holds ``refused``, and has a bug.
    """

    endpoint: str = option(default="https://api.vendor.example", help="base URL")
    limits: Limits = field(default=Limits(targets=3), metadata={"internal": True})

    @property
    def url_limits(self) -> Limits:
        return self.limits

    tag_limits = preload_limits = url_limits

    @cached_property
    def _api(self) -> Http:
        return Http(self.endpoint)

    def locate(self, target: Target, action: Action) -> tuple[Target, ...]:
        if "refused" in target.value:
            raise TargetsRefused("not ours")
        if "bug" in target.value:
            raise ZeroDivisionError("division by zero")
        if "prefix" in target.value:
            return (Target(URL, "/beside"), Target(PREFIX, target.value))
        if "both" in target.value:
            return (Target(URL, "/1"), Target(TAG, "2"))
        return (Target(target.kind, target.value.removeprefix("https://a.example")),)

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        return Receipt(id=self._api.send("POST", "/purge", call, json={"urls": list(urls)}).text("id"))

    def purge_tags(self, tags: Sequence[str], call: Call) -> Receipt:
        return Receipt(id=self._api.send("POST", "/tags", call, json={"tags": list(tags)}).text("id"))

    def purge_everything(self, call: Call) -> Receipt:
        return Receipt(id=self._api.send("POST", "/all", call).text("id"))

    def preload_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        return Receipt(id=self._api.send("POST", "/load", call, json={"urls": list(urls)}).text("id"))


def wanting(
    values: Iterable[str], *, action: Action = PURGE, kind: TargetKind = URL, soft: bool = False, mark: str = "1"
) -> Demand:
    """A demand whose targets are each caused by a message called after it."""
    wants = {Target(kind, value): Want({f"m-{value}"}, {mark}) for value in values}
    return Demand("cdn", action, soft, "b", wants)


def planned(demand: Demand, *more: Demand, **limits: Any) -> Plan:
    return plan("cdn", Vendor(limits=Limits(**{"targets": 3, **limits})), (demand, *more))


def batches(found: Plan) -> list[tuple[str, ...]]:
    return [job.targets for job in found.jobs]


def body(targets: Sequence[str]) -> bytes:
    """What ``Http`` makes of such a list."""
    return json.dumps({"urls": list(targets)}, ensure_ascii=False, separators=(",", ":")).encode()


# Cutting


def test_nothing_to_do_is_no_job() -> None:
    assert plan("cdn", Vendor(), ()) == Plan()
    assert planned(wanting([])) == Plan()


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(1, [1]), (2, [2]), (3, [3]), (4, [3, 1]), (6, [3, 3]), (7, [3, 3, 1]), (3000, [3] * 1000)],
)
def test_batches_are_filled_to_the_count(count: int, sizes: list[int]) -> None:
    found = planned(wanting(f"/{number}" for number in range(count)))
    assert [len(job.targets) for job in found.jobs] == sizes
    assert [target for job in found.jobs for target in job.targets] == [f"/{number}" for number in range(count)]


@pytest.mark.parametrize("targets", [1, 2, 5, 30, 1000])
@pytest.mark.parametrize("room", [10, 25, 100, 999])
@pytest.mark.parametrize("count", [1, 29, 30, 31, 250])
def test_equal_targets_take_the_fewest_calls_possible(count: int, targets: int, room: int) -> None:
    # Ten bytes each: a slash, six digits, two quotes, a comma.
    limits = {"targets": targets, "bytes": ENVELOPE + room, "envelope": ENVELOPE}
    found = planned(wanting(f"/{number:06}" for number in range(count)), **limits)
    assert len(found.jobs) == math.ceil(count / min(targets, room // 10))


def test_one_target_is_one_job_with_all_that_is_known_of_it() -> None:
    found = planned(wanting(["/x"], soft=True))
    [job] = found.jobs
    assert job == Job("cdn", PURGE, URL, ("/x",), (frozenset({"m-/x"}),), True, job.reference)
    assert found.rejected == ()


def test_purges_stand_before_preloads() -> None:
    found = planned(
        wanting(["/a"], action=PRELOAD), wanting(["t"], kind=TAG), wanting(["/b"]), wanting([""], kind=EVERYTHING)
    )
    assert [(job.action, job.kind) for job in found.jobs] == [
        (PURGE, TAG),
        (PURGE, URL),
        (PURGE, EVERYTHING),
        (PRELOAD, URL),
    ]


def test_kinds_and_softness_are_never_mixed_in_a_call() -> None:
    found = planned(wanting(["a"]), wanting(["b"], soft=True), wanting(["c"], kind=TAG), wanting(["d"], action=PRELOAD))
    assert {(job.action, job.kind, job.soft): job.targets for job in found.jobs} == {
        (PURGE, URL, False): ("a",),
        (PURGE, URL, True): ("b",),
        (PURGE, TAG, False): ("c",),
        (PRELOAD, URL, False): ("d",),
    }


# Bytes


URLS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@given(st.lists(URLS, unique=True, max_size=30), st.integers(50, 300))
def test_body_is_never_longer_than_the_vendor_takes(values: list[str], most: int) -> None:
    # Names that the vendor above treats in a way of its own aren't the point here.
    values = [value for value in values if not any(word in value for word in ("refused", "bug", "prefix", "both"))]
    found = planned(wanting(values), targets=1000, bytes=most, envelope=ENVELOPE)
    assert all(len(body(job.targets)) <= most for job in found.jobs)
    # One more comma than there is was counted, so two neighbours that would fit together leave a byte at most.
    for first, second in zip(found.jobs, found.jobs[1:], strict=False):
        assert len(body((*first.targets, second.targets[0]))) >= most


@pytest.mark.slow
def test_bytes_on_the_wire_are_those_that_were_planned() -> None:
    seen: list[bytes] = []

    def answer(request: Request) -> Response:
        seen.append(request.body)
        return Response(200, body=b'{"id": "1"}')

    values = [f'/größe/{"中" * (number % 7)}/{number}"\\' for number in range(40)]
    with Server(answer) as server:
        vendor = Vendor(endpoint=server.url, limits=Limits(targets=1000, bytes=200, envelope=ENVELOPE))
        jobs = plan("cdn", vendor, (wanting(values),)).jobs
        for job in jobs:
            vendor.purge_urls(job.targets, Call())
    assert [json.loads(sent)["urls"] for sent in seen] == [list(job.targets) for job in jobs]
    assert [len(sent) + 1 for sent in seen] == [
        ENVELOPE + sum(vendor.weigh(target) for target in job.targets) for job in jobs
    ]
    assert max(map(len, seen)) <= 200
    assert min(map(len, seen[:-1])) > 150


# Too long


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"target_bytes": 10}, "it is 11 bytes long, and the vendor takes 10 at most"),
        (
            {"bytes": 24, "envelope": ENVELOPE},
            "it alone makes a body of over 24 bytes, which is all that the vendor takes",
        ),
    ],
)
@pytest.mark.parametrize("value", ["/1234567890", "/größe/日"])
def test_target_that_is_too_long_is_rejected_alone(limits: dict[str, int], reason: str, value: str) -> None:
    assert len(value.encode()) == 11 + (value != "/1234567890")
    found = planned(wanting(["/a", value, "/b"]), **{**limits, "targets": 1})
    assert batches(found) == [("/a",), ("/b",)]
    length = len(value.encode())
    job = Job("cdn", PURGE, URL, (value,), (frozenset({f"m-{value}"}),))
    assert found.rejected == (Outcome(job, Status.REJECTED, reason.replace("11", str(length))),)


def test_longest_target_is_not_too_long() -> None:
    assert batches(planned(wanting(["/123456789"]), target_bytes=10)) == [("/123456789",)]
    assert batches(planned(wanting(["/123456789"]), bytes=ENVELOPE + 13, envelope=ENVELOPE)) == [("/123456789",)]


def test_limits_of_each_method_are_its_own() -> None:
    # Emptying a whole zone takes one call whatever the limits of the other methods.
    found = planned(wanting([""], kind=EVERYTHING), targets=3, target_bytes=1)
    assert batches(found) == [("",)]


# What the vendor knows things by


def test_two_spellings_of_one_thing_are_asked_for_once_by_all_who_want_it() -> None:
    found = planned(wanting(["https://a.example/x"]), wanting(["/x"]))
    assert batches(found) == [("/x",)]
    assert found.jobs[0].causes == (frozenset({"m-https://a.example/x", "m-/x"}),)


def test_one_target_may_become_several_of_different_kinds() -> None:
    found = planned(wanting(["both"]))
    assert [(job.kind, job.targets, job.messages) for job in found.jobs] == [
        (URL, ("/1",), frozenset({"m-both"})),
        (TAG, ("2",), frozenset({"m-both"})),
    ]


def test_target_that_the_vendor_cannot_act_on_is_rejected_alone() -> None:
    found = planned(wanting(["/a", "refused", "/b"]))
    assert batches(found) == [("/a", "/b")]
    job = Job("cdn", PURGE, URL, ("refused",), (frozenset({"m-refused"}),), bucket="b")
    assert found.rejected == (Outcome(job, Status.REJECTED, "not ours"),)
    assert found.bug is None


@pytest.mark.parametrize(
    ("value", "reason", "others"),
    [
        ("bug", "bug in the plugin: ZeroDivisionError: division by zero", ["/a", "/b"]),
        (
            "prefix",
            "bug in the plugin: TypeError: Vendor.locate made a prefix, which it can't purge",
            ["/a", "/beside", "/b"],
        ),
    ],
)
def test_bug_in_spelling_a_target_costs_that_target_only(value: str, reason: str, others: list[str]) -> None:
    found = planned(wanting(["/a", value, "/b"]))
    assert batches(found) == [tuple(others)]
    [outcome] = found.rejected
    assert (outcome.status, outcome.reason, outcome.job.targets) == (Status.RETRY, reason, (value,))
    assert outcome.job.messages == {f"m-{value}"}
    assert found.bug is not None
    assert reason.endswith(str(found.bug))


# Soft and hard


@pytest.mark.parametrize("order", [1, -1])
def test_target_to_drop_is_not_marked_stale_as_well(order: int) -> None:
    demands = [wanting(["/a", "/b"], soft=True), wanting(["/b", "/c"])][::order]
    found = planned(*demands)
    assert {job.soft: set(job.targets) for job in found.jobs} == {True: {"/a"}, False: {"/b", "/c"}}


def test_hard_target_keeps_those_who_wanted_it_soft() -> None:
    soft = Demand("cdn", PURGE, True, "b", {Target(URL, "/a"): Want({"m1"}, {"1"})})
    hard = Demand("cdn", PURGE, False, "b", {Target(URL, "/a"): Want({"m2"}, {"2"})})
    [job] = planned(soft, hard).jobs
    assert (job.soft, job.causes) == (False, (frozenset({"m1", "m2"}),))


def test_soft_and_hard_meet_in_the_spelling_of_the_vendor() -> None:
    found = planned(wanting(["https://a.example/x"], soft=True), wanting(["/x"]))
    assert [(job.soft, job.targets) for job in found.jobs] == [(False, ("/x",))]


def test_tag_and_url_of_one_name_are_different_things() -> None:
    found = planned(wanting(["x"], soft=True), wanting(["x"], kind=TAG))
    assert [(job.kind, job.soft, job.targets) for job in found.jobs] == [(URL, True, ("x",)), (TAG, False, ("x",))]


def test_planning_leaves_the_demands_as_they_are() -> None:
    demands = (wanting(["/a"], soft=True), wanting(["/a", "https://a.example/a"]))
    before = repr(demands)
    first, second = planned(*demands), planned(*demands)
    assert repr(demands) == before
    assert first == second


# References


def reference(*demands: Demand, name: str = "cdn") -> str:
    [job] = plan(name, Vendor(limits=Limits(targets=9)), demands).jobs
    return job.reference


BATCH = ("/a", "/b")


def test_same_batch_of_the_same_changes_has_the_same_reference() -> None:
    assert reference(wanting(BATCH)) == reference(wanting(BATCH)) != ""
    # Who asked doesn't matter: S3 may deliver a change again in another message.
    other = Demand("cdn", PURGE, False, "b", {Target(URL, value): Want({"m9"}, {"1"}) for value in BATCH})
    assert reference(wanting(BATCH)) == reference(other)


@pytest.mark.parametrize(
    "other",
    [
        wanting(["/a"]),
        wanting(["/a", "/c"]),
        wanting(["/b", "/a"]),
        wanting(["/a/b"]),
        wanting(BATCH, mark="2"),
        wanting(BATCH, soft=True),
        wanting(BATCH, action=PRELOAD),
        wanting(BATCH, kind=TAG),
        Demand(
            "cdn", PURGE, False, "b", {Target(URL, "/a"): Want(set(), {"2"}), Target(URL, "/b"): Want(set(), {"1"})}
        ),
    ],
)
def test_any_other_batch_has_another_reference(other: Demand) -> None:
    assert reference(other) != reference(wanting(BATCH))


def test_every_instance_has_references_of_its_own() -> None:
    assert reference(wanting(BATCH)) != reference(wanting(BATCH), name="cdn-2")


def with_marks(*marks: str) -> Demand:
    return Demand("cdn", PURGE, False, "b", {Target(TAG, "all"): Want({"m"}, set(marks))})


def test_shared_target_has_a_new_reference_when_any_of_its_objects_changed() -> None:
    # Whichever of the marks sorts last: they belong to different objects, and can't be compared.
    assert reference(with_marks("5", "9")) == reference(with_marks("9", "5"))
    assert len({reference(with_marks(*marks)) for marks in (["5", "9"], ["6", "9"], ["9"], ["59"])}) == 4


@pytest.mark.parametrize("marks", [[""], ["", "5"]])
def test_change_without_identity_has_no_reference_rather_than_that_of_another(marks: list[str]) -> None:
    assert reference(with_marks(*marks)) == ""


def test_parts_of_a_batch_that_came_back_have_references_of_their_own() -> None:
    """A vendor takes a second call of one reference for a repetition, and accepts it without doing anything."""
    values = tuple(f"/{number}" for number in range(4))
    back = Job("cdn", PURGE, URL, values, (frozenset(("m",)),) * 4, reference="as-before")
    jobs = plan("cdn", Vendor(limits=Limits(targets=2)), (), [back]).jobs
    assert len({"", "as-before", *(job.reference for job in jobs)}) == 2 + len(jobs) == 4


# Jobs


@pytest.mark.parametrize(
    ("provider", "instance", "part"), [("site", "site", ""), ("site/E1", "site", "E1"), ("site/a/b", "site", "a/b")]
)
def test_a_job_knows_its_instance_and_what_that_was_found_to_stand_for(provider: str, instance: str, part: str) -> None:
    job = Job(provider, PURGE, URL, ("/a",), (frozenset(),))
    assert (job.instance, job.part) == (instance, part)


def test_a_job_for_everything_says_so_in_words() -> None:
    everything = Job("cdn", PURGE, TargetKind.EVERYTHING, ("",), (frozenset(),))
    urls = Job("cdn", PURGE, URL, ("/a", "/b"), (frozenset(),) * 2)
    assert (everything.everything, everything.described) == (True, ("(everything)",))
    assert (urls.everything, urls.described) == (False, ("/a", "/b"))


def test_a_job_is_located_once_it_is_spelled_for_the_vendor() -> None:
    demand = wanting(["https://a.example/x"])
    assert [job.located for job in unlocated(demand)] == [False]
    assert [(job.located, job.targets) for job in planned(demand).jobs] == [(True, ("/x",))]


# Parts of jobs


JOB = Job("cdn", PURGE, URL, ("/a", "/b", "/c"), (frozenset("1"), frozenset("2"), frozenset("13")), True, "reference")


def test_halves_hold_all_targets_with_their_causes() -> None:
    first, second = JOB.halves()
    assert (first.targets, first.causes) == (("/a",), (frozenset("1"),))
    assert (second.targets, second.causes) == (("/b", "/c"), (frozenset("2"), frozenset("13")))
    assert {(half.provider, half.action, half.kind, half.soft) for half in (first, second)} == {
        ("cdn", PURGE, URL, True)
    }


def test_messages_are_all_that_asked_for_something() -> None:
    assert JOB.messages == {"1", "2", "3"}


def test_parts_without_and_only() -> None:
    without, only = JOB.without(["/b", "/x"]), JOB.only(["/b", "/x"])
    assert without is not None
    assert only is not None
    assert (without.targets, without.causes) == (("/a", "/c"), (frozenset("1"), frozenset("13")))
    assert (only.targets, only.causes) == (("/b",), (frozenset("2"),))
    assert JOB.without(["/x"]) is JOB
    assert JOB.without([]) is JOB
    assert JOB.without(JOB.targets) is None
    assert JOB.only(JOB.targets) is JOB
    assert JOB.only(["/x"]) is None


def test_parts_have_references_that_are_stable_and_their_own() -> None:
    parts = [*JOB.halves(), JOB.without(["/b"]), JOB.only(["/b"]), *JOB.halves()[1].halves()]
    references = [part.reference for part in parts if part]
    assert references == [
        part.reference
        for part in [*JOB.halves(), JOB.without(["/b"]), JOB.only(["/b"]), *JOB.halves()[1].halves()]
        if part
    ]
    assert len({JOB.reference, *references}) == 1 + len(references)


def test_parts_of_a_job_without_a_reference_have_none() -> None:
    job = Job("cdn", PURGE, URL, ("/a", "/b"), (frozenset("1"), frozenset("2")))
    parts = [*job.halves(), job.without(["/a"]), job.only(["/a"])]
    assert [part.reference for part in parts if part] == ["", "", "", ""]


def test_halving_to_the_end_reaches_every_target_once() -> None:
    job = Job(
        "cdn", PURGE, URL, tuple(map(str, range(100))), tuple(frozenset({str(n)}) for n in range(100)), False, "r"
    )
    waiting, single = [job], []
    while waiting:
        part = waiting.pop()
        if len(part.targets) == 1:
            single.append(part)
        else:
            waiting += part.halves()
    assert sorted(part.targets[0] for part in single) == sorted(job.targets)
    assert all(part.causes == (frozenset(part.targets),) for part in single)
    assert len({part.reference for part in single}) == 100


# Nothing is dropped, nothing doubled, limits hold


NAMES = st.sampled_from(
    ["/a", "/b", "https://a.example/a", "https://a.example/c", "/größe", "/a/very/long/name", "refused"]
)
DEMANDS = st.lists(
    st.builds(
        lambda action, kind, soft, names, message: Demand(
            "cdn",
            action,
            soft and action is PURGE,
            "b",
            {Target(kind if action is PURGE else URL, name): Want({message}, {message}) for name in names},
        ),
        st.sampled_from(Action),
        st.sampled_from([URL, TAG]),
        st.booleans(),
        st.sets(NAMES),
        st.sampled_from(["m1", "m2", "m3"]),
    ),
    max_size=6,
)
LIMITS = st.builds(
    Limits,
    targets=st.integers(1, 4),
    bytes=st.none() | st.integers(20, 60),
    envelope=st.just(ENVELOPE),
    target_bytes=st.none() | st.integers(5, 20),
)


def asked(demands: Iterable[Demand]) -> dict[tuple[Action, TargetKind, str], frozenset[str]]:
    """By action, kind and the vendor's spelling: the messages that asked."""
    result: dict[tuple[Action, TargetKind, str], frozenset[str]] = {}
    for demand in demands:
        for target, want in demand.wants.items():
            place = (demand.action, target.kind, target.value.removeprefix("https://a.example"))
            result[place] = result.get(place, frozenset()) | want.causes
    return result


@given(DEMANDS, LIMITS)
def test_any_mix_is_planned_whole_once_and_within_the_limits(demands: list[Demand], limits: Limits) -> None:
    vendor = Vendor(limits=limits)
    found = plan("cdn", vendor, demands)
    jobs = [*found.jobs, *(outcome.job for outcome in found.rejected)]
    told: dict[tuple[Action, TargetKind, str], frozenset[str]] = {}
    for job in jobs:
        for target, causes in zip(job.targets, job.causes, strict=True):
            place = (job.action, job.kind, target.removeprefix("https://a.example"))
            # A refused target is told of once for each demand; all others once and for all.
            assert place not in told or target == "refused"
            told[place] = told.get(place, frozenset()) | causes
    assert told == asked(demands)
    for job in found.jobs:
        assert 1 <= len(job.targets) <= limits.targets
        assert limits.bytes is None or len(body(job.targets)) <= limits.bytes
        assert limits.target_bytes is None or all(len(value.encode()) <= limits.target_bytes for value in job.targets)
    hard = {(demand.action, target.kind, target.value.removeprefix("https://a.example"))
            for demand in demands if not demand.soft for target in demand.wants}  # fmt: skip
    assert all((job.action, job.kind, value) not in hard for job in found.jobs if job.soft for value in job.targets)

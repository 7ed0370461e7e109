"""What becomes of jobs that were not delivered: which wait, for how long, and which are given up."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multicdn.model import Action, Job, Outcome, Report, Status, TargetKind
from multicdn.queue import retry
from multicdn.queue.retry import DeadLetter, Decision, MessageHistory, Requeue, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1_800_000_000.0
HOUR = 3600.0
UNDELIVERED = [status for status in Status if status is not Status.ACCEPTED]

POLICY = RetryPolicy(give_up_after=6 * HOUR, first_delay=30.0, longest_delay=600.0, refused_attempts=3)
NO_HISTORY = MessageHistory({}, {}, {})


def job(causes: dict[str, set[str]], provider: str = "acme", **changed: Any) -> Job:
    """A purge of targets, each asked for by some messages."""
    settings: dict[str, Any] = {"action": Action.PURGE, "kind": TargetKind.URL, "reference": "ref", **changed}
    return Job(
        provider=provider, targets=tuple(causes), causes=tuple(frozenset(each) for each in causes.values()), **settings
    )


def outcome(status: Status, causes: dict[str, set[str]] | None = None, **changed: Any) -> Outcome:
    after = changed.pop("after", None)
    reason = changed.pop("reason", "503: busy")
    final = changed.pop("final", False)
    calls = changed.pop("calls", 0 if status in (Status.PACED, Status.UNASKED) else 1)
    wanted = job(causes or {"https://a/1": {"m1"}, "https://a/2": {"m1"}}, **changed)
    return Outcome(wanted, status, reason, after=after, calls=calls, final=final)


def history(**messages: tuple[float, int] | tuple[float, int, int]) -> MessageHistory:
    """Messages by id: how many seconds ago each was sent, how often its job was tried before, how often refused."""
    whole = {name: (*told, 0)[:3] for name, told in messages.items()}
    return MessageHistory(
        {name: NOW - age for name, (age, _, _) in whole.items()},
        {name: attempts for name, (_, attempts, _) in whole.items() if attempts},
        {},
        {name: refusals for name, (_, _, refusals) in whole.items() if refusals},
    )


def decide(
    *outcomes: Outcome, known: MessageHistory = NO_HISTORY, policy: RetryPolicy = POLICY, jitter: float = 1.0
) -> list[Decision]:
    return retry.decide(Report(outcomes), known, policy, NOW, lambda most: most * jitter)


def requeued(*outcomes: Outcome, **settings: Any) -> Requeue:
    """The decision about outcomes that come to one, which must be to try it again."""
    [decision] = decide(*outcomes, **settings)
    assert isinstance(decision, Requeue)
    return decision


def targets(decisions: list[Decision], *, dead: bool) -> list[str]:
    return sorted(
        target
        for decision in decisions
        if isinstance(decision, DeadLetter) is dead
        for target in decision.queued.job.targets
    )


# Requeued, or given up


@pytest.mark.parametrize(
    ("status", "age", "attempts", "refusals", "dead"),
    [
        (Status.RETRY, 0, 0, 0, False),
        (Status.RETRY, 0, 1000, 0, False),
        (Status.RETRY, 6 * HOUR - 1, 20, 0, False),
        (Status.RETRY, 6 * HOUR, 0, 0, False),
        (Status.RETRY, 6 * HOUR, 4, 0, False),
        (Status.RETRY, 6 * HOUR, 5, 0, True),
        (Status.RETRY, 6 * HOUR, 3, 2, True),
        (Status.RETRY, 24 * HOUR - 1, 0, 0, False),
        (Status.RETRY, 24 * HOUR, 0, 0, True),
        (Status.UNAUTHORIZED, 0, 0, 0, False),
        (Status.UNAUTHORIZED, 0, 5, 0, False),  # after five 503s
        (Status.UNAUTHORIZED, 0, 1, 1, False),
        (Status.UNAUTHORIZED, 0, 2, 2, True),
        (Status.UNAUTHORIZED, 6 * HOUR, 0, 0, False),
        (Status.REJECTED, 0, 0, 0, True),
        (Status.REFUSED, 0, 1, 1, False),
        (Status.REFUSED, 0, 2, 2, True),
        (Status.UNASKED, 0, 0, 1, False),
        (Status.UNASKED, 0, 0, 2, True),
        (Status.PACED, 90 * HOUR, 0, 0, False),
    ],
)
def test_what_waits_and_what_is_given_up(status: Status, age: float, attempts: int, refusals: int, dead: bool) -> None:
    lost = outcome(status)
    [decision] = decide(lost, known=history(m1=(age, attempts, refusals)))
    assert isinstance(decision, DeadLetter) is dead
    assert (decision.status, decision.reason) == (status, "503: busy")
    assert decision.queued.attempt == attempts + lost.calls
    assert decision.queued.refusals == refusals + (status in ("refused", "unauthorized", "unasked"))
    assert decision.queued.since == NOW - age


def test_a_refusal_beyond_doubt_is_given_up_at_once() -> None:
    [decision] = decide(outcome(Status.REFUSED, final=True))
    assert isinstance(decision, DeadLetter)


def test_what_was_not_called_counts_as_untried_and_is_not_given_up_with_what_was() -> None:
    called, uncalled = ({f"https://a/{calls}": {"m1"}} for calls in (1, 0))
    both = (outcome(Status.RETRY, called, calls=1), outcome(Status.RETRY, uncalled, calls=0))
    decisions = decide(*both, known=history(m1=(7 * HOUR, 5)))
    assert targets(decisions, dead=True) == ["https://a/1"]
    assert targets(decisions, dead=False) == ["https://a/0"]
    assert [decision.queued.attempt for decision in decisions if isinstance(decision, Requeue)] == [5]


def test_nothing_is_decided_about_what_was_accepted() -> None:
    assert decide(outcome(Status.ACCEPTED)) == []


def test_a_message_of_an_unknown_age_was_sent_just_now() -> None:
    queued = requeued(outcome(Status.RETRY)).queued
    assert (queued.since, queued.attempt) == (NOW, 1)


def test_the_whole_job_is_requeued_and_names_the_messages_that_asked_for_it() -> None:
    lost = outcome(Status.RETRY, {"https://a/1": {"m1", "m2"}, "https://a/2": {"m3"}}, soft=True, bucket="acme-site")
    queued = requeued(lost).queued
    assert queued.job == lost.job
    assert queued.origins == ("m1", "m2", "m3")


# Delays


@pytest.mark.parametrize(
    ("attempts", "least", "most"),
    [(0, 15, 30), (1, 30, 60), (2, 60, 120), (3, 120, 240), (5, 300, 600), (50, 300, 600), (5000, 300, 600)],
)
def test_the_delay_doubles_from_attempt_to_attempt_up_to_the_longest_and_is_spread(
    attempts: int, least: int, most: int
) -> None:
    known = history(m1=(0, attempts))
    delays = [requeued(outcome(Status.RETRY), known=known, jitter=share).delay for share in (0.0, 1.0)]
    assert delays == [least, most]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(
    ("after", "least"),
    [(0.0, 15), (40.2, 41), (700.0, 700), (899.5, 900), (900.0, 900), (86_400.0, 900), (float("inf"), 900)],
)
def test_no_delay_is_shorter_than_the_vendor_asked_for_nor_longer_than_sqs_can(
    after: float, least: int, share: float
) -> None:
    delay = requeued(outcome(Status.RETRY, after=after), jitter=share).delay
    assert least <= delay <= max(30, least)
    assert isinstance(delay, int)


def test_a_delay_is_drawn_at_random_unless_a_test_says_otherwise() -> None:
    report = Report((outcome(Status.RETRY),))
    decided = [each for _ in range(60) for each in retry.decide(report, history(m1=(0, 3)), POLICY, NOW)]
    delays = {decision.delay for decision in decided if isinstance(decision, Requeue)}
    assert len(delays) > 10
    assert all(120 <= delay <= 240 for delay in delays)


@given(
    attempts=st.integers(-5, 100_000),
    after=st.none() | st.floats(0),
    first=st.floats(1, 900),
    longest=st.floats(1, 900),
    share=st.floats(0, 1),
)
def test_any_delay_is_one_that_sqs_takes(
    attempts: int, after: float | None, first: float, longest: float, share: float
) -> None:
    policy = RetryPolicy(first_delay=first, longest_delay=longest)
    decision = requeued(
        outcome(Status.RETRY, after=after), known=history(m1=(0, attempts)), policy=policy, jitter=share
    )
    assert 0 <= decision.delay <= 900


# Many causes


def test_old_targets_are_given_up_apart_from_the_young() -> None:
    lost = outcome(Status.RETRY, {"https://a/old": {"m1"}, "https://a/young": {"m2"}, "https://a/both": {"m1", "m2"}})
    decisions = decide(lost, known=history(m1=(7 * HOUR, 9), m2=(60, 0)))
    assert targets(decisions, dead=True) == ["https://a/old"]
    assert targets(decisions, dead=False) == ["https://a/both", "https://a/young"]
    [young] = [decision.queued for decision in decisions if isinstance(decision, Requeue)]
    assert (young.attempt, young.since, young.job.messages) == (1, NOW - 60, {"m1", "m2"})


def test_targets_that_were_refused_too_often_are_given_up_apart_from_those_that_were_not() -> None:
    lost = outcome(Status.UNAUTHORIZED, {"https://a/tired": {"m1"}, "https://a/fresh": {"m2"}})
    decisions = decide(lost, known=history(m1=(60, 2, 2), m2=(5, 0)))
    assert targets(decisions, dead=True) == ["https://a/tired"]
    assert targets(decisions, dead=False) == ["https://a/fresh"]


def test_of_several_causes_the_newest_counts_in_age_attempts_and_delay() -> None:
    """A purge for the newest upload does for all older ones: their delay isn't handed on to it."""
    lost = outcome(Status.RETRY, {"https://a/1": {"m1", "m2"}})
    decision = requeued(lost, known=history(m1=(5000, 4), m2=(1, 0)))
    assert (decision.queued.attempt, decision.queued.since, decision.delay) == (1, NOW - 1, 30)


def test_a_fresh_target_waits_apart_from_those_that_were_tried_more_often() -> None:
    lost = outcome(Status.RETRY, {"https://a/old": {"m1"}, "https://a/fresh": {"m2"}})
    decisions = decide(lost, known=history(m1=(200, 3), m2=(1, 0)))
    found = {each.queued.job.targets[0]: each.delay for each in decisions if isinstance(each, Requeue)}
    assert found == {"https://a/old": 240, "https://a/fresh": 30}


def test_many_ages_make_few_messages_and_none_is_given_up_too_soon() -> None:
    many = {f"https://a/{n}": {f"m{n}"} for n in range(1000)}
    known = history(**{f"m{n}": (n * 20, n % 40) for n in range(1000)})
    decisions = decide(outcome(Status.RETRY, many), known=known)
    assert len(decisions) <= 80
    for decision in decisions:
        newest = max(known.sent[cause] for cause in decision.queued.job.messages)
        assert decision.queued.since == newest


def test_the_first_messages_are_remembered_over_many_attempts() -> None:
    known = MessageHistory({}, {"back": 3, "also": 3}, {"back": ("first-1", "first-2")})
    lost = outcome(Status.RETRY, {"https://a/1": {"back"}, "https://a/2": {"also"}})
    assert requeued(lost, known=known).queued.origins == ("also", "first-1", "first-2")


# Few messages


def one_by_one(count: int, status: Status = Status.RETRY, reason: str = "POST /{}: 503") -> list[Outcome]:
    """As of a vendor that takes one URL a call."""
    urls = [f"https://a/{number}" for number in range(count)]
    return [outcome(status, {url: {f"m:{url}"}}, reason=reason.format(url), reference=f"r:{url}") for url in urls]


def test_thousands_of_jobs_of_one_target_wait_together() -> None:
    waiting = requeued(*one_by_one(5000)).queued.job
    assert sorted(waiting.targets) == sorted(f"https://a/{number}" for number in range(5000))
    for target, causes in zip(waiting.targets, waiting.causes, strict=True):
        assert causes == {f"m:{target}"}


def test_jobs_that_wait_together_keep_their_reference_as_long_as_they_are_the_same() -> None:
    references = [requeued(*one_by_one(count)).queued.job.reference for count in (3, 3, 4)]
    assert references[0] == references[1] != references[2]
    nameless = outcome(Status.RETRY, {"https://a/x": {"m"}}, reference="")
    assert requeued(*one_by_one(2), nameless).queued.job.reference == ""


def test_they_wait_for_as_long_as_the_one_that_was_told_to_wait_longest() -> None:
    told = [outcome(Status.RETRY, {f"https://a/{after}": {"m"}}, after=after) for after in (None, 300.0, 100.0)]
    assert requeued(*told).delay == 300


def test_a_job_of_one_target_alone_stays_as_it_is() -> None:
    [alone] = one_by_one(1)
    assert requeued(alone).queued.job == alone.job


@pytest.mark.parametrize(
    "other",
    [
        {"provider": "bravo"},
        {"provider": "acme/E1"},
        {"action": Action.PRELOAD},
        {"kind": TargetKind.TAG},
        {"soft": True},
        {"bucket": "acme-site"},
    ],
    ids=str,
)
def test_jobs_that_differ_in_more_than_their_targets_stay_apart(other: dict[str, Any]) -> None:
    decisions = decide(*one_by_one(2), outcome(Status.RETRY, {"x": {"m"}}, **other))
    assert sorted(len(decision.queued.job.targets) for decision in decisions) == [1, 2]


def test_targets_that_are_rejected_for_the_same_reason_share_a_dead_letter_and_others_do_not() -> None:
    same = one_by_one(3, Status.REJECTED, "{} is no URL of this zone")
    other = outcome(Status.REJECTED, {"https://b/1": {"m"}}, reason="https://b/1 is too long")
    decisions = decide(*same, other)
    assert [(decision.reason, len(decision.queued.job.targets)) for decision in decisions] == [
        ("https://a/0 is no URL of this zone (and 2 more)", 3),
        ("https://b/1 is too long", 1),
    ]


@st.composite
def any_report(draw: st.DrawFn) -> Report:
    messages = st.sets(st.sampled_from(["m1", "m2", "m3", "back"]), min_size=1)
    jobs = draw(
        st.lists(st.dictionaries(st.text("ab/", min_size=1, max_size=4), messages, min_size=1, max_size=5), max_size=8)
    )
    return Report(
        tuple(
            outcome(
                draw(st.sampled_from(UNDELIVERED)),
                causes,
                provider=f"p{place}" if draw(st.booleans()) else "acme",
                kind=draw(st.sampled_from(TargetKind)),
                reference=draw(st.sampled_from(["", "ref"])),
                reason=draw(st.sampled_from(["503", "bad"])),
            )
            for place, causes in enumerate(jobs)
        )
    )


@given(
    report=any_report(),
    ages=st.lists(st.floats(0, 10 * HOUR), min_size=4, max_size=4),
    attempts=st.integers(0, 9),
)
def test_every_undelivered_target_is_in_exactly_one_decision_for_all_who_asked(
    report: Report, ages: list[float], attempts: int
) -> None:
    names = ("m1", "m2", "m3", "back")
    known = history(**{name: (age, attempts * (name == "back")) for name, age in zip(names, ages, strict=True)})
    decisions = decide(*report, known=known)

    def asked(jobs: list[Job]) -> Counter[tuple[object, ...]]:
        return Counter(
            (one.provider, one.kind, target, causes)
            for one in jobs
            for target, causes in zip(one.targets, one.causes, strict=True)
        )

    assert asked([decision.queued.job for decision in decisions]) == asked([each.job for each in report])


def test_a_jitter_gets_the_half_of_the_delay_that_is_left_to_chance() -> None:
    bounds: list[float] = []
    draw: Callable[[float], float] = lambda most: bounds.append(most) or 0.0  # type: ignore[func-returns-value]  # noqa: E731
    retry.decide(Report((outcome(Status.RETRY),)), NO_HISTORY, POLICY, NOW, draw)
    assert bounds == [15.0]


# A vendor that is well, but was not called because of its rate


def test_a_job_whose_turn_comes_later_waits_until_then_and_counts_as_untried() -> None:
    decision = requeued(outcome(Status.PACED, after=3.2), known=history(m1=(30, 2)))
    assert (decision.delay, decision.queued.attempt) == (4, 2)


def test_one_that_is_new_is_still_untried() -> None:
    assert requeued(outcome(Status.PACED, after=4.0)).queued.attempt == 0


def test_it_is_never_given_up_since_it_was_never_tried() -> None:
    assert requeued(outcome(Status.PACED, after=4.0), known=history(m1=(7 * HOUR, 0))).delay == 4


def test_of_thousands_those_that_are_told_the_same_turn_come_back_together() -> None:
    waiting = [outcome(Status.PACED, {f"https://a/{n}": {"m1"}}, after=6.0 * (n // 40) + 0.9) for n in range(100)]
    decisions = decide(*waiting)
    assert [len(decision.queued.job.targets) for decision in decisions] == [40, 40, 20]
    assert [decision.delay for decision in decisions if isinstance(decision, Requeue)] == [1, 7, 13]

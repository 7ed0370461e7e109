"""A refusal costs what was refused: one kind, one host, one target; whatever the order, and from the queue too."""

from __future__ import annotations

import itertools
import json
import logging
from typing import TYPE_CHECKING

import pytest
from kit.scripted_provider import Scripted, Seen, accept, delivery, demand, ends, of, urls

from multicdn import records, reporting
from multicdn.delivery.refusals import host_of
from multicdn.errors import CallRefused, CredentialsRefused, RetryLater, SecretError, TargetsRefused
from multicdn.model import Action, Job, Rank, Receipt, Status, TargetKind
from multicdn.provider import Limits
from multicdn.queue.retry import MessageHistory, Requeue, RetryPolicy, decide

if TYPE_CHECKING:
    from collections.abc import Callable

    from multicdn.errors import ProviderError
    from multicdn.routing.demand import Demand

ONE = Limits(targets=1)
TAGS = ["site"]
WWW, SHOP, NEWS, BLOG = (
    [f"https://{host}.acme.com/{n}" for n in range(20)] for host in ("www", "shop", "news", "blog")
)

REFUSALS = [
    CallRefused("no tags here", "kind"),
    CallRefused("no tags here"),
    CredentialsRefused("403: not allowed", "kind"),
    CredentialsRefused("403: not allowed"),
]


def refusing(refused: Callable[[Seen], object], error: Exception) -> Callable[[Seen], Receipt]:
    def answer(seen: Seen) -> Receipt:
        if refused(seen):
            raise error
        return accept(seen)

    return answer


def by_tag(seen: Seen) -> bool:
    return seen.method == "purge_tags"


def at(*hosts: str) -> Callable[[Seen], bool]:
    return lambda seen: any(host_of(target).startswith(hosts) for target in seen.targets)


def back(targets: list[str], kind: TargetKind = TargetKind.URL, rank: Rank = Rank.TRIED) -> Job:
    causes = tuple(frozenset((f"back:{target}",)) for target in targets)
    return Job("acme", Action.PURGE, kind, tuple(targets), causes, reference="r", rank=rank)


def tags() -> Demand:
    return demand(TAGS, kind=TargetKind.TAG)


# One kind


@pytest.mark.parametrize("error", REFUSALS, ids=repr)
@pytest.mark.parametrize("tags_first", [True, False])
def test_a_kind_that_is_refused_costs_the_others_nothing(error: ProviderError, tags_first: bool) -> None:
    acme = Scripted(limits=ONE, answer=refusing(by_tag, error))
    wanted = [tags(), demand(urls(20))] if tags_first else [demand(urls(20)), tags()]
    report = delivery(acme).deliver(wanted, 60)
    assert of(report, Status.ACCEPTED) == sorted(urls(20))
    assert ends(report)["acme", "site"][0] in (Status.REFUSED, Status.UNAUTHORIZED)


@pytest.mark.parametrize("error", REFUSALS, ids=repr)
@pytest.mark.parametrize("rank", Rank)
def test_a_refused_job_that_came_back_costs_the_new_ones_nothing(error: ProviderError, rank: Rank) -> None:
    acme = Scripted(limits=ONE, answer=refusing(by_tag, error))
    report = delivery(acme).deliver([demand(urls(10))], 60, [back(TAGS, TargetKind.TAG, rank)])
    assert of(report, Status.ACCEPTED) == sorted(urls(10))


def test_of_a_refused_kind_one_call_is_made_and_the_rest_is_not_asked() -> None:
    acme = Scripted(limits_of_tags=ONE, answer=refusing(by_tag, CallRefused("no tags here", "kind")))
    report = delivery(acme).deliver([demand(["a", "b", "c"], kind=TargetKind.TAG), demand(urls(1))], 60)
    assert [seen.method for seen in acme.calls] == ["purge_tags", "purge_urls"]
    assert [outcome.reason for outcome in report][:3] == ["no tags here", *["not asked, because no tags here"] * 2]


# One host


@pytest.mark.parametrize("about", ["host", None])
@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("first", [WWW, SHOP])
def test_a_host_that_is_refused_costs_the_others_nothing(about: str | None, size: int, first: list[str]) -> None:
    error = CredentialsRefused("403: Forbidden", about)  # type: ignore[arg-type]
    acme = Scripted(limits=Limits(targets=size), answer=refusing(at("shop"), error))
    wanted = [demand(first), demand(SHOP if first is WWW else WWW), tags()]
    report = delivery(acme).deliver(wanted, 60)
    assert of(report, Status.ACCEPTED) == sorted([*TAGS, *WWW])
    assert all(ends(report)["acme", url][0] in (Status.UNAUTHORIZED, Status.UNASKED) for url in SHOP)
    assert sum("shop" in seen.targets[0] for seen in acme.calls) <= 3


@pytest.mark.parametrize("order", list(itertools.permutations((WWW, SHOP, NEWS))))
def test_two_of_three_hosts_may_be_refused_in_any_order(order: tuple[list[str], ...]) -> None:
    acme = Scripted(limits=ONE, answer=refusing(at("shop", "news"), CredentialsRefused("403: Forbidden")))
    report = delivery(acme).deliver([demand(urls_) for urls_ in order], 60)
    assert of(report, Status.ACCEPTED) == sorted(WWW)


def test_when_hosts_and_kinds_are_refused_one_after_the_other_the_rest_is_not_asked() -> None:
    acme = Scripted(limits=ONE, answer=refusing(lambda _: True, CredentialsRefused("403: Forbidden")))
    wanted = [*map(demand, (WWW, SHOP, NEWS, BLOG)), tags()]
    report = delivery(acme).deliver(wanted, 60)
    assert len(acme.calls) == 4  # three hosts, and the first once more, with secrets asked for anew
    assert of(report, Status.ACCEPTED) == []


def test_a_target_that_alone_is_refused_without_a_scope_is_found_among_those_that_are_accepted() -> None:
    bad = WWW[7]
    acme = Scripted(
        limits=Limits(targets=5), answer=refusing(lambda seen: bad in seen.targets, CredentialsRefused("403: no"))
    )
    report = delivery(acme).deliver([demand(WWW)], 60)
    assert of(report, Status.ACCEPTED) == sorted(set(WWW) - {bad})
    assert ends(report)["acme", bad] == [Status.UNAUTHORIZED]


@pytest.mark.parametrize("error", [SecretError("no such parameter"), CredentialsRefused("401", "account")])
def test_what_is_about_all_is_not_asked_host_by_host(error: Exception) -> None:
    acme = Scripted(answer=refusing(lambda _: True, error))
    report = delivery(acme).deliver([demand([*WWW, *SHOP]), tags()], 60)
    assert len(acme.calls) == 1 + isinstance(error, CredentialsRefused)
    assert [outcome.status for outcome in report] == [Status.UNAUTHORIZED, Status.UNASKED]


def test_a_secret_whose_source_is_out_is_no_refusal_and_gives_nothing_up() -> None:
    """A new process during twenty minutes without SSM: all was a dead letter after six invocations."""
    error = SecretError("${ssm:/acme/token}: ThrottlingException: Rate exceeded", passing=True)
    acme = Scripted(limits=ONE, answer=refusing(lambda _: True, error))
    report = delivery(acme).deliver([demand(WWW), tags()], 60)
    assert len(acme.calls) == 1
    assert {outcome.status for outcome in report} == {Status.RETRY}
    history = MessageHistory({}, {}, {}, refusals={cause: 100 for each in report for cause in each.job.messages})
    assert all(isinstance(each, Requeue) for each in decide(report, history, RetryPolicy(), 0.0))


def test_credentials_that_are_revoked_meanwhile_are_not_tried_for_each_target() -> None:
    accepted: list[Seen] = []

    def answer(seen: Seen) -> Receipt:
        accepted.append(seen)
        if len(accepted) > 5:
            raise CredentialsRefused("403: revoked")
        return accept(seen)

    acme = Scripted(limits=ONE, answer=answer)
    delivery(acme).deliver([demand(urls(1000))], 60)
    assert len(acme.calls) <= 20


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("https://WWW.acme.com/a", "www.acme.com"),
        ("//www.acme.com/a", "www.acme.com"),
        ("www.acme.com/blog/", "www.acme.com"),
        ("http://www.acme.com:8080/a?b", "www.acme.com:8080"),
        ('{"url":"https://www.acme.com/a","headers":{}}', "www.acme.com"),
        ("/a.css", ""),
        ("", ""),
    ],
)
def test_the_host_is_found_however_the_vendor_spells_its_targets(target: str, host: str) -> None:
    assert host_of(target) == host


# From the queue


def test_what_came_back_in_vain_goes_after_what_is_new_and_shares_no_call_with_it() -> None:
    acme = Scripted()
    delivery(acme).deliver([demand(NEWS)], 60, [back(WWW), back(SHOP), back(BLOG, rank=Rank.ALONE)])
    assert [seen.targets for seen in acme.calls] == [tuple(NEWS), (*WWW, *SHOP), tuple(BLOG)]


def test_pieces_of_a_batch_that_failed_share_a_call_with_nobody() -> None:
    acme = Scripted()
    delivery(acme).deliver(
        [], 60, [back(BLOG[:2], rank=Rank.ALONE), back(SHOP, rank=Rank.ALONE), back(WWW), back(NEWS)]
    )
    assert [len(seen.targets) for seen in acme.calls] == [2, 20, 40]


def test_what_came_back_and_is_asked_for_anew_is_asked_once_with_what_is_new() -> None:
    acme = Scripted()
    report = delivery(acme).deliver([demand(["https://a/1"])], 60, [back(["https://a/0", "https://a/1"])])
    assert [seen.targets for seen in acme.calls] == [("https://a/1",), ("https://a/0",)]
    assert {cause for outcome in report for cause in outcome.job.messages} == {
        "m:https://a/1", "back:https://a/1", "back:https://a/0"
    }  # fmt: skip


def test_a_batch_that_came_back_takes_no_new_target_along() -> None:
    """One bad target of 50 came back; 40 are new."""
    acme = Scripted(answer=refusing(lambda seen: "https://bad/" in seen.targets, RetryLater("what nobody has seen")))
    new = [f"https://www.acme.com/new/{n}" for n in range(40)]
    report = delivery(acme).deliver([demand(new)], 60, [back(["https://bad/", *urls(49)])])
    assert of(report, Status.ACCEPTED) == sorted([*new, *urls(49)])
    assert of(report, Status.RETRY) == ["https://bad/"]


# One target that makes a batch fail without a reason


@pytest.mark.parametrize("place", [0, 1, 25, 49])
def test_a_target_that_makes_its_batch_fail_is_found(place: int) -> None:
    bad = urls(50)[place]
    acme = Scripted(answer=refusing(lambda seen: bad in seen.targets, RetryLater("500: oops")))
    deliver = delivery(acme).deliver
    report = deliver([demand(urls(50))], 120)
    left = [outcome.job for outcome in report.undelivered]
    again = deliver([], 120, left) if len(of(report, Status.ACCEPTED)) < 49 else report
    done = {*of(report, Status.ACCEPTED), *of(again, Status.ACCEPTED)}
    assert done == set(urls(50)) - {bad}
    assert len(acme.calls) < 40


def test_a_vendor_that_is_out_gets_hardly_more_calls_for_it() -> None:
    acme = Scripted(limits=Limits(targets=10), answer=refusing(lambda _: True, RetryLater("503: out")))
    report = delivery(acme, tries=8).deliver([demand(urls(10))], 1000)
    assert len(of(report, Status.RETRY)) == 10
    assert len(acme.calls) <= 10
    assert sorted(len(outcome.job.targets) for outcome in report) == [1, 9]


# Answers that aren't the vendor's


def test_a_refused_target_ends_as_rejected_and_the_others_are_asked() -> None:
    error = TargetsRefused("404: Record not found; Cannot find service")
    acme = Scripted(limits=ONE, answer=refusing(at("shop"), error))
    report = delivery(acme).deliver([demand([*SHOP, *WWW]), tags()], 60)
    assert of(report, Status.ACCEPTED) == sorted([*TAGS, *WWW])
    assert of(report, Status.REJECTED) == sorted(SHOP)


# The log


def test_the_log_says_once_why_something_was_not_asked(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="multicdn")
    acme = Scripted(limits=ONE, answer=refusing(at("shop"), CredentialsRefused("403: Forbidden", "host")))
    report = delivery(acme).deliver([demand([*SHOP, *WWW])], 60)
    found = records.ended(report, records.Fates((), (), report), MessageHistory({}, {}, {}), 0.0)
    reporting.log_records(records.records(found))
    lines = [json.loads(record.getMessage()) for record in caplog.records]
    [unasked] = [line for line in lines if line["event"] == "unasked"]
    assert (unasked["targets"], unasked["calls"]) == (19, 0)
    assert unasked["reason"] == "not asked, because 403: Forbidden"
    assert [line["event"] for line in lines].count("unauthorized") == 1

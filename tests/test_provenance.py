"""Where targets come from: it is told exactly as long as it fits, and survives all that befalls a job."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.stage import s3_event

from multicdn.config.checker import parse
from multicdn.delivery.shares import by_instance
from multicdn.events import envelopes
from multicdn.model import Action, Change, ChangeKind, Job, Outcome, Rank, Report, Status, TargetKind
from multicdn.planning import planner
from multicdn.plugins.discovery import Plugins
from multicdn.provenance import MOST, Provenance, condensed, joined
from multicdn.queue import message, waiting
from multicdn.queue.message import QueuedJob
from multicdn.queue.retry import MessageHistory, RetryPolicy, decide
from multicdn.routing.router import Router

CONFIG = """
version: 1
providers:
  fastly: {token: "${env:TOKEN}", service: SU1Z0isxPaozGVKXdv0eY}
routes:
  - {bucket: acme-site, urls: ["https://a/{key}"], tags: ["site"], index: index.html, purge: [fastly]}
  - {bucket: acme-site, prefix: docs/, urls: ["https://a/{key}"], purge: [fastly]}
  - {bucket: other, urls: ["https://o/{key}"], purge: [fastly]}
"""


def one(key: str, **members: Any) -> Provenance:
    return Provenance(**{"bucket": "b", "keys": (key,), "objects": 1, **members})


def planned(*changes: Change) -> dict[str, Provenance]:
    """Where each target of a plan comes from."""
    config = parse(CONFIG, "c.yml", Plugins())
    demands, _ = Router(config.routes, config.providers, places=config.places).demands(changes)
    plan = planner.plan("fastly", config.providers["fastly"], demands)
    return {target: each for job in plan.jobs for target, each in zip(job.targets, job.provenance, strict=True)}


def of(*found: Provenance, **members: Any) -> Job:
    names = tuple(f"/{place}" for place in range(len(found)))
    causes = (frozenset(("m",)),) * len(found)
    return Job("www", Action.PURGE, TargetKind.URL, names, causes, provenance=found, **members)


def sent(job: Job, largest: int = message.LARGEST) -> list[Job]:
    """A job after its way through the queue."""
    bodies = message.encode(QueuedJob(job, 1, 5.0, ("first",)), largest)
    return [message.decode(json.loads(body), "m2").job for body in bodies]


# From the event to a call


def test_a_target_knows_objects_routes_principal_and_time() -> None:
    event = s3_event("docs/index.html")
    event["Records"][0].update(
        eventTime="2026-01-01T00:00:00.5Z",
        userIdentity={"principalId": "AWS:AIDA"},
        requestParameters={"sourceIPAddress": "203.0.113.7"},
    )
    found = planned(*envelopes.decode(event).changes)
    who = {"principal": "AWS:AIDA", "source_ip": "203.0.113.7", "uploaded": "2026-01-01T00:00:00.5Z"}
    at = {"bucket": "acme-site", "keys": ("docs/index.html",), "objects": 1}
    assert found["https://a/docs/index.html"] == Provenance(**at, **who, routes=("c.yml:6", "c.yml:7"))
    assert found["https://a/docs/"] == found["site"] == Provenance(**at, **who, routes=("c.yml:6",))


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"userIdentity": "AWS:AIDA", "requestParameters": 7}, ("", "")),
        ({"userIdentity": {"principalId": 7}, "requestParameters": {}}, ("", "")),
        ({"userIdentity": None}, ("", "")),
        ({"userIdentity": {"principalId": "p" * 9999}}, ("p" * 256, "")),
        ({"requestParameters": {"sourceIPAddress": "::1", "principalId": "x"}}, ("", "::1")),
    ],
)
@pytest.mark.parametrize("source", ["aws:s3", "minio:s3"])
def test_who_did_it_may_have_any_form_and_costs_no_event(
    members: dict[str, Any], expected: tuple[str, str], source: str
) -> None:
    event = s3_event("a")
    event["Records"][0].update({"eventSource": source, **members})
    for shape in (event, {"Records": [{"eventSource": "aws:sqs", "body": json.dumps(event)}]}):
        [change] = envelopes.decode(shape).changes
        assert (change.principal, change.source_ip) == expected


def test_eventbridge_and_cloudtrail_name_them_in_their_own_ways() -> None:
    where = {"bucket": {"name": "b"}, "object": {"key": "k"}}
    bridge = {"source": "aws.s3", "detail-type": "Object Created", "time": "2026-01-01T00:00:00Z"}
    detail = {**where, "requester": "123456789012", "source-ip-address": "203.0.113.7"}
    trail = {
        "eventSource": "s3.amazonaws.com", "eventName": "PutObject", "sourceIPAddress": "203.0.113.8",
        "userIdentity": {"arn": "arn:aws:iam::1:user/ann", "principalId": "AIDA"},
        "requestParameters": {"bucketName": "b", "key": "k"},
    }  # fmt: skip
    for event, expected in (
        ({**bridge, "detail": detail}, ("123456789012", "203.0.113.7")),
        ({**bridge, "detail": {**detail, "requester": 7}}, ("", "203.0.113.7")),
        ({"detail-type": "AWS API Call via CloudTrail", "detail": trail}, ("arn:aws:iam::1:user/ann", "203.0.113.8")),
    ):
        [change] = envelopes.decode(event).changes
        assert (change.principal, change.source_ip) == expected


def test_a_tag_of_thousands_counts_them_and_names_the_first() -> None:
    changes = [Change("acme-site", f"k{number}", time="2026-01-01T00:00:00Z") for number in range(2000)]
    changes.append(Change("acme-site", "old", time="2025-01-01T00:00:00.000Z"))
    found = planned(*changes)["site"]
    assert (found.objects, found.keys, found.uploaded) == (2001, ("k0", "k1", "k2", "k3", "k4"), changes[-1].time)


def test_an_object_that_two_routes_and_two_events_name_is_one() -> None:
    twice = [Change("acme-site", "docs/a", cause=cause, sequencer=cause) for cause in ("1", "2")]
    found = planned(*twice)
    assert (found["https://a/docs/a"].objects, found["site"].objects) == (1, 1)


# Joined


def test_what_is_not_shared_is_not_told_and_what_a_person_asked_is_kept() -> None:
    found = joined([one("1", principal="P", source_ip="I"), one("2", principal="P", source_ip="J"), one("3", by="ann")])
    assert found == Provenance("b", ("1", "2", "3"), 3, principal="P", by="ann")


def test_keys_of_another_bucket_say_so() -> None:
    assert joined([one("1"), one("1", bucket="c")]).keys == ("1", "s3://c/1")


def test_the_earliest_upload_counts_whoever_wrote_the_time() -> None:
    times = ("2026-01-01T00:00:00.500Z", "2026-01-01T00:00:00Z", "")
    for order in itertools.permutations(times):
        assert joined([one("1", uploaded=time) for time in order]).uploaded == "2026-01-01T00:00:00Z"


# Through the queue


def test_a_small_job_comes_back_with_the_objects_of_each_target() -> None:
    job = of(one("1", routes=("c.yml:6",), principal="P"), one("2", by="ann", why="ticket"), one("1"))
    [back] = sent(job)
    assert back.provenance == job.provenance
    assert back.halves()[1].provenance == job.provenance[1:]
    assert (back.only(["/1"]) or back).provenance == (job.provenance[1],)
    assert (back.without(["/0"]) or back).provenance == job.provenance[1:]


def test_a_large_one_keeps_people_apart_and_counts_the_rest() -> None:
    job = of(*(one(str(number), by="ann" if number % 2 else "") for number in range(100)))
    [back] = sent(job)
    assert len(set(map(id, back.provenance))) == 2
    assert [each.by for each in back.provenance] == ["", "ann"] * 50
    assert (back.provenance[1].objects, back.provenance[1].keys) == (50, ("1", "3", "5", "7", "9"))


def test_of_many_people_the_first_is_told_and_not_for_what_others_did() -> None:
    [back] = sent(of(*(one(str(number), by=f"p{number}") for number in range(9))))
    assert back.provenance == (Provenance("b", ("0", "1", "2", "3", "4"), 9, by="p0 and others"),) * 9
    assert joined([back.provenance[0], one("x", by="ann")]).by == "p0 and others"
    assert joined([one("x", by="ann"), one("y"), one("z", by="ann")]).by == "ann"


def test_a_message_that_is_cut_tells_of_each_part() -> None:
    job = of(*(one(str(number)) for number in range(40)))
    job = msgspec.structs.replace(job, targets=tuple(f"/{number:0500}" for number in range(40)))
    parts = sent(job, largest=8000)
    assert [(len(part.targets), part.provenance[9].objects) for part in parts] == [(10, 10)] * 4
    assert [part.provenance[0].keys[0] for part in parts] == ["0", "10", "20", "30"]


def test_a_target_is_sent_without_it_rather_than_not_at_all() -> None:
    [body] = message.encode(QueuedJob(of(one("k" * 1000)), 1, 5.0), 500)
    assert "behind" not in json.loads(body)


def test_no_text_makes_a_message_large() -> None:
    [back] = sent(of(one("k" * 5000, principal="p" * 5000, why="w" * 5000, routes=("r" * 5000,))))
    [found] = set(back.provenance)
    assert max(map(len, (*found.keys, *found.routes, found.principal, found.why))) == 1024


def test_messages_of_older_versions_are_read() -> None:
    [body] = message.encode(QueuedJob(of(one("1")), 1, 5.0))
    content = json.loads(body)
    del content["behind"]
    assert message.decode(content, "m").job.provenance == ()


@pytest.mark.parametrize(
    "behind",
    [7, [], {}, {"groups": []}, {"groups": [7]}, {"groups": [{}], "places": "01"}, {"groups": [{}], "places": "x"},
     {"groups": [{"objects": -1}]}, {"groups": [{"keys": ["k"] * 9}]}, {"groups": [{"why": "w" * 999}]},
     {"groups": [{}], "places": "0"}, {"groups": [{}], "places": "²²"}],
)  # fmt: skip
def test_damage_of_it_does_not_cost_the_job(behind: object) -> None:
    content = json.loads(next(iter(message.encode(QueuedJob(of(one("1"), one("2")), 1, 5.0)))))
    job = message.decode({**content, "behind": behind}, "m").job
    assert (job.targets, job.provenance) == (("/0", "/1"), ())


def test_a_preloads_purges_know_it_too() -> None:
    purge = Job("www", Action.PURGE, TargetKind.URL, ("/p",), (frozenset(("m",)),))
    preload = msgspec.structs.replace(of(one("1")), action=Action.PRELOAD, purges=(purge,))
    [back] = sent(preload)
    assert [each.keys for each in back.purges[0].provenance] == [("1",)]


@pytest.mark.parametrize("bucket", ["acme-site", ""])
def test_it_survives_coming_back_being_merged_and_waiting_again(bucket: str) -> None:
    config = parse(CONFIG, "c.yml", Plugins())
    job = msgspec.structs.replace(of(one("1", by="ann")), provider="fastly", bucket=bucket, targets=("https://a/1",))
    [back] = sent(job)
    [work] = by_instance([], [msgspec.structs.replace(back, rank=Rank.NEW)])
    [again] = planner.plan("fastly", config.providers["fastly"], work.demands, work.returned).jobs
    outcomes = Outcome(again, Status.RETRY, "503", calls=1), Outcome(again, Status.RETRY, "504", calls=1)
    [decision] = decide(Report(outcomes), MessageHistory({}, {}, {}), RetryPolicy(), 0.0, lambda _: 0)
    assert {(each.keys, each.by) for each in decision.queued.job.provenance} == {(("1",), "ann")}


def test_changes_that_wait_still_know_who_made_them() -> None:
    change = Change("b", "k", ChangeKind.CREATED, cause="m1", principal="AWS:AIDA", source_ip="203.0.113.7")
    [group] = waiting.decide(
        [(change, "S3 is out", frozenset(("x",)))], MessageHistory({}, {}, {}), RetryPolicy(), 0.0, lambda _: 0
    )
    [body] = group.bodies()
    own = {"messageId": "m1", "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-east-1:1:q", "body": body}
    [back] = envelopes.decode({"Records": [own]}).changes
    assert back == change


KEYS = st.sampled_from("abcdefgh")
FOUND = st.builds(
    lambda keys, by: Provenance("b", tuple(dict.fromkeys(keys))[:MOST], len(set(keys)), by=by),
    st.lists(KEYS, min_size=1, max_size=3),
    st.sampled_from(["", "ann", "bob"]),
)


@given(st.lists(FOUND, min_size=1, max_size=12))
def test_any_job_comes_back_with_no_more_objects_than_there_are_and_all_of_its_people(found: list[Provenance]) -> None:
    groups, places = condensed(found)
    assert len(groups) <= MOST
    assert len(places) == len(found)
    assert [groups[place].by for place in places] == [each.by for each in found]
    keys = {key for each in found for key in each.keys}
    assert all(group.objects <= len(keys) for group in groups)
    assert joined(found).objects == len(keys)
    assert all(set(each.keys) <= set(groups[place].keys) for place, each in zip(places, found, strict=True)) or (
        len({id(each) for each in found}) > MOST
    )


def test_it_decides_nothing() -> None:
    """A target's reference to vendors that deduplicate is the same with it and without it."""
    config = parse(CONFIG, "c.yml", Plugins())
    known, unknown = (
        planner.plan("fastly", config.providers["fastly"], Router(config.routes, config.providers).demands([change])[0])
        for change in (
            Change("acme-site", "a", sequencer="1", principal="P"),
            Change("acme-site", "a", sequencer="1"),
        )
    )
    assert [job.reference for job in known.jobs] == [job.reference for job in unknown.jobs]

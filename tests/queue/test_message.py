"""Jobs as messages: written, read, split, packed; and what happens to those that can't be read."""

from __future__ import annotations

import base64
import json
import random
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multicdn.errors import EventError
from multicdn.events import envelopes
from multicdn.model import Action, Job, Rank, TargetKind
from multicdn.queue import message as codec
from multicdn.queue.message import LARGEST, QueuedJob, decode, encode

# What SQS takes: API_SendMessage.html, "Message Body". JSON in ASCII without control characters is well within it.
TAKEN = frozenset(map(chr, range(0x20, 0x7F)))

# docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
QUOTA = 262_144

DATA = Path(__file__).parents[1] / "data"

texts = st.text(st.characters(exclude_categories=("Cs",)))


def queued_job(targets: list[str], **changed: Any) -> QueuedJob:
    job: dict[str, Any] = {"action": Action.PURGE, "kind": TargetKind.URL, "reference": "ref", **changed}
    causes = (frozenset(("m1",)),) * len(targets)
    return QueuedJob(Job(provider="acme", targets=tuple(targets), causes=causes, **job), 3, 1_800_000_000.123, ("m1",))


@st.composite
def any_queued_job(draw: st.DrawFn) -> QueuedJob:
    kind = draw(st.sampled_from(TargetKind))
    wanted = texts if kind is TargetKind.EVERYTHING else texts.filter(str.strip)
    targets = tuple(draw(st.lists(wanted, min_size=1, max_size=20)))
    job = Job(
        provider=draw(texts),
        action=draw(st.sampled_from(Action)),
        kind=kind,
        targets=targets,
        causes=(frozenset(("came back",)),) * len(targets),
        soft=draw(st.booleans()),
        reference=draw(texts),
        bucket=draw(texts),
        rank=draw(st.sampled_from(Rank)),
    )
    since = round(draw(st.floats(0, 4e9)), 3)
    attempts, refusals = draw(st.tuples(st.integers(0, 10_000), st.integers(0, 100)))
    return QueuedJob(job, attempts, since, tuple(draw(st.lists(texts, max_size=10))), refusals)


def read(bodies: list[str]) -> list[QueuedJob]:
    return [decode(json.loads(body), "came back") for body in bodies]


def noise(length: int, seed: int) -> str:
    """Text that hardly shrinks when it is packed."""
    return base64.urlsafe_b64encode(random.Random(seed).randbytes(length)).decode()[:length]


@given(any_queued_job())
def test_any_job_is_read_as_it_was_written(before: QueuedJob) -> None:
    [after] = read(list(encode(before)))
    tried = before.attempt or before.refusals
    rank = Rank.ALONE if before.job.rank is Rank.ALONE else Rank.TRIED if tried else Rank.NEW
    assert after == msgspec.structs.replace(before, job=msgspec.structs.replace(before.job, rank=rank))


@given(any_queued_job())
def test_a_message_is_json_in_plain_ascii_which_sqs_takes(before: QueuedJob) -> None:
    [body] = encode(before)
    assert frozenset(body) <= TAKEN
    assert json.loads(body)["multicdn"] == 1


@settings(max_examples=15)
@given(
    targets=st.lists(texts, min_size=1, max_size=5),
    length=st.integers(1, 60_000),
    count=st.integers(1, 60),
    seed=st.integers(0, 9),
)
def test_however_large_a_job_is_its_messages_keep_the_limit_and_every_target_is_in_one_of_them(
    targets: list[str], length: int, count: int, seed: int
) -> None:
    everything = [*filter(str.strip, targets)] + [f"{n}{noise(length, seed * 100 + n)}" for n in range(count)]
    bodies = list(encode(queued_job(everything)))
    assert all(len(body) <= LARGEST for body in bodies)
    back = read(bodies)
    assert [target for each in back for target in each.job.targets] == everything
    assert {(each.attempt, each.since, each.origins) for each in back} == {(3, 1_800_000_000.123, ("m1",))}


@pytest.mark.slow
@pytest.mark.parametrize("make", [lambda n: f"{n:0>4000}", lambda n: noise(4000, n)], ids=["alike", "random"])
def test_the_largest_job_of_cloudfront_fits_the_quota_and_loses_and_doubles_nothing(make: Any) -> None:
    paths = [f"/{make(n)}"[:4000] for n in range(3000)]
    bodies = list(encode(queued_job(paths)))
    assert max(map(len, bodies)) <= LARGEST < QUOTA
    assert [path for each in read(bodies) for path in each.job.targets] == paths


def test_parts_of_a_split_job_have_references_of_their_own_which_are_the_same_every_time() -> None:
    paths = [noise(4000, n) for n in range(200)]
    first, second = read(list(encode(queued_job(paths)))), read(list(encode(queued_job(paths))))
    references = [each.job.reference for each in first]
    assert len(set(references)) == len(references) > 1
    assert "ref" not in references
    assert [each.job.reference for each in second] == references


def test_a_job_without_a_reference_has_none_after_it_is_split() -> None:
    back = read(list(encode(queued_job([noise(4000, n) for n in range(200)], reference=""))))
    assert {each.job.reference for each in back} == {""}


@pytest.mark.parametrize(("size", "packed"), [(60_000, False), (70_000, True)])
def test_targets_are_packed_from_64_kib_on_where_sqs_charges_for_a_second_request(size: int, packed: bool) -> None:
    [body] = encode(queued_job(["a" * size, "b"]))
    content = json.loads(body)
    assert ("packed" in content, "targets" in content) == (packed, not packed)
    assert (len(body) < size) is packed
    assert read([body])[0].job.targets == ("a" * size, "b")


def test_the_purges_that_a_preload_takes_along_are_packed_with_it() -> None:
    """They were not: those of one message with thousands of URLs made one that no queue takes, for each preload."""
    urls = tuple(f"https://www.acme.com/some/longer/path/of/an/object/{n}.html" for n in range(5000))
    purge = Job("acme", Action.PURGE, TargetKind.URL, urls, (frozenset("m"),) * 5000, soft=True, rank=Rank.TRIED)
    before = queued_job(["https://www.acme.com/a"], action=Action.PRELOAD, purges=(purge,))
    [body] = encode(before)
    assert len(body) <= LARGEST
    [after] = read([body])
    assert after.job.purges[0].targets == urls
    assert after.job.purges[0].soft


def test_one_target_that_is_larger_than_any_message_is_not_hidden() -> None:
    """SQS will refuse it, and its messages come back."""
    [body] = encode(queued_job([noise(500_000, 1)]))
    assert len(body) > QUOTA


# Messages of earlier versions


def written(name: str) -> QueuedJob:
    """What is read of a message that version 1 wrote."""
    body = (DATA / f"queued-job-v1{name}.json").read_text(encoding="utf-8")
    [queued] = envelopes.decode({"Records": [{"messageId": "m9", "eventSource": "aws:sqs", "body": body}]}).queued_jobs
    return queued


def written_job(provider: str, *targets: str, **changed: Any) -> Job:
    causes = (frozenset(("m9",)),) * len(targets)
    return Job(provider, Action.PURGE, TargetKind.URL, targets, causes, rank=Rank.TRIED, **changed)


def test_a_job_that_version_1_wrote_is_read() -> None:
    targets = ("https://www.acme.com/a.css", "https://www.acme.com/gr%C3%B6%C3%9Fe.css")
    job = written_job("www", *targets, soft=True, reference="0f5a3c7e9b1d2f4a6c8e0b2d4f6a8c0e")
    assert written("") == QueuedJob(job, 3, 1_764_000_000.25, ("3f0c1d2e-m1", "3f0c1d2e-m2"))


def test_a_packed_job_that_version_1_wrote_is_read() -> None:
    paths = [f"/img/{number:05d}-{'x' * 30}.jpg" for number in range(1600)]
    job = written_job("site/E2QWRUHEXAMPLE", *paths, reference="1e5a3c7e9b1d2f4a6c8e0b2d4f6a8c0f")
    assert written("-packed") == QueuedJob(job, 1, 1_764_000_001.0, ("3f0c1d2e-m3",))


def test_a_job_that_version_1_wrote_for_a_provider_that_could_not_be_asked_is_read() -> None:
    job = written_job("site", "https://www.acme.com/b.css", bucket="acme-site")
    assert written("-unlocated") == QueuedJob(job, 2, 1_764_000_002.5, ("3f0c1d2e-m4",))


# Messages that can't be read


def good(**changed: object) -> dict[str, object]:
    [body] = encode(queued_job(["https://a/1"]))
    return {**json.loads(body), **changed}


DAMAGED: list[dict[str, object]] = [
    good(multicdn=2),
    good(multicdn="1"),
    good(multicdn=None),
    good(multicdn=True),
    good(provider=None),
    good(action="explode"),
    good(kind="colour"),
    good(targets=[]),
    good(targets="https://a/1"),
    good(targets=[1]),
    good(targets=[" "]),
    good(action="preload", purges=[{"provider": "acme", "kind": "tag", "targets": [""]}]),
    good(attempt="first"),
    good(since="long ago"),
    good(targets=[], packed="not base64!"),
    good(targets=[], packed=base64.b64encode(b"not zlib").decode()),
    good(targets=[], packed=base64.b64encode(zlib.compress(b"not json")).decode()),
    good(targets=[], packed=base64.b64encode(zlib.compress(b'{"a": 1}')).decode()),
    good(targets=[], packed=base64.b64encode(zlib.compress(b"[]")).decode()),
    good(targets=[], packed=base64.b64encode(zlib.compress(b'["a", "b"]')[:-6]).decode()),
    {"multicdn": 1},
]


@pytest.mark.parametrize("content", DAMAGED, ids=lambda content: ascii(content)[-40:])
def test_a_damaged_message_is_an_event_error(content: dict[str, object]) -> None:
    with pytest.raises(EventError, match="queued job"):
        decode(content, "m1")


def test_a_message_of_a_newer_version_says_what_to_do() -> None:
    with pytest.raises(EventError, match=r"form 2, and this multicdn knows 1; upgrade"):
        decode(good(multicdn=2), "m1")


def s3(key: str) -> dict[str, object]:
    entity = {"bucket": {"name": "acme-site"}, "object": {"key": key}}
    return {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": entity}]}


def batch(*contents: object) -> dict[str, object]:
    records = [
        {"messageId": f"m{place}", "eventSource": "aws:sqs", "body": json.dumps(content)}
        for place, content in enumerate(contents)
    ]
    return {"Records": records}


@pytest.mark.parametrize("content", DAMAGED, ids=lambda content: ascii(content)[-40:])
def test_a_damaged_message_costs_itself_and_none_of_its_batch(content: dict[str, object]) -> None:
    intake = envelopes.decode(batch(s3("a.css"), content, good(provider="bravo")))
    assert [change.key for change in intake.changes] == ["a.css"]
    assert [each.job.provider for each in intake.queued_jobs] == ["bravo"]
    assert [message.cause for message in intake.unreadable] == ["m1"]


def test_a_job_names_the_message_it_came_in_as_its_only_cause() -> None:
    intake = envelopes.decode(batch(good(targets=["https://a/1", "https://a/2"])))
    assert intake.queued_jobs[0].job.causes == (frozenset(("m0",)),) * 2
    assert intake.queued_jobs[0].origins == ("m1",)


@given(st.sets(texts, max_size=40))
def test_the_shown_ids_are_ten_at_most_without_the_empty_one_and_in_an_order_that_stays(ids: set[str]) -> None:
    shown = codec.shortened(frozenset(ids))
    assert len(shown) == min(10, len(ids - {""}))
    assert set(shown) <= ids - {""}
    assert shown == codec.shortened(frozenset(sorted(ids, reverse=True)))

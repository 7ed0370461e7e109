"""Messages of purges that are followed: large ones, and ones that were made to hurt."""

from __future__ import annotations

import base64
import json
import random
import zlib
from typing import Any

import pytest

from multicdn.errors import EventError
from multicdn.events import envelopes
from multicdn.model import Action, Job, TargetKind
from multicdn.queue import message
from multicdn.queue.message import LARGEST, Look, QueuedJob, decode, encode
from multicdn.sequel import Sequel, Subject, Then, joined

URL = "https://a.example/a.css"
LOOK = Look(accepted=1e9, due=1e9)


def subject(number: int, draw: random.Random | None = None) -> Subject:
    name = f"{draw.randbytes(12).hex()}-{number}.jpg" if draw else str(number)
    etag, version = (draw.randbytes(16).hex(), draw.randbytes(16).hex()) if draw else ("", "")
    return Subject(f"https://a.example/{name}", "b", name, etag=etag, version=version)


def job(targets: tuple[str, ...], sequels: tuple[Sequel | None, ...], kind: TargetKind = TargetKind.URL) -> Job:
    return Job("site", Action.PURGE, kind, targets, (frozenset({"m"}),) * len(targets), sequels=sequels)


def outer(each: Subject) -> Then:
    return Then("outer", "purge", "b", (("url", each.url),), sequel=Sequel((each,)))


def test_a_tag_that_thousands_of_objects_have_is_followed_by_several_messages_that_fit() -> None:
    draw = random.Random(1)
    every = [subject(number, draw) for number in range(2500)]
    tag = job(("t",), (Sequel(tuple(every), tuple(map(outer, every)), tries=1),), TargetKind.TAG)
    bodies = list(encode(QueuedJob(tag, 0, 1e9, ("m",), look=LOOK)))
    assert max(map(len, bodies)) <= LARGEST
    read = [decode(json.loads(body), "n") for body in bodies]
    assert {(each.job.targets, each.look) for each in read} == {(("t",), LOOK)}
    sequels = [sequel for each in read for sequel in each.job.sequels if sequel]
    assert [one for sequel in sequels for one in sequel.subjects] == every
    assert [one for sequel in sequels for one in sequel.then] == list(map(outer, every))
    assert {sequel.tries for sequel in sequels} == {1}


def test_what_waits_until_one_object_is_fresh_waits_in_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    one, others = subject(0), [subject(number) for number in range(1, 9)]
    tag = job(("t",), (Sequel((one,), tuple(map(outer, others))),), TargetKind.TAG)
    parts = [decode(json.loads(body), "n").job.sequels[0] for body in encode(QueuedJob(tag, 0, 1e9, look=LOOK), 1200)]
    assert len(parts) > 1
    assert {part.subjects for part in parts if part} == {(one,)}


def test_large_jobs_are_halved_before_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    write = message._encoded
    monkeypatch.setattr(message, "_encoded", lambda queued, weight: written.append(weight) or write(queued, weight))
    every = [subject(number) for number in range(12_000)]
    wide = job(tuple(each.url for each in every), tuple(Sequel((each,), (outer(each),)) for each in every))
    bodies = list(encode(QueuedJob(wide, 0, 1e9, look=LOOK)))
    assert len(written) == len(bodies), "to write thousands of targets several times takes the time of the reply"


def good(**changed: object) -> dict[str, Any]:
    sequel = {"subjects": [{"url": URL, "bucket": "b", "key": "a.css"}]}
    shared = {"multicdn": 1, "provider": "site", "action": "purge", "kind": "url", "attempt": 0, "since": 1e9}
    return {**shared, "targets": [URL], "sequels": [sequel], "look": {"accepted": 1e9, "due": 1e9}, **changed}


def then(**changed: object) -> list[Any]:
    one = {"provider": "outer", "action": "purge", "bucket": "b", "targets": [["url", URL]], **changed}
    return [{"then": [one]}]


def nested(depth: int) -> dict[str, Any]:
    before = '{"then":[{"provider":"p","action":"purge","bucket":"b","targets":[["url","x"]],"sequel":'
    text = f"[{before * depth}null{'}]}' * depth}]"
    return {"sequels": [], "packed_sequels": base64.b64encode(zlib.compress(text.encode())).decode()}


@pytest.mark.parametrize(
    "content",
    [
        *({"look": {"accepted": 1e9, "due": 1e9, name: value}}
          for name in ("accepted", "due", "finished") for value in (float("nan"), float("inf"), -1.0, 1e300)),
        {"look": {"accepted": 1e9, "due": 1e9, "times": -1}},
        {"look": {"accepted": 1e9, "due": 1e9, "receipts": [1]}},
        {"sequels": [{"tries": -1}]},
        {"sequels": [{"stale": float("nan")}]},
        {"sequels": then(action="empty")},
        {"sequels": then(targets=[["zone", "x"]])},
        {"sequels": then(targets=[])},
        {"targets": ["\ud800"]},
        {"sequels": [{"subjects": [{"url": "https://a.example/\ud800", "bucket": "b", "key": "k"}]}]},
        {"sequels": then(targets=[["url", "\ud800"]])},
        {"since": float("nan")},
        {"since": float("inf")},
        nested(40),
        nested(900),
        nested(20_000),
    ],
)  # fmt: skip
def test_what_was_made_to_hurt_is_not_read(content: dict[str, Any]) -> None:
    body = json.dumps(good(**content))
    with pytest.raises(EventError, match="can't be read"):
        decode(json.loads(body), "m")
    event = {"Records": [{"messageId": "m", "body": body, "eventSource": "aws:sqs"}]}
    intake = envelopes.decode(event)
    assert not intake.queued_jobs
    assert [each.cause for each in intake.unreadable] == ["m"]


def test_a_purge_that_is_looked_at_though_nothing_follows_it_is_read() -> None:
    assert decode(good(sequels=[]), "m").job.sequels == (None,)
    assert decode(good(), "m").look == LOOK


def test_what_follows_an_object_does_not_grow_with_its_changes() -> None:
    changes = [Subject(URL, "b", "a.css", sequencer=f"{number:02X}") for number in range(200)]
    all_ = joined(Sequel((each,), (outer(each),)) for each in changes)
    assert all_ == Sequel((changes[-1],), (outer(changes[-1]),))

"""Accepted purges in the queue are looked at, not undelivered; and dead letters of edges that stayed stale."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from multicdn.cli import _letters
from multicdn.model import Action, Job, Status, TargetKind
from multicdn.oncall import letters
from multicdn.oncall.ways_back import ToQueue
from multicdn.queue import message as codec
from multicdn.queue.message import Look, QueuedJob
from multicdn.queue.retry import DeadLetter
from multicdn.queue.sender import _messages_of
from multicdn.sequel import Sequel, Subject, Then

NOW = 1_764_000_000.0
URL = "https://www.acme.com/a.css"
SEQUEL = Sequel(
    (Subject(URL, "acme-site", "a.css", time="2025-11-24T15:59:00Z"),),
    (Then("outer", "purge", "acme-site", (("url", URL),)),),
)


def queued(look: Look | None = None) -> QueuedJob:
    job = Job("site", Action.PURGE, TargetKind.URL, (URL,), (frozenset("m"),), sequels=(SEQUEL,))
    return QueuedJob(job, 0, NOW - 60, ("m1",), look=look)


def letter(job: QueuedJob, otherwise: str = letters.UNTRIED, **attributes: str) -> letters.Letter:
    [body] = codec.encode(job)
    typed = {name: {"StringValue": value} for name, value in attributes.items()}
    message = {"MessageId": "3f2b8a1c", "ReceiptHandle": "r", "Body": body, "MessageAttributes": typed}
    return letters.read(message, otherwise)


def listed(*found: letters.Letter) -> list[str]:
    return list(_letters.listing(letters.grouped(each.entry() for each in found), "job", NOW))


@pytest.mark.parametrize(
    ("finished", "why"),
    [
        (0.0, "accepted, and looked at until it has finished"),
        (NOW, "finished, and looked at until its edges are fresh"),
    ],
)
def test_an_accepted_purge_is_listed_as_looked_at(finished: float, why: str) -> None:
    found = letter(queued(Look(NOW - 45, NOW + 5, finished=finished, times=3)), status="accepted", reason="InProgress")
    assert listed(found) == [
        f"site: 1 job, 1 target: {why}",
        "    asked for 1 min ago, accepted 45 s ago, looked at 3 times",
        f"    3f2b8a1c  {URL}",
    ]
    [group] = _letters.groups_as_json(letters.grouped([found.entry()]), "messages", NOW)
    assert (group["accepted_seconds"], group["attempts"], group["age_seconds"]) == (45, 3, 60)


def test_what_was_never_accepted_is_listed_as_ever() -> None:
    job = msgspec.structs.replace(queued(), attempt=2)
    [group] = _letters.groups_as_json(letters.grouped([letter(job).entry()]), "messages", NOW)
    assert group["accepted_seconds"] is None
    assert listed(letter(job))[1] == "    asked for 1 min ago, tried 2 times"


def test_everything_of_it_is_shown_in_words() -> None:
    details = letters.details(letter(queued(Look(NOW - 45, NOW + 5, receipts=("I7",), times=3))))
    assert details.items() >= {
        "looks": 3, "accepted": NOW - 45, "due": NOW + 5, "looked_at": [URL],
        "followed_by": [f"purge of {URL} at outer"],
    }.items()  # fmt: skip
    assert not details.keys() & {"look", "sequels", "attempts", "finished"}
    lines = list(_letters.one(details, NOW))
    assert "  accepted: 2025-11-24T15:59:15+00:00, 45 s ago" in lines
    assert "  due: 2025-11-24T16:00:05+00:00, in 5 s" in lines


def test_a_look_that_crashed_the_function_again_and_again_is_a_dead_letter_for_that() -> None:
    assert letter(queued(Look(NOW - 45, NOW + 5)), letters.TOO_OFTEN, reason="is looked at").reason == letters.TOO_OFTEN


# Dead letters of edges that stayed stale


def buried() -> letters.Letter:
    seen = f'{URL}: ETag "old", 312 s old at AMS, where S3 has ETag "new"'
    told = DeadLetter(queued(), Status.STALE, "still stale at AMS after 4 purges: cached before the purge", seen)
    [message] = _messages_of(told, codec.LARGEST)
    typed = {name: {"StringValue": value} for name, value in message.attributes.items() if value}
    sent = {"MessageId": "9e0d1c2b", "ReceiptHandle": "r", "Body": message.body, "MessageAttributes": typed}
    return letters.read(sent, letters.TOO_OFTEN)


def test_a_dead_letter_says_where_it_is_still_stale_and_what_was_seen() -> None:
    details = letters.details(buried())
    assert (details["status"], details["reason"][:19]) == ("stale", "still stale at AMS ")
    assert details["seen"] == f'{URL}: ETag "old", 312 s old at AMS, where S3 has ETag "new"'
    assert listed(buried())[0] == ("site: 1 job, 1 target: still stale at AMS after 4 purges: cached before the purge")


def test_redriven_it_is_purged_anew_and_looked_at_again() -> None:
    client: Any = None
    [body] = ToQueue(client, "https://q").bodies(buried())
    back = codec.decode(json.loads(body), "m9")
    assert (back.look, back.attempt, back.job.targets) == (None, 0, (URL,))
    [sequel] = back.job.sequels
    assert sequel == SEQUEL, "with all that follows it, from the beginning"


def test_a_look_that_is_redriven_goes_on_where_it_was() -> None:
    client: Any = None
    look = Look(NOW - 45, NOW + 5, times=3)
    [body] = ToQueue(client, "https://q").bodies(letter(queued(look)))
    assert codec.decode(json.loads(body), "m9").look == look

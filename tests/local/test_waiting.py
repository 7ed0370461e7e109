"""What waits in the queue, as a person sees it."""

from __future__ import annotations

import json
from typing import Any

from multicdn.local.waiting import queue_state
from multicdn.model import Action, Job, TargetKind
from multicdn.queue.message import Look, QueuedJob, encode

NOW = 1_800_000_000.0
URLS = ("https://www.acme.com/a", "https://www.acme.com/b")


def peeked(
    body: str, *, visible_in: float = 0, received: int = 0, sent: float = NOW - 7, **attributes: str
) -> dict[str, Any]:
    return {
        "MessageId": f"m{visible_in}",
        "Body": body,
        "SentTimestamp": int(sent),
        "VisibleAt": int(NOW + visible_in),
        "IsVisible": visible_in <= 0,
        "ReceiveCount": received,
        "MessageAttributes": {name: {"DataType": "String", "StringValue": each} for name, each in attributes.items()},
    }


def queued(*targets: str, attempt: int = 2, look: Look | None = None) -> str:
    job = Job("fastly", Action.PURGE, TargetKind.URL, targets, (frozenset({"m"}),) * len(targets))
    [body] = encode(QueuedJob(job, attempt, NOW - 60, look=look))
    return body


def notification(key: str) -> str:
    return json.dumps({"Records": [{"s3": {"bucket": {"name": "acme-site"}, "object": {"key": key}}}]})


def test_each_message_is_counted_once_by_what_it_does() -> None:
    messages = [
        peeked(notification("a")),
        peeked(notification("b"), visible_in=20, received=1),
        peeked(queued(*URLS), visible_in=3),
        peeked(queued(*URLS), visible_in=4),
    ]
    state = queue_state(messages, [peeked(queued(URLS[0]))], NOW)
    assert (state.waiting, state.in_flight, state.delayed, state.dead) == (1, 1, 2, 1)


def test_a_job_says_whose_it_is_how_old_and_why_it_waits() -> None:
    message = peeked(queued(*URLS), visible_in=3, status="retry", reason="503: sorry")
    [job] = queue_state([message], [], NOW).jobs
    assert (job.provider, job.action, job.targets, job.first) == ("fastly", "purge", 2, URLS[0])
    assert (job.attempt, job.age, job.due, job.reason) == (2, 60, 3, "503: sorry")


def test_an_event_of_s3_is_a_change_and_due_at_once_when_it_is_in_flight() -> None:
    [job] = queue_state([peeked(notification("a+b%2B.css"), visible_in=25, received=1)], [], NOW).jobs
    assert (job.provider, job.action, job.targets, job.first) == ("", "change", 1, "s3://acme-site/a b+.css")
    assert (job.age, job.due) == (7, 0)


def test_what_comes_first_stands_first_and_dead_letters_are_not_due() -> None:
    state = queue_state([peeked(queued(URLS[0]), visible_in=9), peeked(queued(URLS[1]), visible_in=2)], [], NOW)
    assert [job.due for job in state.jobs] == [2, 9]
    [dead] = queue_state([], [peeked(queued(URLS[0]), reason="403", visible_in=5)], NOW).dead_jobs
    assert (dead.due, dead.reason) == (0, "403")


def test_nothing_that_somebody_puts_into_the_queue_breaks_it() -> None:
    bodies = ["", "{", "[]", "5", '{"Records": 5}', '{"Records": [5]}', '{"Records": [{"s3": {}}]}', '{"multicdn": 99}',
              '{"multicdn": 1}', "null", '{"Event": "s3:TestEvent"}', '{"Records": {"a": 1}}']  # fmt: skip
    state = queue_state([peeked(body) for body in bodies], [], NOW)
    assert state.waiting == len(bodies) == len(state.jobs)
    newer = state.jobs[bodies.index('{"multicdn": 99}')]
    assert newer.action == "unreadable"
    assert "upgrade" in newer.reason


def test_thousands_are_counted_and_the_first_shown() -> None:
    state = queue_state([peeked(notification("a"))] * 3000, [], NOW)
    assert state.waiting == 3000
    assert len(state.jobs) == 50


def test_what_was_accepted_and_is_looked_at_does_not_count_as_waiting() -> None:
    look = queued(URLS[0], attempt=0, look=Look(accepted=NOW - 2, due=NOW + 3))
    state = queue_state([peeked(look, visible_in=3), peeked(queued(URLS[1]), visible_in=5)], [], NOW)
    assert (state.waiting, state.delayed, state.looked_at) == (0, 1, 1)
    assert [job.first for job in state.jobs] == [URLS[1]]
    assert [(job.provider, job.first, job.due) for job in state.looks] == [("fastly", URLS[0], 3)]


def test_a_key_that_speaks_of_looks_is_none() -> None:
    state = queue_state([peeked(notification('"look":'))], [], NOW)
    assert (state.waiting, state.looked_at) == (1, 0)

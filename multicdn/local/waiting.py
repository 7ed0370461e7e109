"""What waits in the queue and what was given up, as the page shows it. Pure."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote_plus

from multicdn.errors import EventError
from multicdn.local.state import QueueState, WaitingJob
from multicdn.model import described
from multicdn.queue import message

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Peeked = Mapping[str, Any]

_MOST_JOBS = 50


class _Counts(NamedTuple):
    waiting: int
    in_flight: int
    delayed: int


def queue_state(waiting: Sequence[Peeked], dead: Sequence[Peeked], now: float) -> QueueState:
    """Describe the messages of both queues.

    Args:
        waiting: of the queue, see ``LoopbackAws.messages``.
        dead: the dead letters.
        now: seconds since 1970.
    """
    looks = [each for each in waiting if _is_look(each)]
    others = [each for each in waiting if not _is_look(each)]
    jobs, dead_jobs = _jobs(_in_order(others), now), _jobs(dead, now, due=False)
    return QueueState(*_counted(others), len(dead), jobs, dead_jobs, len(looks), _jobs(_in_order(looks), now))


def _is_look(peeked: Peeked) -> bool:
    """Whether it is an accepted purge that is looked at. In a text within JSON the quotes have a sign before them."""
    return '"look":' in peeked["Body"]


def _in_order(messages: Iterable[Peeked]) -> list[Peeked]:
    return sorted(messages, key=lambda each: (each["VisibleAt"], each["MessageId"]))


def _counted(messages: Iterable[Peeked]) -> _Counts:
    visible = hidden = delayed = 0
    for each in messages:
        visible += each["IsVisible"]
        hidden += not each["IsVisible"] and each["ReceiveCount"] > 0
        delayed += not each["IsVisible"] and each["ReceiveCount"] == 0
    return _Counts(visible, hidden, delayed)


def _jobs(messages: Sequence[Peeked], now: float, *, due: bool = True) -> tuple[WaitingJob, ...]:
    return tuple(_job(each, now, due=due) for each in messages[:_MOST_JOBS])


def _job(peeked: Peeked, now: float, *, due: bool) -> WaitingJob:
    # What is in flight is being tried.
    wait = max(0, math.ceil(peeked["VisibleAt"] - now)) if due and not peeked["ReceiveCount"] else 0
    attributes = {name: each.get("StringValue", "") for name, each in peeked["MessageAttributes"].items()}
    reason = attributes.get("reason", "")
    content = _parsed(peeked["Body"])
    sent = max(0, round(now - peeked["SentTimestamp"]))
    if message.MARK in content:
        try:
            queued = message.decode(content, peeked["MessageId"])
        except EventError as error:
            return WaitingJob(attributes.get("provider", ""), "unreadable", 0, "", 0, sent, wait, str(error))
        job = queued.job
        age = max(0, round(now - queued.since))
        first = described(job.targets[0])
        return WaitingJob(job.provider, job.action, len(job.targets), first, queued.attempt, age, wait, reason)
    records = content.get("Records")
    names = [*map(_object, records)] if isinstance(records, list) else []
    return WaitingJob("", "change", len(names), names[0] if names else "", 0, sent, wait, reason)


def _parsed(body: str) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _object(record: Any) -> str:
    try:
        return f"s3://{record['s3']['bucket']['name']}/{unquote_plus(record['s3']['object']['key'])}"
    except (KeyError, TypeError, AttributeError):
        return ""

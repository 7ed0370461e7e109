"""Messages of the queue and of the dead letters, read for people: whose they are, what they ask for, since when."""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from multicdn.errors import EventError
from multicdn.events import envelopes, shapes
from multicdn.provenance import condensed, joined
from multicdn.queue import message as codec
from multicdn.queue import waiting
from multicdn.queue.message import QueuedJob

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from multicdn.model import Change
    from multicdn.queue.message import Look

#: What stands for the provider of a message that isn't a job of one: S3's own.
NOBODY = "(events)"

#: The reason of an accepted purge that is looked at.
UNFINISHED = "accepted, and looked at until it has finished"
UNSEEN = "finished, and looked at until its edges are fresh"

#: The reason of a message without one: among the dead letters, and in the queue.
TOO_OFTEN = "received too often without being handled; see the function's log"
UNTRIED = "no try has ended yet"

# What nests too deep to be read must not keep others from being listed.
_NO_JSON = (ValueError, RecursionError)

# Members of a queued job that are shown by other names, or mean nothing to people.
_KNOWN = frozenset(("multicdn", "provider", "action", "kind", "soft", "attempt", "since", "reference", "targets"))
_KNOWN |= {"packed", "origins", "refusals", "alone", "purges", "behind", "look", "sequels", "packed_sequels"}


class ListEntry(Struct, frozen=True):
    """Something that waits, or was given up, as a list shows it.

    Attributes:
        id: of the message; of what only the log tells, of the first one that asked for it.
        provider, reason: whose it is, and why it isn't delivered.
        targets: what is to be purged or preloaded, or its objects; perhaps only the first ones.
        count: how many targets it has.
        asked: since when it was asked for, or the oldest upload behind it; in seconds since 1970, None if nobody knows.
        attempts: how many invocations have tried it.
        due: when it is handed out again, in seconds since 1970; None where it isn't delayed.
        accepted: when its vendor accepted it, in the same, if it is only looked at; then attempts are looks.
    """

    id: str
    provider: str
    reason: str
    targets: tuple[str, ...]
    count: int
    asked: float | None
    attempts: int
    due: float | None = None
    accepted: float | None = None


class Group(Struct, frozen=True):
    """Entries of one provider with one reason."""

    provider: str
    reason: str
    entries: tuple[ListEntry, ...]

    @property
    def targets(self) -> int:
        """How many they have together."""
        return sum(entry.count for entry in self.entries)


class Letter(Struct, frozen=True, dict=True):
    """A message that was received from a queue.

    Attributes:
        id, receipt, body: of the message.
        provider: whose job it is, or ``NOBODY``.
        reason: why it could not be delivered.
        queued: the job; None for a message that isn't ours.
        sent: when it was sent to its queue, in seconds since 1970; 0 if SQS didn't say.
        receives: how often it was received, this time included; 0 if SQS didn't say.
        attributes: as SQS gave them.
    """

    id: str
    receipt: str
    body: str
    provider: str
    reason: str
    queued: QueuedJob | None
    sent: float = 0.0
    receives: int = 0
    attributes: Mapping[str, Any] = {}

    @property
    def targets(self) -> tuple[str, ...]:
        """What was to be purged or preloaded; of an event, its objects."""
        if self.queued:
            return self.queued.job.targets
        return tuple(dict.fromkeys(f"s3://{change.bucket}/{change.key}" for change in self.changes))

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """What happened, of a message that isn't a job."""
        return () if self.queued else tuple(envelopes.decode(self.body).changes)

    @property
    def look(self) -> Look | None:
        """How far it is, if its vendor has accepted it."""
        return self.queued.look if self.queued else None

    @property
    def texts(self) -> dict[str, str]:
        """Its attributes as texts."""
        return {name: value["StringValue"] for name, value in self.attributes.items() if "StringValue" in value}

    @property
    def asked(self) -> float | None:
        """Since when it was asked for, in seconds since 1970; None if nothing says."""
        if self.queued:
            uploaded = joined(self.queued.job.provenance).uploaded if self.queued.job.provenance else ""
            since = _seconds(uploaded)
            return self.queued.since if since is None else since
        waited = _waiting(self.body)
        times = [moment for change in self.changes if (moment := _seconds(change.time)) is not None]
        return waited.since if waited else min(times, default=self.sent or None)

    @property
    def attempts(self) -> int:
        """How many invocations have tried it, or have looked at it, as far as it says so."""
        if self.look:
            return self.look.times
        waited = None if self.queued else _waiting(self.body)
        return self.queued.attempt if self.queued else waited.attempt if waited else 0

    def entry(self) -> ListEntry:
        """What a list shows of it."""
        targets = self.targets
        accepted = self.look.accepted if self.look else None
        about = (self.id, self.provider, self.reason, targets, len(targets), self.asked, self.attempts)
        return ListEntry(*about, accepted=accepted)


def read(message: Any, otherwise: str) -> Letter:
    """Read a message as SQS handed it out.

    Args:
        message: with its attributes, if they were asked for.
        otherwise: the reason of one that has none.
    """
    attributes = message.get("MessageAttributes", {})
    system = message.get("Attributes", {})
    queued = _queued(message["Body"], message["MessageId"])
    given = attributes.get("reason", {}).get("StringValue", "")
    if queued and queued.look:
        # Among the dead letters it is one that SQS has put there.
        given = TOO_OFTEN if otherwise == TOO_OFTEN else UNSEEN if queued.look.finished else UNFINISHED
    return Letter(
        id=message["MessageId"],
        receipt=message["ReceiptHandle"],
        body=message["Body"],
        provider=queued.job.instance if queued else NOBODY,
        reason=given or _reason_of_lambda(message["Body"]) or otherwise,
        queued=queued,
        sent=int(system.get("SentTimestamp", 0)) / 1000,
        receives=int(system.get("ApproximateReceiveCount", 0)),
        attributes=attributes,
    )


def details(letter: Letter) -> dict[str, Any]:
    """Everything of a message, by the names that docs/commands.md has for it; what it doesn't have is left out."""
    about = letter.texts
    found: dict[str, Any] = {
        "id": letter.id,
        "provider": letter.queued.job.provider if letter.queued else letter.provider,
        "reason": letter.reason,
        "status": about.get("status", ""),
        "asked": letter.asked,
        "sent": letter.sent or None,
        **({"seen": about["seen"]} if "seen" in about else {}),
        "looks" if letter.look else "attempts": letter.attempts,
        "receives": letter.receives,
        "causes": about.get("causes", "").split(),
        "targets": list(letter.targets),
    }
    found |= _of_job(letter) if letter.queued else {"events": [_of_change(change) for change in letter.changes]}
    return {name: value for name, value in found.items() if value not in (None, "", [], {})}


def grouped(entries: Iterable[ListEntry]) -> list[Group]:
    """Group by provider and reason, the largest group of a provider first."""
    by_reason: dict[tuple[str, str], list[ListEntry]] = defaultdict(list)
    for entry in entries:
        by_reason[entry.provider, entry.reason].append(entry)
    groups = [Group(provider, reason, tuple(group)) for (provider, reason), group in by_reason.items()]
    return sorted(groups, key=lambda group: (group.provider, -len(group.entries), group.reason))


def record_of_lambda(body: str) -> dict[str, Any] | None:
    """What Lambda keeps of an asynchronous event that it gave up, also by way of SNS or EventBridge; else None.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    content: Any = body
    with contextlib.suppress(*_NO_JSON):
        while True:
            content = json.loads(content) if isinstance(content, str) else content
            if not isinstance(content, dict):
                return None
            if "requestContext" in content and "requestPayload" in content:
                return content
            [content] = shapes.wrapped(content)
    return None


def content_of(body: str) -> dict[str, Any]:
    """The members of a message; none of one that is no JSON object."""
    with contextlib.suppress(*_NO_JSON):
        content = json.loads(body)
        return content if isinstance(content, dict) else {}
    return {}


def _of_job(letter: Letter) -> dict[str, Any]:
    """What else a job says: all members of its message, those too that a newer multicdn has put there."""
    assert letter.queued is not None
    job = letter.queued.job
    others = {name: value for name, value in content_of(letter.body).items() if name not in _KNOWN}
    return {
        **others,
        **_of_look(letter.queued),
        "action": str(job.action),
        "kind": str(job.kind),
        "soft": job.soft or None,
        "refusals": letter.queued.refusals or None,
        "behind": [msgspec.to_builtins(group) for group in condensed(job.provenance)[0]],
        "purges_before": [target for purge in job.purges for target in purge.described],
    }


def _of_look(queued: QueuedJob) -> dict[str, Any]:
    """What follows a purge: how far it is, where it is looked, and what others do then."""
    look, sequels = queued.look, [sequel for sequel in queued.job.sequels if sequel]
    then = dict.fromkeys(one for sequel in sequels for one in sequel.then)
    times = {"accepted": look.accepted, "finished": look.finished or None, "due": look.due} if look else {}
    return {
        **times,
        "looked_at": list(dict.fromkeys(subject.url for sequel in sequels for subject in sequel.subjects)),
        "followed_by": [f"{one.action} of {value} at {one.provider}" for one in then for _, value in one.targets],
    }


def _of_change(change: Change) -> dict[str, Any]:
    found = msgspec.to_builtins(change)
    return {name: value for name, value in found.items() if value and name not in ("cause", "sequencer")}


def _reason_of_lambda(body: str) -> str:
    """Why Lambda gave up an asynchronous event; empty for anything else."""
    record = record_of_lambda(body)
    with contextlib.suppress(TypeError, KeyError):
        condition, response = record["requestContext"]["condition"], record.get("responsePayload")  # type: ignore[index, union-attr]
        said = response.get("errorMessage") if isinstance(response, dict) else None
        return f"{condition}: {said}" if said else str(condition)
    return ""


def _queued(body: str, cause: str) -> QueuedJob | None:
    content = content_of(body)
    with contextlib.suppress(EventError):
        return codec.decode(content, cause) if codec.MARK in content else None
    return None


def _waiting(body: str) -> waiting.Waiting | None:
    content = content_of(body)
    with contextlib.suppress(EventError):
        return waiting.decode(content) if waiting.MARK in content else None
    return None


def _seconds(moment: str) -> float | None:
    """A time of S3's as seconds since 1970; None if it is none."""
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(moment).timestamp()
    return None


def chosen(messages: Sequence[Letter], beginnings: Iterable[str]) -> tuple[list[Letter], list[str]]:
    """The messages whose ids begin so, each once, and sentences about beginnings that name none, or several."""
    found: dict[str, Letter] = {}
    problems = []
    for beginning in beginnings:
        meant = [message for message in messages if message.id.startswith(beginning)]
        if len(meant) == 1:
            found[meant[0].id] = meant[0]
        elif meant:
            problems.append(f"{beginning}: {len(meant):,} of them begin so; write more of the id")
        else:
            problems.append(f"{beginning}: none of them has this id")
    return list(found.values()), problems

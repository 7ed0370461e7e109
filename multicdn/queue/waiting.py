"""Changes that wait: something of them could not be found out (tags unread, a hook that failed), or for their deploy.

They wait as an S3 notification with one more member, so a multicdn that doesn't know the member routes them once more
from the beginning: it repeats what was delivered, and loses nothing.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote_plus

import msgspec
from msgspec import Meta, Struct

from multicdn.errors import EventError
from multicdn.model import Change, ChangeKind
from multicdn.queue.message import LARGEST, shortened
from multicdn.queue.retry import by_chance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from multicdn.queue.retry import MessageHistory, RetryPolicy

# The member by which such a notification is known.
MARK = "multicdnWaiting"

#: Why changes wait: something of them could not be found out; or the rest of their deploy isn't there.
INCOMPLETE, HELD = "incomplete", "held"

_EVENT_NAMES = {
    ChangeKind.CREATED: "ObjectCreated:Put",
    ChangeKind.REMOVED: "ObjectRemoved:Delete",
    ChangeKind.ACCESS: "ObjectAcl:Put",
}


class Waiting(Struct, frozen=True):
    """What changes of one message have gone through.

    Attributes:
        missing: parts of routes that could not be found out, or wait, as routing names them; the others are delivered.
        attempt: how many invocations have tried in vain; none where it only waits for the rest of its deploy.
        since: when the newest message that brought one of them was sent, in seconds since 1970.
        origins: ids of the first messages that brought them, some of them if they were many.
    """

    missing: tuple[Annotated[str, Meta(max_length=100)], ...]
    attempt: Annotated[int, Meta(ge=0)]
    since: float
    origins: tuple[str, ...] = ()


class Unrouted(Struct, frozen=True):
    """Changes that go back to the queue, or to the dead letters, together.

    Attributes:
        changes: of one kind of trouble.
        waiting: what they have gone through.
        reason: the first one's, in one sentence.
        delay: seconds until SQS hands them out; None where they are too old and given up.
        status: ``INCOMPLETE`` or ``HELD``.
    """

    changes: tuple[Change, ...]
    waiting: Waiting
    reason: str
    delay: int | None
    status: str = INCOMPLETE

    def bodies(self, largest: int = LARGEST) -> Iterator[str]:
        """The messages that hold them: one, or several if one would have more bytes than ``largest``."""
        return _bodies(self.changes, self.waiting, largest)


def decide(
    failures: Iterable[tuple[Change, str, frozenset[str]]],
    history: MessageHistory,
    policy: RetryPolicy,
    now: float,
    jitter: Callable[[float], float] | None = None,
) -> list[Unrouted]:
    """Decide what becomes of changes that could not be routed whole. Pure, but for the jitter.

    Args:
        failures: change, reason and missing parts of routes.
        history: of the messages that brought them.
        policy: how long to try.
        now: seconds since 1970.
        jitter: draws from 0 to its argument.
    """
    draw = jitter or by_chance
    groups: dict[tuple[frozenset[str], int, bool], list[tuple[Change, str]]] = defaultdict(list)
    for change, reason, missing in _by_change(failures):
        attempt = history.attempts.get(change.cause, 0) + 1
        given_up = policy.is_over(attempt, now - history.sent.get(change.cause, now))
        groups[missing, attempt, given_up].append((change, reason))
    return [_unrouted(group, *alike, history, policy, now, draw) for alike, group in groups.items()]


def decode(content: Mapping[str, Any]) -> Waiting:
    """What a notification with our member says of itself.

    Raises:
        EventError: the member is damaged.
    """
    try:
        return msgspec.convert(content[MARK], Waiting)
    except (msgspec.ValidationError, KeyError) as error:
        raise EventError(f"changes that wait, and can't be read: {error}") from None


def renewed(body: str, now: float) -> str:
    """A message for another beginning: what waited begins anew, with its age; anything else stays as it is."""
    try:
        content = json.loads(body)
        waiting = decode(content)
    except (ValueError, RecursionError, EventError, TypeError):
        return body
    fresh = msgspec.structs.replace(waiting, attempt=0, since=now)
    return _text({**content, MARK: msgspec.to_builtins(fresh)})


def _by_change(failures: Iterable[tuple[Change, str, frozenset[str]]]) -> Iterator[tuple[Change, str, frozenset[str]]]:
    """Each change once, with all that is missing of it."""
    found: dict[Change, tuple[str, frozenset[str]]] = {}
    for change, reason, missing in failures:
        first, earlier = found.get(change, (reason, frozenset()))
        found[change] = first, earlier | missing
    for change, (reason, missing) in found.items():
        yield change, reason, missing


def _unrouted(
    group: Sequence[tuple[Change, str]],
    missing: frozenset[str],
    attempt: int,
    given_up: bool,  # noqa: FBT001 - part of the key of the group
    history: MessageHistory,
    policy: RetryPolicy,
    now: float,
    draw: Callable[[float], float],
) -> Unrouted:
    changes = tuple(change for change, _ in group)
    causes = {change.cause for change in changes}
    since = max((history.sent.get(cause, now) for cause in causes), default=now)
    origins = frozenset(origin for cause in causes for origin in history.origins.get(cause, (cause,)))
    waiting = Waiting(tuple(sorted(missing)), attempt, round(since, 3), shortened(origins))
    reason = group[0][1] + (f" (and {len(group) - 1:,} more)" if len(group) > 1 else "")
    return Unrouted(changes, waiting, reason, None if given_up else math.ceil(policy.delay(attempt, draw)))


def _bodies(changes: Sequence[Change], waiting: Waiting, largest: int) -> Iterator[str]:
    body = _text({"Records": [_record(change) for change in changes], MARK: msgspec.to_builtins(waiting)})
    if len(body) <= largest or len(changes) == 1:
        yield body
        return
    share = max(1, len(changes) // (len(body) // largest + 1))
    for start in range(0, len(changes), share):
        yield from _bodies(changes[start : start + share], waiting, largest)


def _record(change: Change) -> dict[str, Any]:
    """The record of an S3 notification that says the same: its shape is that of events.s3, which reads it."""
    named = {"key": quote_plus(change.key), "eTag": change.etag, "versionId": change.version}
    found = {name: value for name, value in {**named, "sequencer": change.sequencer}.items() if value}
    record = {"eventSource": "aws:s3", "eventName": _EVENT_NAMES[change.kind], "eventTime": change.time}
    who = {
        "userIdentity": {"principalId": change.principal} if change.principal else None,
        "requestParameters": {"sourceIPAddress": change.source_ip} if change.source_ip else None,
    }
    told = {name: value for name, value in who.items() if value}
    return {**record, **told, "s3": {"bucket": {"name": change.bucket}, "object": found}}


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"))

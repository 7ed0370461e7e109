"""What a plugin says to ``multicdn doctor``: whether purges would work, and what to do where they would not.

Only people ask, so Lambda needn't load it: import it within ``diagnose``, or in a module that ``diagnose`` imports:

    def diagnose(self, use: Usage, call: Call | None) -> Iterator[Finding]:
        from multicdn.diagnosis import ok, unknown

        if call is None:
            return
        who = self._api.send("GET", "/whoami", call).text("name")
        yield ok(f"the token is {who}'s")
        yield unknown("that it may purge isn't provable without purging")
"""

from __future__ import annotations

import enum
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.model import Action, TargetKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Finding", "Health", "Usage", "ending", "failed", "hosts_beside", "ok", "unknown", "warning"]

_SOON = timedelta(days=30)


class Health(enum.StrEnum):
    """How something is: purges fail only where it is ``FAILED``; ``UNKNOWN`` is what nobody could look at."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Finding(Struct, frozen=True):
    """One thing that was looked at.

    Attributes:
        state: how it is.
        text: what is so, and what that proves.
        remedy: what to do; nothing is FAILED without one.
    """

    state: Health
    text: str
    remedy: str = ""


class Usage(Struct, frozen=True, kw_only=True):
    """What the config's routes have one provider do, so that nothing is asked for that nobody needs.

    Attributes:
        asks: the kinds of target, each with what is done.
        hosts: host names of the URLs that are known beforehand, in order.
        buckets: of the routes, in order.
    """

    asks: frozenset[tuple[Action, TargetKind]] = frozenset()
    hosts: tuple[str, ...] = ()
    buckets: tuple[str, ...] = ()

    def purges(self, kind: TargetKind) -> bool:
        """Whether a route has it purge by a kind of target."""
        return (Action.PURGE, kind) in self.asks


def ok(text: str) -> Finding:
    """All is well."""
    return Finding(Health.OK, text)


def warning(text: str, remedy: str) -> Finding:
    """It works, but some purges may miss, or it won't for long."""
    return Finding(Health.WARNING, text, remedy)


def failed(text: str, remedy: str) -> Finding:
    """Purges fail."""
    return Finding(Health.FAILED, text, remedy)


def unknown(text: str, remedy: str = "") -> Finding:
    """Nobody can tell without purging, or with these permissions."""
    return Finding(Health.UNKNOWN, text, remedy)


def hosts_beside(hosts: Iterable[str], served: Iterable[str]) -> Iterator[str]:
    """Those of some host names that a vendor doesn't serve; ``*.acme.com`` stands for all below ``acme.com``."""
    known = {name.lower() for name in served}
    for host in hosts:
        labels = host.lower().split(".")
        wider = {f"*.{'.'.join(labels[place:])}" for place in range(1, len(labels))}
        if not {host.lower(), *wider} & known:
            yield host


def ending(moment: object) -> Iterator[Finding]:
    """What is to be said of the day on which a token ends, in ISO 8601; nothing where it is far away, or there is none.

    Args:
        moment: as the vendor gives it.
    """
    try:
        end = datetime.fromisoformat(str(moment))
    except ValueError:
        return
    left = (end if end.tzinfo else end.replace(tzinfo=UTC)) - datetime.now(UTC)
    if left <= timedelta():
        yield failed(f"the token ended on {moment}", "make a new token, and store it")
    elif left < _SOON:
        yield warning(f"the token ends on {moment}, in {left.days} days", "make a new token, and store it")

"""What a vendor has refused in one lane: what that stands for isn't asked, and all else still is.

A plugin says what a refusal is about, where its vendor does. Where not, it is taken for one of this kind of target at
this host, or of these targets alone if others like them were accepted; and for one of all that there is when others
were refused as well, and none accepted meanwhile.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

from multicdn.errors import CallRefused
from multicdn.patterns import lazy_pattern

if TYPE_CHECKING:
    from multicdn.errors import SecretError
    from multicdn.model import Action, Job, TargetKind

    Refusal = CallRefused | SecretError
    _Like = tuple[Action, TargetKind, str]

# Kinds or hosts that are refused without one acceptance before the rest isn't asked any longer.
_WIDENED_BY = 3

# Refusals of single calls, beside others like them that were accepted, before these are held back after all.
_IN_A_ROW = 8

# As vendors know them: with a scheme, without one, as //host, or as the URL in a JSON object with its headers.
_HOST = lazy_pattern(r'(?:\{.*?"url":\s*")?(?:[a-z][a-z0-9+.-]*:)?(?://)?(?P<host>[^/?#"\s]+)', re.IGNORECASE)


def host_of(target: str) -> str:
    """The host in a URL, a prefix or a host name; empty for a path."""
    found = _HOST.match(target)
    return found["host"].lower() if found else ""


def hosts_of(job: Job) -> dict[str, list[str]]:
    """The targets of a job by host; those of tags and of everything have none."""
    if job.kind in ("tag", "everything"):
        return {"": list(job.targets)}
    hosts: dict[str, list[str]] = {}
    for target in job.targets:
        hosts.setdefault(host_of(target), []).append(target)
    return hosts


class Refusals:
    """All refusals of one lane, told by several threads."""

    def __init__(self) -> None:
        self._of_all: Refusal | None = None
        self._of_kinds: dict[tuple[Action, TargetKind], Refusal] = {}
        self._of_hosts: dict[str, Refusal] = {}
        self._of_likes: dict[_Like, Refusal] = {}
        self._accepted: set[_Like] = set()
        self._since_accepted: set[_Like] = set()
        self._in_a_row = 0
        self._lock = threading.Lock()

    def covering(self, job: Job) -> tuple[Refusal, Job] | None:
        """A refusal that stands for a job or for some of its targets, and that part; None if it is to be asked."""
        with self._lock:
            refusal = self._of_all or self._of_kinds.get((job.action, job.kind))
            if refusal is not None:
                return refusal, job
            if not self._of_hosts and not self._of_likes:
                return None
            for host, targets in hosts_of(job).items():
                refusal = self._of_hosts.get(host) or self._of_likes.get((job.action, job.kind, host))
                part = refusal and job.only(targets)
                if refusal and part:
                    return refusal, part
        return None

    def note(self, job: Job, refusal: Refusal) -> bool:
        """Take in a refusal of a job; its targets have one host, if that matters for what it is about.

        Returns:
            Whether it is about more than these very targets.
        """
        host = next(iter(hosts_of(job)))
        about = refusal.about if isinstance(refusal, CallRefused) else "account"
        with self._lock:
            if about == "account":
                self._of_all = refusal
            elif about == "kind" or (about == "host" and not host):
                self._of_kinds[job.action, job.kind] = refusal
            elif about == "host":
                self._of_hosts[host] = refusal
            else:
                return self._note_unclear((job.action, job.kind, host), refusal)
        return True

    def _note_unclear(self, like: _Like, refusal: Refusal) -> bool:
        self._in_a_row += 1
        if like in self._accepted and self._in_a_row < _IN_A_ROW:
            return False
        self._of_likes[like] = refusal
        self._since_accepted.add(like)
        if len(self._since_accepted) >= _WIDENED_BY:
            self._of_all = refusal
        return True

    def has_accepted(self, job: Job) -> bool:
        """Whether a job of this kind was accepted."""
        with self._lock:
            return any(like[:2] == (job.action, job.kind) for like in self._accepted)

    def accepted(self, job: Job) -> None:
        """Take in that a job was accepted: whatever is refused, the credentials are not."""
        likes = {(job.action, job.kind, host) for host in hosts_of(job)}
        with self._lock:
            self._accepted |= likes
            self._since_accepted.clear()
            self._in_a_row = 0

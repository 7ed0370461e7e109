"""Requests that leave as they were written: urllib3 drops, escapes and re-spells parts of a target.

Cache keys are byte-exact: ``%2f`` and ``%2F`` are two objects to a CDN, and so are ``/a`` and ``/a?``.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any

from multicdn.bounds import obey
from multicdn.patterns import lazy_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

# Printable ASCII but for the fragment sign: what RFC 9112 lets stand in a request line, and a bit more.
_SENDABLE = lazy_pattern(r"[!-\"$-~]*")

# Slashes of both kinds, escaped too: some proxies unescape a path before they resolve it. Some cut parameters off.
_DOT_SEGMENT = lazy_pattern(r"(?:^|[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?:[/\\;]|%2f|%5c|$)", re.IGNORECASE)

_target: ContextVar[str] = ContextVar("target")


def is_sendable(target: str) -> bool:
    """Whether a request target is free of what must be percent-encoded: blanks, ``#``, controls, other scripts."""
    return _SENDABLE.fullmatch(target) is not None


def has_dot_segments(target: str) -> bool:
    """Whether the path of a request target, or of a URL in it, has a segment that a proxy resolves: ``.`` or ``..``.

    RFC 3986, 5.2.4 and 6.2.2.2: escaped dots and slashes count as well, and what is left may be another path of the
    same API.
    """
    return _DOT_SEGMENT.search(re.split("[?#]", target, maxsplit=1)[0]) is not None


@contextmanager
def target(exact: str) -> Iterator[None]:
    """Let the requests that begin within go out with this path and query, byte for byte; for ``exact`` connections."""
    before = _target.set(exact if exact.startswith("/") else f"/{exact}")
    try:
        yield
    finally:
        _target.reset(before)


@cache
def exact(connection: type) -> Any:
    """A class of urllib3's connections that spell targets as they are told, and keep to the bounds of their users."""
    made: Any = type(connection.__name__, (_Exact, connection), {})
    obey(made)
    return made


class _Exact:
    """Mixed into urllib3's connections, where a target passes last."""

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        # A proxy for plain HTTP gets an absolute URL; we send plain HTTP to this machine only, where no proxy stands.
        super().putrequest(method, _target.get() if url.startswith("/") else url, *args, **kwargs)  # type: ignore[misc]

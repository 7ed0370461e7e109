"""Requests that leave as they were written: urllib3 drops, escapes and re-spells parts of a target.

Cache keys are byte-exact: ``%2f`` and ``%2F`` are two objects to a CDN, and so are ``/a`` and ``/a?``.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from functools import cache
from typing import Any

from multicdn.bounds import obey
from multicdn.patterns import lazy_pattern

# Printable ASCII but for the fragment sign: what RFC 9112 lets stand in a request line, and a bit more.
_SENDABLE = lazy_pattern(r"[!-\"$-~]*")

# Slashes of both kinds, escaped too: some proxies unescape a path before they resolve it. Some cut parameters off.
_DOT_SEGMENT = lazy_pattern(r"(?:^|[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?:[/\\;]|%2f|%5c|$)", re.IGNORECASE)

_ESCAPED = lazy_pattern("%(?:2[EFef]|5[Cc])")  # dots and slashes

#: What stands in the request lines of ``exact`` connections.
target: ContextVar[str] = ContextVar("target")


def is_sendable(text: str) -> bool:
    """Whether a request target is free of what must be percent-encoded: blanks, ``#``, controls, other scripts."""
    return _SENDABLE.fullmatch(text) is not None


def has_dot_segments(text: str) -> bool:
    """Whether the path of a request target, or of a URL in it, has a segment that a proxy resolves: ``.`` or ``..``.

    RFC 3986, 5.2.4 and 6.2.2.2: escaped dots and slashes count as well, and what is left may be another path of the
    same API.
    """
    # The quick way for nearly all: without any of these no part of the expression can match.
    is_plain = "/." not in text and "\\" not in text and not text.startswith(".")
    if is_plain and ("%" not in text or _ESCAPED.search(text) is None):
        return False
    return _DOT_SEGMENT.search(re.split("[?#]", text, maxsplit=1)[0]) is not None


@cache
def exact(connection: type) -> Any:
    """A class of urllib3's connections that spell targets as they are told, and keep to the bounds of their users."""
    made: Any = type(connection.__name__, (_Exact, connection), {})
    obey(made)
    return made


class _Exact:
    """Mixed into urllib3's connections, where a target passes last."""

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        del url
        super().putrequest(method, target.get(), *args, **kwargs)  # type: ignore[misc]

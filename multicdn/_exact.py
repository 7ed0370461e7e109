"""Requests that leave as they were written: ``requests`` and urllib3 drop, escape and re-spell parts of a target.

Cache keys are byte-exact: ``%2f`` and ``%2F`` are two objects to a CDN, and so are ``/a`` and ``/a?``.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from functools import cache
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from multicdn.bounds import obey

# Printable ASCII but for the fragment sign: what RFC 9112 lets stand in a request line, and a bit more.
_SENDABLE = re.compile(r"[!-\"$-~]*")
_AFTER_AUTHORITY = re.compile(r"[^:/]+://[^/?#]*(.*)", re.DOTALL)

# Slashes of both kinds, escaped too: some proxies unescape a path before they resolve it. Some cut parameters off.
_DOT_SEGMENT = re.compile(r"(?:^|[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?:[/\\;]|%2f|%5c|$)", re.IGNORECASE)

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


class ExactSession(requests.Session):
    """A session that ignores redirects; others prepare the next request at once, from a header that may be garbage."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Find none."""
        del resp
        return None


class ExactAdapter(HTTPAdapter):
    """Sends what follows host and port in ``PreparedRequest.url`` byte for byte. Over TLS, through proxies too."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send one request; as in the base class."""
        found = _AFTER_AUTHORITY.fullmatch(request.url or "")
        target = found[1] if found else ""
        before = _target.set(target if target.startswith("/") else f"/{target}")
        try:
            return super().send(request, *args, **kwargs)
        finally:
            _target.reset(before)

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Return the pool of the base class, with connections that spell targets as told."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = _exact(pool.ConnectionCls)
        return pool


class _Exact:
    """Mixed into urllib3's connections, where a target passes last."""

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        # A proxy for plain HTTP gets an absolute URL; we send plain HTTP to this machine only, where no proxy stands.
        exact = _target.get() if url.startswith("/") else url
        super().putrequest(method, exact, *args, **kwargs)  # type: ignore[misc]


@cache
def _exact(connection: type) -> Any:
    if issubclass(connection, _Exact):
        return connection
    exact: Any = type(connection.__name__, (_Exact, connection), {})
    obey(exact)
    return exact

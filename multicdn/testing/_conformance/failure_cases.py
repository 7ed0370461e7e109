"""Failures of a vendor's API with the errors that they must become, and the keys that break naive purgers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from multicdn.errors import CallRefused, CredentialsRefused, ProviderError, RetryLater, TargetsRefused
from multicdn.simulators.kit import faults
from multicdn.simulators.kit.http_server import Request, Response

if TYPE_CHECKING:
    import threading

    from multicdn.simulators.kit.faults import Fault, Handler

Refusal = Callable[[int], Response]
"""Gives a vendor's own answer of a status."""

_NO_CONTENT = 204

WAIT = 7.0  # seconds that an answer with Retry-After asks for


class Trouble(NamedTuple):
    """One kind of trouble, and the error that it must become.

    Attributes:
        name: under which a conformance class may expect something else.
        fault: makes the fault, given how the vendor words a status.
        error: what must be raised; a subclass will do.
        after: the wait that the error must carry; None asks for none in particular.
    """

    name: str
    fault: Callable[[Refusal], Fault]
    error: type[ProviderError]
    after: float | None = None


class Expected(NamedTuple):
    """The error that a provider makes of a trouble instead, and why.

    Attributes:
        error: what is raised.
        reason: one sentence for the reader of the tests.
        after: the wait that it carries; None asks for none in particular.
    """

    error: type[ProviderError]
    reason: str
    after: float | None = None


def _answers(status: int, **headers: str) -> Callable[[Refusal], Fault]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def made(refusal: Refusal) -> Fault:
        answer = refusal(status)
        return lambda *_: replace(answer, headers={**answer.headers, **named})

    return made


def _cut_short(request: Request, answer: Handler, _released: threading.Event) -> Response:
    """Do the work, and close the connection half-way through the answer's body; one that has none gets a length.

    A 204 has neither body nor length, whatever its headers say (RFC 9110, 15.3.5): of it nothing comes.
    """
    right = answer(request)
    if right.status == _NO_CONTENT:
        return faults.lost()(request, lambda _: right, _released)
    headers = {**right.headers, "Content-Length": str(len(right.body) + 9)}
    return replace(right, headers=headers, body=right.body[: len(right.body) // 2], cut_after=1 << 20)


TROUBLES = (
    Trouble("400", _answers(400), TargetsRefused),
    Trouble("401", _answers(401), CredentialsRefused),
    Trouble("403", _answers(403), CredentialsRefused),
    Trouble("404", _answers(404), CallRefused),
    Trouble("413", _answers(413), TargetsRefused),
    Trouble("429", _answers(429), RetryLater),
    Trouble("429 with Retry-After", _answers(429, Retry_After=f"{WAIT:g}"), RetryLater, WAIT),
    Trouble("500", _answers(500), RetryLater),
    Trouble("503", _answers(503), RetryLater),
    Trouble("503 with Retry-After", _answers(503, Retry_After=f"{WAIT:g}"), RetryLater, WAIT),
    Trouble("connection reset", lambda _: faults.reset(), RetryLater),
    Trouble("answer lost", lambda _: faults.lost(), RetryLater),
    Trouble("answer cut short", lambda _: _cut_short, RetryLater),
    Trouble("page in place of an answer", lambda _: faults.garbage(), RetryLater),
)

REDIRECTS = (301, 302, 303, 307, 308)

# The others have tests of their own.
NAMES = frozenset(
    (
        *(trouble.name for trouble in TROUBLES),
        "silence",
        "403 for one kind",
        *(f"redirect {status}" for status in REDIRECTS),
    )
)


def echo(status: int, heard: set[str]) -> Fault:
    """Make a fault: the vendor quotes the whole request in its answer, as some do.

    Args:
        status: of the answer.
        heard: gets the credentials of ``Authorization`` headers, which may be made of secrets without showing one.
    """

    def fault(request: Request, _answer: Handler, _released: threading.Event) -> Response:
        heard.update(filter(None, [request.headers.get("Authorization", "").partition(" ")[2]]))
        headers = "; ".join(f"{name}: {value}" for name, value in request.headers.items())
        body = request.body.decode("utf-8", "replace")
        quoted = f"can't process {request.method} {request.target} with {headers} and {body}"
        return Response.json({"message": quoted, "detail": quoted}, status)

    return fault


# Paths of URLs as routing makes them of keys: everything but RFC 3986's unreserved and some marks is percent-encoded.
ODD_PATHS = {
    "space": "/a%20b.css",
    "plus": "/a+b.css",
    "encoded plus": "/a%2Bb.css",
    "percent": "/100%2525.css",
    "percent sequence in the key": "/a%2520b.css",
    "hash": "/a%23b.css",
    "question mark": "/a%3Fb.css",
    "tilde": "/~user/a.css",
    "star": "/a*b.css",
    "quotes": "/it's%20%22a%22.css",
    "ampersand and semicolon": "/a&b;c=d.css",
    "not ASCII": "/%E4%B8%AD%E6%96%87.css",
    "dots": "/a/../b/./c.css",
    "two slashes": "/a//b.css",
    "upper case": "/A%20B.CSS",
    "slash at the end": "/a/",
    "1,024 bytes, all encoded": "/" + "%E4%B8%AD" * 341 + "k",
}

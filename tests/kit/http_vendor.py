"""What every vendor with an HTTP API must stand: troubles of its API, and keys with odd characters."""

from __future__ import annotations

import logging
import socket
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from multicdn.errors import CallRefused, CredentialsRefused, ProviderError, RetryLater
from multicdn.provider import Call
from multicdn.simulators import Request, Response, Server
from multicdn.simulators.kit import faults
from multicdn.simulators.kit.faults import Fault

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

CALL = Call(connect=1.0, read=2.0)
IMPATIENT = Call(connect=1.0, read=0.05)

_PAGE = "<html><head><title>503 Backend fetch failed</title></head><body><h1>Guru</h1></body></html>"


@dataclass(frozen=True)
class Trouble:
    """A fault, the error that it must become, and words of its reason.

    Attributes:
        after: the wait that the error must carry.
    """

    name: str
    fault: Fault
    error: type[ProviderError]
    words: str = ""
    after: float | None = None
    call: Call = CALL


def _cut_short(request: Request, answer: faults.Handler, _released: threading.Event) -> Response:
    """Do the work, and close the connection before the answer's body is complete."""
    right = answer(request)
    return replace(right, headers={**right.headers, "Content-Length": str(len(right.body) + 9)}, cut_after=1 << 20)


TROUBLES = [
    Trouble("429 with seconds", faults.status(429, {"Retry-After": "7"}), RetryLater, "429", 7.0),
    Trouble("429 with a fraction", faults.status(429, {"Retry-After": "1.5"}), RetryLater, "429", 1.5),
    Trouble(
        "429 with a past date",
        faults.status(429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        RetryLater,
        "429",
        0.0,
    ),
    Trouble("429 without a wait", faults.status(429), RetryLater, "429"),
    Trouble("429 with nonsense", faults.status(429, {"Retry-After": "soon"}), RetryLater, "429"),
    Trouble("500", faults.status(500, body='{"message": "oops"}'), RetryLater, "oops"),
    Trouble(
        "503 with a page", faults.status(503, {"Content-Type": "text/html"}, _PAGE), RetryLater, "Backend fetch failed"
    ),
    Trouble("503 with a wait", faults.status(503, {"Retry-After": "30"}), RetryLater, "503", 30.0),
    Trouble("reset", faults.reset(), RetryLater, "connection failed"),
    Trouble("answer lost", faults.lost(), RetryLater, "connection failed"),
    Trouble("cut within the status", faults.drop_after(5), RetryLater, "connection failed"),
    Trouble("cut within the body", _cut_short, RetryLater, "connection failed"),
    Trouble("silence", faults.hang(), RetryLater, "no answer within", call=IMPATIENT),
    Trouble("page in place of an answer", faults.garbage(), RetryLater, "It works!"),
    Trouble("403", faults.status(403, body='{"message": "not yours"}'), CredentialsRefused, "not yours"),
    Trouble("404", faults.status(404), CallRefused, "404"),
    Trouble("418", faults.status(418), CallRefused, "418"),
]

# Keys, percent-encoded as routing does it.
ODD_PATHS = {
    "space": "/a%20b.css",
    "plus": "/a+b.css",
    "encoded plus": "/a%2Bb.css",
    "percent": "/100%2525.css",
    "percent sequence in the key": "/a%2520b.css",
    "hash": "/a%23b.css",
    "question mark": "/a%3Fb.css",
    "tilde": "/~user/a.css",
    "quotes": "/it's%20%22a%22.css",
    "ampersand and semicolon": "/a&b;c=d.css",
    "Chinese": "/%E4%B8%AD%E6%96%87.css",
    "dots": "/a/../b/./c.css",
    "two slashes": "/a//b.css",
    "1,024 bytes": "/" + "k" * 1024,
    "1,024 bytes, all encoded": "/" + "%E4%B8%AD" * 341 + "k",
}


def check_trouble(trouble: Trouble, error: ProviderError) -> None:
    """See that an error is the one that a trouble must become."""
    assert isinstance(error, trouble.error)
    assert trouble.words in error.reason
    if isinstance(error, RetryLater):
        assert error.after == trouble.after


def everything_said(error: BaseException | None, caplog: pytest.LogCaptureFixture, *things: object) -> str:
    """All that a log could get to see: the error with its chain and attributes, log records, and reprs."""
    texts = [f"{thing!r} {thing!s} {thing}" for thing in things]
    while error is not None:
        texts += [*traceback.format_exception(error), repr(error), repr(vars(error))]
        error = error.__cause__ or error.__context__
    return "\n".join([*texts, caplog.text])


@contextmanager
def all_logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Capture every log record there is, those of urllib3 included."""
    with caplog.at_level(logging.DEBUG):
        yield


@contextmanager
def elsewhere() -> Iterator[tuple[str, list[Request]]]:
    """Another host, and the requests that reach it."""
    seen: list[Request] = []

    def answer(request: Request) -> Response:
        seen.append(request)
        return Response.json({"id": "stolen", "Id": "stolen", "access_token": "stolen"})

    with Server(answer) as server:
        yield server.url, seen


def forbid_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail whatever opens a socket or resolves a name."""

    def opened(*_: Any, **__: Any) -> Any:
        pytest.fail("a socket was opened")

    monkeypatch.setattr(socket, "socket", opened)
    monkeypatch.setattr(socket, "getaddrinfo", opened)

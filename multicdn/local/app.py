"""The page and what it asks for, as an ASGI application."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import msgspec
from msgspec import Meta, Struct
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from multicdn.local.guard import Guard
from multicdn.local.session import ActionError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from threading import Event
    from typing import Protocol

    from starlette.requests import Request

    from multicdn.local.edges import EdgeAnswer
    from multicdn.local.state import LocalState

    class Desk(Protocol):
        """What the page shows and steers."""

        def state(self) -> LocalState:
            """What there is to see now."""

        def upload(self, bucket: str, key: str, body: str | None) -> int:
            """Put a new version of an object."""

        def remove(self, bucket: str, key: str) -> None:
            """Remove an object."""

        def fetch(self, provider: str, url: str) -> EdgeAnswer:
            """Get a URL through an edge."""

        def fault(self, provider: str, fault: str) -> None:
            """Put a provider into trouble."""


_STATIC = Path(__file__).with_name("static")

_LARGEST_BODY = 1 << 20
_MOST_STREAMS = 16

# Seconds: between two looks, between two states that differ in ages alone, and without any word.
_PAUSE, _AGEING, _HEARTBEAT = 0.1, 2.0, 15.0

_JSON = "application/json"


class _UploadAsked(Struct, forbid_unknown_fields=True):
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
    key: Annotated[str, Meta(min_length=1, max_length=1024)]
    bucket: str = ""
    body: str | None = None


class _RemoveAsked(Struct, forbid_unknown_fields=True):
    key: Annotated[str, Meta(min_length=1, max_length=1024)]
    bucket: str = ""


class _FetchAsked(Struct, forbid_unknown_fields=True):
    provider: str
    url: Annotated[str, Meta(max_length=8192)]


class _FaultAsked(Struct, forbid_unknown_fields=True):
    provider: str
    fault: str


_Body = TypeVar("_Body", _UploadAsked, _RemoveAsked, _FetchAsked, _FaultAsked)


def make(session: Desk, port: int, closing: Event) -> Starlette:
    """Make the application.

    Args:
        session: what it shows and steers.
        port: that it will be asked at.
        closing: ends the streams.
    """
    pages = _Pages(session, closing)
    return Starlette(
        routes=[
            Route("/api/state", pages.state, methods=["GET"]),
            Route("/api/events", pages.events, methods=["GET"]),
            Route("/api/upload", pages.upload, methods=["POST"]),
            Route("/api/remove", pages.remove, methods=["POST"]),
            Route("/api/fetch", pages.fetch, methods=["POST"]),
            Route("/api/fault", pages.fault, methods=["POST"]),
            Mount("/", StaticFiles(directory=_STATIC, html=True)),
        ],
        middleware=[Middleware(Guard, port=port)],
        exception_handlers={HTTPException: _told, Exception: _failed},
    )


class _Pages:
    def __init__(self, session: Desk, closing: Event) -> None:
        self._session = session
        self._closing = closing
        self._snapshot = b"", b""
        self._taken_at = 0.0
        self._streams = 0

    async def state(self, _: Request) -> Response:
        state = await run_in_threadpool(self._session.state)
        return _encoded(state)

    async def events(self, _: Request) -> Response:
        if self._streams >= _MOST_STREAMS:
            _refuse(503, f"{_MOST_STREAMS} pages are open already: close one")
        return StreamingResponse(self._stream(), media_type="text/event-stream")

    async def upload(self, request: Request) -> Response:
        asked = await _body(request, _UploadAsked)
        number = await _done(self._session.upload, asked.bucket, asked.key, asked.body)
        return JSONResponse({"version": number})

    async def remove(self, request: Request) -> Response:
        asked = await _body(request, _RemoveAsked)
        await _done(self._session.remove, asked.bucket, asked.key)
        return JSONResponse({})

    async def fetch(self, request: Request) -> Response:
        asked = await _body(request, _FetchAsked)
        return _encoded(await _done(self._session.fetch, asked.provider, asked.url))

    async def fault(self, request: Request) -> Response:
        asked = await _body(request, _FaultAsked)
        await _done(self._session.fault, asked.provider, asked.fault)
        return JSONResponse({})

    async def _stream(self) -> AsyncIterator[bytes]:
        if self._streams >= _MOST_STREAMS:  # many were let in at the same moment
            return
        self._streams += 1
        try:
            sent, spoke_at = (b"", b""), 0.0
            while not self._closing.is_set():
                now = time.monotonic()
                snapshot = await self._current(now)
                if snapshot[0] != sent[0] or (snapshot != sent and now - spoke_at >= _AGEING):
                    sent, spoke_at = snapshot, now
                    yield b"event: state\ndata: " + snapshot[1] + b"\n\n"
                elif now - spoke_at >= _HEARTBEAT:
                    spoke_at = now
                    yield b": still here\n\n"
                await asyncio.sleep(_PAUSE)
        finally:
            self._streams -= 1

    async def _current(self, now: float) -> tuple[bytes, bytes]:
        """The state without what changes by itself, to be compared, and all of it: for all streams alike."""
        if now - self._taken_at >= _PAUSE / 2:
            self._taken_at = now
            state = await run_in_threadpool(self._session.state)
            self._snapshot = await run_in_threadpool(_compared, state), msgspec.json.encode(state)
        return self._snapshot


async def _body(request: Request, form: type[_Body]) -> _Body:
    """What was sent.

    Raises:
        HTTPException: it is too large, no JSON, or of another form.
    """
    # A form of a stranger's page could not say that it is JSON.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        _refuse(415, f"send it as {_JSON}")
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > _LARGEST_BODY:
            _refuse(413, f"at most {_LARGEST_BODY:,} bytes can be sent at once")
    try:
        return msgspec.json.decode(content, type=form)
    except (msgspec.MsgspecError, ValueError) as error:
        _refuse(400, f"that can't be read: {error}")


_Arguments = Any
_Result = TypeVar("_Result")


async def _done(action: Callable[..., _Result], *arguments: _Arguments) -> _Result:
    try:
        return await run_in_threadpool(action, *arguments)
    except ActionError as error:
        _refuse(400, str(error))


def _compared(state: LocalState) -> bytes:
    providers = [
        msgspec.structs.replace(each, edge=tuple(msgspec.structs.replace(url, age=0) for url in each.edge))
        for each in state.providers
    ]
    queue = state.queue
    jobs, dead = (
        tuple(msgspec.structs.replace(job, age=0, due=0) for job in each) for each in (queue.jobs, queue.dead_jobs)
    )
    queue = msgspec.structs.replace(queue, jobs=jobs, dead_jobs=dead)
    return msgspec.json.encode(msgspec.structs.replace(state, providers=tuple(providers), queue=queue))


def _encoded(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type=_JSON)


def _refuse(status: int, sentence: str) -> NoReturn:
    raise HTTPException(status, sentence)


async def _told(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


async def _failed(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"that failed: {type(error).__name__}: {error}"}, 500)

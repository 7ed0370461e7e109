"""An origin: a bucket of objects behind HTTP, for edges to fetch from."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote

from multicdn.simulators.kit.http_server import Headers, Request, Response, Server

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of an origin."""

    body: bytes
    headers: Headers = field(default_factory=Headers)

    @property
    def etag(self) -> str:
        """A quoted digest of the body."""
        return f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'


class Origin:
    """An HTTP server over a dict of objects. The key is the path, percent-decoded once, without its first slash.

    Args:
        plus_is_space: decode ``+`` in a path to a space, as S3 does.
        index: what to append to keys that are empty or end in a slash, as a web site does; empty appends nothing.
        port: 0 takes a free one.
    """

    def __init__(self, *, plus_is_space: bool = False, index: str = "", port: int = 0) -> None:
        self.plus_is_space = plus_is_space
        self.index = index
        self._objects: dict[str, StoredObject] = {}
        self._requests: list[Request] = []
        self._lock = threading.Lock()
        self._server = Server(self._answer, port)

    @property
    def url(self) -> str:
        """Base URL without a trailing slash."""
        return self._server.url

    @property
    def requests(self) -> list[Request]:
        """A copy of what was asked for so far, in order."""
        with self._lock:
            return list(self._requests)

    def put(self, key: str, body: bytes | str, headers: Mapping[str, str] | None = None) -> None:
        """Store an object; ``headers`` are sent with it (Cache-Control, tags)."""
        content = body.encode() if isinstance(body, str) else body
        with self._lock:
            self._objects[key] = StoredObject(content, Headers(headers or {}))

    def remove(self, key: str) -> None:
        """Remove an object, if it is there."""
        with self._lock:
            self._objects.pop(key, None)

    def start(self) -> Self:
        """Listen, and return self."""
        self._server.start()
        return self

    def stop(self) -> None:
        """Stop listening."""
        self._server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answer(self, request: Request) -> Response:
        key = self._key(request.path)
        with self._lock:
            self._requests.append(request)
            stored = self._objects.get(key)
        if request.method not in ("GET", "HEAD"):
            return Response(405, {"Allow": "GET, HEAD"})
        if stored is None:
            return Response(404, {"Content-Type": "text/plain"}, b"no such key\n")
        headers = {**stored.headers, "ETag": stored.etag}
        if request.headers.get("If-None-Match") == stored.etag:
            return Response(304, headers)
        return Response(200, headers, stored.body)

    def _key(self, path: str) -> str:
        encoded = path.removeprefix("/")
        if self.plus_is_space:
            encoded = encoded.replace("+", " ")
        key = unquote(encoded, errors="surrogateescape")
        return key + self.index if not key or key.endswith("/") else key

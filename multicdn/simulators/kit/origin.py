"""An origin: a bucket of objects behind HTTP, for edges to fetch from."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote

from multicdn.simulators.kit.http_server import Headers, Request, Response, Server
from multicdn.simulators.kit.transforms import conditional

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of an origin.

    Attributes:
        body: its bytes.
        headers: what it was stored with.
        modified: when that was, in seconds since 1970.
        version: its id, in a bucket that keeps versions.
    """

    body: bytes
    headers: Headers = field(default_factory=Headers)
    modified: float = 0.0
    version: str = ""

    @property
    def etag(self) -> str:
        """The quoted MD5 of the body, as of what is uploaded to S3 in one part and encrypted with SSE-S3.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html says when it is another: store that one with it.
        """
        return self.headers.get("ETag") or f'"{hashlib.md5(self.body, usedforsecurity=False).hexdigest()}"'

    def answered(self) -> Headers:
        """The headers of an answer with it."""
        about = {"ETag": self.etag, "Last-Modified": formatdate(self.modified, usegmt=True)}
        version = {"x-amz-version-id": self.version} if self.version else {}
        own = {name: value for name, value in self.headers.items() if name.lower() != "etag"}
        return Headers({**own, **about, **version})


class Origin:
    """An HTTP server over a dict of objects, which answers as S3 does.

    The key is the path, percent-decoded once, without its first slash.

    Args:
        plus_is_space: decode ``+`` in a path to a space, as S3 does.
        index: what to append to keys that are empty or end in a slash, as a web site does; empty appends nothing.
        versioned: whether each version of an object has an id of its own.
        missing: status for what isn't there: 404, or 403 as S3 answers those who may not list the bucket.
        clock: seconds since 1970.
        port: 0 takes a free one.
    """

    def __init__(
        self,
        *,
        plus_is_space: bool = False,
        index: str = "",
        versioned: bool = False,
        missing: int = 404,
        clock: Callable[[], float] = time.time,
        port: int = 0,
    ) -> None:
        self.plus_is_space = plus_is_space
        self.index = index
        self.versioned = versioned
        self.missing = missing
        self.clock = clock
        self._puts = 0
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
        """Store an object; ``headers`` are sent with it: Cache-Control, tags, x-amz-meta-…, another ETag."""
        content = body.encode() if isinstance(body, str) else body
        with self._lock:
            self._puts += 1
            version = hashlib.sha256(f"{key} {self._puts}".encode()).hexdigest()[:32] if self.versioned else ""
            self._objects[key] = StoredObject(content, Headers(headers or {}), self.clock(), version)

    def stored(self, key: str) -> StoredObject | None:
        """An object as it is now; None where there is none."""
        with self._lock:
            return self._objects.get(key)

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
            return Response(self.missing, {"Content-Type": "text/plain"}, b"no such key\n")
        return conditional(Response(200, stored.answered(), stored.body), request.headers.get("If-None-Match", ""))

    def _key(self, path: str) -> str:
        encoded = path.removeprefix("/")
        if self.plus_is_space:
            encoded = encoded.replace("+", " ")
        key = unquote(encoded, errors="surrogateescape")
        return key + self.index if not key or key.endswith("/") else key

"""The origin of the edges: the buckets, under the URLs that the config's routes give their objects.

A bucket alone won't do. Where a route's prefix isn't part of its URLs, or one host serves two buckets, only the routes
know which object a URL means; and what vendors purge by tag needs the tags in the origin's answers.
"""

from __future__ import annotations

import http.client
import threading
from typing import TYPE_CHECKING
from urllib.parse import quote

from multicdn.simulators import Response, Server, Url
from multicdn.simulators.kit.client import Client

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType
    from typing import Self

    from multicdn.simulators import Request

_MOST_URLS = 50_000

_FORWARDED = ("If-None-Match", "If-Modified-Since", "Range")
_NOT_FORWARDED = frozenset(("connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"))

# The headers in which vendors look for tags, and what stands between two of them.
_TAG_HEADERS = {"Surrogate-Key": " ", "Cache-Tag": ",", "Edge-Cache-Tag": ",", "x-amz-meta-cache-tag": ","}


class Site:
    """Serves objects by the URLs that it has learned, and others by their paths. A context manager."""

    def __init__(self) -> None:
        self._servers: list[Server] = []
        self._clients: list[Client] = []
        self._objects: dict[tuple[str, str], tuple[str, str]] = {}
        self._tags: dict[tuple[str, str], frozenset[str]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.stop()
        for client in self._clients:
            client.close()

    def origin(self, buckets: Mapping[str, str]) -> str:
        """Start an origin for an edge.

        Args:
            buckets: URLs of the buckets that it is in front of, by their names.

        Returns:
            Its base URL.
        """
        clients = {name: Client(url) for name, url in buckets.items()}
        self._clients += clients.values()
        server = Server(lambda request: self._answer(request, clients)).start()
        self._servers.append(server)
        return server.url

    def learn(self, bucket: str, key: str, urls: Iterable[str], tags: Iterable[str]) -> None:
        """Take note of the URLs of an object, and of the tags that its answers have."""
        with self._lock:
            for text in urls:
                url = Url.parse(text)
                # By its path alone, too: a CDN may ask for it under a host of its own.
                self._objects[url.host, url.path] = self._objects["", url.path] = bucket, key
            self._tags[bucket, key] = frozenset(tags)
            for known in (self._objects, self._tags):
                while len(known) > _MOST_URLS:
                    del known[next(iter(known))]

    def _answer(self, request: Request, clients: Mapping[str, Client]) -> Response:
        host = request.headers.get("X-Forwarded-Host", "")
        path = request.path
        place = self._objects.get((host, path)) or self._objects.get(("", path))
        headers = {name: request.headers[name] for name in _FORWARDED if name in request.headers}
        if place and place[0] in clients:
            return self._tagged(clients[place[0]].send("GET", f"/{quote(place[1])}", headers), place)
        answer = Response(404)
        for client in clients.values():
            with_path = client.send("GET", path, headers)
            if with_path.status < http.client.BAD_REQUEST:
                return _cleaned(with_path, {})
            answer = with_path
        return _cleaned(answer, {})

    def _tagged(self, answer: Response, place: tuple[str, str]) -> Response:
        tags = sorted(self._tags.get(place, ()))
        return _cleaned(answer, {name: between.join(tags) for name, between in _TAG_HEADERS.items()} if tags else {})


def _cleaned(answer: Response, added: Mapping[str, str]) -> Response:
    kept = {name: value for name, value in answer.headers.items() if name.lower() not in _NOT_FORWARDED}
    return Response(answer.status, {**kept, **added}, answer.body)

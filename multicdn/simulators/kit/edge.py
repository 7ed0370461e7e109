"""A caching edge: the data plane of a simulated CDN. It serves old bytes until it is purged."""

from __future__ import annotations

import http.client
from dataclasses import replace
from typing import TYPE_CHECKING

from multicdn.simulators.kit.cache import Cache, Entry, Url, cache_control, time_to_live
from multicdn.simulators.kit.client import Client
from multicdn.simulators.kit.http_server import Headers, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable

# What an edge decides for itself rather than passing on from the origin.
_NOT_FORWARDED = frozenset(("age", "connection", "content-length", "date", "keep-alive", "transfer-encoding"))


class Edge:
    """One vendor's edge in front of one origin. Vendors override the methods before ``handle``.

    Args:
        origin: base URL of the origin, with a path or without.
        clock: seconds since 1970.
        ttl: seconds to keep what the origin gives no lifetime.
        negative_ttl: the same for a 404 or 410; 0 switches negative caching off.
        stale_while_revalidate: seconds for which a stale entry is still served while it is fetched anew, unless the
            origin's ``stale-while-revalidate`` says otherwise. 0 means that the client waits for the origin.
    """

    def __init__(
        self,
        origin: str,
        *,
        clock: Callable[[], float],
        ttl: float = 3600.0,
        negative_ttl: float = 60.0,
        stale_while_revalidate: float = 0.0,
    ) -> None:
        self.cache = Cache()
        self.clock = clock
        self.default_ttl = ttl
        self.negative_ttl = negative_ttl
        self.stale_while_revalidate = stale_while_revalidate
        self._origin = Client(origin)

    def cache_key(self, url: Url) -> str:
        """The key that an answer is stored under: the whole URL by default."""
        return str(url)

    def origin_target(self, url: Url) -> str:
        """The target that the origin is asked for: the same raw path and query by default."""
        return url.target

    def tags(self, headers: Headers) -> frozenset[str]:
        """The tags that an answer of the origin can be purged by: none by default."""
        del headers
        return frozenset()

    def lifetime(self, status: int) -> float:
        """Seconds to keep an answer for which the origin gives no lifetime; 0 for statuses that are never cached."""
        if status in (404, 410):
            return self.negative_ttl
        return self.default_ttl if status in (200, 203, 301, 308) else 0.0

    def ttl(self, status: int, headers: Headers) -> float:
        """Seconds that an answer stays fresh; 0 if it isn't cached."""
        default = self.lifetime(status)
        return time_to_live(headers, default) if default else 0.0

    def grace(self, entry: Entry) -> float:
        """Seconds after its end of freshness for which an entry is served stale while it is fetched anew."""
        return float(cache_control(entry.headers).get("stale-while-revalidate", self.stale_while_revalidate))

    def other_method(self, request: Request, url: Url) -> Response:
        """Answer what is neither GET nor HEAD."""
        del request, url
        return Response(405, {"Allow": "GET, HEAD"})

    def visible(self, headers: Headers) -> dict[str, str]:
        """The headers that clients get to see; vendors strip their tag headers here."""
        return dict(headers)

    def handle(self, request: Request) -> Response:
        """Answer a client: Host names the site, ``X-Forwarded-Proto`` the scheme (https by default)."""
        if not request.target.startswith("/") or not request.target.isascii():
            return Response(400)
        scheme = request.headers.get("X-Forwarded-Proto", "https")
        url = Url(scheme, request.headers.get("Host", "").lower(), request.target)
        if request.method not in ("GET", "HEAD"):
            return self.other_method(request, url)
        key = self.cache_key(url)
        entry = self.cache.get(key)
        now = self.clock()
        if entry is None:
            return self._fetch(key, url)
        if not entry.is_stale(now):
            return self._serve(entry, "HIT")
        if now < entry.fresh_until + self.grace(entry):
            # Fetched before this answer goes out rather than beside it, so that the next request surely sees it.
            self._fetch(key, url, entry)
            return self._serve(entry, "STALE")
        return self._fetch(key, url, entry)

    def purge_key(self, key: str, *, soft: bool = False) -> int:
        """Drop one entry, or mark it stale (soft purge); return how many there were."""
        return self.cache.expire(key, self.clock()) if soft else self.cache.drop(key)

    def purge_where(self, matches: Callable[[Entry], bool], *, soft: bool = False) -> int:
        """Drop all entries that match, or mark them stale (soft purge); return how many there were."""
        return self.cache.expire_where(matches, self.clock()) if soft else self.cache.drop_where(matches)

    def prefetch(self, url: Url) -> None:
        """Cache what is at a URL, as if a client had asked for it."""
        self.handle(Request("GET", url.target, Headers({"Host": url.host, "X-Forwarded-Proto": url.scheme})))

    def close(self) -> None:
        """Close the connections to the origin."""
        self._origin.close()

    def _fetch(self, key: str, url: Url, stale: Entry | None = None) -> Response:
        purges = self.cache.purges
        condition = {"If-None-Match": stale.headers["ETag"]} if stale and "ETag" in stale.headers else {}
        try:
            answer = self._origin.send("GET", self.origin_target(url), {"X-Forwarded-Host": url.host, **condition})
        except (OSError, http.client.HTTPException):
            return Response(502, {"X-Cache": "ERROR", "Content-Type": "text/plain"}, b"no answer from the origin\n")
        if stale and answer.status == 304:
            headers = Headers({**stale.headers, **answer.headers})
            return self._serve(self._keep(replace(stale, headers=headers), purges), "REVALIDATED")
        now = self.clock()
        fetched = Entry(key, url, answer.status, Headers(answer.headers), answer.body, now, now)
        return self._serve(self._keep(fetched, purges), "MISS")

    def _keep(self, entry: Entry, purges: int) -> Entry:
        """Give an answer its lifetime and tags, and store it if it may be."""
        now = self.clock()
        ttl = self.ttl(entry.status, entry.headers)
        kept = replace(entry, stored_at=now, fresh_until=now + ttl, tags=self.tags(entry.headers))
        if ttl > 0:
            self.cache.store(kept, purges)
        elif entry.status < 500:
            self.cache.forget(entry.key)
        return kept

    def _serve(self, entry: Entry, cache: str) -> Response:
        shown = {
            name: value for name, value in self.visible(entry.headers).items() if name.lower() not in _NOT_FORWARDED
        }
        age = max(0, int(self.clock() - entry.stored_at))
        return Response(entry.status, {**shown, "X-Cache": cache, "Age": str(age)}, entry.body)

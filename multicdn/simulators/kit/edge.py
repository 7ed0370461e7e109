"""A caching edge: the data plane of a simulated CDN. It serves old bytes until it is purged."""

from __future__ import annotations

import copy
import http.client
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from multicdn.simulators.kit.cache import Cache, Entry, Url, cache_control, time_to_live
from multicdn.simulators.kit.client import Client
from multicdn.simulators.kit.http_server import Headers, Request, Response
from multicdn.simulators.kit.topology import Topology
from multicdn.simulators.kit.transforms import conditional

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multicdn.simulators.kit.topology import Pop

# What an edge decides for itself rather than passing on from the origin.
_NOT_FORWARDED = frozenset((
    "age", "connection", "content-length", "date", "keep-alive", "transfer-encoding", "x-cache"
))  # fmt: skip


class Edge:
    """One vendor's edge in front of one origin. Vendors override the methods before ``handle``.

    Args:
        origin: base URL of the origin, with a path or without.
        clock: seconds since 1970.
        ttl: seconds to keep what the origin gives no lifetime.
        negative_ttl: the same for a 404 or 410; 0 switches negative caching off.
        stale_while_revalidate: seconds for which a stale entry is still served while it is fetched anew, unless the
            origin's ``stale-while-revalidate`` says otherwise. 0 means that the client waits for the origin.

    Attributes:
        topology: where its places are, and what it does to answers.
        place: where it is asked; ``at`` gives it at another place.
        cache: what it has cached there. What is purged in it is purged at all places.
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
        self.clock = clock
        self.cache = Cache(clock)
        self._making = threading.Lock()
        self._encoding = ""
        self._is_shield = False
        self.join(Topology())
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

    def named(self, headers: Headers) -> dict[str, str]:
        """The headers that name the place, given those of the origin's answer."""
        del headers
        return {"X-Served-By": self.place.name}

    def told_of_picture(self, before: int, after: int) -> dict[str, str]:
        """The header that tells of a picture that was changed, given its sizes in bytes."""
        return {"X-Image-Transformed": f"{before} to {after} bytes"}

    def join(self, topology: Topology) -> None:
        """Be one of the edges of a CDN. What is cached so far is at the first of its POPs."""
        self.topology, self.place = topology, topology.pops[0]
        self._caches = {self.place.name: self.cache}
        self.cache.siblings[:] = [self.cache]
        self.cache.stand(topology, self.place)

    def at(self, place: Pop) -> Self:
        """This edge as it is at a place of its CDN."""
        view = copy.copy(self)
        view.place = place
        with self._making:
            if place.name not in self._caches:
                self._caches[place.name] = Cache(self.clock, self.cache.siblings)
                self._caches[place.name].stand(self.topology, place)
        view.cache = self._caches[place.name]
        return view

    def handle(self, request: Request) -> Response:
        """Answer a client: Host names the site, ``X-Forwarded-Proto`` the scheme (https by default)."""
        if not request.target.startswith("/") or not request.target.isascii():
            return Response(400)
        scheme = request.headers.get("X-Forwarded-Proto", "https")
        url = Url(scheme, request.headers.get("Host", "").lower(), request.target)
        if request.method not in ("GET", "HEAD"):
            return self.other_method(request, url)
        transforms = self.topology.transforms
        view = self._with(encoding=transforms.encoding(request.headers))
        answer = view._answer(self.cache_key(url) + transforms.key_part(request.headers), url)  # noqa: SLF001
        sent = transforms.applied(answer, view._encoding, self.told_of_picture)  # noqa: SLF001
        return conditional(sent, request.headers.get("If-None-Match", ""))

    def purge_key(self, key: str, *, soft: bool = False) -> int:
        """Drop one entry, or mark it stale (soft purge); return how many there were."""
        return self.cache.expire(key, self.clock()) if soft else self.cache.drop(key)

    def purge_where(self, matches: Callable[[Entry], bool], *, soft: bool = False) -> int:
        """Drop all entries that match, or mark them stale (soft purge); return how many there were."""
        return self.cache.expire_where(matches, self.clock()) if soft else self.cache.drop_where(matches)

    def prefetch(self, url: Url) -> None:
        """Cache what is at a URL, as if a client had asked for it at each POP."""
        request = Request("GET", url.target, Headers({"Host": url.host, "X-Forwarded-Proto": url.scheme}))
        for place in self.topology.pops:
            self.at(place).handle(request)

    def close(self) -> None:
        """Close the connections to the origin."""
        self._origin.close()

    def _with(self, *, encoding: str) -> Self:
        """This edge for clients that get a content coding."""
        if encoding == self._encoding:
            return self
        view = copy.copy(self)
        view._encoding = encoding  # noqa: SLF001 - of a copy
        return view

    def _answer(self, key: str, url: Url) -> Response:
        """Answer with what is cached, or fetch it."""
        entry = self._cached(key)
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

    def _cached(self, key: str) -> Entry | None:
        return self.cache.get(key, self._encoding)

    def _fetch(self, key: str, url: Url, stale: Entry | None = None) -> Response:
        purges = self.cache.purges
        try:
            answer = self._ask(key, url, stale.headers.get("ETag", "") if stale else "")
        except (OSError, http.client.HTTPException):
            told = {"X-Cache": "ERROR", "Content-Type": "text/plain", **self.named(Headers())}
            return Response(502, told, b"no answer from the origin\n")
        age = _age(answer.headers)
        if stale and answer.status == 304:
            headers = Headers({**stale.headers, **answer.headers})
            return self._serve(self._keep(replace(stale, headers=headers, aged=age), purges), "REVALIDATED")
        now = self.clock()
        headers = Headers(answer.headers)
        fetched = Entry(key, url, answer.status, headers, answer.body, now, now, aged=age, encoding=self._encoding)
        return self._serve(self._keep(fetched, purges), "MISS")

    def _ask(self, key: str, url: Url, tag: str) -> Response:
        """Ask the shield, or the origin, for what has another tag than the one that is held."""
        shield = self.topology.shield
        if shield is not None and shield.name != self.place.name and not self._is_shield:
            return self.at(shield)._answer_edge(key, url, tag)  # noqa: SLF001 - of this edge
        # https://www.rfc-editor.org/rfc/rfc9110#section-7.2: a CDN in front of another one is its client.
        known = {"X-Forwarded-Host": url.host}
        if self.topology.forwards_host:
            known = {"Host": url.host, "X-Forwarded-Proto": url.scheme}
        condition = {"If-None-Match": tag} if tag else {}
        return self._origin.send("GET", self.origin_target(url), {**known, **condition})

    def _answer_edge(self, key: str, url: Url, tag: str) -> Response:
        """Answer as the shield, with what only the CDN itself gets to see.

        Raises:
            OSError: it got no answer either.
        """
        self._is_shield = True  # of a copy
        answer = self._answer(key, url)
        if answer.headers.get("X-Cache") == "ERROR":
            message = "no answer from the origin"
            raise OSError(message)
        return conditional(answer, tag)

    def _keep(self, entry: Entry, purges: int) -> Entry:
        """Give an answer its lifetime and tags, and store it if it may be."""
        now = self.clock()
        # What it aged in other caches counts (https://www.rfc-editor.org/rfc/rfc9111#section-4.2).
        ttl = self.ttl(entry.status, entry.headers) - entry.aged
        kept = replace(entry, stored_at=now, fresh_until=now + ttl, tags=self.tags(entry.headers))
        if ttl > 0:
            self.cache.store(kept, purges)
        elif entry.status < 500:
            self.cache.forget(entry.key, entry.encoding)
        return kept

    def _serve(self, entry: Entry, cache: str) -> Response:
        shown = dict(entry.headers) if self._is_shield else self.visible(entry.headers)
        told = {**self.named(entry.headers), "X-Cache": cache, "Age": str(int(entry.age(self.clock())))}
        gone = _NOT_FORWARDED | {name.lower() for name in told}
        kept = {name: value for name, value in shown.items() if name.lower() not in gone}
        return Response(entry.status, {**kept, **told}, entry.body)


def _age(headers: Mapping[str, str]) -> float:
    text = Headers(headers).get("Age", "")
    return float(text) if text.isdecimal() else 0.0

"""Fastly's edge: what it caches, under which key, and by which tags it finds it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multicdn.simulators.kit.cache import Entry, Url, cache_control, time_to_live
from multicdn.simulators.kit.edge import Edge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from multicdn.simulators.kit.http_server import Headers, Request, Response

# https://www.fastly.com/documentation/reference/vcl/constraints-and-limitations/
LONGEST_KEY = 1024
_LONGEST_KEY_HEADER = 16 * 1024


class FastlyEdge(Edge):
    """Fastly's cache: the scheme isn't part of the key, ``Surrogate-Key`` holds the tags, ``Surrogate-Control`` wins.

    Args:
        origin: base URL of the origin.
        clock: seconds since 1970.
        purge: answers the method PURGE on an object's own URL.
    """

    def __init__(
        self, origin: str, *, clock: Callable[[], float], purge: Callable[[FastlyEdge, Request, Url], Response]
    ) -> None:
        super().__init__(origin, clock=clock)
        self._purge = purge

    def cache_key(self, url: Url) -> str:
        """Host and raw URL: the default ``vcl_hash`` has no scheme."""
        return url.host + url.target

    def tags(self, headers: Headers) -> frozenset[str]:
        """The keys in the first 16 KB of ``Surrogate-Key``; those above 1 KB don't count."""
        kept = headers.get("Surrogate-Key", "").encode("utf-8", "surrogateescape")
        if len(kept) > _LONGEST_KEY_HEADER:
            kept = kept[:_LONGEST_KEY_HEADER].rpartition(b" ")[0]
        return frozenset(
            key.decode("utf-8", "surrogateescape") for key in kept.split(b" ") if 0 < len(key) <= LONGEST_KEY
        )

    def ttl(self, status: int, headers: Headers) -> float:
        """``Surrogate-Control`` decides before ``Cache-Control``."""
        kept = super().ttl(status, headers)
        return time_to_live(headers, kept, "Surrogate-Control") if self.lifetime(status) else kept

    def grace(self, entry: Entry) -> float:
        """``stale-while-revalidate`` of ``Surrogate-Control``, else of ``Cache-Control``."""
        meant_for_us = cache_control(entry.headers, "Surrogate-Control").get("stale-while-revalidate")
        return super().grace(entry) if meant_for_us is None else float(meant_for_us)

    def visible(self, headers: Headers) -> dict[str, str]:
        """Clients don't get to see what is meant for Fastly."""
        return {name: value for name, value in headers.items() if not name.lower().startswith("surrogate-")}

    @property
    def server(self) -> str:
        """Name of the cache node that answers."""
        return f"cache-{self.place.name.lower()}1041-{self.place.name}"

    def named(self, headers: Headers) -> dict[str, str]:
        """``X-Served-By``: all nodes on the way, the shield's first (docs.fastly.com/en/guides/checking-cache)."""
        before = headers.get("X-Served-By")
        return {"X-Served-By": f"{before}, {self.server}" if before else self.server}

    def told_of_picture(self, before: int, after: int) -> dict[str, str]:
        """What the Image Optimizer tells: sizes of both files, as far as simulated."""
        return {"Fastly-Io-Info": f"ifsz={before} ofsz={after}"}

    def other_method(self, request: Request, url: Url) -> Response:
        """PURGE, and nothing else."""
        return self._purge(self, request, url) if request.method == "PURGE" else super().other_method(request, url)

    def purge_tags(self, tags: Iterable[str], *, soft: bool) -> int:
        """Purge the entries with one of these tags; return how many there were."""
        wanted = frozenset(tags)
        return self.purge_where(lambda entry: not wanted.isdisjoint(entry.tags), soft=soft)

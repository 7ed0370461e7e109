"""Akamai's edge: what it caches under which key, with which tags, and how it is purged.

Facts are from techdocs.akamai.com (purge-cache, property-mgr), unless a comment says that the behaviour is a guess.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from multicdn.simulators.kit.cache import Entry, Url
from multicdn.simulators.kit.edge import Edge

if TYPE_CHECKING:
    from multicdn.simulators.kit.http_server import Headers, Response

LONGEST_TAG = 128
MOST_TAGS = 128

# /L/serial number/CP code/lifetime/host/path
_ARL = re.compile(r"/[A-Z]/\d+/\d+/[0-9a-z]+/([^/?]+)(/.*)?")


class AkamaiEdge(Edge):
    """One network: the scheme isn't part of the cache key, and ``Edge-Cache-Tag`` holds the tags."""

    def cache_key(self, url: Url) -> str:
        """Host and raw URL, of both schemes. No page says that two spellings of a path are one object, so none are."""
        return url.host + url.target

    def tags(self, headers: Headers) -> frozenset[str]:
        """The tags of ``Edge-Cache-Tag``, in their case. That those above the limits are ignored is a guess."""
        given = [tag.strip() for tag in headers.get("Edge-Cache-Tag", "").split(",")]
        return frozenset([tag for tag in given if 0 < len(tag) <= LONGEST_TAG][:MOST_TAGS])

    def visible(self, headers: Headers) -> dict[str, str]:
        """All but the tags, which a property hides unless told otherwise (behaviour Cache Tag Visibility)."""
        return {name: value for name, value in headers.items() if name.lower() != "edge-cache-tag"}

    def named(self, headers: Headers) -> dict[str, str]:
        """``Akamai-Request-BC``: the breadcrumbs of the servers on the way, here the one that answers."""
        del headers
        return {"Akamai-Request-BC": f"[a=23.193.45.223,b=1046226711,c=g,n={self.place.name},o=20940]"}

    def told_of_picture(self, before: int, after: int) -> dict[str, str]:
        """``Server``, which Image & Video Manager sets."""
        del before, after
        return {"Server": "Akamai Image Manager"}

    def grace(self, entry: Entry) -> float:
        """None: what was invalidated is revalidated before it is served."""
        del entry
        return 0.0

    def _fetch(self, key: str, url: Url, stale: Entry | None = None) -> Response:
        """Serve stale if the origin can't be asked (after an invalidate; a delete leaves nothing to serve)."""
        purges = self.cache.purges
        response = super()._fetch(key, url, stale)
        if stale is None:
            return response
        if response.headers.get("X-Cache") == "ERROR":
            return self._serve(stale, "STALE")
        kept = self._cached(key)
        if kept is not None and response.headers.get("X-Cache") == "REVALIDATED":  # a 304 doesn't change tags
            self.cache.store(replace(kept, tags=stale.tags), purges)
        return response


def key_of(item: str) -> tuple[str, str]:
    """Host name and raw target, which make the cache key, of a URL or an ARL.

    Raises:
        ValueError: it is neither.
    """
    arl = _ARL.fullmatch(item)
    if arl:
        return arl[1].lower(), arl[2] or "/"
    url = Url.parse(item)
    return url.host, url.target

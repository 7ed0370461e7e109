"""The data plane of the simulated CloudFront: which distribution answers a host, and what each has cached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multicdn.simulators.cloudfront.model import Reach, tags_of
from multicdn.simulators.kit.edge import Edge
from multicdn.simulators.kit.http_server import Headers, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multicdn.simulators.cloudfront.model import Distribution, Tenant
    from multicdn.simulators.kit.cache import Entry, Url


class CloudFrontEdge(Edge):
    """The cache of one distribution or tenant, for one combination of the headers in its cache key."""

    def __init__(self, origin: str, settings: Distribution, *, clock: Callable[[], float]) -> None:
        # A day for answers without a lifetime, ten seconds for errors: CloudFront's defaults.
        super().__init__(origin + settings.origins[0].path, clock=clock, ttl=86400.0, negative_ttl=10.0)
        self.settings = settings

    def cache_key(self, url: Url) -> str:
        """Path and, if the cache policy says so, query. Neither scheme nor host: all aliases share what is cached."""
        return url.target if self.settings.query_in_key else url.path

    def named(self, headers: Headers) -> dict[str, str]:
        """``X-Amz-Cf-Pop``: the edge location, an airport's code with numbers."""
        del headers
        return {"X-Amz-Cf-Pop": f"{self.place.name}56-P1"}

    def tags(self, headers: Headers) -> frozenset[str]:
        """The tags in the header that CacheTagConfig names; none without it."""
        return tags_of(headers.get(self.settings.tag_header, "")) if self.settings.tag_header else frozenset()


class _Nobody(Edge):
    """Answers for host names that no distribution has."""

    def handle(self, request: Request) -> Response:
        """Answer as CloudFront does to a name that it doesn't know."""
        del request
        page = "<html><body><h1>403 ERROR</h1>The request could not be satisfied.</body></html>"
        return Response.html(page, 403, {"X-Cache": "ERROR"})


class Edges:
    """The edges of an account, made when they are first asked. An origin path is put behind the base URL ``origin``."""

    def __init__(
        self,
        origin: str,
        distributions: Mapping[str, Distribution],
        tenants: Mapping[str, Tenant],
        clock: Callable[[], float],
    ) -> None:
        self._origin = origin.rstrip("/")
        self._distributions = distributions
        self._tenants = tenants
        self._clock = clock
        self._edges: dict[tuple[str, tuple[str, ...]], CloudFrontEdge] = {}
        self._nobody = _Nobody(origin, clock=clock)

    def at(self, host: str, headers: Mapping[str, str]) -> Edge:
        """The edge that answers a host name for these request headers."""
        owner = self._owner_of(host)
        return self.of(*owner, headers) if owner else self._nobody

    def of(self, owner: str, settings: Distribution, headers: Mapping[str, str]) -> Edge:
        """The edge of a distribution or tenant for these request headers."""
        variant = tuple(headers.get(name, "") for name in settings.headers_in_key)
        if (owner, variant) not in self._edges:
            self._edges[owner, variant] = CloudFrontEdge(self._origin, settings, clock=self._clock)
        return self._edges[owner, variant]

    def drop(self, owner: str, reach: Reach, made_at: float) -> None:
        """Drop from all variants what was cached before a moment and is reached."""

        def old(entry: Entry) -> bool:
            return entry.stored_at <= made_at and reach.covers(entry.key, entry.tags)

        for (name, _), edge in self._edges.items():
            if name == owner:
                edge.cache.drop_where(old)

    def all(self) -> tuple[Edge, ...]:
        """Those that were asked so far, and the one that answers for nobody."""
        return (*self._edges.values(), self._nobody)

    def _owner_of(self, host: str) -> tuple[str, Distribution] | None:
        """Tenant or distribution; a full alias goes before a wildcard one."""
        for tenant in self._tenants.values():
            if host in tenant.domains:
                return tenant.id, self._distributions[tenant.distribution]
        answering = [one for one in self._distributions.values() if one.answers(host)]
        answering.sort(key=lambda one: host not in (one.domain, *one.aliases))
        return (answering[0].id, answering[0]) if answering else None

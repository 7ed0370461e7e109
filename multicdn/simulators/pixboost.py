"""Pixboost on loopback: invalidation and warm-up, and an edge that serves images made of those of an origin.

Facts are from help.pixboost.com and from the vendor's reference Lambda (Pixboost/aws-s3-invalidate-cdn), unless a
comment says that the behaviour is a guess. The images aren't changed: variants differ by their URLs.
"""

from __future__ import annotations

import contextlib
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from multicdn.simulators.kit.cache import Url
from multicdn.simulators.kit.edge import Edge
from multicdn.simulators.kit.http_server import Request, Response
from multicdn.simulators.kit.jobs import Jobs
from multicdn.simulators.kit.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST_IMAGES = 20
OPERATIONS = ("resize", "fit", "optimise", "asis")

_PREFIX = "/api/2/img/"
_WARMUP = "/api/2/img/warmup"
_IMAGE = re.compile(rf"{_PREFIX}(?P<source>[^?]+)/(?P<operation>{'|'.join(OPERATIONS)})(?:\?(?P<query>.*))?", re.DOTALL)
_ABSOLUTE = re.compile(r"https?://[^/]+(?P<path>/.*)?", re.IGNORECASE | re.DOTALL)


class PixboostEdge(Edge):
    """Pixboost's cache: each transformed URL by itself, byte for byte.

    Args:
        origin: base URL of the origin, which stands in for all image sources.
        clock: seconds since 1970.
        admits: whether an image of a source may be made for whom has this API key.
    """

    def __init__(self, origin: str, *, clock: Callable[[], float], admits: Callable[[str, str], bool]) -> None:
        super().__init__(origin, clock=clock)
        self._admits = admits

    def origin_target(self, url: Url) -> str:
        """The path of the source image; for an alias, what stands after its name."""
        source = source_of(url.target)
        absolute = _ABSOLUTE.fullmatch(source)
        return (absolute["path"] or "/") if absolute else "/" + source.partition("/")[2]

    def handle(self, request: Request) -> Response:
        """Answer a client, if it asks for an image that may be made. The statuses of refusals are guesses."""
        image = _IMAGE.fullmatch(request.target)
        if image is None:
            return Response(404)
        if not self._admits(image["source"], _auth(image["query"] or "")):
            return Response(401)
        return super().handle(request)

    def variants(self, source: str) -> int:
        """Count the images that are made of a source and cached, wherever that is."""
        entries = (entry for cache in self.cache.siblings for entry in cache.entries)
        return sum(source_of(entry.url.target) == source for entry in entries)

    def invalidate(self, source: str) -> None:
        """Drop all that was made of a source."""
        self.cache.drop_where(lambda entry: source_of(entry.url.target) == source)

    def warm(self, urls: Iterable[str]) -> None:
        """Make and cache images."""
        for text in urls:
            with contextlib.suppress(ValueError):  # accepted is all that the API promised
                self.prefetch(Url.parse(text))


class PixboostSimulator(Simulator):
    """One customer of Pixboost.

    Args:
        origin: base URL of the origin, which stands in for all image sources.
        secret: the API secret.
        api_key: the public API key; clients have it in their URLs.
        domain: host name that the images have in the pages.
        sources: domains and aliases of the configured image sources; empty takes any.
        seconds: how long an accepted invalidation or warm-up takes.
        clock, limits, api_port, edge_port: as in ``Simulator``.

    Attributes:
        warmed: the URLs of all accepted warm-ups, byte for byte.
    """

    vendor = "pixboost"
    edge: PixboostEdge

    def __init__(
        self,
        origin: str,
        *,
        secret: str = "simulated-pixboost-secret",  # noqa: S107 - opens nothing but this simulator
        api_key: str = "simulated-public-key",
        domain: str = "pixboost.com",
        sources: Iterable[str] = (),
        seconds: float = 0.0,
        clock: Callable[[], float] = time.time,
        limits: bool = True,
        api_port: int = 0,
        edge_port: int = 0,
    ) -> None:
        self.secret = secret
        self.api_key = api_key
        self.domain = domain
        self.sources = frozenset(source.lower() for source in sources)
        self.warmed: list[str] = []
        self.jobs = Jobs(clock, seconds)
        super().__init__(origin, clock=clock, limits=limits, api_port=api_port, edge_port=edge_port)

    def make_edge(self, origin: str) -> PixboostEdge:
        """Make the edge."""
        return PixboostEdge(origin, clock=self.clock, admits=self._admits)

    def settle(self) -> None:
        """Do the requests that are due."""
        self.jobs.settle()

    def secrets(self) -> dict[str, str]:
        """The API secret."""
        return {"secret": self.secret}

    def client_url(self, url: str) -> str:
        """A thumbnail of the image at a URL."""
        return self.image_url(url, "resize", host=self.domain, size="x100")

    def items(self, request: Request) -> int:
        """Images of a warm-up; 1 for an invalidation."""
        return len(request.json()["images"]) if request.method == "POST" else 1

    def image_url(self, source: str, operation: str = "optimise", *, host: str = "pixboost.com", size: str = "") -> str:
        """The public URL of a transformed image, as a page would have it."""
        settings = f"size={size}&" if size else ""
        return f"https://{host}{_PREFIX}{source}/{operation}?{settings}auth={quote(self.api_key, safe='')}"

    def api(self, request: Request) -> Response:
        """Answer one call of the API."""
        # At the last question mark: sources with a raw query have been seen to pass.
        path, _, query = request.target.rpartition("?")
        if not path.startswith(_PREFIX):
            return Response.json({}, 404)
        if _auth(query) != self.secret:
            return Response.json({}, 401)
        if request.method == "POST" and path == _WARMUP:
            return self._warm_up(request)
        if request.method == "DELETE":
            return self._invalidate(path.removeprefix(_PREFIX))
        return Response.json({}, 405)

    def _invalidate(self, source: str) -> Response:
        if not self._is_source(source):
            return Response.json({}, 401)
        if not self.edge.variants(source):
            return Response.json({}, 200)
        self.jobs.submit("invalidation", [source], lambda: self.edge.invalidate(source))
        return Response.json({}, 202)

    def _warm_up(self, request: Request) -> Response:
        """The limit is the vendor's, the status beyond it is a guess."""
        try:
            images = request.json()["images"]
        except (ValueError, KeyError, TypeError):
            images = None
        if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
            return Response.json({}, 400)
        if not images or (self.limits and len(images) > MOST_IMAGES):
            return Response.json({}, 400)
        self.warmed += images
        self.jobs.submit("warmup", images, lambda: self.edge.warm(images))
        return Response.json({}, 202)

    def _admits(self, source: str, key: str) -> bool:
        return key == self.api_key and self._is_source(source)

    def _is_source(self, source: str) -> bool:
        """Tell if a source's domain, or the alias that it begins with, is configured."""
        return not self.sources or source.rpartition("://")[2].partition("/")[0].lower() in self.sources


def source_of(target: str) -> str:
    """The source image in the target of a transformed one; empty if it is no image."""
    image = _IMAGE.fullmatch(target)
    return image["source"] if image else ""


def _auth(query: str) -> str:
    """The value of ``auth``, decoded once; ``+`` is itself in API keys."""
    return next((unquote(pair[5:]) for pair in query.split("&") if pair.startswith("auth=")), "")

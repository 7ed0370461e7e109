"""The base of all simulators: one vendor's API and that vendor's caching edge, on loopback, in front of an origin."""

from __future__ import annotations

import itertools
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

from multicdn.simulators.kit.cache import Url
from multicdn.simulators.kit.client import Client
from multicdn.simulators.kit.edge import Edge
from multicdn.simulators.kit.faults import Faults
from multicdn.simulators.kit.http_server import Headers, Refused, Request, Response, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multicdn.simulators.kit.cache import Entry
    from multicdn.simulators.kit.faults import Handler

_MASK = "***"


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One call of the simulated API, its credentials masked.

    Attributes:
        method, target, headers, body: the request, as raw as it came.
        status: HTTP status of the answer; 0 while there is none, and for ever if the connection was dropped.
        at: when it came, in seconds of the simulator's clock.
        items: how many targets it had.
    """

    method: str
    target: str
    headers: Headers
    body: bytes
    status: int
    at: float
    items: int


class Tally(NamedTuple):
    """What an API was asked for since it started.

    Attributes:
        calls: whatever became of them.
        items: targets of those that were accepted.
    """

    calls: int = 0
    items: int = 0


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer of the edge to a client.

    Attributes:
        status, headers, body: the answer.
        cache: ``HIT``, ``MISS``, ``STALE``, ``REVALIDATED`` or ``ERROR``.
        age: seconds since the edge got it from the origin.
    """

    status: int
    headers: Headers
    body: bytes
    cache: str
    age: int


class Simulator(ABC):
    """One vendor on loopback: an API, and an edge that the API purges. Use it in a ``with`` statement.

    A vendor's simulator sets ``vendor``, answers its API in ``api``, and tells in ``options`` and ``secrets`` how a
    provider is configured for it. It makes its own ``Edge`` in ``make_edge`` where the default caches by other rules.

    Args:
        origin: base URL of the origin, with a path or without.
        clock: seconds since 1970; a ``ManualClock`` lets tests pass time.
        limits: whether the vendor's rate limits apply.
        api_port, edge_port: 0 takes a free one.

    Attributes:
        vendor: the provider type it speaks for.
        api_path: path of the API's base URL, if it has one.
        credential_headers: request headers that are masked in ``calls``, beside all values in ``secrets()``.
        faults: trouble of the API; the edge has none.
        ignores_purges: whether the edge keeps what it has cached, whatever the API was told and has accepted.
        edge: the data plane.
    """

    vendor: ClassVar[str]
    api_path: ClassVar[str] = ""
    credential_headers: ClassVar[tuple[str, ...]] = ("Authorization",)

    def __init__(
        self,
        origin: str,
        *,
        clock: Callable[[], float] = time.time,
        limits: bool = True,
        api_port: int = 0,
        edge_port: int = 0,
    ) -> None:
        self.clock = clock
        self.limits = limits
        self.faults = Faults()
        self.ignores_purges = False
        self.edge = self.make_edge(origin)
        self._calls: dict[int, ApiCall] = {}
        self._tally = Tally()
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._api = Server(self._answer, api_port)
        self._front = Server(self._answer_client, edge_port)
        self._client: Client | None = None

    @abstractmethod
    def api(self, request: Request) -> Response:
        """Answer one call of the API: check credentials, limits and contract, and purge ``self.edge.cache``.

        Raises:
            Refused: with the answer to a call that isn't accepted.
        """

    def items(self, request: Request) -> int:
        """Count the targets of a call. A ``ValueError``, ``KeyError`` or ``TypeError`` counts as none."""
        del request
        return 1

    def settle(self) -> None:  # noqa: B027 - vendors that work at once have nothing to override it for
        """Do accepted work that is due. Called before the API or the edge answers; does nothing by default."""

    def make_edge(self, origin: str) -> Edge:
        """Make the edge. Called by the constructor, after ``clock`` and ``limits`` are set."""
        return Edge(origin, clock=self.clock)

    def edge_for(self, request: Request) -> Edge:
        """Choose the edge that answers a client. There is one by default."""
        del request
        return self.edge

    def edges(self) -> tuple[Edge, ...]:
        """All edges: there is one by default."""
        return (self.edge,)

    def options(self) -> dict[str, object]:
        """Options of a provider for this simulator, without the secret ones, as they stand in a config file."""
        return {"type": self.vendor, "endpoint": self.endpoint}

    def secrets(self) -> dict[str, str]:
        """Secret options of a provider for this simulator, by option name."""
        return {}

    def other_secrets(self) -> dict[str, str]:
        """Further secret options, by option name, which a provider may have in place of those."""
        return {}

    @property
    def endpoint(self) -> str:
        """Base URL of the API, for a provider's ``endpoint``."""
        return self._api.url + self.api_path

    @property
    def edge_url(self) -> str:
        """Base URL of the edge; clients name the site in their Host header."""
        return self._front.url

    @property
    def calls(self) -> list[ApiCall]:
        """A copy of the API calls so far, in the order in which they came."""
        with self._lock:
            return list(self._calls.values())

    @property
    def tally(self) -> Tally:
        """The numbers of calls and of accepted targets so far; ``forget_calls`` doesn't change them."""
        return self._tally

    def forget_calls(self) -> None:
        """Empty ``calls``."""
        with self._lock:
            self._calls.clear()

    def client_url(self, url: str) -> str:
        """The URL by which this CDN's clients get what the site has under a URL: the same, unless it transforms."""
        return url

    def fetch(self, url: str, headers: Mapping[str, str] | None = None) -> Fetched:
        """Get a public URL through this edge, spelled as a client would send it.

        Args:
            url: absolute, with the site's own host: ``https://www.acme.com/a%20b``. Its target goes out as given.
            headers: further request headers.

        Raises:
            ValueError: not an absolute URL, or characters in it that no client sends.
        """
        if self._client is None:
            message = "the simulator isn't running: use it in a with statement, or call start()"
            raise RuntimeError(message)
        where = Url.parse(url)
        fixed = {"Host": where.host, "X-Forwarded-Proto": where.scheme}
        answer = self._client.send("GET", where.target, {**fixed, **(headers or {})})
        seen = Headers(answer.headers)
        return Fetched(answer.status, seen, answer.body, seen.get("X-Cache", ""), int(seen.get("Age", "0")))

    def cached(self, url: str) -> Entry | None:
        """What a client's request for a public URL would find in the cache. It is only looked at: nothing is fetched.

        Raises:
            ValueError: not an absolute URL.
        """
        self._settle()
        where = Url.parse(url)
        edge = self.edge_for(Request("GET", where.target, Headers({"Host": where.host})))
        return edge.cache.get(edge.cache_key(where))

    def start(self) -> Self:
        """Open both listeners, and return self."""
        self._api.start()
        self._front.start()
        self._client = Client(self._front.url)
        return self

    def stop(self) -> None:
        """Release what hangs and close everything. Harmless when it doesn't run."""
        self.faults.clear()
        if self._client is not None:
            self._client.close()
            self._client = None
        self._front.stop()
        self._api.stop()
        self.close_edges()

    def close_edges(self) -> None:
        """Close the connections that the edges keep to the origin."""
        for edge in self.edges():
            edge.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answer(self, request: Request) -> Response:
        number, items = self._record(request)
        self._settle()
        response = self.faults.apply(request, lambda given: _answer_of(self.api, given))
        self._finish(number, items, response.status)
        return response

    def _answer_client(self, request: Request) -> Response:
        self._settle()
        return _answer_of(self.edge_for(request).handle, request)

    def _settle(self) -> None:
        for edge in self.edges():
            edge.cache.ignores_purges = self.ignores_purges
        self.settle()

    def _record(self, request: Request) -> tuple[int, int]:
        """Note a call; return its number, and that of its targets."""
        try:
            items = self.items(request)
        except (ValueError, KeyError, TypeError):
            items = 0
        call = self._masked(request, items)
        with self._lock:
            number = next(self._numbers)
            self._calls[number] = call
            self._tally = self._tally._replace(calls=self._tally.calls + 1)
        return number, items

    def _finish(self, number: int, items: int, status: int) -> None:
        with self._lock:
            if 200 <= status < 300:
                self._tally = self._tally._replace(items=self._tally.items + items)
            if number in self._calls:
                self._calls[number] = replace(self._calls[number], status=status)

    def _masked(self, request: Request, items: int) -> ApiCall:
        hidden = [value for value in self.secrets().values() if value]
        credentials = {name.lower() for name in self.credential_headers}

        def mask(text: str) -> str:
            for value in hidden:
                text = text.replace(value, _MASK)
            return text

        headers = Headers(
            (name, _MASK if name.lower() in credentials else mask(value)) for name, value in request.headers.items()
        )
        body = request.body
        for value in hidden:
            body = body.replace(value.encode(), _MASK.encode())
        return ApiCall(request.method, mask(request.target), headers, body, 0, self.clock(), items)


def _answer_of(handle: Handler, request: Request) -> Response:
    try:
        return handle(request)
    except Refused as refused:
        return refused.response

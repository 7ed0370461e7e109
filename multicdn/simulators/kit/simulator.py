"""The base of all simulators: one vendor's API and that vendor's caching edge, on loopback, in front of an origin."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from multicdn.simulators.kit.cache import Url
from multicdn.simulators.kit.calls import ApiCall, CallLog, Tally, masked
from multicdn.simulators.kit.client import Client
from multicdn.simulators.kit.edge import Edge
from multicdn.simulators.kit.faults import Faults
from multicdn.simulators.kit.http_server import ConnectionDropped, Headers, Refused, Request, Response, Server
from multicdn.simulators.kit.topology import Topology, one_purge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multicdn.simulators.kit.cache import Entry
    from multicdn.simulators.kit.faults import Handler
    from multicdn.simulators.kit.topology import Pop

# Longer than any client waits at a place that hangs.
_LONGEST_HANG = 60.0

_NOT_RUNNING = "the simulator isn't running: use it in a with statement, or call start()"


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer of the edge to a client.

    Attributes:
        status, headers, body: the answer.
        cache: ``HIT``, ``MISS``, ``STALE``, ``REVALIDATED`` or ``ERROR``.
        age: seconds since it left the origin.
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
        topology: its places, how purges get to them, and what they do to answers. Assign another one before it starts.
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
        self.topology = Topology()
        self.edge = self.make_edge(origin)
        self._log = CallLog()
        self._stopped = threading.Event()
        self._api = Server(self._answer, api_port)
        self._edge_port = edge_port
        self._fronts: dict[str, Server] = {}
        self._clients: dict[str, Client] = {}

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
    def ignores_purges(self) -> bool:
        """Whether the edges keep what they have cached, whatever the API was told and has accepted."""
        return self.topology.ignores_purges

    @ignores_purges.setter
    def ignores_purges(self, ignores: bool) -> None:
        self.topology.ignores_purges = ignores

    @property
    def edge_url(self) -> str:
        """Base URL of the edge, at its first POP; clients name the site in their Host header."""
        return self.pop_url()

    def pop_url(self, pop: str = "") -> str:
        """Base URL of the edge at a POP, by its name.

        Raises:
            KeyError: there is none.
            RuntimeError: it doesn't run.
        """
        name = self.topology.pop(pop).name
        if name not in self._fronts:
            raise RuntimeError(_NOT_RUNNING)
        return self._fronts[name].url

    @property
    def calls(self) -> list[ApiCall]:
        """A copy of the API calls so far, in the order in which they came."""
        return self._log.calls

    @property
    def tally(self) -> Tally:
        """The numbers of calls and of accepted targets so far; ``forget_calls`` doesn't change them."""
        return self._log.tally

    def forget_calls(self) -> None:
        """Empty ``calls``."""
        self._log.forget()

    def client_url(self, url: str) -> str:
        """The URL by which this CDN's clients get what the site has under a URL: the same, unless it transforms."""
        return url

    def fetch(self, url: str, headers: Mapping[str, str] | None = None, *, pop: str = "") -> Fetched:
        """Get a public URL through this edge, spelled as a client would send it.

        Args:
            url: absolute, with the site's own host: ``https://www.acme.com/a%20b``. Its target goes out as given.
            headers: further request headers.
            pop: name of the POP that is asked; by default the first.

        Raises:
            ValueError: not an absolute URL, or characters in it that no client sends.
            KeyError: there is no such POP.
        """
        name = self.topology.pop(pop).name
        if name not in self._clients:
            raise RuntimeError(_NOT_RUNNING)
        where = Url.parse(url)
        fixed = {"Host": where.host, "X-Forwarded-Proto": where.scheme}
        answer = self._clients[name].send("GET", where.target, {**fixed, **(headers or {})})
        seen = Headers(answer.headers)
        return Fetched(answer.status, seen, answer.body, seen.get("X-Cache", ""), int(seen.get("Age", "0")))

    def cached(self, url: str, *, pop: str = "") -> Entry | None:
        """What a client's request for a public URL would find in the cache. It is only looked at: nothing is fetched.

        Raises:
            ValueError: not an absolute URL.
            KeyError: there is no POP of this name.
        """
        self._settle()
        where = Url.parse(url)
        edge = self._edge_at(self.topology.pop(pop), Request("GET", where.target, Headers({"Host": where.host})))
        return edge.cache.get(edge.cache_key(where))

    def start(self) -> Self:
        """Open all listeners, and return self."""
        self._stopped.clear()
        self._join()
        self._api.start()
        for place in self.topology.pops:
            front = Server(self._front_of(place), 0 if self._fronts else self._edge_port).start()
            self._fronts[place.name], self._clients[place.name] = front, Client(front.url)
        return self

    def stop(self) -> None:
        """Release what hangs and close everything. Harmless when it doesn't run."""
        self._stopped.set()
        self.faults.clear()
        for client in self._clients.values():
            client.close()
        for front in self._fronts.values():
            front.stop()
        self._clients, self._fronts = {}, {}
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
        with one_purge():
            response = self.faults.apply(request, lambda given: _answer_of(self.api, given))
        self._log.answered(number, items, response.status)
        return response

    def _front_of(self, place: Pop) -> Handler:
        def answer(request: Request) -> Response:
            if place.hangs:
                self._stopped.wait(_LONGEST_HANG)
                raise ConnectionDropped
            self._settle()
            with one_purge():  # some edges take purges, too
                return _answer_of(self._edge_at(place, request).handle, request)

        return answer

    def _edge_at(self, place: Pop, request: Request) -> Edge:
        edge = self.edge_for(request)
        if edge.topology is not self.topology:  # it was made by this request
            edge.join(self.topology)
        return edge.at(place)

    def _settle(self) -> None:
        self._join()
        self.settle()

    def _join(self) -> None:
        for edge in self.edges():
            if edge.topology is not self.topology:
                edge.join(self.topology)

    def _record(self, request: Request) -> tuple[int, int]:
        """Note a call; return its number, and that of its targets."""
        try:
            items = self.items(request)
        except (ValueError, KeyError, TypeError):
            items = 0
        return self._log.came(self._masked(request, items)), items

    def _masked(self, request: Request, items: int) -> ApiCall:
        return masked(request, self.secrets().values(), self.credential_headers, self.clock(), items)


def _answer_of(handle: Handler, request: Request) -> Response:
    try:
        return handle(request)
    except Refused as refused:
        return refused.response

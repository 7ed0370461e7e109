"""Edgecast on loopback: purge, load and their status in the legacy REST API v2, and one platform's edge.

Facts are from developer.edgecast.com (Media Management) and docs.edgecast.com (Purging Cached Assets), unless a
comment says that the behaviour is a guess. The service itself ended on 2025-01-15.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from multicdn.simulators.kit.cache import Entry, Url
from multicdn.simulators.kit.edge import Edge
from multicdn.simulators.kit.http_server import Headers, Request, Response
from multicdn.simulators.kit.jobs import AcceptedRequest, Jobs
from multicdn.simulators.kit.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

PLATFORMS = {"large": 3, "small": 8, "adn": 14}
MOST_OUTSTANDING = 50

_ROUTE = re.compile(
    r"/v2/mcc/customers/(?P<account>[^/?]+)/edge/(?P<operation>(?:bulk)?(?:purge|load))(?:/(?P<id>[^/?]+))?"
)
_TOKEN = re.compile(r"TOK:\s*(?P<token>\S+)", re.IGNORECASE)


class EdgecastEdge(Edge):
    """Edgecast's cache: each URL by itself, the scheme included, while a purge hits all names of an asset.

    Args:
        origin: base URL of the origin.
        clock: seconds since 1970.
        hosts: host names served, each with the customer origin that it stands for.
    """

    def __init__(self, origin: str, *, clock: Callable[[], float], hosts: Mapping[str, str]) -> None:
        super().__init__(origin, clock=clock)
        self._hosts = hosts

    def grace(self, entry: Entry) -> float:
        """None: the next request after a purge goes to the origin."""
        del entry
        return 0.0

    def named(self, headers: Headers) -> dict[str, str]:
        """``Server``, in which the POP stands."""
        del headers
        return {"Server": f"ECAcc ({self.place.name.lower()}/4CB5)"}

    def asset_tree(self, host: str) -> str:
        """Name the assets behind a host name: two names of one customer origin share theirs."""
        return self._hosts.get(host, host)

    def purge(self, paths: Iterable[str]) -> None:
        """Invalidate what these URLs match; ``*`` is a wildcard."""
        for url in map(Url.parse, paths):
            tree, pattern = self.asset_tree(url.host), _pattern(url.target)
            self.cache.expire_where(
                lambda entry, tree=tree, pattern=pattern: (  # type: ignore[misc]
                    self.asset_tree(entry.url.host) == tree and pattern.fullmatch(_spelled(entry.url.target))
                ),
                self.clock(),
            )

    def load(self, urls: Iterable[str]) -> None:
        """Fetch exactly these URLs into the cache."""
        for url in map(Url.parse, urls):
            self.prefetch(url)


class EdgecastSimulator(Simulator):
    """One account, and the edge of one of its platforms.

    Args:
        origin: base URL of the origin.
        account: number of the account.
        token: a REST API token of it.
        platform: which of the platforms the edge is. Requests for another one are accepted and change nothing here.
        hosts: host names served, each with the name of its customer origin; names of one origin share their assets.
            Other hosts are then refused with 400, which is a guess. Empty serves any host, each with its own assets.
        seconds: how long a request takes.
        polls: instead, how many questions about its status it takes.
        explains: whether a 400 says why; the wording is a guess either way.
        clock, limits, api_port, edge_port: as in ``Simulator``.

    Attributes:
        jobs: the accepted requests.
    """

    vendor = "edgecast"
    edge: EdgecastEdge

    def __init__(
        self,
        origin: str,
        *,
        account: str = "1A2B",
        token: str = "simulated-edgecast-token",  # noqa: S107 - opens nothing but this simulator
        platform: str = "large",
        hosts: Mapping[str, str] | None = None,
        seconds: float = 0.0,
        polls: int = 0,
        explains: bool = True,
        clock: Callable[[], float] = time.time,
        limits: bool = True,
        api_port: int = 0,
        edge_port: int = 0,
    ) -> None:
        self.account = account
        self.token = token
        self.platform = platform
        self.hosts = dict(hosts or {})
        self.explains = explains
        self.jobs = Jobs(clock, seconds, polls, lambda: self.topology.longest_delay)
        super().__init__(origin, clock=clock, limits=limits, api_port=api_port, edge_port=edge_port)

    def make_edge(self, origin: str) -> EdgecastEdge:
        """Make the edge of the platform."""
        return EdgecastEdge(origin, clock=self.clock, hosts=self.hosts)

    def settle(self) -> None:
        """Do the requests that are due."""
        self.jobs.settle()

    def options(self) -> dict[str, object]:
        """Endpoint, account and platform."""
        return {**super().options(), "account": self.account, "platform": self.platform}

    def secrets(self) -> dict[str, str]:
        """The token."""
        return {"token": self.token}

    def items(self, request: Request) -> int:
        """URLs of a purge or load; none for a question about status."""
        path = request.json()["MediaPath"]
        return len(path) if isinstance(path, list) else 1

    def api(self, request: Request) -> Response:
        """Answer one call of the API. The statuses 401 and 404 are guesses."""
        token = _TOKEN.fullmatch(request.headers.get("Authorization", ""))
        if token is None or token["token"] != self.token:
            return _error(401, "the token is missing or unknown")
        route = _ROUTE.fullmatch(request.target)
        if route is None or route["account"] != self.account:
            return _error(404, "no such account or method")
        if request.method != ("GET" if route["id"] else "PUT"):
            return _error(405, "this method isn't allowed here")
        return (
            self._status(route["operation"], route["id"]) if route["id"] else self._accept(route["operation"], request)
        )

    def _accept(self, operation: str, request: Request) -> Response:
        try:
            paths, media_type = self._checked(request.json(), bulk=operation.startswith("bulk"))
        except (ValueError, KeyError, TypeError) as problem:
            return self._bad_request(str(problem))
        action = operation.removeprefix("bulk")
        outstanding = self.jobs.outstanding((action, f"bulk{action}"))
        if self.limits and outstanding + len(paths) > MOST_OUTSTANDING:
            return self._bad_request(f"no more than {MOST_OUTSTANDING} concurrent {action} requests")
        work = self.jobs.submit(operation, paths, lambda: self._act(action, paths, media_type))
        return Response.json({"Id": work.id})

    def _act(self, action: str, paths: list[str], media_type: int) -> None:
        if media_type == PLATFORMS[self.platform]:
            self.edge.purge(paths) if action == "purge" else self.edge.load(paths)

    def _checked(self, body: Any, *, bulk: bool) -> tuple[list[str], int]:
        """Return the URLs and the platform that a body asks for.

        Raises:
            ValueError, KeyError, TypeError: it isn't as documented.
        """
        paths, media_type = body["MediaPath"], body["MediaType"]
        if isinstance(paths, list) is not bulk or paths in ([], ""):
            message = "MediaPath must be a list for bulk requests, else one text"
            raise ValueError(message)
        if type(media_type) is not int or media_type not in PLATFORMS.values():
            message = f"unknown MediaType {media_type!r}"
            raise ValueError(message)
        urls = paths if bulk else [paths]
        for url in urls:
            self._check_url(url)
        return urls, media_type

    def _check_url(self, url: Any) -> None:
        host = Url.parse(url).host
        if self.hosts and host not in self.hosts:
            message = f"{host} doesn't belong to this account"
            raise ValueError(message)

    def _bad_request(self, why: str) -> Response:
        return _error(400, why if self.explains else "Bad Request")

    def _status(self, operation: str, number: str) -> Response:
        work = self.jobs.find(operation, number)
        if work is None:
            return _error(404, "no such request")
        return Response.json(_bulk_status(work) if operation.startswith("bulk") else self._single_status(work))

    def _single_status(self, work: AcceptedRequest) -> dict[str, object]:
        return {
            "AccountNumber": self.account,
            "CompleteDate": None if work.ended_at is None else _moment(work.ended_at, "%Y-%m-%d %H:%M"),
            "Id": work.id,
            "InDate": _moment(work.begun_at, "%Y-%m-%d %H:%M"),
            "MediaPath": work.targets[0],
            "MediaTypeId": PLATFORMS[self.platform],
            "Regions": [],
        }


def _bulk_status(work: AcceptedRequest) -> dict[str, object]:
    form = "%m/%d/%Y %I:%M:%S %p"
    return {
        "Status_Details": {
            "Count": len(work.targets),
            "Status": "in-progress" if work.ended_at is None else "done",
            "Created_at": _moment(work.begun_at, form),
            "Completed_at": None if work.ended_at is None else _moment(work.ended_at, form),
        }
    }


def _moment(seconds: float, form: str) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(form)


def _error(status: int, why: str) -> Response:
    return Response.json({"Message": why}, status)


def _pattern(target: str) -> re.Pattern[str]:
    """Compile a path with wildcards: ``/*`` at its end goes through all levels, any other ``*`` stays within one.

    That other wildcards stop at a slash is the cautious reading: the documentation shows ``*.*`` as one level.
    """
    recursive = target.endswith("/*")
    pieces = [re.escape(_spelled(piece)) for piece in (target[:-1] if recursive else target).split("*")]
    return re.compile("[^/]*".join(pieces) + (".*" if recursive else ""), re.DOTALL)


def _spelled(target: str) -> str:
    """Take ``%2A`` for the ``*`` that browsers send: a guess, as is that everything else is compared byte by byte."""
    return target.replace("%2A", "*").replace("%2a", "*")

"""Fastly on loopback: the purge API of one service, and its edge, in production and in staging.

Facts are from docs/PurgeApi.md of fastly/fastly-py, from recorded answers and errors.go of fastly/go-fastly, and from
Fastly's page on VCL constraints and limitations, unless a docstring calls the behaviour a guess.
"""

from __future__ import annotations

import itertools
import re
import time
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs

from multicdn.simulators.fastly.edge import LONGEST_KEY, FastlyEdge
from multicdn.simulators.fastly.edge_check import checked
from multicdn.simulators.kit.cache import Url
from multicdn.simulators.kit.http_server import Refused, Request, Response
from multicdn.simulators.kit.rates import SlidingWindow
from multicdn.simulators.kit.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ErrorShape = Literal["legacy", "problem", "jsonapi"]

MOST_KEYS = 256
LONGEST_URL = 8 * 1024
LARGEST_REQUEST_HEADERS = 69 * 1024
_HOUR = 3600.0

_SERVICE_ROUTE = re.compile(r"/service/([^/?]+)/(purge_all|purge)(?:/([^?]+))?(?:\?.*)?")
_LOOKS = re.compile(r"/tokens/self|/service/[^/?]+")
_CACHED_URL = re.compile(r"(?:https?://)?([^/?:]+(?::\d+)?)([/?].*)?", re.IGNORECASE | re.DOTALL)


class FastlySimulator(Simulator):
    """One Fastly service.

    A client reaches the staging environment with the header ``Simulator-Environment: staging``; in the real world it
    has IP addresses of its own.

    Args:
        origin: base URL of the origin.
        service: id of the one service that there is.
        token: a token with the scopes ``purge_select`` and ``purge_all``.
        environment: what ``options()`` asks the provider to purge.
        hosts: host names served; empty serves all. Purging a URL of another host answers 404.
        purge_requires_auth: whether the method PURGE needs the token too, as ``Fastly-Purge-Requires-Auth`` makes it.
        error_shape: which of the API's three kinds of error body to use; may be changed while it runs.
        urls_per_hour, keys_per_hour: purges within an hour; each key of a batch counts, which is a guess.
        calls_per_hour: the general API limit, which holds for purge_all.
        checks_per_hour: questions what each POP serves.
        clock, limits, api_port, edge_port: as in ``Simulator``.

    Attributes:
        forbidding: hosts whose VCL answers FASTLYPURGE with 403 (alphagov/govuk-cdn-config#148).
        tokens: accepted tokens with their scopes; may be changed while it runs.
        limited: by token, the only services that it opens.
        expiring: by token, when it ends, in ISO 8601.
        check_scope: what a token must have for these questions. Fastly wants a user who is at least an engineer, and
            no ``global:read``; empty takes any token.
        largest_checked: bytes of the largest body that these questions take a digest of; None for any.
        staging: the edge of the staging environment; ``edge`` is that of production.
    """

    vendor = "fastly"
    edge: FastlyEdge
    credential_headers = ("Authorization", "Fastly-Key")

    def __init__(
        self,
        origin: str,
        *,
        service: str = "SU1Z0isxPaozGVKXdv0eY",
        token: str = "simulated-fastly-token",  # noqa: S107 - opens nothing but this simulator
        environment: str = "production",
        hosts: Iterable[str] = (),
        purge_requires_auth: bool = False,
        error_shape: ErrorShape = "legacy",
        urls_per_hour: int = 100_000,
        keys_per_hour: int = 100_000,
        calls_per_hour: int = 1_000,
        checks_per_hour: int = 200,
        clock: Callable[[], float] = time.time,
        limits: bool = True,
        api_port: int = 0,
        edge_port: int = 0,
    ) -> None:
        super().__init__(origin, clock=clock, limits=limits, api_port=api_port, edge_port=edge_port)
        self.service = service
        self.token = token
        self.tokens = {token: frozenset(("purge_select", "purge_all"))}
        self.limited: dict[str, list[str]] = {}
        self.expiring: dict[str, str] = {}
        self.environment = environment
        self.hosts = frozenset(host.lower() for host in hosts)
        self.forbidding: set[str] = set()
        self.purge_requires_auth = purge_requires_auth
        self.error_shape: ErrorShape = error_shape
        self.check_scope = ""
        self.largest_checked: int | None = None
        self.staging = FastlyEdge(origin, clock=clock, purge=self._purge_directly)
        self._urls = SlidingWindow(urls_per_hour, _HOUR, clock)
        self._keys = SlidingWindow(keys_per_hour, _HOUR, clock)
        self._general = SlidingWindow(calls_per_hour, _HOUR, clock)
        self._checks = SlidingWindow(checks_per_hour, _HOUR, clock)
        self._ids = itertools.count(11038)

    def make_edge(self, origin: str) -> FastlyEdge:
        """Make the edge of the production environment."""
        return FastlyEdge(origin, clock=self.clock, purge=self._purge_directly)

    def edge_for(self, request: Request) -> FastlyEdge:
        """Production, unless the client asks for staging."""
        return self.staging if request.headers.get("Simulator-Environment") == "staging" else self.edge

    def edges(self) -> tuple[FastlyEdge, ...]:
        """Those of both environments."""
        return self.edge, self.staging

    def options(self) -> dict[str, object]:
        """Endpoint, service and environment."""
        return {**super().options(), "service": self.service, "environment": self.environment}

    def secrets(self) -> dict[str, str]:
        """The token."""
        return {"token": self.token}

    def items(self, request: Request) -> int:
        """Keys of a batch; 1 for all else."""
        route = _SERVICE_ROUTE.fullmatch(request.target)
        return len(_batch(request)) if route and route[2] == "purge" and not route[3] else 1

    def api(self, request: Request) -> Response:
        """Answer one call of the API."""
        return self._route(request)

    def _route(self, request: Request) -> Response:
        if (
            sum(len(name) + len(value.encode()) + 4 for name, value in request.headers.items())
            > LARGEST_REQUEST_HEADERS
        ):
            raise self._refusal(400, "Bad request", "headers too large")
        if request.method == "POST" and request.target.startswith("/purge/"):
            return self._purge_url(request, request.target.removeprefix("/purge/"))
        if request.method == "GET" and request.path == "/content/edge_check":
            return self._check(request)
        if request.method == "GET" and _LOOKS.fullmatch(request.target):
            return self._look(request)
        route = _SERVICE_ROUTE.fullmatch(request.target) if request.method == "POST" else None
        if route is None:
            raise self._refusal(404, "Record not found", "Cannot find the requested resource")
        service, operation, key = route.groups()
        self._authorize(request, "purge_all" if operation == "purge_all" else "purge_select")
        if service != self.service:
            raise self._refusal(404, "Record not found", "Cannot load service")
        if operation == "purge_all":
            return self._purge_all(request)
        return self._purge_one_key(request, key) if key else self._purge_keys(request)

    def _look(self, request: Request) -> Response:
        """The token's page, which it may always see, and the service's: documentation/reference/api."""
        token = request.headers.get("Fastly-Key", "")
        scopes = self._scopes(request)
        if request.target == "/tokens/self":
            about = {"services": self.limited.get(token, []), "expires_at": self.expiring.get(token)}
            return Response.json({"id": "5Yo3XXnrQpjc20u0ybrf2g", "scope": " ".join(sorted(scopes)), **about})
        if not scopes & {"global", "global:read"}:
            raise self._refusal(403, "You are not authorized to perform this action")
        if request.target == f"/service/{self.service}":
            return Response.json({"id": self.service, "name": "www.acme.com", "type": "vcl"})
        raise self._refusal(404, "Record not found", "Cannot load service")

    def _check(self, request: Request) -> Response:
        """What each POP serves: documentation/reference/api/utils/content."""
        if self.check_scope:
            self._authorize(request, self.check_scope)
        self._scopes(request)
        given = parse_qs(request.query).get("url", [""])[0]
        try:
            url = Url.parse(given if "://" in given else f"http://{given}")
        except ValueError:
            raise self._refusal(400, "Bad request", "url must be a full URL") from None
        if self.hosts and url.host not in self.hosts:  # a guess
            raise self._refusal(404, "Record not found", "Cannot find service")
        self._spend(self._checks, 1)
        edges = [self.edge.at(place) for place in self.topology.pops]
        return Response.json([checked(edge, url, self.largest_checked) for edge in edges])

    def _purge_url(self, request: Request, raw: str) -> Response:
        self._authorize(request, "purge_select")
        match = _CACHED_URL.fullmatch(raw)
        if match is None or len(raw) > LONGEST_URL or ("/" not in raw and "%2f" in raw.lower()):
            raise Refused(Response.json({"msg": "Malformed purge request"}, 400))
        host, target = match[1].lower(), match[2] or "/"
        if self.hosts and host not in self.hosts:
            if self.error_shape == "legacy":  # fastly/fastly-php#53, member `details` and all
                raise Refused(Response.json({"msg": "Record not found", "details": "Cannot find service"}, 404))
            raise self._refusal(404, "Record not found", "Cannot find service")
        if host in self.forbidding:
            raise Refused(Response.json({"msg": "Forbidden"}, 403))
        self._spend(self._urls, 1)
        # The environment header has no effect here: it exists for keys and purge_all only.
        url = Url("https", host, target if target.startswith("/") else f"/{target}")
        self.edge.purge_key(self.edge.cache_key(url), soft=_soft(request))
        return Response.json({"status": "ok", "id": self._new_id()})

    def _purge_directly(self, edge: FastlyEdge, request: Request, url: Url) -> Response:
        if self.purge_requires_auth:
            self._authorize(request, "purge_select")
        edge.purge_key(edge.cache_key(url), soft=_soft(request))
        return Response.json({"status": "ok", "id": self._new_id()})

    def _purge_one_key(self, request: Request, key: str) -> Response:
        """Purge the key as it stands in the path: nothing is decoded, which is why encoding clients miss."""
        self._check_keys([key])
        edge = self._edge_of_purge(request)
        headers = self._spend_keys(1)
        edge.purge_tags([key], soft=_soft(request))
        return Response.json({"status": "ok", "id": self._new_id()}, headers=headers)

    def _purge_keys(self, request: Request) -> Response:
        try:
            keys = _batch(request)
        except (ValueError, KeyError, TypeError):
            raise self._refusal(400, "Bad request", "surrogate_keys must be a list of strings") from None
        self._check_keys(keys)
        edge = self._edge_of_purge(request)
        headers = self._spend_keys(len(keys))
        edge.purge_tags(keys, soft=_soft(request))
        return Response.json({key: self._new_id() for key in keys}, headers=headers)

    def _purge_all(self, request: Request) -> Response:
        """Always hard: ``Fastly-Soft-Purge`` has no effect here."""
        edge = self._edge_of_purge(request)
        self._spend(self._general, 1)
        edge.cache.drop_where(lambda _entry: True)
        return Response.json({"status": "ok"}, headers=_rate_headers(self._general))

    def _authorize(self, request: Request, scope: str) -> None:
        scopes = self._scopes(request)
        if scope not in scopes and "global" not in scopes:
            raise self._refusal(403, "You are not authorized to perform this action", f"the token lacks {scope}")

    def _scopes(self, request: Request) -> frozenset[str]:
        scopes = self.tokens.get(request.headers.get("Fastly-Key", ""))
        if scopes is None:
            raise self._refusal(401, "Provided credentials are missing or invalid")
        return scopes

    def _check_keys(self, keys: list[str]) -> None:
        """The limits are Fastly's, the status is a guess."""
        if not 0 < len(keys) <= MOST_KEYS:
            raise self._refusal(
                400, "Bad request", f"{len(keys)} surrogate keys; between 1 and {MOST_KEYS} are allowed"
            )
        if any(len(key.encode("utf-8", "surrogateescape")) > LONGEST_KEY for key in keys):
            raise self._refusal(400, "Bad request", f"a surrogate key is longer than {LONGEST_KEY} bytes")

    def _edge_of_purge(self, request: Request) -> FastlyEdge:
        environment = request.headers.get("Fastly-Purge-Environment", "production")
        if environment not in ("production", "staging"):
            raise self._refusal(400, "Bad request", f"unknown environment {environment}")
        return self.staging if environment == "staging" else self.edge

    def _spend_keys(self, count: int) -> dict[str, str]:
        self._spend(self._keys, count)
        rate = self._keys.limit - self._keys.remaining
        return {"Fastly-Instant-Rate": str(rate), "Fastly-Surrogate-Key-Count": str(count)}

    def _spend(self, window: SlidingWindow, units: int) -> None:
        wait = window.take(units) if self.limits else 0.0
        if wait:
            reset = {"Fastly-RateLimit-Remaining": "0", "Fastly-RateLimit-Reset": str(int(self.clock() + wait) + 1)}
            raise self._refusal(429, "Too many requests", "rate limit exceeded", reset)

    def _refusal(self, status: int, title: str, detail: str = "", headers: dict[str, str] | None = None) -> Refused:
        """Make an error body in the shape that is switched on."""
        if self.error_shape == "problem":
            problem = {"Content-Type": "application/problem+json", **(headers or {})}
            return Refused(Response.json({"title": title, "detail": detail, "status": status}, status, problem))
        if self.error_shape == "jsonapi":
            kind = {"Content-Type": "application/vnd.api+json", **(headers or {})}
            return Refused(Response.json({"errors": [{"title": title, "detail": detail}]}, status, kind))
        return Refused(Response.json({"msg": title, "detail": detail}, status, headers))

    def _new_id(self) -> str:
        return f"4151-{int(self.clock())}-{next(self._ids)}"


def _soft(request: Request) -> bool:
    """Tell if the header for soft purges is there; its value doesn't count."""
    return "Fastly-Soft-Purge" in request.headers


def _batch(request: Request) -> list[str]:
    """The keys of a batch, from the header or from the JSON body."""
    if "Surrogate-Key" in request.headers:
        return request.headers["Surrogate-Key"].split()
    keys = request.json()["surrogate_keys"]
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise TypeError(keys)
    return keys


def _rate_headers(window: SlidingWindow) -> dict[str, str]:
    return {
        "Fastly-RateLimit-Remaining": str(window.remaining),
        "Fastly-RateLimit-Reset": str(int(window.resets_at)),
    }

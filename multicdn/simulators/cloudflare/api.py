"""Cloudflare on loopback: the cache purge part of API v4, in front of the edge in ``cloudflare/edge.py``."""

from __future__ import annotations

import json
import math
import re
import time
import uuid
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from urllib.parse import parse_qs

from multicdn.simulators.cloudflare.edge import CloudflareEdge, Environment, Zone, matcher
from multicdn.simulators.kit.cache import Url
from multicdn.simulators.kit.http_server import Refused, Request, Response
from multicdn.simulators.kit.rates import TokenBucket
from multicdn.simulators.kit.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from multicdn.simulators.cloudflare.edge import Normalization
    from multicdn.simulators.kit.faults import Fault

__all__ = ["PLANS", "CloudflareSimulator", "Environment", "PlanLimits", "Zone", "page", "refusal"]


class PlanLimits(NamedTuple):
    """Limits of a plan, shared by the zones of an account that have it, and by hard and soft purges.

    Attributes:
        calls_per_second, bucket: pace of all kinds but URLs, and how many calls can be saved up.
        urls_per_second, urls_per_call: for purges by URL.
    """

    calls_per_second: float
    bucket: int
    urls_per_second: int
    urls_per_call: int


# https://developers.cloudflare.com/cache/how-to/purge-cache/#availability-and-limits (2026-09-29)
PLANS = {
    "free": PlanLimits(5 / 60, 25, 800, 100),
    "pro": PlanLimits(5, 25, 1500, 100),
    "business": PlanLimits(10, 50, 1500, 100),
    "enterprise": PlanLimits(50, 500, 3000, 500),
}
_ITEMS_PER_CALL = 100
_LONGEST_TAG = 1024
_MOST_SEPARATORS = 31
_KINDS = ("files", "tags", "hosts", "prefixes", "purge_everything")

# Stands for refusals of which only the status is known: no client may rely on it.
_UNDOCUMENTED = 1000

_PURGE = re.compile(
    r"/client/v4/zones/(?P<zone>[^/]+)(?:/environments/(?P<environment>[^/]+))?/(?P<operation>purge|invalidate)_cache"
)
_ZONE = re.compile(r"/client/v4/zones/(?P<zone>[^/]+)")
_ENVIRONMENTS = re.compile(r"/client/v4/zones/(?P<zone>[^/]+)/environments")


class CloudflareSimulator(Simulator):
    """Cloudflare's purge API and edge.

    Args:
        zones: the zones there are; a provider is configured for the first.
        token: API token that may purge all zones; assign another one to rotate it.
        limited_tokens: further tokens, each with the names of the only zones it may purge.
        email, key: the legacy way in, with all rights.
        key_headers: request headers that a custom cache key has beside the usual ones.
        normalization: of all zones: their type of URL normalization, or off.
        most_items: accept no more of any kind in a call than this, as when the API still enforced 30.

    Attributes:
        standing: what the owner is told of a token that is accepted: active, disabled or expired.
        account_owned: whether an account owns the token, which is then verified there, and not as a user's.
        violations: one line for each call that brought both a token and a legacy key: a client that does so sends
            credentials which nobody configured for it.
    """

    vendor: ClassVar[str] = "cloudflare"
    api_path: ClassVar[str] = "/client/v4"
    credential_headers: ClassVar[tuple[str, ...]] = ("Authorization", "X-Auth-Email", "X-Auth-Key")

    edge: CloudflareEdge

    def __init__(
        self,
        origin: str,
        *,
        zones: Sequence[Zone] = (Zone("acme.com"),),
        token: str = "simulated-cloudflare-token-for-tests-0001",  # noqa: S107
        limited_tokens: Mapping[str, Iterable[str]] | None = None,
        email: str = "ops@acme.com",
        key: str = "5151515151515151515151515151515151515",
        key_headers: Sequence[str] = (),
        normalization: Normalization = "cloudflare",
        most_items: int | None = None,
        clock: Callable[[], float] = time.time,
        limits: bool = True,
        api_port: int = 0,
        edge_port: int = 0,
    ) -> None:
        self.zones = tuple(zones)
        self.token = token
        self.limited_tokens = {name: frozenset(names) for name, names in (limited_tokens or {}).items()}
        self.email, self.key = email, key
        self.most_items = most_items
        self.standing = "active"
        self.account_owned = False
        self.violations: list[str] = []
        self._key_headers = key_headers
        self._normalization: Normalization = normalization
        super().__init__(origin, clock=clock, limits=limits, api_port=api_port, edge_port=edge_port)
        refs = {each.ref for zone in zones for each in zone.environments}
        self._environments = {ref: self.make_edge(origin) for ref in refs}
        plans = {(zone.account, zone.plan): PLANS[zone.plan] for zone in zones}
        self._call_buckets = {of: TokenBucket(plan.calls_per_second, plan.bucket, clock) for of, plan in plans.items()}
        self._url_buckets = {
            of: TokenBucket(plan.urls_per_second, plan.urls_per_second, clock) for of, plan in plans.items()
        }

    def make_edge(self, origin: str) -> CloudflareEdge:
        """Make the edge of an environment."""
        return CloudflareEdge(
            origin, clock=self.clock, key_headers=self._key_headers, normalization=self._normalization
        )

    def edge_for(self, request: Request) -> CloudflareEdge:
        """Choose the edge by environment, and let it see the headers in the cache key."""
        zone = next((zone for zone in self.zones if zone.has(request.headers.get("Host", ""))), None)
        ref = zone.environment_of(request) if zone else ""
        return self._environments.get(ref, self.edge).seen_with(request.headers)

    def edges(self) -> tuple[CloudflareEdge, ...]:
        """Those of all environments."""
        return (self.edge, *self._environments.values())

    def options(self) -> dict[str, object]:
        """Options for the first zone."""
        normalized = {} if self._normalization != "off" else {"url_normalization": False}
        return {**super().options(), "zone": self.zones[0].id, "plan": self.zones[0].plan, **normalized}

    def secrets(self) -> dict[str, str]:
        """The token for all zones."""
        return {"token": self.token}

    def other_secrets(self) -> dict[str, str]:
        """The Global API Key, which goes with ``email``."""
        return {"key": self.key}

    def items(self, request: Request) -> int:
        """Count the files, tags, hosts or prefixes of a call; 1 for everything."""
        body = request.json()
        return sum(len(body[kind]) if isinstance(body[kind], list) else 1 for kind in _KINDS if kind in body)

    def api(self, request: Request) -> Response:
        """Answer one call of API v4."""
        return self._route(request, self._authenticate(request))

    def _authenticate(self, request: Request) -> frozenset[str]:
        """Return the names of the zones that the credentials open."""
        bearer, email, key = (request.headers.get(name) for name in self.credential_headers)
        if bearer is not None and (email is not None or key is not None):
            self.violations.append(f"{request.method} {request.target}: a token together with X-Auth-*")
        if email is not None or key is not None:
            opened = self._opened_by_key(email or "", key or "")
        else:
            opened = frozenset() if bearer is None else self._opened_by_token(bearer)
        if not opened:
            raise _refused(401, 10000, "Authentication error")
        return opened

    def _opened_by_key(self, email: str, key: str) -> frozenset[str]:
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
            raise _refused(400, 6003, "Invalid request headers", chain=(6102, "Invalid format for X-Auth-Email header"))
        if not re.fullmatch(r"[0-9a-f]{37}", key):
            raise _refused(400, 6003, "Invalid request headers", chain=(6103, "Invalid format for X-Auth-Key header"))
        return self._every_zone if (email, key) == (self.email, self.key) else frozenset()

    def _opened_by_token(self, bearer: str) -> frozenset[str]:
        match = re.fullmatch(r"Bearer ([\w-]{8,})", bearer)
        if match is None:
            chain = (6111, "Invalid format for Authorization header")
            raise _refused(400, 6003, "Invalid request headers", chain=chain)
        return self._every_zone if match[1] == self.token else self.limited_tokens.get(match[1], frozenset())

    @property
    def _every_zone(self) -> frozenset[str]:
        return frozenset(zone.name for zone in self.zones)

    def _route(self, request: Request, opened: frozenset[str]) -> Response:
        if match := _PURGE.fullmatch(request.path):
            soft = match["operation"] == "invalidate"
            if request.method == "POST" or (request.method == "DELETE" and not soft):  # DELETE: what old clients send
                return self._purge(request, self._zone(match["zone"], opened), match["environment"], soft=soft)
        elif request.method == "GET" and (match := _ENVIRONMENTS.fullmatch(request.path)):
            return _success(_listed_environments(self._zone(match["zone"], opened)))
        elif request.method == "GET" and (match := _ZONE.fullmatch(request.path)):
            return _success(_listed(self._zone(match["zone"], opened)))
        elif request.method == "GET" and request.path.endswith("/tokens/verify"):
            return self._verify(request)
        elif request.method == "GET" and request.path == "/client/v4/zones":
            wanted = parse_qs(request.query).get("name")
            return _success(
                [_listed(zone) for zone in self.zones if zone.name in opened and wanted in (None, [zone.name])]
            )
        raise _refused(404, 7000, "No route for that URI")

    def _verify(self, request: Request) -> Response:
        """Tell a token's owner about it: api/resources/user/subresources/tokens/methods/verify, and accounts/...."""
        accounts = {f"/client/v4/accounts/{zone.account}/tokens/verify" for zone in self.zones}
        if request.path not in (accounts if self.account_owned else {"/client/v4/user/tokens/verify"}):
            raise _refused(401, 1000, "Invalid API Token")
        return _success({"id": "f267e341f3dd4697bd3b9f71dd96247f", "status": self.standing})

    def _zone(self, identifier: str, opened: frozenset[str]) -> Zone:
        zone = next((zone for zone in self.zones if zone.id == identifier), None)
        if zone is None:
            status = 404 if re.fullmatch("[0-9a-f]{32}", identifier) else 400
            raise _refused(status, 7003, f"Could not route to /zones/{identifier}: check the identifier")
        if zone.name not in opened:
            raise _refused(403, 10000, "Authentication error")
        return zone

    def _purge(self, request: Request, zone: Zone, ref: str | None, *, soft: bool) -> Response:
        kind, values = self._selector(request, zone)
        edges = self._edges(zone, ref, kind)
        self._take_tokens(zone, kind, len(values))
        for edge in edges:
            if kind == "files":
                edge.purge_files(values, soft=soft)
            else:
                edge.purge_where(matcher(edge, zone, kind, values), soft=soft)
        # 32 digits that can't be asked about: the API has no status of a purge.
        return _success({"id": uuid.uuid4().hex})

    def _selector(self, request: Request, zone: Zone) -> tuple[str, list[Any]]:
        """Return the one kind of a body and its values, checked."""
        body = _body(request)
        kinds = [kind for kind in _KINDS if kind in body]
        if len(kinds) != 1:
            raise _refused(400, 1012, f"Request must contain one of {', '.join(_KINDS)}")
        kind, value = kinds[0], body[kinds[0]]
        if kind == "purge_everything":
            if value is not True or len(body) > 1:
                raise _refused(400, 1013, "purge_everything must be true and stand alone")
            return kind, []
        if not isinstance(value, list) or not value:
            raise _refused(400, 1014, f"{kind} must be an array that isn't empty")
        self._check_count(kind, len(value), zone)
        for item in value:
            _CHECKS[kind](item, zone)
        return kind, value

    def _check_count(self, kind: str, count: int, zone: Zone) -> None:
        most = PLANS[zone.plan].urls_per_call if kind == "files" else _ITEMS_PER_CALL
        most = min(most, self.most_items or most)
        if count > most:
            raise _refused(400, _UNDOCUMENTED, f"{count} {kind} in one request; at most {most}")

    def _edges(self, zone: Zone, ref: str | None, kind: str) -> list[CloudflareEdge]:
        """The edges that a call is about: one environment, or production and all environments of the zone."""
        if ref is None:
            return [self.edge, *(self._environments[one.ref] for one in zone.environments)]
        environment = next((one for one in zone.environments if one.ref == ref), None)
        if environment is None:
            raise _refused(404, 7003, f"Could not route to environment {ref}: check the identifier")
        if kind == "files" and environment.by_visitor:
            raise _refused(400, 1136, "Purge by URL is impossible in an environment that selects by visitor")
        return [self._environments[ref]]

    def _take_tokens(self, zone: Zone, kind: str, count: int) -> None:
        if not self.limits:
            return
        pair = (zone.account, zone.plan)
        wait = self._url_buckets[pair].take(count) if kind == "files" else self._call_buckets[pair].take()
        if wait:
            headers = {"Retry-After": str(math.ceil(wait))}
            raise _refused(429, 971, "Please wait and consider throttling your request speed", headers=headers)


def _refused(
    status: int,
    code: int,
    message: str,
    *,
    chain: tuple[int, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Refused:
    causes = {"error_chain": [{"code": chain[0], "message": chain[1]}]} if chain else {}
    return Refused(_failure(status, {"code": code, "message": message, **causes}, headers))


def refusal(status: int, code: int, message: str, headers: Mapping[str, str] | None = None) -> Fault:
    """Make a fault: an error in the API's envelope under any status. With 200 it is a failure that looks well."""
    return lambda _request, _answer, _released: _failure(status, {"code": code, "message": message}, headers)


def page(status: int, text: str = "error code: 1015", headers: Mapping[str, str] | None = None) -> Fault:
    """Make a fault: an HTML page, as the edge in front of the API answers when the API doesn't."""
    body = f"<!DOCTYPE html><html><head><title>Error</title></head><body><h1>{text}</h1></body></html>"
    return lambda _request, _answer, _released: Response.html(body, status, headers)


def _failure(
    status: int, error: Mapping[str, object], headers: Mapping[str, str] | None, *further: Mapping[str, object]
) -> Response:
    errors = [error, *further]
    return Response.json({"success": False, "errors": errors, "messages": [], "result": None}, status, headers)


def _host_in(url: str) -> str:
    try:
        return Url.parse(url).host
    except ValueError:
        return url


def _success(result: object) -> Response:
    return Response.json({"success": True, "errors": [], "messages": [], "result": result})


def _listed(zone: Zone) -> dict[str, object]:
    fixed = {"status": "active", "paused": False}
    about = {"account": {"id": zone.account}, "plan": {"legacy_id": zone.plan}}
    return {"id": zone.id, "name": zone.name, **fixed, **about}


def _listed_environments(zone: Zone) -> dict[str, object]:
    environments = [
        {"ref": each.ref, "name": each.ref, "expression": f'{each.header} eq "{each.value}"', "position": {}}
        for each in zone.environments
    ]
    return {"environments": environments}


def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(request.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise _refused(400, _UNDOCUMENTED, "the body must be a JSON object")
    return body


def _check_file(item: object, zone: Zone) -> None:
    url = item.get("url") if isinstance(item, dict) else item
    headers = item.get("headers", {}) if isinstance(item, dict) else {}
    try:
        inside = isinstance(url, str) and isinstance(headers, dict) and zone.has(Url.parse(url).host)
    except ValueError:
        inside = False
    if not inside:
        # In this order, and in these words: cloudflare/Cloudflare-WordPress#429.
        host = _host_in(url) if isinstance(url, str) else url
        foreign = {"code": 1082, "message": f"Unable to purge {host}. You can only purge files for this zone."}
        raise Refused(_failure(400, foreign, None, {"code": 1016, "message": "One or more cache purge errors"}))


def _check_tag(item: object, zone: Zone) -> None:
    del zone
    if not isinstance(item, str) or not re.fullmatch(rf"[!-~]{{1,{_LONGEST_TAG}}}", item):
        raise _refused(400, _UNDOCUMENTED, "a tag is 1 to 1024 characters of printable ASCII without spaces")


def _check_host(item: object, zone: Zone) -> None:
    if not isinstance(item, str) or not re.fullmatch(r"[^/?#\s]+", item) or not zone.has(item):
        raise _refused(400, _UNDOCUMENTED, f"{item!r} is no host name of zone {zone.name}")


def _check_prefix(item: object, zone: Zone) -> None:
    if not isinstance(item, str) or "://" in item or re.search(r"[?#\s]", item) or not zone.has(item.partition("/")[0]):
        raise _refused(400, _UNDOCUMENTED, f"{item!r} is no host and path of zone {zone.name}")
    if item.count("/") > _MOST_SEPARATORS:
        raise _refused(400, _UNDOCUMENTED, f"{item!r} has more than {_MOST_SEPARATORS} path separators")


_CHECKS: dict[str, Callable[[object, Zone], None]] = {
    "files": _check_file,
    "tags": _check_tag,
    "hosts": _check_host,
    "prefixes": _check_prefix,
}

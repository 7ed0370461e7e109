"""Akamai on loopback: the gateway with its signatures, Fast Purge (CCU v3), and the edges of both networks.

Facts are from techdocs.akamai.com/purge-cache/reference and akamai/akamai-apis (apis/ccu/v3), unless a comment says
that the behaviour is a guess.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

from multicdn.simulators.akamai.edge import LONGEST_TAG, AkamaiEdge, key_of
from multicdn.simulators.akamai.edgegrid import ApiClient, Gateway
from multicdn.simulators.kit.http_server import Refused, Request, Response
from multicdn.simulators.kit.rates import TokenBucket
from multicdn.simulators.kit.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

LARGEST_BODY = 50_000
CP_CODE = 123456

STAGING = {"Simulator-Network": "staging"}
"""Header with which a client reaches the staging network, which has IP addresses of its own in the real world."""

_DOCS = "https://techdocs.akamai.com/purge-cache/reference/api-errors"
_ROUTE = re.compile(r"/ccu/v3/(invalidate|delete)/(url|tag|cpcode)(?:/(production|staging))?")
_STATUS_ROUTE = re.compile(r"/ccu/v3/rate-limit-status/(url|tag|cpcode)")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d+)?")
# "&" is on one of the vendor's lists only.
_TAG = re.compile(r"[A-Za-z0-9!#$%&'+./^_`|~-]+")
_ID_PREFIX = {"url": "edup", "tag": "edtp", "cpcode": "edcp"}


class BucketSize(NamedTuple):
    """A limit of an account: objects or requests that can be saved up, and how many a second come in."""

    burst: int
    per_second: float


_REQUESTS = BucketSize(100, 50)
_OBJECTS = {"url": BucketSize(10_000, 200), "tag": BucketSize(5_000, 500 / 60), "cpcode": BucketSize(300, 0.5)}


class AkamaiSimulator(Simulator):
    """One Akamai account with one API client.

    The gateway checks timestamps by ``wall_clock``, since clients sign with the machine's time, and everything else
    goes by ``clock``. Header ``STAGING`` makes a client see the staging network.

    Args:
        origin: base URL of the origin.
        client_token, client_secret, access_token: of the API client.
        account_key: if given, the sites belong to a customer's account, and purging them takes this switch key.
        section: of the .edgerc.
        network: what ``options()`` asks the provider to purge.
        hosts: host names that the client may purge; empty allows all.
        cp_codes: CP codes by host name; all other hosts have ``CP_CODE``.
        may_purge_tags, may_purge_cp_codes: permissions of the client.
        buckets: limits that differ for this account: by ``url``, ``tag``, ``cpcode`` or ``requests``.
        rate_headers: whether answers tell the state of the buckets.
        rate_limit_status: whether there is that operation; some versions of the API's description lack it.
        wall_clock: seconds since 1970 at the gateway.
        clock, limits, api_port, edge_port: as in ``Simulator``.

    Attributes:
        client: credentials of the API client; may be changed while it runs.
        staging: the edge of the staging network; ``edge`` is that of production.
    """

    vendor = "akamai"
    edge: AkamaiEdge

    def __init__(
        self,
        origin: str,
        *,
        client_token: str = "akab-simulated-client-token",  # noqa: S107 - opens nothing but this simulator
        client_secret: str = "c2ltdWxhdGVkLWNsaWVudC1zZWNyZXQ=",  # noqa: S107
        access_token: str = "akab-simulated-access-token",  # noqa: S107
        account_key: str = "",
        section: str = "default",
        network: str = "production",
        hosts: Iterable[str] = (),
        cp_codes: Mapping[str, int] | None = None,
        may_purge_tags: bool = True,
        may_purge_cp_codes: bool = True,
        buckets: Mapping[str, BucketSize] | None = None,
        rate_headers: bool = True,
        rate_limit_status: bool = True,
        wall_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.time,
        limits: bool = True,
        api_port: int = 0,
        edge_port: int = 0,
    ) -> None:
        super().__init__(origin, clock=clock, limits=limits, api_port=api_port, edge_port=edge_port)
        self.client = ApiClient(client_token, client_secret, access_token)
        self.account_key = account_key
        self.section = section
        self.network = network
        self.hosts = frozenset(host.lower() for host in hosts)
        self.cp_codes = dict(cp_codes or {})
        self.may_purge_tags = may_purge_tags
        self.may_purge_cp_codes = may_purge_cp_codes
        self.rate_headers = rate_headers
        self.rate_limit_status = rate_limit_status
        self.staging = AkamaiEdge(origin, clock=clock)
        sizes = {"requests": _REQUESTS, **_OBJECTS, **(buckets or {})}
        self._buckets = {name: TokenBucket(size.per_second, size.burst, clock) for name, size in sizes.items()}
        self._gateway = Gateway(lambda: self.client, wall_clock)
        self._ids = itertools.count(1)
        self._spending = threading.Lock()

    def make_edge(self, origin: str) -> AkamaiEdge:
        """Make the edge of the production network."""
        return AkamaiEdge(origin, clock=self.clock)

    def edge_for(self, request: Request) -> AkamaiEdge:
        """Production, unless the client asks for staging."""
        return self._edge(request.headers.get("Simulator-Network"))

    def edges(self) -> tuple[AkamaiEdge, ...]:
        """Those of both networks."""
        return self.edge, self.staging

    def options(self) -> dict[str, object]:
        """Endpoint, network, CP codes, and the account key if there is one."""
        account = {"account_key": self.account_key} if self.account_key else {}
        return {**super().options(), "network": self.network, "cp_codes": sorted(self._known_cp_codes), **account}

    def secrets(self) -> dict[str, str]:
        """The API client's credentials."""
        client = self.client
        return {
            "client_token": client.client_token,
            "client_secret": client.client_secret,
            "access_token": client.access_token,
        }

    def other_secrets(self) -> dict[str, str]:
        """The same as the text of an .edgerc."""
        values = {"host": "akab-simulated.luna.akamaiapis.net", **self.secrets()}
        lines = "\n".join(f"{name} = {value}" for name, value in values.items())
        return {"edgerc": f"[{self.section}]\n{lines}\n"}

    def items(self, request: Request) -> int:
        """Objects of a purge."""
        return len(request.json()["objects"])

    def api(self, request: Request) -> Response:
        """Answer one call: the gateway first, then Fast Purge."""
        return self._gateway.refusal(request) or self._route(request)

    @property
    def _known_cp_codes(self) -> frozenset[int]:
        return frozenset((CP_CODE, *self.cp_codes.values()))

    def _edge(self, network: str | None) -> AkamaiEdge:
        return self.staging if network == "staging" else self.edge

    def _route(self, request: Request) -> Response:
        status = _STATUS_ROUTE.fullmatch(request.path) if self.rate_limit_status else None
        purge = _ROUTE.fullmatch(request.path)
        if purge is None and status is None:
            raise self._refusal(404, "not found", "no such resource")
        if request.method != "POST":
            raise self._refusal(405, "method not allowed", request.method)
        if status is not None:
            return self._accepted(status[1], {})
        assert purge is not None
        action, kind, network = purge.groups()
        objects = self._objects(request, kind)
        self._check_permission(request, kind, objects)
        self._spend(kind, len(objects))
        self._purge(self._edge(network), kind, objects, soft=action == "invalidate")
        return self._accepted(kind, {"estimatedSeconds": 5, "purgeId": self._new_id(kind)})

    def _objects(self, request: Request, kind: str) -> list[Any]:
        """Read the body; one bad object refuses all. Titles are the vendor's for URLs, guesses for the others."""
        if "100-continue" in request.headers.get("Expect", "").lower():
            raise self._refusal(417, "expectation failed", "100-continue")
        if request.headers.get("Content-Type", "").partition(";")[0].strip() != "application/json":
            raise self._refusal(415, "unsupported media type", "application/json expected", kind)
        if len(request.body) > LARGEST_BODY:
            raise self._refusal(413, "request too large", f"over {LARGEST_BODY} bytes", kind)
        try:
            body = request.json()
        except ValueError:
            raise self._refusal(400, "malformed JSON", "the body can't be parsed", kind) from None
        objects = body.get("objects") if isinstance(body, dict) and body.keys() == {"objects"} else None
        if not isinstance(objects, list) or not objects:
            raise self._refusal(400, "bad request", "exactly one member is expected: objects, a list", kind)
        check = {"url": self._check_url, "tag": self._check_tag, "cpcode": self._check_cp_code}[kind]
        for item in objects:
            check(item)
        return objects

    def _check_url(self, item: object) -> None:
        if not isinstance(item, str) or not item.isascii():
            raise self._refusal(400, "bad URL", f"contains non-ASCII character: {item}", "url")
        try:
            host, target = key_of(item)
        except ValueError:
            raise self._refusal(400, "bad URL", item, "url") from None
        if re.search(r"\s", target):
            raise self._refusal(400, "bad URL", item, "url")
        if not _HOST.fullmatch(host):  # the vendor's example doesn't say which URL it is
            raise self._refusal(400, "bad URL hostname", "Invalid or malformed hostname", "url")

    def _check_tag(self, item: object) -> None:
        if not isinstance(item, str) or len(item) > LONGEST_TAG or not _TAG.fullmatch(item):
            raise self._refusal(400, "bad tag", str(item), "tag")

    def _check_cp_code(self, item: object) -> None:
        if not isinstance(item, int) or isinstance(item, bool) or item <= 0:
            raise self._refusal(400, "bad CP code", str(item), "cpcode")

    def _check_permission(self, request: Request, kind: str, objects: list[Any]) -> None:
        key = parse_qs(request.query).get("accountSwitchKey", [""])[0]
        if key and key != self.account_key:
            # A guess, as are the titles below for tags and CP codes.
            raise Refused(self._gateway.problem(request, 403, "Forbidden", "Invalid account switch key"))
        granted = {"url": True, "tag": self.may_purge_tags, "cpcode": self.may_purge_cp_codes}
        if not granted[kind]:
            raise self._refusal(403, "unauthorized", f"the API client may not purge by {kind}", kind)
        for item in objects:
            if key != self.account_key or not self._may_purge(kind, item):
                title = {"url": "unauthorized arl", "tag": "unauthorized tag", "cpcode": "unauthorized cpcode"}[kind]
                raise self._refusal(403, title, str(item), kind)

    def _may_purge(self, kind: str, item: Any) -> bool:
        if kind == "cpcode":
            return item in self._known_cp_codes
        return kind == "tag" or not self.hosts or key_of(item)[0] in self.hosts

    def _purge(self, edge: AkamaiEdge, kind: str, objects: list[Any], *, soft: bool) -> None:
        wanted = frozenset(objects)
        if kind == "url":
            for item in wanted:
                edge.purge_key("".join(key_of(item)), soft=soft)
        elif kind == "tag":
            edge.purge_where(lambda entry: not wanted.isdisjoint(entry.tags), soft=soft)
        else:
            edge.purge_where(lambda entry: self.cp_codes.get(entry.url.host, CP_CODE) in wanted, soft=soft)

    def _spend(self, kind: str, count: int) -> None:
        """Take tokens from both buckets, or none and refuse."""
        requests, objects = self._buckets["requests"], self._buckets[kind]
        with self._spending:
            if not self.limits or (requests.remaining >= 1 and not objects.take(count) and not requests.take()):
                return
            short = (requests, 1) if requests.remaining < 1 else (objects, count)
        title = "Rate Limit exceeded" if short[0] is requests else f"{kind.upper()} Rate Limit exceeded"
        state = {
            "rateLimit": int(short[0].capacity),
            "rateLimitCurrentRequestSize": short[1],
            "rateLimitRemaining": int(short[0].remaining),
        }
        # The published example has six of the eight headers.
        raise self._refusal(429, title, "", kind, self._rate_headers(kind, refresh=False), state)

    def _rate_headers(self, kind: str, *, refresh: bool) -> dict[str, str]:
        headers: dict[str, str] = {}
        for suffix, bucket in (("", self._buckets["requests"]), ("-Objects", self._buckets[kind])):
            headers[f"X-Ratelimit-Limit{suffix}"] = str(int(bucket.capacity))
            headers[f"X-Ratelimit-Limit-Per-Second{suffix}"] = f"{bucket.rate:g}"
            headers[f"X-Ratelimit-Remaining{suffix}"] = str(int(bucket.remaining))
            if refresh:  # until the bucket is full, says the description of the header
                wait = (bucket.capacity - bucket.remaining) / bucket.rate
                headers[f"X-Ratelimit-Seconds-To-Refresh-Limit{suffix}"] = f"{wait:.6f}"
        return headers if self.rate_headers else {}

    def _accepted(self, kind: str, said: Mapping[str, object]) -> Response:
        body = {"httpStatus": 201, "detail": "Request accepted", **said}
        body["supportId"] = said.get("purgeId", self._new_id(kind))
        return Response.json(body, 201, self._rate_headers(kind, refresh=True))

    def _refusal(
        self,
        status: int,
        title: str,
        detail: str,
        kind: str = "cpcode",
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> Refused:
        value = {"supportId": self._new_id(kind), "title": title, "httpStatus": status, "describedBy": _DOCS}
        problem = {"Content-Type": "application/api-problem+json", **(headers or {})}
        return Refused(Response.json({**value, "detail": detail, **(more or {})}, status, problem))

    def _new_id(self, kind: str) -> str:
        return f"{_ID_PREFIX[kind]}-{next(self._ids):022d}"

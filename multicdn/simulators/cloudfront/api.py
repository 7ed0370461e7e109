"""Amazon CloudFront on loopback: its REST-XML API with signatures, quotas and traps, and an edge per distribution.

Where the vendor's documentation and its users disagree, there is a switch.
"""

from __future__ import annotations

import re
import threading
import time
import uuid
from typing import TYPE_CHECKING, ClassVar, NamedTuple
from urllib.parse import parse_qs, unquote

from multicdn.simulators.cloudfront import xml
from multicdn.simulators.cloudfront.edges import Edges
from multicdn.simulators.cloudfront.errors import ApiError
from multicdn.simulators.cloudfront.invalidations import Budget, Invalidations, Quotas
from multicdn.simulators.cloudfront.model import Distribution, Reach, S3Origin, Tenant, is_valid
from multicdn.simulators.cloudfront.sigv4 import AccessKey, authenticate
from multicdn.simulators.kit.http_server import Response
from multicdn.simulators.kit.simulator import Simulator
from multicdn.simulators.kit.topology import one_purge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from multicdn.simulators.cloudfront.invalidations import Invalidation
    from multicdn.simulators.kit.edge import Edge
    from multicdn.simulators.kit.http_server import Request

__all__ = ["AccessKey", "CloudFrontSimulator", "Distribution", "Quotas", "S3Origin", "Tenant"]

_VERSION = "/2020-05-31"
_SERVER_ERROR = 500

_OF, _AT = "/distribution/{distribution}", "/distribution-tenant/{tenant}"

_SITE = Distribution("E8F6HK73EP0LT", aliases=("acme.com", "*.acme.com"), tag_header="x-amz-meta-cache-tag")
_KEY = AccessKey("AKIASIMULATEDACCESS0", "simulated/secret/access/key/of/forty/chrs", "simulated-session-token")


class _Ask(NamedTuple):
    """A call, and what stands for the names in its path."""

    request: Request
    names: dict[str, str]

    @property
    def options(self) -> dict[str, str]:
        """Query parameters; the last of a name counts."""
        return {name: values[-1] for name, values in parse_qs(self.request.query).items()}


class _Operation(NamedTuple):
    method: str
    path: re.Pattern[str]
    action: str
    answer: Callable[[CloudFrontSimulator, _Ask], Response]


def _operation(
    method: str, path: str, action: str, answer: Callable[[CloudFrontSimulator, _Ask], Response]
) -> _Operation:
    named = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", _VERSION + path)
    return _Operation(method, re.compile(named), action, answer)


class CloudFrontSimulator(Simulator):
    """An AWS account with distributions, and all their edges.

    Args:
        origin: base URL that stands for the bucket; a distribution's origin path is put behind it.
        distributions, tenants: what the account has. The first distribution is the one that ``options`` names.
        credentials: the only access key that it knows.
        region: what signatures must be scoped to.
        quotas: which quotas apply; none without ``limits``.
        effective_after: seconds until an invalidation takes effect (under 5 for 95 %, says AWS).
        completed_after: seconds until it is reported as Completed (under 25 for 95 %), once it has its effect.
        completed_after_polls: or after it was asked for so many times, whichever comes first; None never counts.
        clock, limits, api_port, edge_port: as in ``Simulator``.

    Attributes:
        allowed: IAM actions that the access key may use, such as ``CreateInvalidation``; None allows all.
        expired: whether its session token has expired.
        skew: seconds by which the service's clock is ahead of this machine's.
        quotes_refused: whether a plain ``'`` in a path is refused, as two projects saw.
    """

    vendor = "cloudfront"
    credential_headers = ("Authorization", "X-Amz-Security-Token")

    def __init__(
        self,
        origin: str,
        *,
        distributions: Sequence[Distribution] = (_SITE,),
        tenants: Sequence[Tenant] = (),
        credentials: AccessKey = _KEY,
        region: str = "us-east-1",
        quotas: Quotas = Quotas(),  # noqa: B008 - frozen
        effective_after: float = 0.0,
        completed_after: float = 20.0,
        completed_after_polls: int | None = None,
        clock: Callable[[], float] = time.time,
        limits: bool = True,
        api_port: int = 0,
        edge_port: int = 0,
    ) -> None:
        self.credentials = credentials
        self.region = region
        self.allowed: frozenset[str] | None = None
        self.expired = False
        self.skew = 0.0
        self.quotes_refused = False
        self.distributions = {one.id: one for one in distributions}
        self.tenants = {one.id: one for one in tenants}
        self._quotas = quotas
        self._budget = Budget(quotas, clock) if limits else None
        self._invalidations = Invalidations(
            self._budget,
            clock,
            effective_after=effective_after,
            completed_after=completed_after,
            completed_after_polls=completed_after_polls,
            spread=lambda: self.topology.longest_delay,
        )
        self._edges = Edges(origin, self.distributions, self.tenants, clock)
        self._state = threading.RLock()
        super().__init__(origin, clock=clock, limits=limits, api_port=api_port, edge_port=edge_port)

    @property
    def reference_error(self) -> str:
        """The code for a used caller reference with other paths.

        InvalidationBatchAlreadyExists, as documented, or InvalidArgument, as in traces of 2019 (aws/aws-cdk#3878).
        """
        return self._invalidations.reference_error

    @reference_error.setter
    def reference_error(self, code: str) -> None:
        self._invalidations.reference_error = code

    def make_edge(self, origin: str) -> Edge:
        """The edge of the first distribution, for requests without headers that count."""
        del origin
        first = next(iter(self.distributions.values()))
        return self._edges.of(first.id, first, {})

    def edge_for(self, request: Request) -> Edge:
        """Choose by Host, then by the headers in the cache key."""
        with self._state:
            return self._edges.at(request.headers.get("Host", "").lower().partition(":")[0], request.headers)

    def settle(self) -> None:
        """Let the invalidations that are due take effect."""
        with self._state:
            self._take_effect()

    def edges(self) -> tuple[Edge, ...]:
        """Those that were asked so far."""
        return self._edges.all()

    def options(self) -> dict[str, object]:
        """Options for the first distribution."""
        return {**super().options(), "distribution": next(iter(self.distributions)), "region": self.region}

    def environment(self) -> dict[str, str]:
        """Environment variables in which botocore finds the access key."""
        token = {"AWS_SESSION_TOKEN": self.credentials.session_token} if self.credentials.session_token else {}
        return {
            "AWS_ACCESS_KEY_ID": self.credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": self.credentials.secret_key,
            "AWS_DEFAULT_REGION": self.region,
            **token,
        }

    def items(self, request: Request) -> int:
        """Count the paths and tags of a call; none for those that only read."""
        if request.method != "POST" or not request.path.endswith("/invalidation"):
            return 0
        return len(xml.texts(xml.read(request.body), "Paths/Items/Path"))

    def api(self, request: Request) -> Response:
        """Authenticate, authorise, and answer one call."""
        try:
            with self._state:
                return self._route(request)
        except ApiError as error:
            name = str(uuid.uuid4())
            body = xml.error(error.code, error.message, sender=error.status < _SERVER_ERROR, request_id=name)
            return _answer(error.status, body, name)

    def _route(self, request: Request) -> Response:
        for method, pattern, action, answer in self._operations:
            match = pattern.fullmatch(request.path)
            if match is not None and method == request.method:
                self._authorise(request, action)
                return answer(self, _Ask(request, {name: unquote(value) for name, value in match.groupdict().items()}))
        raise ApiError("NoSuchResource", f"{request.method} {request.path} is no operation", 404)

    def _authorise(self, request: Request, action: str) -> None:
        now = time.time() + self.skew  # not ``clock``: signatures bear the real time
        authenticate(request, self.credentials, region=self.region, service="cloudfront", now=now)
        if self.expired:
            raise ApiError("ExpiredToken", "The security token included in the request is expired", 403)
        if self.allowed is not None and action not in self.allowed:
            who = "arn:aws:sts::123456789012:assumed-role/purge/multicdn"
            raise ApiError("AccessDenied", f"User: {who} is not authorized to perform: cloudfront:{action}", 403)

    def _take_effect(self) -> None:
        for made, since in self._invalidations.due():
            with one_purge(at=since):
                self._edges.drop(made.owner, Reach.of(made.items), made.created_at)

    def _create(self, ask: _Ask) -> Response:
        owner = self._owner(ask)
        if self._budget is not None and not self._budget.take_call():
            raise ApiError("Throttling", "Rate exceeded")
        made = self._invalidations.create(owner, *self._batch(ask.request.body))
        self._take_effect()
        location = f"https://cloudfront.amazonaws.com{ask.request.path}/{made.id}"
        body = xml.document(xml.invalidation(made, self._invalidations.status(made)))
        return _answer(201, body, str(uuid.uuid4()), {"Location": location})

    def _batch(self, body: bytes) -> tuple[str, tuple[str, ...]]:
        """Caller reference and items. One bad item refuses all of them, and the answer doesn't say which it was."""
        reference, quantity, items = xml.read_batch(body)
        if quantity != len(items):
            raise ApiError("InconsistentQuantities", "The value of Quantity and the size of Items don't match.")
        if self._budget is not None and len(items) > self._quotas.batch:
            raise ApiError("BatchTooLarge", "Invalidation batch specified is too large.", 413)
        if not items or not all(is_valid(item, quotes_refused=self.quotes_refused) for item in items):
            raise ApiError("InvalidArgument", "Your request contains one or more invalid invalidation paths.")
        return reference, items

    def _owner(self, ask: _Ask) -> str:
        """Id of the distribution or tenant that a call is about.

        For a multi-tenant distribution itself it is NoSuchDistribution too (domits1/Domits#3250).
        """
        if "tenant" in ask.names:
            return self._tenant(ask.names["tenant"]).id
        distribution = self._distribution(ask.names["distribution"])
        if distribution.tenant_only:
            raise ApiError("NoSuchDistribution", "The specified distribution does not exist.", 404)
        return distribution.id

    def _distribution(self, name: str) -> Distribution:
        if name not in self.distributions:
            raise ApiError("NoSuchDistribution", "The specified distribution does not exist.", 404)
        return self.distributions[name]

    def _tenant(self, name: str) -> Tenant:
        if name not in self.tenants:
            raise ApiError("EntityNotFound", "The specified distribution tenant does not exist.", 404)
        return self.tenants[name]

    def _get(self, ask: _Ask) -> Response:
        made = self._invalidations.find(self._owner(ask), ask.names["id"])
        return _document(xml.invalidation(made, self._invalidations.status(made)))

    def _list(self, ask: _Ask) -> Response:
        mine = self._invalidations.of(self._owner(ask))

        def shown(one: Invalidation) -> tuple[str, xml.Element]:
            return one.id, xml.invalidation_summary(one, self._invalidations.status(one))

        return _document(xml.page("InvalidationList", [shown(one) for one in mine], ask.options))

    def _list_distributions(self, ask: _Ask) -> Response:
        shown = [(one.id, xml.distribution_summary(one)) for one in self.distributions.values()]
        return _document(xml.page("DistributionList", shown, ask.options))

    def _get_distribution(self, ask: _Ask) -> Response:
        return _document(xml.distribution(self._distribution(ask.names["distribution"])))

    def _get_config(self, ask: _Ask) -> Response:
        return _document(xml.distribution_config(self._distribution(ask.names["distribution"])))

    def _get_tenant(self, ask: _Ask) -> Response:
        return _document(xml.tenant(self._tenant(ask.names["tenant"])))

    def _get_tenant_by_domain(self, ask: _Ask) -> Response:
        domain = ask.options.get("domain", "")
        return _document(
            xml.tenant(self._tenant(next((i for i, one in self.tenants.items() if domain in one.domains), "")))
        )

    def _list_tenants(self, ask: _Ask) -> Response:
        body = xml.read(ask.request.body) if ask.request.body else None
        options = {} if body is None else {name: xml.text(body, name) or "" for name in ("Marker", "MaxItems")}
        shown = [(one.id, xml.tenant(one, "DistributionTenantSummary")) for one in self.tenants.values()]
        chosen, following, _ = xml.cut(shown, options)
        marker: list[xml.Element] = [("NextMarker", following)] if following else []
        return _document(("ListDistributionTenantsResult", [*marker, ("DistributionTenantList", chosen)]))

    _operations: ClassVar[tuple[_Operation, ...]] = (
        _operation("GET", "/distribution", "ListDistributions", _list_distributions),
        _operation("GET", _OF, "GetDistribution", _get_distribution),
        _operation("GET", f"{_OF}/config", "GetDistributionConfig", _get_config),
        _operation("POST", f"{_OF}/invalidation", "CreateInvalidation", _create),
        _operation("GET", f"{_OF}/invalidation", "ListInvalidations", _list),
        _operation("GET", f"{_OF}/invalidation/{{id}}", "GetInvalidation", _get),
        _operation("POST", "/distribution-tenants", "ListDistributionTenants", _list_tenants),
        _operation("GET", "/distribution-tenant", "GetDistributionTenantByDomain", _get_tenant_by_domain),
        _operation("GET", _AT, "GetDistributionTenant", _get_tenant),
        _operation("POST", f"{_AT}/invalidation", "CreateInvalidationForDistributionTenant", _create),
        _operation("GET", f"{_AT}/invalidation", "ListInvalidationsForDistributionTenant", _list),
        _operation("GET", f"{_AT}/invalidation/{{id}}", "GetInvalidationForDistributionTenant", _get),
    )


def _document(root: xml.Element) -> Response:
    return _answer(200, xml.document(root), str(uuid.uuid4()), {"ETag": "E2QWRUHEXAMPLE"})


def _answer(status: int, body: bytes, request_id: str, headers: dict[str, str] | None = None) -> Response:
    return Response(status, {"Content-Type": "text/xml", "x-amzn-RequestId": request_id, **(headers or {})}, body)

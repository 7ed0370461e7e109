"""Amazon CloudFront: invalidate by path, wildcard or cache tag.

Vendor facts are from the CloudFront Developer Guide (docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide, named
"guide" below with the page) and from the service model in botocore 1.44.5.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from multicdn.provider import (
    Action,
    Call,
    Confirm,
    Confirmation,
    Discover,
    Price,
    PurgeEverything,
    PurgePrefixes,
    PurgeTags,
    PurgeUrls,
    Receipt,
    Speed,
    Target,
    TargetKind,
    TargetsRefused,
    option,
)

from . import figures
from .client import ENDPOINT, Clients
from .errors import ReferenceUsed
from .iam import statements
from .operations import LARGEST_BATCH, OPERATIONS, distributions_of, invalidate, repeated_bytes, require_tags, state_of
from .paths import located, tag_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multicdn.diagnosis import Finding, Usage


@dataclass(frozen=True, kw_only=True)
class CloudFront(PurgeUrls, PurgePrefixes, PurgeTags, PurgeEverything, Confirm, Discover):
    """Amazon CloudFront, through botocore and its usual chain of credentials.

    An instance acts on one distribution, on one tenant of a multi-tenant distribution, or, with ``auto``, stands for
    all enabled distributions that have the bucket as an origin. All host names of a distribution share their paths,
    so the host of a URL plays no part.
    """

    docs: ClassVar[str] = f"{figures.GUIDE}/Invalidation.html"
    example: ClassVar[Mapping[str, str]] = {"distribution": "E8F6HK73EP0LT"}
    permissions: ClassVar[tuple[str, ...]] = (
        "cloudfront:CreateInvalidation",
        "cloudfront:GetInvalidation (for whether it is completed)",
        "cloudfront:GetDistributionConfig (for tags)",
        "cloudfront:ListDistributions (for distribution: auto)",
        "cloudfront:CreateInvalidationForDistributionTenant, cloudfront:GetInvalidationForDistributionTenant, "
        "cloudfront:GetDistributionTenant (for tenant)",
    )
    aws_operations: ClassVar[Mapping[str, tuple[str, ...]]] = {"cloudfront": OPERATIONS}
    speeds: ClassVar[Mapping[TargetKind, Speed]] = dict.fromkeys(TargetKind, figures.EFFECTIVE)
    price: ClassVar[Price] = figures.PRICE
    prefix_ending = "*"  # any characters, none too, and the query string is a part of the path

    distribution: str = option(default="", help="id of the distribution, or auto: all that have the bucket as origin")
    tenant: str = option(default="", help="id of a distribution tenant, instead of a distribution")
    endpoint: str = option(default=ENDPOINT, help="base URL of the API; the default follows the region to China")
    region: str = option(default="us-east-1", help="region to sign for; only cn-* differs from the default")
    widen: bool = option(
        default=True,
        help="purge a URL that has a ~, or ends in *, by the wildcard that reaches it; false: it is refused instead",
    )
    origin_paths: tuple[str, ...] = field(default=(), metadata={"internal": True})
    clients: Clients | None = field(default=None, repr=False, compare=False, metadata={"internal": True})

    url_limits, prefix_limits, tag_limits = figures.URLS, figures.PREFIXES, figures.TAGS
    everything_limits, confirm_limits = figures.EVERYTHING, figures.QUESTIONS

    def __post_init__(self) -> None:
        """Refuse what can't name a distribution.

        Raises:
            ValueError: the sentence is for the author of the config file.
        """
        super().__post_init__()
        if bool(self.distribution) == bool(self.tenant):
            raise ValueError("give either distribution (an id, or auto) or tenant")
        if self.distribution != "auto" and not re.fullmatch(r"[A-Z0-9]*", self.distribution):
            raise ValueError(
                f"distribution {self.distribution!r} is no id; ids look like E8F6HK73EP0LT (or write auto)"
            )

    def locate(self, target: Target, action: Action) -> tuple[Target, ...]:
        """Spell a URL or a prefix as a path below the distribution, and a tag with its ``#``.

        A URL becomes a prefix where CloudFront would treat it as one (it ends in ``*``), or can only be reached by one
        (it has a ``~``).

        Raises:
            TargetsRefused: only emptying the whole distribution would do, or CloudFront has no such tag.
        """
        del action
        match target.kind:
            case TargetKind.URL | TargetKind.PREFIX:
                return located(target, self.origin_paths, widen=self.widen)
            case TargetKind.TAG:
                return (Target(TargetKind.TAG, tag_of(target.value, self.region)),)
            case TargetKind.EVERYTHING:
                return (target,)
            case _:
                message = f"CloudFront can't purge by {target.kind}: all hosts of a distribution share their paths"
                raise TargetsRefused(message, (target.value,))

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        """Invalidate paths."""
        return self._invalidate(urls, call)

    def purge_prefixes(self, prefixes: Sequence[str], call: Call) -> Receipt:
        """Invalidate wildcards: paths that end in ``*``."""
        return self._invalidate(prefixes, call)

    def purge_tags(self, tags: Sequence[str], call: Call) -> Receipt:
        """Invalidate all that carries a tag, after seeing that the distribution keeps tags at all.

        Raises:
            CallRefused: it doesn't; CloudFront would accept the call and purge nothing.
        """
        require_tags(self._api, call, self.distribution, self.tenant)
        return self._invalidate(tags, call)

    def purge_everything(self, call: Call) -> Receipt:
        """Invalidate the whole distribution."""
        return self._invalidate(("/*",), call)

    def confirm(self, receipt: str, call: Call) -> Confirmation:
        """Ask for the state of an invalidation: ``InProgress``, then ``Completed``."""
        state = self._api.ask(
            call, lambda client: state_of(client, self.distribution, self.tenant, receipt), repeated=LARGEST_BATCH
        )
        return Confirmation(done=state == "Completed", reason=state)

    @property
    def discovers(self) -> bool:
        """Whether the distribution is ``auto``."""
        return self.distribution == "auto"

    def discover(self, bucket: str, call: Call) -> Mapping[str, CloudFront]:
        """Return all enabled distributions that have a bucket among their origins, by id."""
        found = self._api.ask(call, lambda client: distributions_of(client, bucket))
        return {
            name: replace(self, distribution=name, origin_paths=paths, clients=self._api)
            for name, paths in found.items()
        }

    def part(self, name: str) -> CloudFront:
        """Return the distribution of an id. Paths below an origin path need no more cutting by now."""
        return replace(self, distribution=name, clients=self._api)

    def prepare(self) -> None:
        """Load botocore, and let the client of calls that have all the time they want rehearse an invalidation."""
        self._api.prepare(Call(), lambda client: invalidate(client, self.distribution, self.tenant, ("/",), "0"))

    def diagnose(self, use: Usage, call: Call | None) -> Iterator[Finding]:
        """Look at the distribution, or at what ``auto`` finds and passes over."""
        from .checks import findings

        if call is not None:
            yield from findings(self, use, lambda question: self._api.ask(call, question))

    def iam_statements(self, account: str, partition: str = "aws") -> tuple[dict[str, Any], ...]:
        """Allow the calls on no more than the ARNs that this instance acts on."""
        return statements(f"arn:{partition}:cloudfront::{account}", self.distribution, self.tenant)

    @cached_property
    def _api(self) -> Clients:
        return self.clients or Clients(self.endpoint, self.region)

    def _invalidate(self, items: Sequence[str], call: Call) -> Receipt:
        # An empty reference stands for no batch in particular: two such calls mustn't pass for one.
        reference = call.reference or uuid.uuid4().hex
        try:
            number = self._api.ask(
                call,
                lambda client: invalidate(client, self.distribution, self.tenant, items, reference),
                repeated=repeated_bytes(items),
            )
        except ReferenceUsed as error:
            # The reference is a digest of the batch, so what was accepted before is this batch.
            note = f"accepted by an earlier call with this reference; {error.reason}"
            return Receipt(estimate=figures.COMPLETED, note=note)
        return Receipt(id=number, estimate=figures.COMPLETED)

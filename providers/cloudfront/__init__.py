"""Amazon CloudFront: invalidate by path, wildcard or cache tag.

Vendor facts are from the CloudFront Developer Guide (docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide, named
"guide" below with the page) and from the service model in botocore 1.44.5.
"""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from multicdn.errors import CallRefused, RetryLater, TargetsRefused
from multicdn.provider import (
    Call,
    Discover,
    Limits,
    Price,
    PurgeEverything,
    PurgePrefixes,
    PurgeTags,
    PurgeUrls,
    Receipt,
    Speed,
    Target,
    TargetKind,
    option,
)

from .client import ENDPOINT, Clients
from .errors import ReferenceUsed
from .origins import path_in_bucket
from .paths import encoded, item, path_of, plain_path_of, spellings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_cloudfront import CloudFrontClient

    from multicdn.model import Action

_TAG = re.compile(r"[!-+\--~]{1,256}")  # visible ASCII without the comma: guide, invalidation-specifying-tags
# Calls in a row that nobody saw throttled: it began at the sixth to tenth within a second (aws/aws-sdk-js#3983).
_BURST = 5
_COMPLETED = 25.0  # seconds within which 95 % are reported Completed: AWS announcement of April 2026
# The same announcement; all ways of purging go through the same pipeline.
_EFFECTIVE = Speed(seconds=5, share="95 %", page="AWS announcement of April 2026")


@dataclass(frozen=True, kw_only=True)
class CloudFront(PurgeUrls, PurgePrefixes, PurgeTags, PurgeEverything, Discover):
    """Amazon CloudFront, through boto3 and its usual chain of credentials.

    An instance acts on one distribution, on one tenant of a multi-tenant distribution, or, with ``auto``, stands for
    all enabled distributions that have the bucket as an origin. All host names of a distribution share their paths,
    so the host of a URL plays no part.
    """

    docs: ClassVar[str] = "https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Invalidation.html"
    example: ClassVar[Mapping[str, str]] = {"distribution": "E8F6HK73EP0LT"}
    permissions: ClassVar[tuple[str, ...]] = (
        "cloudfront:CreateInvalidation",
        "cloudfront:GetDistributionConfig (for tags)",
        "cloudfront:ListDistributions (for distribution: auto)",
        "cloudfront:CreateInvalidationForDistributionTenant, cloudfront:GetDistributionTenant (for tenant)",
    )
    speeds: ClassVar[Mapping[TargetKind, Speed]] = dict.fromkeys(TargetKind, _EFFECTIVE)
    # A wildcard and a tag count as one path each: guide, PayingForInvalidation.
    price: ClassVar[Price] = Price(dollars=0.005, free=1000, page="https://aws.amazon.com/cloudfront/pricing/")

    distribution: str = option(default="", help="id of the distribution, or auto: all that have the bucket as origin")
    tenant: str = option(default="", help="id of a distribution tenant, instead of a distribution")
    endpoint: str = option(default=ENDPOINT, help="base URL of the API; the default follows the region to China")
    region: str = option(default="us-east-1", help="region to sign for; only cn-* differs from the default")
    origin_paths: tuple[str, ...] = field(default=(), metadata={"internal": True})
    clients: Clients | None = field(default=None, repr=False, compare=False, metadata={"internal": True})

    # 3,000 single paths in progress (guide, InvalidationLimits, older copies); 150 paths or tags a second (quotas page
    # of 2026); calls: AWS staff named 0.5 a second for an account, aws/aws-sdk-js#3983; length: InvalidationLimits.
    url_limits = Limits(
        targets=3000, target_bytes=4000, targets_per_second=150, calls_per_second=0.5, burst=_BURST, quota="cloudfront"
    )
    # 15 wildcards in progress (InvalidationLimits, older copies); one wildcard a second (quotas page of 2026).
    prefix_limits = Limits(
        targets=15, target_bytes=4000, targets_per_second=1, calls_per_second=0.5, burst=_BURST, quota="cloudfront"
    )
    # A tag counts as a path; `#` and at most 256 characters: invalidation-specifying-tags.
    tag_limits = Limits(
        targets=3000, target_bytes=257, targets_per_second=150, calls_per_second=0.5, burst=_BURST, quota="cloudfront"
    )
    everything_limits = Limits(
        targets=1, targets_per_second=1, target_burst=15, calls_per_second=0.5, burst=_BURST, quota="cloudfront"
    )

    def __post_init__(self) -> None:
        """Refuse what can't name a distribution.

        Raises:
            ValueError: the sentence is for the author of the config file.
        """
        super().__post_init__()
        if bool(self.distribution) == bool(self.tenant):
            message = "give either distribution (an id, or auto) or tenant"
            raise ValueError(message)
        if self.distribution != "auto" and not re.fullmatch(r"[A-Z0-9]*", self.distribution):
            message = f"distribution {self.distribution!r} is no id; ids look like E8F6HK73EP0LT (or write auto)"
            raise ValueError(message)

    def locate(self, target: Target, action: Action) -> tuple[Target, ...]:
        """Spell a URL or a prefix as a path below the distribution, and a tag with its ``#``.

        A URL becomes a prefix where CloudFront would treat it as one (it ends in ``*``), or can only be reached by one
        (it has a ``~``).

        Raises:
            TargetsRefused: only emptying the whole distribution would do, or CloudFront has no such tag.
        """
        del action
        if target.kind is TargetKind.URL and not self.origin_paths and (path := plain_path_of(target.value)):
            return (Target(TargetKind.URL, path),)
        match target.kind:
            case TargetKind.URL | TargetKind.PREFIX:
                paths = [below for path in spellings(path_of(target.value)) for below in self._below_origin(path)]
                return tuple(dict.fromkeys(item(path, wild=target.kind is TargetKind.PREFIX) for path in paths))
            case TargetKind.TAG:
                return (Target(TargetKind.TAG, self._tag(target.value)),)
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
        self._require_tags(call)
        return self._invalidate(tags, call)

    def purge_everything(self, call: Call) -> Receipt:
        """Invalidate the whole distribution."""
        return self._invalidate(("/*",), call)

    @property
    def discovers(self) -> bool:
        """Whether the distribution is ``auto``."""
        return self.distribution == "auto"

    def discover(self, bucket: str, call: Call) -> Mapping[str, CloudFront]:
        """Return all enabled distributions that have a bucket among their origins, by id.

        Staging distributions are among them: a continuous deployment policy sends them real viewers (guide,
        understanding-continuous-deployment), and they cache on their own. Multi-tenant distributions aren't:
        CreateInvalidation answers NoSuchDistribution for them (domits1/Domits#3250); configure their tenants instead.
        """
        return {
            str(found["Id"]): self._narrowed(str(found["Id"]), paths)
            for found in self._api.ask(call, _distributions)
            if found["Enabled"] and found.get("ConnectionMode") != "tenant-only" and (paths := _paths(bucket, found))
        }

    def part(self, name: str) -> CloudFront:
        """Return the distribution of an id. Paths below an origin path need no more cutting by now."""
        return dataclasses.replace(self, distribution=name)

    def iam_statements(self, account: str, partition: str = "aws") -> tuple[dict[str, Any], ...]:
        """The IAM policy statements that this instance needs, on no more than the ARNs it acts on.

        Args:
            account: the twelve digits of the account that owns the distribution.
            partition: ``aws``, or ``aws-cn`` in China.
        """
        arn = f"arn:{partition}:cloudfront::{account}:distribution"
        if self.tenant:
            actions = ("CreateInvalidationForDistributionTenant", "GetDistributionTenant")
            return _allow(f"{arn}-tenant/{self.tenant}", *actions), _allow(f"{arn}/*", "GetDistributionConfig")
        here = f"{arn}/*" if self.discovers else f"{arn}/{self.distribution}"
        purge = _allow(here, "CreateInvalidation", "GetDistributionConfig")
        return (purge, _allow("*", "ListDistributions")) if self.discovers else (purge,)

    @cached_property
    def _api(self) -> Clients:
        return self.clients or Clients(self.endpoint, self.region)

    @cached_property
    def _with_tags(self) -> set[str]:
        return set()

    def _narrowed(self, distribution: str, origin_paths: tuple[str, ...]) -> CloudFront:
        return dataclasses.replace(self, distribution=distribution, origin_paths=origin_paths, clients=self._api)

    def _below_origin(self, path: str) -> tuple[str, ...]:
        """Cut the origin path off: the object ``/site/a.css`` is ``/a.css`` to viewers of an origin at ``/site``."""
        starts = [encoded(start) for start in self.origin_paths]
        found = [path.removeprefix(start) for start in starts if path.startswith(start + "/")]
        return tuple(dict.fromkeys(found)) or (path,)

    def _tag(self, tag: str) -> str:
        if self.region.startswith("cn-"):
            message = "CloudFront has no cache tags in the AWS China regions"
        elif _TAG.fullmatch(tag) is None:
            message = f"tag {tag!r}: CloudFront wants 1 to 256 visible ASCII characters without space and comma"
        else:
            return f"#{tag}"
        raise TargetsRefused(message, (tag,))

    def _invalidate(self, items: Sequence[str], call: Call) -> Receipt:
        # An empty reference stands for no batch in particular: two such calls mustn't pass for one.
        reference = call.reference or uuid.uuid4().hex
        batch = {"Paths": {"Quantity": len(items), "Items": list(items)}, "CallerReference": reference}
        try:
            answer = self._api.ask(call, lambda client: self._create(client, batch))
        except ReferenceUsed as error:
            # The reference is a digest of the batch, so what was accepted before is this batch.
            return Receipt(note=f"accepted by an earlier call with this reference; {error.reason}")
        invalidation = answer.get("Invalidation", {})
        if "Id" not in invalidation:
            message = "CloudFront's answer to CreateInvalidation has no id: something in between may have answered"
            raise RetryLater(message)
        return Receipt(id=invalidation["Id"], estimate=_COMPLETED)

    def _create(self, client: CloudFrontClient, batch: Any) -> Mapping[str, Any]:
        if self.tenant:
            return client.create_invalidation_for_distribution_tenant(Id=self.tenant, InvalidationBatch=batch)
        return client.create_invalidation(DistributionId=self.distribution, InvalidationBatch=batch)

    def _require_tags(self, call: Call) -> None:
        name = self.distribution or self.tenant
        if name in self._with_tags:
            return
        if not self._api.ask(call, self._keeps_tags):
            message = f"no object of {name} has a tag: name the header of its tags in CacheTagConfig.HeaderName"
            raise CallRefused(message)
        self._with_tags.add(name)

    def _keeps_tags(self, client: CloudFrontClient) -> bool:
        known: Any = client.meta.service_model.shape_for("DistributionConfig")
        if "CacheTagConfig" not in known.members:
            return True  # botocore below 1.43.0 can't see it, though it can purge tags
        distribution = self.distribution
        if self.tenant:
            tenant = client.get_distribution_tenant(Identifier=self.tenant).get("DistributionTenant", {})
            distribution = tenant.get("DistributionId", "")
        config: Mapping[str, Any] = client.get_distribution_config(Id=distribution).get("DistributionConfig", {})
        if "Origins" not in config:
            message = f"CloudFront's answer to GetDistributionConfig has no origins, {distribution} must have some"
            raise RetryLater(message)
        return bool(config.get("CacheTagConfig", {}).get("HeaderName"))


def _allow(resource: str, *actions: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": [f"cloudfront:{action}" for action in actions], "Resource": resource}


def _distributions(client: CloudFrontClient) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for page in client.get_paginator("list_distributions").paginate():
        listed: Mapping[str, Any] = page.get("DistributionList", {})
        if "Quantity" not in listed:
            message = "CloudFront's answer to ListDistributions is no list: something in between may have answered"
            raise RetryLater(message)
        found += listed.get("Items", ())
    return found


def _paths(bucket: str, distribution: Mapping[str, Any]) -> tuple[str, ...]:
    """Where the origins that are the bucket begin in it; empty if none is the bucket."""
    origins = distribution["Origins"]["Items"]
    found = (path_in_bucket(bucket, origin["DomainName"], origin.get("OriginPath", "")) for origin in origins)
    return tuple(dict.fromkeys(path for path in found if path is not None))

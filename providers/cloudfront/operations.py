"""What is asked of CloudFront's API, each a question for a client: invalidations, tags, distributions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multicdn.provider import CallRefused, RetryLater

from .origins import path_in_bucket

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mypy_boto3_cloudfront import CloudFrontClient

    from multicdn.provider import Call

    from .client import Clients


# By CloudFront's own names.
OPERATIONS = (
    "CreateInvalidation",
    "CreateInvalidationForDistributionTenant",
    "GetInvalidation",
    "GetInvalidationForDistributionTenant",
    "GetDistributionConfig",
    "GetDistributionTenant",
    "ListDistributions",
    "ListDistributionTenants",
)

# Bytes: an ampersand takes five in XML, and an item stands in a <Path> on a line of its own.
_IN_XML, _AROUND_ITEM = 5, 32
# Bytes of an invalidation's items: 3,000 of up to 4,000 characters, hardly one of which is an ampersand.
LARGEST_BATCH = 3000 * (4000 + _AROUND_ITEM)


def repeated_bytes(items: Iterable[str]) -> int:
    """How many bytes at most the items of an invalidation take in an answer, which repeats them."""
    return sum(_IN_XML * len(item) + _AROUND_ITEM for item in items)


def invalidate(client: CloudFrontClient, distribution: str, tenant: str, items: Sequence[str], reference: str) -> str:
    """Invalidate paths or tags of a distribution or of a tenant, and return the invalidation's id.

    Raises:
        RetryLater: the answer isn't CloudFront's.
    """
    batch: Any = {"Paths": {"Quantity": len(items), "Items": list(items)}, "CallerReference": reference}
    answer: Mapping[str, Any]
    if tenant:
        answer = client.create_invalidation_for_distribution_tenant(Id=tenant, InvalidationBatch=batch)
    else:
        answer = client.create_invalidation(DistributionId=distribution, InvalidationBatch=batch)
    invalidation: Any = answer.get("Invalidation", {})
    if "Id" not in invalidation:
        message = "CloudFront's answer to CreateInvalidation has no id: something in between may have answered"
        raise RetryLater(message)
    return str(invalidation["Id"])


def state_of(client: CloudFrontClient, distribution: str, tenant: str, number: str) -> str:
    """Return CloudFront's word for the state of an invalidation.

    Raises:
        RetryLater: the answer isn't CloudFront's.
    """
    answer: Mapping[str, Any]
    if tenant:
        answer = client.get_invalidation_for_distribution_tenant(DistributionTenantId=tenant, Id=number)
    else:
        answer = client.get_invalidation(DistributionId=distribution, Id=number)
    state = answer.get("Invalidation", {}).get("Status")
    if not state:
        message = "CloudFront's answer to GetInvalidation has no status: something in between may have answered"
        raise RetryLater(message)
    return str(state)


def require_tags(api: Clients, call: Call, distribution: str, tenant: str) -> None:
    """See that a distribution, or that of a tenant, keeps the tags of its objects; what was seen is remembered.

    Raises:
        CallRefused: it doesn't; CloudFront would accept the call and purge nothing.
    """
    name = distribution or tenant
    if name in api.with_tags:
        return
    if not api.ask(call, lambda client: keeps_tags(client, distribution, tenant)):
        message = f"no object of {name} has a tag: name the header of its tags in CacheTagConfig.HeaderName"
        raise CallRefused(message, about="kind")
    api.with_tags.add(name)


def keeps_tags(client: CloudFrontClient, distribution: str, tenant: str) -> bool:
    """Whether a distribution, or that of a tenant, keeps the tags of its objects.

    Raises:
        RetryLater: the answer isn't CloudFront's.
    """
    shape: Any = client.meta.service_model.shape_for("DistributionConfig")
    if "CacheTagConfig" not in shape.members:
        return True  # botocore below 1.43.0 can't see it, though it can purge tags
    if tenant:
        found: Mapping[str, Any] = client.get_distribution_tenant(Identifier=tenant).get("DistributionTenant", {})
        distribution = found.get("DistributionId", "")
    config: Mapping[str, Any] = client.get_distribution_config(Id=distribution).get("DistributionConfig", {})
    if "Origins" not in config:
        message = f"CloudFront's answer to GetDistributionConfig has no origins, {distribution} must have some"
        raise RetryLater(message)
    return bool(config.get("CacheTagConfig", {}).get("HeaderName"))


def distributions_of(client: CloudFrontClient, bucket: str) -> dict[str, tuple[str, ...]]:
    """Find the enabled distributions that have a bucket among their origins: where each begins in it, by their ids.

    Staging distributions are among them: a continuous deployment policy sends them real viewers (guide,
    understanding-continuous-deployment), and they cache on their own. Multi-tenant distributions aren't:
    CreateInvalidation answers NoSuchDistribution for them (domits1/Domits#3250); configure their tenants instead.

    Raises:
        RetryLater: the answer isn't CloudFront's.
    """
    return {
        str(distribution["Id"]): paths
        for distribution in list_distributions(client)
        if distribution["Enabled"]
        and distribution.get("ConnectionMode") != "tenant-only"
        and (paths := paths_in(bucket, distribution))
    }


def list_distributions(client: CloudFrontClient) -> list[Mapping[str, Any]]:
    """All distributions of the account, as they are listed.

    Raises:
        RetryLater: the answer isn't CloudFront's.
    """
    distributions: list[Mapping[str, Any]] = []
    for page in client.get_paginator("list_distributions").paginate():
        listed: Mapping[str, Any] = page.get("DistributionList", {})
        if "Quantity" not in listed:
            message = "CloudFront's answer to ListDistributions is no list: something in between may have answered"
            raise RetryLater(message)
        distributions += listed.get("Items", ())
    return distributions


def list_tenants(client: CloudFrontClient) -> list[Mapping[str, Any]]:
    """All distribution tenants of the account, as they are listed."""
    pages = client.get_paginator("list_distribution_tenants").paginate()
    return [tenant for page in pages for tenant in page.get("DistributionTenantList", ())]


def paths_in(bucket: str, distribution: Mapping[str, Any]) -> tuple[str, ...]:
    """The paths in a bucket at which its origins begin; empty if none is the bucket."""
    origins = distribution["Origins"]["Items"]
    paths = (path_in_bucket(bucket, origin["DomainName"], origin.get("OriginPath", "")) for origin in origins)
    return tuple(dict.fromkeys(path for path in paths if path is not None))

"""What proves that CloudFront would invalidate: the distribution's page, or the list of them. For people alone.

They are read with the credentials of whoever asks, and not with those of the function's role.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from multicdn.diagnosis import Finding, failed, hosts_beside, ok, unknown, warning
from multicdn.provider import CallRefused, CredentialsRefused, ProviderError, RetryLater, TargetKind

from .operations import keeps_tags, list_distributions, list_tenants, paths_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mypy_boto3_cloudfront import CloudFrontClient

    from multicdn.diagnosis import Usage

    from . import CloudFront

    Ask = Callable[[Callable[[CloudFrontClient], Any]], Any]

_TAGS = "guide, invalidation-by-tags"
_SHOWN = 5


def findings(provider: CloudFront, use: Usage, ask: Ask) -> Iterator[Finding]:
    """Look at what an instance acts on.

    Args:
        provider: whose.
        use: what purges are needed.
        ask: puts a question to CloudFront.

    Raises:
        ProviderError: the credentials aren't accepted, or there is no answer.
    """
    if provider.discovers:
        yield from _everything_found(use, ask)
    elif provider.tenant:
        yield from _tenant(provider.tenant, use, ask)
    else:
        yield from _distribution(provider.distribution, use, ask)
    yield unknown(
        "cloudfront:CreateInvalidation isn't provable without an invalidation, which may cost; whether the function's "
        "role has it is asked of IAM"
    )


def _distribution(name: str, use: Usage, ask: Ask) -> Iterator[Finding]:
    try:
        found: Mapping[str, Any] = ask(lambda client: client.get_distribution(Id=name)).get("Distribution", {})
    except CredentialsRefused as error:
        yield _without_right(error)
        return
    except CallRefused as error:
        yield failed(f"there is no distribution {name} in this account: {error.reason}", "correct `distribution`")
        return
    config = _present(found, "DistributionConfig", "GetDistribution")
    tenants = config.get("ConnectionMode") == "tenant-only"
    if not config.get("Enabled"):
        yield failed(f"GetDistribution: {name} is disabled: it serves nothing", "enable it, or correct `distribution`")
    elif tenants:
        yield failed(
            f"GetDistribution: {name} is multi-tenant: it can't be invalidated itself",
            "configure its tenants, an instance each: `tenant: dt_…` in place of `distribution`",
        )
    else:
        yield ok(f"GetDistribution: {name} is enabled, {str(found.get('Status')).lower()}")
    if use.purges(TargetKind.TAG):
        yield _tags(name, bool(config.get("CacheTagConfig", {}).get("HeaderName")))
    if not tenants:
        yield from _hosts(name, use, [*_aliases(config), str(found.get("DomainName"))])


def _tags(name: str, keeps: bool) -> Finding:  # noqa: FBT001 - read aloud it is clear
    if keeps:
        return ok(f"{name} keeps cache tags")
    return failed(
        f"{name} keeps no cache tags: CloudFront would accept purges by tag, and drop nothing ({_TAGS})",
        "name the header of the tags in its CacheTagConfig.HeaderName",
    )


def _present(found: Mapping[str, Any], member: str, operation: str) -> Any:
    """What every answer of CloudFront has.

    Raises:
        RetryLater: this one hasn't.
    """
    if not found.get(member):
        raise RetryLater(f"CloudFront's answer to {operation} has no {member}: something in between may have answered")
    return found[member]


def _tags_of(name: str, ask: Ask, question: Callable[[CloudFrontClient], bool]) -> Finding:
    try:
        return _tags(name, ask(question))
    except CredentialsRefused as error:
        return _without_right(error)


def _without_right(error: CredentialsRefused) -> Finding:
    """Whoever asks may lack a right that the function has.

    Raises:
        CredentialsRefused: it isn't that.
    """
    if ": AccessDenied" not in error.reason:
        raise error
    operation = error.reason.partition(":")[0]
    return unknown(
        f"can't be looked at with your rights: {error.reason}",
        f"ask for cloudfront:{operation}, or let somebody run this who has it",
    )


def _hosts(name: str, use: Usage, served: Sequence[str]) -> Iterator[Finding]:
    beside = list(hosts_beside(use.hosts, served))
    if beside:
        yield warning(
            f"{name} doesn't serve {_listed(beside)}, of the routes: it has {_listed(served)}",
            "see whether it is the distribution of these hosts; another CDN before it is fine",
        )


def _tenant(name: str, use: Usage, ask: Ask) -> Iterator[Finding]:
    try:
        found: Mapping[str, Any] = ask(lambda client: client.get_distribution_tenant(Identifier=name)).get(
            "DistributionTenant", {}
        )
    except CredentialsRefused as error:
        yield _without_right(error)
        return
    except CallRefused as error:
        yield failed(f"there is no tenant {name} in this account: {error.reason}", "correct `tenant`")
        return
    distribution = _present(found, "DistributionId", "GetDistributionTenant")
    if found.get("Enabled", True):
        yield ok(f"GetDistributionTenant: {name} is enabled, of distribution {distribution}")
    else:
        yield failed(f"GetDistributionTenant: {name} is disabled: it serves nothing", "enable it, or correct `tenant`")
    if use.purges(TargetKind.TAG):
        yield _tags_of(name, ask, lambda client: keeps_tags(client, "", name))
    yield from _hosts(name, use, _domains(found))


def _everything_found(use: Usage, ask: Ask) -> Iterator[Finding]:
    """What ``auto`` stands for, and what it passes over."""
    try:
        listed: list[Mapping[str, Any]] = ask(list_distributions)
    except CredentialsRefused as error:
        yield _without_right(error)
        return
    shared = {str(one["Id"]) for one in listed if one.get("ConnectionMode") == "tenant-only"}
    for bucket in use.buckets:
        yield from _found(bucket, [one for one in listed if paths_in(bucket, one)], ask, use)
    yield from _others(use, [one for one in listed if not any(paths_in(bucket, one) for bucket in use.buckets)])
    found = [one for one in listed if any(paths_in(bucket, one) for bucket in use.buckets) and _passed_over(one) == ""]
    served = [name for one in found for name in (*_aliases(one), str(one.get("DomainName")))]
    if found and (beside := list(hosts_beside(use.hosts, served))):
        yield warning(
            f"nothing that auto stands for serves {_listed(beside)}, of the routes",
            "see whether another distribution does, and configure that by its id; another CDN before it is fine",
        )
    if shared:
        yield from _tenants(use, {str(one["Id"]): one for one in listed}, ask)


def _found(bucket: str, listed: Sequence[Mapping[str, Any]], ask: Ask, use: Usage) -> Iterator[Finding]:
    taken = [one for one in listed if _passed_over(one) == ""]
    if taken:
        names = [f"{one['Id']} ({_described(one)})" for one in taken]
        yield ok(f"ListDistributions: auto stands for {', '.join(names)} before {bucket}")
    else:
        yield failed(
            f"ListDistributions: auto stands for nothing before {bucket}: no enabled distribution has it as origin",
            "write the id: `distribution: E…`; an origin behind a domain of your own can't be recognised",
        )
    for one in listed:
        if why := _passed_over(one):
            yield warning(f"auto passes over {one['Id']}, which has {bucket} as origin: {why[0]}", why[1])
    for one in taken if use.purges(TargetKind.TAG) else ():
        name = str(one["Id"])
        yield _tags_of(name, ask, partial(keeps_tags, distribution=name, tenant=""))


def _passed_over(one: Mapping[str, Any]) -> tuple[str, str] | str:
    """Why ``auto`` leaves a distribution alone, and what to do; empty if it doesn't."""
    if one.get("ConnectionMode") == "tenant-only":
        return "it is multi-tenant", "configure its tenants, an instance each, with `tenant`"
    if not one["Enabled"]:
        return "it is disabled", "nothing, unless it is to serve again; it is found by itself then"
    return ""


def _others(use: Usage, listed: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Those with other origins: of concern where they serve the hosts of the routes."""
    for one in listed:
        serves = [host for host in use.hosts if not list(hosts_beside([host], _aliases(one)))]
        if serves and _passed_over(one) == "":
            origins = [str(origin["DomainName"]) for origin in one["Origins"].get("Items", ())]
            yield warning(
                f"auto passes over {one['Id']}, which serves {_listed(serves)}: its origins are {_listed(origins)}",
                f"if the bucket is behind these, configure it by its id: `distribution: {one['Id']}`",
            )
    if listed:
        yield ok(f"auto passes over {len(listed)} with other origins: {_listed([str(one['Id']) for one in listed])}")


def _tenants(use: Usage, listed: Mapping[str, Mapping[str, Any]], ask: Ask) -> Iterator[Finding]:
    """Tenants whose distribution has one of the buckets: none is found by ``auto``."""
    try:
        tenants: list[Mapping[str, Any]] = ask(list_tenants)
    except ProviderError as error:
        yield unknown(f"the tenants of multi-tenant distributions can't be listed: {error.reason}")
        return
    for one in tenants:
        of = listed.get(str(one.get("DistributionId")), {"Origins": {"Items": ()}})
        if any(paths_in(bucket, of) for bucket in use.buckets):
            yield warning(
                f"auto passes over the tenant {one['Id']} ({_listed(_domains(one))}), whose distribution has the "
                "bucket as origin",
                f"give it an instance of its own: `tenant: {one['Id']}`",
            )


def _described(one: Mapping[str, Any]) -> str:
    names = _listed(_aliases(one) or [str(one.get("DomainName"))])
    return f"staging, {names}" if one.get("Staging") else names


def _aliases(one: Mapping[str, Any]) -> list[str]:
    return [str(name) for name in one.get("Aliases", {}).get("Items", ())]


def _domains(tenant: Mapping[str, Any]) -> list[str]:
    return [str(domain["Domain"]) for domain in tenant.get("Domains", ())]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}" or "none"

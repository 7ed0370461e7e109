"""What AWS has to allow, as IAM policy statements."""

from __future__ import annotations

from typing import Any


def statements(account: str, distribution: str, tenant: str) -> tuple[dict[str, Any], ...]:
    """Allow what an instance needs, on no more than the ARNs it acts on.

    Args:
        account: its ARN in CloudFront, such as ``arn:aws:cloudfront::123456789012``.
        distribution: as in the provider's options.
        tenant: as well.
    """
    if tenant:
        actions = (
            "CreateInvalidationForDistributionTenant",
            "GetInvalidationForDistributionTenant",
            "GetDistributionTenant",
        )
        of_tenant = _allow(f"{account}:distribution-tenant/{tenant}", *actions)
        return of_tenant, _allow(f"{account}:distribution/*", "GetDistributionConfig")
    actions = ("CreateInvalidation", "GetInvalidation", "GetDistributionConfig")
    if distribution == "auto":
        return _allow(f"{account}:distribution/*", *actions), _allow("*", "ListDistributions")
    return (_allow(f"{account}:distribution/{distribution}", *actions),)


def _allow(resource: str, *actions: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": [f"cloudfront:{action}" for action in actions], "Resource": resource}

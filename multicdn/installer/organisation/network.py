"""What a function in a VPC reaches AWS by, if the VPC has no way to the internet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multicdn.installer.template.stack import role_statements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.config import Config

# Lambda itself writes the log, makes the network interfaces and decrypts the environment, from outside of the VPC.
# docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
_NOT_CALLED = ("ec2", "logs", "kms")

# One for the world, in us-east-1 or nowhere: an endpoint in the function's VPC doesn't reach it.
# docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html
_GLOBAL = ("cloudfront", "iam", "route53")


def endpoints(config: Config, region: str) -> list[str]:
    """The VPC endpoints that the function needs where there is no NAT gateway.

    What the function may call is what it calls. KMS is asked by the services that keep the secrets; for parameters
    under a key of one's own, AWS wants an endpoint of it all the same:
    docs.aws.amazon.com/systems-manager/latest/userguide/setup-create-vpc.html
    """
    settings = config.install
    called = _called(config) - {*_NOT_CALLED, *_GLOBAL}
    if "ssm" in called and (settings.kms_key or settings.secret_keys):
        called.add("kms")
    return [f"com.amazonaws.{region}.{service}{' (gateway)' * (service == 's3')}" for service in sorted(called)]


def lines(config: Config, region: str) -> Iterator[str]:
    """What a plan says of the network; nothing without a VPC."""
    if config.install.vpc is None:
        return
    yield f"Network: {', '.join((*config.install.vpc.subnets, *config.install.vpc.security_groups))}"
    named = [name for name in ("cloudfront",) if name in _called(config)]
    vendors = "the vendors' APIs" + (", and that of CloudFront," if named else "")
    yield f"  {vendors} are reached over the internet: the subnets need a NAT gateway or a proxy"
    yield f"  endpoints for the rest, where that is not to go the same way: {', '.join(endpoints(config, region))}"


def _called(config: Config) -> set[str]:
    statements = role_statements(config, queued=config.install.queued)
    return {action.partition(":")[0] for statement in statements for action in statement["Action"]}

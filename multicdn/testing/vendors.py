"""For each vendor, the simulator that answers a provider with given options: same ids, same hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multicdn import simulators

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from multicdn.simulators import Simulator

    Options = Mapping[str, str]
    Builder = Callable[[str, Options, Sequence[str], str, Mapping[str, str]], Simulator]


def simulator_for(
    vendor: str, origin: str, options: Options, hosts: Sequence[str], bucket: str, environment: Mapping[str, str]
) -> Simulator:
    """Make the simulator that a provider with these options expects to talk to.

    Args:
        vendor: the provider's type.
        origin: base URL of the bucket.
        options: of the provider, as in the config file.
        hosts: host names that the edge serves.
        bucket: name of the bucket behind the origin.
        environment: holds the AWS credentials that the provider will use.

    Raises:
        ValueError: there is no simulator of this vendor.
    """
    build = _BUILDERS.get(vendor)
    if build is None:
        raise ValueError(f"no simulator of {vendor!r}; there are {', '.join(sorted(_BUILDERS))}")
    return build(origin, options, hosts, bucket, environment)


def _cloudfront(
    origin: str, options: Options, hosts: Sequence[str], bucket: str, environment: Mapping[str, str]
) -> Simulator:
    from multicdn.simulators.cloudfront import CloudFrontSimulator, Credentials, Distribution, S3Origin

    named = options.get("distribution", "auto")
    site = Distribution(
        id="E8F6HK73EP0LT" if named == "auto" else named,
        aliases=tuple(hosts),
        origins=(S3Origin(f"{bucket}.s3.{environment['AWS_REGION']}.amazonaws.com"),),
        tag_header="x-amz-meta-cache-tag",
    )
    key = Credentials(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    return CloudFrontSimulator(origin, distributions=(site,), credentials=key)


def _fastly(
    origin: str, options: Options, hosts: Sequence[str], bucket: str, environment: Mapping[str, str]
) -> Simulator:
    del bucket, environment
    return simulators.FastlySimulator(origin, service=options["service"], hosts=hosts)


def _cloudflare(
    origin: str, options: Options, hosts: Sequence[str], bucket: str, environment: Mapping[str, str]
) -> Simulator:
    from multicdn.simulators.cloudflare import CloudflareSimulator, Zone

    del bucket, environment
    # A zone is the domain that is registered: the last two labels will do for a demo.
    names = {".".join(host.split(".")[-2:]) for host in hosts} or {"acme.com"}
    zone = Zone(min(names), id=options["zone"], plan=options.get("plan", "free"))
    return CloudflareSimulator(origin, zones=(zone,))


_BUILDERS: dict[str, Builder] = {
    "cloudflare": _cloudflare,
    "cloudfront": _cloudfront,
    "fastly": _fastly,
}

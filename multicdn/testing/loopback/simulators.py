"""A factory of simulators: for each vendor the one that answers a provider with given options, ids and hosts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    from multicdn.simulators import Simulator
    from multicdn.simulators.cloudflare.edge import Normalization


@dataclass(frozen=True)
class SimulatorSettings:
    """The site and the provider that a simulator is made for.

    Attributes:
        origin: base URL of the bucket.
        bucket: name of the bucket.
        options: of the provider, as they stand in the config file.
        urls: templates of the URLs that the provider is to purge or preload.
        environment: holds the AWS credentials that the provider will use.
        limits: whether the vendor's rate limits apply.
    """

    origin: str
    bucket: str
    options: Mapping[str, str]
    urls: Sequence[str]
    environment: Mapping[str, str]
    limits: bool = True

    @property
    def hosts(self) -> list[str]:
        """Host names that the edge serves."""
        return sorted({urlsplit(url).netloc for url in self.urls})


def simulator_for(vendor: str, settings: SimulatorSettings) -> Simulator:
    """Make the simulator that a provider with these settings expects to talk to.

    Raises:
        ValueError: there is no simulator of this vendor.
    """
    build = _BUILDERS.get(vendor)
    if build is None:
        raise ValueError(f"no simulator of {vendor!r}; there are {', '.join(sorted(_BUILDERS))}")
    return build(settings)


def _akamai(settings: SimulatorSettings) -> Simulator:
    from multicdn.simulators.akamai.api import AkamaiSimulator

    network = settings.options.get("network", "production")
    return AkamaiSimulator(
        settings.origin, network=network, account_key=settings.options.get("account_key", ""), limits=settings.limits
    )


def _cloudflare(settings: SimulatorSettings) -> Simulator:
    from multicdn.simulators.cloudflare.api import CloudflareSimulator, Zone

    # A zone is the domain that is registered: the last two labels will do here.
    names = {".".join(host.split(".")[-2:]) for host in settings.hosts} or {"acme.com"}
    zone = Zone(min(names), id=settings.options["zone"], plan=settings.options.get("plan", "free"))
    off = str(settings.options.get("url_normalization", True)).lower() == "false"
    normalization: Normalization = "off" if off else "cloudflare"
    return CloudflareSimulator(settings.origin, zones=(zone,), normalization=normalization, limits=settings.limits)


def _cloudfront(settings: SimulatorSettings) -> Simulator:
    from multicdn.simulators.cloudfront.api import AccessKey, CloudFrontSimulator, Distribution, S3Origin

    named = settings.options.get("distribution", "auto")
    region, key = settings.environment["AWS_REGION"], settings.environment["AWS_ACCESS_KEY_ID"]
    site = Distribution(
        id="E8F6HK73EP0LT" if named == "auto" else named,
        aliases=tuple(settings.hosts),
        origins=(S3Origin(f"{settings.bucket}.s3.{region}.amazonaws.com"),),
        tag_header="x-amz-meta-cache-tag",
    )
    credentials = AccessKey(key, settings.environment["AWS_SECRET_ACCESS_KEY"])
    return CloudFrontSimulator(settings.origin, distributions=(site,), credentials=credentials, limits=settings.limits)


def _edgecast(settings: SimulatorSettings) -> Simulator:
    from multicdn.simulators.edgecast import EdgecastSimulator

    platform = settings.options.get("platform", "large")
    return EdgecastSimulator(
        settings.origin, account=settings.options["account"], platform=platform, limits=settings.limits
    )


def _fastly(settings: SimulatorSettings) -> Simulator:
    from multicdn.simulators.fastly.api import FastlySimulator

    return FastlySimulator(
        settings.origin, service=settings.options["service"], hosts=settings.hosts, limits=settings.limits
    )


def _highwinds(settings: SimulatorSettings) -> Simulator:
    from multicdn.simulators.highwinds import HighwindsSimulator

    return HighwindsSimulator(settings.origin, account=settings.options["account"], limits=settings.limits)


def _pixboost(settings: SimulatorSettings) -> Simulator:
    from multicdn.simulators.pixboost import PixboostSimulator

    # Clients ask with the public key, and the templates of preloads spell what clients ask for.
    keys = [match[1] for url in settings.urls if (match := re.search(r"[?&]auth=([^&]+)", url))]
    domain = settings.options.get("domain", "pixboost.com")
    return PixboostSimulator(
        settings.origin, domain=domain, api_key=keys[0] if keys else "PUBLIC_API_KEY", limits=settings.limits
    )


_BUILDERS: dict[str, Callable[[SimulatorSettings], Simulator]] = {
    "akamai": _akamai,
    "cloudflare": _cloudflare,
    "cloudfront": _cloudfront,
    "edgecast": _edgecast,
    "fastly": _fastly,
    "highwinds": _highwinds,
    "pixboost": _pixboost,
}

"""For each vendor, the simulator that answers a provider with given options: same ids, same hosts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    from multicdn.simulators import Simulator


@dataclass(frozen=True)
class Surroundings:
    """What an edge stands between.

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


def simulator_for(vendor: str, around: Surroundings) -> Simulator:
    """Make the simulator that a provider in these surroundings expects to talk to.

    Raises:
        ValueError: there is no simulator of this vendor.
    """
    build = _BUILDERS.get(vendor)
    if build is None:
        raise ValueError(f"no simulator of {vendor!r}; there are {', '.join(sorted(_BUILDERS))}")
    return build(around)


def _akamai(around: Surroundings) -> Simulator:
    from multicdn.simulators.akamai.api import AkamaiSimulator

    network = around.options.get("network", "production")
    return AkamaiSimulator(
        around.origin, network=network, account_key=around.options.get("account_key", ""), limits=around.limits
    )


def _cloudflare(around: Surroundings) -> Simulator:
    from multicdn.simulators.cloudflare.api import CloudflareSimulator, Zone

    # A zone is the domain that is registered: the last two labels will do here.
    names = {".".join(host.split(".")[-2:]) for host in around.hosts} or {"acme.com"}
    zone = Zone(min(names), id=around.options["zone"], plan=around.options.get("plan", "free"))
    return CloudflareSimulator(around.origin, zones=(zone,), limits=around.limits)


def _cloudfront(around: Surroundings) -> Simulator:
    from multicdn.simulators.cloudfront.api import AccessKey, CloudFrontSimulator, Distribution, S3Origin

    named = around.options.get("distribution", "auto")
    region, key = around.environment["AWS_REGION"], around.environment["AWS_ACCESS_KEY_ID"]
    site = Distribution(
        id="E8F6HK73EP0LT" if named == "auto" else named,
        aliases=tuple(around.hosts),
        origins=(S3Origin(f"{around.bucket}.s3.{region}.amazonaws.com"),),
        tag_header="x-amz-meta-cache-tag",
    )
    credentials = AccessKey(key, around.environment["AWS_SECRET_ACCESS_KEY"])
    return CloudFrontSimulator(around.origin, distributions=(site,), credentials=credentials, limits=around.limits)


def _edgecast(around: Surroundings) -> Simulator:
    from multicdn.simulators.edgecast import EdgecastSimulator

    platform = around.options.get("platform", "large")
    return EdgecastSimulator(around.origin, account=around.options["account"], platform=platform, limits=around.limits)


def _fastly(around: Surroundings) -> Simulator:
    from multicdn.simulators.fastly.api import FastlySimulator

    return FastlySimulator(around.origin, service=around.options["service"], hosts=around.hosts, limits=around.limits)


def _highwinds(around: Surroundings) -> Simulator:
    from multicdn.simulators.highwinds import HighwindsSimulator

    return HighwindsSimulator(around.origin, account=around.options["account"], limits=around.limits)


def _pixboost(around: Surroundings) -> Simulator:
    from multicdn.simulators.pixboost import PixboostSimulator

    # Clients ask with the public key, and the templates of preloads spell what clients ask for.
    keys = [found[1] for url in around.urls if (found := re.search(r"[?&]auth=([^&]+)", url))]
    domain = around.options.get("domain", "pixboost.com")
    return PixboostSimulator(
        around.origin, domain=domain, api_key=keys[0] if keys else "PUBLIC_API_KEY", limits=around.limits
    )


_BUILDERS: dict[str, Callable[[Surroundings], Simulator]] = {
    "akamai": _akamai,
    "cloudflare": _cloudflare,
    "cloudfront": _cloudfront,
    "edgecast": _edgecast,
    "fastly": _fastly,
    "highwinds": _highwinds,
    "pixboost": _pixboost,
}

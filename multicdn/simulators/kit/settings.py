"""What a simulator is made for: a provider of a config, and the site in front of which it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from multicdn.simulators.kit.topology import Topology


@dataclass(frozen=True)
class SimulatorSettings:
    """The site and the provider that a simulator is made for.

    Attributes:
        origin: base URL of the bucket, or of what stands in for several.
        bucket: name of the bucket; of several the first.
        options: of the provider, as they stand in the config file.
        urls: templates of the URLs that the provider is to purge or preload.
        environment: holds the AWS credentials that the provider will use.
        limits: whether the vendor's rate limits apply.
        others: names of further buckets.
        topology: the CDN's places, and what they do; by default one POP that purges reach at once.
    """

    origin: str
    bucket: str
    options: Mapping[str, str]
    urls: Sequence[str]
    environment: Mapping[str, str]
    limits: bool = True
    others: Sequence[str] = ()
    topology: Topology | None = None

    @property
    def hosts(self) -> list[str]:
        """Host names that the edge serves."""
        return sorted({urlsplit(url).netloc for url in self.urls})

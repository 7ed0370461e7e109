"""CDNs one behind another in front of a bucket, clients who never rest, and all that can go wrong with the function."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from kit.warp import Warp
from kit.world import BUCKET, SITE, World
from multicdn.simulators import Topology, load
from multicdn.simulators.cloudfront.api import CloudFrontSimulator
from multicdn.testing.loopback.simulator_config import config_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

    from multicdn.simulators import Fetched, Origin, Simulator

_VERSION = {"version": 1}


class _SkewedCloudFront(CloudFrontSimulator):
    """Its clock is put forward; that of the signatures, which botocore reads elsewhere, isn't."""

    warp: Warp

    @property
    def skew(self) -> float:
        return -self.warp.skipped if hasattr(self, "warp") else 0.0

    @skew.setter
    def skew(self, _: float) -> None:
        """It follows from the clock."""


class Tiers:
    """A chain of CDNs, the innermost first. A context manager.

    Args:
        patch: of the test.
        origin: of the innermost one.
        vendors: type of each CDN by its name.
        chained: whether each fetches from the one before; else all do from the origin.

    Attributes:
        cdns: the simulators by name.
    """

    def __init__(
        self, patch: pytest.MonkeyPatch, origin: Origin, vendors: Mapping[str, str], *, chained: bool = True
    ) -> None:
        self._chained = chained
        self.patch, self.origin, self.warp = patch, origin, Warp(patch)
        self.cdns: dict[str, Simulator] = {}
        self._vendors = vendors
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        url = self.origin.url
        for name, vendor in self._vendors.items():
            kind: Any = _SkewedCloudFront if vendor == "cloudfront" else load(vendor)
            more = {"completed_after": 0.0} if vendor == "cloudfront" else {}
            cdn = kind(url, clock=self.warp, limits=False, **more)
            if isinstance(cdn, _SkewedCloudFront):
                cdn.warp = self.warp
            cdn.topology = Topology(forwards_host=self._chained and bool(self.cdns))
            self.cdns[name] = self._stack.enter_context(cdn)
            url = cdn.edge_url if self._chained else url
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def world(
        self,
        *,
        pulls: bool = True,
        verify: object = True,
        options: Mapping[str, Mapping[str, object]] | None = None,
        route: Mapping[str, object] | None = None,
        others: Mapping[str, Mapping[str, object]] | None = None,
    ) -> World:
        """The function in front of them.

        Args:
            pulls: whether the config says which one fetches from which.
            verify: of the route.
            options: further ones of providers, by name.
            route: further options of the route.
            others: further providers.
        """
        described = config_for(self.cdns)
        inner = ""
        for name, cdn in self.cdns.items():
            own = described.providers[name]
            own |= {"via": cdn.edge_url, **({"pulls_from": [inner]} if inner and pulls and self._chained else {})}
            own |= (options or {}).get(name, {})
            inner = name
        # The outermost stands first: the order of a list is not that of purges.
        purge = list(reversed(self.cdns))
        one = {"bucket": BUCKET, "urls": [f"{SITE}/{{key}}"], "purge": purge, "verify": verify, **(route or {})}
        config = {**_VERSION, "providers": {**described.providers, **(others or {})}, "routes": [one]}
        world = World(self.patch, self.warp, self.origin, json.dumps(config), environment=described.environment)
        world.between = lambda: None
        return world

    def ask(self, key: str, **headers: str) -> list[Fetched]:
        """Clients everywhere, from the outermost CDN to the innermost."""
        return [cdn.fetch(f"{SITE}/{key}", headers) for cdn in reversed(self.cdns.values())]

    def bodies(self, key: str) -> dict[str, str]:
        """What each CDN serves."""
        return {name: cdn.fetch(f"{SITE}/{key}").body.decode() for name, cdn in self.cdns.items()}

"""What a config file comes to once it has passed all checks."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from multicdn.config.publish import Publish
from multicdn.config.settings import Install, Retrying
from multicdn.provider import Provider
from multicdn.routing.route import Route
from multicdn.routing.tiers import Tier


class Config(Struct, frozen=True):
    """A config file that has passed all checks.

    Attributes:
        name: of the file.
        providers: instances by name, as configured.
        types: their plugin names.
        routes: in the order of the file.
        warnings: what is legal and probably not meant, one line each.
        install: what the installer makes.
        delivery: how long jobs are tried.
        places: file and line of each route.
        publish: who else is told of outcomes.
        tiers: where those providers stand that say so, by name.
    """

    name: str
    providers: Mapping[str, Provider]
    types: Mapping[str, str]
    routes: tuple[Route, ...]
    warnings: tuple[str, ...] = ()
    install: Install = msgspec.field(default_factory=Install)
    delivery: Retrying = msgspec.field(default_factory=Retrying)
    places: tuple[str, ...] = ()
    publish: Publish = msgspec.field(default_factory=Publish)
    tiers: Mapping[str, Tier] = msgspec.field(default_factory=dict)

    @property
    def concurrency(self) -> int:
        """How many invocations share a vendor's rate: as set, or as many as the installer allows at once."""
        return self.delivery.concurrency or self.install.concurrency or 1

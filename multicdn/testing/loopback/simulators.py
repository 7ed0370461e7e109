"""A factory of simulators: for each vendor the one that answers a provider with given options, ids and hosts."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import metadata
from typing import TYPE_CHECKING, Any

from multicdn.errors import told
from multicdn.simulators import Simulator, SimulatorSettings

if TYPE_CHECKING:
    from multicdn.simulators.cloudflare.edge import Normalization

Builder = Callable[[SimulatorSettings], Simulator]


#: Entry points of simulators for the vendors of other plugins: provider type -> builder.
GROUP = "multicdn.simulators"

# Seconds after which CloudFront reports an invalidation as Completed: soon, for nobody wants to watch the real 20.
_COMPLETED = 4.0


class NoSimulator(ValueError):
    """Nobody simulates a vendor, or what should doesn't work; the text says what to do."""


def simulator_for(vendor: str, settings: SimulatorSettings) -> Simulator:
    """Make the simulator that a provider with these settings expects to talk to.

    Args:
        vendor: the provider type. Those that aren't built in are looked for among the installed entry points.
        settings: the provider's.

    Raises:
        NoSimulator: there is none, or it can't be made.
    """
    build = _BUILDERS.get(vendor) or _installed(vendor)
    try:
        simulator = build(settings)
    except Exception as error:
        raise NoSimulator(f"the simulator of {vendor!r} can't be made: {told(error)}") from error
    if not isinstance(simulator, Simulator):
        raise NoSimulator(f"the simulator of {vendor!r} is no multicdn.simulators.Simulator: correct its plugin")
    if settings.topology is not None:
        simulator.topology = settings.topology
    return simulator


def _installed(vendor: str) -> Builder:
    found = {entry.value: entry for entry in metadata.entry_points(group=GROUP, name=vendor)}
    if not found:
        raise NoSimulator(f"no simulator of {vendor!r}: its plugin can name one in the entry points {GROUP}")
    if len(found) > 1:
        raise NoSimulator(f"the simulator of {vendor!r} is claimed by {' and '.join(sorted(found))}: uninstall one")
    [entry] = found.values()
    try:
        build: Builder = entry.load()
    except Exception as error:
        raise NoSimulator(f"the simulator of {vendor!r} ({entry.value}) does not import: {told(error)}") from error
    return build


def _akamai(settings: SimulatorSettings) -> Simulator:
    from multicdn.simulators.akamai.api import AkamaiSimulator

    given: dict[str, Any] = {
        name: settings.options[name] for name in ("network", "account_key", "section") if name in settings.options
    }
    return AkamaiSimulator(settings.origin, **given, limits=settings.limits)


def _cloudflare(settings: SimulatorSettings) -> Simulator:
    from multicdn.simulators.cloudflare.api import CloudflareSimulator, Zone

    # A zone is the domain that is registered: the last two labels will do here.
    names = {".".join(host.split(".")[-2:]) for host in settings.hosts} or {"acme.com"}
    zone = Zone(min(names), id=settings.options["zone"], plan=settings.options.get("plan", "free"))
    off = str(settings.options.get("url_normalization", True)).lower() == "false"
    normalization: Normalization = "off" if off else "cloudflare"
    login: dict[str, Any] = {"email": settings.options["email"]} if settings.options.get("email") else {}
    return CloudflareSimulator(
        settings.origin, zones=(zone,), normalization=normalization, limits=settings.limits, **login
    )


def _cloudfront(settings: SimulatorSettings) -> Simulator:
    from multicdn.simulators.cloudfront.api import AccessKey, CloudFrontSimulator, Distribution, S3Origin

    named = settings.options.get("distribution", "auto")
    region, key = settings.environment["AWS_REGION"], settings.environment["AWS_ACCESS_KEY_ID"]
    site = Distribution(
        id="E8F6HK73EP0LT" if named == "auto" else named,
        aliases=tuple(settings.hosts),
        origins=tuple(
            S3Origin(f"{bucket}.s3.{region}.amazonaws.com") for bucket in (settings.bucket, *settings.others)
        ),
        tag_header="x-amz-meta-cache-tag",
    )
    credentials = AccessKey(key, settings.environment["AWS_SECRET_ACCESS_KEY"])
    return CloudFrontSimulator(
        settings.origin,
        distributions=(site,),
        credentials=credentials,
        limits=settings.limits,
        completed_after=_COMPLETED,
    )


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

    login: dict[str, Any] = {"user": settings.options["user"]} if settings.options.get("user") else {}
    return HighwindsSimulator(settings.origin, account=settings.options["account"], limits=settings.limits, **login)


def _pixboost(settings: SimulatorSettings) -> Simulator:
    from multicdn.simulators.pixboost import PixboostSimulator

    # Clients ask with the public key, and the templates of preloads spell what clients ask for.
    keys = [match[1] for url in settings.urls if (match := re.search(r"[?&]auth=([^&]+)", url))]
    domain = settings.options.get("domain", "pixboost.com")
    return PixboostSimulator(
        settings.origin, domain=domain, api_key=keys[0] if keys else "PUBLIC_API_KEY", limits=settings.limits
    )


_BUILDERS: dict[str, Builder] = {
    "akamai": _akamai,
    "cloudflare": _cloudflare,
    "cloudfront": _cloudfront,
    "edgecast": _edgecast,
    "fastly": _fastly,
    "highwinds": _highwinds,
    "pixboost": _pixboost,
}

"""Simulators: on loopback, both a vendor's API and that vendor's caching edge in front of an origin.

    with Origin() as origin, FastlySimulator(origin.url) as cdn:
        origin.put("a.css", "old")
        cdn.fetch("https://www.acme.com/a.css")  # MISS, then HIT until the API is told to purge it

For the demo, the tests and plugin authors. Standard library only. Names are imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multicdn.simulators.kit.cache import Cache, Entry, Url
    from multicdn.simulators.kit.calls import ApiCall
    from multicdn.simulators.kit.edge import Edge
    from multicdn.simulators.kit.faults import Faults
    from multicdn.simulators.kit.http_server import Headers, Refused, Request, Response, Server
    from multicdn.simulators.kit.origin import Origin
    from multicdn.simulators.kit.rates import ManualClock, SlidingWindow, TokenBucket
    from multicdn.simulators.kit.settings import SimulatorSettings
    from multicdn.simulators.kit.simulator import Fetched, Simulator
    from multicdn.simulators.kit.topology import Pop, Topology
    from multicdn.simulators.kit.transforms import Transforms

__all__ = [
    "VENDORS",
    "ApiCall",
    "Cache",
    "Edge",
    "Entry",
    "Faults",
    "Fetched",
    "Headers",
    "ManualClock",
    "Origin",
    "Pop",
    "Refused",
    "Request",
    "Response",
    "Server",
    "Simulator",
    "SimulatorSettings",
    "SlidingWindow",
    "TokenBucket",
    "Topology",
    "Transforms",
    "Url",
    "load",
]

# Provider type -> class, in the module of the type's name.
VENDORS = {
    "akamai": "AkamaiSimulator",
    "cloudflare": "CloudflareSimulator",
    "cloudfront": "CloudFrontSimulator",
    "edgecast": "EdgecastSimulator",
    "fastly": "FastlySimulator",
    "highwinds": "HighwindsSimulator",
    "pixboost": "PixboostSimulator",
}

_HOMES = {
    "ApiCall": "kit.calls",
    "Cache": "kit.cache",
    "Edge": "kit.edge",
    "Entry": "kit.cache",
    "Faults": "kit.faults",
    "Fetched": "kit.simulator",
    "Headers": "kit.http_server",
    "ManualClock": "kit.rates",
    "Topology": "kit.topology",
    "Origin": "kit.origin",
    "Pop": "kit.topology",
    "Refused": "kit.http_server",
    "Request": "kit.http_server",
    "Response": "kit.http_server",
    "Server": "kit.http_server",
    "Simulator": "kit.simulator",
    "SimulatorSettings": "kit.settings",
    "SlidingWindow": "kit.rates",
    "TokenBucket": "kit.rates",
    "Transforms": "kit.transforms",
    "Url": "kit.cache",
    **{name: vendor for vendor, name in VENDORS.items()},
}


def load(vendor: str) -> type[Simulator]:
    """Import the simulator of a provider type.

    Raises:
        KeyError: there is none.
    """
    simulator: type[Simulator] = __getattr__(VENDORS[vendor])
    return simulator


def __getattr__(name: str) -> type:
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    member: type = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    return member

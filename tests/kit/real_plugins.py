"""Vendors' real plugins, one for each library that reads answers, pointed at a server on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multicdn.plugins.discovery import Plugins
from multicdn.provider import Secret

if TYPE_CHECKING:
    from multicdn.provider import Provider

# By the library: requests, requests signed by edgegrid, httpx, botocore.
NAMES = ("fastly", "akamai", "cloudflare", "cloudfront")

TOKEN = "canary-of-the-token-0123456789"


def plugin(name: str, endpoint: str) -> Provider:
    """A provider that calls an endpoint. CloudFront's takes its credentials from the environment."""
    token = Secret.literal(TOKEN)
    options: dict[str, dict[str, object]] = {
        "fastly": {"token": token, "service": "SU1"},
        "akamai": dict.fromkeys(("client_token", "client_secret", "access_token"), token),
        "cloudflare": {"token": token, "zone": "z1"},
        "cloudfront": {"distribution": "E1"},
    }
    return Plugins().provider_class(name)(endpoint=endpoint, **options[name])

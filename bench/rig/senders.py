"""What purges one file, as each vendor's manual shows it: by the vendor's own library, or else by ``requests``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import requests

from rig.dispatching import URL

if TYPE_CHECKING:
    from collections.abc import Callable

    Send = Callable[[str], object]


def sender(name: str, options: dict[str, Any]) -> Send:
    """What purges a URL at a vendor, with one client for all.

    Args:
        name: of the vendor's type.
        options: of its provider; their secrets stand in the environment.
    """
    made: Send = _SENDERS[name](options)
    return made


def _secret(options: dict[str, Any], name: str) -> str:
    return os.environ[options[name].removeprefix("${env:").removesuffix("}")]


def _fastly(options: dict[str, Any]) -> Send:
    session = requests.Session()
    session.headers["Fastly-Key"] = _secret(options, "token")
    return lambda url: session.post(f"{options['endpoint']}/purge/{url}").raise_for_status()


def _akamai(options: dict[str, Any]) -> Send:
    from akamai.edgegrid import EdgeGridAuth

    session = requests.Session()
    tokens = (_secret(options, name) for name in ("client_token", "client_secret", "access_token"))
    session.auth = EdgeGridAuth(*tokens)
    place = f"{options['endpoint']}/ccu/v3/delete/url/production"
    return lambda url: session.post(place, json={"objects": [url]}).raise_for_status()


def _cloudflare(options: dict[str, Any]) -> Send:
    from cloudflare import Cloudflare

    client = Cloudflare(api_token=_secret(options, "token"), base_url=options["endpoint"])
    return lambda url: client.cache.purge(zone_id=options["zone"], files=[url])


def _cloudfront(options: dict[str, Any]) -> Send:
    import boto3

    client = boto3.client("cloudfront", endpoint_url=options["endpoint"])

    def send(url: str) -> object:
        paths = {"Quantity": 1, "Items": ["/" + url.removeprefix(URL)]}
        batch: Any = {"Paths": paths, "CallerReference": url}
        return client.create_invalidation(DistributionId=options["distribution"], InvalidationBatch=batch)

    return send


def _edgecast(options: dict[str, Any]) -> Send:
    session = requests.Session()
    session.headers["Authorization"] = f"TOK:{_secret(options, 'token')}"
    place = f"{options['endpoint']}/v2/mcc/customers/{options['account']}/edge/purge"
    large = {"MediaType": 3}
    return lambda url: session.put(place, json={"MediaPath": url, **large}).raise_for_status()


def _highwinds(options: dict[str, Any]) -> Send:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {_secret(options, 'token')}"
    place = f"{options['endpoint']}/api/v1/accounts/{options['account']}/purge"
    return lambda url: session.post(
        place, json={"list": [{"url": url.removeprefix("https:")}]}, headers={"X-Application-Id": "bench"}
    ).raise_for_status()


def _pixboost(options: dict[str, Any]) -> Send:
    session = requests.Session()
    secret = {"auth": _secret(options, "secret")}
    return lambda url: session.delete(f"{options['endpoint']}/api/2/img/{url}", params=secret).raise_for_status()


_SENDERS: dict[str, Callable[[dict[str, Any]], Send]] = {
    "akamai": _akamai,
    "cloudflare": _cloudflare,
    "cloudfront": _cloudfront,
    "edgecast": _edgecast,
    "fastly": _fastly,
    "highwinds": _highwinds,
    "pixboost": _pixboost,
}

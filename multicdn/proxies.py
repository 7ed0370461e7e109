"""The proxy that the environment names for calls to vendors, as curl and ``requests`` read it."""

from __future__ import annotations

import os
import sys

__all__ = ["proxy_for", "proxy_headers"]


def proxy_for(scheme: str, host: str) -> str:
    """The URL of the proxy for a host; empty where there is none.

    Read from ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, of either case; macOS has settings of the
    system besides.

    Args:
        scheme: of the URL that is asked for.
        host: of it, with its port if that is another than usual.
    """
    if sys.platform != "darwin" and not any(name.lower().endswith("_proxy") for name in os.environ):
        return ""  # without a proxy nobody pays for the import
    from urllib.request import getproxies, proxy_bypass

    if proxy_bypass(host):
        return ""
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all") or ""
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def proxy_headers(proxy: str) -> dict[str, str]:
    """What a proxy is sent beside the request for a tunnel: the user and the password that its URL has, if any."""
    credentials, at, _ = proxy.partition("://")[2].partition("/")[0].rpartition("@")
    if not at:
        return {}
    from base64 import b64encode
    from urllib.parse import unquote_to_bytes

    user, _, password = credentials.partition(":")
    plain = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
    return {"Proxy-Authorization": f"Basic {b64encode(plain).decode()}"}

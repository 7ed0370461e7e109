"""The proxy that the environment names for calls to vendors, as curl and ``requests`` read it."""

from __future__ import annotations

import os
import sys
from urllib.parse import urlsplit

__all__ = ["ProxyUnusableError", "proxy_for", "proxy_headers"]


class ProxyUnusableError(OSError):
    """The environment names a proxy that nobody can connect to."""


def proxy_for(scheme: str, host: str) -> str:
    """The URL of the proxy for a host; empty where there is none.

    Read from ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, of either case; macOS has settings of the
    system besides.

    Args:
        scheme: of the URL that is asked for.
        host: of it, with its port if that is another than usual.

    Raises:
        ProxyUnusableError: what the environment names is no URL of such a proxy. Its text shows nothing of that, which
            may have a password.
    """
    if sys.platform != "darwin" and not any(name.lower().endswith("_proxy") for name in os.environ):
        return ""  # without a proxy nobody pays for the import
    from urllib.request import getproxies, proxy_bypass

    if proxy_bypass(host):
        return ""
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all") or ""
    return _checked(proxy if "://" in proxy else f"http://{proxy}", scheme) if proxy else ""


def _checked(proxy: str, scheme: str) -> str:
    """The same. Libraries would show a part of the password where one isn't escaped."""
    try:
        place = urlsplit(proxy)
        is_url = bool(place.hostname) and place.port != 0 and "@" not in place.path + place.query + place.fragment
    except ValueError:
        is_url = False
    unusable = f"the proxy that the environment names for {scheme} can't be used"
    if not is_url:
        raise ProxyUnusableError(f"{unusable}: it is no URL, such as where a password isn't percent-encoded")
    if place.scheme not in ("http", "https"):
        raise ProxyUnusableError(f"{unusable}: it is one of {place.scheme} rather than HTTP")
    return proxy


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

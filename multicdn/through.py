"""Asks a CDN's own host for a URL of a site, whatever DNS says of the site's name: Host and TLS are of the URL.

A plugin may use it as the core does:

    address = locate("https://www.acme.com/a.css", "d111111abcdef8.cloudfront.net")
    with bounded(call.read, most), answering(address, call.read, {"Accept-Encoding": "gzip"}) as answer:
        ...  # an http.client.HTTPResponse whose body wasn't read yet

No redirect is followed; no cookies and no credentials are sent.
"""

from __future__ import annotations

import http.client
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

from multicdn import __version__, tls
from multicdn.bounds import obey
from multicdn.proxies import ProxyUnusableError, proxy_for, proxy_headers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Address", "answering", "connect", "locate", "told"]

# Seconds: some addresses of a host may lead nowhere.
_CONNECT = 3.0

_PORTS = {"http": 80, "https": 443}

# Printable ASCII: what is encoded already stays as it is, since cache keys are byte-exact.
_SENDABLE = "".join(map(chr, range(0x21, 0x7F)))


class Address(NamedTuple):
    """Where a URL is asked for.

    Attributes:
        scheme, host, port: to connect to.
        name: whose certificate it must have.
        header: the header Host.
        target: path and query, as they are sent.
    """

    scheme: str
    host: str
    port: int
    name: str
    header: str
    target: str


def locate(url: str, via: str) -> Address:
    """Where a URL is asked for.

    Args:
        url: absolute, as clients ask for it.
        via: ``host``, ``host:port`` or ``http(s)://host[:port]`` to connect to; empty for the URL's own host.

    Raises:
        ValueError: says what is wrong with one of them.
    """
    wanted = urlsplit(url)
    scheme, name = wanted.scheme.lower(), _ascii(wanted.hostname or "")
    if scheme not in _PORTS or not name:
        raise ValueError("it is no absolute http or https URL")
    shown = f"[{name}]" if ":" in name else name
    header = shown if wanted.port in (None, _PORTS[scheme]) else f"{shown}:{wanted.port}"
    target = quote((wanted.path or "/") + (f"?{wanted.query}" if wanted.query else ""), safe=_SENDABLE)
    port = wanted.port or _PORTS[scheme]
    if not via:
        return Address(scheme, name, port, name, header, target)
    there = urlsplit(via if "://" in via else f"//{f'[{via}]' if _is_bare_ipv6(via) else via}")
    host = _ascii(there.hostname or "")
    if (there.scheme or scheme) not in _PORTS or not host or there.path.strip("/") or there.query or there.username:
        raise ValueError("`via` is a host, host:port, or http(s)://host:port")
    # As in the URL, unless it says another scheme: then that one's own.
    usual = _PORTS[there.scheme] if there.scheme and there.scheme != scheme else port
    return Address(there.scheme or scheme, host, there.port or usual, name, header, target)


@contextmanager
def answering(
    address: Address, seconds: float, headers: Mapping[str, str], *, connect: float = _CONNECT
) -> Iterator[http.client.HTTPResponse]:
    """Ask, and give the answer with its body unread. To be used within ``bounded``, which holds for the whole of it.

    Args:
        address: where, and for what.
        seconds: for each wait for bytes.
        headers: beside Host.
        connect: seconds for the connection.

    Raises:
        OSError, http.client.HTTPException, UnicodeError: no answer; ``told`` words it.
    """
    connection = _connection(address, min(seconds, connect))
    try:
        connection.connect()
        connection.sock.settimeout(seconds)
        connection.putrequest("GET", address.target, skip_host=True, skip_accept_encoding=True)
        sent = {"Host": address.header, "User-Agent": f"multicdn/{__version__}", "Accept": "*/*", "Connection": "close"}
        for name, value in {**sent, **headers}.items():
            connection.putheader(name, value)
        connection.endheaders()
        with connection.getresponse() as answer:
            yield answer
    finally:
        connection.close()


def connect(address: Address, seconds: float) -> None:
    """Connect, look at the certificate, and ask for nothing.

    Raises:
        OSError, UnicodeError: there is no connection, or not with such a certificate.
    """
    connection = _connection(address, seconds)
    try:
        connection.connect()
    finally:
        connection.close()


def told(error: Exception, address: Address, seconds: float) -> str:
    """Why there is no answer, in a few words."""
    asked = f"(asked {address.host}:{address.port})"
    if isinstance(error, ssl.SSLCertVerificationError):
        why = getattr(error, "verify_message", "") or "it can't be verified"
        return f"its certificate isn't one for {address.name}: {why} {asked}"
    if isinstance(error, TimeoutError):
        return f"no answer within {seconds:.0f} s {asked}"
    if isinstance(error, tls.AuthoritiesError | ProxyUnusableError):
        return f"no answer: {error}"
    return f"no answer: {getattr(error, 'strerror', None) or type(error).__name__} {asked}"


class _Plain(http.client.HTTPConnection):
    """A connection of our own class, so that bounds hold for it and for nobody else's."""


class _Secure(http.client.HTTPConnection):
    """A connection to one host, and TLS with another, whose certificate it must have."""

    name = ""

    def connect(self) -> None:
        super().connect()
        self.sock = self._secured(self.sock)

    def _secured(self, sock: Any) -> Any:
        if not isinstance(sock, ssl.SSLSocket):
            return tls.context().wrap_socket(sock, server_hostname=self.name)
        from urllib3.util.ssltransport import SSLTransport  # for TLS within that of a proxy

        return SSLTransport(sock, tls.context(), self.name)


class _BySecureProxy(_Secure):
    """Likewise, through a proxy that speaks TLS itself: its password goes there, too."""

    def __init__(self, host: str, port: int, *, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self._plain: Any = self._create_connection  # type: ignore[has-type]  # the stubs have what is public
        self._create_connection = self._connected

    def _connected(self, place: tuple[str, int], *rest: Any) -> ssl.SSLSocket:
        return tls.context().wrap_socket(self._plain(place, *rest), server_hostname=place[0])


for _class in (_Plain, _Secure):
    obey(_class)


def _connection(address: Address, seconds: float) -> http.client.HTTPConnection:
    """A connection, through the proxy of the environment where there is one for TLS, as for calls to vendors."""
    if address.scheme == "http":
        return _Plain(address.host, address.port, timeout=seconds)
    host = address.host if address.port == _PORTS["https"] else f"{address.host}:{address.port}"
    named = proxy_for(address.scheme, host)
    proxy = urlsplit(named)
    if not proxy.hostname:
        connection = _Secure(address.host, address.port, timeout=seconds)
    else:
        kind = _BySecureProxy if proxy.scheme == "https" else _Secure
        connection = kind(proxy.hostname, proxy.port or _PORTS[proxy.scheme], timeout=seconds)
        connection.set_tunnel(address.host, address.port, proxy_headers(named))
    connection.name = address.name
    return connection


def _is_bare_ipv6(via: str) -> bool:
    return via.count(":") > 1 and not via.startswith("[")


def _ascii(host: str) -> str:
    """A host as DNS has it.

    Raises:
        ValueError: it has no such form.
    """
    spelled = host if host.isascii() else host.encode("idna").decode()
    if not all(sign.isalnum() or sign in "-._:" for sign in spelled):
        raise ValueError(f"{host!r} is no host")
    return spelled

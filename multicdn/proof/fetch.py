"""Asks an edge for a URL as a browser would, but where the config says that the CDN is: Host and TLS are of the URL."""

from __future__ import annotations

import functools
import http.client
import os
import ssl
import zlib
from contextlib import suppress
from hashlib import md5
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

from msgspec import structs

from multicdn import __version__
from multicdn.bounds import bounded, obey
from multicdn.proof.signs import pop
from multicdn.terms import Seen

if TYPE_CHECKING:
    from collections.abc import Iterator

# Bytes of a body, as it comes and unpacked, beyond which its MD5 isn't worth its time. Nothing of it is kept.
LARGEST_BODY = 64 * 1024 * 1024

_PIECE = 64 * 1024
_LONGEST_HEADER = 1024

# Seconds: some addresses of a host may lead nowhere.
_CONNECT = 3.0

_PORTS = {"http": 80, "https": 443}
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS

# Printable ASCII: what is encoded already stays as it is, since cache keys are byte-exact.
_SENDABLE = "".join(map(chr, range(0x21, 0x7F)))


class _Place(NamedTuple):
    """Where to connect, whom to ask for, and what."""

    scheme: str
    host: str
    port: int
    name: str
    header: str
    target: str


def fetch(url: str, via: str, seconds: float, *, want_md5: bool) -> Seen:
    """Ask an edge for a URL. Follows no redirect, sends no cookies and no credentials, and raises nothing.

    Args:
        url: absolute, as clients ask for it.
        via: ``host``, ``host:port`` or ``http(s)://host[:port]`` to connect to; empty for the URL's own host.
        seconds: for all of it.
        want_md5: whether to read the body; else the connection ends after the headers.
    """
    try:
        place = _place(url, via)
    except ValueError as error:
        return Seen(reason=f"{url.partition('?')[0]!r} through {via or 'its own host'!r} can't be asked for: {error}")
    if seconds <= 0:
        return Seen(reason="no time was left to ask for it")
    try:
        with bounded(seconds, LARGEST_BODY + _PIECE):
            return _fetched(place, seconds, want_md5=want_md5)
    except ssl.SSLCertVerificationError as error:
        reason = f"its certificate isn't one for {place.name}: {error.verify_message}"
    except TimeoutError:
        reason = f"no answer within {seconds:.0f} s"
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        reason = f"no answer: {getattr(error, 'strerror', None) or type(error).__name__}"
    return Seen(reason=f"{reason} (asked {place.host}:{place.port})")


def _fetched(place: _Place, seconds: float, *, want_md5: bool) -> Seen:
    connection = _connection(place, min(seconds, _CONNECT))
    try:
        connection.connect()
        connection.sock.settimeout(seconds)
        connection.putrequest("GET", place.target, skip_host=True, skip_accept_encoding=True)
        for name, value in _headers(place.header).items():
            connection.putheader(name, value)
        connection.endheaders()
        with connection.getresponse() as answer:
            return _seen(answer, want_md5=want_md5)
    finally:
        connection.close()


def _headers(host: str) -> dict[str, str]:
    return {
        "Host": host,
        "User-Agent": f"multicdn/{__version__}",
        "Accept": "*/*",
        "Accept-Encoding": "gzip",
        "Connection": "close",
    }


class _Secure(http.client.HTTPConnection):
    """A connection to one host, and TLS with another, whose certificate it must have."""

    name = ""

    def connect(self) -> None:
        super().connect()
        self.sock = _tls().wrap_socket(self.sock, server_hostname=self.name)


class _Plain(http.client.HTTPConnection):
    pass


for _class in (_Plain, _Secure):
    obey(_class)


def _connection(place: _Place, seconds: float) -> http.client.HTTPConnection:
    """A connection, through the proxy of the environment where there is one for TLS, as for calls to vendors."""
    if place.scheme == "http":
        return _Plain(place.host, place.port, timeout=seconds)
    proxy = urlsplit(getproxies().get("https", ""))
    if not proxy.hostname or proxy_bypass(place.host):
        connection = _Secure(place.host, place.port, timeout=seconds)
    else:
        connection = _Secure(proxy.hostname, proxy.port or _PORTS["http"], timeout=seconds)
        connection.set_tunnel(place.host, place.port)
    connection.name = place.name
    return connection


@functools.cache
def _tls() -> ssl.SSLContext:
    """What trusts the authorities that calls to vendors trust: those of the environment, else those of certifi."""
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if not named:
        with suppress(ImportError):
            import certifi

            named = certifi.where()
    of_folder = named is not None and Path(named).is_dir()
    return ssl.create_default_context(cafile=None if of_folder else named, capath=named if of_folder else None)


def _place(url: str, via: str) -> _Place:
    """Where a URL is asked for.

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
        return _Place(scheme, name, port, name, header, target)
    there = urlsplit(via if "://" in via else f"//{f'[{via}]' if _is_bare_ipv6(via) else via}")
    host = _ascii(there.hostname or "")
    if (there.scheme or scheme) not in _PORTS or not host or there.path.strip("/") or there.query or there.username:
        raise ValueError("`via` is a host, host:port, or http(s)://host:port")
    # As in the URL, unless it says another scheme: then that one's own.
    usual = _PORTS[there.scheme] if there.scheme and there.scheme != scheme else port
    return _Place(there.scheme or scheme, host, there.port or usual, name, header, target)


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


def _seen(answer: http.client.HTTPResponse, *, want_md5: bool) -> Seen:
    headers = _headers_of(answer)
    coding = headers.get("content-encoding", "").strip().lower()
    length = answer.length if coding in ("", "identity") else None
    seen = Seen(status=answer.status, headers=headers, size=length, pop=pop(headers))
    if not want_md5 or not 200 <= answer.status < 300:
        return seen
    try:
        digest, size = _digest(answer, coding)
    except _NoDigest as error:
        return structs.replace(seen, reason=f"the MD5 of its body isn't known: {error}")
    return structs.replace(seen, md5=digest, size=size)


def _headers_of(answer: http.client.HTTPResponse) -> dict[str, str]:
    """The headers by name in lower case, those of one name joined; of cookies only that there are some."""
    headers: dict[str, str] = {}
    for name, value in answer.getheaders():
        lower = name.lower()
        said = "(not shown)" if lower == "set-cookie" else value[:_LONGEST_HEADER]
        headers[lower] = f"{headers[lower]}, {said}"[:_LONGEST_HEADER] if lower in headers else said
    return headers


class _NoDigest(Exception):
    """The body is none of which an MD5 says anything."""


def _digest(answer: http.client.HTTPResponse, coding: str) -> tuple[str, int]:
    """MD5 and length of a body without its coding.

    Raises:
        _NoDigest: it came in part only, is too large, or has a coding that isn't known.
    """
    if coding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise _NoDigest(f"its coding is {coding[:40]}")
    if answer.length is None and not answer.chunked:
        raise _NoDigest("nothing says where it ends")
    found, size = md5(usedforsecurity=False), 0
    try:
        for piece in _unpacked(answer) if coding not in ("", "identity") else _pieces(answer):
            found.update(piece)
            size += len(piece)
            if size > LARGEST_BODY:
                raise _NoDigest(f"it has more than {LARGEST_BODY} bytes")
    except zlib.error:
        raise _NoDigest(f"it isn't packed as {coding}") from None
    except (OSError, http.client.HTTPException) as error:
        raise _NoDigest(str(error) or type(error).__name__) from None
    return found.hexdigest(), size


def _pieces(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    yield from iter(lambda: answer.read(_PIECE), b"")
    if answer.length:
        raise _NoDigest("it broke off")


def _unpacked(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """A body without its coding, a bounded piece at a time, however much is packed in it."""
    unpack = zlib.decompressobj(_GZIP_OR_ZLIB)
    for piece in _pieces(answer):
        packed = piece
        while packed and not unpack.eof:
            yield unpack.decompress(packed, _PIECE)
            packed = unpack.unconsumed_tail
    if not unpack.eof:
        raise _NoDigest("it broke off")

"""The host name in what people paste when they are asked for one: the address of a page, mostly. Pure."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct

from multicdn.routing.host_names import is_host_name

_PORTS = {"http": 80, "https": 443}
_SEVERAL = re.compile(r"[\s,;]+")
_QUOTES = "'\"<>`"
_S3_LABEL = re.compile(r"(^|\.)s3[.-]")
_OF_AWS = (".amazonaws.com", ".amazonaws.com.cn")


class NotAHostError(ValueError):
    """There is no host name in it; the text says why.

    Attributes:
        likely: what was probably meant; may be empty.
    """

    def __init__(self, reason: str, likely: str = "") -> None:
        self.likely = likely
        super().__init__(reason)


class Host(Struct, frozen=True):
    """A host name, with its port if that isn't the usual one, and what was left out of the text that it was in."""

    name: str
    left_out: str = ""


def host_in(text: str) -> Host:
    """Find the host name in a text.

    Raises:
        NotAHostError: there is none, or more than one, or one of S3 itself.
    """
    bare = text.strip().strip(_QUOTES)
    several = [part for part in _SEVERAL.split(bare) if part]
    if len(several) > 1:
        likely = several[0] if "." in several[0] else ""
        raise NotAHostError(f"{text!r} is more than one name: name one, and put the others under `urls`", likely)
    parts = _split(bare, text)
    name = _ascii((parts.hostname or "").rstrip("."), text)
    _refuse_odd(name, text)
    port = _port(parts, text)
    return Host(name + port, _left_out(parts))


def _split(bare: str, text: str) -> SplitResult:
    try:
        parts = urlsplit(bare if "://" in bare or bare.startswith("//") else f"//{bare}")
    except ValueError:
        raise NotAHostError(f"{text!r} is no host name; write it alone, as in www.example.com") from None
    if parts.scheme not in ("", *_PORTS):
        raise NotAHostError(f"{text!r} is an address of {parts.scheme}; write the host that browsers ask")
    return parts


def _ascii(name: str, text: str) -> str:
    """As it stands in URLs: names in other scripts have a spelling in ASCII."""
    if name.isascii():
        return name.lower()
    try:
        return name.encode("idna").decode().lower()
    except UnicodeError:
        raise NotAHostError(f"{text!r} is no host name; write it as browsers send it, xn--…") from None


def _refuse_odd(name: str, text: str) -> None:
    if not name:
        raise NotAHostError(f"{text!r} holds no host name; write one such as www.example.com")
    if "{" in name:
        raise NotAHostError(f"{text!r} holds a placeholder: write one host, and put templates of hosts under `urls`")
    if "*" in name:
        raise NotAHostError(f"{text!r} is a pattern: write one host, and put the others under `urls`")
    if not is_host_name(name):
        raise NotAHostError(f"{text!r} is no host name: it has letters, digits, hyphens and dots, as www.example.com")
    if "." not in name:
        raise NotAHostError(f"{text!r} has no dot: write the whole name, as in www.example.com")
    if _S3_LABEL.search(name) and name.endswith(_OF_AWS):
        raise NotAHostError(f"{text!r} is S3 itself: write the host by which the CDN's visitors ask")


def _port(parts: SplitResult, text: str) -> str:
    try:
        port = parts.port
    except ValueError:
        raise NotAHostError(f"{text!r} has a port that is none") from None
    usual = _PORTS.get(parts.scheme or "https")
    return f":{port}" if port and port != usual else ""


def _left_out(parts: SplitResult) -> str:
    """What came after the host, which is made from keys; a bare slash is nothing."""
    path = parts.path if parts.path != "/" else ""
    return path + (f"?{parts.query}" if parts.query else "") + (f"#{parts.fragment}" if parts.fragment else "")

"""How clients spell a key in a URL. Caches compare bytes, so each spelling may be an object of its own. Pure.

All agree on letters, digits and ``. _ ~ -``, and on ``/``. What else a client leaves as it is, and how it writes the
rest, is in ``CLIENTS``. ``%``, ``?`` and ``#`` are escaped by all, or they would mean something else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Literal
from urllib.parse import quote, unquote

from msgspec import Struct

from multicdn.patterns import lazy_pattern

Spell = Callable[[str], str]

#: Spellings of one URL at most: each is a purge of its own, and some vendors charge for it.
MOST = 8

# Signs that are kept of a client; keys in all the languages of one site have fewer.
_MOST_SIGNS = 10_000


class Escaping(Struct, frozen=True):
    """How a client escapes names.

    Attributes:
        unescaped: the signs that it leaves as they are.
        blank: what it makes of a blank.
        lower: whether it writes hexadecimal digits in lower case.
    """

    unescaped: str
    blank: str = "%20"
    lower: bool = False


# RFC 3986, section 3.3, less "+": S3 reads it as a blank.
_PATH = "!$&'()*,;=:@"

#: What a route calls a client.
ClientName = Literal[
    "s3",
    "plus",
    "browser",
    "component",
    "rfc3986",
    "go-template",
    "encode-uri",
    "go",
    "go-segment",
    "older-browser",
    "raw",
    "form",
]

#: The likeliest first. Each stands for whoever spells the same.
CLIENTS: dict[ClientName, Escaping] = {
    # What pages of a site on S3 must have.
    "s3": Escaping(_PATH),
    # S3 takes "+" for a blank: docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html.
    "plus": Escaping(_PATH, blank="+"),
    # Names that a page or a script has as they are: https://url.spec.whatwg.org/#path-percent-encode-set. The parser
    # reads a backslash as a slash, so pages escape it.
    "browser": Escaping(_PATH + "+[]|"),
    # encodeURIComponent of each segment (Next.js), filepath_to_uri (Django's `static`).
    "component": Escaping("!*'()"),
    # Unreserved characters alone, section 2.3: Python's quote, PHP's rawurlencode, the SDKs of AWS.
    "rfc3986": Escaping(""),
    # Go's html/template, urlnormalizer: Hugo.
    "go-template": Escaping("!$&*+,/:;=@[]", lower=True),
    # encodeURI, Django's `reverse`.
    "encode-uri": Escaping(_PATH + "+"),
    # Go's URL.String: Hugo.
    "go": Escaping("$&+,:;=@"),
    # Go's url.PathEscape.
    "go-segment": Escaping("$&+:=@"),
    # Before the WHATWG had "^" escaped: whatwg/url#817.
    "older-browser": Escaping(_PATH + "+[]|^"),
    # curl -g.
    "raw": Escaping(_PATH + '+[]|^`{}"<>\\'),
    # application/x-www-form-urlencoded: quote_plus, PHP's urlencode. Made for queries, so only where a route names it.
    "form": Escaping("", blank="+"),
}
LIKELY: tuple[ClientName, ...] = tuple(name for name in CLIENTS if name != "form")

_PLAIN = lazy_pattern(r"[A-Za-z0-9/._~-]*")
_SIGN = lazy_pattern(r"[\x00-,:-@\[-^`{-}\x7f]")
# But "%", "?" and "#": pages escape them by other means, in upper case.
_ESCAPE = lazy_pattern("%(?!25|3F|23)[0-9A-F]{2}")
_BROKEN = lazy_pattern("%(?![0-9A-Fa-f]{2})")
_URL = lazy_pattern(r"([^:/?#]+://[^/?#]*)([^?#]*)(.*)", re.DOTALL)
_PLACEHOLDER = lazy_pattern(r"(\{[^{}]*\})")


def is_plain(key: str) -> bool:
    """Whether a key has one spelling, which is the key itself. Most have."""
    return _PLAIN.fullmatch(key) is not None


def of(key: str, clients: tuple[ClientName, ...] = LIKELY) -> tuple[Spell, ...]:
    """The ways to spell a key that differ, in the order of the clients; each takes the key or any piece of it."""
    return _distinct(frozenset(_SIGN.findall(key)), key.isascii(), clients)


@lru_cache(maxsize=1024)
def _distinct(signs: frozenset[str], ascii_alone: bool, clients: tuple[ClientName, ...]) -> tuple[Spell, ...]:  # noqa: FBT001
    sample = "".join(signs) + ("" if ascii_alone else "é")  # the escapes of which have letters, as all of UTF-8 have
    found: dict[str, Spell] = {}
    for name in clients:
        spell = _signs(name).spell
        found.setdefault(spell(sample), spell)
    return tuple(found.values())[:MOST]


@cache
def _signs(client: ClientName) -> _Signs:
    return _Signs(CLIENTS[client])


class _Signs(dict[int, str]):
    """What a client makes of each sign, as ``str.translate`` asks for it: found out when it first occurs."""

    def __init__(self, client: Escaping) -> None:
        self._client = client

    def __missing__(self, code: int) -> str:
        client, sign = self._client, chr(code)
        if sign == " ":
            spelled = client.blank
        else:
            spelled = quote(sign, safe=f"/{client.unescaped}")
            if client.lower:
                spelled = _ESCAPE.sub(lambda escape: escape[0].lower(), spelled)
        if len(self) < _MOST_SIGNS:
            self[code] = spelled
        return spelled

    def spell(self, text: str) -> str:
        """Spell a text."""
        return text.translate(self)


def folded(url: str, *, template: bool = False) -> str:
    """An absolute URL with its path in one spelling, the same for all that clients may send for one key.

    A ``+`` stays, since it may be a blank or itself. In a template, what is in braces stays as it is.
    """
    parts = _URL.fullmatch(url)
    if parts is None:
        return url
    pieces = _PLACEHOLDER.split(parts[2]) if template else [parts[2]]
    path = (piece if template and piece.startswith("{") else _folded(piece) for piece in pieces)
    return parts[1] + "".join(path) + parts[3]


def _folded(path: str) -> str:
    if _BROKEN.search(path):
        return path
    pieces = (unquote(piece, errors="surrogateescape") for piece in path.split("+"))
    return "+".join(quote(piece, safe=f"/{_PATH}", errors="surrogateescape") for piece in pieces)

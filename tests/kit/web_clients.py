"""What clients send for a name in the path of a URL, each after its own page or source. Knows nothing of multicdn.

A page must escape by itself what would mean something else in a URL; ``None`` where a client can't ask for a name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
UNRESERVED = LETTERS + "-._~"  # RFC 3986, section 2.3

# Each is about one kind of trouble; keys of S3 hold them all.
KEYS = (
    "_next/static/chunks/app/[id]/page-1a2b.js",
    "_next/static/chunks/app/[...slug]/(shop)/@modal/page.js",
    "a[1].jpg",
    "a|b.jpg",
    "a^b.jpg",
    "it's (1).html",
    "x@2x,3:4.png",
    "café.html",
    "cafe\u0301.html",
    "中文/图片 1.jpg",
    "a b+c.html",
    "a+b.html",
    "100%.html",
    "100%25.html",
    "q?.html",
    "c#.html",
    "~user/a;b=c&d.css",
    "price $5!*.txt",
    '"quoted".txt',
    "<a>.txt",
    "back\\slash.txt",
    "back`tick.txt",
    "{a}.txt",
    "album\r\x08\x08/KM 004.jpg",
    "a//b.txt",
    "@scope/pkg@1.0.0/é+(x).js",
)


def escaped(name: str, signs: str) -> str:
    """A name with some ASCII signs percent-encoded."""
    return "".join(f"%{ord(sign):02X}" if sign in signs else sign for sign in name)


def _percent(name: str, kept: str, form: str = "%{:02X}") -> str:
    """All bytes but those of kept characters, percent-encoded."""
    return "".join(chr(byte) if chr(byte) in kept and byte < 128 else form.format(byte) for byte in name.encode())


_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
_CONTROLS = "".join(map(chr, [*range(0x20), 0x7F]))


def browser(name: str) -> str:
    """A name in an attribute or a script, through a browser: https://url.spec.whatwg.org/#path-percent-encode-set.

    The parser would end the path at ``?`` and ``#``, read ``\\`` as ``/``, and drop tabs, line ends, and controls at
    both ends; and it leaves ``%`` alone.
    """
    return _percent(escaped(name, "%?#\\" + _CONTROLS), "".join(set(_VISIBLE) - set('"#<>?^`{}')))


def browser_before_2024(name: str) -> str:
    """The same before https://github.com/whatwg/url/pull/817 put ``^`` into the set."""
    return browser(name).replace("%5E", "^")


def javascript_uri(name: str) -> str:
    """``encodeURI``, and then ``?`` and ``#``: https://tc39.es/ecma262/#sec-encodeuri-uri."""
    return escaped(_percent(name, LETTERS + ";/?:@&=+$,-_.!~*'()#"), "?#")


def next_server(name: str) -> str:
    """Next.js in its HTML, shared/lib/encode-uri-path.ts: ``encodeURIComponent`` of each segment."""
    return _percent(name, LETTERS + "-_.!~*'()/")


def next_client(name: str) -> str:
    """Next.js in the browser: chunks by their names as they are (vercel/next.js#8430)."""
    return browser(name)


def django_static(name: str) -> str | None:
    """Django's ``static``, utils/encoding.py, filepath_to_uri. It takes a backslash for a separator."""
    return None if "\\" in name else quote(name, safe="/~!*()'")


def django_reverse(name: str) -> str:
    """Django's ``reverse``, urls/resolvers.py: sub-delimiters of RFC 3986 and ``/~:@`` stay."""
    return quote(name, safe="!$&'()*+,;=/~:@")


def go_url(name: str) -> str:
    """Go's ``URL{Path: name}.String()``, net/url: shouldEscape with encodePath. Hugo, MakePermalink."""
    return _percent(name, UNRESERVED + "$&+,/:;=@")


def go_parsed(name: str) -> str | None:
    """Go's ``url.Parse(name).String()``: as it was, if validEncoded says so, else as ``go_url``. Hugo, URLEscape."""
    if set(name) & set("%?#" + _CONTROLS):
        return None
    valid = set(name) <= set(UNRESERVED + "/!$&'()*+,;=:@[]")
    return name if valid else go_url(name)


def hugo_attribute(url: str) -> str:
    """A URL in an attribute of Go's html/template, url.go, processURLOnto with norm; its hexadecimal is lower-case."""
    kept = UNRESERVED + "!#$&*+,/:;=?@[]"
    pieces = re.split(r"(%[0-9A-Fa-f]{2})", url)
    return "".join(piece if place % 2 else _percent(piece, kept, "%{:02x}") for place, piece in enumerate(pieces))


def hugo_permalink(name: str) -> str | None:
    """``{{ .RelPermalink }}`` in an attribute."""
    parsed = go_parsed(name)
    return None if parsed is None else hugo_attribute(parsed)


def hugo_name(name: str) -> str:
    """``<img src="/{{ .name }}">``; for what would end the path the page writes ``urlquery``, in Go's upper case."""
    return hugo_attribute(escaped(name, "%?#"))


def curl(name: str) -> str | None:
    """``curl -g``, lib/urlapi.c: what is visible goes out as it is, blanks and controls are refused.

    Bytes outside ASCII would go out raw, and no edge here takes them.
    """
    return escaped(name, "%?# " + _CONTROLS) if name.isascii() else None


def python_quote(name: str) -> str:
    """``urllib.parse.quote``, PHP's ``rawurlencode``, ``aws s3 presign``: unreserved characters alone."""
    return _percent(name, UNRESERVED + "/")


def blank_as_plus(name: str) -> str:
    """A page that takes a blank for ``+``, as S3 does: object-keys.html."""
    return escaped(_percent(name, UNRESERVED + " /!$&'()*,;=:@"), "").replace(" ", "+")


CLIENTS: dict[str, Callable[[str], str | None]] = {
    "browser": browser,
    "older browser": browser_before_2024,
    "encodeURI": javascript_uri,
    "Next.js HTML": next_server,
    "Next.js chunk": next_client,
    "Django static": django_static,
    "Django reverse": django_reverse,
    "Hugo URL": go_url,
    "Hugo text": go_parsed,
    "Hugo link": hugo_permalink,
    "Hugo name": hugo_name,
    "curl -g": curl,
    "quote": python_quote,
    "+ for blank": blank_as_plus,
}


def sent(name: str) -> dict[str, list[str]]:
    """Each form in which the clients ask for a name, with those that do."""
    forms: dict[str, list[str]] = {}
    for client, spell in CLIENTS.items():
        form = spell(name)
        if form is not None:
            forms.setdefault(form, []).append(client)
    return forms

"""Blacking out secrets in whatever spelling a vendor may repeat them.

A value is found as it stands, percent-encoded, with plus for blank, as HTML entities, as JSON escapes, in any mixture
of these and in several layers, and in base64, of it alone or of a longer text that holds it, in one line or wrapped.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from functools import lru_cache, partial
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote

from msgspec import Struct

from multicdn.patterns import lazy_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

HIDDEN = "[secret]"

# A value shorter than this is blacked out where it stands as a word of its own: elsewhere it would be found by chance.
_SHORTEST_WITHIN_WORDS = 6
_SHORTEST_PIECE = 4

# How half a surrogate is encoded, which is no text.
_LENIENT = "surrogatepass"

# Encodings of encodings that are looked into.
_LAYERS = 5

_ESCAPE = lazy_pattern(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_ENTITY = lazy_pattern(r"&(?:#0{0,9}([0-9]{1,7})|#[xX]0{0,9}([0-9a-fA-F]{1,6})|([A-Za-z][A-Za-z0-9]{1,31}));?")
# Between two lines of what was wrapped, as base64 in mails and certificates is.
_WRAP = lazy_pattern(r"(?<=[0-9A-Za-z+/_-])\r?\n(?=[0-9A-Za-z+/_=-])")
# As ``html.escape`` does, whose module takes a millisecond to load.
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


class _Forms(Struct, frozen=True):
    """How one value is searched for.

    Attributes:
        whole: spellings of all of it, the longest first; empty for a short value.
        loose: the same where blanks and plus signs stand for each other, or as a word; None where ``whole`` does.
        pieces: what stands in base64 whatever stands before and after, and an expression that covers its edges as well,
            uncompiled: that would take a millisecond for each value, and hardly any is ever found.
        shortest: characters of the shortest of all these.
    """

    whole: tuple[str, ...]
    loose: re.Pattern[str] | None
    pieces: tuple[tuple[str, str], ...]
    shortest: int


def redact(text: str, values: Collection[str]) -> str:
    """Return a text with some values blacked out. Where one was encoded in an odd way, the text comes decoded.

    Takes time in proportion to the text.
    """
    return redactor(values)(text)


def redactor(values: Collection[str]) -> Callable[[str], str]:
    """What blacks out these values, as ``redact`` does, in one text after the other."""
    # The longest first, since one may be a part of another.
    forms = [_forms(value) for value in sorted(values, key=len, reverse=True)]
    return partial(_redacted, forms, min((form.shortest for form in forms), default=0))


def _redacted(forms: Sequence[_Forms], shortest: int, text: str) -> str:
    # The quick way for most: no layer is longer than the one around it.
    if len(text) < shortest:
        return text
    shown = _without(text, forms)
    for decoded in _layers(shown):
        less = _without(decoded, forms)
        if less != decoded:
            # What was taken out stays out: from here on, layers are taken off what is shown.
            return _redacted(forms, shortest, less)
    return shown


def _layers(text: str) -> Iterator[str]:
    """A text with one encoding after the other taken off, as long as there are any."""
    for _ in range(_LAYERS):
        before = text
        for marker, decode in _DECODERS:
            if marker in text and (further := decode(text)) != text:
                yield (text := further)
        if text == before:
            return


def _without(text: str, forms: Iterable[_Forms]) -> str:
    for form in forms:
        for spelling in form.whole:
            text = text.replace(spelling, HIDDEN)
        if form.loose is not None:
            text = form.loose.sub(HIDDEN, text)
        for piece, pattern in form.pieces:
            if piece in text:
                text = re.sub(pattern, HIDDEN, text)
    return text


@lru_cache(512)
def _forms(value: str) -> _Forms:
    in_json = json.dumps(value, ensure_ascii=False)[1:-1], json.dumps(value)[1:-1]
    # A variable whose bytes are no UTF-8 has halves of surrogates in their place, and so may what JSON holds.
    percent, plus, path = (
        quote(value, safe="", errors=_LENIENT),
        quote_plus(value, "", errors=_LENIENT),
        quote(value, errors=_LENIENT),
    )
    encoded = percent, plus, path, value.translate(_ENTITIES)
    # A value may look encoded itself, and be taken for that together with its surroundings.
    bare = [layer for layer in list(_layers(value))[-1:] if len(layer) >= _SHORTEST_WITHIN_WORDS]
    whole = sorted({value, *in_json, *encoded, *bare}, key=len, reverse=True)
    # As it stands in a request, of which a vendor may repeat all in base64.
    pieces = {piece: pattern for sent in {value, *encoded[:2]} for piece, pattern in _pieces(sent)}
    shortest = min(map(len, (*whole, *pieces)))
    if len(value) < _SHORTEST_WITHIN_WORDS:
        words = "|".join(map(re.escape, whole))
        return _Forms((), re.compile(rf"(?<![0-9A-Za-z])(?:{words})(?![0-9A-Za-z])"), tuple(pieces.items()), shortest)
    parts = re.split("[ +]", value)
    loose = re.compile("[ +]".join(map(re.escape, parts))) if len(parts) > 1 else None
    return _Forms(tuple(whole), loose, tuple(pieces.items()), shortest)


def _pieces(value: str) -> Iterable[tuple[str, str]]:
    """The characters of base64 that a value alone decides, at each place where it may begin among three bytes."""
    raw = value.encode("utf-8", _LENIENT)
    found: dict[str, str] = {}
    for before in range(3):
        end = 8 * (before + len(raw))
        piece = b64encode(bytes(before) + raw).decode()[(8 * before + 5) // 6 : end // 6]
        if len(piece) < _SHORTEST_PIECE:
            continue
        # The characters beside it hold a few bits of the value.
        first, last = "[0-9A-Za-z+/_-]?" if before else "", "[0-9A-Za-z+/_-]?" if end % 6 else ""
        for spelled in (piece, piece.replace("+", "-").replace("/", "_")):
            found[spelled] = f"{first}{re.escape(spelled)}{last}={{0,2}}"
    return found.items()


def _unescaped(match: re.Match[str]) -> str:
    number = match[1] or match[2]
    return chr(int(number, 16)) if number else _CONTROLS.get(match[3], match[3])


def _character(match: re.Match[str]) -> str:
    if match[3]:
        from html.entities import html5

        return html5.get(f"{match[3]};", match[0])
    number = int(match[1]) if match[1] else int(match[2], 16)
    return chr(number) if 0 < number <= 0x10FFFF else match[0]


_DECODERS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("\\", lambda text: _ESCAPE.sub(_unescaped, text)),
    ("&", lambda text: _ENTITY.sub(_character, text)),
    ("%", unquote),
    ("\n", lambda text: _WRAP.sub("", text)),
)

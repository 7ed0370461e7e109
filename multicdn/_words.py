"""The words of a vendor's error, for a log: what a body says, on one line, without markup and without secrets."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from multicdn.patterns import lazy_pattern

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_QUOTE = 300
# Characters that are looked at, and beyond them those of a secret that may stand across the end.
_LONGEST_TEXT, _ACROSS = 8192, 4096
# Bytes. Longer JSON is quoted as the text that it is.
_LONGEST_JSON = 65536
_MEMBERS_THAT_EXPLAIN = (
    "detail",
    "details",
    "message",
    "msg",
    "title",
    "error_description",
    "error",
    "errorMessage",
    "errors",
)

# Every `<` ends the search for the `>` of the one before it: a page of nothing else takes no longer than any other.
_TAG = lazy_pattern(r"<([^<>]*)>")


def words(body: bytes, hide: Callable[[str], str] = str) -> str:
    """Put on one line what a body says: the member of a JSON error that explains, or the text without markup.

    Takes time in proportion to what is looked at, which is little.

    Args:
        body: as it came, of any length.
        hide: takes secrets out of a text; asked before anything is cut, since a part of a secret is one too.
    """
    explained = _explained(body)
    if explained is None:
        start = body[: 4 * (_LONGEST_TEXT + _ACROSS)].decode("utf-8", "replace")
        said = _without_markup(hide(start[: _LONGEST_TEXT + _ACROSS])[:_LONGEST_TEXT])
    else:
        said = hide(explained)
    line = " ".join(said.split())
    return (line[:_LONGEST_QUOTE] + "…" if len(line) > _LONGEST_QUOTE else line) or "(empty body)"


def _explained(body: bytes) -> str | None:
    """The sentences of a JSON error; None where the body is something else."""
    if len(body) > _LONGEST_JSON:
        return None
    try:
        return _explanation(json.loads(body.decode("utf-8", "replace")))
    except (ValueError, RecursionError):
        return None


def _explanation(value: object) -> str:
    """Walk a JSON error to its sentences: APIs disagree about where they put them."""
    if isinstance(value, dict):
        found = [_explanation(value[name]) for name in _MEMBERS_THAT_EXPLAIN if value.get(name)]
        code = value.get("code")
        sentence = "; ".join(dict.fromkeys(found)) or json.dumps(value)
        return _short(f"{code}: {sentence}" if code and found else sentence)
    if isinstance(value, list):
        return _short("; ".join(_explanation(item) for item in value))
    return _short(str(value))


def _short(text: str) -> str:
    return text[: _LONGEST_TEXT + _ACROSS]


def _without_markup(text: str) -> str:
    """A page's text: without its tags, and without what stands in scripts and style sheets."""
    pieces = _TAG.split(text)
    shown = [pieces[0]]
    within = ""
    for tag, after in zip(pieces[1::2], pieces[2::2], strict=True):
        name = re.match(r"/?\w*", tag.lower())[0]  # type: ignore[index]
        if within:
            within = "" if name == f"/{within}" else within
        elif name in ("script", "style"):
            within = name
        if not within:
            shown.append(after)
    return " ".join(shown)

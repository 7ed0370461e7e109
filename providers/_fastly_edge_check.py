"""What Fastly's edge check says: one entry for each POP, with headers and the MD5 of the body.

https://www.fastly.com/documentation/reference/api/utils/content/
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from multicdn.provider import RetryLater, Seen

if TYPE_CHECKING:
    from multicdn.http import Answer

_MD5 = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)
# In place of the hash, with the POP's name behind it.
_INSTEAD = {
    "error-timeout": "the content took too long to download",
    "warning-too-large": "the content is too large for a hash",
}


def seen(answer: Answer) -> tuple[Seen, ...]:
    """What each POP serves.

    Raises:
        RetryLater: the answer isn't Fastly's, or names no POP.
    """
    try:
        entries = json.loads(answer.body)
    except (ValueError, RecursionError):
        entries = None
    if (
        not isinstance(entries, list)
        or not entries
        or not all(isinstance(one, dict) and "pop" in one for one in entries)
    ):
        raise RetryLater(f"no list of POPs: {answer.reason}")
    return tuple(map(_seen, entries))


def _seen(entry: Mapping[str, Any]) -> Seen:
    response = _mapping(entry.get("response"))
    status, headers = response.get("status"), _headers(_mapping(response.get("headers")))
    hashed = str(entry.get("hash") or "")
    # Nothing says of which form the hash is where the POP's answer is compressed.
    packed = headers.get("content-encoding", "identity").lower() != "identity"
    length = headers.get("content-length", "")
    return Seen(
        status=status if isinstance(status, int) and not isinstance(status, bool) else 0,
        headers=headers,
        md5=hashed.lower() if _MD5.fullmatch(hashed) and not packed else "",
        size=int(length) if length.isdecimal() and length.isascii() and len(length) < 19 and not packed else None,
        pop=str(entry["pop"]),
        reason=_reason(hashed, packed=packed) or ("" if status else "the POP gave no answer"),
    )


def _reason(hashed: str, *, packed: bool) -> str:
    for beginning, words in _INSTEAD.items():
        if hashed.startswith(beginning):
            return words
    if _MD5.fullmatch(hashed):
        return "its answer is compressed, and the hash may be that of the compressed form" if packed else ""
    return "no hash"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _headers(given: Mapping[str, Any]) -> dict[str, str]:
    """With names in lower case; a header that came several times may be a list."""
    lists = {name.lower(): value if isinstance(value, list) else [value] for name, value in given.items()}
    return {name: ", ".join(map(str, values)) for name, values in lists.items()}

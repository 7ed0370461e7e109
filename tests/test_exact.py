"""What may stand in a request line as it was written."""

from __future__ import annotations

import re
from itertools import product

from multicdn._exact import has_dot_segments

PARTS = ["", "/", ".", "..", ";", "\\", "%2e", "%2E", "%2f", "%2F", "%5c", "%5C", "%20", "%", "?", "#", "a"]


def resolves(text: str) -> bool:
    """As a proxy that unescapes the path, takes every slash for one, drops parameters, and looks at the segments."""
    path = re.split("[?#]", text)[0].lower().replace("%2e", ".")
    return any(segment.partition(";")[0] in (".", "..") for segment in re.split(r"/|\\|%2f|%5c", path))


def test_a_segment_of_dots_is_seen_however_it_is_escaped() -> None:
    texts = list(map("".join, product(PARTS, repeat=4)))
    assert [text for text in texts if has_dot_segments(text)] == [text for text in texts if resolves(text)]

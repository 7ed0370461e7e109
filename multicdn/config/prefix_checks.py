"""Prefixes of routes that no key begins with, or that templates make odd URLs of. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
_LONGEST_KEY = 1024

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/]*/?")
_ESCAPED = re.compile(r"%[0-9A-Fa-f]{2}")
_STEP = re.compile(r"(?:\./|\.\./)+")


def is_too_long(prefix: str) -> bool:
    """Whether it is longer than a key can be."""
    return len(prefix.encode("utf-8", "surrogatepass")) > _LONGEST_KEY


def doubts(prefix: str) -> Iterator[str]:
    """Why hardly a key begins with a prefix, each with what to write."""
    if found := _URI.match(prefix):
        yield f"is a URI, and keys have no bucket in them: write {prefix[found.end() :]!r}"
        return
    if prefix.startswith("/"):
        yield "begins with a slash, and keys in S3 rarely do"
    if found := _STEP.match(prefix):
        yield f"begins with {found[0]}, which no tool leaves in a key: write {prefix[found.end() :]!r}"
    if "\\" in prefix:
        yield f"holds a backslash, and folders in keys end with a slash: write {prefix.replace(chr(92), '/')!r}"
    if "//" in prefix:
        yield f"holds two slashes, and keys rarely do: write {re.sub('/+', '/', prefix)!r}"
    if "*" in prefix:
        yield "holds a *, which stands for itself: leave it out to match all that follows"
    if _ESCAPED.search(prefix):
        yield f"is percent-encoded, and keys are compared as they are: write {unquote(prefix)!r}"
    if re.search(r"\{\w*\}", prefix):
        yield "holds a placeholder, and nothing fills one in here"
    if prefix != prefix.strip():
        yield f"has blanks around it, and keys rarely do: write {prefix.strip()!r}"


def doubt_of_path(prefix: str, templates: Iterable[str]) -> str:
    """What ``{path}`` makes of a prefix that ends within a name; empty where no template is made odd by it.

    The key goes on with a slash in the folder that is meant, and with the rest of another name in its neighbours.
    """
    if not prefix or prefix.endswith("/"):
        return ""
    for text in templates:
        before, found, _ = text.partition("{path}")
        if found and before.endswith("/"):
            return (
                f"ends without a slash, so the key {prefix}/a has the URL {before}/a, with two slashes, and {prefix}-b "
                f"counts as well: write {prefix + '/'!r}"
            )
    return ""


def doubt_of_join(prefix: str, text: str) -> str:
    """What a template runs together, or keeps apart by two slashes; empty where nothing is odd."""
    path = urlsplit(text).path
    if re.search(r"(?<!:)//", path):
        return f"{text!r} has two slashes in its path, which caches tell from one"
    if found := re.search(r"[A-Za-z0-9]\{(key|path|dir)\}", path):
        if found[1] == "path" and prefix and not prefix.endswith("/"):
            return ""
        joined = found[0].replace("{", "/{")
        return f"{text!r} has no slash before {{{found[1]}}}; write {text.replace(found[0], joined)!r} if one is meant"
    return ""

"""Placeholders as other tools write them, and hosts that are more than a name. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

# What others call it, and the placeholder that is meant.
_WORDS = {
    "key": "key", "object": "key", "object_key": "key", "objectkey": "key", "s3_key": "key", "uri": "key",
    "url": "key", "file": "key", "filepath": "key", "file_path": "key", "fullpath": "key",
    "path": "path", "rest": "path", "relative_path": "path", "relpath": "path",
    "dir": "dir", "dirname": "dir", "directory": "dir", "folder": "dir", "parent": "dir",
    "name": "name", "filename": "name", "file_name": "name", "basename": "name",
    "stem": "stem", "base": "stem", "ext": "ext", "extension": "ext", "suffix": "ext",
    "bucket": "bucket", "bucket_name": "bucket", "bucketname": "bucket",
}  # fmt: skip

_WORD = r"([A-Za-z_][A-Za-z0-9_]{0,30})"
# ${key}, {{key}}, %(key)s, #{key}, %{key}: what would be left of them stays in the URL.
_WRAPPED = re.compile(rf"[$#%]\{{ ?{_WORD} ?\}}|\{{\{{ ?{_WORD} ?\}}\}}|%\({_WORD}\)s?|<{_WORD}>")
# $key, :key, @key, %s: signs that a URL may hold, and mean nothing.
_BARE = re.compile(rf"(?<=[/=.])[$:@]{_WORD}|(?<=[/=])%[sv](?![0-9A-Za-z])")
_UNKNOWN = re.compile(r"\{([^{}]*)\}")


def wrapped(text: str, known: Collection[str]) -> str:
    """What is wrong with a placeholder that isn't spelled as one that is known; empty where there is none."""
    for found in _WRAPPED.finditer(text):
        word = next(filter(None, found.groups()))
        meant = word if word in known else _WORDS.get(word.lower())
        remedy = f"write {{{meant}}}" if meant else "placeholders are written as {key}"
        return f"{found[0]} is no placeholder here: {remedy}"
    return ""


def meant_by(word: str) -> str:
    """The placeholder that is meant by another tool's name for it; empty where none is."""
    return _WORDS.get(word.strip().lower().replace("-", "_"), "")


def unknown(text: str, known: Collection[str]) -> str:
    """Which of ours is meant by the first placeholder that we don't have; empty where that can't be told."""
    for word in _UNKNOWN.findall(text):
        if word not in known and (meant := meant_by(word)) in known:
            return f"unknown placeholder {{{word}}}: write {{{meant}}}"
    return ""


def bare(text: str) -> str:
    """What looks like a placeholder and stands for itself; empty where nothing does."""
    for found in _BARE.finditer(text):
        meant = _WORDS.get((found[1] or "key").lower())
        if meant:
            return f"{found[0]} stands for itself: write {{{meant}}} if the object is meant"
    return ""


def not_a_host(text: str) -> str:
    """What is wrong with the name of a host, with what to write; empty where nothing is."""
    bare = re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*://|^//", "", text.strip())
    name = re.split("[/?#]", bare)[0].rpartition("@")[2]
    host, _, port = name.partition(":")
    if "*" in text:
        return f"{text!r} is no pattern: write each host by its name"
    if not text.isascii():
        return f"{text!r} holds characters that hosts spell in punycode: write its form that begins with xn--"
    if not host or not re.fullmatch(r"[A-Za-z0-9_.{}-]+", host):
        return f"{text!r} isn't a host name; write www.example.com"
    if text != host:
        what = (
            "a URL" if bare != text.strip() else "more than a host name" if port or name != bare else "not a host name"
        )
        return f"{text!r} is {what}: write {host}"
    return ""

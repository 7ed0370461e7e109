"""Patterns as other tools write them, which do nothing here or something else. Pure.

Ours are shell patterns over whole keys: ``*`` also matches slashes, and nothing but ``*``, ``?`` and ``[`` is special.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# What is offered in place of one pattern at most.
_MOST_OFFERED = 16

_BRACES = re.compile(r"\{([^{},]*(?:,[^{},]*)+)\}")
_ALTERNATIVES = re.compile(r"\((?:\?:)?([^()|]*(?:\|[^()|]*)+)\)")
_ESCAPED = re.compile(r"%[0-9A-Fa-f]{2}")
_REGULAR = re.compile(r"^\^|.\$$|\\[.dwsDWS/]|^\.[*+][.\\]|\.\+|\([^()|]*\|")
_URI = re.compile(r"[a-z][a-z0-9]*://[^/]*/?")


def doubt(pattern: str, others: Sequence[str]) -> str:
    """What a pattern was probably meant to do and doesn't, with what to write; empty where it may be meant so.

    Args:
        pattern: one of a route's.
        others: all of the same list.
    """
    for check in _CHECKS:
        if said := check(pattern):
            return f"{pattern!r} {said}"
    said = _any_depth(pattern, others) or _too_narrow(pattern, others)
    return f"{pattern!r} {said}" if said else ""


def _negation(pattern: str) -> str:
    if not pattern.startswith("!"):
        return ""
    return "begins with !, which takes nothing back here: name the keys to act on under `include`"


def _uri(pattern: str) -> str:
    found = _URI.match(pattern)
    return f"is a URI, and keys have no bucket in them: write {pattern[found.end() :] or '*'}" if found else ""


def _regular_expression(pattern: str) -> str:
    if not _REGULAR.search(pattern):
        return ""
    shell = _from_regular(pattern)
    return f"looks like a regular expression, and is a shell pattern: write {_listed(shell)}" if shell else (
        "looks like a regular expression, and is a shell pattern: `match` takes regular expressions"
    )  # fmt: skip


def _leading(pattern: str) -> str:
    bare = pattern.removeprefix(".").lstrip("/") if pattern.startswith(("/", "./")) else pattern
    return f"begins with a slash or ./, and keys rarely do: write {bare or '*'}" if bare != pattern else ""


def _negated_set(pattern: str) -> str:
    if "[^" not in pattern:
        return ""
    return f"has [^, which is no negation here: write {pattern.replace('[^', '[!')}"


def _braces(pattern: str) -> str:
    if not _BRACES.search(pattern):
        return ""
    return f"has braces, which stand for themselves: write {_listed(_expanded(pattern)) or 'a pattern for each'}"


def _folder(pattern: str) -> str:
    if not pattern.endswith("/"):
        return ""
    return f"matches no key below the folder: write {pattern}*"


def _encoded(pattern: str) -> str:
    if not _ESCAPED.search(pattern):
        return ""
    return f"is percent-encoded, and keys are compared as they are: write {unquote(pattern)}"


def _several(pattern: str) -> str:
    parts = re.split(r", *(?=[*.])", pattern)
    return f"is one pattern: write a list, {_listed(parts)}" if len(parts) > 1 else ""


# The first that has something to say is heard.
_CHECKS: tuple[Callable[[str], str], ...] = (
    _negation, _uri, _regular_expression, _negated_set, _braces, _several, _leading, _folder, _encoded,
)  # fmt: skip


def _any_depth(pattern: str, others: Sequence[str]) -> str:
    without = pattern.replace("**/", "")
    if without in others:
        return ""
    if pattern.startswith("**/*") and "**/" not in pattern[3:]:
        return f"has **/, after which a slash must be in the key: write {without}, since * also matches slashes"
    return f"has **/, and doesn't match without a folder there: add {without}"


def _too_narrow(pattern: str, others: Sequence[str]) -> str:
    """Endings and hidden files match at the root alone, unless another pattern sees to the folders."""
    if not pattern.startswith(".") or "/" in pattern:
        return ""
    if any(other != pattern and other.startswith("*") and other.endswith(pattern) for other in others):
        return ""
    if pattern == ".*":
        return "matches keys that begin with a dot: write * for all, or add */.* for hidden files in folders"
    if pattern.strip("*?[") == pattern:
        return f"matches that one key at the root: write *{pattern} for all keys that end so"
    return ""


def _expanded(pattern: str) -> list[str]:
    """``*.{png,jpg}`` as ``*.png`` and ``*.jpg``; none if they are too many to be read."""
    done: list[str] = []
    waiting = [pattern]
    while waiting and len(done) + len(waiting) <= _MOST_OFFERED:
        first = waiting.pop(0)
        if found := _BRACES.search(first):
            parts = found[1].split(",")
            waiting += [f"{first[: found.start()]}{part.strip()}{first[found.end() :]}" for part in parts]
        else:
            done.append(first)
    return [] if waiting else done


def _from_regular(pattern: str) -> list[str]:
    """Shell patterns for a regular expression that says no more than they can; else none."""
    text = _ALTERNATIVES.sub(lambda found: "{" + found[1].replace("|", ",") + "}", pattern)
    text = text.removeprefix("^") if text.startswith("^") else f"*{text}"
    text = text.removesuffix("$") if text.endswith("$") else f"{text}*"
    text = re.sub(r"\.[*+]", "*", text.replace(r"\.", "\0").replace(r"\/", "/")).replace("\0", ".")
    shell = [re.sub(r"\*+", "*", each) for each in _expanded(text)]
    return [] if any(re.search(r"[\\()\[\]{}|+?^$]", each) for each in shell) else shell


def _listed(patterns: Sequence[str]) -> str:
    return ", ".join(patterns)

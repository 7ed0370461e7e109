"""Whether there can be objects that a route is about: its bucket, its prefix, its patterns.

The function reads its config when it starts. So what nearly every route has is recognised at once, and what explains
the rest is imported for the rest alone.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from multicdn.config.fault import Fault
from multicdn.model import ChangeKind
from multicdn.routing.route import MEMBERS
from multicdn.routing.shell_patterns import any_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multicdn.config.yaml_source import Path
    from multicdn.routing.route import Route

_ODD_IN_PREFIXES = frozenset("*\\%{: \t\n^|,")
_ODD_IN_PATTERNS = frozenset("!{^$\\%,(+: |;")
_WILDCARDS = frozenset("*?[")
# The last of a wildcard.
_ENDS = frozenset("*?]")
# Characters, each of which has four bytes at most.
_SHORT = 256


def faults(route: Route) -> Iterator[Fault]:
    """Find what keeps a route from ever acting, and what other tools' words are taken for."""
    if not _is_plain_name(route.bucket):
        from multicdn.config import bucket_names

        if flaw := bucket_names.flaw(route.bucket):
            yield Fault(("bucket",), *flaw)
    yield from _of_prefix(route)
    yield from _of_patterns(("include",), route.include, route)
    yield from _of_patterns(("exclude",), route.exclude, route)
    for place, also in enumerate(route.also):
        yield from _of_patterns(("also", place, "keys"), also.keys, route)
    yield from _never(route)
    yield from _idle(route)


def _is_plain_name(bucket: str) -> bool:
    letters = bucket.replace("-", "")
    plain = letters.isascii() and letters.isalnum() and bucket == bucket.lower() and 3 <= len(bucket) <= 63
    return plain and "-" not in bucket[0] + bucket[-1] and not bucket.endswith("s3alias") and "--" not in bucket


def _of_prefix(route: Route) -> Iterator[Fault]:
    prefix = route.prefix
    odd = prefix.startswith(("/", ".")) or "//" in prefix or not _ODD_IN_PREFIXES.isdisjoint(prefix)
    if odd or len(prefix) > _SHORT or (prefix and not prefix.endswith("/")):
        from multicdn.config import prefix_checks

        if prefix_checks.is_too_long(prefix):
            yield Fault(("prefix",), "is longer than any key")
        doubts = tuple(prefix_checks.doubts(prefix))
        yield from (Fault(("prefix",), text, warning=True) for text in doubts)
        if doubts:
            return
        if text := prefix_checks.doubt_of_path(prefix, (*route.urls, *route.prefixes)):
            yield Fault(("prefix",), text, warning=True)


def _of_patterns(path: Path, patterns: Sequence[str], route: Route) -> Iterator[Fault]:
    prefix = route.fixed_prefix
    for place, pattern in enumerate(patterns):
        text = ""
        odd = "**/" in pattern or not _ODD_IN_PATTERNS.isdisjoint(pattern)
        if odd or pattern.startswith((".", "/")) or pattern.endswith("/"):
            from multicdn.config import foreign_patterns

            text = foreign_patterns.doubt(pattern, patterns)
        if not text and prefix and not _may_match(pattern, prefix):
            text = f"{pattern!r} is compared with whole keys, and matches none below {prefix}: write {prefix}{pattern}"
        if not text and route.suffix and not route.ignore_case and not _may_end(pattern, route.suffix):
            text = f"{pattern!r} matches no key that ends with {' or '.join(route.suffix)}"
        if text:
            yield Fault((*path, place), text, warning=True)


def _may_match(pattern: str, prefix: str) -> bool:
    literal = next((pattern[:place] for place, sign in enumerate(pattern) if sign in _WILDCARDS), pattern)
    return literal.startswith(prefix) or (literal != pattern and prefix.startswith(literal))


def _may_end(pattern: str, endings: Sequence[str]) -> bool:
    literal = pattern[1 + max((place for place, sign in enumerate(pattern) if sign in _ENDS), default=-1) :]
    return any(literal.endswith(ending) or (literal != pattern and ending.endswith(literal)) for ending in endings)


def _never(route: Route) -> Iterator[Fault]:
    """What can't happen, whatever changes."""
    for place, pattern in enumerate(route.exclude):
        if _covers_all(pattern, route):
            below = f"below {route.prefix}" if route.prefix else "of the bucket"
            yield Fault(("exclude", place), f"{pattern!r} leaves out every key {below}, so the route never acts")
    if route.include and not any(_may_pick(pattern, route) for pattern in route.include):
        remedy = f"; patterns are about whole keys: begin them with {route.prefix}" if route.prefix else ""
        yield Fault(("include",), f"picks no key that the rest of the route leaves, so the route never acts{remedy}")
    if ChangeKind.CREATED in route.on or not route.on:
        return
    if route.preload:
        text = "never happens: only what was created is loaded, and `on` leaves that out"
        yield Fault(("preload",), text, warning=bool(route.purge))
    if route.tags_from and not any(map(route.texts, MEMBERS)):
        yield Fault(("tags_from",), "gives no tag: what was removed has no metadata left, and `on` names nothing else")


def _idle(route: Route) -> Iterator[Fault]:
    """What does nothing beside the others, or less than it seems to."""
    if not (route.urls or route.prefixes):
        for member in ("index", "strip"):
            if getattr(route, member):
                yield Fault((member,), "does nothing without `urls`: it is about the paths of URLs", warning=True)
    if route.match.endswith("/*"):
        text = "ends with /*, which is slashes alone in a regular expression: write /.* for all that is in a folder"
        yield Fault(("match",), text, warning=True)
    if route.match.startswith(("/", "^/")):
        yield Fault(("match",), "begins with a slash, and keys in S3 rarely do", warning=True)
    if route.soft and route.on == (ChangeKind.REMOVED,):
        yield Fault(("soft",), "does nothing: what was removed is always dropped", warning=True)


def _may_pick(pattern: str, route: Route) -> bool:
    if any(map(partial(_covers, pattern), route.exclude)):
        return False
    if route.ignore_case:
        return True
    return _may_match(pattern, route.prefix) and (not route.suffix or _may_end(pattern, route.suffix))


def _covers(narrow: str, wide: str) -> bool:
    """Whether all that a pattern matches another one does: its stars take what is a wildcard of the first."""
    if "[" in narrow + wide or "?" in wide:
        return narrow == wide
    return any_of((wide,))(narrow)


def _covers_all(pattern: str, route: Route) -> bool:
    """Whether a pattern matches all keys of a prefix, whatever follows it, or all that end as a route wants."""
    if not pattern.strip("*"):
        return bool(pattern)
    if pattern.endswith("*"):
        return bool(route.prefix and any_of((pattern,))(route.prefix))
    ending = pattern.lstrip("*")
    plain = ending != pattern and _WILDCARDS.isdisjoint(ending)
    return plain and bool(route.suffix) and all(suffix.endswith(ending) for suffix in route.suffix)

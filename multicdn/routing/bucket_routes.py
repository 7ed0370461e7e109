"""The routes of one bucket: which of them cover a key. Pure."""

from __future__ import annotations

from bisect import bisect_left
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.routing.matcher import Matcher


class BucketRoutes:
    """The routes of one bucket. Time grows with the number of different prefix lengths, not of routes.

    Attributes:
        tagged: whether any of them takes tags from metadata.
        partial: whether any of them may have no target for a key that it covers.
        waiting: whether any of them waits for whole deploys.
    """

    def __init__(self) -> None:
        self._exact = _ByPrefix()
        self._folded = _ByPrefix()
        self.tagged = False
        self.partial = False
        self.waiting = False

    def add(self, matcher: Matcher) -> None:
        """Add a route."""
        if matcher.route.ignore_case:
            self._folded.add(matcher.route.prefix.lower(), len(matcher.route.prefix), matcher)
        else:
            self._exact.add(matcher.route.prefix, len(matcher.route.prefix), matcher)
        self.tagged = self.tagged or bool(matcher.route.tags_from)
        self.partial = self.partial or matcher.is_partial
        self.waiting = self.waiting or matcher.route.waits

    @cached_property
    def parts(self) -> frozenset[str]:
        """The parts of all of them, as ``Matcher.part`` names them. Only who waits for one asks."""
        matchers = (*self._exact.matchers(), *self._folded.matchers())
        return frozenset(matcher.part(member) for matcher in matchers for member in matcher.members)

    def covering(self, key: str) -> list[Matcher]:
        """All routes that cover a key, those with the shortest prefix first."""
        found: list[Matcher] = []
        for length in self._exact.lengths:
            if length > len(key):
                break
            for matcher in self._exact.get(key[:length], ()):
                if matcher.excluded is not None and matcher.excluded(key):
                    continue
                if matcher.wanted is None or matcher.wanted(key):
                    found.append(matcher)
        if self._folded.lengths:
            found += [
                matcher
                for length in self._folded.lengths
                if length <= len(key)
                for matcher in self._folded.get(key[:length].lower(), ())
                if matcher.covers_below_prefix(key)
            ]
        return found


class _ByPrefix:
    """Routes by their prefixes.

    Attributes:
        get: the routes of a prefix.
        lengths: of the prefixes, sorted.
    """

    def __init__(self) -> None:
        self._found: dict[str, list[Matcher]] = {}
        self.get = self._found.get
        self.lengths: list[int] = []

    def add(self, prefix: str, length: int, matcher: Matcher) -> None:
        self._found.setdefault(prefix, []).append(matcher)
        place = bisect_left(self.lengths, length)
        if place == len(self.lengths) or self.lengths[place] != length:
            self.lengths.insert(place, length)

    def matchers(self) -> Iterator[Matcher]:
        return chain.from_iterable(self._found.values())

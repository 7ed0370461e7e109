"""Routes ready for many keys: which of them cover a key, and what a change of it makes stale. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping, Sequence
from fnmatch import translate
from functools import cache
from typing import TYPE_CHECKING

from multicdn.model import Action, Change, ChangeKind, Target, TargetKind, digest
from multicdn.routing import url_templates
from multicdn.routing.route import MEMBERS, is_root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.routing.route import Route
    from multicdn.routing.url_templates import Template

UrlHook = Callable[[Change, Sequence[str]], Sequence[str]]

# Tags that objects have in their metadata, by bucket, key, and the name of the metadata.
Tags = Mapping[tuple[str, str, str], Sequence[str]]

# The member of a route beside ``MEMBERS`` that gives targets.
FROM_METADATA = "tags_from"


class BucketRoutes:
    """The routes of one bucket. Time grows with the number of different prefix lengths, not of routes.

    Attributes:
        parts: of all of them, as ``Matcher.part`` names them.
        tagged: whether any of them takes tags from metadata.
    """

    def __init__(self) -> None:
        self._by_prefix: dict[str, list[Matcher]] = {}
        self._lengths: list[int] = []
        self.parts: set[str] = set()
        self.tagged = False

    def add(self, matcher: Matcher) -> None:
        """Add a route."""
        prefix = matcher.route.prefix
        self.parts |= {matcher.part(member) for member in matcher.members}
        self._by_prefix.setdefault(prefix, []).append(matcher)
        self._lengths = sorted({*map(len, self._by_prefix)})
        self.tagged = self.tagged or bool(matcher.route.tags_from)

    def covering(self, key: str) -> list[Matcher]:
        """All routes that cover a key, those with the shortest prefix first."""
        return [
            matcher
            for length in self._lengths
            if length <= len(key)
            for matcher in self._by_prefix.get(key[:length], ())
            if matcher.excluded is None or matcher.excluded.match(key) is None
        ]


class Matcher:
    """A route with its patterns and templates parsed.

    Args:
        route: has passed all checks.
        soft: for each provider that purges, whether it marks changed objects as stale.

    Attributes:
        route: the route.
        id: the same for the same route, in whatever process.
        excluded: matches the keys to leave alone; None where there are none.
    """

    def __init__(self, route: Route, soft: Mapping[str, bool]) -> None:
        self.route = route
        self.id = digest(repr(route))[:12]
        self.excluded = any_of(route.exclude) if route.exclude else None
        self._clients = route.clients
        self._forms = url_templates.forms(route.index, route.strip, bare=route.bare)
        self._also = [(any_of(also.keys), [url_templates.parse(text) for text in also.as_]) for also in route.also]
        self._templates = [
            (member, kind, [url_templates.parse(text) for text in route.texts(member)])
            for member, kind in MEMBERS.items()
            if route.texts(member)
        ]
        self._anchors = [anchor for text in route.prefixes if (anchor := url_templates.anchor(text))]
        self._orders = {kind: tuple(self._for_kind(kind, soft)) for kind in ChangeKind}

    def orders(self, kind: ChangeKind) -> tuple[tuple[str, Action, bool], ...]:
        """Provider, action and softness for a change of a kind."""
        return self._orders[kind]

    def _for_kind(self, kind: ChangeKind, soft: Mapping[str, bool]) -> Iterator[tuple[str, Action, bool]]:
        for name in dict.fromkeys(self.route.purge):
            # What was removed, or closed to readers, must not be served as stale either.
            yield name, Action.PURGE, soft[name] and kind is ChangeKind.CREATED
        if kind is ChangeKind.CREATED:
            for name in dict.fromkeys(self.route.preload):
                yield name, Action.PRELOAD, False

    @property
    def members(self) -> frozenset[str]:
        """What the route purges by: those of ``MEMBERS`` that it has, and ``tags_from``."""
        own = {member for member, _, _ in self._templates}
        return frozenset(own | {FROM_METADATA} if self.route.tags_from else own)

    def members_of(self, parts: Container[str]) -> frozenset[str]:
        """Those of its members that are among some parts."""
        return frozenset(member for member in self.members if self.part(member) in parts)

    def part(self, member: str) -> str:
        """A name for one member of the route, for a change that waits for this part alone."""
        return f"{self.id}:{member}"

    def targets(
        self, change: Change, url_hook: UrlHook | None, tags: Tags, members: Container[str] | None = None
    ) -> dict[Target, str]:
        """What a change makes stale, and the key behind each; with ``members``, by these members of the route alone."""
        targets: dict[Target, str] = {}
        for member, kind, parsed in self._templates:
            if members is not None and member not in members:
                continue
            texts = self._texts(kind, parsed, change)
            if url_hook is not None and kind is TargetKind.URL:
                urls = map(url_templates.lower_host, url_hook(change, list(texts)))
                texts = {url: texts.get(url, change.key) for url in urls}
            if kind is TargetKind.PREFIX:
                texts = self._below_root(texts, targets)
            for text, key in texts.items():
                # A tag such as "{dir}" is empty for an object at the root, and must never come to mean everything.
                if text or kind is TargetKind.EVERYTHING:
                    targets[Target(kind, text)] = key
        if self.route.tags_from and (members is None or FROM_METADATA in members):
            of_object = tags.get((change.bucket, change.key, self.route.metadata), ())
            targets.update((Target(TargetKind.TAG, tag), change.key) for tag in of_object)
        return targets

    def _texts(self, kind: TargetKind, parsed: Sequence[Template], change: Change) -> dict[str, str]:
        """The texts of a change, and the key behind each."""
        keys = dict.fromkeys(self._expanded(kind, parsed, change.bucket, change.key), change.key)
        if self._also:
            for key in self._alternates(change):
                for text in self._expanded(kind, parsed, change.bucket, key):
                    keys.setdefault(text, key)
        return keys

    def _expanded(self, kind: TargetKind, parsed: Sequence[Template], bucket: str, key: str) -> list[str]:
        if kind is TargetKind.TAG:
            return url_templates.tags(parsed, bucket, key, self.route.prefix)
        forms = self._forms if kind is TargetKind.URL else url_templates.PLAIN
        return url_templates.expand(parsed, bucket, key, self.route.prefix, forms, self._clients)

    def _alternates(self, change: Change) -> Iterator[str]:
        for patterns, parsed in self._also:
            if patterns.match(change.key):
                yield from url_templates.alternates(parsed, change.bucket, change.key, self.route.prefix)

    def _below_root(self, prefixes: Mapping[str, str], targets: dict[Target, str]) -> dict[str, str]:
        """Take out prefixes that would be a whole host because the object lies at its root, and put its URLs instead.

        A prefix that is written out as a whole host stays, and so do all where the route allows it.
        """
        if self.route.allow_root:
            return dict(prefixes)
        roots = {text for text in prefixes if is_root(text) and text not in self.route.prefixes}
        for key in {prefixes[text] for text in roots}:
            anchored = self._anchors, self.route.bucket, key, self.route.prefix, self._forms, self._clients
            for url in url_templates.expand(*anchored):
                targets[Target(TargetKind.URL, url)] = key
        return {text: key for text, key in prefixes.items() if text not in roots}


@cache
def any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Compile shell patterns into one that matches where any of them does."""
    return re.compile("|".join(map(translate, patterns)))

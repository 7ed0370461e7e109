"""A route ready for many keys: which it covers, and what a change of one makes stale. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping, Sequence
from functools import cache, partial
from itertools import chain
from typing import TYPE_CHECKING

from multicdn.model import Action, Change, ChangeKind, Target, TargetKind, digest
from multicdn.routing import placeholders, spellings, url_templates
from multicdn.routing.host_names import AllowedHosts
from multicdn.routing.key_parts import KeyParts, capture_spans
from multicdn.routing.route import MEMBERS, is_root
from multicdn.routing.shell_patterns import any_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.routing.placeholders import Template
    from multicdn.routing.route import Route
    from multicdn.routing.url_templates import Forms

UrlHook = Callable[[Change, Sequence[str]], Sequence[str]]

# Tags that objects have in their metadata, by bucket, key, and the name of the metadata.
Tags = Mapping[tuple[str, str, str], Sequence[str]]

# The member of a route beside ``MEMBERS`` that gives targets.
FROM_METADATA = "tags_from"


class Matcher:
    """A route with its patterns and templates parsed.

    Args:
        route: has passed all checks.
        soft: for each provider that purges, whether it marks changed objects as stale.
        place: file and line of the route; empty where nobody knows.

    Attributes:
        route: the route.
        places: the place alone, or nothing.
        is_partial: whether there are keys for which one of its templates has no text.
        excluded: whether a key is one of those to leave alone; None where there are none.
        wanted: whether a key is one of those to act on, but for its prefix; None where all are.
    """

    __slots__ = (
        "_also", "_anchors", "_around", "_clients", "_forms", "_hosts", "_id", "_orders", "_pattern", "_templates",
        "_verify_urls", "_whole_hosts", "excluded", "is_partial", "places", "route", "wanted",
    )  # fmt: skip

    # There may be ten thousand, and collecting garbage walks through each object that may refer to another: so what is
    # the same for many is shared, and nothing is a list that can be a tuple.
    def __init__(self, route: Route, soft: Mapping[str, bool], place: str = "") -> None:
        self.route = route
        self.places = (place,) if place else ()
        self._id = ""
        flags = re.IGNORECASE if route.ignore_case else re.NOFLAG
        self.excluded = any_of(route.exclude, ignore_case=route.ignore_case) if route.exclude else None
        self._pattern = compiled(route.match, flags) if route.match else None
        self.wanted = _all_of(route, self._pattern)
        self._hosts = AllowedHosts(route.allowed_hosts) if route.allowed_hosts else _NO_HOSTS
        self._clients = route.clients
        self._forms = _forms(route.index, route.strip, route.bare)
        captures = tuple(self._pattern.groupindex) if self._pattern else ()
        self._also = tuple(
            (
                any_of(also.keys, ignore_case=route.ignore_case),
                tuple(placeholders.parse(text, captures) for text in also.as_),
            )
            for also in route.also
        )
        self._templates = tuple(
            (member, kind, tuple(placeholders.parse(text, captures, host=kind is TargetKind.HOST) for text in texts))
            for member, kind in MEMBERS.items()
            if (texts := route.texts(member))
        )
        looked_at = route.verify.urls if route.verify else ()
        self._verify_urls = tuple(placeholders.parse(text, captures) for text in looked_at)
        parsed = (*(templates for _, _, templates in self._templates), *(templates for _, templates in self._also))
        self.is_partial = any(template.partial for template in chain(self._verify_urls, *parsed))
        self._around = self._only_template()
        self._anchors = tuple(anchor for text in route.prefixes if (anchor := url_templates.anchor(text)))
        # Hosts made from keys, written out as whole ones: https://{first}.preview.example.org/.
        self._whole_hosts = tuple(
            template
            for _, kind, templates in (self._templates if self.is_partial else ())
            for template in templates
            if kind is TargetKind.PREFIX and template.host and is_root(template.text)
        )
        self._orders = _orders(route.purge, route.preload, tuple(soft[name] for name in route.purge))

    def _only_template(self) -> tuple[TargetKind, str, str] | None:
        """Kind of the route's only template, and what it has before and after the key; None for any other route."""
        if len(self._templates) != 1 or self._also or self.is_partial or self.route.tags_from:
            return None
        [(_, kind, parsed)] = self._templates
        if kind is not TargetKind.URL or len(parsed) != 1 or not parsed[0].around:
            return None
        before, after = parsed[0].around
        return kind, before, after

    @property
    def id(self) -> str:
        """The same for the same route, in whatever process."""
        if not self._id:
            self._id = digest(repr(self.route))[:12]
        return self._id

    def covers_below_prefix(self, key: str) -> bool:
        """Whether the route covers a key that begins with its prefix."""
        if self.excluded is not None and self.excluded(key):
            return False
        return self.wanted is None or self.wanted(key)

    def orders(self, kind: ChangeKind) -> tuple[tuple[str, Action, bool], ...]:
        """Provider, action and softness for a change of a kind."""
        return self._orders[kind]

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
        if members is None and url_hook is None and (around := self._around):
            kind, before, after = around
            key = change.key
            if not key.endswith(self._forms.endings) and spellings.is_plain(key) and key.startswith(self.route.prefix):
                return {Target(kind, before + key + after): key}
        targets: dict[Target, str] = {}
        for member, kind, parsed in self._templates:
            if members is not None and member not in members:
                continue
            texts = self._texts(kind, parsed, change)
            if url_hook is not None and kind is TargetKind.URL:
                urls = map(url_templates.lower_host, url_hook(change, list(texts)))
                texts = {url: texts.get(url, change.key) for url in urls}
            if kind is TargetKind.PREFIX:
                texts = self._below_root(change.bucket, texts, targets)
            for text, key in texts.items():
                # A tag such as "{dir}" is empty for an object at the root, and must never come to mean everything.
                if text or kind is TargetKind.EVERYTHING:
                    targets[Target(kind, text)] = key
        if self.route.tags_from and (members is None or FROM_METADATA in members):
            of_object = tags.get((change.bucket, change.key, self.route.metadata), ())
            targets.update((Target(TargetKind.TAG, tag), change.key) for tag in of_object)
        return targets

    def looked_at(self, change: Change) -> str:
        """The URL at which the route says to look whether a change is seen; empty if it has none for the key."""
        found = self._expanded(TargetKind.URL, self._verify_urls, change.bucket, change.key)
        return found[0] if found else ""

    def of_object(self, change: Change, urls: Sequence[str]) -> Sequence[str]:
        """Of a change's URLs those that serve the object: no start page, no list of its folder, no size of a picture.

        Where none ends with its key, those that are made of its name in another way, or by a hook.
        """
        templates = [each for _, kind, parsed in self._templates if kind is TargetKind.URL for each in parsed]
        if all(each.whole and each.is_of_object for each in templates):
            return urls
        expanded = partial(self._expanded, TargetKind.URL, bucket=change.bucket, key=change.key)
        plain = expanded([each for each in templates if each.whole and each.is_of_object])
        shared = expanded([each for each in templates if not each.is_of_object])
        return [url for url in urls if url in plain] or [url for url in urls if url not in shared]

    def _texts(self, kind: TargetKind, parsed: Sequence[Template], change: Change) -> dict[str, str]:
        """The texts of a change, and the key behind each."""
        keys = dict.fromkeys(self._expanded(kind, parsed, change.bucket, change.key), change.key)
        if self._also:
            for key in self._alternates(change):
                for text in self._expanded(kind, parsed, change.bucket, key):
                    keys.setdefault(text, key)
        return keys

    def _expanded(self, kind: TargetKind, parsed: Sequence[Template], bucket: str, key: str) -> list[str]:
        prefix = self.route.prefix_in(key)
        parts = self._parts(bucket, key, prefix) if self.is_partial else None
        if kind is TargetKind.TAG:
            return url_templates.tags(parsed, bucket, key, prefix, parts)
        forms = self._forms if kind is TargetKind.URL else url_templates.PLAIN
        return url_templates.expand(parsed, bucket, key, prefix, forms, self._clients, parts)

    def _alternates(self, change: Change) -> Iterator[str]:
        prefix = self.route.prefix_in(change.key)
        parts = self._parts(change.bucket, change.key, prefix) if self.is_partial else None
        for patterns, parsed in self._also:
            if patterns(change.key):
                yield from url_templates.alternates(parsed, change.bucket, change.key, prefix, parts)

    def _parts(self, bucket: str, key: str, prefix: str) -> KeyParts:
        return KeyParts(bucket, key, len(prefix), capture_spans(self._pattern, key), self._hosts)

    def lacking(self, change: Change) -> list[tuple[str, str]]:
        """The templates that have no text for a changed key, and why."""
        parts = self._parts(change.bucket, change.key, self.route.prefix_in(change.key))
        templates = ((kind, each) for _, kind, parsed in self._templates for each in parsed if each.partial)
        return [(each.text, why) for kind, each in templates if (why := self._lacking(kind, each, change, parts))]

    def _lacking(self, kind: TargetKind, template: Template, change: Change, parts: KeyParts) -> str:
        why = parts.lacking(template)
        if why or kind is not TargetKind.PREFIX or self.route.allow_root or template in self._whole_hosts:
            return why
        texts = self._expanded(kind, [template], change.bucket, change.key)
        return "it would be a whole host: write `allow_root: true`" if any(map(is_root, texts)) else ""

    def _below_root(self, bucket: str, prefixes: Mapping[str, str], targets: dict[Target, str]) -> dict[str, str]:
        """Take out prefixes that would be a whole host because the object lies at its root, and put its URLs instead.

        A prefix that is written out as a whole host stays, and so do all where the route allows it.
        """
        if self.route.allow_root:
            return dict(prefixes)
        roots = {text for text in prefixes if is_root(text) and text not in self.route.prefixes}
        if roots and self._whole_hosts:
            kept = (self._expanded(TargetKind.PREFIX, self._whole_hosts, bucket, key) for key in set(prefixes.values()))
            roots = roots.difference(*kept)
        for key in {prefixes[text] for text in roots}:
            anchored = self._anchors, bucket, key, self.route.prefix_in(key), self._forms, self._clients
            for url in url_templates.expand(*anchored):
                targets[Target(TargetKind.URL, url)] = key
        return {text: key for text, key in prefixes.items() if text not in roots}


_NO_HOSTS = AllowedHosts(())


@cache
def _forms(index: str, strip: tuple[str, ...], bare: bool) -> Forms:  # noqa: FBT001
    return url_templates.forms(index, strip, bare=bare)


@cache
def _orders(
    purge: tuple[str, ...], preload: tuple[str, ...], soft: tuple[bool, ...]
) -> Mapping[ChangeKind, tuple[tuple[str, Action, bool], ...]]:
    """Provider, action and softness by kind of change."""
    return {kind: tuple(_for_kind(kind, purge, preload, soft)) for kind in ChangeKind}


def _for_kind(
    kind: ChangeKind, purge: tuple[str, ...], preload: tuple[str, ...], soft: tuple[bool, ...]
) -> Iterator[tuple[str, Action, bool]]:
    for name, softly in dict(zip(purge, soft, strict=True)).items():
        # What was removed, or closed to readers, must not be served as stale either.
        yield name, Action.PURGE, softly and kind is ChangeKind.CREATED
    if kind is ChangeKind.CREATED:
        for name in dict.fromkeys(preload):
            yield name, Action.PRELOAD, False


def _all_of(route: Route, pattern: re.Pattern[str] | None) -> Callable[[str], bool] | None:
    """All that a route wants of a key, but for its prefix; None for nothing."""
    included = any_of(route.include, ignore_case=route.ignore_case) if route.include else None
    if not route.suffix and included is None and pattern is None:
        return None

    def wanted(key: str) -> bool:
        if route.suffix and not ends_with(key, route):
            return False
        if included is not None and not included(key):
            return False
        return pattern is None or pattern.fullmatch(key) is not None

    return wanted


def ends_with(key: str, route: Route) -> bool:
    """Whether a key ends with one of the suffixes of a route."""
    if route.ignore_case:
        return key.lower().endswith(tuple(map(str.lower, route.suffix)))
    return key.endswith(route.suffix)


def compiled(pattern: str, flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[str]:
    """Compile the pattern of a route, which has passed its check. A key may hold line breaks."""
    return re.compile(pattern, flags | re.DOTALL)

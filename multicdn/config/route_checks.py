"""What is wrong with a route, said before it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multicdn.config import capture_checks, key_checks, template_checks
from multicdn.config.fault import Fault
from multicdn.model import Action, TargetKind
from multicdn.provider import SoftPurge, capabilities, capability
from multicdn.routing import url_templates
from multicdn.routing.route import MEMBERS, is_root, wished_soft

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from multicdn.provider import Provider
    from multicdn.routing.route import Route


def faults(route: Route, providers: Mapping[str, Provider], types: Mapping[str, str]) -> Iterator[Fault]:
    """Find what is wrong with a route, and what is probably not meant.

    Args:
        route: each of its values is right by itself.
        providers: by name; names that aren't among them are reported elsewhere.
        types: the providers' plugin names.
    """
    yield from key_checks.faults(route)
    yield from _plain(route)
    yield from (Fault(path, text) for path, text in capture_checks.faults(route))
    if route.allowed_hosts and not capture_checks.makes_hosts(route):
        yield Fault(("allowed_hosts",), "does nothing: no template makes a host name of keys", warning=True)
    yield from _templates(route)
    yield from _alternates(route)
    yield from _nothing_to_do(route)
    for place, name in enumerate(route.purge):
        for text in _unable_to_purge(route, providers[name]) if name in providers else ():
            yield Fault(("purge", place), f"{name} ({types[name]}) {text}")
    for place, name in enumerate(route.preload):
        if name in providers and not capability(providers[name], Action.PRELOAD, TargetKind.URL):
            text = f"{name} ({types[name]}) can't preload; it can {_abilities(providers[name])}"
            yield Fault(("preload", place), text)


def _plain(route: Route) -> Iterator[Fault]:
    if not route.on:
        yield Fault(("on",), "is empty: write created, removed or access, or leave it out for the first two")
    if "/" in route.index:
        yield Fault(("index",), "is the name of a file, without slashes, such as index.html")
    if route.bare and not route.index:
        yield Fault(("bare",), "needs `index`, the name of the documents that stand for their directories")
    for place, ending in enumerate(route.strip):
        if not ending or "/" in ending or ending.startswith("*"):
            yield Fault(("strip", place), "is the end of a file's name, such as .html")
        elif ending.isalnum():
            yield Fault(("strip", place), f"leaves the dot before it: write .{ending} if that goes, too", warning=True)


def _templates(route: Route) -> Iterator[Fault]:
    names = capture_checks.captures(route)
    for member, kind in MEMBERS.items():
        for place, text in enumerate(route.texts(member)):
            if fault := template_checks.fault(text, kind, names):
                yield Fault((member, place), fault)
            elif doubt := template_checks.doubt(text, kind, route.prefix):
                yield Fault((member, place), doubt, warning=True)


def _alternates(route: Route) -> Iterator[Fault]:
    names = capture_checks.captures(route)
    relative = any("{path}" in text for member in MEMBERS for text in route.texts(member))
    for place, also in enumerate(route.also):
        for number, template in enumerate(also.as_):
            where = ("also", place, "as", number)
            if fault := template_checks.fault(template, None, names):
                yield Fault(where, fault)
            elif relative and not _stays_below(route.prefix, template):
                text = f"may leave the prefix {route.prefix!r}, and then has no {{path}}; begin with {{dir}}"
                yield Fault(where, text)


def _stays_below(prefix: str, text: str) -> bool:
    """Whether all keys that a template makes of keys below a prefix are below it, too."""
    return text.startswith(("{key}", prefix)) or (text.startswith("{dir}") and prefix.endswith("/"))


def _nothing_to_do(route: Route) -> Iterator[Fault]:
    if not route.purge and not route.preload:
        yield Fault((), "does nothing: name providers under `purge` or `preload`")
    if route.purge and not any(map(route.wants, MEMBERS)):
        yield Fault(("purge",), "has nothing to purge: write `urls` (or prefixes, tags, hosts)")
    if route.preload and not route.urls:
        yield Fault(("preload",), "has nothing to load: write `urls`")
    if route.spellings and not (route.urls or route.prefixes):
        yield Fault(("spellings",), "has nothing to spell: write `urls` or `prefixes`")
    if route.collapse != "never" and not route.urls:
        yield Fault(("collapse",), "has nothing to collapse: write `urls`")


def _unable_to_purge(route: Route, provider: Provider) -> Iterator[str]:
    for member, kind in MEMBERS.items():
        if route.wants(member) and (text := _unable(route, provider, member, kind)):
            yield text
    if _made_urls(route) and not capability(provider, Action.PURGE, TargetKind.URL):
        yield "can't purge by URL, as `prefixes` need for objects at the root of a host; or set `allow_root: true`"


def _unable(route: Route, provider: Provider, member: str, kind: TargetKind) -> str:
    if not capability(provider, Action.PURGE, kind):
        remedy = "give it a route of its own with what it can do"
        return f"can't purge by `{member}`; it can {_abilities(provider)}; {remedy}"
    if lacking := provider.lacks(Action.PURGE, kind):
        return f"can't purge by `{member}`: {lacking}"
    if route.soft and not isinstance(provider, SoftPurge):
        return "has no soft purge; leave out `soft` to drop objects at once"
    if isinstance(provider, SoftPurge) and kind not in provider.soft_kinds and wished_soft(route, provider):
        return f"has no soft purge by `{member}`; set `soft: false` on this route"
    return ""


def _made_urls(route: Route) -> bool:
    """Whether prefixes of the route may turn into URLs, lest they be a whole host."""
    return not route.allow_root and any(map(_may_be_root, route.prefixes))


def _may_be_root(text: str) -> bool:
    try:
        anchor = url_templates.anchor(text)
    except ValueError:
        return False  # its own problem is on the list
    return anchor is not None and anchor.text != text and is_root(text.partition("{")[0])


def _abilities(provider: Provider) -> str:
    found: Iterable[str] = (f"{what.action} by {what.kind}" for what in capabilities(provider))
    return ", ".join(found)

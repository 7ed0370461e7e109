"""What is wrong with what a route takes from its keys: suffixes, the pattern, and host names that are made of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from multicdn import DOCS
from multicdn.routing import placeholders
from multicdn.routing.host_names import fault_of_pattern
from multicdn.routing.placeholders import IN_HOSTS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from multicdn.config.yaml_source import Path
    from multicdn.routing.route import Route

_GROUP = re.compile(r"\(\?P<(\w+)>")
# Endings in one text: .htm,.html; {htm,html}; (htm|html).
_SEVERAL = re.compile(r"[,;|] *\.|\{[^{},]*,|\([^()|]*\||\\\.|.\$\Z")
_FIELD = re.compile(r"\{([^{}]*)\}")

# The members whose templates may make host names.
_HOSTED = ("urls", "prefixes", "hosts")


def captures(route: Route) -> tuple[str, ...]:
    """The names of the groups in a route's pattern, which are placeholders of its templates."""
    return tuple(_GROUP.findall(route.match)) if route.match else ()


def faults(route: Route) -> Iterator[tuple[Path, str]]:
    """Find what is wrong: the path of a member, and a sentence that goes on from its name."""
    for ending in route.suffix:
        if not ending:
            yield ("suffix",), "is empty: leave it out for all keys"
        elif ending.startswith("*"):
            yield ("suffix",), f"{ending!r} begins with a *, which stands for itself: write {ending.lstrip('*')!r}"
        elif _SEVERAL.search(ending):
            yield ("suffix",), f"{ending!r} is plain text, and no pattern: write a list, such as [.htm, .html]"
    if route.match:
        yield from _of_pattern(route)
    for place, pattern in enumerate(route.allowed_hosts):
        if fault := fault_of_pattern(pattern):
            yield ("allowed_hosts", place), fault
    if not route.allowed_hosts:
        yield from ((path, _UNLIMITED.format(text)) for path, text in _made_hosts(route))


def _of_pattern(route: Route) -> Iterator[tuple[Path, str]]:
    from multicdn.config import key_pattern

    if fault := key_pattern.fault(route.match, ignore_case=route.ignore_case):
        yield ("match",), f"{fault} ({DOCS}/config.md#parts-of-keys)"
    elif fault := _never_matches(route):
        yield ("match",), fault
    for name in captures(route):
        if name in placeholders.PLACEHOLDERS:
            yield ("match",), f"{{{name}}} is a placeholder already: give the group another name"


def _never_matches(route: Route) -> str:
    """Why no key has the route's prefix and suffix and matches its pattern; empty if one may."""
    from multicdn.config import key_ends

    if not key_ends.may_begin(route.match, route.prefix, ignore_case=route.ignore_case):
        return f"matches no key that begins with {route.prefix!r}: it is about whole keys, so begin it with the prefix"
    if route.suffix and not any(
        key_ends.may_end(route.match, ending, ignore_case=route.ignore_case) for ending in route.suffix
    ):
        return f"matches no key that ends with {' or '.join(map(repr, route.suffix))}, so the route never acts"
    return ""


_UNLIMITED = (
    "{!r} makes a host name of keys: name those that it may make under `allowed_hosts`, such as *.preview.example.com "
    "for any one label"
)


def makes_hosts(route: Route) -> bool:
    """Whether a route makes host names of keys."""
    return any(True for _ in _made_hosts(route))


def _made_hosts(route: Route) -> Iterator[tuple[Path, str]]:
    for path, text in _texts_with_hosts(route):
        if "{" in text and (path[0] == "hosts" or "://" in text):
            fields = placeholders.host_fields(text)
            if fields and IN_HOSTS.union(captures(route)).issuperset(fields):
                yield path, text


def _texts_with_hosts(route: Route) -> Iterator[tuple[Path, str]]:
    for member in _HOSTED:
        yield from (((member, place), text) for place, text in enumerate(getattr(route, member)))
    for place, text in enumerate(route.verify.urls if route.verify else ()):
        yield ("verify", "urls", place), text


def without_placeholders(text: str) -> str:
    """A template with a letter in the place of each placeholder."""
    return _FIELD.sub("x", text)


def fault_of_host(text: str, names: Collection[str], *, host: bool = False) -> str:
    """Say what is wrong with the placeholders in the host name of a template; empty if nothing is.

    Args:
        text: the template, of an absolute URL.
        names: of the groups in the route's pattern.
        host: whether it is the template of a host name instead.
    """
    authority = text if host else urlsplit(text).netloc
    fields = [field for field in _FIELD.findall(authority) if field != "bucket"]
    for field in fields:
        if field not in IN_HOSTS and field not in names:
            return (
                f"{text!r} has {{{field}}} in its host name, which no host can hold: is the slash before it missing? "
                "Else write {first} for the first folder, or a group of `match`"
            )
    if fields and ("@" in authority or fields != placeholders.host_fields(text)):
        return f"{text!r} has a placeholder in place of a port or a user: write those out"
    return ""

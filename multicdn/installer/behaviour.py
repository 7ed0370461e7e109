"""What a config makes the function do, and what changes in that: providers, routes, limits, prices, deliveries.

Pure. Secrets are shown by their references, which is all that a config has of them.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from multicdn.config import parse, text_file, yaml_source
from multicdn.config.settings import Retrying
from multicdn.errors import ConfigError
from multicdn.plugins.discovery import Plugins
from multicdn.plugins.options import option_types
from multicdn.provider import capabilities
from multicdn.routing.route import MEMBERS, Route, listed
from multicdn.routing.tiers import Tier
from multicdn.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from multicdn.config import Config
    from multicdn.installer.deployed_code import DeployedCode
    from multicdn.provider import Limits, Provider

# A member's value as text, or the texts of a list.
Members = Mapping[str, str | tuple[str, ...]]

# More than anybody reads before saying yes.
_MOST_LINES = 200

# What stands between the scheme and the host of a URL with a password.
_USER = re.compile(r"(?<=://)[^/@\s]+@")

# Members that the name of a thing has in it.
_IN_NAME = ("type", "bucket", "prefix", "suffix")

# By these, in turn, a changed route is known again among those of its bucket.
_MARKS = (("prefix", "suffix", "include", "match"), ("urls", "prefixes", "tags", "hosts"))


class Behaviour(Struct, frozen=True):
    """All of a config that shows in what is purged.

    Attributes:
        providers: by name, the type and the options that aren't the default.
        routes: the members of each that aren't the default.
        delivery: the settings that aren't the default.
        limits: of each provider, how much a call takes and how fast calls may follow; empty where that isn't known.
    """

    providers: Mapping[str, Members]
    routes: Sequence[Members]
    delivery: Members
    limits: Mapping[str, Members] = {}


def section(before: DeployedCode | None, config: Config, packages: Iterable[str], problem: str = "") -> Iterator[str]:
    """What changes in behaviour, in lines for a plan.

    Args:
        before: what is deployed; None where nothing is, or it can't be read.
        config: that is to be deployed.
        packages: that are to be, ``name==version``.
        problem: why what is deployed can't be read; empty where it can.
    """
    if problem:
        yield f"Behaviour: what changes can't be said: {problem}"
        return
    if before is None:
        after = _of(config)
        lines = list(changes(Behaviour({}, (), after.delivery), after))
        yield "Behaviour:"
    else:
        lines = [*_config_changes(before.config, config), *_package_changes(before.packages, packages)]
        yield f"Behaviour: {'changes' if lines else 'no change'}"
    yield from (f"  {line}" for line in islice(lines, _MOST_LINES))
    if len(lines) > _MOST_LINES:
        yield f"  … and {len(lines) - _MOST_LINES:,} lines more; `multicdn install config` prints what is deployed"


def changes(old: Behaviour, new: Behaviour) -> Iterator[str]:
    """Lines for every provider and route that comes, goes or changes: ``+``, ``-``, ``~``."""
    for name in dict.fromkeys((*old.providers, *new.providers)):
        before, after = old.providers.get(name), new.providers.get(name)
        plugin = (after or before or {})["type"]
        limits = _members(old.limits.get(name, {}), new.limits.get(name, {})) if before and after else ()
        yield from _thing(f"provider {name}" + f" ({plugin})" * (plugin != name), before, after, limits)
    for one, other in _paired(old.routes, new.routes):
        yield from _thing(f"route {_label(other or one or {})}", one, other)
    if old.delivery != new.delivery:
        yield "~ delivery"
        yield from _members(old.delivery, new.delivery)


def _config_changes(old: bytes, config: Config) -> Iterator[str]:
    """The same against a deployed config, which an older version has checked."""
    try:
        text = text_file.decoded(old)
        try:
            before, after = _of(parse(text, "the deployed config", Plugins())), _of(config)
        except ConfigError:
            # A plugin has gone, or a check was added: what it says can be compared all the same.
            before = _as_written(yaml_source.parse(text, "the deployed config").data)
            after = _of(config, derived=False)
    except (ConfigError, LookupError, TypeError, ValueError, AttributeError) as error:
        why = error.problems[0] if isinstance(error, ConfigError) else "it isn't one"
        yield f"~ the deployed config can't be read: {why}"
        return
    yield from changes(before, after)


def _package_changes(old: Iterable[str], new: Iterable[str]) -> Iterator[str]:
    before, after = (dict(package.split("==", 1) for package in packages) for packages in (old, new))
    if before:
        for name in sorted({*before, *after}):
            if before.get(name) != after.get(name):
                yield f"~ package {name}: {before.get(name, 'none')} -> {after.get(name, 'none')}"


# From a config to texts


def _of(config: Config, *, derived: bool = True) -> Behaviour:
    tiers = {name: _struct(tier, Tier()) for name, tier in config.tiers.items()}
    providers = {
        name: {**_provider(config.types[name], each, derived=derived), **tiers.get(name, {})}
        for name, each in config.providers.items()
    }
    routes = tuple(_route(route, config.providers if derived else {}) for route in config.routes)
    if not derived:
        return Behaviour(providers, routes, _struct(config.delivery, Retrying()))
    limits = {name: _limits(each) for name, each in config.providers.items()}
    shares = {"concurrency": f"{config.concurrency} invocations share the vendors' rates"}
    return Behaviour(providers, routes, {**_struct(config.delivery, Retrying()), **shares}, limits)


def _as_written(data: Mapping[str, Any]) -> Behaviour:
    """A config whose members are taken as they stand, since what would check them isn't here."""
    providers = {name: {"type": name, **_shown_all(options or {})} for name, options in data["providers"].items()}
    routes = []
    for written in data["routes"]:
        lists = {name: listed(written[name]) for name in ("suffix",) if name in written}
        routes += [_shown_all({**written, **lists, "bucket": bucket}) for bucket in listed(written["bucket"])]
    return Behaviour(providers, routes, _shown_all(data.get("delivery") or {}))


def _provider(plugin: str, provider: Provider, *, derived: bool) -> Members:
    members: dict[str, Any] = {"type": plugin}
    defaults = {field.name: field for field in dataclasses.fields(provider)}
    for name in option_types(type(provider)):
        value, field = getattr(provider, name), defaults[name]
        if value != field.default and (
            field.default_factory is dataclasses.MISSING or value != field.default_factory()
        ):
            members[name] = value
    price = provider.price
    if derived and price is not None:
        members["price"] = f"${price.dollars:g} a target, after {price.free:,} free ones a month of the account"
    return _shown_all(members)


def _route(route: Route, providers: Mapping[str, Provider]) -> Members:
    default = Route(bucket="")
    members = {name: value for name, value in _fields(route).items() if value != getattr(default, name)}
    targets = sum(len(route.texts(name)) for name in MEMBERS) + bool(route.tags_from)
    counted = f"{targets} target{'' if targets == 1 else 's'}"
    costs = {
        f"cost at {name}": f"${targets * price.dollars:g} for an object that changes ({counted})"
        for name in route.purge
        if name in providers and (price := providers[name].price) is not None
    }
    return _shown_all(members | costs)


def _limits(provider: Provider) -> Members:
    return {f"limits of {way.method}": _pace(way.limits_of(provider)) for way in capabilities(provider)}


def _pace(limits: Limits) -> str:
    paces = ((limits.calls_per_second, "calls/s"), (limits.targets_per_second, "targets/s"))
    return ", ".join((f"{limits.targets:,} a call", *(f"{pace:g} {unit}" for pace, unit in paces if pace is not None)))


def _struct(value: Struct, default: Struct) -> Members:
    return _shown_all({name: each for name, each in _fields(value).items() if each != getattr(default, name)})


def _fields(value: Struct) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}


def _shown_all(members: Mapping[str, Any]) -> dict[str, str | tuple[str, ...]]:
    return {name: _shown(value) for name, value in members.items()}


def _shown(value: object) -> str | tuple[str, ...]:
    if isinstance(value, list | tuple) and value:
        return tuple(map(_text, value))
    return _text(value)


def _text(value: object) -> str:
    """As one would write it in the file; what a plugin's own types hold may be anything."""
    if isinstance(value, Secret):
        return value.reference
    plain = msgspec.to_builtins(value, enc_hook=str)
    if isinstance(plain, dict):
        plain = {name: each for name, each in plain.items() if each is not None}
    text = plain if isinstance(plain, str) else json.dumps(plain, sort_keys=True, ensure_ascii=False)
    return _USER.sub("…@", text)


# Differences


def _thing(what: str, before: Members | None, after: Members | None, more: Iterable[str] = ()) -> Iterator[str]:
    if after is None:
        yield f"- {what}"
    elif before is None:
        yield f"+ {what}"
        yield from (f"    {name}: {', '.join(listed(value))}" for name, value in after.items() if name not in _IN_NAME)
    elif lines := [*_members(before, after), *more]:
        yield f"~ {what}"
        yield from lines


def _members(before: Members, after: Members) -> Iterator[str]:
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name, ()), after.get(name, ())
        if old == new:
            continue
        if isinstance(old, str) and isinstance(new, str):
            yield f"    {name}: {old} -> {new}"
            continue
        gone, come = listed(old), listed(new)
        yield from (f"    - {name}: {item}" for item in gone if item not in come)
        yield from (f"    + {name}: {item}" for item in come if item not in gone)
        if sorted(gone) == sorted(come):
            yield f"    {name}: in another order"


def _paired(old: Sequence[Members], new: Sequence[Members]) -> Iterator[tuple[Members | None, Members | None]]:
    """The routes that aren't in both, each beside the one that it was before, if that can be told.

    Every matching route applies, so that their order says nothing.
    """
    before, after = ({_mark(route, route): route for route in routes} for routes in (old, new))
    gone = {mark: route for mark, route in before.items() if mark not in after}
    come = {mark: route for mark, route in after.items() if mark not in before}
    for marks in _MARKS:
        known: dict[str, list[str]] = defaultdict(list)
        for mark, route in gone.items():
            known[_mark(route, marks)].append(mark)
        for mark, route in list(come.items()):
            if found := known[_mark(route, marks)]:
                yield gone.pop(found.pop(0)), come.pop(mark)
    yield from ((route, None) for route in gone.values())
    yield from ((None, route) for route in come.values())


def _mark(route: Members, names: Iterable[str]) -> str:
    return json.dumps([(name, route.get(name)) for name in sorted({"bucket", *names})])


def _label(route: Members) -> str:
    """Which objects, as one would write it in a shell."""
    suffix = route.get("suffix", "")
    ends = suffix if isinstance(suffix, str) else "|".join(suffix)
    return f"{route['bucket']}/{route.get('prefix', '')}*{ends}"

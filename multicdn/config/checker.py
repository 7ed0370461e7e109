"""The config file, decoded into types. Every error names file, line, path and what to do; all are reported at once."""

from __future__ import annotations

import dataclasses
import enum
import os
import re
import typing
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from multicdn import DOCS, secrets
from multicdn.config import route_checks, text_file, yaml_source
from multicdn.config.publish import Publish
from multicdn.config.settings import Install, Retrying
from multicdn.errors import ConfigError, PluginError, did_you_mean
from multicdn.plugins.discovery import NoHooks, Plugins
from multicdn.plugins.options import option_types, required_options
from multicdn.provider import Provider
from multicdn.routing.route import Route, listed, written_members
from multicdn.routing.tiers import Tier, written_options
from multicdn.routing.verify import wished
from multicdn.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.config.yaml_source import Document

__all__ = [
    "CONFIG",
    "FILE_NAME",
    "VERSION",
    "Config",
    "Route",
    "load",
    "locate",
    "parse",
]

CONFIG = "MULTICDN_CONFIG"
FILE_NAME = "multicdn.config.yml"
VERSION = 1

# Members of the file that begin so are the author's own: what other parts take in by alias, or what other tools read.
_EXTENSION = "x-"

# How msgspec calls the types, and how the author of a config file does.
_TYPES = {
    "str": "a text", "bool": "true or false", "int": "a whole number", "float": "a number", "array": "a list",
    "object": "a mapping", "null": "nothing",
}  # fmt: skip

_Section = typing.TypeVar("_Section", Install, Publish, Retrying)


@dataclasses.dataclass(frozen=True)
class Config:
    """A config file that has passed all checks.

    Attributes:
        name: of the file.
        providers: instances by name, as configured.
        types: their plugin names.
        routes: in the order of the file.
        warnings: what is legal and probably not meant, one line each.
        install: what the installer makes.
        delivery: how long jobs are tried.
        places: file and line of each route.
        publish: who else is told of outcomes.
        tiers: where those providers stand that say so, by name.
    """

    name: str
    providers: Mapping[str, Provider]
    types: Mapping[str, str]
    routes: tuple[Route, ...]
    warnings: tuple[str, ...] = ()
    install: Install = dataclasses.field(default_factory=Install)
    delivery: Retrying = dataclasses.field(default_factory=Retrying)
    places: tuple[str, ...] = ()
    publish: Publish = dataclasses.field(default_factory=Publish)
    tiers: Mapping[str, Tier] = dataclasses.field(default_factory=dict)

    @property
    def concurrency(self) -> int:
        """How many invocations share a vendor's rate: as set, or as many as the installer allows at once."""
        return self.delivery.concurrency or self.install.concurrency or 1


def locate() -> Path:
    """Find the config file: ``MULTICDN_CONFIG``, or ``multicdn.config.yml`` beside the function."""
    named = os.environ.get(CONFIG)
    folder = Path(os.environ.get("LAMBDA_TASK_ROOT", "."))
    return folder / (named or FILE_NAME)


def load(path: Path | None = None, plugins: Plugins | None = None) -> Config:
    """Read and check a config file.

    Raises:
        ConfigError: with every problem found.
    """
    path = path or locate()
    try:
        text = text_file.decoded(path.read_bytes())
    except FileNotFoundError:
        remedy = f"set {CONFIG} to the path of yours, or write one with `multicdn init`"
        raise ConfigError([f"{path}: no such file; {remedy}"]) from None
    except text_file.NotTextError as error:
        raise ConfigError([f"{path.name}:{error.line}: {error.text}"]) from None
    except OSError as error:
        raise ConfigError([f"{path}: can't be read: {error.strerror}"]) from None
    return parse(text, path.name, plugins or Plugins())


def parse(text: str, name: str, plugins: Plugins) -> Config:
    """Check a config's text; ``name`` stands in the messages.

    Raises:
        ConfigError: with every problem found.
    """
    try:
        return _Checker(yaml_source.parse(text, name), plugins).config()
    except ConfigError:
        from multicdn.config import foreign_files

        if told := foreign_files.told(text, name):
            raise ConfigError([told]) from None
        raise


class _Checker:
    """Collects the problems of one file."""

    def __init__(self, document: Document, plugins: Plugins) -> None:
        self._document = document
        self._plugins = plugins
        self._problems: list[tuple[int, str]] = []
        self._warnings: list[str] = []
        self._types: dict[str, str] = {}
        self._tiers: dict[str, Tier] = {}
        # Of each route, its place in the file: one with several buckets makes several.
        self._places: list[int] = []

    def config(self) -> Config:
        data = self._mapping(self._document.data, ())
        named = {name: value for name, value in data.items() if not name.startswith(_EXTENSION)}
        self._unknown(named, ("version", "providers", "routes", "delivery", "publish", "install"), (), "member")
        self._version(data)
        providers = dict(self._providers(self._mapping(data.get("providers"), ("providers",))))
        routes = tuple(self._routes(data.get("routes"), providers))
        retrying = self._section("delivery", Retrying, data.get("delivery"))
        install = self._section("install", Install, data.get("install"))
        publish = self._section("publish", Publish, data.get("publish"))
        self._refuse_waiting(routes, install)
        if self._problems:
            texts = (text for _, text in sorted(self._problems, key=lambda problem: problem[0]))
            raise ConfigError(list(dict.fromkeys(texts)))  # what is wrong for each bucket of a route is said once
        self._notices(providers, routes)
        warnings = tuple(dict.fromkeys(self._warnings))
        places = tuple(self._document.at(("routes", place)) for place in self._places)
        return Config(
            name=self._document.name,
            providers=providers,
            types=self._types,
            routes=routes,
            warnings=warnings,
            install=install,
            delivery=retrying,
            places=places,
            publish=publish,
            tiers=self._tiers,
        )

    # Reporting

    def _problem(self, path: yaml_source.Path, text: str) -> None:
        where = self._document.at(path)
        line = int(where.rpartition(":")[2])
        self._problems.append((line, f"{where}: {_shown(path)}{text}"))

    def _warn(self, path: yaml_source.Path, text: str) -> None:
        self._warnings.append(f"{self._document.at(path)}: {_shown(path)}{text}")

    def _unknown(self, data: Mapping[str, Any], known: tuple[str, ...], path: yaml_source.Path, what: str) -> None:
        for name in data:
            if name not in known:
                from multicdn.config.synonyms import suggestion

                place = what if path else "file"
                self._problem((*path, name), f"unknown {what} {name!r}{suggestion(name, known, place)}")

    def _mapping(self, value: object, path: yaml_source.Path) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        if value is None and path:
            self._problem(path, f"is missing or empty; see {DOCS}/config.md")
        else:
            self._problem(path, f"must be a mapping of names to values, not {_kind(value)}")
        return {}

    def _version(self, data: Mapping[str, Any]) -> None:
        if data.get("version") != str(VERSION):
            self._problem(("version",), f"write `version: {VERSION}`, the only version that there is")

    # Values

    def _values(self, data: Mapping[str, Any], hints: Mapping[str, Any], path: yaml_source.Path) -> dict[str, Any]:
        """Convert the members that are known, each by itself, so that one problem doesn't hide the next."""
        values = {}
        for name, raw in data.items():
            if name not in hints:
                continue
            try:
                values[name] = msgspec.convert(raw, hints[name], strict=False, dec_hook=self._custom)
            except msgspec.ValidationError as error:
                self._problem(*_explained(error, (*path, name), hints[name]))
            else:
                self._stray_references(raw, values[name], (*path, name))
        return values

    def _custom(self, wanted: type, raw: object) -> object:
        """Convert what msgspec doesn't know: secrets. The messages never repeat the value."""
        if wanted is not Secret:
            raise ValueError(f"can't be written in a config file (it wants a {wanted.__name__})")
        reference = secrets.parse_reference(raw) if isinstance(raw, str) else None
        if reference is None:
            raise ValueError("is a secret: write a reference such as ${env:NAME} or ${ssm:/path}, never the value")
        scheme, name = reference
        if scheme in secrets.BUILT_IN:
            return Secret(f"${{{scheme}:{name}}}", partial(secrets.resolve, scheme, name))
        if isinstance(self._plugins.hooks, NoHooks):
            raise ValueError(f"unknown secret scheme {scheme!r}{did_you_mean(scheme, secrets.BUILT_IN)}")
        return Secret(f"${{{scheme}:{name}}}", partial(_foreign_secret, self._plugins, scheme, name))

    def _stray_references(self, raw: object, value: object, path: yaml_source.Path) -> None:
        if isinstance(raw, list):
            for place, item in enumerate(raw):
                self._stray_references(item, None, (*path, place))
        elif isinstance(raw, dict):
            for name, item in raw.items():
                self._stray_references(item, None, (*path, name))
        elif isinstance(raw, str) and not isinstance(value, Secret):
            for found in secrets.REFERENCE.finditer(raw):
                text = "is a reference, and this option is no secret: write its value"
                stages = "; where stages differ in it, write a file for each" if found["scheme"] == "env" else ""
                self._problem(path, f"{found[0]} {text}{stages}")

    # Providers

    def _providers(self, data: Mapping[str, Any]) -> Iterator[tuple[str, Provider]]:
        for name, raw in data.items():
            provider = self._provider(name, raw, ("providers", name))
            if provider is not None:
                yield name, provider

    def _provider(self, name: str, raw: object, path: yaml_source.Path) -> Provider | None:
        # `cloudfront:` alone is an instance without options, if its type needs none.
        options = dict(self._mapping({} if raw is None else raw, path))
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
            self._problem(path, "a provider's name may hold letters, digits and . _ -")
        plugin = str(options.pop("type", None) or name)
        self._types[name] = plugin
        try:
            cls = self._plugins.provider_class(plugin)
            hints = option_types(cls)
        except PluginError as error:
            self._problem((*path, "type"), str(error))
            return None
        before = len(self._problems)
        shared = written_options()
        self._unknown(options, ("type", *hints, *shared), path, "option")
        values = self._values(options, hints, path)
        tier = self._values(options, shared, path)
        for lacking in sorted(required_options(cls) - options.keys()):
            self._problem(path, f"{plugin} needs the option {lacking!r}")
        if len(self._problems) > before:
            return None
        if tier:
            self._tiers[name] = Tier(**tier)
        return self._built(cls, values, path)

    def _built(self, cls: type[Provider], values: dict[str, Any], path: yaml_source.Path) -> Provider | None:
        try:
            return cls(**values)
        except ValueError as error:
            self._problem(path, str(error))
            return None

    # Settings

    def _section(self, name: str, kind: type[_Section], raw: object) -> _Section:
        if raw is None:
            return kind()
        path = (name,)
        data = self._mapping(raw, path)
        hints = typing.get_type_hints(kind, include_extras=True)
        self._unknown(data, tuple(hints), path, "setting")
        values = self._values(data, hints, path)
        try:
            return kind(**values)
        except ValueError as error:
            self._problem(path, str(error))
            return kind()

    # Routes

    def _routes(self, raw: object, providers: Mapping[str, Provider]) -> Iterator[Route]:
        if not isinstance(raw, list) or not raw:
            self._problem(("routes",), "must be a list with at least one route")
            return
        hints = written_members()
        for place, item in enumerate(raw):
            path = ("routes", place)
            data = self._mapping(item, path)
            before = len(self._problems)
            self._unknown(data, tuple(hints), path, "member")
            values = self._values(data, hints, path)
            if "bucket" not in data:
                self._problem(path, "needs a `bucket`")
            if len(self._problems) == before:
                yield from self._routes_of(values, providers, path)

    def _routes_of(
        self, values: dict[str, Any], providers: Mapping[str, Provider], path: yaml_source.Path
    ) -> Iterator[Route]:
        """A route for each of the buckets."""
        buckets = listed(values.pop("bucket"))
        values["suffix"] = listed(values.get("suffix", ()))
        values["verify"] = wished(values.get("verify", False))
        for bucket in dict.fromkeys(buckets):
            route = Route(bucket=bucket, **values)
            self._check_route(route, providers, path)
            self._places.append(int(path[-1]))
            yield route

    def _check_route(self, route: Route, providers: Mapping[str, Provider], path: yaml_source.Path) -> None:
        for fault in route_checks.faults(route, providers, self._types):
            (self._warn if fault.warning else self._problem)((*path, *fault.path), fault.text)
        for member in ("purge", "preload"):
            for place, name in enumerate(getattr(route, member)):
                if name not in self._types:  # else its own problem is already on the list
                    where = (*path, member, place)
                    self._problem(where, f"no provider is called {name!r}{did_you_mean(name, self._types)}")

    def _refuse_waiting(self, routes: tuple[Route, ...], install: Install) -> None:
        for place, route in zip(self._places, routes, strict=True):
            if route.waits and not install.queued:
                from multicdn.config import deploy_checks

                fault = deploy_checks.lacks_queue(route)
                self._problem(("routes", place, *fault.path), fault.text)

    def _notices(self, providers: Mapping[str, Provider], routes: tuple[Route, ...]) -> None:
        first: dict[Route, int] = {}
        for place, route in zip(self._places, routes, strict=True):
            if (same := first.setdefault(route, place)) != place:
                line = self._document.at(("routes", same))
                self._warn(("routes", place), f"is the same as the route at {line}, and does nothing more")
        used = {name for route in routes for name in (*route.purge, *route.preload)}
        for name, provider in providers.items():
            if provider.retired:
                self._warn(("providers", name), f"{self._types[name]} is retired: {provider.retired}")
            if name not in used:
                self._warn(("providers", name), "no route uses it")


def _foreign_secret(plugins: Plugins, scheme: str, name: str) -> str:
    value = plugins.hooks.resolve_secret(scheme, name)
    return secrets.resolve(scheme, name) if value is None else secrets.checked(value, scheme, name)


def _explained(error: msgspec.ValidationError, path: yaml_source.Path, wanted: object) -> tuple[yaml_source.Path, str]:
    """Take a msgspec message apart into the path within the file and a sentence."""
    text, _, within = str(error).partition(" - at `$")
    steps = tuple(int(place) if place else name for place, name in re.findall(r"\[(\d+)\]|\.(\w+)", within))
    invalid = re.fullmatch(r"Invalid enum value '?(.*?)'?", text)
    if invalid:
        from multicdn.config.synonyms import suggestion

        text = f"unknown value {invalid[1]!r}{suggestion(invalid[1], tuple(_words(wanted)), str(path[-1]))}"
    else:
        text = re.sub(r"`([\w| ]+)`", lambda named: " or ".join(map(_plain, named[1].split(" | "))), text)
    if "matching regex" in text and (meaning := _description(wanted)):
        text = f"expected {meaning} ({text.replace('Expected ', '')})"
    hint = "; put texts that hold { or } in quotes" if text.endswith("a text, got a mapping") else ""
    return (*path, *steps), text.replace("Expected", "expected") + hint


def _description(hint: object) -> str:
    """What the schema says of a member; empty where it says nothing."""
    metas = [arg for arg in typing.get_args(hint) if isinstance(arg, msgspec.Meta)]
    return next((meta.description for meta in metas if meta.description), "")


def _plain(name: str) -> str:
    """Spell the name of a type of msgspec's for the author of a config file."""
    return _TYPES.get(name, name)


def _words(hint: object) -> Iterator[str]:
    """Yield the texts that a type allows, for suggestions."""
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        yield from (str(member.value) for member in hint)
    elif typing.get_origin(hint) is typing.Literal:
        yield from map(str, typing.get_args(hint))
    else:
        for argument in typing.get_args(hint):
            yield from _words(argument)


def _shown(path: yaml_source.Path) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") + ": " if path else ""


def _kind(value: object) -> str:
    return {list: "a list", str: "a text", type(None): "nothing"}.get(type(value), type(value).__name__)

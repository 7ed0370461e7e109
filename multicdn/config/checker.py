"""The config file, decoded into types. Every error names file, line, path and what to do; all are reported at once."""

from __future__ import annotations

import contextlib
import gc
import re
import typing
from typing import TYPE_CHECKING, Any

import msgspec

from multicdn.config import route_checks, text_file, yaml_source
from multicdn.config.checked import Config
from multicdn.config.location import CONFIG, FILE_NAME, locate
from multicdn.config.problems import Problems
from multicdn.config.publish import Publish
from multicdn.config.settings import Install, Retrying
from multicdn.config.values import Values
from multicdn.errors import ConfigError, PluginError, did_you_mean
from multicdn.plugins import limits
from multicdn.plugins.discovery import Plugins
from multicdn.plugins.options import option_types, required_options
from multicdn.routing.route import Route, listed, written_members
from multicdn.routing.tiers import Tier, written_options
from multicdn.routing.verify import wished

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from multicdn.config.yaml_source import Document
    from multicdn.config.yaml_source import Path as FilePath
    from multicdn.provider import Provider

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

VERSION = 1

# Members of the file that begin so are the author's own: what other parts take in by alias, or what other tools read.
_EXTENSION = "x-"

_Section = typing.TypeVar("_Section", Install, Publish, Retrying)


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
        with _collector_off():
            return _Checker(yaml_source.parse(text, name), plugins).config()
    except ConfigError:
        from multicdn.config import foreign_files

        if told := foreign_files.told(text, name):
            raise ConfigError([told]) from None
        raise


@contextlib.contextmanager
def _collector_off() -> Iterator[None]:
    """Nothing of a document is garbage before it is checked; to look for some takes half of the time of a large one."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Checker:
    """Makes a config of one file's document."""

    def __init__(self, document: Document, plugins: Plugins) -> None:
        self._document = document
        self._plugins = plugins
        self._problems = Problems(document)
        self._values = Values(self._problems, plugins)
        self._types: dict[str, str] = {}
        self._tiers: dict[str, Tier] = {}
        # Of each route, its place in the file: one with several buckets makes several.
        self._places: list[int] = []

    def config(self) -> Config:
        data = self._problems.mapping(self._document.data, ())
        named = [name for name in data if not name.startswith(_EXTENSION)]
        known = ("version", "providers", "routes", "delivery", "publish", "install")
        self._problems.unknown(named, known, (), "member")
        if data.get("version") != str(VERSION):
            self._problems.add(("version",), f"write `version: {VERSION}`, the only version that there is")
        providers = dict(self._providers(self._problems.mapping(data.get("providers"), ("providers",))))
        routes = tuple(self._routes(data.get("routes"), providers))
        made = Config(
            name=self._document.name,
            providers=providers,
            types=self._types,
            routes=routes,
            delivery=self._section("delivery", Retrying, data.get("delivery")),
            install=self._section("install", Install, data.get("install")),
            publish=self._section("publish", Publish, data.get("publish")),
            places=tuple(self._document.at(("routes", place)) for place in self._places),
            tiers=self._tiers,
        )
        self._check_whole(made)
        self._problems.refuse()
        self._notices(providers, routes)
        return msgspec.structs.replace(made, warnings=self._problems.warnings)

    # Providers

    def _providers(self, data: Mapping[str, Any]) -> Iterator[tuple[str, Provider]]:
        for name, raw in data.items():
            provider = self._provider(name, raw, ("providers", name))
            if provider is not None:
                yield name, provider

    def _provider(self, name: str, raw: object, path: FilePath) -> Provider | None:
        # `cloudfront:` alone is an instance without options, if its type needs none.
        options = dict(self._problems.mapping({} if raw is None else raw, path))
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
            self._problems.add(path, "a provider's name may hold letters, digits and . _ -")
        plugin = str(options.pop("type", None) or name)
        self._types[name] = plugin
        try:
            cls = self._plugins.provider_class(plugin)
            hints = option_types(cls)
        except PluginError as error:
            self._problems.add((*path, "type"), str(error))
            return None
        before = len(self._problems)
        shared = written_options()
        self._problems.unknown(options, tuple(dict.fromkeys(("type", *hints, *shared))), path, "option")
        values = self._values.of(options, hints, path)
        tier = self._values.of(options, shared, path)
        for lacking in sorted(required_options(cls) - options.keys()):
            self._problems.add(path, f"{plugin} needs the option {lacking!r}")
        if len(self._problems) > before:
            return None
        if tier:
            self._tiers[name] = Tier(**tier)
        return self._built(cls, values, plugin, path)

    def _built(self, cls: type[Provider], values: dict[str, Any], plugin: str, path: FilePath) -> Provider | None:
        try:
            provider = cls(**values)
        except ValueError as error:
            self._problems.add(path, str(error))
            return None
        for fault in limits.faults(provider):
            self._problems.add(path, f"bug in the plugin {plugin!r}: {fault}")
        return provider

    # Settings

    def _section(self, name: str, kind: type[_Section], raw: object) -> _Section:
        if raw is None:
            return kind()
        path = (name,)
        data = self._problems.mapping(raw, path)
        hints = typing.get_type_hints(kind, include_extras=True)
        self._problems.unknown(data, tuple(hints), path, "setting")
        values = self._values.of(data, hints, path)
        try:
            return kind(**values)
        except ValueError as error:
            self._problems.add(path, str(error))
            return kind()

    # Routes

    def _routes(self, raw: object, providers: Mapping[str, Provider]) -> Iterator[Route]:
        if not isinstance(raw, list) or not raw:
            self._problems.add(("routes",), "must be a list with at least one route")
            return
        hints = written_members()
        for place, item in enumerate(raw):
            path = ("routes", place)
            data = self._problems.mapping(item, path)
            before = len(self._problems)
            self._problems.unknown(data, tuple(hints), path, "member")
            values = self._values.of(data, hints, path)
            if "bucket" not in data:
                self._problems.add(path, "needs a `bucket`")
            if len(self._problems) == before:
                yield from self._routes_of(values, providers, path)

    def _routes_of(self, values: dict[str, Any], providers: Mapping[str, Provider], path: FilePath) -> Iterator[Route]:
        """A route for each of the buckets."""
        buckets = listed(values.pop("bucket"))
        values["suffix"] = listed(values.get("suffix", ()))
        values["verify"] = wished(values.get("verify", False))
        for bucket in dict.fromkeys(buckets):
            route = Route(bucket=bucket, **values)
            self._check_route(route, providers, path)
            self._places.append(int(path[-1]))
            yield route

    def _check_route(self, route: Route, providers: Mapping[str, Provider], path: FilePath) -> None:
        for fault in route_checks.faults(route, providers, self._types):
            self._problems.note(fault, path)
        for member in ("purge", "preload"):
            for place, name in enumerate(getattr(route, member)):
                if name not in self._types:  # else its own problem is already on the list
                    where = (*path, member, place)
                    self._problems.add(where, f"no provider is called {name!r}{did_you_mean(name, self._types)}")

    # All of it

    def _check_whole(self, config: Config) -> None:
        """What is seen only where providers, routes and settings are looked at together."""
        following = any(hasattr(provider, "of") for provider in config.providers.values())
        if config.tiers or following or any(route.verify for route in config.routes):
            from multicdn.config import tier_checks, verify_checks

            for fault in (*verify_checks.faults(config, self._places), *tier_checks.faults(config, self._places)):
                self._problems.note(fault)
        if any(route.waits for route in config.routes):
            from multicdn.config import deploy_checks

            for fault in deploy_checks.faults(config, self._places):
                self._problems.note(fault)

    def _notices(self, providers: Mapping[str, Provider], routes: tuple[Route, ...]) -> None:
        first: dict[Route, int] = {}
        for place, route in zip(self._places, routes, strict=True):
            if (same := first.setdefault(route, place)) != place:
                line = self._document.at(("routes", same))
                self._problems.warn(("routes", place), f"is the same as the route at {line}, and does nothing more")
        used = {name for route in routes for name in (*route.purge, *route.preload)}
        for name, provider in providers.items():
            if provider.retired:
                self._problems.warn(("providers", name), f"{self._types[name]} is retired: {provider.retired}")
            if name not in used:
                self._problems.warn(("providers", name), "no route uses it")

"""A checked config as one file that a bundle starts from: no YAML, no check, no look at what is installed.

It is JSON, and says in full what the checker came to. ``compiled`` makes it where a bundle is built, and proves that it
reads as the same config; ``load`` reads it in Lambda. Whoever changes the config file beside it is read instead.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import Struct

from multicdn import __version__, secrets
from multicdn.config.checked import Config
from multicdn.config.publish import Publish
from multicdn.config.settings import Install, Retrying
from multicdn.errors import MulticdnError, told
from multicdn.plugins.chosen import DISABLE, ChosenPlugins
from multicdn.plugins.options import option_types
from multicdn.routing.route import Route
from multicdn.routing.tiers import Tier
from multicdn.secrets import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from multicdn.plugins.chosen import HookSource
    from multicdn.provider import Provider

#: Name of the file, beside the config file.
FILE_NAME = "multicdn.compiled.json"

# Changes whenever an older reader would misunderstand it.
_FORMAT = 1


class NotCompilableError(MulticdnError):
    """A config can't be written so that it reads as the same one."""


class OutdatedError(MulticdnError):
    """What was compiled is not of this config file, or can't be read."""


class _Instance(Struct, frozen=True):
    """A provider: module and name of its class, and the options that aren't as by default, secrets by reference."""

    source: tuple[str, str]
    options: dict[str, Any]


class _Document(Struct, frozen=True, kw_only=True):
    """The file. ``config`` is the SHA-256 of the config file that it was made from, ``hooks`` are sources by name."""

    format: int
    version: str
    config: str
    name: str
    hooks: dict[str, str]
    types: dict[str, str]
    providers: dict[str, _Instance]
    routes: tuple[Route, ...]
    places: tuple[str, ...]
    warnings: tuple[str, ...]
    tiers: dict[str, Tier]
    install: Install
    delivery: Retrying
    publish: Publish


class Loaded(NamedTuple):
    """What a bundle starts from."""

    config: Config
    plugins: ChosenPlugins


def compiled(config: Config, source: bytes, hooks: Mapping[str, str]) -> bytes:
    """Write a checked config down.

    Args:
        config: as it was checked.
        source: bytes of its file.
        hooks: of the hook plugins that act on it, the entry points' values by name.

    Raises:
        NotCompilableError: an option of a plugin has a value that doesn't read as the same one.
    """
    try:
        instances = {name: _written(provider) for name, provider in config.providers.items()}
        document = {
            "format": _FORMAT,
            "version": __version__,
            "config": _digest(source),
            "name": config.name,
            "hooks": dict(hooks),
            "types": dict(config.types),
            "providers": instances,
            "routes": tuple(map(_differences, config.routes)),
            "places": config.places,
            "warnings": config.warnings,
            "tiers": {name: _differences(tier) for name, tier in config.tiers.items()},
            "install": _differences(config.install),
            "delivery": _differences(config.delivery),
            "publish": _differences(config.publish),
        }
        made = msgspec.json.encode(document, order="sorted")
        _refuse_others(config, _read(made, hooks).config)
    except NotCompilableError:
        raise
    except Exception as error:
        raise NotCompilableError(f"the config can't be compiled: {told(error)}") from None
    return made


def load(path: Path) -> Loaded | None:
    """Read what was compiled of a config file, if it lies beside it.

    Returns:
        None where nothing was compiled, or plugins are switched off by ``MULTICDN_DISABLE_PLUGINS``.

    Raises:
        OutdatedError: it is of another file, or of another multicdn, or broken. Then the config file itself counts.
    """
    place = path.with_name(FILE_NAME)
    try:
        content, source = place.read_bytes(), path.read_bytes()
    except OSError:
        return None
    if os.environ.get(DISABLE, "").strip(" ,"):
        return None
    try:
        known = msgspec.json.decode(content, type=_Head)
        if (known.format, known.version) != (_FORMAT, __version__):
            raise OutdatedError(f"{FILE_NAME} was made by multicdn {known.version}, and this is {__version__}")
        if known.config != _digest(source):
            raise OutdatedError(f"{FILE_NAME} is of another {path.name} than the one beside it")
        return _read(content, None)
    except OutdatedError:
        raise
    except Exception as error:
        raise OutdatedError(f"{FILE_NAME} can't be used: {told(error)}") from None


class _Head(Struct, frozen=True):
    """What is looked at before the rest is believed."""

    format: int
    version: str
    config: str


def _digest(source: bytes) -> str:
    return hashlib.sha256(source).hexdigest()


def _read(content: bytes, hooks: Mapping[str, str] | None) -> Loaded:
    found = msgspec.json.decode(content, type=_Document)
    sources: Mapping[str, HookSource] = found.hooks if hooks is None else hooks
    plugins = ChosenPlugins(sources)
    config = Config(
        name=found.name,
        providers={name: _made(instance, plugins) for name, instance in found.providers.items()},
        types=found.types,
        routes=found.routes,
        warnings=found.warnings,
        install=found.install,
        delivery=found.delivery,
        places=found.places,
        publish=found.publish,
        tiers=found.tiers,
    )
    return Loaded(config, plugins)


# Values


def _written(provider: Provider) -> dict[str, object]:
    cls = type(provider)
    if "<locals>" in cls.__qualname__:
        raise NotCompilableError(f"{cls.__qualname__} is defined within a function, where nothing else finds it")
    options = {
        name: msgspec.to_builtins(getattr(provider, name), enc_hook=_reference)
        for name in option_types(cls)
        if not _is_default(cls, name, getattr(provider, name))
    }
    return {"source": (cls.__module__, cls.__qualname__), "options": options}


def _is_default(cls: type[Provider], name: str, value: object) -> bool:
    field = cls.__dataclass_fields__[name]
    return field.default is not dataclasses.MISSING and type(field.default) is type(value) and field.default == value


def _reference(value: object) -> str:
    """A secret as the config file has it. Whatever else msgspec doesn't know can't be written there either."""
    if isinstance(value, Secret) and secrets.parse_reference(value.reference):
        return value.reference
    raise NotCompilableError(f"a value is a {type(value).__name__}, which has no form in a file")


def _made(instance: _Instance, plugins: ChosenPlugins) -> Provider:
    module, name = instance.source
    cls: Any = importlib.import_module(module)
    for part in name.split("."):
        cls = getattr(cls, part)
    read = partial(secret, resolve_foreign=plugins.resolve_secret)
    hints = option_types(cls) if instance.options else {}
    values = {option: msgspec.convert(raw, hints[option], dec_hook=read) for option, raw in instance.options.items()}
    return cls(**values)  # type: ignore[no-any-return]


def secret(wanted: type, raw: object, resolve_foreign: Any) -> Secret:
    """A secret of a reference that was checked."""
    reference = secrets.parse_reference(raw) if wanted is Secret and isinstance(raw, str) else None
    if reference is None:
        raise ValueError(f"no {wanted.__name__}")
    return secrets.secret_of(*reference, resolve_foreign)


def _differences(value: Struct) -> dict[str, object]:
    """The members of a struct that aren't as by default: some that are by default may not be written."""
    defaults = {field.name: _default(field) for field in msgspec.structs.fields(value)}
    names = {field.name: field.encode_name for field in msgspec.structs.fields(value)}
    return {
        names[name]: msgspec.to_builtins(getattr(value, name))
        for name, default in defaults.items()
        if getattr(value, name) != default
    }


def _default(field: msgspec.structs.FieldInfo) -> object:
    return field.default if field.default is not msgspec.NODEFAULT else _made_default(field)


def _made_default(field: msgspec.structs.FieldInfo) -> object:
    return field.default_factory() if field.default_factory is not msgspec.NODEFAULT else msgspec.NODEFAULT


def _refuse_others(wanted: Config, read: Config) -> None:
    """Refuse what reads as another config.

    Raises:
        NotCompilableError: names the member.
    """
    for field in dataclasses.fields(Config):
        if field.name != "providers" and getattr(wanted, field.name) != getattr(read, field.name):
            raise NotCompilableError(f"`{field.name}` doesn't read as it is written")
    for name, provider in wanted.providers.items():
        other = read.providers[name]
        for option in option_types(type(provider)):
            before, after = getattr(provider, option), getattr(other, option)
            if type(before) is not type(after) or before != after:
                raise NotCompilableError(
                    f"the option `{option}` of the provider `{name}` doesn't read as it is written"
                )

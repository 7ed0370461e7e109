"""What the installed providers are and can do: one source for the command line, the README's table and the schema."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from multicdn.config.checker import parse
from multicdn.errors import ConfigError, PluginError
from multicdn.model import TargetKind
from multicdn.plugins.options import option_types, required_options
from multicdn.provider import Confirm, Discover, Prove, SoftPurge, capabilities
from multicdn.routing.tiers import Tier, written_options
from multicdn.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.plugins.discovery import Plugin, Plugins
    from multicdn.provider import Limits, Provider

# A member of a route with which a provider can be asked for a kind.
_MEMBERS = {
    TargetKind.URL: "urls: ['https://www.example.com/{key}']",
    TargetKind.PREFIX: "prefixes: ['https://www.example.com/{dir}/']",
    TargetKind.TAG: "tags: [all]",
    TargetKind.HOST: "hosts: [www.example.com]",
    TargetKind.EVERYTHING: "everything: true",
}


class Option(Struct, frozen=True):
    """One option of a provider.

    Attributes:
        name: as in the config file.
        type: what to write, in words.
        required: whether there is no default.
        default: as it would stand in the file; empty where there is none.
        help: what it means.
        secret: whether it must be a reference.
        file: of a secret that is the text of a file, where people have that.
    """

    name: str
    type: str
    required: bool
    default: str
    help: str
    secret: bool
    file: str = ""


class Ability(Struct, frozen=True):
    """One thing that a provider can do.

    Attributes:
        action, kind: such as purge by url.
        soft: whether softly as well.
        limits: in words.
        page: where its vendor names the limits.
        seconds: after which a purge is seen everywhere, where its vendor publishes that.
        share: of how many purges it says so; empty where it doesn't say.
        time_page: where it says so.
    """

    action: str
    kind: str
    soft: bool
    limits: str
    page: str = ""
    seconds: float | None = None
    share: str = ""
    time_page: str = ""


class InstalledProvider(Struct, frozen=True):
    """An installed provider plugin.

    Attributes:
        name: its type in config files.
        distribution: where it comes from, with the version.
        fault: why it can't be used, with the remedy; empty if it can.
        summary: first line of its docstring.
        docs: the vendor's page.
        retired: when and why the vendor ended the service; empty if it is alive.
        abilities: what it can do.
        confirms: whether its vendor can be asked if a purge is done.
        proves: whether its vendor says what each POP serves.
        options: what can be configured.
        shared: what can be configured of every provider beside.
        permissions: what its credentials must be allowed to do.
        example: a block for the config file.
    """

    name: str
    distribution: str
    fault: str = ""
    summary: str = ""
    docs: str = ""
    retired: str = ""
    abilities: tuple[Ability, ...] = ()
    confirms: bool = False
    proves: bool = False
    options: tuple[Option, ...] = ()
    shared: tuple[Option, ...] = ()
    permissions: tuple[str, ...] = ()
    example: str = ""


def entries(plugins: Plugins) -> list[InstalledProvider]:
    """List the installed providers by name, the broken ones with their fault."""
    return [entry(plugins, name) for name in sorted(plugins.providers)]


def entry(plugins: Plugins, name: str) -> InstalledProvider:
    """One installed provider.

    Raises:
        PluginError: there is none of this name.
    """
    found = plugins.providers.get(name)
    source = " and ".join(_source(plugin) for plugin in found) if found else ""
    try:
        cls = plugins.provider_class(name)
    except PluginError as error:
        if not found:
            raise
        return InstalledProvider(name, source, fault=str(error))
    return InstalledProvider(
        name=name,
        distribution=source,
        summary=(cls.__doc__ or "").strip().partition("\n")[0],
        docs=cls.docs,
        retired=cls.retired,
        abilities=tuple(_abilities(cls, name, plugins)),
        confirms=issubclass(cls, Confirm),
        proves=issubclass(cls, Prove),
        options=tuple(options(cls)),
        shared=tuple(shared_options(cls)),
        permissions=cls.permissions,
        example=example(cls, name),
    )


def purges(entry: InstalledProvider) -> bool:
    """Whether it purges at all."""
    return any(ability.action == "purge" for ability in entry.abilities)


def status(entry: InstalledProvider) -> str:
    """``alive``, ``broken``, or ``retired`` with the date."""
    if entry.fault:
        return "broken"
    if not entry.retired:
        return "alive"
    date = re.search(r"\d{4}-\d{2}(-\d{2})?", entry.retired)
    return f"retired {date[0]}" if date else "retired"


def finished(entry: InstalledProvider) -> Iterator[str]:
    """When a purge of a provider counts as finished, and what else its vendor can be asked then: sentences."""
    purges = [ability for ability in entry.abilities if ability.action == "purge"]
    untold = [ability.kind for ability in purges if ability.seconds is None]
    some = len(untold) < len(purges)
    if entry.confirms:
        begins = "from the published time on" if some else "soon after it was accepted"
        yield f"The vendor is asked whether a purge is done, {begins}."
    elif some:
        yield "The vendor can't be asked: a purge counts as finished when its published time is over, marked as such."
    if untold and not entry.confirms:
        which = f"A purge by {' or '.join(untold)}" if some else "The vendor can't be asked: a purge"
        yield f"{which} has no published time, and counts as finished once it is accepted."
    if entry.proves:
        yield "What each of its POPs serves is asked of the vendor, for `verify`."


def options(cls: type[Provider]) -> Iterator[Option]:
    """The options of a provider, the required ones first."""
    types = option_types(cls)
    required = required_options(cls)
    fields = [field for field in dataclasses.fields(cls) if field.name in types]
    for field in sorted(fields, key=lambda field: field.name not in required):
        hint = types[field.name]
        yield Option(
            name=field.name,
            type=_type_in_words(hint),
            required=field.name in required,
            default=_default(field),
            help=field.metadata.get("help", ""),
            secret=_is_secret(hint),
            file=field.metadata.get("file", ""),
        )


def shared_options(cls: type[Provider]) -> Iterator[Option]:
    """The options that every provider has, without its own, and for one that only loads without those about purges."""
    own, hints = option_types(cls), written_options()
    only_loads = all(what.action != "purge" for what in capabilities(cls))
    for field in msgspec.structs.fields(Tier):
        if field.name not in own and (field.name == "via" or not only_loads):
            hint = hints[field.name]
            [meta] = hint.__metadata__
            default = _shown_default(field.default)
            yield Option(field.name, _type_in_words(hint), False, default, meta.description, False)  # noqa: FBT003


def example(cls: type[Provider], name: str) -> str:
    """A block for the config file that passes the check."""
    lines = [f"{name}:", *(f"  {option}: {value}" for option, value in cls.example.items())]
    return "\n".join(lines)


def example_config(cls: type[Provider], name: str) -> str:
    """A whole config file: the example, and a route that has it do the first thing that it can do."""
    block = "".join(f"  {line}\n" for line in example(cls, name).splitlines())
    first = capabilities(cls)[0]
    lines = ("  - bucket: acme-site", f"    {_MEMBERS[first.kind]}", f"    {first.action}: [{name}]")
    return f"version: 1\nproviders:\n{block}routes:\n" + "".join(f"{line}\n" for line in lines)


def sample(cls: type[Provider], name: str, plugins: Plugins) -> Provider | None:
    """An instance made from the example, to read limits from that depend on options. None if it has no example."""
    try:
        return parse(example_config(cls, name), "example", plugins).providers[name]
    except ConfigError:
        return None


def _abilities(cls: type[Provider], name: str, plugins: Plugins) -> Iterator[Ability]:
    instance = sample(cls, name, plugins)
    for what in capabilities(cls):
        limits = getattr(instance or cls, what.limits)
        soft = issubclass(cls, SoftPurge) and what.action == "purge" and what.kind in cls.soft_kinds
        known = not isinstance(limits, property)
        words, page = (_limits_in_words(limits), limits.page) if known else ("", "")
        speed = cls.speeds.get(what.kind) if what.action == "purge" else None
        told = (speed.seconds, speed.share, speed.page) if speed else (None, "", "")
        yield Ability(what.action, what.kind, soft, words, page, *told)
    if issubclass(cls, Discover):
        yield Ability("discover", "bucket", soft=False, limits="")


def _limits_in_words(limits: Limits) -> str:
    parts = [f"{limits.targets:,} a call" if limits.targets > 1 else "one a call"]
    if limits.bytes is not None:
        parts.append(f"{limits.bytes:,} bytes a call")
    if limits.targets_per_second is not None:
        parts.append(_rate(limits.targets_per_second, "target"))
    if limits.calls_per_second is not None:
        parts.append(_rate(limits.calls_per_second, "call"))
    return ", ".join(parts)


def _rate(per_second: float, what: str) -> str:
    # Vendors name whole numbers, most of them a second.
    odd = not float(per_second).is_integer() and math.isclose(per_second * 60, round(per_second * 60))
    number, unit = (per_second * 60, "minute") if odd or per_second < 1 else (per_second, "second")
    return f"{number:,.4g} {what}{'' if number == 1 else 's'} a {unit}"


def _source(plugin: Plugin) -> str:
    return f"{plugin.distribution} {plugin.version}"


def _is_secret(hint: Any) -> bool:
    return hint is Secret or any(_is_secret(argument) for argument in getattr(hint, "__args__", ()))


def _type_in_words(hint: Any) -> str:
    if _is_secret(hint):
        return "secret reference"
    words = {str: "text", int: "number", float: "number", bool: "true or false"}
    if isinstance(hint, type) and hint in words:
        return words[hint]
    arguments = [argument for argument in getattr(hint, "__args__", ()) if argument not in (type(None), ...)]
    if arguments and all(isinstance(argument, str) for argument in arguments):
        return " | ".join(arguments)
    if getattr(hint, "__origin__", None) in (dict, Mapping):
        return "mapping"
    if arguments and getattr(hint, "__origin__", None) in (tuple, list, frozenset):
        return f"list of {_type_in_words(arguments[0])}"
    if isinstance(hint, type) and hasattr(hint, "__members__"):
        return " | ".join(hint.__members__.values())
    return " | ".join(map(_type_in_words, arguments)) or "text"


def _default(field: dataclasses.Field[Any]) -> str:
    return "" if field.default is dataclasses.MISSING else _shown_default(field.default)


def _shown_default(value: object) -> str:
    if value in (None, "", ()):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)

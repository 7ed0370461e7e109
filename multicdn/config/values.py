"""From the texts of a config file to typed values, and from the words of msgspec to those of the file's author."""

from __future__ import annotations

import enum
import re
import typing
from typing import TYPE_CHECKING, Any

import msgspec

from multicdn import secrets
from multicdn.errors import did_you_mean
from multicdn.plugins.no_hooks import NoHooks
from multicdn.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from multicdn.config.problems import Problems
    from multicdn.config.yaml_source import Path
    from multicdn.plugins.discovery import Plugins

# How msgspec calls the types, and how the author of a config file does.
_TYPES = {
    "str": "a text", "bool": "true or false", "int": "a whole number", "float": "a number", "array": "a list",
    "object": "a mapping", "null": "nothing",
}  # fmt: skip


class Values:
    """Converts the members of a file's mappings, each by itself, so that one problem doesn't hide the next."""

    def __init__(self, problems: Problems, plugins: Plugins) -> None:
        self._problems = problems
        self._plugins = plugins

    def of(self, data: Mapping[str, Any], hints: Mapping[str, Any], path: Path) -> dict[str, Any]:
        """Convert the members that are known.

        Args:
            data: a mapping of the file.
            hints: the types of its members.
            path: of the mapping.
        """
        values = {}
        for name, raw in data.items():
            if name not in hints:
                continue
            try:
                values[name] = msgspec.convert(raw, hints[name], strict=False, dec_hook=self._custom)
            except msgspec.ValidationError as error:
                self._problems.add(*_explained(error, (*path, name), hints[name]))
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
        if scheme not in secrets.BUILT_IN and isinstance(self._plugins.hooks, NoHooks):
            raise ValueError(f"unknown secret scheme {scheme!r}{did_you_mean(scheme, secrets.BUILT_IN)}")
        return secrets.secret_of(scheme, name, lambda: self._plugins.hooks)

    def _stray_references(self, raw: object, value: object, path: Path) -> None:
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
                self._problems.add(path, f"{found[0]} {text}{stages}")


def _explained(error: msgspec.ValidationError, path: Path, wanted: object) -> tuple[Path, str]:
    """Take a msgspec message apart into the path within the file and a sentence."""
    text, _, within = str(error).partition(" - at `$")
    steps = tuple(int(place) if place else name for place, name in re.findall(r"\[(\d+)\]|\.(\w+)", within))
    wanted = _hint_at(wanted, steps)
    invalid = re.fullmatch(r"Invalid enum value '?(.*?)'?", text)
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", text)
    if invalid:
        from multicdn.config.synonyms import suggestion

        text = f"unknown value {invalid[1]!r}{suggestion(invalid[1], tuple(_words(wanted)), str(path[-1]))}"
    elif unknown:
        steps = (*steps, unknown[1])
        text = f"unknown member {unknown[1]!r}{did_you_mean(unknown[1], _members(wanted))}"
    else:
        text = re.sub(r"`([\w| ]+)`", lambda named: " or ".join(map(_plain, named[1].split(" | "))), text)
    if "matching regex" in text and (meaning := _description(wanted)):
        text = f"expected {meaning} ({text.replace('Expected ', '')})"
    hint = "; put texts that hold { or } in quotes" if text.endswith("a text, got a mapping") else ""
    if "a mapping" in text.partition(", got")[0] and (members := _members(wanted)):
        hint = f"; it has the members {', '.join(members)}"
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


def _hint_at(hint: object, steps: Sequence[str | int]) -> object:
    """The type of what stands at a path within a value of a type."""
    for step in steps:
        hint = _members(hint).get(step, hint) if isinstance(step, str) else hint
    return hint


def _members(hint: object) -> dict[str, object]:
    """The members of the structs in a type, with their types."""
    found: dict[str, object] = {}
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        hints = typing.get_type_hints(hint, include_extras=True)
        found.update({field.encode_name: hints[field.name] for field in msgspec.structs.fields(hint)})
    for argument in typing.get_args(hint):
        found.update(_members(argument))
    return found

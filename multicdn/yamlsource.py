"""YAML with its line numbers, and without YAML's surprises.

Every plain value stays the text that stands in the file; the typed structs of ``multicdn.config`` decide what is a
number or a boolean. So ``on:`` is a word, ``account: 12E4`` isn't a float, and ``bucket: no`` is a bucket called "no".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from msgspec import Struct

from multicdn.errors import ConfigError

if TYPE_CHECKING:
    Path = tuple[str | int, ...]

# The C loader is seven times faster; pure-Python builds of PyYAML don't have it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NULLS = ("", "~", "null", "Null", "NULL")


class Source(Struct, frozen=True):
    """A parsed YAML file.

    Attributes:
        name: of the file, for messages.
        data: dicts, lists, texts and Nones.
        lines: line of each value, and of each key of a mapping, by the path that leads there; the first line is 1.
    """

    name: str
    data: Any
    lines: dict[Path, int]

    def at(self, path: Path) -> str:
        """``file:line`` of a path, or of its nearest ancestor that stands in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.name}:{self.lines.get(path, 1)}"


def parse(text: str, name: str) -> Source:
    """Parse YAML.

    Raises:
        ConfigError: it isn't YAML, a mapping has a key twice, or an alias loops; with file and line.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError([f"{name}:{line}: not valid YAML: {error.problem or error}"]) from None
    except yaml.YAMLError as error:
        raise ConfigError([f"{name}:1: not valid YAML: {error}"]) from None
    builder = _Builder(name)
    data = None if root is None else builder.build(root, ())
    if builder.problems:
        raise ConfigError(builder.problems)
    return Source(name, data, builder.lines)


class _Builder:
    def __init__(self, name: str) -> None:
        self._name = name
        self._open: set[int] = set()
        self.lines: dict[Path, int] = {}
        self.problems: list[str] = []

    def build(self, node: yaml.Node, path: Path) -> Any:
        if id(node) in self._open:
            self._problem(node, "an alias refers to itself")
            return None
        self._open.add(id(node))
        self.lines.setdefault(path, node.start_mark.line + 1)
        value = self._value(node, path)
        self._open.discard(id(node))
        return value

    def _value(self, node: yaml.Node, path: Path) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, place)) for place, item in enumerate(node.value)]
        plain = isinstance(node, yaml.ScalarNode) and node.style is None
        return None if plain and node.value in _NULLS else node.value

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._problem(key, "a key must be a word")
                continue
            below = (*path, key.value)
            if key.value in result:
                self._problem(key, f"{key.value!r} stands twice; first on line {self.lines[below]}")
                continue
            self.lines[below] = key.start_mark.line + 1
            result[key.value] = self.build(value, below)
        return result

    def _problem(self, node: yaml.Node, text: str) -> None:
        self.problems.append(f"{self._name}:{node.start_mark.line + 1}: {text}")

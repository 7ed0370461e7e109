"""YAML with its line numbers, and without YAML's surprises.

Every plain value stays the text that stands in the file; the typed structs of ``multicdn.config`` decide what is a
number or a boolean. So ``on:`` is a word, ``account: 12E4`` isn't a float, and ``bucket: off`` is a bucket called
"off". Aliases and merge keys (``<<``) stand for what they name.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml
from msgspec import Struct

from multicdn.errors import ConfigError

if TYPE_CHECKING:
    Path = tuple[str | int, ...]

# The C loader is seven times faster; pure-Python builds of PyYAML don't have it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NULLS = ("", "~", "null", "Null", "NULL")

# What YAML itself finds in plain texts. Any other tag stands in the file, and asks for what nobody here does.
_TAGS = ("null", "bool", "int", "float", "timestamp", "str", "seq", "map", "merge", "value")


_TEXT = "tag:yaml.org,2002:str"

# A plain ``<<``: yaml.org/type/merge.html
_MERGE = "tag:yaml.org,2002:merge"

# Each value that is written out takes a character; a small file may repeat itself by aliases this often.
_MOST_VALUES = 100_000


class Document(Struct, frozen=True):
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


def parse(text: str, name: str) -> Document:
    """Parse YAML.

    Raises:
        ConfigError: it isn't YAML, a mapping has a key twice, a merge key names none, or aliases loop or multiply; with
            file and line.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        hint = "; put texts that hold { or } in quotes" if "expected ',' or" in str(error.problem) else ""
        raise ConfigError([f"{name}:{line}: not valid YAML: {error.problem or error}{hint}"]) from None
    except yaml.reader.ReaderError as error:
        raise ConfigError([_forbidden(text, name, error)]) from None
    builder = _Builder(name, max(_MOST_VALUES, len(text)))
    data = None if root is None else builder.build(root, ())
    if builder.problems:
        texts = (text for _, text in sorted(builder.problems, key=lambda problem: problem[0]))
        raise ConfigError(list(dict.fromkeys(texts)))  # what is merged in is read again each time
    return Document(name, data, builder.lines)


def scalar(text: str) -> str:
    """Write a text as a value: plain where every reader takes that for the same text, else in quotes."""
    return text if text.isprintable() and _reads_as_text(text) else _quoted(text)


def _reads_as_text(plain: str) -> bool:
    try:
        root: Any = yaml.compose(f"key: {plain}", Loader=_Loader)
    except yaml.YAMLError:
        return False
    value = root.value[0][1]
    return isinstance(value, yaml.ScalarNode) and value.tag == _TEXT and value.value == plain


def _quoted(text: str) -> str:
    # JSON leaves characters as they are that YAML takes for line breaks, or doesn't take at all.
    json_text = json.dumps(text, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else f"\\U{ord(letter):08x}" for letter in json_text)


def _forbidden(text: str, name: str, error: yaml.reader.ReaderError) -> str:
    found = yaml.reader.Reader.NON_PRINTABLE.search(text)
    line = text.count("\n", 0, found.start()) + 1 if found else 1
    return f"{name}:{line}: not valid YAML: the character {found[0] if found else error.character!r} can't stand in it"


class _Builder:
    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._left = most
        self._open: set[int] = set()
        self.lines: dict[Path, int] = {}
        self.problems: list[tuple[int, str]] = []

    def build(self, node: yaml.Node, path: Path) -> Any:
        if id(node) in self._open:
            self._problem(self.lines.get(path, _line(node)), "an alias refers to itself")
            return None
        if node.tag.removeprefix("tag:yaml.org,2002:") not in _TAGS:
            self._problem(_line(node), f"the tag {node.tag} means nothing here: leave it out")
        if not self._has_room(node):
            return None
        self._open.add(id(node))
        self.lines.setdefault(path, _line(node))
        value = self._value(node, path)
        self._open.discard(id(node))
        return value

    def _value(self, node: yaml.Node, path: Path) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            items = node.value if self._left >= 0 else ()
            return [self.build(item, (*path, place)) for place, item in enumerate(items)]
        # The C loader says "" where the Python one says None.
        plain = isinstance(node, yaml.ScalarNode) and not node.style
        return None if plain and node.value in _NULLS else node.value

    def _has_room(self, node: yaml.Node) -> bool:
        """Count one more value; whether there may be as many."""
        self._left -= 1
        if self._left == -1:
            text = "its aliases multiply to far more than the file holds; write out what is meant"
            self._problem(_line(node), text)
        return self._left >= 0

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, (key, value) in self._members(node).items():
            below = (*path, name)
            self.lines[below] = _line(key)
            result[name] = self.build(value, below)
        return result

    def _members(self, node: yaml.MappingNode) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Key and value of each member, those that are merged in among them; its own win."""
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merge: yaml.Node | None = None
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._problem(_line(key), "a key must be a word")
            elif key.tag == _MERGE and merge is not None:
                remedy = "write one, with a list: <<: [*one, *other]"
                self._problem(_line(key), f"{key.value!r} stands twice; first on line {_line(merge)}; {remedy}")
            elif key.tag == _MERGE:
                merge, merged = key, self._merged(value, _line(key))
            elif key.value in own:
                first = _line(own[key.value][0])
                self._problem(_line(key), f"{key.value!r} stands twice; first on line {first}")
            else:
                own[key.value] = key, value
        return {**merged, **own}

    def _merged(self, node: yaml.Node, line: int) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """The members of a mapping, or of several of which the first wins, that a merge key on some line names."""
        several = node.value if isinstance(node, yaml.SequenceNode) else [node]
        members: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for each in several:
            if not isinstance(each, yaml.MappingNode):
                self._problem(line, "<< merges a mapping, or a list of some: write an alias of one, such as <<: *site")
            elif id(each) in self._open:
                self._problem(line, "an alias refers to itself")
            elif self._has_room(each):
                self._open.add(id(each))
                found = self._members(each)
                self._open.discard(id(each))
                members |= {name: pair for name, pair in found.items() if name not in members and self._has_room(each)}
        return members

    def _problem(self, line: int, text: str) -> None:
        self.problems.append((line, f"{self._name}:{line}: {text}"))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1

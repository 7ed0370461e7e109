"""What is wrong with one config file: every problem with file, line and path, and all of them reported at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multicdn import DOCS
from multicdn.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from multicdn.config.fault import Fault
    from multicdn.config.yaml_source import Document, Path


class Problems:
    """Collects the problems and the warnings of a file. Its length is the number of problems."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._found: list[tuple[int, str]] = []
        self._warnings: list[str] = []

    def __len__(self) -> int:
        return len(self._found)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is legal and probably not meant, one line each."""
        return tuple(dict.fromkeys(self._warnings))

    def refuse(self) -> None:
        """Refuse a file with problems.

        Raises:
            ConfigError: with all of them, by their lines; what is wrong for each bucket of a route is said once.
        """
        if self._found:
            texts = (text for _, text in sorted(self._found, key=lambda problem: problem[0]))
            raise ConfigError(list(dict.fromkeys(texts)))

    def add(self, path: Path, text: str) -> None:
        """Note a problem."""
        where = self._document.at(path)
        line = int(where.rpartition(":")[2])
        self._found.append((line, f"{where}: {_shown(path)}{text}"))

    def warn(self, path: Path, text: str) -> None:
        """Note what is probably not meant."""
        self._warnings.append(f"{self._document.at(path)}: {_shown(path)}{text}")

    def note(self, fault: Fault, below: Path = ()) -> None:
        """Note what a check has found."""
        (self.warn if fault.warning else self.add)((*below, *fault.path), fault.text)

    def unknown(self, data: Collection[str], known: tuple[str, ...], path: Path, what: str) -> None:
        """Note the names that nobody knows, with those that are meant."""
        for name in data:
            if name not in known:
                from multicdn.config.synonyms import suggestion

                place = what if path else "file"
                self.add((*path, name), f"unknown {what} {name!r}{suggestion(name, known, place)}")

    def mapping(self, value: object, path: Path) -> Mapping[str, Any]:
        """A value that must be a mapping; an empty one where it is something else, which is a problem."""
        if isinstance(value, dict):
            return value
        if value is None and path:
            self.add(path, f"is missing or empty; see {DOCS}/config.md")
        else:
            self.add(path, f"must be a mapping of names to values, not {_kind(value)}")
        return {}


def _shown(path: Path) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") + ": " if path else ""


def _kind(value: object) -> str:
    return {list: "a list", str: "a text", type(None): "nothing"}.get(type(value), type(value).__name__)

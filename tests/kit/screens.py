"""What a command shows, as it is on terminals of two widths, with and without colours, and in a pipe."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click
import click.testing

from kit.environments import ROOT
from multicdn.cli.terminal import visible_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pytest

FOLDER = ROOT / "tests" / "data" / "screens"

#: Write the files anew instead of comparing with them: `make screens`.
WRITE = "MULTICDN_WRITE_SCREENS"

# Title -> columns of the terminal, if it is one, and whether the user wants colours.
_KINDS = {
    "80 columns": (80, True),
    "80 columns, no colours": (80, False),
    "120 columns": (120, True),
    "120 columns, no colours": (120, False),
    "a pipe": (None, True),
}

_RULE = "=== "


def screen(
    patch: pytest.MonkeyPatch, command: click.Command, arguments: Sequence[str], environment: dict[str, Any]
) -> str:
    """All that a command shows. What several kinds of screen have in common stands there once, under their names."""
    shown: dict[str, list[str]] = {}
    for title, (columns, coloured) in _KINDS.items():
        text = _run(patch, command, arguments, {**environment, **_environment(columns, coloured)}, columns)
        shown.setdefault(text, []).append(title)
    parts = [f"{_RULE}{'; '.join(titles)}\n{text}" for text, titles in shown.items()]
    return f"$ multicdn {' '.join(arguments)}\n" + "".join(parts)


def compare(name: str, text: str) -> None:
    """Compare with what a screen was, or keep what it is."""
    path = FOLDER / f"{name}.txt"
    if os.environ.get(WRITE):
        path.write_text(text, encoding="utf-8")
    assert text == (path.read_text(encoding="utf-8") if path.exists() else ""), "if this is meant: make screens"


def kept() -> Iterator[tuple[str, str, str]]:
    """Name, kind and text of each screen that is kept."""
    for path in sorted(FOLDER.glob("*.txt")):
        for part in path.read_text(encoding="utf-8").split(f"\n{_RULE}")[1:]:
            titles, _, text = part.partition("\n")
            yield from ((path.stem, title, text) for title in titles.split("; "))


def _environment(columns: int | None, coloured: bool) -> dict[str, str | None]:
    return {"COLUMNS": str(columns or 80), "NO_COLOR": None if coloured else "1", "TERM": "xterm-256color"}


def _run(
    patch: pytest.MonkeyPatch,
    command: click.Command,
    arguments: Sequence[str],
    environment: dict[str, Any],
    columns: int | None,
) -> str:
    """Run it in this process; only the streams are told that they are a terminal."""
    with patch.context() as streams:
        streams.setattr(click.testing._NamedTextIOWrapper, "isatty", lambda _: columns is not None, raising=False)
        runner = click.testing.CliRunner(env=environment)
        result = runner.invoke(command, arguments, color=columns is not None, prog_name="multicdn")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    status = f"[exit status {result.exit_code}]\n" if result.exit_code else ""
    return visible_lines(result.output).rstrip("\n") + "\n" + status

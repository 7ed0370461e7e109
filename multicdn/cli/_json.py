"""``--json``: facts for programs, with members that docs/commands.md names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from multicdn.cli.terminal import say_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Of all answers but that of `explain`; it changes when a member changes its meaning or goes away.
VERSION = 1

as_json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else."
)


def say_json(answer: Mapping[str, Any]) -> None:
    """Print an answer, with the version of its members."""
    say_text(json.dumps({"version": VERSION, **answer}, indent=2, ensure_ascii=False))

"""``multicdn providers``: what is installed, and what it can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from multicdn.authoring import catalog
from multicdn.cli.terminal import say, say_text
from multicdn.plugins.discovery import Plugins

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from multicdn.authoring.catalog import InstalledProvider

# As in the README: one mark per thing that a vendor can do.
_KINDS = ("url", "prefix", "tag", "host", "everything")

_WIDTH = 200  # of a pipe, in which nobody wants a table folded


@click.command()
@click.argument("name", required=False)
@click.option("--markdown", is_flag=True, help="Print the table as Markdown, as it stands in the README.")
def providers(name: str | None, markdown: bool) -> None:  # noqa: FBT001 - click passes it by name
    """List the installed providers, or describe the one called NAME."""
    plugins = Plugins()
    if name:
        say_text(description(catalog.entry(plugins, name)))
    elif markdown:
        say_text(markdown_table(catalog.entries(plugins)))
    else:
        _print_table(catalog.entries(plugins))


def markdown_table(entries: Iterable[InstalledProvider]) -> str:
    """The vendor table of the README."""
    head = ["provider", "status", "purge by", "soft", "preload", "limits of a purge by URL"]
    rows = [head, ["---"] * len(head), *map(_row, entries)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def description(entry: InstalledProvider) -> str:
    """Everything about one provider, as text."""
    return "\n".join(_lines(entry))


def _row(entry: InstalledProvider) -> list[str]:
    purges = [ability for ability in entry.abilities if ability.action == "purge"]
    kinds = ", ".join(kind for kind in _KINDS if any(ability.kind == kind for ability in purges))
    limits = next((ability.limits for ability in purges if ability.kind == "url"), _other_limits(entry.abilities))
    soft = "yes" if any(ability.soft for ability in purges) else "no"
    preload = "yes" if any(ability.action == "preload" for ability in entry.abilities) else "no"
    return [f"`{entry.name}`", catalog.status(entry), kinds, soft, preload, limits]


def _other_limits(abilities: Sequence[catalog.Ability]) -> str:
    """The limits of the first thing that a provider can do, if that is no purge by URL."""
    return f"{abilities[0].action} by {abilities[0].kind}: {abilities[0].limits}" if abilities else ""


def _print_table(entries: Sequence[InstalledProvider]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    table = Table()
    for title in ("provider", "status", "purge by", "soft", "preload", "limits of a purge by URL", "from"):
        table.add_column(title, no_wrap=title == "provider")
    for entry in entries:
        table.add_row(*(cell.strip("`") for cell in _row(entry)), entry.distribution)
    console.print(table)
    for entry in entries:
        if entry.fault:
            say(entry.fault, err=True)


def _lines(entry: InstalledProvider) -> Iterable[str]:
    yield f"{entry.name} ({entry.distribution})"
    yield from (line for line in (entry.summary, entry.docs, entry.fault) if line)
    if entry.retired:
        yield f"RETIRED {entry.retired}"
    yield from _section("What it can do", (_ability(ability) for ability in entry.abilities))
    width = max((len(option.name) for option in entry.options), default=0)
    yield from _section("Options", (_option(option, width) for option in entry.options))
    yield from _section("The credentials need", entry.permissions)
    if entry.example:
        yield from _section("Example", ("providers:", *(f"  {line}" for line in entry.example.splitlines())))


def _section(title: str, lines: Iterable[str]) -> Iterable[str]:
    found = [f"  {line}" for line in lines]
    return ["", f"{title}:", *found] if found else []


def _ability(ability: catalog.Ability) -> str:
    soft = ", soft or hard" if ability.soft else ""
    limits = f": {ability.limits}" if ability.limits else ""
    return f"{ability.action} by {ability.kind}{soft}{limits}"


def _option(option: catalog.Option, width: int) -> str:
    default = "required" if option.required else f"default {option.default}" if option.default else "optional"
    return f"{option.name:<{width}} {option.type}, {default}; {option.help}"

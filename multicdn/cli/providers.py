"""``multicdn providers``: what is installed, and what it can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from multicdn.authoring import catalog
from multicdn.cli import completion
from multicdn.cli._json import as_json_option, say_json
from multicdn.cli.table import table
from multicdn.cli.terminal import say, say_text, width
from multicdn.errors import did_you_mean
from multicdn.plugins.discovery import Plugins

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from multicdn.authoring.catalog import InstalledProvider

# As in the README.
_HEAD = ["provider", "status", "purge by", "soft", "preload", "limits of a purge by URL"]
_KINDS = ("url", "prefix", "tag", "host", "everything")


@click.command()
@click.argument("name", required=False, shell_complete=completion.types)
@click.option("--markdown", is_flag=True, help="Print the table as Markdown, as it stands in the README.")
@as_json_option
def providers(name: str | None, *, markdown: bool, as_json: bool) -> None:
    """List the installed providers, or describe the one called NAME."""
    plugins = Plugins()
    if name and name not in plugins.providers:
        raise click.UsageError(f"no provider {name!r} is installed{did_you_mean(name, plugins.providers)}")
    found = [catalog.entry(plugins, name)] if name else catalog.entries(plugins)
    if as_json:
        say_json({"providers": msgspec.to_builtins(found)})
    elif markdown:
        say_text(markdown_table(found))
    elif name:
        for line in description(found[0]).splitlines():
            say(line)
    else:
        _print_table(found)


def markdown_table(entries: Iterable[InstalledProvider]) -> str:
    """The vendor table of the README."""
    rows = [_HEAD, ["---"] * len(_HEAD), *map(_row, entries)]
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
    return [f"`{entry.name}`", catalog.status(entry), kinds or "nothing", soft, preload, limits]


def _other_limits(abilities: Sequence[catalog.Ability]) -> str:
    """The limits of the first thing that a provider can do, if that is no purge by URL."""
    return f"{abilities[0].action} by {abilities[0].kind}: {abilities[0].limits}" if abilities else ""


def _print_table(entries: Sequence[InstalledProvider]) -> None:
    rows = [[*(cell.strip("`") for cell in _row(entry)), entry.distribution] for entry in entries]
    for line in table([*_HEAD, "from"], rows, width()):
        say(line)
    for entry in entries:
        if entry.fault:
            say(entry.fault, err=True)


def _lines(entry: InstalledProvider) -> Iterable[str]:
    yield f"{entry.name} ({entry.distribution})"
    yield from (line for line in (entry.summary, entry.docs, entry.fault) if line)
    if entry.retired:
        yield f"RETIRED {entry.retired}"
    pages = dict.fromkeys(ability.page for ability in entry.abilities if ability.page)
    limits = (f"limits: {page}" for page in pages)
    yield from _section("What it can do", (*map(_ability, entry.abilities), *limits))
    yield from _section("When a purge is finished", (*_times(entry.abilities), *catalog.finished(entry)))
    longest = max((len(option.name) for option in (*entry.options, *entry.shared)), default=0)
    yield from _section("Options", (_option(option, longest) for option in entry.options))
    yield from _section("Options of every provider", (_option(option, longest) for option in entry.shared))
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


def _times(abilities: Sequence[catalog.Ability]) -> Iterable[str]:
    """The published times, those together that are alike."""
    kinds: dict[tuple[float, str, str], list[str]] = {}
    for ability in abilities:
        if ability.seconds is not None:
            kinds.setdefault((ability.seconds, ability.share, ability.time_page), []).append(ability.kind)
    for (seconds, share, page), named in kinds.items():
        yield f"by {', '.join(named)}: {seconds:g} s{f' in {share} of cases' if share else ''} ({page})"


def _option(option: catalog.Option, longest: int) -> str:
    default = "required" if option.required else f"default {option.default}" if option.default else "optional"
    return f"{option.name:<{longest}} {option.type}, {default}; {option.help}"

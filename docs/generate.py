"""The parts of the documentation that are made from code. ``make docs`` writes them; test_docs.py compares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import command_reference
import costs
import log_reference
import reference
import rooms

from multicdn.authoring import catalog
from multicdn.authoring.schema import schema
from multicdn.cli.providers import markdown_table
from multicdn.config.settings import Install, Retrying
from multicdn.installer.template import alarms
from multicdn.plugins.discovery import Plugins
from multicdn.routing.route import Route, written_members
from multicdn.routing.tiers import Tier

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SCHEMA = DOCS / "multicdn.schema.json"
LOG_SCHEMA = DOCS / "log.schema.json"


def own_plugins() -> Plugins:
    """The providers that multicdn itself brings, whatever else is installed here."""
    installed = Plugins()
    return Plugins(
        plugin.entry_point
        for found in installed.providers.values()
        for plugin in found
        if plugin.distribution == "multicdn"
    )


def schema_text() -> str:
    """What docs/multicdn.schema.json must hold."""
    return json.dumps(schema(own_plugins(), catalogued=True), indent=2) + "\n"


def alarms_table() -> str:
    """The alarms of each stack, those of a provider, and that of a vendor with a price."""
    price = own_plugins().provider_class("cloudfront").price
    if price is None:
        raise ValueError("the page of alarms needs a vendor with a price")
    shown = {**alarms.ALWAYS, **alarms.WITH_QUEUE}
    shown["FastlyLateAlarm"] = alarms.late("fastly")
    shown["FastlyStaleAlarm"] = alarms.stale("fastly")
    shown["CloudFrontFreePathsAlarm"] = alarms.free_paths("CloudFront", price)
    rows = ([f"`{name}`", one.rings, str(len(one.watched))] for name, one in sorted(shown.items()))
    return reference.table(["alarm", "rings when", "metrics"], rows)


# Page -> name of a part between marks -> what makes it.
PARTS: dict[Path, dict[str, Callable[[], str]]] = {
    ROOT / "README.md": {"providers": lambda: markdown_table(catalog.entries(own_plugins())) + "\n"},
    DOCS / "architecture.md": {"rooms": lambda: f"```mermaid\n{rooms.picture()}```\n"},
    DOCS / "alarms.md": {"alarms": alarms_table},
    DOCS / "logs.md": {"log": log_reference.tables, "metrics": log_reference.metrics},
    DOCS / "config.md": {
        "vendors": lambda: reference.vendor_list(own_plugins()),
        "tiers": lambda: reference.members(Tier),
        "delivery": lambda: reference.members(Retrying),
        "routes": lambda: reference.members(Route, written_members(), more=True),
    },
    DOCS / "install.md": {"install": lambda: reference.members(Install)},
    DOCS / "cost.md": {"prices": costs.prices, "example": costs.example, "resources": costs.resources},
}


def texts() -> dict[Path, str]:
    """What each file must hold that is made from code, or has parts that are."""
    made = {
        SCHEMA: schema_text(),
        LOG_SCHEMA: log_reference.schema_text(),
        DOCS / "options.md": command_reference.page(),
    }
    made |= {DOCS / "vendors" / f"{name}.md": text for name, text in reference.vendors(own_plugins()).items()}
    for page, parts in PARTS.items():
        text = page.read_text(encoding="utf-8")
        for name, make in parts.items():
            text = reference.replaced(text, name, make())
        made[page] = text
    return made


def main() -> None:
    """Write all of them."""
    for path, text in texts().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

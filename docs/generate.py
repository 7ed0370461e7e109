"""The parts of the documentation that are made from code. ``make docs`` writes them; test_docs.py compares."""

from __future__ import annotations

import json
import re
from pathlib import Path

import log_reference
import rooms

from multicdn.authoring import catalog
from multicdn.authoring.schema import schema
from multicdn.cli.providers import markdown_table
from multicdn.plugins.discovery import Plugins

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
SCHEMA = ROOT / "docs" / "multicdn.schema.json"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
LOGS = ROOT / "docs" / "logs.md"
LOG_SCHEMA = ROOT / "docs" / "log.schema.json"

_TABLE = re.compile(r"(?<=<!-- providers -->\n).*?(?=<!-- /providers -->)", re.DOTALL)
_LOG = re.compile(r"(?<=<!-- log -->\n).*?(?=<!-- /log -->)", re.DOTALL)
_METRICS = re.compile(r"(?<=<!-- metrics -->\n).*?(?=<!-- /metrics -->)", re.DOTALL)
_PICTURE = re.compile(r"(?<=<!-- rooms -->\n).*?(?=<!-- /rooms -->)", re.DOTALL)


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


def readme_text() -> str:
    """The README with its table of providers made anew."""
    table = markdown_table(catalog.entries(own_plugins()))
    return _TABLE.sub(lambda _: table + "\n", README.read_text(encoding="utf-8"))


def architecture_text() -> str:
    """docs/architecture.md with its picture of the rooms drawn anew from the imports."""
    picture = f"```mermaid\n{rooms.picture()}```\n"
    return _PICTURE.sub(lambda _: picture, ARCHITECTURE.read_text(encoding="utf-8"))


def logs_text() -> str:
    """docs/logs.md with the tables of its events, fields and metrics made anew."""
    text = _LOG.sub(lambda _: log_reference.tables(), LOGS.read_text(encoding="utf-8"))
    return _METRICS.sub(lambda _: log_reference.metrics(), text)


def main() -> None:
    """Write all of them."""
    LOGS.write_text(logs_text(), encoding="utf-8")
    LOG_SCHEMA.write_text(log_reference.schema_text(), encoding="utf-8")
    ARCHITECTURE.write_text(architecture_text(), encoding="utf-8")
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    README.write_text(readme_text(), encoding="utf-8")


if __name__ == "__main__":
    main()

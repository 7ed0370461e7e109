"""The parts of the documentation that are made from code. ``make docs`` writes them; test_docs.py compares."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import log_reference
import rooms

from multicdn.authoring import catalog
from multicdn.authoring.schema import schema
from multicdn.cli.providers import markdown_table
from multicdn.installer.template import alarms
from multicdn.plugins.discovery import Plugins

if TYPE_CHECKING:
    from multicdn.provider import Price

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
SCHEMA = ROOT / "docs" / "multicdn.schema.json"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
ALARMS = ROOT / "docs" / "alarms.md"
LOGS = ROOT / "docs" / "logs.md"
LOG_SCHEMA = ROOT / "docs" / "log.schema.json"

_TABLE = re.compile(r"(?<=<!-- providers -->\n).*?(?=<!-- /providers -->)", re.DOTALL)
_TABLE_OF_ALARMS = re.compile(r"(?<=<!-- alarms -->\n).*?(?=<!-- /alarms -->)", re.DOTALL)
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


def alarms_text() -> str:
    """docs/alarms.md with its table of alarms made anew."""
    text = ALARMS.read_text(encoding="utf-8")
    shown = {**alarms.ALWAYS, **alarms.WITH_QUEUE}
    shown["FastlyLateAlarm"] = alarms.late("fastly")
    shown["CloudFrontFreePathsAlarm"] = alarms.free_paths("CloudFront", _price())
    rows = [f"| `{name}` | {one.rings} | {len(one.watched)} |" for name, one in sorted(shown.items())]
    table = "\n".join(["| alarm | rings when | metrics |", "| --- | --- | --- |", *rows])
    return _TABLE_OF_ALARMS.sub(lambda _: f"{table}\n", text)


def _price() -> Price:
    price = own_plugins().provider_class("cloudfront").price
    assert price is not None
    return price


def logs_text() -> str:
    """docs/logs.md with the tables of its events, fields and metrics made anew."""
    text = _LOG.sub(lambda _: log_reference.tables(), LOGS.read_text(encoding="utf-8"))
    return _METRICS.sub(lambda _: log_reference.metrics(), text)


def main() -> None:
    """Write all of them."""
    ALARMS.write_text(alarms_text(), encoding="utf-8")
    LOGS.write_text(logs_text(), encoding="utf-8")
    LOG_SCHEMA.write_text(log_reference.schema_text(), encoding="utf-8")
    ARCHITECTURE.write_text(architecture_text(), encoding="utf-8")
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    README.write_text(readme_text(), encoding="utf-8")


if __name__ == "__main__":
    main()

"""The tables of docs/config.md that people wrote, against what the code does of each row."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from kit.environments import ROOT

from multicdn import config
from multicdn.errors import TargetsRefused
from multicdn.installer import permission_table
from multicdn.model import Action, Change, Target, TargetKind
from multicdn.plugins.discovery import Plugins
from multicdn.routing import placeholders, url_templates
from multicdn.routing.router import Router
from multicdn.secrets import REFERENCE

PAGE = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")


def rows(head: str, page: str = PAGE) -> list[list[str]]:
    """The cells of the table whose first line begins so."""
    [found] = re.findall(rf"^\| {re.escape(head)}.*\n\|[ -|]+\|\n((?:\|.*\n)+)", page, re.MULTILINE)
    lines = found.splitlines()
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_placeholders_are_what_the_table_says() -> None:
    key, prefix = re.findall(r"For the key `([^`]+)` under the prefix `([^`]+)`", PAGE)[0]
    shown = {name.strip("`"): value.strip("`") for name, _, value in rows("placeholder | is | here")}
    templates = [placeholders.parse(name) for name in shown]
    assert url_templates.tags(templates, "acme-site", key, prefix) == list(shown.values())
    parts = [name.strip("`") for cells in rows("placeholder | is | for") for name in cells[0].split("` to `")]
    named = {name.strip("{}") for name in (*shown, *parts) if name.startswith("{")}
    assert named == {*placeholders.PLACEHOLDERS} - {f"segment{number}" for number in range(2, 9)}


def test_references_are_of_the_kinds_that_the_table_has() -> None:
    schemes = [REFERENCE.fullmatch(cells[0].strip("`")) for cells in rows("reference | is")]
    assert {match["scheme"] for match in schemes if match} == {"env", "file", "ssm", "secretsmanager"}
    assert None not in schemes


def test_other_urls_of_an_object_are_what_the_table_says() -> None:
    text = PAGE.partition("### Other URLs of an object")[2].partition("```yaml\n")[2].partition("```")[0]
    loaded = config.parse(text, "docs", Plugins())
    for changed, purged in rows("changed | is purged as"):
        demands, _ = Router(loaded.routes, loaded.providers).demands([Change("acme-site", changed.strip("`"))])
        urls = {target.value for demand in demands for target in demand.wants}
        paths = {url.removeprefix("https://www.acme.com/") for url in urls if url.startswith("https://www.acme.com/")}
        assert {unquote(path) for path in paths if "?" not in path} == set(re.findall("`([^`]+)`", purged))


@pytest.mark.parametrize("cells", rows("vendor | header of the response | tag"), ids=lambda cells: cells[0])
def test_the_longest_tag_of_a_vendor_is_what_the_table_says(cells: list[str]) -> None:
    plugins, name = Plugins(), cells[0].lower()
    cls = plugins.provider_class(name)
    options = "\n".join(f"    {option}: {value}" for option, value in cls.example.items())
    text = f"version: 1\nproviders:\n  {name}:\n{options}\nroutes:\n  - {{bucket: b, tags: [news], purge: [{name}]}}\n"
    provider = config.parse(text, "docs", plugins).providers[name]
    longest = int(re.findall(r"(?:1 to|at most) ([\d,]+)", cells[2])[0].replace(",", ""))
    [located] = provider.locate(Target(TargetKind.TAG, "x" * longest), Action.PURGE)
    limits = provider.tag_limits  # type: ignore[attr-defined]
    assert len(located.value) <= (limits.target_bytes or longest)
    too_long = "x" * (longest + 1)
    try:
        [located] = provider.locate(Target(TargetKind.TAG, too_long), Action.PURGE)
    except TargetsRefused:
        return
    assert len(located.value) > limits.target_bytes


def test_a_call_of_cloudfront_takes_as_many_prefixes_as_the_page_says() -> None:
    from multicdn_providers.cloudfront import CloudFront

    said = f"more prefixes than one call takes (CloudFront: {CloudFront.prefix_limits.targets})"
    assert said in PAGE.replace("\n", " ")


def test_the_services_that_installing_asks_are_those_of_the_policy() -> None:
    """With every setting: each trigger, keys, a network, what is forwarded."""
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    named = {cells[0].strip("`") for cells in rows("service | for", page)}
    asked = {action.partition(":")[0] for permission in permission_table.PERMISSIONS for action in permission.actions}
    assert named == asked


def test_codes_of_refusals_are_those_that_the_vendors_plugin_knows() -> None:
    page = (ROOT / "docs" / "delivery.md").read_text(encoding="utf-8")
    # What a status means, unless a plugin says otherwise.
    common = (ROOT / "multicdn" / "http.py").read_text(encoding="utf-8")
    for cells in rows("vendor | about the credentials", page):
        names = tuple(cells[0].lower().split(", "))
        sources = [path for path in (ROOT / "providers").rglob("*.py") if any(name in str(path) for name in names)]
        known = "\n".join((common, *(path.read_text(encoding="utf-8").replace("_", "") for path in sources)))
        named = set(re.findall(r"(?<!`)\b\d{3,5}\b", " ".join(cells[1:])))
        assert {code for code in named if not re.search(rf"\b{code}\b", known)} == set(), cells[0]

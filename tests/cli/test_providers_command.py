"""``multicdn providers``: what each installed provider is, can do, needs, and where it comes from."""

from __future__ import annotations

import json
import re
from importlib.metadata import EntryPoint, version
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from generate import own_plugins
from kit.sample_plugins import installed

from multicdn import config
from multicdn.authoring import catalog
from multicdn.cli import main
from multicdn.cli.providers import description, markdown_table
from multicdn.plugins.discovery import PROVIDER_GROUP, Plugins

if TYPE_CHECKING:
    from multicdn.authoring.catalog import InstalledProvider

OWN = ("akamai", "cloudflare", "cloudfront", "edgecast", "fastly", "highwinds", "pixboost", "warm")


def listed() -> dict[str, list[str]]:
    """The table of a pipe, as cells by provider."""
    text = CliRunner().invoke(main, ["providers"]).output
    rows = [re.split(" {2,}", line) for line in text.splitlines()]
    return {row[0]: row for row in rows}


def own(name: str) -> InstalledProvider:
    return catalog.entry(own_plugins(), name)


def row(entry: InstalledProvider) -> list[str]:
    return markdown_table([entry]).splitlines()[-1].strip("| ").split(" | ")


def test_every_provider_has_a_row_with_status_capabilities_limits_and_source() -> None:
    table = listed()
    assert set(OWN) <= set(table)
    assert all(len(table[name]) == 7 and all(table[name]) for name in OWN)
    assert {table[name][-1] for name in OWN} == {f"multicdn {version('multicdn')}"}


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("akamai", ["alive", "url, tag, everything", "yes", "no"]),
        ("cloudflare", ["alive", "url, prefix, tag, host, everything", "yes", "no"]),
        ("cloudfront", ["alive", "url, prefix, tag, everything", "no", "no"]),
        ("edgecast", ["retired 2025-01-15", "url, prefix", "no", "yes"]),
        ("fastly", ["alive", "url, tag, everything", "yes", "no"]),
        ("highwinds", ["retired 2024-06", "url, prefix, host", "yes", "no"]),
        ("pixboost", ["alive", "url", "no", "yes"]),
        ("warm", ["alive", "nothing", "no", "yes"]),
    ],
)
def test_a_row_says_what_a_vendor_can_do(name: str, cells: list[str]) -> None:
    assert row(own(name))[1:5] == cells


def test_the_json_is_the_same_for_one_and_for_all() -> None:
    everything = json.loads(CliRunner().invoke(main, ["providers", "--json"]).output)
    one = json.loads(CliRunner().invoke(main, ["providers", "fastly", "--json"]).output)
    assert everything["version"] == one["version"] == 1
    assert one["providers"] == [each for each in everything["providers"] if each["name"] == "fastly"]


def test_a_provider_that_purges_no_urls_shows_the_limits_of_what_it_does() -> None:
    assert row(catalog.entry(installed(), "warmer"))[-1] == "preload by url: 10 a call"


@pytest.mark.parametrize("name", OWN)
def test_a_description_has_all_that_a_user_needs(name: str) -> None:
    entry = own(name)
    assert entry.summary
    assert entry.docs.startswith("https://")
    assert entry.permissions
    assert all(option.help and option.type for option in entry.options)
    text = description(entry)
    for part in ("What it can do:", "Options:", "The credentials need:", f"Example:\n  providers:\n    {name}:\n"):
        assert part in text
    assert all(f"  {option.name} " in text for option in entry.options)
    assert all(ability.limits in text for ability in entry.abilities)


@pytest.mark.parametrize("name", OWN)
def test_an_example_can_be_copied_into_a_config(name: str) -> None:
    plugins = own_plugins()
    loaded = config.parse(catalog.example_config(plugins.provider_class(name), name), "example.yml", plugins)
    assert loaded.types == {name: name}


@pytest.mark.parametrize("name", OWN)
def test_every_secret_of_an_example_is_a_reference(name: str) -> None:
    options = {option.name: option for option in own(name).options}
    example = own_plugins().provider_class(name).example
    assert example
    assert all(re.fullmatch(r"\$\{\w+:.+\}", value) for key, value in example.items() if options[key].secret)


@pytest.mark.parametrize(
    ("provider", "option", "words"),
    [
        ("fastly", "token", "secret reference, required"),
        ("fastly", "environment", "production | staging, default production"),
        ("fastly", "soft", "true or false, default false"),
        ("cloudflare", "variants", "list of mapping, optional"),
        ("cloudflare", "items_per_call", "number, default 100"),
        ("akamai", "cp_codes", "list of number, optional"),
        ("akamai", "edgerc", "secret reference, optional"),
    ],
)
def test_options_are_described_with_type_and_default(provider: str, option: str, words: str) -> None:
    assert re.search(rf"^  {option} +{re.escape(words)}; \S", description(own(provider)), re.MULTILINE)


@pytest.mark.parametrize(
    ("provider", "kind", "limits"),
    [
        ("akamai", "tag", "500 targets a minute"),  # 8.33 a second
        ("highwinds", "url", "100 targets a minute"),
        ("cloudfront", "url", "30 calls a minute"),
        ("cloudflare", "url", "800 targets a second"),
    ],
)
def test_rates_are_said_as_vendors_say_them(provider: str, kind: str, limits: str) -> None:
    assert limits in next(ability.limits for ability in own(provider).abilities if ability.kind == kind)


def test_a_retired_service_is_announced() -> None:
    assert "\nRETIRED Edgio switched the CDN off on 2025-01-15" in description(own("edgecast"))


def test_a_broken_plugin_is_listed_with_its_fault() -> None:
    plugins = Plugins([EntryPoint("gone", "no_such_module:Gone", PROVIDER_GROUP)], disabled=())
    [entry] = catalog.entries(plugins)
    assert row(entry)[:2] == ["`gone`", "broken"]
    assert "does not import: ModuleNotFoundError" in description(entry)


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        ("fastly", ["by url, tag: 0.15 s (https://", "by everything: 20 s", "can't be asked", "each of its POPs"]),
        (
            "cloudfront",
            ["everything: 5 s in 95 % of cases", "is done, from the published time"],
        ),
        ("edgecast", ["is asked whether a purge is done, soon after"]),
        (
            "cloudflare",
            [
                "by prefix, tag, host: 0.15 s in 50 %",
                "can't be asked",
                "A purge by url or everything has no published time",
            ],
        ),
    ],
)
def test_it_says_when_a_purge_is_finished(provider: str, said: list[str]) -> None:
    _, _, told = description(own(provider)).partition("When a purge is finished:\n")
    lines = told.partition("\n\n")[0].splitlines()
    assert len(lines) == len(said)
    assert all(words in line for words, line in zip(said, lines, strict=True))


def test_the_options_of_every_provider_are_shown_to_those_that_purge() -> None:
    words = "Options of every provider:\n  via "
    assert words in description(own("fastly"))
    assert "\n  pulls_from   list of text, optional; names of the providers" in description(own("fastly"))
    assert "Options of every provider" not in description(own("warm"))


def test_nothing_is_said_of_purges_where_there_are_none() -> None:
    assert "When a purge is finished" not in description(catalog.entry(installed(), "warmer"))
    plain = description(catalog.entry(installed(), "plain"))
    assert "can't be asked: a purge has no published time, and counts as finished once it is accepted" in plain


def test_what_can_be_asked_is_in_the_json() -> None:
    [found] = json.loads(CliRunner().invoke(main, ["providers", "fastly", "--json"]).output)["providers"]
    assert (found["confirms"], found["proves"]) == (False, True)
    assert {ability["kind"]: ability["seconds"] for ability in found["abilities"]} == {
        "url": 0.15,
        "tag": 0.15,
        "everything": 20,
    }

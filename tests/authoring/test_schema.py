"""The JSON Schema accepts what the config accepts, and refuses what editors should underline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from multicdn import config
from multicdn.authoring.schema import schema
from multicdn.errors import ConfigError
from multicdn.plugins.discovery import Plugins

ROOT = Path(__file__).parents[2]
SCHEMA = schema(Plugins())
FASTLY = {"token": "${env:T}", "service": "S"}
CATALOGUED = schema(Plugins(), catalogued=True)
# As SchemaStore wants them: a folder of files that pass, and one of files that don't.
FIXTURES = ROOT / "tests" / "data" / "schemastore"
FOREIGN = FIXTURES / "test" / "multicdn" / "plugin_of_another_package.yml"
GOOD = sorted({*(FIXTURES / "test" / "multicdn").glob("*.yml")} - {FOREIGN})
BAD = sorted((FIXTURES / "negative_test" / "multicdn").glob("*.yml"))
ROUTE = {"bucket": "b", "urls": ["https://h/{key}"], "purge": ["fastly"]}


class _Yaml12(yaml.SafeLoader):
    """Editors read YAML 1.2, in which `on` is a word."""


_Yaml12.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:bool"]
    for letter, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def faults(value: Any, by: dict[str, Any] = SCHEMA) -> list[str]:
    return [error.message for error in jsonschema.Draft7Validator(by).iter_errors(value)]


def read(file: Path) -> Any:
    """A file as an editor reads it: YAML 1.2's booleans are `true` and `false` alone."""
    return yaml.load(file.read_text(encoding="utf-8").replace(": true", ": !!bool true"), Loader=_Yaml12)


def test_is_itself_a_valid_schema() -> None:
    for each in (SCHEMA, CATALOGUED):
        jsonschema.Draft7Validator.check_schema(each)
        assert each["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert CATALOGUED["$id"] == "https://json.schemastore.org/multicdn.json"


def test_nothing_stands_beside_a_reference() -> None:
    """Draft 7 overlooks it."""

    def beside(value: Any) -> list[Any]:
        if isinstance(value, dict):
            own = [value] if "$ref" in value and len(value) > 1 else []
            return own + [found for below in value.values() for found in beside(below)]
        return [found for item in value for found in beside(item)] if isinstance(value, list) else []

    assert beside(CATALOGUED) == []


@pytest.mark.parametrize("file", GOOD, ids=lambda file: file.stem)
def test_what_the_catalog_accepts_the_config_accepts(file: Path) -> None:
    assert faults(read(file), CATALOGUED) == []
    assert config.load(file).routes


def test_plugins_that_nobody_here_knows_pass_in_the_catalog_alone() -> None:
    assert faults(read(FOREIGN), CATALOGUED) == []
    assert faults(read(FOREIGN)) == [f"'acme' is not one of {list(Plugins().providers)}"]


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_what_the_catalog_refuses_the_config_refuses(file: Path) -> None:
    assert len(faults(read(file), CATALOGUED)) == 1
    with pytest.raises(ConfigError):
        config.load(file)


def test_accepts_the_shipped_example() -> None:
    assert faults(read(ROOT / "multicdn.config.yml")) == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"version": 2}, "1 was expected"),
        ({"provider": {}}, "'provider' does not match any of the regexes: '^x-'"),
        ({"routes": [{**ROUTE, "bucket": []}]}, "[] is not valid under any of the given schemas"),
        ({"routes": [{**ROUTE, "bucket": {"a": "b"}}]}, "is not valid under any of the given schemas"),
        ({"routes": [{**ROUTE, "include": []}]}, "[] should be non-empty"),
        ({"routes": []}, "[] should be non-empty"),
        ({"routes": [{**ROUTE, "bukket": "x"}]}, "'bukket' was unexpected"),
        ({"routes": [{**ROUTE, "on": ["create"]}]}, "'create' is not one of"),
        ({"routes": [{"urls": ["https://h/"]}]}, "'bucket' is a required property"),
        ({"providers": {"fastly": {**FASTLY, "servise": "x"}}}, "'servise' was unexpected"),
        ({"providers": {"fastly": {**FASTLY, "token": "abc"}}}, "'abc' does not match"),
        ({"providers": {"fastly": {"token": "${env:T}"}}}, "'service' is a required property"),
        ({"providers": {"www": FASTLY}}, "'type' is a required property"),
        ({"providers": {"www": {**FASTLY, "type": "fasly"}}}, "'fasly' is not one of"),
        ({"providers": {"www": {**FASTLY, "type": "fastly", "x": 1}}}, "'x' was unexpected"),
        ({"providers": {"fastly": {"type": "cloudfront", "service": "x"}}}, "'service' was unexpected"),
    ],
)
def test_underlines(change: dict[str, Any], word: str) -> None:
    good = {"version": 1, "providers": {"fastly": FASTLY}, "routes": [ROUTE]}
    assert faults(good) == []
    assert any(word in fault for fault in faults({**good, **change}))


def test_takes_one_bucket_or_several_and_what_the_author_shares() -> None:
    base = {"version": 1, "providers": {"fastly": FASTLY}, "x-shared": {"anything": [1]}}
    for members in ({"bucket": ["a", "b"]}, {"suffix": ".txt"}, {"suffix": [".txt", ".md"]}, {"bucket": ["a"]}):
        assert faults({**base, "routes": [{**ROUTE, **members}]}) == []


def test_takes_unquoted_numbers_where_the_config_takes_texts() -> None:
    assert faults({"version": 1, "providers": {"fastly": {**FASTLY, "service": 12}}, "routes": [ROUTE]}) == []


def test_takes_where_a_cdn_stands_and_how_it_is_looked_at() -> None:
    outer = {**FASTLY, "via": "a.example:8443", "pulls_from": ["site"], "wait_for": "fresh", "again": "5s"}
    providers = {"site": {**FASTLY, "type": "fastly"}, "fastly": outer, "warm": {"via": "a.example"}}
    for verify in (True, False, {}, {"sample": "all", "within": "90s"}, {"sample": 5, "identity": "metadata:write"}):
        assert faults({"version": 1, "providers": providers, "routes": [{**ROUTE, "verify": verify}]}) == []


@pytest.mark.parametrize(
    ("options", "verify", "word"),
    [
        ({"pull_from": ["a"]}, True, "'pull_from' was unexpected"),
        ({"wait_for": "new"}, True, "'new' is not one of"),
        ({"again": "5"}, True, "'5' does not match"),
        ({}, {"sampel": 1}, "is not valid under any of the given schemas"),
        ({}, {"sample": 0}, "is not valid under any of the given schemas"),
        ({}, {"identity": "metadata:"}, "is not valid under any of the given schemas"),
    ],
)
def test_underlines_what_is_none_of_it(options: dict[str, Any], verify: Any, word: str) -> None:
    found = faults(
        {"version": 1, "providers": {"fastly": {**FASTLY, **options}}, "routes": [{**ROUTE, "verify": verify}]}
    )
    assert any(word in fault for fault in found), found


def test_what_only_loads_has_no_options_about_purges() -> None:
    refused = faults({"version": 1, "providers": {"warm": {"via": "a.example", "again": "5s"}}, "routes": [ROUTE]})
    assert any("'again' was unexpected" in fault for fault in refused)

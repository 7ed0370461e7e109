"""The JSON Schema accepts what the config accepts, and refuses what editors should underline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from multicdn.authoring.schema import schema
from multicdn.plugins.discovery import Plugins

ROOT = Path(__file__).parents[2]
SCHEMA = schema(Plugins())
FASTLY = {"token": "${env:T}", "service": "S"}
ROUTE = {"bucket": "b", "urls": ["https://h/{key}"], "purge": ["fastly"]}


class _Yaml12(yaml.SafeLoader):
    """Editors read YAML 1.2, in which `on` is a word."""


_Yaml12.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:bool"]
    for letter, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def faults(value: Any) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(value)]


def test_is_itself_a_valid_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_accepts_the_shipped_example() -> None:
    text = (ROOT / "multicdn.config.yml").read_text(encoding="utf-8")
    # "soft: true" stays a text without YAML 1.1's booleans: give the words of YAML 1.2 back.
    value = yaml.load(text.replace("soft: true", "soft: !!bool true"), Loader=_Yaml12)
    assert faults(value) == []


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

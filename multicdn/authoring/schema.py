"""A JSON Schema of the config file, so that editors complete and check it while it is written."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

from multicdn.authoring.catalog import shared_options
from multicdn.config.checker import VERSION
from multicdn.config.publish import Publish
from multicdn.config.settings import Install, Retrying
from multicdn.errors import PluginError
from multicdn.plugins.options import option_types, required_options
from multicdn.routing.route import written_members
from multicdn.routing.tiers import written_options
from multicdn.secrets import REFERENCE, Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from multicdn.plugins.discovery import Plugins
    from multicdn.provider import Provider

_NAME = r"^[A-Za-z0-9_.-]+$"

# What editors know best: github.com/SchemaStore/schemastore, CONTRIBUTING.md, "Best practices". What stands beside a
# `$ref` is overlooked there, hence the `allOf`.
_DRAFT = "http://json-schema.org/draft-07/schema#"
_PROVIDER = {"$ref": "#/definitions/provider"}
_TYPED = {"type": "object", "required": ["type"], "properties": {"type": {"type": "string"}}}
_ID = "https://json.schemastore.org/multicdn.json"


def schema(plugins: Plugins, *, catalogued: bool = False) -> dict[str, Any]:
    """The schema for the installed providers; one that doesn't import is left out.

    Args:
        plugins: the installed ones.
        catalogued: for a catalog of schemas, whose readers have plugins that we don't know: other types pass.
    """
    classes = dict(_importable(plugins))
    definitions = {f"provider-{name}": _provider(cls) for name, cls in classes.items()}
    definitions["provider"] = _any_provider(classes, others=catalogued)
    definitions |= {f"option-{name}": _value(hint) for name, hint in written_options().items()}
    definitions["route"] = _members(written_members(), {"bucket"})
    definitions["install"] = _members(get_type_hints(Install, include_extras=True), ())
    definitions["publish"] = _members(get_type_hints(Publish, include_extras=True), ())
    definitions["delivery"] = _members(get_type_hints(Retrying, include_extras=True), ())
    return {
        "$schema": _DRAFT,
        **({"$id": _ID} if catalogued else {}),
        "title": "multicdn.config.yml",
        "type": "object",
        "required": ["version", "providers", "routes"],
        "additionalProperties": False,
        "patternProperties": {"^x-": {"description": "your own: what other parts of the file merge in"}},
        "properties": {
            "version": {"const": VERSION},
            "providers": {
                "description": "provider instances by name; `type` defaults to the name",
                "type": "object",
                "propertyNames": _names({"pattern": _NAME}),
                "properties": {name: _named(name) for name in classes},
                "additionalProperties": {**_TYPED, "allOf": [_PROVIDER]},
            },
            "routes": {
                "description": "every route that matches a changed object applies",
                "type": "array",
                "minItems": 1,
                "items": {"$ref": "#/definitions/route"},
            },
            "delivery": {
                "description": "how long jobs are tried, and at what share",
                "allOf": [{"$ref": "#/definitions/delivery"}],
            },
            "publish": {
                "description": "who else is told what became of purges and preloads",
                "allOf": [{"$ref": "#/definitions/publish"}],
            },
            "install": {
                "description": "what `multicdn install` makes in AWS",
                "allOf": [{"$ref": "#/definitions/install"}],
            },
        },
        "definitions": definitions,
    }


def _importable(plugins: Plugins) -> Iterable[tuple[str, type[Provider]]]:
    for name in sorted(plugins.providers):
        try:
            yield name, plugins.provider_class(name)
        except PluginError:
            continue


def _named(name: str) -> dict[str, Any]:
    """An instance that is called as a type is of that type, unless it says otherwise."""
    return {
        "if": _TYPED,
        "then": _PROVIDER,
        "else": {"$ref": f"#/definitions/provider-{name}"},
    }


def _any_provider(classes: Mapping[str, type[Provider]], *, others: bool) -> dict[str, Any]:
    cases = [
        {
            "if": {**_TYPED, "properties": {"type": {"const": name}}},
            "then": {"$ref": f"#/definitions/provider-{name}"},
        }
        for name in classes
    ]
    known: dict[str, Any] = {"enum": list(classes)}
    return {
        "type": "object",
        "properties": {"type": {"anyOf": [known, {"type": "string"}]} if others else known},
        "allOf": cases,
    }


def _provider(cls: type[Provider]) -> dict[str, Any]:
    types = option_types(cls)
    helps = {field.name: field.metadata.get("help", "") for field in dataclasses.fields(cls)}
    properties = {name: {**_value(hint), "description": helps[name]} for name, hint in types.items()}
    shared = {option.name: {"$ref": f"#/definitions/option-{option.name}"} for option in shared_options(cls)}
    described = {"description": (cls.__doc__ or "").strip().partition("\n")[0]}
    return {**described, **_object({"type": {"type": "string"}, **shared, **properties}, required_options(cls))}


def _members(hints: Mapping[str, Any], required: Iterable[str]) -> dict[str, Any]:
    return _object({name: _value(hint) for name, hint in hints.items()}, required)


def _object(properties: dict[str, Any], required: Iterable[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": sorted(required),
        "properties": properties,
    }


def _value(hint: Any) -> dict[str, Any]:
    made = msgspec.json.schema(hint, schema_hook=_secret)
    return _loosened(_inlined(made, made.pop("$defs", {})))  # type: ignore[no-any-return]


def _secret(custom: type) -> dict[str, Any]:
    if custom is not Secret:
        raise NotImplementedError
    return {"type": "string", "pattern": f"^{_ecma(REFERENCE.pattern)}$"}


def _ecma(pattern: str) -> str:
    """Spell a Python pattern for JSON Schema, whose regular expressions name groups differently."""
    return pattern.replace("(?P<scheme>", "(").replace("(?P<name>", "(")


def _inlined(value: Any, definitions: Mapping[str, Any]) -> Any:
    """Put definitions where they are referred to: each is used once, and hovering then shows it."""
    if isinstance(value, dict):
        name = str(value.get("$ref", "")).removeprefix("#/$defs/")
        merged = (
            {**definitions[name], **{key: below for key, below in value.items() if key != "$ref"}} if name else value
        )
        return {key: _inlined(below, definitions) for key, below in merged.items() if key not in ("title", "default")}
    return [_inlined(item, definitions) for item in value] if isinstance(value, list) else value


def _loosened(value: Any) -> Any:
    """Let plain texts be written without quotes, whatever they look like to an editor.

    One reads `account: 12E4` as a number; the config takes it as the text that it is.
    """
    if isinstance(value, list):
        return [_loosened(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") == "string" and not {"enum", "pattern"} & value.keys():
        described = {"description": value["description"]} if "description" in value else {}
        text = {key: below for key, below in value.items() if key != "description"}
        return {**described, "anyOf": [text, {"type": "number"}, {"type": "boolean"}]}
    return {key: _names(below) if key == "propertyNames" else _loosened(below) for key, below in value.items()}


def _names(value: dict[str, Any]) -> dict[str, Any]:
    """Names are texts in any case; validators want to be told."""
    return {"type": "string", **value}

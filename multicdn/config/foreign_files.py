"""What a file is that isn't a config. Pure, and asked only about files that have problems."""

from __future__ import annotations

import json
import re

_KEY = re.compile(r"""^["']?([A-Za-z_$][A-Za-z0-9_$.-]*)["']?[ \t]*:""", re.MULTILINE)
_KEY_OF_JSON = re.compile(r'[{,]\s*"([A-Za-z_$][A-Za-z0-9_$.-]*)"\s*:')
_SECTION = re.compile(r"^\[\[?[A-Za-z0-9_. \"-]+\]\]?[ \t]*$", re.MULTILINE)
_NOTHING = ("", "---", "...", "~", "null", "{}")

# Characters in which a file says what it is.
_BEGINNING = 20_000

_EVENT = "is an event, and no config: `multicdn explain {name}` says what it would purge"
_GLOBALDOTS = "is of GlobalDots' s3-trigger-purge-cdn: `multicdn config convert {name}` makes ours of it"
_OTHER = "is {kind}, and no config of multicdn; which file is meant?"

# Names that a file of some kind has, all of them, and the sentence.
_KINDS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("Records",), _EVENT),
    (("detail-type",), _EVENT),
    (("requestPayload",), _EVENT),
    (("invocationSchemaVersion",), _EVENT),
    (("Messages",), _EVENT),
    (("cdnDomains",), _GLOBALDOTS),
    (("cdnConfigurations",), _GLOBALDOTS),
    (("AWSTemplateFormatVersion",), _OTHER.format(kind="a CloudFormation template")),
    (("Resources",), _OTHER.format(kind="a CloudFormation template")),
    (("Transform",), _OTHER.format(kind="a template of AWS SAM")),
    (("service", "functions"), _OTHER.format(kind="a serverless.yml")),
    (("service", "provider"), _OTHER.format(kind="a serverless.yml")),
    (("apiVersion", "kind"), _OTHER.format(kind="a Kubernetes manifest")),
    (("services",), _OTHER.format(kind="a Compose file")),
    (("on", "jobs"), _OTHER.format(kind="a GitHub workflow")),
    (("$schema", "properties"), "is the JSON Schema that editors read; the config is another file"),
    (("$defs",), "is the JSON Schema that editors read; the config is another file"),
    (("Statement", "Version"), _OTHER.format(kind="an IAM policy")),
    (("dependencies", "name"), _OTHER.format(kind="a package.json")),
)  # fmt: skip


def told(text: str, name: str) -> str:
    """One sentence with file and line about a file of another kind, or an empty one; empty if it may be a config."""
    beginning = text[:_BEGINNING].removeprefix("\ufeff")
    if all(line.partition("#")[0].strip() in _NOTHING for line in text.removeprefix("\ufeff").splitlines()):
        return f"{name}:1: is empty: `multicdn init` writes a first config"
    found = _names(text, beginning)
    if found.keys() & {"providers", "routes"}:
        return ""
    for keys, sentence in _KINDS:
        if found.keys() >= set(keys):
            return f"{name}:{_line(text, found[keys[0]])}: {sentence.format(name=name)}"
    if beginning.lstrip().startswith("<"):
        return f"{name}:1: is HTML or XML, and the config is YAML"
    if section := _SECTION.search(beginning):
        return f"{name}:{_line(beginning, section.start())}: is TOML or INI, and the config is YAML"
    return ""


def _names(text: str, beginning: str) -> dict[str, int]:
    """The names at the top of a file, and where each stands; all names, where JSON can't be read."""
    if not beginning.lstrip().startswith(("{", "[")):
        return {match[1]: match.start(1) for match in reversed(list(_KEY.finditer(beginning)))}
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return {match[1]: match.start(1) for match in reversed(list(_KEY_OF_JSON.finditer(beginning)))}
    return {name: max(0, text.find(f'"{name}"')) for name in data} if isinstance(data, dict) else {}


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1

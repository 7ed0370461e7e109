"""What a plugin imports: docs/plugins.md names it, and the built-in vendors and ``new-provider`` keep to it."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from kit.environments import ROOT

from multicdn.cli.new_provider import Names, files

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
DOCUMENTED = {
    module: set(re.findall(r"`(\w+)`", names))
    for module, names in re.findall(r"^\| `(multicdn[\w.]*)` \|.*\|(.*)\|$", PAGE, re.MULTILINE)
}
TESTS = "multicdn.testing.conformance"
FOR_VENDORS = {
    f"multicdn.{name}"
    for name in ("provider", "http", "secrets", "bounds", "diagnosis", "proxies", "through", "tls", "aws_clients")
}

VENDORS = {str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / "providers").rglob("*.py"))}
SCAFFOLD = {path: text for path, text in files(Names.of("acme")).items() if path.endswith(".py")}
PROGRAMS = dict(enumerate(re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)))


def imported(text: str) -> Iterator[tuple[str, str]]:
    """Module and name of each import of multicdn's, wherever it stands; the name is empty for a whole module."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.partition(".")[0] == "multicdn")
        elif (
            isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").partition(".")[0] == "multicdn"
        ):
            yield from ((str(node.module), alias.name) for alias in node.names)


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module in DOCUMENTED for name in sorted(DOCUMENTED[module])]
)
def test_every_documented_name_can_be_imported(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize(
    "module",
    [
        "multicdn.provider",
        "multicdn.http",
        "multicdn.aws_clients",
        "multicdn.bounds",
        "multicdn.diagnosis",
        "multicdn.proxies",
        "multicdn.through",
        "multicdn.tls",
        TESTS,
    ],
)
def test_every_public_name_is_documented(module: str) -> None:
    assert DOCUMENTED[module] == set(importlib.import_module(module).__all__)


@pytest.mark.parametrize("path", VENDORS)
def test_a_built_in_vendor_imports_what_is_documented_alone(path: str) -> None:
    for module, name in imported(VENDORS[path]):
        assert module in FOR_VENDORS
        assert name in DOCUMENTED[module]


def test_the_vendors_do_import_something() -> None:
    seen = {module for text in VENDORS.values() for module, _ in imported(text)}
    assert seen == FOR_VENDORS


@pytest.mark.parametrize("path", SCAFFOLD)
def test_the_scaffold_imports_what_is_documented_alone(path: str) -> None:
    allowed = {"multicdn.provider", "multicdn.http", TESTS} if path.startswith("tests/") else FOR_VENDORS
    found = list(imported(SCAFFOLD[path]))
    assert found
    for module, name in found:
        assert module in allowed
        assert name in DOCUMENTED[module]


@pytest.mark.parametrize("number", PROGRAMS)
def test_the_programs_of_the_page_import_what_it_documents(number: int) -> None:
    for module, name in imported(PROGRAMS[number]):
        assert (module, name) == ("multicdn.handler", "handler") or name in DOCUMENTED[module]


@pytest.mark.parametrize("path", sorted(path for path in VENDORS if path.count("/") == 2 and "__init__" in path))
def test_the_main_file_of_a_vendor_fits_on_two_screens(path: str) -> None:
    assert len(VENDORS[path].splitlines()) <= 200


@pytest.mark.slow
def test_the_contract_imports_no_http_library_and_no_sdk() -> None:
    ask = "import json, sys, multicdn.provider; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    modules = set(json.loads(done.stdout))
    assert not modules & {"requests", "urllib3", "boto3", "botocore", "yaml", "pluggy", "click"}
    ours = {name for name in modules if name.startswith("multicdn.")}
    names = (
        "aws_clients",
        "errors",
        "model",
        "patterns",
        "provenance",
        "provider",
        "redaction",
        "region",
        "secrets",
        "sequel",
        "terms",
    )
    assert ours == {f"multicdn.{name}" for name in names}


def rooms_imported(room: str) -> set[str]:
    """What a room below multicdn imports of others, type-only imports included."""
    home = ROOT / "multicdn"
    paths = (home / f"{room}.py", *(home / room).rglob("*.py"))
    texts = [path.read_text() for path in paths if path.exists()]
    return {f"{module}.{name}".split(".")[1] for text in texts for module, name in imported(text)} - {room}


def test_config_stands_on_routing_and_plugins_and_these_on_the_contract() -> None:
    order = ["provider", "plugins", "routing", "config"]
    above = {room: rooms_imported(room) & set(order[place:]) for place, room in enumerate(order)}
    assert above == {room: set() for room in order}
    assert rooms_imported("config") >= {"provider", "plugins", "routing"}

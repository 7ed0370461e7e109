"""The documentation is run: what it shows must work, and what is generated must be current."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import generate
import pytest

from multicdn import DOCS, config, hooks, provider
from multicdn.plugins.discovery import Plugins
from multicdn.routing.route import Route

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HOME = PROJECT["urls"]["Homepage"]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
IN_ORDER = ("plugins.md",)  # its blocks build on one another: test_docs_plugins.py
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(language: str) -> list[object]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            if match[1] == language and page.name not in IN_ORDER:
                line = text.count("\n", 0, match.start()) + 1
                found.append(pytest.param(match[2], id=f"{page.name}:{line}"))
    return found


@pytest.mark.parametrize("text", blocks("yaml"))
def test_configs_in_the_documentation_pass_the_check(text: str) -> None:
    loaded = config.parse(text, "docs", Plugins())
    assert loaded.routes
    assert not loaded.warnings


def test_programs_stand_only_where_they_are_run() -> None:
    assert blocks("python") == [], "let test_docs_plugins.py run it, or add a test that does"


@pytest.mark.slow
@pytest.mark.parametrize("text", blocks("console"))
def test_commands_in_the_documentation_print_what_is_shown(text: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"}
    for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
        if command.startswith("make "):
            target = command.split()[1]
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
            continue
        run = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert (run.stdout + run.stderr).strip() == expected.strip()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"(?:\]\(|^\[[^\]]+\]: )([^)#\s]+)", text, re.MULTILINE):
        own = link.startswith(f"{HOME}/blob/main/")
        target = ROOT / link.removeprefix(f"{HOME}/blob/main/") if own else page.parent / link
        assert target.exists() or (link.startswith("https://") and not own), link


def test_the_front_page_links_as_pypi_shows_it() -> None:
    """There, a path in the repository leads nowhere."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((?!https://)[^)]*\)", text) == []
    ends = set(re.findall(r"^\[([^\]]+)\]: https://", text, re.MULTILINE))
    assert ends >= set(re.findall(r"\[(docs/[\w-]+\.md|\w+\.md)\]", text))


def test_what_leads_to_our_pages_leads_somewhere() -> None:
    """No wheel holds the documentation: help, errors and written files name it by the project's address."""
    files = [*(ROOT / "multicdn").rglob("*.py"), *(ROOT / "providers").rglob("*.py")]
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    named = re.compile(r"(?:\{DOCS\}|" + re.escape(DOCS) + r")/([\w-]+\.md)(?:#([\w-]+))?")
    found = {match for line in lines for match in named.findall(line)}
    assert ("install.md", "") in found
    for page, heading in found:
        headings = re.findall(r"^#+ (.*)", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.MULTILINE)
        assert heading in {"", *(each.lower().replace(" ", "-") for each in headings)}, (page, heading)
    comments = ('"""', "#")
    plain = [line for line in lines if re.search(r"(?<![\w/}])docs/[a-z-]+\.md", line)]
    assert [line for line in plain if not line.lstrip().startswith(comments)] == []
    assert f"{HOME}/blob/main/docs" == DOCS


def test_every_extra_is_in_the_table_of_the_front_page() -> None:
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("| extra |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([\w-]+)`", "".join(row.split("|")[1] for row in table.splitlines())))
    assert named == set(PROJECT["optional-dependencies"]) - {"dev"}


def test_what_is_made_from_code_is_current() -> None:
    texts = generate.texts()
    assert [path.name for path, text in texts.items() if path.read_text(encoding="utf-8") != text] == [], (
        "run: make docs"
    )
    pages = {path for path in texts if path.parent.name == "vendors"}
    assert set((ROOT / "docs" / "vendors").iterdir()) == pages, "a vendor that is gone leaves no page"


def test_every_hook_and_capability_is_documented() -> None:
    text = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    names = [*hooks.HOOKS, *(each.base.__name__ for each in provider.CAPABILITIES), "SoftPurge"]
    assert [name for name in names if name not in text] == []


def test_every_member_of_a_route_is_documented() -> None:
    text = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    assert [name for name in Route.__struct_fields__ if f"| `{name}` |" not in text] == []


@pytest.mark.parametrize("name", provider.__all__)
def test_every_public_name_of_the_contract_exists(name: str) -> None:
    assert hasattr(provider, name)


def test_the_example_config_passes_the_check() -> None:
    loaded = config.load(ROOT / "multicdn.config.yml")
    # All that it warns of are the two services that have ended.
    assert [warning for warning in loaded.warnings if "is retired" not in warning] == []


def test_the_example_names_its_schema_in_the_first_line() -> None:
    first = (ROOT / "multicdn.config.yml").read_text(encoding="utf-8").partition("\n")[0]
    assert (ROOT / first.removeprefix("# yaml-language-server: $schema=")).samefile(generate.SCHEMA)


@pytest.mark.slow
def test_nothing_here_names_a_path_of_one_machine() -> None:
    """The tree must be as true on a visitor's machine as on ours."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    suspicious = re.compile(r"(?<![\w.:])/(?:root|home/\w+|work)/")
    for name in filter(None, listed):
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".yml", "") and path.is_file() and path != Path(__file__):
            assert not suspicious.search(path.read_text(encoding="utf-8", errors="replace")), name
    assert sys.executable


def test_each_test_that_the_documentation_names_is_there() -> None:
    named = {
        name
        for page in (ROOT / "docs").glob("*.md")
        for name in re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8"))
    }
    assert len(named) > 25
    there = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^ *def (test_\w+)\(", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named - there == set()

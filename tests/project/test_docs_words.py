"""What stands in backticks in the documentation exists: commands, options, members of the config, names of the code."""

from __future__ import annotations

import functools
import json
import re
from typing import TYPE_CHECKING

import click
import pytest
from kit.docs_text import PAGES, examples, prose, spans
from kit.environments import ROOT

from multicdn.cli import main
from multicdn.routing import placeholders
from multicdn.testing.loopback.aws import PROGRAM_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Names of others, which neither the code nor a test of it knows. What no page says any more is taken out.
OTHERS = {
    '"fileMatch": ["multicdn.config.yml", "multicdn.config.yaml"]',
    "--dryrun",
    "--s3-bucket acme-artifacts",
    "API_SECRET",
    "ApiSecret",
    "Debug",
    "GET /service/SERVICE",
    "GET /zones/ZONE",
    "GET /zones/ZONE/environments",
    "IMAGES_DOMAIN",
    "IMAGE_URL_PREFIX",
    "ImageUrlPrefix",
    "ImagesDomain",
    "InputPath: $.detail",
    "LambdaRole",
    "fastly-www",
    "img/logo-thumb.webp",
    "install.py",
    "lambda:ListEventSourceMappings",
    "lambda_region",
    "lambda_region=us-east-1",
    "logs:GetQueryResults",
    "multicdn.STACK.",
    "python -m venv .venv && . .venv/bin/activate",
    "rate(multicdn_refused_total[5m]) > 0",
    "req.url",
    "sam deploy",
    "sourcebucket",
    "src/negative_test",
    "ssm:PutParameter",
    "template_url",
    "url.normalize",
    "{ImageUrlPrefix}/{key}",
}

_WORD = re.compile(r"[A-Za-z_][\w-]*\w|[A-Za-z_]")
_EXAMPLE = re.compile(r"acme|example|shop-web|s3://|%[0-9A-F]{2}|\.(?:html|jpg|png|css|js|txt)\b")


@functools.cache
def code() -> frozenset[str]:
    """All words of the program, of its recipes, and of what tests know of others; and names of files."""
    texts = [path.read_text(encoding="utf-8") for top in ("multicdn", "providers") for path in _files(top)]
    texts += [(ROOT / name).read_text(encoding="utf-8") for name in ("Makefile", "pyproject.toml")]
    texts += [json.dumps([path.name for top in ("multicdn", "tests", "bench", "docs") for path in _files(top)])]
    return frozenset(_WORD.findall("\n".join(texts)))


@functools.cache
def known_to_tests() -> str:
    """Examples and names of AWS that a test works with."""
    return "\n".join(path.read_text(encoding="utf-8") for path in _files("tests") if path.name != "test_docs_words.py")


def _files(top: str) -> Iterator[Path]:
    return (ROOT / top).rglob("*.py")


@functools.cache
def commands() -> dict[tuple[str, ...], click.Command]:
    found: dict[tuple[str, ...], click.Command] = {}

    def add(path: tuple[str, ...], command: click.Command) -> None:
        found[path] = command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None
                add((*path, name), below)

    add((), main)
    return found


def options(path: tuple[str, ...]) -> set[str]:
    """The options of a command; what every command has among them."""
    taken = {option for param in commands()[path].params for option in (*param.opts, *param.secondary_opts)}
    return taken | {"-h", "--help", "--version"}


def is_command(words: list[str]) -> bool:
    """Whether words after ``multicdn`` call a command, with options that it has."""
    path: tuple[str, ...] = ()
    while len(words) > len(path) and (*path, words[len(path)]) in commands():
        path = (*path, words[len(path)])
    given = [word.partition("=")[0] for word in words[len(path) :] if word.startswith("-") and word != "-"]
    if words[:1] == ["help"]:
        return is_command(words[1:])
    return (bool(path) or bool(given)) and set(given) <= options(path)


@functools.cache
def schema() -> dict[str, set[str]]:
    """The members of each section of the config."""
    definitions = json.loads((ROOT / "docs/multicdn.schema.json").read_text(encoding="utf-8"))["definitions"]
    return {name: set(definition.get("properties", ())) for name, definition in definitions.items()}


def exists(span: str) -> bool:
    """Whether anything vouches for what stands in backticks."""
    words = span.split()
    if words[0] == "multicdn":
        return len(words) == 1 or is_command(words[1:])
    if span.startswith(("MULTICDN_", "_MULTICDN_", "--")):
        name = re.split(r"[= ]", span)[0]
        return name in code() or any(name in options(path) for path in commands())
    section, _, member = span.partition(".")
    if section in ("install", "delivery") and member and re.fullmatch(r"[a-z_]+", member):
        return member in schema()[section]
    if re.fullmatch(r"\{\w+\}", span):
        return span[1:-1] in placeholders.PLACEHOLDERS
    if (words[0],) in commands() and is_command(words):
        return True
    return _is_said(span)


def _is_said(span: str) -> bool:
    """Whether the code says it, or a test works with it; or all of its words do, where it is no single one."""
    if (ROOT / span).exists() or not _WORD.search(span) or _EXAMPLE.search(span):
        return True
    words = set(_WORD.findall(span))
    return words <= code() or span in known_to_tests()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_stands_in_backticks_exists(page: Path) -> None:
    missing = {span for span in spans(page) if not exists(span)} - OTHERS
    assert missing == set(), "misspelled, or no more; what is of others belongs into OTHERS"


# What a shell, a list of commands or a job of CI has before and behind one of ours.
_CALLED = re.compile(r"^(?:\$ |\s*- run: |.*\| )?(?:[A-Z_]+=\S+ )*multicdn ((?:(?!  |[|<>#]).)+)", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_examples_exist(page: Path) -> None:
    called = [line.split() for line in _CALLED.findall(examples(page))]
    assert [line for line in called if not is_command(line)] == []
    assert called or page.name not in {"README.md", "ci.md", "install.md", "on-call.md"}


def test_no_name_of_others_is_kept_that_no_page_needs() -> None:
    said = {span for page in PAGES for span in spans(page)}
    assert {name for name in OTHERS if name not in said or exists(name)} == set()


@pytest.mark.parametrize(
    "span",
    [
        "multicdn purge --softly",
        "multicdn purged",
        "multicdn install aply --yes",
        "MULTICDN_QUEUE",
        "--recursively",
        "install.memry",
        "delivery.first_dely",
        "{keys}",
        "purge --recursively",
        "MisspelledMetric",
        "unmached",
        "concurrency: maxima",
    ],
)
def test_what_is_misspelled_does_not(span: str) -> None:
    assert not exists(span)


def test_each_variable_that_the_program_reads_is_in_the_table_of_the_front_page() -> None:
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("| variable |")[2].partition("\n\n")[0]
    texts = (path.read_text(encoding="utf-8") for path in _files("multicdn"))
    read = {name for text in texts for name in re.findall(r'"(MULTICDN_[A-Z_]+)"', text)}
    assert set(re.findall(r"`(MULTICDN_\w+)`", table)) == read - {PROGRAM_VARIABLE}


def test_prose_leaves_out_what_is_run_or_generated() -> None:
    [page] = [page for page in PAGES if page.name == "config.md"]
    assert "version: 1" not in prose(page)
    assert "| `give_up_after` |" not in prose(page)
    assert "| `{first}` |" in prose(page)

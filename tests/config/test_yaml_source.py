"""YAML with line numbers and without surprises, with the C loader and with the Python one."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multicdn.config import yaml_source
from multicdn.errors import ConfigError

LOADERS = [loader for loader in (getattr(yaml, "CSafeLoader", None), yaml.SafeLoader) if loader]


@pytest.fixture(autouse=True, params=LOADERS, ids=lambda loader: loader.__name__)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(yaml_source, "_Loader", request.param)
    return request.param


def data(text: str) -> Any:
    return yaml_source.parse(text, "f.yml").data


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        yaml_source.parse(text, "f.yml")
    return caught.value.problems


@pytest.mark.parametrize(
    "text",
    [
        *("12", "12E4", "1e3", "0o17", "017", "0x1F", "1_000", "1:30", "3.14", ".5", ".inf", ".nan", "+1", "-0"),
        *("yes", "no", "on", "off", "true", "false", "y", "n", "True", "NO"),
        *("2026-11-22", "2026-11-22T09:00:00Z", "a b", "https://www.acme.com/{key}", "*.map"[1:], "a#b", "Null!"),
    ],
)
def test_plain_value_stays_the_text_in_the_file(text: str) -> None:
    assert data(f"a: {text}") == {"a": text}


@pytest.mark.parametrize("text", ["on", "off", "yes", "no", "y", "true", "12", "1.5", "~", "null", "2026-11-22"])
def test_key_stays_the_text_in_the_file(text: str) -> None:
    assert data(f"{text}: x") == {text: "x"}


@pytest.mark.parametrize("text", ["", " ", " ~", " null", " Null", " NULL", " # only a comment"])
def test_value_left_out_is_none(text: str) -> None:
    assert data(f"a:{text}\nb: x") == {"a": None, "b": "x"}


@pytest.mark.parametrize(
    ("text", "value"), [("''", ""), ('""', ""), ("'~'", "~"), ('"null"', "null"), ("|-\n  ~", "~")]
)
def test_quoted_value_is_never_none(text: str, value: str) -> None:
    assert data(f"a: {text}") == {"a": value}


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "~"])
def test_empty_file_holds_none(text: str) -> None:
    assert data(text) is None


def test_nested_values_keep_their_shape() -> None:
    text = "a: {b: [1, [2, {c: 3}]], d: {}}\ne: []\n"
    assert data(text) == {"a": {"b": ["1", ["2", {"c": "3"}]], "d": {}}, "e": []}


@pytest.mark.parametrize(
    "text", ["\ufeffa: x", "a: x\r\n", "a: x\r\n# end\r\n", "---\na: x\n...\n", "%YAML 1.1\n---\na: x"]
)
def test_ways_to_write_the_same_file(text: str) -> None:
    assert data(text) == {"a": "x"}


def test_alias_repeats_its_anchor_and_each_place_has_a_line() -> None:
    source = yaml_source.parse("a: &x\n  b: [1]\nc: *x\nd:\n  - *x\n", "f.yml")
    assert source.data == {"a": {"b": ["1"]}, "c": {"b": ["1"]}, "d": [{"b": ["1"]}]}
    assert source.at(("c",)) == "f.yml:3"
    assert source.at(("c", "b")) == "f.yml:2"


LINES = """\
# comment
version: 1

providers:
  fastly:
    token: x
routes:
  - bucket: b
    urls:
      - one

      - two
  - {bucket: c,
     on: [created]}
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 2),
        (("version",), 2),
        (("providers",), 4),
        (("providers", "fastly"), 5),
        (("providers", "fastly", "token"), 6),
        (("routes",), 7),
        (("routes", 0), 8),
        (("routes", 0, "bucket"), 8),
        (("routes", 0, "urls", 0), 10),
        (("routes", 0, "urls", 1), 12),
        (("routes", 1), 13),
        (("routes", 1, "on"), 14),
        (("routes", 1, "on", 0), 14),
        # What isn't there is looked for where it is missing.
        (("providers", "fastly", "service"), 5),
        (("routes", 1, "urls", 3), 13),
        (("nothing", "here"), 2),
    ],
)
def test_every_value_knows_its_line(path: tuple[str | int, ...], line: int) -> None:
    assert yaml_source.parse(LINES, "f.yml").at(path) == f"f.yml:{line}"


def test_empty_source_is_at_line_one() -> None:
    assert yaml_source.parse("", "f.yml").at(("version",)) == "f.yml:1"


# Writing texts

ODD_TEXTS = [
    "", " ", "null", "~", "yes", "no", "1", "1.5", "0x1f", "12E4", "2001-99-99", "=", "<<", "{key}", "{tenant}/", "[x",
    "a: b", "a:", "# x", "a # x", "- x", "-", "? x", "!x", "!!str x", "&a", "*a", "|", ">-", "@x", "`x", "%x", "---",
    "...", "'x'", '"x"', "it's", "\\", " a", "a ", "a\tb", "a\nb", "a\n\nb\n", "\r", "\x00", "\x7f", "\x85", "\xa0",
    "\u2028", "\ufeffx", "\ufffe", "ü 😀", "https://www.example.com/{key}", "${ssm:/a}",
]  # fmt: skip


def assert_reads_back(text: str) -> None:
    written = f"a: {yaml_source.scalar(text)}    # said of it\nb:\n  - {yaml_source.scalar(text)}\n"
    assert data(written) == {"a": text, "b": [text]}
    assert yaml.safe_load(written) == {"a": text, "b": [text]}, "another reader of YAML"


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_an_odd_text_reads_back_as_it_is(text: str) -> None:
    assert_reads_back(text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the loader is the same for all texts
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_reads_back_as_it_is(text: str) -> None:
    assert_reads_back(text)


@pytest.mark.parametrize("text", ["acme-site", "a b/", "https://www.example.com/{key}", "${ssm:/a}", "grüße", "it's"])
def test_a_text_that_needs_no_quotes_has_none(text: str) -> None:
    assert yaml_source.scalar(text) == text


# What is refused


def test_key_that_stands_twice() -> None:
    assert problems("a: 1\nb:\n  c: 2\n  c: 3\na: 4\na: 5\n") == (
        "f.yml:4: 'c' stands twice; first on line 3",
        "f.yml:5: 'a' stands twice; first on line 1",
        "f.yml:6: 'a' stands twice; first on line 1",
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: &x [*x]", 1), ("a: &x\n  b: *x", 2), ("a: &x\n  b:\n    - c: *x\n", 3), ("&x a: 1\nb: &y {c: *y}", 2)],
)
def test_alias_loop(text: str, line: int) -> None:
    assert problems(text) == (f"f.yml:{line}: an alias refers to itself",)


def test_key_that_is_no_word() -> None:
    assert problems("a: 1\n? [b]\n: 2\n") == ("f.yml:2: a key must be a word",)


@pytest.mark.parametrize("tag", ["!Ref", "!Sub", "!!python/name:os.system", "!!binary", "!!set"])
def test_tag_is_refused_since_nothing_is_done_with_it(tag: str) -> None:
    shown = tag.replace("!!", "tag:yaml.org,2002:")
    text = f"the tag {shown} means nothing here: leave it out, or put the text in quotes"
    assert problems(f"a: 1\nb: {tag} x\n") == (f"f.yml:2: {text}",)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("- *.map", "put texts that begin with * or & in quotes"),
        ("[*.map]", "put texts that begin with * or & in quotes"),
        ("- *map", "define it above with &, or put the text in quotes if the * is a part of it"),
        ("a:\n\tb: 1", "indent with blanks, not tabs, and put texts that begin with @, % or ` in quotes"),
        ("a: @b", "indent with blanks, not tabs, and put texts that begin with @, % or ` in quotes"),
        ("a: [b{c}]", "put texts that hold { or } in quotes"),
    ],
)
def test_what_wants_quotes_is_told_so(text: str, remedy: str) -> None:
    [found] = problems(text)
    assert found.endswith(f"; {remedy}")


@pytest.mark.parametrize("tag", ["!!str", "!!int", "!!bool"])
def test_tag_that_yaml_would_find_by_itself_changes_nothing(tag: str) -> None:
    assert data(f"a: {tag} 12") == {"a": "12"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [1, 2\nb: 3", 2),
        ("a: 1\n b: 2", 2),
        ("a: 'x\n", 2),
        ("a: {", 2),
        ("a:\n\t- b", 2),
        ("a: @b", 1),
        ("a: b: c", 1),
        ("a: *unknown", 1),
        ("a: 1\n---\nb: 2\n", 2),
        ("a: 1\n: : :\n- x", 2),
    ],
)
def test_broken_yaml_is_one_line_with_file_and_line(text: str, line: int) -> None:
    [problem] = problems(text)
    where, _, what = problem.partition(": not valid YAML: ")
    # The two loaders don't always notice at the same place.
    assert abs(int(where.removeprefix("f.yml:")) - line) <= 1
    assert what
    assert "\n" not in problem


@pytest.mark.parametrize(("character", "shown"), [("\x00", "'\\x00'"), ("\x07", "'\\x07'"), ("\x1b", "'\\x1b'")])
def test_forbidden_character_is_named_with_its_line(character: str, shown: str) -> None:
    assert problems(f"# größe 中文\na: 1\nb: x{character}y") == (
        f"f.yml:3: not valid YAML: the character {shown} can't stand in it",
    )


def test_placeholder_in_a_flow_list_without_quotes_is_explained() -> None:
    [problem] = problems("a: 1\nurls: [https://www.acme.com/{key}]\n")
    assert problem.startswith("f.yml:2: not valid YAML: ")
    assert problem.endswith("; put texts that hold { or } in quotes")


def test_aliases_that_multiply_are_refused_before_they_fill_the_memory() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    [problem] = problems("\n".join(lines))
    assert "its aliases multiply to far more than the file holds" in problem

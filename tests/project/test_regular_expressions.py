"""No text from outside can make a regular expression of ours take longer than in proportion to its length.

The expressions are read from the code, wherever they stand. Each meets texts that are made of its own parts, repeated:
those are the ones that make a matcher begin again and again. The time is that of the thread, so that a busy machine
makes it no longer.
"""

from __future__ import annotations

import ast
import functools
import re
import time
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from multicdn._words import words

if TYPE_CHECKING:
    from collections.abc import Iterator

# They take long, though they start nothing.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

# What stands in Lambda, and what people's own command lines, templates and simulators use beside it.
SOURCES = sorted([*ROOT.glob("multicdn/**/*.py"), *ROOT.glob("providers/**/*.py")])

USE = re.compile(r"\bre\.|\blazy_pattern\(")
FILES = [str(path.relative_to(ROOT)) for path in SOURCES if USE.search(path.read_text(encoding="utf-8"))]

FUNCTIONS = {"compile", "search", "match", "fullmatch", "sub", "split", "findall", "finditer"}

# Characters: few at first, so that what is exponential ends the test there.
SHORT = (22, 300)
LONG = 3000

# Seconds that no short text takes; and what makes a long one worth a second look: one that is linear takes some
# 0.04 ms, one that is quadratic 5 to 15, as the machine is. Of a text four times as long, 4 and 16 times that.
SLOW = 0.006
SUSPECT = 0.001
CERTAIN = 0.05  # a thread's own time: once is enough
LONGER = 4
GROWTH = 8


class Expression(NamedTuple):
    """A regular expression in the code, and the functions that it is used with."""

    text: str
    flags: int
    functions: tuple[str, ...]


@functools.cache
def expressions(path: Path) -> tuple[tuple[int, Expression], ...]:
    """Each regular expression in a file whose text stands there, by its line."""
    return tuple(_expressions(path))


def _expressions(path: Path) -> Iterator[tuple[int, Expression]]:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    names = {id(value): name for name, value in constants.items()}
    for node in ast.walk(tree):
        if (use := _use(node)) and (text := _text(use[1], constants)) is not None:
            function = use[0]
            used = set(re.findall(rf"\b{names.get(id(node), '-')}\.({'|'.join(FUNCTIONS)})\(", source))
            functions = tuple(sorted(used)) or ("search",)
            found = Expression(text, _flags(node), functions if function == "compile" else (function,))
            yield node.lineno, found  # type: ignore[attr-defined]


def _use(node: ast.AST) -> tuple[str, ast.expr] | None:
    """The function of ``re`` that is called, and its expression."""
    if not (isinstance(node, ast.Call) and node.args):
        return None
    if isinstance(node.func, ast.Name) and node.func.id == "lazy_pattern":
        return "compile", node.args[0]
    if not isinstance(node.func, ast.Attribute):
        return None
    of_re = isinstance(node.func.value, ast.Name) and node.func.value.id == "re" and node.func.attr in FUNCTIONS
    return (node.func.attr, node.args[0]) if of_re else None


def _text(node: ast.expr, constants: dict[str, ast.expr]) -> str | None:
    """The text of an expression, names of the same file put in; None where it is made while the program runs."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Name) and node.id in constants:
        return _text(constants[node.id], constants)
    if isinstance(node, ast.JoinedStr):
        parts = [_text(part, constants) for part in node.values]
        return None if None in parts else "".join(map(str, parts))
    if isinstance(node, ast.FormattedValue):
        return _text(node.value, constants)
    return None


def _flags(node: ast.AST) -> int:
    named = {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
    return sum(getattr(re, name) for name in named & {"IGNORECASE", "DOTALL", "MULTILINE", "VERBOSE"})


def made_of(text: str) -> list[str]:
    """What a matcher may stumble over: the letters and words of an expression, and pairs of them."""
    literal = re.sub(r"\\[bBdDwWsSAZ]|\(\?[^)]|[()|?*+^$\[\]{}\\]", " ", text)
    beginnings = [" ".join(literal.split()[:count]) + " " for count in (1, 2, 3)]
    pieces = [*beginnings, *literal.split(), *"a0A -/.:<*;{,=", "ab", "a-", "a.", "\t", "\n"]
    short = list(dict.fromkeys(piece for piece in pieces if len(piece) <= 24))[:24]
    return [*short, *(first + second for first, second in product(short[:4], short[:6]) if first != second)]


def seconds(pattern: re.Pattern[str], function: str, text: str) -> float:
    """How long an expression takes for a text, the best of some times."""
    use = getattr(pattern, function)
    arguments = ("", text) if function == "sub" else (text,)
    best = 99.0
    for _ in range(3):
        begun = time.thread_time()
        found = use(*arguments)
        if function == "finditer":
            list(found)
        best = min(best, time.thread_time() - begun)
        if best < SUSPECT or best > CERTAIN:
            break
    return best


def out_of_proportion(pattern: re.Pattern[str], function: str, start: str, unit: str, end: str) -> bool:
    """Whether texts made of a unit take an expression longer than in proportion to their length."""

    def taken(length: int) -> float:
        return seconds(pattern, function, f"{start}{unit * (length // len(unit))}{end}")

    if any(taken(length) > SLOW for length in SHORT):
        return True
    return (long := taken(LONG)) > SUSPECT and taken(LONG * LONGER) > GROWTH * long


def slow_text(expression: Expression) -> str:
    """A text that takes an expression more than its length is worth, in short; empty if none was found."""
    pattern = re.compile(expression.text, expression.flags)
    units = made_of(expression.text)
    starts = ["", *[unit for unit in units if len(unit) > 2][:2]]
    for function, start, unit, end in product(expression.functions, starts, units, ("", "\x00")):
        if out_of_proportion(pattern, function, start, unit, end):
            return f"{function}: {start!r} and {unit!r} again and again, {end!r}"
    return ""


def test_the_expressions_are_found() -> None:
    found = {file: len(expressions(ROOT / file)) for file in FILES}
    assert sum(found.values()) > 90
    assert min(found[file] for file in ("multicdn/_words.py", "multicdn/redaction.py", "providers/cloudfront/paths.py"))


@pytest.mark.parametrize("file", FILES)
def test_expressions_take_time_in_proportion_to_their_text(file: str) -> None:
    slow = {line: text for line, expression in expressions(ROOT / file) if (text := slow_text(expression))}
    assert slow == {}


@pytest.mark.parametrize("file", FILES)
def test_no_group_is_possessive(file: str) -> None:
    """Python 3.11 before 3.11.5 matches too much with those: https://github.com/python/cpython/issues/106052."""
    bare = [re.sub(r"\\.|\[(?:\\.|[^]\\])*\]", "x", each.text) for _, each in expressions(ROOT / file)]
    assert [text for text in bare if re.search(r"\)(?:[*+?]|\{[0-9,]+\})\+", text)] == []


@pytest.mark.parametrize(
    ("text", "function"),
    [
        (r"<(script|style)\b.*?</\1>|<[^>]*>", "sub"),
        (r"caller ?reference\b.*\bused\b", "search"),
        (r"(?:\*|%2A)+\Z", "sub"),
        (r"retry\b.*?\bin (\d+) seconds?", "search"),
        (r"\s+$", "sub"),
        (r"(?:a|ab?)+c", "match"),
    ],
)
def test_the_test_would_notice_an_expression_that_does_not(text: str, function: str) -> None:
    assert slow_text(Expression(text, re.IGNORECASE | re.DOTALL, (function,))) != ""


# What isn't an expression, or becomes one while the program runs


@pytest.mark.parametrize(
    "unit", ["<", "<script", "<script>", "</script>", "<style><", "<!--", "&lt;", "\\u003c", '{"a":', "["]
)
def test_a_page_made_to_be_slow_is_quoted_at_once(unit: str) -> None:
    """64 KiB of ``<`` took four seconds, in which no other thread got a turn."""
    body = (unit * 65536)[:65536].encode()
    begun = time.thread_time()
    assert len(words(body)) <= 301
    assert time.thread_time() - begun < 0.3

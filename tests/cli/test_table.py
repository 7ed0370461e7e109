"""Tables and long lines on a terminal: broken between words alone, and nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multicdn.cli.table import table
from multicdn.cli.terminal import folded

WORD = st.text("abc-/…é", min_size=1, max_size=12)
CELL = st.lists(WORD, min_size=1, max_size=6).map(" ".join)
TABLE = st.integers(1, 5).flatmap(
    lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=4)
)


@given(TABLE, st.integers(10, 130))
def test_each_word_is_whole_and_each_line_fits(rows: list[list[str]], columns: int) -> None:
    lines = list(table(rows[0], rows[1:], columns))
    words = [word for line in lines for word in line.split()]
    assert {word for row in rows[1:] for cell in row for word in cell.split()} <= {*words}
    least = sum(max(len(word) for cell in column for word in cell.split()) for column in zip(*rows, strict=True))
    if least + 2 * (len(rows[0]) - 1) <= columns:
        assert all(len(line) <= columns for line in lines)


@given(TABLE)
def test_in_a_pipe_each_row_is_a_line(rows: list[list[str]]) -> None:
    assert len(list(table(rows[0], rows[1:], None))) == len(rows)


def test_what_does_not_fit_side_by_side_is_listed() -> None:
    rows = [["a-provider-with-a-long-name", "alive", ""], ["b", "retired", "12 a call"]]
    assert list(table(["provider", "status", "limits"], rows, 30)) == [
        "a-provider-with-a-long-name", "  status: alive", "b", "  status: retired", "  limits: 12 a call",
    ]  # fmt: skip


@given(st.lists(WORD, min_size=1, max_size=30), st.integers(0, 6), st.integers(12, 120), st.integers(0, 8))
def test_a_line_is_folded_between_words(words: list[str], indent: int, columns: int, taken: int) -> None:
    line = " " * indent + " ".join(words)
    lines = folded(line, columns, taken).split("\n")
    assert " ".join(lines).split() == words
    for number, part in enumerate(lines):
        used = len(part) + (0 if number else taken)
        assert used <= columns or len(part.split()) == 1


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("short", "short"),
        ("  purge by url: two  blanks stay", "  purge by url: two\n    blanks stay"),
        ("https://www.acme.com/a-long-address-stays", "https://www.acme.com/a-long-address-stays"),
        ("one-word-of a-dead-letter-queue", "one-word-of\n  a-dead-letter-queue"),
        ("", ""),
    ],
)
def test_what_goes_on_stands_to_the_right(line: str, expected: str) -> None:
    assert folded(line, 20) == expected
    assert folded(line, None) == line

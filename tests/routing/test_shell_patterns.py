"""Many shell patterns as one: the same as each by itself, and no expression that walks through the key for each."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase, translate

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from multicdn.routing import shell_patterns
from multicdn.routing.shell_patterns import any_of

# Few signs, so that patterns match, and overlap; the last two are an s and a k to an expression without case.
PATTERNS = st.lists(st.text("ab/.*?[!-]\nK\u017f\u212a", max_size=6), min_size=1, max_size=4)
KEYS = st.text("abAB/.\n[*kKs", max_size=8)


@given(PATTERNS, KEYS)
@example(["*"], "")
@example([""], "a")
@example(["*.*"], "ab")
@example(["**a**", "a*"], "\na\n")
@example(["*[a]", "*]"], "[a]")
@settings(max_examples=150)
def test_any_of_some_patterns_is_what_the_standard_library_says_of_each(patterns: list[str], key: str) -> None:
    assert any_of(tuple(patterns))(key) == any(fnmatchcase(key, pattern) for pattern in patterns)


@given(PATTERNS, KEYS)
@example(["*\u017f*"], "as")
@example(["*\u212a"], "k")
@settings(max_examples=150)
def test_without_case_it_is_what_expressions_say_of_each(patterns: list[str], key: str) -> None:
    found = any(re.match(translate(pattern), key, re.IGNORECASE) for pattern in patterns)
    assert any_of(tuple(patterns), ignore_case=True)(key) == found


@pytest.mark.parametrize("pattern", ["*/dir-{}/*", "*.e{}", "dir-{}/*"])
def test_a_thousand_texts_with_stars_are_no_thousand_expressions(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    translated: list[str] = []
    monkeypatch.setattr(shell_patterns, "translate", lambda each: translated.append(each) or translate(each))
    any_of.cache_clear()
    found = any_of(tuple(pattern.format(number) for number in range(1000)))
    assert found(pattern.format(999).replace("*", "x"))
    assert not found("dir/dir-x/a.jpg")
    assert not translated
    assert any_of(("a?b",))("axb")  # the one way by which there would have been some
    assert translated

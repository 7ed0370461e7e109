"""Which regular expressions a config may hold: those that no key can make slow."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multicdn.config import key_pattern

GOOD = [
    "", ".*", "a", r"(?P<customer>[^/]+)/v(?P<major>\d+)\.(?P<minor>\d+)/(?P<file>.*)",
    r"(?P<lang>[a-z]{2})/(?P<page>.*)\.html", r"(?P<lang>en|en-US|de)/(?P<rest>.*)", "^(?P<x>[^/]+)/.*$",
    r"(?P<p>[^/]+)/.*\.(?:jpg|jpeg|png)", r"(?:\d+\.)*[a-z]+", "(?:a|ab)(?:c|bcd)d*", r".*?\.html", r"a\$", r"a\\$",
    "(?:(?P<lang>[a-z]{2})/)?(?P<rest>.*)", "(?:a*|b)c", "[^/]{1,63}/x", "x{2}", "a{,3}b", "a{b}", "a{}", "{,3x", "]}",
    r"[\]\[a-z_-]+/", r"(?:[a-z]+/){2}.*", "é+/.*", r"\d+é", "(?P<a>)", "a|", "|", "()"[:0], r"\w+/\S*", "(?:ab|cd)*e",
]  # fmt: skip

SLOW = "has a repetition that could end in several places"
ALIKE = "has alternatives that begin alike within a repetition"
BAD = [
    ("(?:a+)+b", SLOW), ("(?:a|a)*b", ALIKE), ("(?:a|ab)*c", ALIKE), (".*a.*b", SLOW), ("(?:.*a){9}", SLOW),
    ("(?P<a>.*)/(?P<b>[^/]+)", SLOW), ("(?:a?){50}a{50}", SLOW), ("(?:[^/]+/)*x", SLOW), ("a*a*", SLOW),
    ("(?:a*)*", "repeats what may be nothing"), ("(?:a|b?)+", "repeats what may be nothing"),
    ("(?:a+b?)*b", SLOW), (r"\w+\d+x", SLOW), (r"(?:\d+-?)+x", SLOW), ("(?:é|ö)+/", ALIKE),
    (r"(?:.*\.html|.*\.htm)", "has alternatives that begin alike"), ("(?:a*|a)b", "has alternatives that begin alike"),
    ("[a-z]{1,20}[a-z]{1,20}x", "could read one key in more than 100 ways"),
    ("(?:a|ab)" * 7, "could read one key in more than 100 ways"), ("a{1,256}", "repeats something more than 255 times"),
    ("a{99999999999}", "repeats something more than 255 times"),
    ("(a)", "has a group that isn't taken here, '(a)...'"), ("(?P<A>a)", "has a group that isn't taken here"),
    ("(?=a)a", "has a group that isn't taken here"), ("(?!a)b", "has a group"), ("(?<=a)b", "has a group"),
    ("(?i)a", "has a group"), ("(?i:a)", "has a group"), ("(?>a)", "has a group"), ("a(?#c)", "has a group"),
    (r"(?P<a>a)\1", r"has \1, which isn't taken here"), (r"\bfoo", r"has \b, which"), (r"foo\Z", r"has \Z, which"),
    (r"(?P<a>a)(?P=a)", "has a group"), ("a++", "has a possessive repetition"), ("a*+b", "has a possessive repetition"),
    ("a^b", "has a ^ in its midst"), ("a$b", "has a $ in its midst"), ("(?:^a)", "has a ^ in its midst"),
    ("[[a]]+", "has a list of characters that isn't taken here"), ("[]a]", "has a list"), ("[^]a]", "has a list"),
    ("[a", "has a list"), ("(?P<a>x", "has a ( without its )"), ("x)", "has a ) without its ("),
    ("*a", "isn't a regular expression"), ("a**", "isn't a regular expression"), ("a{3,1}", "isn't a regular"),
    ("[z-a]", "isn't a regular expression"), ("a\\", "isn't a regular expression"), (r"\x4", r"has \x"),
    ("(?P<a>x)(?P<a>y)", "isn't a regular expression"), ("a" * 501, "is longer than 500 characters"),
    ("(?:" * 12 + ")" * 12, "has groups within groups more than 10 deep"),
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_patterns_that_are_taken(text: str) -> None:
    assert key_pattern.fault(text) == ""


@pytest.mark.parametrize(("text", "reason"), BAD)
def test_patterns_that_are_not(text: str, reason: str) -> None:
    assert key_pattern.fault(text).startswith(reason)


def test_case_is_no_difference_where_it_is_ignored() -> None:
    assert key_pattern.fault("[a-z]+X.*") == ""
    assert key_pattern.fault("[a-z]+X.*x", ignore_case=True).startswith(SLOW)
    # The Kelvin sign is a k, and the long s is an s.
    assert key_pattern.fault("(?:k|\u212a)+", ignore_case=True).startswith(ALIKE)
    assert key_pattern.fault("(?:[r-t]+\u017f)*x", ignore_case=True).startswith(SLOW)


# No key can make one slow


ATOMS = st.sampled_from(["a", "b", "/", ".", "[ab]", "[^a]", r"\w", r"\d", "é", "ab", "[^/]"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "*?", "{2}", "{1,3}", "{,9}", "{2,}"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=8,
)


def seconds(pattern: re.Pattern[str], key: str) -> float:
    best = 99.0
    for _ in range(3):
        begun = time.thread_time()
        pattern.fullmatch(key)
        best = min(best, time.thread_time() - begun)
    return best


@settings(max_examples=150, deadline=None)
@given(PATTERNS, st.text(st.sampled_from("ab/é1"), min_size=1, max_size=3), st.sampled_from(["", "a", "\x00", "/b"]))
def test_whatever_is_taken_is_quick_for_the_longest_keys(text: str, unit: str, end: str) -> None:
    if key_pattern.fault(text) == "":
        pattern = re.compile(text, re.DOTALL)
        # First a short one, on which what takes years takes long enough to be seen.
        for length in (24, 1024):
            assert seconds(pattern, unit * (length // len(unit)) + end) < 0.05, (text, unit, end)


@pytest.mark.parametrize("text", [text for text in GOOD if text])
def test_patterns_that_are_taken_are_quick_for_keys_made_of_their_own_parts(text: str) -> None:
    pattern = re.compile(text, re.DOTALL)
    for unit in ("a", "/", "a/", ".", "1.", "v1.", "en", "en/", ".htm", ".html", "ab", "é", "en-US", "a.jp", "cd"):
        for end in ("", "\x00", "/"):
            assert seconds(pattern, (unit * 1024)[:1024] + end) < 0.02


def test_the_test_would_notice_a_slow_one() -> None:
    assert seconds(re.compile("(?:a|a)*b"), "a" * 22) > 0.05

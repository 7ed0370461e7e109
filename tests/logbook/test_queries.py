"""The questions to Logs Insights in docs/on-call.md ask for fields and words that the log has."""

from __future__ import annotations

import re

import pytest
from kit.environments import ROOT

from multicdn import vocabulary
from multicdn.logbook.subject import AskedAbout

PAGE = (ROOT / "docs" / "on-call.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"^```insights\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
COMMANDS = {"fields", "filter", "stats", "sort", "limit"}
WORDS = {"in", "like", "by", "as", "asc", "desc", "and", "or", "not"}
FUNCTIONS = {"count", "sum", "max", "pct", "latest", "ispresent"}
SYSTEM = {"@timestamp", "@message"}


def parts(query: str) -> list[tuple[str, str]]:
    """Each command with what follows it."""
    return [(part.split()[0], part.strip()) for part in re.split(r"\|", query)]


def names(query: str) -> set[str]:
    """What may be a field: all words but those in quotes, of the language, and those that the query itself makes."""
    bare = re.sub(r'"[^"]*"', "", query)
    made = set(re.findall(r"\bas (\w+)", bare))
    quoted = set(re.findall(r"`(\w+)`", bare))
    bare = re.sub(r"`\w+`|(?<![.\w])\d+", "", bare)
    return quoted | set(re.findall(r"@?[a-z_]+(?:\.\d)?", bare)) - COMMANDS - WORDS - FUNCTIONS - made


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_fields_that_there_are(query: str) -> None:
    assert {command for command, _ in parts(query)} <= COMMANDS
    for name in names(query) - SYSTEM:
        field, _, place = name.partition(".")
        assert field in vocabulary.FIELDS, name
        assert bool(place) == (vocabulary.FIELDS[field].type == "texts"), name


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_compares_with_words_that_there_are(query: str) -> None:
    for field, _, texts in re.findall(r'(\w+) (=|in) (\[[^]]*\]|"[^"]*")', query):
        known = {"event": tuple(vocabulary.EVENTS)}.get(field) or vocabulary.FIELDS[field].words
        assert set(re.findall('"([^"]*)"', texts)) <= set(known), texts


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_of_each_event_what_that_has(query: str) -> None:
    """Those that name their events; the others ask for what came of jobs."""
    named = re.search(r"event (?:=|in) (\[[^]]*\]|\"[^\"]*\")", query)
    events = re.findall('"([^"]*)"', named[1]) if named else ["accepted", "retry"]
    of_events = [vocabulary.EVENTS[event] for event in events]
    written = {"event", *(field for one in of_events for field in (*one.always, *one.sometimes))}
    assert {name.partition(".")[0] for name in names(query) - SYSTEM} <= written


def test_the_questions_of_whoever_is_on_call_are_there() -> None:
    assert len(QUERIES) == 10
    text = "\n".join(QUERIES)
    assert all(
        word in text
        for word in ("@message like", "refused", "dead", "requeued", "ispresent(`by`)", "age_seconds", "fresh", "stale")
    )


def test_words_of_the_language_stand_in_backticks_where_they_are_fields() -> None:
    for query in (*QUERIES, AskedAbout(frozenset((("b", "k"),)), {}).query()):
        bare = re.sub(r'"[^"]*"', "", query)
        assert not re.search(r"(?:fields|,|\() *(?:by|in|as|like|and|or|not)\b", bare), query

"""How far purges have come, by lines of the log."""

from __future__ import annotations

from multicdn.logbook.entries import LogEntry
from multicdn.logbook.reached import reached


def line(event: str, provider: str = "fastly", **fields: object) -> LogEntry:
    return LogEntry("", {"event": event, "state": event, "provider": provider, "action": "purge", **fields})


def test_the_longest_of_several_counts_and_keys_are_gathered() -> None:
    found = reached(
        [
            line("accepted", age_seconds=0.1),
            line("accepted", age_seconds=0.3),
            line("finished", age_seconds=1.5),
            line("fresh", age_seconds=1.5, keys=["a"]),
            line("fresh", age_seconds=1.2, keys=["b"]),
        ]
    )["fastly"]
    assert (found.accepted, found.finished, found.fresh) == (0.3, 1.5, 1.5)
    assert (found.keys, found.purges, found.stale, found.trouble) == ({"a", "b"}, 1, "", "")


def test_a_further_purge_changes_when_it_is_fresh_and_not_when_the_first_was_accepted() -> None:
    found = reached(
        [
            line("accepted", age_seconds=0.1),
            line("finished", age_seconds=0.2),
            line("stale", state="purged", purges=1, seen='ETag "old"'),
            line("accepted", age_seconds=2.1),
            line("finished", age_seconds=2.2),
            line("fresh", age_seconds=2.3, keys=["a"]),
        ]
    )["fastly"]
    assert (found.accepted, found.finished, found.fresh) == (0.1, 0.2, 2.3)
    assert (found.purges, found.stale) == (2, 'ETag "old"')


def test_what_was_given_up_or_is_unknown_has_its_reason() -> None:
    found = reached(
        [
            line("stale", state="dead", purges=4, reason="still stale at FRA after 4 purges"),
            line("unknown", provider="site/E1", reason="login needed"),
        ]
    )
    assert (found["fastly"].purges, found["fastly"].trouble) == (4, "still stale at FRA after 4 purges")
    assert found["site"].trouble == "login needed"


def test_preloads_and_lines_of_others_are_none_of_it() -> None:
    assert reached([line("accepted", action="preload"), LogEntry("x"), LogEntry("", {"event": "invocation"})]) == {}

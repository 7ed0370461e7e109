"""What runs for days beside an editor must not grow: whatever comes in by the thousand is forgotten again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from multicdn.local import logged, objects, site, timeline
from multicdn.local.logged import Logged
from multicdn.local.objects import ObjectVersions
from multicdn.local.site import Site
from multicdn.local.timeline import Timeline
from multicdn.model import Action, Job, TargetKind

if TYPE_CHECKING:
    import pytest


def test_messages_are_forgotten_with_what_they_were_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "_MOST_MESSAGES", 3)
    kept = Timeline()
    known = kept.add("acme-site", "a", "created", 1, 0.0, {"fastly": frozenset({Action.PURGE})}, "")
    for number in range(9):
        kept.received(f"m{number}", known, "")
        url = Job("fastly", Action.PURGE, TargetKind.URL, ("https://www.acme.com/a",), (frozenset({"r"}),))
        kept.returned(f"r{number}", url)
    assert (len(kept._by_message), len(kept._keys_of_message)) == (3, 2)


def test_urls_of_the_origin_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "_MOST_URLS", 4)
    kept = Site()
    for number in range(9):
        kept.learn("b", f"{number}", [f"https://www.acme.com/{number}"], ["t"])
    assert (len(kept._objects), len(kept._tags)) == (4, 4)
    assert kept._objects["www.acme.com", "/8"] == ("b", "8")


def test_objects_and_their_versions_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_MOST_OBJECTS", 3)
    monkeypatch.setattr(objects, "_MOST_VERSIONS", 2)
    kept = ObjectVersions()
    for number in range(9):
        assert kept.changed("b", "often", f"e{number}") == number + 1
    assert kept._objects["b", "often"].versions == {"e7": 8, "e8": 9}
    for number in range(9):
        kept.changed("b", f"{number}", "e")
    assert [key for _, key in kept._objects] == ["6", "7", "8"]


def test_lines_of_the_log_are_few_and_not_long() -> None:
    with Logged() as kept:
        for _ in range(2 * logged._MOST_LINES):
            logging.getLogger("multicdn").error("x" * 9999)
    assert {len(line.text) for line in kept.lines()} == {logged._LONGEST_LINE}
    assert len(kept.lines()) == logged._MOST_LINES

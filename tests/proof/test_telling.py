"""What the log and the metrics say of purges that are followed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from kit.vocabulary import faults

from multicdn.model import Action, Job, TargetKind
from multicdn.proof.identity import Verdict
from multicdn.proof.ladder import Note
from multicdn.proof.measuring import measures
from multicdn.proof.telling import counts, records
from multicdn.provenance import Provenance
from multicdn.queue.message import Look, QueuedJob
from multicdn.readable import sentence
from multicdn.sequel import Sequel, Subject

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = 1_764_000_000.0
SITE = "https://www.acme.com"
OLD = Verdict("stale", "ETag is not that of S3", 'ETag "old", 312 s old', 'ETag "new"', "AMS")
NEW = Verdict("fresh", "ETag as in S3", 'ETag "new", 1 s old', 'ETag "new"')


def subject(key: str, time: str = "2025-11-24T15:59:50.000Z") -> Subject:
    return Subject(f"{SITE}/{key}", "acme-site", key, time=time)


def behind(key: str, **members: Any) -> Provenance:
    known = {"bucket": "acme-site", "keys": (key,), "objects": 1, "routes": ("c.yml:9",)}
    return Provenance(**{**known, "uploaded": "2025-11-24T15:59:50.000Z", **members})


def queued(
    *keys: str, provider: str = "www", provenance: Sequence[Provenance] = (), kind: Any = TargetKind.URL
) -> QueuedJob:
    targets = tuple(f"{SITE}/{key}" for key in keys) if kind is TargetKind.URL else keys
    sequels = tuple(Sequel((subject(key),)) for key in keys)
    known = tuple(provenance) or tuple(map(behind, keys))
    job = Job(provider, Action.PURGE, kind, targets, (frozenset("m"),) * len(keys), provenance=known, sequels=sequels)
    return QueuedJob(job, 0, NOW, ("m1",), look=Look(accepted=NOW - 8, due=NOW, receipts=("I7",)))


def note(
    event: str, *keys: str, verdict: Verdict | None = None, of: Any = None, more: Any = (), **members: Any
) -> Note:
    shown = (*((subject(key), verdict) for key in keys), *more) if verdict else ()
    return Note(event, of or queued(*keys), shown, **{"at": NOW, "reason": "why", **members})


def lines(*notes: Note) -> list[dict[str, Any]]:
    """The records with their levels, each held against the vocabulary."""
    found = [{"level": logging.getLevelName(each.level), "event": each.event, **each.fields} for each in records(notes)]
    for line in found:
        fields = {name: value for name, value in line.items() if name != "level"}
        assert list(faults(line["level"], fields)) == []
    return found


def shown(line: dict[str, Any], *names: str) -> list[Any]:
    return [line.get(name) for name in names]


def test_finished_says_how_that_is_known_since_when_and_who_is_behind_it() -> None:
    [line] = lines(note("finished", "a.css", asked=True, reason=""))
    assert line == {
        "level": "INFO", "event": "finished", "provider": "www", "action": "purge", "kind": "url", "soft": False,
        "state": "finished", "targets": 1, "first": [f"{SITE}/a.css"], "bucket": "acme-site", "keys": ["a.css"],
        "objects": 1, "routes": ["c.yml:9"], "messages": ["m1"], "age_seconds": 10.0, "accepted_seconds": 8.0,
        "basis": "asked", "id": "I7",
    }  # fmt: skip
    assert lines(note("finished", "a.css"))[0]["basis"] == "published"


def test_fresh_says_how_long_it_took_and_by_what_it_was_told() -> None:
    [line] = lines(note("fresh", "a.css", verdict=NEW))
    assert shown(line, "state", "age_seconds", "seen", "expected") == ["fresh", 10.0, NEW.seen, NEW.expected]
    assert "urls" not in line, "its target says it"
    assert sentence(line).startswith(f"www: purge of 1 url fresh: why ({SITE}/a.css; ")


def test_stale_says_what_the_edge_sent_and_what_is_done() -> None:
    [again] = lines(note("stale", "a.css", verdict=OLD, state="purged", purges=2, delay=5))
    assert shown(again, "level", "state", "purges", "delay", "pop") == ["WARNING", "purged", 2, 5, "AMS"]
    assert "purge of 1 url stale, purged again in 5 s: why: ETag is not that of S3" in sentence(again)
    [at_once] = lines(note("stale", "a.css", state="purged", reason="the vendor gave it up: no"))
    assert at_once["delay"] == 0
    assert "stale, purged again: the vendor gave it up: no" in sentence(at_once)
    [dead] = lines(note("stale", "a.css", verdict=OLD, state="dead", purges=4))
    assert shown(dead, "level", "state", "purges", "delay") == ["ERROR", "dead", 4, None]


@pytest.mark.parametrize(("event", "level"), [("unknown", "WARNING"), ("superseded", "INFO"), ("released", "WARNING")])
def test_the_others_are_their_own_states(event: str, level: str) -> None:
    [line] = lines(note(event, "a.css"))
    assert shown(line, "event", "state", "level") == [event, event, level]


def test_those_that_ended_alike_are_one_record_with_the_oldest_of_them() -> None:
    older = note("fresh", "c.css", verdict=NEW, at=NOW + 5)
    [line] = lines(note("fresh", "a.css", "b.css", verdict=NEW), older)
    assert shown(line, "targets", "objects", "age_seconds") == [3, 3, 15.0]
    assert line["keys"] == ["a.css", "b.css", "c.css"]
    other = note("fresh", "a.css", verdict=NEW, of=queued("a.css", provider="site/E1"))
    assert len(lines(older, other, note("fresh", "a.css", verdict=NEW, reason="MD5 as in S3"))) == 3


def test_what_different_people_did_is_told_apart_each_with_its_own_objects() -> None:
    both = queued("a.css", "b.css", provenance=[behind("a.css", principal="ann"), behind("b.css", principal="bob")])
    first, second = lines(note("fresh", "a.css", "b.css", verdict=NEW, of=both))
    assert shown(first, "principal", "keys", "targets") == ["ann", ["a.css"], 1]
    assert shown(second, "principal", "keys", "targets") == ["bob", ["b.css"], 1]


def test_behind_a_tag_the_objects_are_those_that_were_looked_at_and_urls_are_named() -> None:
    deploy = queued("pages", kind=TargetKind.TAG, provenance=[behind("a.css", objects=9000)])
    [line] = lines(note("stale", "a.css", "b.css", verdict=OLD, of=deploy, state="purged"))
    assert shown(line, "first", "objects", "keys") == [["pages"], 2, ["a.css", "b.css"]]
    assert line["urls"] == [f"{SITE}/a.css", f"{SITE}/b.css"]


def test_more_than_a_person_reads_is_counted_for_each_provider_and_the_worst_is_told() -> None:
    many = [note("unknown", "a.css", reason=f"answers {status}") for status in range(500, 530)]
    found = lines(*many, note("stale", "a.css", state="dead"), note("fresh", "a.css", of=queued("a", provider="img")))
    assert ["stale", "dead"] in [shown(line, "event", "state") for line in found if line["event"] == "stale"]
    assert [line["event"] for line in found].count("unknown") == 19
    [rest] = [line for line in found if line["event"] == "left-out"]
    assert shown(rest, "provider", "records", "targets", "level") == ["www", 11, 11, "WARNING"]


def test_an_invocation_counts_what_was_looked_at_and_how_that_ended() -> None:
    looks = [queued("a.css", "b.css"), queued("c.css", provider="site/E1")]
    found = counts(looks, [note("stale", "a.css", state="dead"), note("stale", "b.css", state="purged")])
    assert found == {"www": {"looked": 2, "stale": 2, "dead": 1}, "site": {"looked": 1}}


# Metrics


def test_seconds_are_those_of_each_upload_and_objects_are_counted() -> None:
    late = (subject("b.css", "2025-11-24T15:59:58Z"), NEW), (subject("c.css", "odd"), NEW)
    found = measures([
        note("finished", "a.css", at=NOW - 2),
        note("fresh", "a.css", verdict=NEW, more=late),
        note("unknown", "d.css", "e.css", verdict=NEW),
        note("superseded", "f.css", verdict=NEW),
    ])  # fmt: skip
    assert found == {
        "www": {
            "UploadToFinishedSeconds": [8.0], "UploadToFreshSeconds": [10.0, 2.0], "Fresh": 3.0, "Unknown": 2.0,
        }
    }  # fmt: skip


def test_what_is_stale_counts_as_purged_again_or_dead() -> None:
    found = measures(
        [
            note("stale", "a.css", "b.css", verdict=OLD, state="purged"),
            note("stale", "a.css", "b.css", verdict=OLD, state="dead"),
            note("stale", "c.css", state="dead", of=queued("c.css", provider="site/E1")),
        ]
    )
    assert found == {"www": {"PurgedAgain": 2.0, "Dead": 2.0, "Stale": 2.0}, "site": {"Dead": 1.0, "Stale": 1.0}}


def test_seconds_of_a_purge_without_objects_to_look_at_are_those_of_what_is_behind_it() -> None:
    plain = queued("a.css", "b.css", provenance=[behind("a.css"), behind("b.css", uploaded="2025-11-24T15:59:55Z")])
    alone = msgspec.structs.replace(plain, job=msgspec.structs.replace(plain.job, sequels=()))
    seconds = measures([note("finished", of=alone)])["www"]["UploadToFinishedSeconds"]
    assert isinstance(seconds, list)
    assert sorted(seconds) == [5.0, 10.0]

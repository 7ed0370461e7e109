"""Looks that meet in one batch."""

from __future__ import annotations

from typing import Any

import msgspec
from kit.sample_plugins import Plain

from multicdn.aws.s3 import Objects
from multicdn.model import Action, Job, Report, TargetKind
from multicdn.proof.followed import delay_until
from multicdn.proof.following import Following, superseded, without_older
from multicdn.proof.identity import Verdict
from multicdn.proof.ladder import Sighting
from multicdn.queue.message import Look, QueuedJob
from multicdn.queue.retry import DeadLetter, MessageHistory
from multicdn.routing.verify import Verify
from multicdn.sequel import Sequel, Subject, Then

URL = "https://a.example/a.css"
WARM = Then("warm", "preload", "b", (("url", URL),), fresh=True)
OUTER = Then("outer", "purge", "b", (("url", URL),))


def following(**more: Any) -> Following:
    return Following({"site": Plain()}, {}, lambda bucket, key, name: Verify(within="1s"), Objects(), **more)


def look(sequencer: str, accepted: float = 1.0, provider: str = "site", **subject: Any) -> QueuedJob:
    sequel = Sequel(
        (Subject(**{"url": URL, "bucket": "b", "key": "k", "sequencer": sequencer, **subject}),), (OUTER, WARM)
    )
    job = Job(provider, Action.PURGE, TargetKind.URL, (URL,), (frozenset({"m"}),), sequels=(sequel,))
    return QueuedJob(job, 0, 0.0, look=Look(accepted=accepted, due=accepted))


def sequels(*looks: QueuedJob) -> list[Sequel | None]:
    return [sequel for queued in without_older(looks) for sequel in queued.job.sequels]


def test_only_the_newest_change_of_an_object_is_looked_at() -> None:
    old, new = sequels(look("0A"), look("0B"))
    assert old == Sequel((), (OUTER,)), "the outer one may go; who waits for fresh waits with the newer change"
    assert new
    assert new.subjects[0].sequencer == "0B"
    assert new.then == (OUTER, WARM)


def test_what_waits_for_an_older_change_is_done_with_the_newest() -> None:
    """Its tag may be one that the newer change no longer has."""
    tag = Then("outer", "purge", "b", (("tag", "old"),), fresh=True)
    older = look("0A")
    [sequel] = older.job.sequels
    assert sequel
    kept = msgspec.structs.replace(sequel, then=(OUTER, WARM, tag))
    old, new = sequels(
        msgspec.structs.replace(older, job=msgspec.structs.replace(older.job, sequels=(kept,))), look("0B")
    )
    assert old == Sequel((), (OUTER,))
    assert new
    assert new.then == (OUTER, WARM, tag)


def test_of_one_change_that_was_purged_twice_the_later_purge_is_looked_at() -> None:
    late, early = sequels(look("0A", 5.0), look("0A", 4.0))
    assert late
    assert late.subjects
    assert early
    assert not early.subjects
    # A message that SQS delivers twice.
    first, second = sequels(look("0A"), look("0A"))
    assert first
    assert first.subjects
    assert second
    assert not second.subjects


def test_other_objects_urls_and_providers_are_looked_at_each() -> None:
    found = sequels(look("0A"), look("0B", key="other"), look("0B", url=URL + "?v"), look("0B", provider="other"))
    assert all(sequel and sequel.subjects for sequel in found)


def test_whoever_waits_for_what_is_given_up_is_let_go_once() -> None:
    queued = look("0A")
    [sequel] = queued.job.sequels
    assert sequel
    stale = msgspec.structs.replace(sequel, tries=3, stale=1.0)
    queued = msgspec.structs.replace(
        queued,
        job=msgspec.structs.replace(queued.job, sequels=(stale,)),
        look=Look(accepted=1.0, due=1.0, finished=2.0, asked=True),
    )
    finding = Sighting(queued, finished=True, asked=True, verdicts={sequel.subjects[0]: Verdict("stale", "old")})
    found = following().next(Report(), (), [finding], MessageHistory({}, {}, {}), 90.0, 90.0)
    assert [each.queued.job.provider for each in found.steps] == ["site", "outer", "warm"]
    letter = found.steps[0]
    assert isinstance(letter, DeadLetter)
    assert [one and one.released for one in letter.queued.job.sequels] == [True]
    assert [note.event for note in found.notes] == ["stale", "released", "released"]


def test_a_change_that_is_looked_at_no_more_ends_as_superseded() -> None:
    looks = [look("0A"), look("0B"), look("0B", 5.0), look("0A", key="other")]
    [note] = superseded(looks, lambda *_: Verify(), 9.0)
    assert (note.event, note.at, note.queued.job.targets) == ("superseded", 9.0, (URL,))
    [(subject, verdict)] = note.subjects
    assert (subject.sequencer, str(verdict.state)) == ("0A", "superseded")
    assert list(superseded(looks, lambda *_: None, 9.0)) == [], "nobody looks at it any longer"


def test_a_look_never_comes_before_its_moment() -> None:
    """SQS counts whole seconds; a fetch before the vendor has finished would pin what is to be dropped."""
    assert [delay_until(moment, 100.0) for moment in (100.2, 101.0, 101.0004, 101.001, 99.0)] == [1, 1, 1, 2, 0]

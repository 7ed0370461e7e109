"""How far a change has come: from the event to the bytes that clients get."""

from __future__ import annotations

from typing import Any

from multicdn.local.state import ProviderProgress
from multicdn.local.timeline import MOST_UPLOADS, Timeline
from multicdn.model import Action, Job, Outcome, Receipt, Status, TargetKind
from multicdn.proof.identity import Verdict
from multicdn.proof.ladder import Note
from multicdn.queue.message import QueuedJob
from multicdn.sequel import Subject

A, B = "https://www.acme.com/a", "https://www.acme.com/b"
PURGES = {"fastly": frozenset({Action.PURGE})}
BOTH = {"fastly": frozenset({Action.PURGE}), "akamai": frozenset({Action.PURGE})}


def job(*targets: str, cause: str = "m1", provider: str = "fastly", action: Action = Action.PURGE) -> Job:
    return Job(provider, action, TargetKind.URL, targets, (frozenset({cause}),) * len(targets))


def accepted(of: Job) -> Outcome:
    return Outcome(of, Status.ACCEPTED, receipt=Receipt(), calls=1)


def uploaded(timeline: Timeline, key: str = "a", *, message: str = "m1", at: float = 100.0, actions=PURGES) -> str:
    known = timeline.add("acme-site", key, "created", 1, at, actions, f"etag-{message}")
    timeline.received(message, known, f"seq-{message}")
    return known


def verified(timeline: Timeline, *, message: str = "m1", at: float = 100.0) -> None:
    """An upload that is accepted, and is looked at by the message "look-" and its own."""
    known = timeline.add("acme-site", "a", "created", 1, at, PURGES, f"etag-{message}", ["fastly"])
    timeline.received(message, known, f"seq-{message}")
    timeline.calling(job(A, cause=message))
    timeline.ended(accepted(job(A, cause=message)), at + 0.5)
    timeline.follow(job(A, cause=message))
    timeline.over([message])
    timeline.returned(f"look-{message}", job(A, cause=f"look-{message}"))


def note(event: str, *, message: str = "m1", reason: str = "", seen: str = "", **fields: Any) -> Note:
    subject = Subject(A, "acme-site", "a", sequencer=f"seq-{message}")
    about = () if event == "finished" else ((subject, Verdict(event, reason, seen)),)
    return Note(event, QueuedJob(job(A, cause=f"look-{message}"), 0, 0.0), about, **fields)


def progress(timeline: Timeline, place: int = 0) -> ProviderProgress:
    return timeline.uploads()[place].providers["fastly"]


def states(timeline: Timeline, place: int = 0) -> dict[str, str]:
    return {name: each.state for name, each in timeline.uploads()[place].providers.items()}


def test_an_upload_waits_is_called_for_is_accepted_is_stale_and_then_fresh() -> None:
    timeline = Timeline()
    known = timeline.add("acme-site", "a", "created", 3, 100.0, PURGES, "etag")
    assert states(timeline) == {"fastly": "waiting"}
    timeline.received("m1", known, "0A")
    assert states(timeline) == {"fastly": "waiting"}
    timeline.calling(job(A))
    timeline.calling(job(A))
    assert states(timeline) == {"fastly": "calling"}
    timeline.ended(accepted(job(A)), 100.5)
    assert states(timeline) == {"fastly": "accepted"}
    timeline.observe(lambda *_: False, 101.0)
    assert states(timeline) == {"fastly": "stale"}
    timeline.observe(lambda *_: True, 102.0)
    [shown] = timeline.uploads()
    progress = shown.providers["fastly"]
    assert (progress.state, progress.accepted, progress.fresh, progress.attempts) == ("fresh", 0.5, 2.0, 1)
    assert (shown.bucket, shown.key, shown.version, shown.at, shown.kind) == ("acme-site", "a", 3, 100.0, "created")
    assert not timeline.open


def test_what_was_never_cached_is_fresh_no_sooner_than_it_is_accepted() -> None:
    timeline = Timeline()
    uploaded(timeline)
    timeline.observe(lambda *_: True, 100.1)
    assert states(timeline) == {"fastly": "waiting"}
    timeline.ended(accepted(job(A)), 100.5)
    timeline.observe(lambda *_: True, 100.2)
    assert timeline.uploads()[0].providers["fastly"].fresh == 0.5


def test_an_edge_that_nobody_can_look_into_leaves_it_accepted() -> None:
    timeline = Timeline()
    uploaded(timeline)
    timeline.ended(accepted(job(A)), 100.5)
    timeline.observe(lambda *_: None, 101.0)
    assert states(timeline) == {"fastly": "accepted"}


def test_a_job_that_waits_in_the_queue_is_followed_until_it_comes_back() -> None:
    timeline = Timeline()
    uploaded(timeline, actions=BOTH)
    timeline.calling(job(A))
    timeline.ended(accepted(job(A, provider="akamai")), 100.2)
    timeline.put_off(job(A), "503: sorry", dead=False)
    timeline.over(["m1"])
    assert states(timeline) == {"fastly": "requeued", "akamai": "accepted"}
    assert timeline.uploads()[0].providers["fastly"].reason == "503: sorry"
    timeline.returned("m2", job(A, cause="m2"))
    timeline.calling(job(A, cause="m2"))
    assert states(timeline) == {"fastly": "calling", "akamai": "accepted"}
    timeline.ended(accepted(job(A, cause="m2")), 130.0)
    progress = timeline.uploads()[0].providers["fastly"]
    assert (progress.state, progress.accepted, progress.attempts, progress.reason) == ("accepted", 30.0, 2, "")


def test_part_of_what_an_upload_asks_for_is_not_all_of_it() -> None:
    """An index has two URLs; one of them was refused for now."""
    timeline = Timeline()
    uploaded(timeline)
    timeline.ended(accepted(job(A)), 100.2)
    timeline.put_off(job(B), "429", dead=False)
    assert states(timeline) == {"fastly": "requeued"}
    timeline.ended(accepted(job(A, cause="m1")), 100.3)
    assert states(timeline) == {"fastly": "requeued"}
    timeline.returned("m2", job(B, cause="m2"))
    timeline.ended(accepted(job(B, cause="m2")), 105.0)
    assert states(timeline) == {"fastly": "accepted"}


def test_a_job_that_came_back_may_be_spelled_for_the_vendor_meanwhile() -> None:
    timeline = Timeline()
    uploaded(timeline)
    timeline.put_off(job(A), "the breaker is open", dead=False)
    timeline.returned("m2", job(A, cause="m2"))
    timeline.ended(accepted(job("/a", cause="m2")), 105.0)
    assert states(timeline) == {"fastly": "accepted"}


def test_two_uploads_of_one_batch_are_told_apart() -> None:
    timeline = Timeline()
    uploaded(timeline, "a", message="m1")
    uploaded(timeline, "b", message="m2")
    batch = Job("fastly", Action.PURGE, TargetKind.URL, (A, B), (frozenset({"m1"}), frozenset({"m2"})))
    timeline.put_off(batch.only([B]), "503", dead=False)
    timeline.ended(accepted(batch.only([A])), 101.0)
    assert (states(timeline, 0), states(timeline, 1)) == ({"fastly": "requeued"}, {"fastly": "accepted"})


def test_a_newer_upload_that_waits_with_an_older_one_delivers_both() -> None:
    timeline = Timeline()
    uploaded(timeline, message="m1")
    timeline.put_off(job(A, cause="m1"), "503", dead=False)
    uploaded(timeline, message="m2", at=110.0)
    timeline.put_off(job(A, cause="m2"), "503", dead=False)
    timeline.returned("m3", job(A, cause="m3"))
    timeline.ended(accepted(job(A, cause="m3")), 120.0)
    newest, oldest = (each.providers["fastly"] for each in timeline.uploads())
    assert (newest.accepted, oldest.accepted) == (10.0, 20.0)


def test_a_job_that_is_given_up_is_dead_until_somebody_sends_it_back() -> None:
    timeline = Timeline()
    uploaded(timeline)
    timeline.put_off(job(A), "403: no", dead=True)
    timeline.over(["m1"])
    assert states(timeline) == {"fastly": "dead"}
    timeline.returned("m2", job(A, cause="m2"))
    timeline.calling(job(A, cause="m2"))
    assert states(timeline) == {"fastly": "calling"}


def test_an_invocation_that_fails_leaves_it_waiting() -> None:
    timeline = Timeline()
    uploaded(timeline)
    timeline.calling(job(A))
    timeline.over(["m1"])
    assert states(timeline) == {"fastly": "waiting"}


def test_the_purge_decides_and_a_preload_alone_counts_too() -> None:
    timeline = Timeline()
    uploaded(
        timeline, actions={"fastly": frozenset({Action.PURGE, Action.PRELOAD}), "akamai": frozenset({Action.PRELOAD})}
    )
    timeline.ended(accepted(job(A)), 100.2)
    timeline.put_off(job(A, action=Action.PRELOAD), "its turn comes later", dead=False)
    timeline.ended(accepted(job(A, provider="akamai", action=Action.PRELOAD)), 100.3)
    assert states(timeline) == {"fastly": "accepted", "akamai": "accepted"}


def test_the_event_of_what_we_uploaded_ourselves_is_no_second_upload() -> None:
    timeline = Timeline()
    known = timeline.add("acme-site", "a", "created", 1, 100.0, PURGES, "etag")
    assert timeline.find("acme-site", "a", "created", "etag", "0A") == known
    timeline.received("m1", known, "0A")
    assert timeline.find("acme-site", "a", "created", "etag", "0A") == known, "it comes again"
    assert timeline.find("acme-site", "a", "created", "etag", "0B") is None, "the same bytes once more"
    assert timeline.find("acme-site", "a", "removed", "", "0C") is None
    assert timeline.find("acme-site", "b", "created", "etag", "0D") is None


def test_uploads_are_bounded_and_those_that_are_forgotten_do_no_harm() -> None:
    timeline = Timeline()
    for number in range(MOST_UPLOADS + 10):
        uploaded(timeline, f"k{number}", message=f"m{number}")
    assert len(timeline.uploads()) == MOST_UPLOADS
    assert timeline.uploads()[0].key == f"k{MOST_UPLOADS + 9}"
    timeline.ended(accepted(job(A, cause="m0")), 101.0)
    timeline.put_off(job(A, cause="m1"), "503", dead=False)


def test_a_change_that_did_not_happen_is_taken_back() -> None:
    timeline = Timeline()
    timeline.forget(timeline.add("acme-site", "a", "created", 1, 100.0, PURGES, "etag"))
    assert timeline.uploads() == ()


def test_what_multicdn_verifies_is_accepted_finished_and_fresh_by_its_own_word() -> None:
    timeline = Timeline()
    verified(timeline)
    timeline.observe(lambda *_: True, 100.6)
    assert states(timeline) == {"fastly": "accepted"}, "our own look doesn't count here"
    assert not timeline.open
    timeline.found(note("finished", asked=True), 105.0)
    assert states(timeline) == {"fastly": "finished"}
    timeline.found(note("fresh"), 106.0)
    assert progress(timeline) == ProviderProgress("fresh", 0.5, 6.0, 1, "", 5.0, asked=True, purges=1, verified=True)


def test_an_edge_that_stays_stale_is_purged_again_and_then_given_up() -> None:
    timeline = Timeline()
    verified(timeline)
    timeline.found(note("finished"), 101.0)
    again = job(A, cause="look-m1")
    timeline.follow(again)
    timeline.found(note("stale", state="purged", purges=1, seen='ETag "old", 5 s old'), 102.0)
    shown = progress(timeline)
    assert (shown.state, shown.accepted, shown.finished, shown.purges) == ("stale", 0.5, 1.0, 2)
    assert (shown.reason, shown.asked) == ('ETag "old", 5 s old', False)
    timeline.returned("m2", job(A, cause="m2"))
    timeline.calling(job(A, cause="m2"))
    timeline.put_off(job(A, cause="m2"), "503", dead=False)
    timeline.ended(accepted(job(A, cause="m2")), 103.0)
    timeline.found(note("finished"), 103.1)
    assert progress(timeline) == shown, "it is stale until something else is seen"
    timeline.found(note("stale", state="dead", purges=2), 104.0)
    timeline.put_off(job(A, cause="m2"), "still stale at FRA after 2 purges", dead=True)
    assert (progress(timeline).state, progress(timeline).reason) == ("dead", "still stale at FRA after 2 purges")
    timeline.returned("m3", job(A, cause="m3"))
    timeline.calling(job(A, cause="m3"))
    timeline.ended(accepted(job(A, cause="m3")), 110.0)
    shown = progress(timeline)
    assert (shown.state, shown.accepted, shown.finished, shown.purges) == ("accepted", 10.0, None, 1), "it begins anew"


def test_unknown_and_superseded_say_why_and_an_older_upload_is_answered_for_by_a_newer_one() -> None:
    timeline = Timeline()
    verified(timeline)
    verified(timeline, message="m2", at=101.0)
    timeline.found(note("unknown", message="m2", reason="login needed"), 103.0)
    assert (progress(timeline).state, progress(timeline).reason) == ("unknown", "login needed")
    assert progress(timeline, 1).state == "superseded"
    verified(timeline, message="m3", at=110.0)
    timeline.found(note("superseded", message="m3", reason="S3 has another one"), 111.0)
    assert (progress(timeline).state, progress(timeline).reason) == ("superseded", "S3 has another one")


def test_a_cdn_that_fetches_from_another_waits_and_is_then_accepted() -> None:
    timeline = Timeline()
    known = timeline.add(
        "acme-site", "a", "created", 1, 100.0, BOTH, "etag", ["fastly", "akamai"], {"akamai": "fastly"}
    )
    assert timeline.uploads()[0].providers["akamai"].reason == "until fastly is done"
    timeline.received("m1", known, "seq")
    timeline.ended(accepted(job(A)), 100.5)
    timeline.follow(job(A))
    timeline.returned("look", job(A, cause="look"))
    timeline.follow(job(A, provider="akamai", cause="look"))
    assert states(timeline) == {"fastly": "accepted", "akamai": "waiting"}
    timeline.returned("m2", job(A, provider="akamai", cause="m2"))
    timeline.calling(job(A, provider="akamai", cause="m2"))
    timeline.ended(accepted(job(A, provider="akamai", cause="m2")), 106.0)
    assert timeline.uploads()[0].providers["akamai"] == ProviderProgress("accepted", 6.0, None, 1, verified=True)

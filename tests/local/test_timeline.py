"""How far a change has come: from the event to the bytes that clients get."""

from __future__ import annotations

from multicdn.local.timeline import MOST_UPLOADS, Timeline
from multicdn.model import Action, Job, Outcome, Receipt, Status, TargetKind

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

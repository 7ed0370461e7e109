"""Objects are looked at side by side: the edges first, then S3, and nobody's trouble is another's."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from multicdn.aws.s3 import StoredObject
from multicdn.errors import RetryLater
from multicdn.proof import look as looking
from multicdn.proof.identity import Verdict
from multicdn.proof.look import Stored, look, through, together
from multicdn.sequel import Subject
from multicdn.terms import Seen

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

Place = tuple[str, str]


def subject(key: str, etag: str = "new", **changes: Any) -> Subject:
    return Subject(f"https://e.org/{key}", "b", key, etag=etag, **changes)


def etag(value: str, pop: str = "") -> Seen:
    return Seen(status=200, headers={"etag": f'"{value}"'}, pop=pop)


def holding(etags: dict[str, str | None], failed: Collection[str] = ()) -> Stored:
    """An S3 that has these objects; None where there is none."""

    def stored(places: Collection[Place], seconds: float) -> tuple[dict[Place, StoredObject | None], dict[Place, str]]:
        assert seconds > 0
        assert len(set(places)) == len(places)
        has = {("b", key): None if tag is None else StoredObject(tag) for key, tag in etags.items()}
        lost = {place: "403 Forbidden" for place in places if place[1] in failed}
        return {place: has[place] for place in places if place not in lost}, lost

    return stored


def looked(subjects: Sequence[Subject], edges: dict[str, Any], stored: Stored, **how: Any) -> dict[str, list[str]]:
    def see(of: Subject, _: float) -> Sequence[Seen]:
        answer = edges[of.key]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, list) else [answer]

    settings = {"identity": "auto", "purged": None, "seconds": 5.0, **how}
    found = look(subjects, see, stored, **settings)
    return {of.key: [f"{verdict.state}: {verdict.reason}" for verdict in found[of]] for of in subjects}


def test_in_little_time_edges_are_asked_nevertheless() -> None:
    """A function may have less time than S3 would be given else."""
    assert looked([subject("a")], {"a": etag("new")}, holding({"a": "new"}), seconds=1.0)["a"][0].startswith("fresh")


def test_each_object_has_a_verdict_of_its_own() -> None:
    edges = {
        "fresh": etag("new"),
        "broken": RuntimeError("no such POP"),
        "throttled": RetryLater("200 calls an hour"),
        "gone": Seen(status=404),
        "denied": etag("0" * 32),
        "denied, as told": etag("new"),
        "denied, not served": Seen(status=404),
        "denied, no answer": Seen(reason="no answer"),
    }
    every = [subject(key, gone=key == "gone") for key in edges]
    has: dict[str, str | None] = {**dict.fromkeys(edges, "new"), "gone": None}
    assert looked(every, edges, holding(has, [key for key in edges if key.startswith("denied")])) == {
        "fresh": ["fresh: ETag as in S3"],
        "broken": ["unknown: RuntimeError: no such POP"],
        "throttled": ["unknown: 200 calls an hour"],
        "gone": ["fresh: answers 404"],
        "denied": ["unknown: S3 did not say what it has now: 403 Forbidden"],
        "denied, as told": ["fresh: ETag as the event says"],
        "denied, not served": ["unknown: S3 did not say what it has now: 403 Forbidden"],
        "denied, no answer": ["unknown: no answer; nor did S3 say what it has: 403 Forbidden"],
    }


def test_s3_is_asked_when_all_edges_have_answered() -> None:
    """An object is written between: what the edge had is superseded."""
    now: dict[str, str | None] = {"a": "1" * 32}

    def see(_: Subject, __: float) -> Sequence[Seen]:
        now["a"] = "2" * 32
        return [etag("0" * 32)]

    one = subject("a", "1" * 32)
    found = look([one], see, lambda places, s: holding(now)(places, s), identity="auto", purged=None, seconds=5.0)
    assert [verdict.state for verdict in found[one]] == ["superseded"]


def test_an_edge_that_never_answers_costs_its_own_object() -> None:
    over = threading.Event()

    def see(of: Subject, seconds: float) -> Sequence[Seen]:
        assert seconds <= 10
        if of.key == "slow":
            over.wait(10)
        return [etag("new")]

    every = [subject("slow"), subject("quick")]
    found = look(every, see, holding({"slow": "new", "quick": "new"}), identity="auto", purged=None, seconds=0.5)
    over.set()
    assert [(found[one][0].state, found[one][0].reason) for one in every] == [
        ("unknown", "no answer within 0.3 s"),
        ("fresh", "ETag as in S3"),
    ]


def test_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert looked([subject("a")], {"a": etag("new")}, holding({"a": "new"})) == {
        "a": ["unknown: no thread could be started to ask for it: the process has too many"]
    }


def test_every_place_of_an_instrument_has_a_verdict() -> None:
    places = [etag("new", "FRA"), etag("0" * 32, "SYD"), Seen(pop="IAD", reason="error-timeout-IAD")]
    found = looked([subject("a", "1" * 32)], {"a": places}, holding({"a": "1" * 32}))
    assert [one.partition(":")[0] for one in found["a"]] == ["unknown", "stale", "unknown"]


def verdicts(*states: str) -> list[Verdict]:
    return [Verdict(state, "why", pop=f"P{place}") for place, state in enumerate(states)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("states", "state", "reason"),
    [
        (["fresh"], "fresh", "why"),
        (["fresh", "fresh"], "fresh", "why, at all of 2 POPs"),
        (["fresh", "stale", "unknown", "stale"], "stale", "stale at 2 of 4 POPs (P1, P3): why"),
        (["fresh", "superseded", "unknown"], "superseded", "superseded at 1 of 3 POPs (P1): why"),
        (["fresh", "unknown"], "unknown", "unknown at 1 of 2 POPs (P1): why"),
        (["stale"] * 9, "stale", "stale at 9 of 9 POPs (P0, P1, P2, P3, P4 …): why"),
        ([], "unknown", "no edge answered"),
    ],
)
def test_several_places_make_one_verdict(states: list[str], state: str, reason: str) -> None:
    found = together(verdicts(*states))
    assert (found.state, found.reason) == (state, reason)


@pytest.mark.parametrize(
    ("first", "identity", "gone", "asked"),
    [
        (etag("0" * 32), "auto", False, [False]),
        (etag("own"), "auto", False, [False, True]),
        (etag("own"), "auto", True, [False]),
        (etag("own"), "etag", False, [False]),
        (etag("own"), "md5", False, [True]),
        (etag("own"), "md5", True, [False]),
        (Seen(status=404), "auto", False, [False]),
    ],
)
def test_a_body_is_asked_for_where_it_may_tell(
    first: Seen, identity: str, gone: bool, asked: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fetch(url: str, via: str, seconds: float, *, want_md5: bool) -> Seen:
        assert (url, via, seconds <= 5) == ("https://e.org/a", "cdn", True)
        calls.append(want_md5)
        return Seen(status=200, md5="1" * 32) if want_md5 and len(calls) == 2 else first

    monkeypatch.setattr(looking, "fetch", fetch)
    (seen,) = through("cdn", identity)(subject("a", "1" * 32, gone=gone), 5.0)
    assert calls == asked
    assert seen.md5 == ("1" * 32 if asked == [False, True] else "")


def test_the_moment_of_an_answer_is_that_of_the_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that of S3's, for which it may have waited: 200 of a removed object, 600 s old, from before the purge."""
    clock = iter([1000.0, 9000.0])
    monkeypatch.setattr(time, "time", lambda: next(clock))
    answer = Seen(status=200, headers={"age": "600"})
    found = looked([subject("a", gone=True)], {"a": answer}, holding({"a": None}), purged=900.0)
    assert found["a"][0].startswith("stale: answers 200 for an object that is gone")

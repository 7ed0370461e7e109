"""What is done about purges that were looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from kit.sample_plugins import Full, Plain

from multicdn.errors import TargetsRefused
from multicdn.model import Action, Job, Status, Target, TargetKind
from multicdn.proof.identity import Verdict
from multicdn.proof.ladder import Sighting, Steps, decide
from multicdn.queue.message import Look, QueuedJob
from multicdn.queue.retry import DeadLetter, Requeue
from multicdn.routing.verify import Verify
from multicdn.secrets import Secret
from multicdn.sequel import Sequel, Subject, Then

if TYPE_CHECKING:
    from multicdn.provider import Provider

NOW = 1_000_000.0
URL = "https://a.example/a.css"
SUBJECT = Subject(URL, "b", "a.css", time="1970-01-12T13:46:30.000Z")  # ten seconds before NOW
OUTER = Then("outer", "purge", "b", (("url", URL),))
VERIFY = Verify()
WARM = Then("warm", "preload", "b", (("url", URL),), fresh=True)
FULL = Full(token=Secret.literal("x"), service="s")


def queued(*, soft: bool = False, targets: tuple[str, ...] = (URL,), sequels: Any = None, **look: Any) -> QueuedJob:
    job = Job(
        "site",
        Action.PURGE,
        TargetKind.URL,
        targets,
        (frozenset({"m"}),) * len(targets),
        soft,
        reference="r",
        sequels=sequels or (Sequel((SUBJECT,), (OUTER, WARM)),) * len(targets),
    )
    return QueuedJob(job, 0, NOW - 9, ("m",), look=Look(**{"accepted": NOW - 5, "due": NOW, **look}))


def steps(found: Sighting, provider: Provider | None = None, rule: Verify | None = VERIFY, at: float = NOW) -> Steps:
    return decide(found, lambda bucket, key, name: rule, provider or Plain(), at)


def seen(state: Any, look: QueuedJob | None = None, **more: Any) -> Sighting:
    verdicts = {SUBJECT: Verdict(state, "why", pop="AMS")}
    return Sighting(look or queued(), finished=True, **{"asked": True, "verdicts": verdicts, **more})


def providers(found: Steps) -> list[str]:
    return [decision.queued.job.provider for decision in found.decisions]


def only(found: Steps, kind: type = Requeue) -> Any:
    [decision] = [each for each in found.decisions if each.queued.job.provider == "site"]
    assert isinstance(decision, kind)
    return decision


def notes(found: Steps) -> list[tuple[str, str]]:
    return [(note.event, note.state) for note in found.notes]


def test_what_is_not_finished_is_asked_about_again_at_distances_that_grow_with_its_time() -> None:
    distances = []
    for taken in (0.5, 5, 20, 100, 1000):
        look = queued(accepted=NOW - taken, due=NOW - taken)
        again = only(steps(Sighting(look, finished=False, reason="InProgress")))
        assert again.queued.look.times == 1
        assert again.reason == "InProgress"
        distances.append(again.delay)
    assert distances == [1, 1, 3, 15, 60]
    assert only(steps(Sighting(queued(due=NOW + 30), finished=False))).delay == 30


def test_a_vendor_that_never_says_done_is_not_waited_for_for_ever() -> None:
    found = steps(Sighting(queued(accepted=NOW - 3601), finished=False, reason="InProgress"))
    assert ("finished", "done") in notes(found)
    assert "60 minutes" in found.notes[0].reason
    assert "outer" in providers(found)


def test_finished_lets_the_outer_cdn_go_and_fresh_the_preload() -> None:
    found = steps(seen("fresh"))
    assert providers(found) == ["outer", "warm"]
    assert notes(found) == [("finished", "done"), ("fresh", "done")]
    assert found.notes[1].seconds == 10
    assert found.notes[0].asked
    for decision in found.decisions:
        assert decision.queued.job.messages == {"m"}
        assert decision.queued.job.targets == (URL,)
        assert not decision.queued.job.located


def test_without_verification_finished_is_the_end_for_all_who_wait() -> None:
    found = steps(Sighting(queued(), finished=True), rule=None)
    assert providers(found) == ["outer", "warm"]
    assert notes(found) == [("finished", "done")]


def test_who_waited_for_finished_is_not_asked_twice() -> None:
    found = steps(seen("fresh", queued(finished=NOW - 1, asked=True)))
    assert providers(found) == ["warm"]
    assert notes(found) == [("fresh", "done")]


def test_superseded_ends_it_and_is_neither_fresh_nor_stale() -> None:
    assert notes(steps(seen("superseded"))) == [("finished", "done"), ("superseded", "done")]


def test_unknown_is_looked_at_again_and_then_told() -> None:
    delays = []
    look = queued(finished=NOW - 1, asked=True)
    for _ in range(3):
        again = only(found := steps(seen("unknown", look)))
        assert notes(found) == []
        delays.append(again.delay)
        look = again.queued
    assert delays == [2, 8, 20]
    found = steps(seen("unknown", look))
    assert notes(found) == [("unknown", "done")]
    assert providers(found) == ["warm"], "nobody waits for what can't be told"


def test_what_could_not_be_looked_at_in_time_is_looked_at_again() -> None:
    again = only(steps(Sighting(queued(), finished=True, asked=True, reason="no time was left to look")))
    assert (again.queued.look.finished, again.queued.look.times) == (NOW, 0)
    assert again.delay == 2


def test_a_published_time_is_believed_only_when_twice_of_it_is_over() -> None:
    found = steps(seen("stale", asked=False))
    again = only(found)
    assert again.status is Status.ACCEPTED
    assert again.delay == 1
    assert notes(found) == [("finished", "done")]
    later = steps(seen("stale", again.queued, asked=False), at=NOW + 5)
    assert only(later).status is Status.STALE


def ladder(provider: Provider, *, soft: bool, seconds: float = 1.0) -> list[Any]:
    """Every step while an edge stays stale: each purge is accepted, and finished, a moment later."""
    found, at, taken = steps(seen("stale", queued(soft=soft)), provider), NOW, []
    for _ in range(200):
        [decision] = [each for each in found.decisions if each.queued.job.provider == "site"]
        taken.append(decision)
        if isinstance(decision, DeadLetter):
            return taken
        at += decision.delay + seconds
        look = decision.queued.look or Look(accepted=at - 0.5, due=at)
        found = steps(seen("stale", msgspec.structs.replace(decision.queued, look=look)), provider, at=at)
    raise AssertionError("it never ends")


def test_a_stale_edge_is_purged_again_then_hard_then_wider_and_then_told() -> None:
    taken = ladder(FULL, soft=True)
    purges = [each for each in taken if each.status is Status.STALE]
    assert [(each.queued.job.kind, each.queued.job.soft, each.delay) for each in purges[:3]] == [
        (TargetKind.URL, True, 0),
        (TargetKind.URL, False, 5),
        (TargetKind.PREFIX, False, 15),
    ]
    assert [each.queued.job.reference for each in purges[:3]] == ["", "", ""]
    [*_, letter] = taken
    assert isinstance(letter, DeadLetter)
    assert letter.reason == "still stale at AMS after 4 purges: why"
    assert letter.queued.look is None
    [sequel] = letter.queued.job.sequels
    assert (sequel.tries, sequel.stale) == (0, 0.0), "redriven, it begins anew"
    looked = [each for each in taken if each.status is Status.ACCEPTED]
    assert 2 < len(looked) < 60, "between the last purge and the end of `within` it is looked at now and then"


class Directories(Full):
    """A vendor whose prefixes end with a slash, as Highwinds' do."""

    def locate(self, target: Target, action: Action) -> tuple[Target, ...]:
        if target.kind is TargetKind.PREFIX and not target.value.endswith("/"):
            raise TargetsRefused("no directory")
        return super().locate(target, action)


def test_a_wider_spelling_that_the_vendor_cannot_be_asked_for_is_left_out() -> None:
    taken = ladder(Directories(token=FULL.token, service="s"), soft=False)
    purges = [each for each in taken if each.status is Status.STALE]
    assert {each.queued.job.kind for each in purges} == {TargetKind.URL}


def test_only_what_is_stale_is_told_of_a_target_with_several_objects() -> None:
    other = Subject("https://a.example/b.css", "b", "b.css")
    sequels = (Sequel((other, SUBJECT), tries=3, stale=NOW - 500),)
    verdicts = {SUBJECT: Verdict("stale", "old", 'ETag "o"', 'ETag "n"', "AMS"), other: Verdict("fresh", "same")}
    look = queued(sequels=sequels, finished=NOW - 1, asked=True)
    found = steps(Sighting(look, finished=True, asked=True, verdicts=verdicts))
    letter = only(found, DeadLetter)
    assert letter.reason == "still stale at AMS after 4 purges: old"
    assert letter.seen == f'{URL}: ETag "o" at AMS, where S3 has ETag "n"'
    assert [subject for note in found.notes for subject, _ in note.subjects] == [SUBJECT]


def test_a_vendor_without_prefixes_purges_the_same_again() -> None:
    purges = [each for each in ladder(Plain(), soft=False) if each.status is Status.STALE]
    assert {each.queued.job.kind for each in purges} == {TargetKind.URL}


def test_a_purge_made_again_is_followed_by_all_that_followed_the_first() -> None:
    again = only(steps(seen("stale", queued(finished=NOW - 1, asked=True))))
    assert again.queued.look is None
    [sequel] = again.queued.job.sequels
    assert sequel.then == (OUTER, WARM), "what the outer one fetched meanwhile was stale as well"
    assert (sequel.tries, sequel.stale) == (1, NOW)


def test_within_ends_the_ladder_before_its_last_step() -> None:
    sequel = Sequel((SUBJECT,), (WARM,), tries=1, stale=NOW - 31)
    look = queued(sequels=(sequel,), finished=NOW - 1, asked=True)
    found = steps(seen("stale", look), rule=Verify(within="30s"))
    assert only(found, DeadLetter).reason == "still stale at AMS after 2 purges: why"
    assert providers(found) == ["site"], "whoever waits is let go with the letter"
    assert notes(found) == [("stale", "dead")]


def test_targets_go_their_own_ways() -> None:
    other = Subject("https://a.example/b.css", "b", "b.css")
    sequels = (Sequel((SUBJECT,)), Sequel((other,)), None)
    look = queued(targets=(URL, other.url, "https://a.example/c.css"), sequels=sequels, finished=NOW - 1, asked=True)
    verdicts = {SUBJECT: Verdict("stale", "old"), other: Verdict("fresh")}
    found = steps(Sighting(look, finished=True, asked=True, verdicts=verdicts))
    assert only(found).queued.job.targets == (URL,)
    assert notes(found) == [("stale", "purged"), ("fresh", "done")]


def test_a_request_that_the_vendor_gave_up_is_purged_again() -> None:
    found = steps(Sighting(queued(soft=True), finished=True, asked=True, failed="error at 3 POPs"))
    again = only(found)
    assert again.status is Status.STALE
    assert again.queued.job.soft
    assert notes(found) == [("stale", "purged")]
    assert "error at 3 POPs" in found.notes[0].reason


def test_what_a_vendor_has_said_to_be_done_is_not_asked_again() -> None:
    look = queued(receipts=("a", "b", "c"))
    assert only(steps(Sighting(look, finished=False, receipts=("c",)))).queued.look.receipts == ("c",)
    assert only(steps(Sighting(look, finished=False))).queued.look.receipts == ("a", "b", "c")


def test_who_waits_for_a_purge_made_again_goes_when_it_is_fresh() -> None:
    renewed = Sequel((SUBJECT,), (OUTER, WARM), tries=1, stale=NOW - 3)
    look = queued(sequels=(renewed,))
    assert providers(steps(seen("fresh", look))) == ["outer", "warm"]
    assert providers(steps(seen("stale", look))) == ["site"]


def many(count: int, **look: Any) -> tuple[list[Subject], QueuedJob]:
    every = [Subject(f"https://a.example/{number}.css", "b", f"{number}.css") for number in range(count)]
    return every, queued(targets=("t",), sequels=(Sequel(tuple(every), (WARM,)),), asked=True, **look)


def test_what_had_no_turn_is_looked_at_until_it_had_one_and_that_is_no_try() -> None:
    """A tag of more objects than one invocation has time for."""
    every, look = many(300, finished=NOW - 1)
    told: list[Subject] = []
    at, found = NOW, Steps([], [])
    while look.look:
        [sequel] = look.job.sequels
        assert sequel
        verdicts = {subject: Verdict("fresh") for subject in sequel.subjects[:25]}
        found = steps(Sighting(look, finished=True, asked=True, verdicts=verdicts), at=at)
        told += [subject for note in found.notes for subject, _ in note.subjects]
        assert {note.event for note in found.notes} == {"fresh"}
        [step] = found.decisions
        if step.queued.job.provider == "warm":
            break
        assert isinstance(step, Requeue)
        assert (step.delay, step.queued.look.times if step.queued.look else None) == (1, 0)
        at, look = at + 1, step.queued
    assert told == every


def test_what_does_not_answer_makes_room_for_what_was_not_asked() -> None:
    every, look = many(3, finished=NOW - 1)
    verdicts = {every[0]: Verdict("unknown", "no answer"), every[1]: Verdict("fresh")}
    again = only(steps(Sighting(look, finished=True, asked=True, verdicts=verdicts)))
    assert again.queued.job.sequels[0].subjects == (every[2], every[0])


def test_what_never_has_a_turn_is_looked_at_seldom_and_told_after_an_hour() -> None:
    delays = []
    for waited in (1, 100, 3000):
        look = many(1, accepted=NOW - waited - 1, finished=NOW - waited)[1]
        delays.append(only(steps(Sighting(look, finished=True, asked=True, reason="no time"))).delay)
    assert delays == [2, 15, 60]
    look = many(1, accepted=NOW - 3700, finished=NOW - 3601, times=3)[1]
    found = steps(Sighting(look, finished=True, asked=True, reason="no time"))
    assert [(note.event, note.reason) for note in found.notes] == [("unknown", "no time")]


def test_times_that_are_yet_to_come_end_all_the_same() -> None:
    sequel = Sequel((SUBJECT,), tries=3, stale=NOW + 1e6)
    look = queued(sequels=(sequel,), accepted=NOW + 1e6, due=NOW + 1e6, finished=NOW + 1e6, asked=True)
    again = only(steps(seen("stale", look)))
    assert again.queued.look.accepted == again.queued.look.finished == again.queued.job.sequels[0].stale == NOW
    later = steps(Sighting(queued(accepted=NOW + 1e6), finished=False))
    assert only(later).queued.look.accepted == NOW


def test_a_page_of_a_directory_is_not_purged_with_all_that_is_in_it() -> None:
    for url in ("https://a.example/", "https://a.example/docs/", "https://a.example/docs"):
        sequel = Sequel((msgspec.structs.replace(SUBJECT, url=url),), tries=2, stale=NOW - 20)
        look = queued(sequels=(sequel,), finished=NOW - 1, asked=True)
        found = Sighting(look, finished=True, asked=True, verdicts={sequel.subjects[0]: Verdict("stale", "old")})
        assert only(steps(found, FULL)).queued.job.kind is TargetKind.URL


def test_thousands_of_stale_targets_are_one_message_in_a_moment() -> None:
    every = [Subject(f"https://a.example/{number}.css", "b", f"{number}.css") for number in range(2000)]
    for tries, kind in ((0, TargetKind.URL), (2, TargetKind.PREFIX)):
        sequels = tuple(Sequel((subject,), tries=tries, stale=tries and NOW - 9) for subject in every)
        look = queued(targets=tuple(each.url for each in every), sequels=sequels, finished=NOW - 1, asked=True)
        verdicts = dict.fromkeys(every, Verdict("stale", "old"))
        job = only(steps(Sighting(look, finished=True, asked=True, verdicts=verdicts), FULL)).queued.job
        assert job.kind is kind
        assert len(job.targets) == len(job.causes) == len(job.sequels) == 2000
        assert {one.tries for one in job.sequels if one} == {tries + 1}


def test_what_else_is_purged_for_a_stale_object_is_purged_again_with_it() -> None:
    also = (("url", "https://a.example/index.html"), ("tag", "home"))
    sequel = Sequel((msgspec.structs.replace(SUBJECT, also=also),))
    look = queued(sequels=(sequel,), soft=True, finished=NOW - 1, asked=True)
    found = steps(Sighting(look, finished=True, asked=True, verdicts={sequel.subjects[0]: Verdict("stale", "old")}))
    first, *beside = found.decisions
    assert first.queued.job.sequels[0].tries == 1
    assert [(each.queued.job.kind, each.queued.job.targets) for each in beside] == [
        (TargetKind.URL, ("https://a.example/index.html",)),
        (TargetKind.TAG, ("home",)),
    ]
    assert all(each.queued.job.soft and not each.queued.job.located and not each.queued.job.sequels for each in beside)

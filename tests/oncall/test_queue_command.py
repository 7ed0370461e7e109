"""``multicdn queue``, and what it shares with ``multicdn dlq``, against an SQS in memory that counts receives."""

from __future__ import annotations

import functools
import itertools
import json
import time
from typing import TYPE_CHECKING, Any

import boto3
import msgspec
import pytest
from click.testing import CliRunner
from kit import aws_answers
from kit.aws_wire import Refused
from kit.memory_queues import HOST, MemoryQueues
from kit.stage import s3_event

from multicdn.cli import _letters, main, queue
from multicdn.logbook import group
from multicdn.model import Action, Job, Outcome, Report, Status, TargetKind
from multicdn.oncall import letters, message_queue
from multicdn.oncall.delayed import still_delayed
from multicdn.provenance import Provenance
from multicdn.queue import sender
from multicdn.queue.message import QueuedJob
from multicdn.queue.retry import MessageHistory, RetryPolicy, decide
from multicdn.records import Fates, ended, records

if TYPE_CHECKING:
    from kit.aws_wire import Call

RECEIVES = 6


class Pair(MemoryQueues):
    """A queue with a redrive policy to its dead letters."""

    def send(self, url: str, *jobs: QueuedJob, reason: str = "503: busy", delay: int = 0) -> None:
        for each in jobs:
            for message in sender.messages(each, delay, status="retry", reason=reason):
                self.put(url, message.body, message.attributes, delay)

    def bodies(self) -> list[dict[str, Any]]:
        """All that either queue holds, wherever it is."""
        return [json.loads(message.body) for each in self.queues.values() for message in each.messages]


def job(number: int, provider: str = "www", *, since: float = 1_700_000_000.0, more: int = 0) -> QueuedJob:
    targets = tuple(f"https://a/{number}{'?' * each}" for each in range(1 + more))
    made = Job(provider, Action.PURGE, TargetKind.URL, targets, (frozenset(("m0",)),) * len(targets))
    return QueuedJob(made, 5, since, ("m0",), 2)


def one_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client takes longer to make than all that a command does with it."""
    session = boto3.session.Session()
    monkeypatch.setattr("boto3.session.Session", lambda **_: session)
    monkeypatch.setattr(session, "client", functools.cache(session.client))


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Pair:
    made = Pair(receives=RECEIVES)
    made.take_over(monkeypatch)
    one_session(monkeypatch)
    monkeypatch.setenv(sender.QUEUE, made.work)
    monkeypatch.setenv(sender.DEAD_LETTERS, made.dead)
    return made


def run(*arguments: str, answer: str = "", code: int = 0) -> str:
    result = CliRunner().invoke(main, arguments, input=answer)
    assert result.exit_code == code, (result.output, result.exception)
    assert "Traceback" not in result.output
    return str(result.output)


def answer_of(*arguments: str) -> Any:
    return json.loads(CliRunner().invoke(main, [*arguments, "--json"]).stdout)


# Looking


def test_a_list_without_receiving_changes_nothing_at_all(pair: Pair) -> None:
    pair.send(pair.work, job(1))
    pair.send(pair.work, job(2), delay=600)
    for _ in range(RECEIVES + 2):
        said = run("queue", "list")
    assert "2 messages waiting: 1 visible, 0 in flight, 1 delayed" in said
    assert "What is delayed is told by the function's log alone: name its installation with --stack" in said
    assert "--receive shows the 1 visible message too" in said
    assert [message.receives for message in pair.queues[pair.work].messages] == [0, 0]


def test_no_number_of_looks_makes_a_dead_letter_of_a_healthy_message(pair: Pair) -> None:
    """And after each of them the function may still receive it half as often as it might."""
    pair.send(pair.work, job(1), job(2, more=2))
    pair.put(pair.work, json.dumps(s3_event("a.css")), {"note": "as it was"})
    messages = pair.queues[pair.work].messages
    sent = [(message.body, message.attributes) for message in messages]
    for look in range(2 * RECEIVES):
        assert "3 messages waiting: 3 visible" in run("queue", "list", "--receive")
        assert (pair.count(pair.work), pair.count(pair.dead)) == ((3, 0, 0), (0, 0, 0)), look
        assert all(message.receives <= RECEIVES // 2 for message in messages)
    assert [(message.body, message.attributes) for message in messages] == sent


@pytest.mark.parametrize("receives", [1, 2, 3])
def test_nor_where_a_policy_takes_it_after_few(pair: Pair, receives: int) -> None:
    pair.queues[pair.work].receives = receives
    pair.send(pair.work, job(1))
    for _ in range(4):
        assert "1 job, 1 target: 503: busy" in run("queue", "list", "--receive")
    assert len(pair.receive(pair.work)) == 1


def test_what_can_not_be_put_in_again_stays_and_is_told(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.send(pair.work, job(1))
    for _ in range(RECEIVES // 2):
        run("queue", "list", "--receive")
    with monkeypatch.context() as patch:
        patch.setattr(pair, "denied", {"SendMessageBatch"})
        said = run("queue", "list", "--receive", code=1)
    assert "could not be put in again, to be received as often as a new one: " in said
    assert pair.count(pair.work) == (1, 0, 0)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "command",
    [
        ("queue", "list", "--receive"),
        ("queue", "redrive", "--yes"),
        ("queue", "drop", "--yes", "--reason", "busy"),
        ("dlq", "redrive", "--yes"),
    ],
    ids=" ".join,
)
def test_whoever_is_interrupted_at_any_call_loses_nothing_and_leaves_nothing_hidden(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], *, after: bool
) -> None:
    """But for what SQS had handed out in an answer that was cut off: that shows again after a minute."""
    url = pair.work if command[0] == "queue" else pair.dead
    number = 3 if "redrive" in command else 12  # which has two calls for each
    for before in itertools.count(1):
        for each in pair.queues.values():
            each.messages.clear()
        pair.send(url, *map(job, range(number)))
        pair.send(url, job(number), reason="401: bad token")
        for message in pair.queues[url].messages[:2]:
            message.receives = RECEIVES // 2
        interrupted = Interruption(pair, before, after=after)
        result = CliRunner().invoke(main, command)
        pair.fault = pair.after = lambda _: None
        if not interrupted.at:
            assert result.exit_code == 0, result.output
            break
        assert result.exit_code == 130, (interrupted.at, result.output)
        assert result.output.endswith("Interrupted.\n")
        lost_answer = 10 if after and interrupted.at == "ReceiveMessage" else 0
        assert sum(pair.count(each)[1] for each in pair.queues) <= lost_answer, interrupted.at
        pair.now += message_queue.LOOKED_AT
        assert sum(pair.count(each)[0] for each in pair.queues) == len(pair.bodies())
        gone = set(range(number + 1)) - {int(body["targets"][0].rpartition("/")[2]) for body in pair.bodies()}
        assert gone <= (set(range(number)) if command[1] == "drop" else set()), interrupted.at
        if command[1] == "drop" and not (after and interrupted.at == "DeleteMessageBatch"):
            assert f"\n{len(gone):,} dropped by then" in f"\n{result.output}"
    assert before > 3


class Interruption:
    """Presses Ctrl-C once, before or after the effect of a call.

    Attributes:
        at: the call, once it was there.
    """

    def __init__(self, aws: MemoryQueues, number: int, *, after: bool) -> None:
        self.at = ""
        self._left = number
        aws.fault, aws.after = (self._pass, self._press) if after else (self._press, self._pass)

    def _press(self, call: Call) -> None:
        self._left -= 1
        if not self._left:
            self.at = call.operation
            raise KeyboardInterrupt

    def _pass(self, call: Call) -> None:
        pass


def test_a_look_ends_before_what_it_holds_shows_again_and_says_that_there_is_more(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.send(pair.dead, *map(job, range(25)))
    monkeypatch.setattr(message_queue, "_READING", -1.0)
    said = run("dlq", "list")
    assert "www: 10 dead letters, 10 targets" in said
    assert "One look takes no more; of about 25 dead letters there are others: look again" in said
    assert pair.count(pair.dead) == (25, 0, 0)
    monkeypatch.undo()


# Which, and what of them


def test_messages_are_chosen_by_id_provider_reason_and_age(pair: Pair) -> None:
    pair.send(pair.dead, job(1), job(2, since=time.time() - 60), job(3, "img"))
    pair.send(pair.dead, job(4), reason="401: Bad Token")
    ids = {group["reason"]: group["ids"] for group in answer_of("dlq", "list", "--provider", "www")["groups"]}
    assert [len(ids[reason]) for reason in ("503: busy", "401: Bad Token")] == [2, 1]
    assert answer_of("dlq", "list", "--reason", "bad token")["dead_letters"] == 1
    assert answer_of("dlq", "list", "--older-than", "2h")["dead_letters"] == 3
    assert "is no length of time: write such as 90m" in run("dlq", "list", "--older-than", "soon", code=2)
    [id_] = ids["401: Bad Token"]
    assert "none of them has this id\nnothing was done" in run("dlq", "drop", "--yes", id_[:8], "nope", code=1)
    assert pair.count(pair.dead) == (4, 0, 0)
    assert run("dlq", "drop", id_[:8], answer="1\n").endswith("1 dropped\n")
    assert run("dlq", "redrive", "--provider", "www", "--older-than", "2h", answer="1\n").endswith("1 sent back\n")
    assert answer_of("dlq", "drop", "--yes")["done"] == 2
    assert pair.count(pair.dead) == (0, 0, 0)
    [body] = pair.bodies()
    assert (body["targets"], body["attempt"]) == (["https://a/1"], 0)


def test_a_beginning_that_several_ids_have_is_refused(pair: Pair) -> None:
    pair.send(pair.dead, *map(job, range(40)))
    assert "of them begin so; write more of the id" in run("dlq", "show", "", code=1)


def test_all_of_a_message_is_shown(pair: Pair) -> None:
    pair.send(pair.dead, job(1, "www/E1", more=2))
    [group] = answer_of("dlq", "list")["groups"]
    [id_] = group["ids"]
    assert (group["attempts"], group["target_count"], group["due_seconds"]) == (5, 3, None)
    assert group["age_seconds"] > 1_000_000
    said = run("dlq", "show", id_[:8])
    for line in (id_, "  provider: www/E1", "  reason: 503: busy", "  status: retry", "  attempts: 5", "  refusals: 2"):
        assert f"{line}\n" in said
    assert "  asked: 2023-11-14T22:13:20+00:00, 1" in said
    assert "  targets: 3\n    https://a/1\n    https://a/1?\n    https://a/1??\n" in said
    assert "  causes: m0\n" in said
    [shown] = answer_of("dlq", "show", id_)["dead_letters"]
    assert (shown["asked"], shown["action"], shown["kind"]) == ("2023-11-14T22:13:20+00:00", "purge", "url")
    assert shown["targets"] == ["https://a/1", "https://a/1?", "https://a/1??"]


def test_what_a_newer_multicdn_has_put_into_a_message_is_shown_too(pair: Pair) -> None:
    [message] = sender.messages(job(1))
    body = {**json.loads(message.body), "verify": "fresh", "seen": ["a.css", "b.css"], "flags": {"wide": True}}
    pair.put(pair.work, json.dumps(body))
    [group] = answer_of("queue", "list", "--receive")["groups"]
    assert group["reason"] == "no try has ended yet"
    said = run("queue", "show", "--receive", group["ids"][0])
    assert "  verify: fresh\n  seen: 2\n    a.css\n    b.css\n  flags: wide yes\n" in said


def test_who_asked_and_what_for_is_shown_with_the_first_keys_and_the_age_of_the_oldest_upload(pair: Pair) -> None:
    old = Provenance("acme-site", ("a.css",), 1, ("c.yml:7",), "AWS:me", uploaded="2026-10-02T07:15:04.123Z")
    new = Provenance(by="me@desk", why="Deploy 42", uploaded="2026-10-02T08:15:04Z")
    plain = job(1, more=1)
    behind = msgspec.structs.replace(plain.job, provenance=(old, new))
    pair.send(pair.dead, msgspec.structs.replace(plain, job=behind))
    [id_] = answer_of("dlq", "list")["groups"][0]["ids"]
    [shown] = answer_of("dlq", "show", id_)["dead_letters"]
    assert shown["asked"] == "2026-10-02T07:15:04+00:00"
    assert {"by": "me@desk", "why": "Deploy 42", "uploaded": "2026-10-02T08:15:04Z"} in shown["behind"]
    said = run("dlq", "show", id_)
    assert "    bucket acme-site, keys a.css, objects 1, routes c.yml:7, principal AWS:me, uploaded 2026" in said


def test_messages_that_were_never_jobs_are_shown_with_their_objects(pair: Pair) -> None:
    pair.put(pair.dead, json.dumps(s3_event("a b.css", "c.css")))
    listed = run("dlq", "list")
    assert listed.startswith("(events): 1 dead letter, 2 targets: received too often")
    assert "  s3://acme-site/a b.css and 1 more\n" in listed
    [id_] = answer_of("dlq", "list")["groups"][0]["ids"]
    assert "  events: 2\n    bucket acme-site, key a b.css, kind created" in run("dlq", "show", id_)


# Acting


def test_what_is_visible_begins_anew_and_the_others_are_where_they_were(pair: Pair) -> None:
    pair.send(pair.work, job(1), job(2, "img"))
    pair.send(pair.work, job(3), delay=600)
    pair.put(pair.work, json.dumps(s3_event("a.css")))
    assert "Send back: 1 message. Type 1 to go on" in run("queue", "redrive", "--provider", "www", answer="1\n")
    assert pair.count(pair.work) == (3, 0, 1)
    attempts = {body["targets"][0]: body["attempt"] for body in pair.bodies() if "targets" in body}
    assert attempts == {"https://a/1": 0, "https://a/2": 5, "https://a/3": 5}


@pytest.mark.parametrize(("answer", "code"), [("2\n", 0), ("1\n", 1), ("y\n", 1), ("\n", 1), ("", 1)])
def test_the_number_is_typed(pair: Pair, answer: str, code: int) -> None:
    pair.send(pair.work, job(1), job(2))
    said = run("queue", "drop", answer=answer, code=code)
    assert "What they name stays stale until it expires." in said
    assert pair.count(pair.work) == ((2, 0, 0) if code else (0, 0, 0))
    assert ("2 dropped" in said) is not bool(code)


def test_an_answer_that_comes_when_the_function_may_have_the_messages_does_nothing(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.send(pair.work, job(1))
    monkeypatch.setattr(queue, "KIND", msgspec.structs.replace(queue.KIND, held=-1))
    assert "the answer came when the messages had shown again" in run("queue", "drop", answer="1\n", code=1)
    assert pair.count(pair.work)[0] == 1


def test_programs_say_yes_beforehand(pair: Pair) -> None:
    pair.send(pair.work, job(1))
    assert "--json asks nothing; add --yes" in run("queue", "drop", "--json", code=2)
    assert answer_of("queue", "drop", "--yes") == {
        "version": 1,
        "queue": pair.work,
        "action": "drop",
        "done": 1,
        "left": 0,
    }


def test_an_error_says_what_was_done_before(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.send(pair.dead, *map(job, range(14)))

    def fail_later(call: Call) -> None:
        if call.operation == "DeleteMessageBatch" and len(call.json["Entries"]) < 10:
            raise Refused(400, "AccessDenied", "not any more")

    pair.fault = fail_later
    said = run("dlq", "drop", "--yes", code=1)
    assert "4 not deleted: " in said
    assert "not any more" in said
    assert "; before that, 10 dropped\n" in said


def test_how_far_it_is_shows_where_there_are_many(pair: Pair) -> None:
    pair.send(pair.dead, *(job(number) for number in range(100)))
    said = run("dlq", "redrive", "--yes")
    assert said.startswith("sent back: 10 of 100\nsent back: 20 of 100\n")
    assert said.endswith("\n100 sent back\n")


# What is delayed, from the log


def record(at: float, **members: Any) -> dict[str, Any]:
    line = {"event": "retry", "state": "requeued", "provider": "www", "targets": 2, "first": ["https://a/1"], **members}
    return {"timestamp": round(at * 1000), "message": json.dumps(line)}


def test_of_the_log_that_is_delayed_whose_delay_is_not_over() -> None:
    events = [
        record(1500, delay=100, provider="site/E1", targets=1),
        record(1000, delay=30, reason="over"),
        record(1000, delay=600, state="accepted"),
        record(1500, delay="soon", reason="no number"),
        record(1500, delay=-5, reason="no delay"),
        {"timestamp": 1500_000, "message": "REPORT RequestId: no JSON"},
        {"timestamp": 1500_000, "message": "[" * 9999},
        {"timestamp": 1500_000, "message": "[1]"},
        record(1500, delay=100, provider=None, targets=None, objects=2, bucket="acme-site", keys=["a", "b"], first=[]),
        record(1000, delay=900, attempt=7, age_seconds=3600, reason="503", messages=["m1", "m2"]),
    ]
    second, third, first = (each.entry() for each in still_delayed(map(group._entry, events), 1550))
    assert (first.id, first.provider, first.reason, first.targets) == ("m1", "www", "503", ("https://a/1",))
    assert (first.count, first.asked, first.attempts, first.due) == (2, -2600, 7, 1900)
    assert (second.provider, second.reason, second.asked, second.due) == ("site", "no try has ended yet", None, 1600)
    assert (third.provider, third.targets, third.count) == ("(events)", ("s3://acme-site/a", "s3://acme-site/b"), 2)


def test_what_the_function_writes_of_a_job_that_waits_is_what_is_read() -> None:
    sent = msgspec.structs.replace(job(1, "www/E1", more=6).job, provenance=(Provenance("b", ("k",), 1),) * 7)
    history = MessageHistory({"m0": 1000.0}, {"m0": 4}, {"m0": ("first",)})
    report = Report((Outcome(sent, Status.RETRY, "503: busy", after=300.0),))
    fates = Fates(decide(report, history, RetryPolicy(), 1600.0), (), Report(()))
    [line] = records(ended(report, fates, history, 1600.0))
    written = {"timestamp": 1_600_000, "message": json.dumps({"event": line.event, **line.fields})}
    [found] = still_delayed([group._entry(written)], 1700.0)
    assert msgspec.structs.astuple(found.entry()) == (
        "first", "www", "503: busy", sent.targets[:5], 7, 1000.0, 5, 1900.0, None
    )  # fmt: skip
    assert {"bucket": "b", "keys": ["k"], "id": "first", "due": 1900.0}.items() <= found.details().items()


@pytest.mark.parametrize("number", ["1e999", "NaN", "9" * 400, "-1e18"])
def test_a_number_that_nobody_can_reckon_with_keeps_no_other_job_from_being_shown(number: str) -> None:
    odd = '{"state":"requeued","delay":900,"attempt":%s,"targets":%s,"age_seconds":%s}' % ((number,) * 3)
    events = [{"timestamp": 1000_000, "message": text} for text in (odd, odd.replace("900", number))]
    found = still_delayed(map(group._entry, [*events, record(1000, delay=800)]), 1500)
    groups = letters.grouped(each.entry() for each in found)
    assert "next in 5 min" in "".join(_letters.listing(groups, "job", 1500))
    assert [list(_letters.one(each.details(), 1500)) for each in found]


OUTPUTS = {"QueueUrl": f"{HOST}/work", "DeadLetterQueueUrl": f"{HOST}/dead", "LogGroupName": "/aws/multicdn"}
DEPTH = {
    "Attributes": {
        "ApproximateNumberOfMessages": "0",
        "ApproximateNumberOfMessagesNotVisible": "1",
        "ApproximateNumberOfMessagesDelayed": "2",
        "RedrivePolicy": '{"maxReceiveCount": 6}',
    }
}


@pytest.fixture
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (sender.QUEUE, sender.DEAD_LETTERS, "MULTICDN_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")


def installed(monkeypatch: pytest.MonkeyPatch, outputs: dict[str, str], **answers: Any) -> aws_answers.Answers:
    made = aws_answers.installed(
        monkeypatch, {**aws_answers.stack("web", outputs), "GetQueueAttributes": DEPTH, **answers}
    )
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    return made


@pytest.mark.usefixtures("_nowhere")
def test_what_is_delayed_is_listed_and_shown_from_the_log_of_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    events = [
        record(now - 10, delay=200, attempt=3, age_seconds=3600, reason="503", messages=["m1", "m2"], by="me@desk"),
        record(now - 10, delay=800, attempt=4, age_seconds=7190, reason="503", messages=["m3"]),
    ]
    aws = installed(monkeypatch, OUTPUTS, FilterLogEvents={"events": events})
    said = run("queue", "list", "--stack", "web")
    [read] = [call.json for call in aws.calls if call.operation == "FilterLogEvents"]
    assert read["filterPattern"] == '{ $.state = "requeued" }'
    assert abs(read["startTime"] / 1000 - (now - 960)) < 60
    assert said.splitlines()[0] == "www: 2 jobs, 4 targets: 503"
    assert "    the oldest asked for 2 h ago, tried up to 4 times, next in 3 min to 13 min\n" in said
    assert said.endswith("3 messages waiting: 0 visible, 1 in flight, 2 delayed\n")
    assert {operation for operation, _ in aws.asked} & {"ReceiveMessage", "ChangeMessageVisibilityBatch"} == set()
    shown = run("queue", "show", "m2", "--stack", "web")
    assert "  by: me@desk\n" in shown
    assert "  due: " in shown
    assert "none of them has this id" in run("queue", "show", "m9", "--stack", "web", code=1)
    answer = answer_of("queue", "list", "--stack", "web", "--older-than", "90m")
    assert (answer["messages"], answer["delayed"], answer["groups"][0]["ids"]) == (3, 2, ["m3"])


@pytest.mark.usefixtures("_nowhere")
def test_what_the_log_does_not_tell_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, OUTPUTS, FilterLogEvents={"events": []})
    assert "Of 2 delayed messages the log /aws/multicdn tells nothing: sent in the last" in run(
        "queue", "list", "--stack", "web"
    )
    monkeypatch.setattr(queue, "_READING", -1.0)
    installed(monkeypatch, OUTPUTS, FilterLogEvents={"events": [], "nextToken": "more"})
    assert "The log /aws/multicdn was not read to its end" in run("queue", "list", "--stack", "web")
    gone = aws_answers.Refused(400, "ResourceNotFoundException", "no such group")
    installed(monkeypatch, OUTPUTS, FilterLogEvents=gone)
    said = run("queue", "list", "--stack", "web")
    assert "since the log /aws/multicdn can't be read: " in said
    assert said.count("3 messages waiting") == 1


@pytest.mark.usefixtures("_nowhere")
def test_without_a_queue_it_is_said_what_there_is_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    said = run("queue", "list", code=2)
    assert "say which queue: --queue URL or MULTICDN_QUEUE_URL, or --stack NAME, or --config FILE" in said
    assert "`multicdn install status` prints its URL" in said
    installed(monkeypatch, {"DeadLetterQueueUrl": f"{HOST}/dead"})
    said = run("queue", "list", "--stack", "web", code=1)
    assert "with trigger: direct there is no queue; what Lambda gave up is in `multicdn dlq`" in said

"""What docs/commands.md says of all commands: exit statuses, members of JSON, completion."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner
from kit import aws_answers, memory_queues
from kit.environments import ROOT
from kit.records import record, sample
from kit.stage import s3_event

from multicdn import config as config_file
from multicdn.cli import _followed, _group, _trial, fresh, main
from multicdn.logbook import entries
from multicdn.logbook.trial import Trial
from multicdn.model import Action, Job, TargetKind
from multicdn.oncall import message_queue
from multicdn.oncall.courses import Course, Sight
from multicdn.oncall.freshness import Probe
from multicdn.proof.identity import Verdict
from multicdn.provenance import Provenance
from multicdn.queue import sender
from multicdn.queue.message import Look, QueuedJob
from multicdn.routing.verify import Verify
from multicdn.sequel import Sequel, Subject, Then

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kit.stage import Stage

PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
CONFIG = """\
version: 1
providers:
  www: {type: fastly, service: SU1Z0isxPaozGVKXdv0eY, token: "${env:WWW_TOKEN}"}
  site: {type: cloudfront, distribution: E8F6HK73EP0LT}
  fast: {type: fastly, service: SU1Z0isxPaozGVKXdv0eY, token: "${env:NOBODY}"}
routes:
  - {bucket: acme-site, urls: ["https://www.acme.com/{key}"], purge: [www]}
  - {bucket: acme-shop, urls: ["https://shop.acme.com/{key}"], purge: [fast]}
"""
EVENT = '{"detail-type": "Scheduled Event", "source": "aws.events"}'
URL = "https://www.acme.com/a"
DEAD = "https://sqs.eu-central-1.amazonaws.com/123456789012/dead"


@pytest.fixture(autouse=True)
def _desk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(message_queue, "_WAIT", 0)
    for name in ("MULTICDN_CONFIG", "MULTICDN_QUEUE_URL", "MULTICDN_DLQ_URL", "NOBODY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "multicdn.config.yml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "faulty.yml").write_text("version: 2\n", encoding="utf-8")


def run(*arguments: str, code: int = 0, stdin: str = "") -> str:
    result = CliRunner().invoke(main, arguments, input=stdin)
    assert result.exit_code == code, (result.output, result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return str(result.stdout if code in (0, 3) else result.output)


def rows(heading: str) -> Iterator[list[str]]:
    """The cells of the first table below a heading."""
    section = PAGE[PAGE.index(f"{heading}\n") :]
    for line in section[section.index("| ---") :].partition("\n\n")[0].splitlines()[1:]:
        yield [cell.strip().replace("`", "") for cell in line.strip("|").split("|")]


# Exit status

STATUSES: list[tuple[int, str, tuple[str, ...], str]] = [
    (0, "all", ("config", "check"), ""),
    (1, "all", ("explain", "s3://acme-site/a", "--config", "gone.yml"), ""),
    (1, "all", ("purge", "--all", "--provider", "www"), "no\n"),
    (1, "config check", ("config", "check", "faulty.yml"), ""),
    (1, "doctor", ("doctor", "--config", "faulty.yml"), ""),
    (1, "explain", ("explain", "-"), EVENT),
    (1, "history", ("history", "s3://acme-site/a", "--log", "-"), ""),
    (1, "install test", ("install", "test", "s3://acme-site/a", "--yes"), ""),
    (1, "install status", ("install", "status", "--stack", "web", "--region", "eu-west-1"), ""),
    (1, "purge, preload", ("purge", "s3://acme-shop/a"), ""),
    (2, "all", ("purg",), ""),
    (2, "all", ("dlq", "lst"), ""),
    (2, "all", ("explain", "--onlin"), ""),
    (2, "all", ("providers", "nope"), ""),
    (2, "all", ("purge", URL, "--provider", "nope"), ""),
    (2, "all", ("preload", URL, "--provider", "nope"), ""),
    (2, "all", ("purge", "--prefix", "https://www.acme.com/docs/"), ""),
    (2, "all", ("purge", "--prefix", "https://www.acme.com/", "--provider", "www"), ""),
    (2, "all", ("purge", "--tag", "", "--provider", "www"), ""),
    (2, "all", ("purge", "/docs/"), ""),
    (2, "all", ("purge", "https://nobody.acme.com/"), ""),
    (2, "all", ("purge", "s3://acme-else/a"), ""),
    (2, "all", ("purge", URL, "--soft", "--provider", "site"), ""),
    (2, "all", ("purge", "--all"), ""),
    (2, "all", ("preload", URL), ""),
    (2, "all", ("purge", URL, "--timeout", "soon"), ""),
    (2, "all", ("dlq", "list", "--config", "gone.yml"), ""),
]


@pytest.mark.parametrize(("status", "of", "arguments", "stdin"), STATUSES, ids=lambda value: str(value)[:60])
def test_each_exit_status(
    status: int, of: str, arguments: tuple[str, ...], stdin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "install" in arguments:
        aws_answers.installed(monkeypatch, aws_answers.no_stack("web"))
    run(*arguments, code=status, stdin=stdin)


@pytest.mark.parametrize("arguments", [("config", "check"), ("dlq", "list"), ("install", "status"), ("providers",)])
def test_ctrl_c_is_told_and_has_its_own_status(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> Any:
        raise KeyboardInterrupt

    aws_answers.installed(monkeypatch, {"GetCallerIdentity": interrupted})
    monkeypatch.setattr("multicdn.config.checker.parse", interrupted)
    monkeypatch.setattr("multicdn.authoring.catalog.entry", interrupted)
    monkeypatch.setenv("MULTICDN_CONFIG", "multicdn.config.yml")
    said = run(*arguments, code=130)
    assert said.endswith("Interrupted.\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 129), (signal.SIGTERM, 143)])
def test_signals_end_any_command_as_ctrl_c_does(
    number: signal.Signals, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multicdn.config.checker.parse", lambda *_: signal.raise_signal(number))
    before = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    inherited = signal.signal(number, before)  # who runs the tests in the background has them ignored
    try:
        assert run("config", "check", code=code) == "Interrupted.\n"
        assert signal.getsignal(number) is before
    finally:
        signal.signal(number, inherited)


def _ended_question(cause: type[BaseException]) -> None:
    try:
        raise cause
    except (KeyboardInterrupt, EOFError):
        raise click.Abort from None


@pytest.mark.parametrize(("cause", "code"), [(KeyboardInterrupt, 130), (EOFError, None)])
def test_ctrl_c_at_a_question_is_told_from_the_end_of_the_input(cause: type[BaseException], code: int | None) -> None:
    """Both end a question of click's in the same way."""
    with pytest.raises(click.exceptions.Exit if code else click.Abort) as ended, _group._ended_as_sentences():
        _ended_question(cause)
    assert getattr(ended.value, "exit_code", None) == code


# Those of `purge --wait` are in tests/oncall/test_purge_in_order.py, those of `fresh` in tests/oncall/test_fresh.py.
ELSEWHERE = {
    (3, "purge, preload"), (4, "purge --wait"), (1, "fresh"), (3, "fresh"), (129, "all"), (130, "all"), (143, "all"),
}  # fmt: skip


def test_every_row_of_the_table_is_held() -> None:
    told = {(int(status), of) for status, of, _ in rows("## Exit status")}
    held = {(status, of) for status, of, _, _ in STATUSES}
    assert told == held | ELSEWHERE


# JSON


def members(heading: str) -> set[str]:
    return {member for row in rows(heading) for member in row[0].split()}


def paths(value: Any, leaves: frozenset[str], at: str = "") -> set[str]:
    """Where the values of an answer stand, no deeper than what others describe."""
    if at.removesuffix("[]") in leaves:
        return {at}
    if isinstance(value, list):
        return {path for item in value for path in paths(item, leaves, f"{at}[]")}
    if isinstance(value, dict):
        return {path for name, item in value.items() for path in paths(item, leaves, f"{at}.{name}".removeprefix("."))}
    return {at}


def answered(text: str, *leaves: str) -> set[str]:
    return paths(json.loads(text), frozenset(leaves))


def test_members_of_config_check() -> None:
    good = (
        CONFIG.replace("prefix: docs/", "")
        + "  - {bucket: acme-site, prefix: /a/, urls: ['https://x/{key}'], purge: [www]}\n"
    )
    config_file.locate().write_text(good, encoding="utf-8")
    found = run("config", "check", "--json")
    assert json.loads(found)["ok"] is True
    bad = run("config", "check", "faulty.yml", "--json", code=1)
    gone = json.loads(run("config", "check", "gone.yml", "--json", code=1))
    assert (gone["problems"][0]["file"], gone["providers"], gone["routes"]) == (None, None, None)
    assert answered(found) | answered(bad) - {"providers"} == members("### `config check --json`")


def test_members_of_fresh() -> None:
    """The command itself is run in tests/oncall/test_fresh.py."""
    looked = {Probe("www", "", URL, "acme-site", "a", Verify()): [Verdict("fresh", "ETag as in S3")]}
    answer = {"version": 1, **fresh._as_json(looked, 0)}
    assert answered(json.dumps(answer)) | {"looks[].edges[]"} == members("### `fresh --json`")


def test_members_of_providers() -> None:
    assert answered(run("providers", "--json")) == members("### `providers --json`")


@pytest.mark.slow
def test_members_of_purge_and_what_a_part_is(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    text = CONFIG.replace("fastly, service", f"fastly, endpoint: '{stage.www.endpoint}', service")
    config_file.locate().write_text(text, encoding="utf-8")
    monkeypatch.setenv("WWW_TOKEN", stage.www.token)
    listed = "s3://acme-site/a\ns3://acme-shop/a\ns3://acme-else/a\nupload failed: b to s3://acme-site/b AccessDenied\n"
    part = run("purge", "-", "--json", code=3, stdin=listed)
    answer = json.loads(part)
    assert {each["name"]: bool(each["accepted"]) for each in answer["providers"]} == {"www": True, "fast": False}
    assert (answer["exit_status"], answer["unmatched"], answer["left_out"]) == (3, ["s3://acme-else/a"], 1)
    planned = run("purge", URL, "--json", "--dry-run")
    aws_answers.installed(monkeypatch, {"SendMessageBatch": {"Successful": [{"Id": "0", "MessageId": "m"}]}})
    sent = run("purge", URL, "--json", "--queue", DEAD)
    leaves = ("planned", "collapse", "unmatched")
    found = {path.replace("planned[]", "planned") for text in (part, planned, sent) for path in answered(text, *leaves)}
    told = members("### `purge --json` and `preload --json`")
    rarely = {
        "failures[].target",
        "failures[].reason",
        *answered(json.dumps({"followed": _followed.as_json(waited())})),
    }
    assert {
        path.replace("unmatched", "unmatched[]").replace("collapse", "collapse[]") for path in found
    } | rarely == told


def waited() -> Iterator[Course]:
    """What `purge --wait` followed, with an object, and with a URL of none."""
    sight = Sight(Subject(URL, "acme-site", "a"), Verdict("stale", "old"))
    yield Course("www", 1, 0.1, 1, 0.2, "vendor", sights=(sight,), unknown=(URL,))


def test_a_list_that_names_nothing_is_answered_too() -> None:
    answer = json.loads(run("purge", "-", "--json", stdin="\n"))
    assert (answer["exit_status"], answer["providers"], answer["sent"]) == (0, [], None)


def test_members_of_dlq_list(monkeypatch: pytest.MonkeyPatch) -> None:
    record = {
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}},
    }
    letter = {"MessageId": "m", "ReceiptHandle": "r", "Body": json.dumps({"Records": [record]})}
    shown = iter([{"Messages": [letter]}])
    answers: dict[str, Any] = {
        "GetQueueAttributes": {},
        "ReceiveMessage": lambda _: next(shown, {}),
        "ChangeMessageVisibilityBatch": {"Successful": [{"Id": "0"}]},
    }
    aws_answers.installed(monkeypatch, answers)
    text = run("dlq", "list", "--dlq", DEAD, "--json")
    assert answered(text) == members("### `dlq list --json`")
    assert json.loads(text)["groups"][0]["targets"] == ["s3://b/k"]


def test_members_of_queue_list_and_of_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = memory_queues.MemoryQueues()
    aws.answer(monkeypatch)
    for delay in (0, 60):
        aws.put(aws.work, "{}", delay=delay)
    text = run("queue", "list", "--receive", "--queue", aws.work, "--json")
    assert json.loads(text)["notes"]
    aws.queues[aws.work].messages[0].body = json.dumps(s3_event("a"))
    text = run("queue", "list", "--receive", "--queue", aws.work, "--json")
    assert answered(text) == members("### `queue list --json`")
    done = [run("queue", word, "--queue", aws.work, "--json", "--yes") for word in ("redrive", "drop")]
    assert set.union(*map(answered, done)) == members("### `redrive --json` and `drop --json`")


def test_members_of_show(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = memory_queues.MemoryQueues()
    aws.answer(monkeypatch)
    causes = (frozenset(("m",)),)
    before = Job("www", Action.PURGE, TargetKind.URL, (URL,), causes)
    job = Job(
        "www",
        Action.PRELOAD,
        TargetKind.URL,
        (URL,),
        causes,
        soft=True,
        purges=(before,),
        provenance=(Provenance("b"),),
    )
    then = Then("site", "purge", "b", ((TargetKind.URL, URL),))
    sequel = Sequel((Subject(URL, "b", "k"),), (then,))
    followed = Job("www", Action.PURGE, TargetKind.URL, (URL,), causes, sequels=(sequel,))
    look = Look(accepted=1.0, due=2.0, finished=2.0, times=1)
    queued = (QueuedJob(job, 1, 1.0, ("m",), 1), QueuedJob(followed, 0, 1.0, ("m",), look=look))
    found = (
        message
        for each in queued
        for message in sender.messages(each, status="stale", reason="still stale", seen="age 312")
    )
    for message in found:
        aws.put(aws.dead, message.body, message.attributes)
    aws.put(aws.dead, json.dumps(s3_event("a")))
    shown = json.loads(
        run("dlq", "show", *(each.id for each in aws.queues[aws.dead].messages), "--dlq", aws.dead, "--json")
    )
    found = {path for each in shown.pop("dead_letters") for path in paths(each, frozenset(("behind", "events")))}
    found = {path if path not in ("behind", "events") else f"{path}[]" for path in found}
    always = {"due", "messages[]", "dead_letters[]", *shown}
    assert found | always == members("### `queue show --json` and `dlq show --json`")


def test_members_of_install_status(monkeypatch: pytest.MonkeyPatch) -> None:
    aws_answers.installed(monkeypatch, aws_answers.stack("web", {"InvokedArn": "arn"}))
    text = run("install", "status", "--stack", "web", "--region", "eu-west-1", "--json")
    assert answered(text, "notifications", "outputs", "queue") == members("### `install status --json`")


def test_members_of_history_and_install_test() -> None:
    text = "".join(f"{json.dumps(each)}\n" for each in sample())
    found = run("history", "s3://acme-site/docs/index.html", "--log", "-", "--json", stdin=text)
    assert answered(found, "steps[].record") == members("### `history --json`")
    trial = Trial("m1", [("www", "purge")], 0.0)
    trial.see(entries.read(json.dumps(record(1.0))))
    tried = json.dumps(_trial._plain("b", "k", trial))
    assert answered(tried, "providers[].record") == members("### `install test --json`")


def test_members_of_secret_list_and_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aws = aws_answers.installed(monkeypatch, {})
    aws.parameter("/token", "t")
    file = tmp_path / "c.yml"
    file.write_text(
        'version: 1\nproviders: {www: {type: fastly, service: x, token: "${ssm:/token}"}}\n'
        'routes: [{bucket: b, urls: ["https://a.example/{key}"], purge: [www]}]\ninstall: {region: eu-west-1}\n'
    )
    texts = [run("secret", word, "--config", str(file), "--json") for word in ("list", "check")]
    assert set.union(*map(answered, texts)) == members("### `secret list --json` and `secret check --json`")


def test_every_command_that_prints_facts_has_json() -> None:
    context = main.make_context("multicdn", [], resilient_parsing=True)
    facts = ["explain", "purge", "preload", "providers", "config check", "secret list", "secret check"]
    facts += [f"{name} {word}" for name in ("queue", "dlq") for word in ("list", "show")]
    facts += ["history", "logs", *(f"install {name}" for name in ("plan", "apply", "status", "destroy", "test"))]
    for words in facts:
        command: Any = main
        for word in words.split():
            command = command.get_command(context, word)
        assert any("--json" in parameter.opts for parameter in command.params), words
        assert re.search(rf"`{words}\b[^`]*--json`", PAGE) or words.startswith("install") or words == "explain", words


# Completion


def completed(*words: str) -> list[str]:
    *before, incomplete = words
    complete = BashComplete(main, {}, "multicdn", "_MULTICDN_COMPLETE")
    return [item.value for item in complete.get_completions(before, incomplete)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("prov",), ["providers"]),
        (("dlq", "re"), ["redrive"]),
        (("queue", ""), ["drop", "list", "redrive", "show"]),
        (("queue", "drop", "--provider", "w"), ["www"]),
        (("providers", "fa"), ["fastly"]),
        (("providers", "cloud"), ["cloudflare", "cloudfront"]),
        (("purge", "--provider", "fa"), ["fast"]),
        (("purge", "--provider", ""), ["fast", "site", "www"]),
        (("preload", URL, "--provider", "s"), ["site"]),
        (("dlq", "list", "--provider", "w"), ["www"]),
        (("logs", "--provider", "w"), ["www"]),
        (
            ("logs", "--outcome", "re"),
            ["refused", "rejected", "released", "requeue-failed", "requeue-refused", "requeued", "retry", "returned"],
        ),
        (("purge", "--config", "faulty.yml", "--provider", ""), []),
        (("purge", "--config", "gone.yml", "--provider", ""), []),
    ],
)
def test_names_are_completed(words: tuple[str, ...], expected: list[str]) -> None:
    assert completed(*words) == expected


def test_names_are_completed_from_a_config_with_faults() -> None:
    config_file.locate().write_text("version: 9\nproviders: {fast: {}, farther: 3}\nroutes: 7\n", encoding="utf-8")
    assert completed("purge", "--provider", "fa") == ["farther", "fast"]
    for odd in ("[", "providers: [1]\n", "- a\n", "", "\x00", "providers: {1: {}, : {}}\n"):
        config_file.locate().write_text(odd, encoding="utf-8")
        assert isinstance(completed("purge", "--provider", ""), list)


def test_the_page_names_the_variable_of_each_shell() -> None:
    assert all(f"_MULTICDN_COMPLETE={shell}_source multicdn" in PAGE for shell in ("bash", "zsh", "fish"))


# Misspelled commands, and help


@pytest.mark.parametrize(
    ("words", "near"),
    [(["purg"], "purge"), (["instal"], "install"), (["install", "statsu"], "status"), (["config", "chek"], "check")],
)
def test_a_misspelled_command_is_told_the_nearest(words: list[str], near: str) -> None:
    assert f"no such command {words[-1]!r}; did you mean {near!r}?" in run(*words, code=2)


def test_of_a_command_that_is_like_none_all_are_named() -> None:
    assert "no such command 'xyzzy' (known: check, convert, schema)" in run("config", "xyzzy", code=2)


@pytest.mark.parametrize("words", [["-h"], ["purge", "-h"], ["install", "plan", "-h"], ["dlq", "-h"]])
def test_help_is_asked_for_in_each_way(words: list[str]) -> None:
    long = run(*words[:-1], "--help")
    assert run(*words) == long
    assert run("help", *words[:-1]) == long


def test_a_steering_character_in_an_unknown_option_does_not_steer() -> None:
    assert "\x1b" not in run("--\x1b[2J", code=2)
    assert "\x1b" not in run("purge", "--\x1b[2J", code=2)

"""``multicdn logs`` and ``multicdn history``: of an installation, a file or a pipe; for people and for programs."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from kit import aws_answers
from kit.aws_wire import Refused
from kit.environments import ROOT
from kit.records import GROUP, WWW, event, record, rows, sample
from kit.rights import rights, used

from multicdn.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kit.aws_answers import Answers

CONFIG = """\
version: 1
providers:
  www: {type: fastly, service: SU1Z0isxPaozGVKXdv0eY, token: "${env:WWW_TOKEN}"}
  site: {type: cloudfront, distribution: E8F6HK73EP0LT}
routes:
  - {bucket: acme-site, prefix: docs/, index: index.html, urls: ["https://www.acme.com/{key}"], purge: [www, site]}
install: {region: eu-west-1, stack: web}
"""
OTHER: dict[str, Any] = {"keys": ["img/x.png"], "first": [f"{WWW}/img/x.png"], "messages": ["m9"]}


@pytest.fixture(autouse=True)
def _desk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MULTICDN_CONFIG", raising=False)
    (tmp_path / "multicdn.config.yml").write_text(CONFIG, encoding="utf-8")


def run(*arguments: str, code: int = 0, stdin: str = "") -> Result:
    result = CliRunner().invoke(main, arguments, input=stdin)
    assert result.exit_code == code, (result.output, result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def lines(*records: dict[str, Any]) -> str:
    return "".join(f"{json.dumps(each)}\n" for each in records)


def installed(patch: pytest.MonkeyPatch, answers: dict[str, Any]) -> Answers:
    outputs = {"LogGroupName": GROUP, "QueueUrl": "https://q"}
    return aws_answers.installed(patch, {**aws_answers.stack("web", outputs), **answers})


# logs


def test_the_log_of_an_installation_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [event("1", record(0)), event("2", '{"type": "platform.start"}'), event("3", "Traceback")]
    aws = installed(monkeypatch, {"FilterLogEvents": {"events": events}})
    before = time.time()
    shown = run("logs", "--since", "15m").stdout
    assert shown == (
        f"2026-10-02 07:15:00Z  www: purge of 1 url accepted ({WWW}/docs/a.html; age_seconds 2.0)\n"
        "2026-10-02 07:15:00Z  Traceback\n"
    )
    asked = aws.calls[-1].json
    assert asked["logGroupName"] == GROUP
    assert before - 901 < asked["startTime"] / 1000 < time.time() - 899
    assert used(aws) == rights("multicdn logs")
    assert {region for _, region in aws.asked} == {"eu-west-1"}


def test_it_is_followed_until_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(_: dict[str, Any]) -> dict[str, Any]:
        if len(aws.calls) > 7:
            raise KeyboardInterrupt
        return {"events": [event("1", record(0), time.time())]}

    aws = installed(monkeypatch, {"FilterLogEvents": answer})
    monkeypatch.setattr("multicdn.logbook.group._PAUSE", 0)
    result = run(
        "logs", "-f", "--stack", "web", "--provider", "www", "--outcome", "dead", "--outcome", "accepted", code=130
    )
    assert result.stdout.count("www: purge") == 1
    assert result.stderr == f"Following {GROUP} in eu-west-1; Ctrl-C ends it.\nInterrupted.\n"
    assert aws.calls[-1].json["filterPattern"].startswith('{ ($.provider = "www"')


def test_a_log_on_standard_input_is_filtered_and_what_is_left_out_is_told() -> None:
    text = lines(record(0), record(1, provider="site"), record(2, **OTHER), record(3, **OTHER, objects=900))
    result = run("logs", "-", "--provider", "www", "--key", "docs/*", stdin=text)
    assert [line[-40:] for line in result.stdout.splitlines()] == [
        "w.acme.com/docs/a.html; age_seconds 2.0)",
        " may be about it, since not all is named",
    ]
    programs = run("logs", "-", "--json", "--provider", "www", "--key", "docs/*", stdin=text)
    assert len(programs.stdout.splitlines()) == 1
    assert programs.stderr == "1 record of large batches may be about it: they name only the first keys\n"
    assert run("logs", "-", "--outcome", "dead", stdin=text).stderr == "the log has nothing like that in this time\n"
    assert run("logs", "-").stderr == "the log has nothing in this time\n"


def test_json_is_the_records_as_they_stand_in_the_log(tmp_path: Path) -> None:
    odd = record(0, reason="caf\u00e9 \u202e", provider="site")
    (tmp_path / "worker.log").write_text(
        f"worker-1 | {json.dumps(odd)}\nTraceback\n" + lines(record(1)), encoding="utf-8"
    )
    result = run("logs", "worker.log", "--json", "--provider", "site")
    assert json.loads(result.stdout) == odd
    assert len(run("logs", "worker.log", "--json").stdout.splitlines()) == 2


def test_of_a_file_what_is_too_old_is_left_out_where_that_is_asked() -> None:
    young = record(0, timestamp=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    text = lines(record(0), young) + "no time\n"
    assert len(run("logs", "-", stdin=text).stdout.splitlines()) == 3
    assert len(run("logs", "-", "--since", "2h", stdin=text).stdout.splitlines()) == 2


def test_nothing_in_a_log_steers_a_terminal() -> None:
    text = lines(record(0, reason="\x1b[2J\u202e", first=["\x1b"])) + "\x1b[2J\n"
    for arguments in (("logs", "-"), ("logs", "-", "--json"), ("history", "s3://acme-site/docs/a.html", "--log", "-")):
        assert not {"\x1b", "\u202e"} & set(run(*arguments, stdin=text).output)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("logs", "--outcome", "ded"), "no outcome is called 'ded'; did you mean 'dead'?"),
        (("logs", "--since", "soon"), "'soon' is no length of time: write 30s, 15m, 6h or 2d"),
        (("logs", "--since", "0m"), "'0m' is no length of time"),
        (("logs", "w.log", "-f"), "a file isn't followed: tail -f w.log | multicdn logs -"),
        (("logs", "gone.log"), "gone.log: can't be read: No such file or directory"),
        (("logs", "."), ".: can't be read: Is a directory"),
        (
            ("logs", "--config", "gone.yml"),
            "say which log: FILE, or --stack NAME, or --config FILE of the installation",
        ),
        (("history", "docs/a.html"), "'docs/a.html' is neither an S3 URI nor a URL; write s3://bucket/key"),
        (("history", "s3://acme-site/"), "s3://acme-site/ names no object; write s3://acme-site/key"),
    ],
)
def test_misuse_is_told_before_anything_is_asked(arguments: tuple[str, ...], said: str) -> None:
    assert said in " ".join(run(*arguments, code=2).stderr.split())


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (("logs",), "AccessDeniedException", "not allowed: logs:FilterLogEvents, while reading the log"),
        (("logs", "-f"), "ResourceNotFoundException", "ResourceNotFoundException"),
        (("history", "s3://acme-site/docs/a.html"), "AccessDeniedException", "not allowed: logs:StartQuery"),
        (("history", "s3://acme-site/docs/a.html"), "ExpiredTokenException", "the AWS credentials have expired"),
    ],
)
def test_what_aws_refuses_is_a_sentence(
    command: tuple[str, ...], code: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = Refused(400, code)
    installed(monkeypatch, {"FilterLogEvents": refused, "StartQuery": refused})
    text = run(*command, code=1).stderr
    assert said in text
    assert "Traceback" not in text


def test_a_stack_without_a_log_group_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    aws_answers.installed(monkeypatch, aws_answers.stack("web", {}))
    assert "the stack 'web' in eu-west-1 has no LogGroupName" in run("logs", code=1).stderr


# history


def test_the_example_of_the_docs(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "on-call.md").read_text(encoding="utf-8")
    [(arguments, shown)] = re.findall(r"^```text\n\$ multicdn (history .*)\n((?:.*\n)*?)```$", page, re.MULTILINE)
    (tmp_path / "worker.log").write_text(lines(*sample()), encoding="utf-8")
    assert run(*arguments.split()).stdout == shown


def searched(patch: pytest.MonkeyPatch, *found: dict[str, Any], recent: tuple[dict[str, Any], ...] = ()) -> Answers:
    done = {"status": "Complete", "results": rows(found), "statistics": {"bytesScanned": 12.3e6}}
    events = [event(str(place), each) for place, each in enumerate(recent)]
    answers = {"StartQuery": {"queryId": "q"}, "GetQueryResults": done, "FilterLogEvents": {"events": events}}
    return installed(patch, answers)


def test_the_history_of_an_object_is_searched_and_what_is_new_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = searched(monkeypatch, record(0), record(1, **OTHER), recent=(record(60, provider="site"),))
    result = run("history", "s3://acme-site/docs/a.html", "--since", "2d")
    assert [line.split()[2] for line in result.stdout.splitlines()[:3]] == ["changed", "accepted", "accepted"]
    assert result.stdout.splitlines()[-1].startswith("www: purge accepted at 2026-10-02 07:15:00Z")
    assert result.stderr == "Logs Insights looked at 12.3 MB of the log, for about $0.00006\n"
    asked = {call.operation: call.json for call in aws.calls if call.service == "logs"}
    assert asked["StartQuery"]["endTime"] - asked["StartQuery"]["startTime"] in range(2 * 86400 - 301, 2 * 86400 - 299)
    assert abs(asked["FilterLogEvents"]["startTime"] / 1000 - asked["StartQuery"]["endTime"]) <= 1
    assert used(aws) == rights("multicdn history") - {"logs:StopQuery"}


def test_what_both_have_seen_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at_the_seam = record(0, timestamp=time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()))
    searched(monkeypatch, at_the_seam, recent=(at_the_seam,))
    assert run("history", "s3://acme-site/docs/a.html").stdout.count("accepted  www") == 1


def test_what_is_new_alone_is_not_searched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = searched(monkeypatch, recent=(record(0),))
    assert run("history", "s3://acme-site/docs/a.html", "--since", "4m").stderr == ""
    assert "StartQuery" not in {name for name, _ in aws.asked}


def test_a_url_is_led_back_to_its_objects_and_purges_by_hand_are_found() -> None:
    found = record(0, keys=["docs/index.html"], first=[f"{WWW}/docs/index.html"])
    by_hand = record(
        60, by="ann@laptop", keys=[], bucket="", objects=0, first=["/docs/"], provider="site", messages=["h"]
    )
    text = lines(found, by_hand, record(1, **OTHER))
    result = run("history", f"{WWW}/docs/", "--log", "-", stdin=text)
    assert "multicdn.config.yml:6 gives it for s3://acme-site/docs/index.html" in result.stderr
    assert result.stdout.count("by ann@laptop") == 1
    assert "img/x.png" not in result.stdout
    assert [line.split(":")[0] for line in result.stdout.splitlines()[-2:]] == ["site", "www"]


def test_nothing_is_known_is_said_and_has_its_status() -> None:
    result = run("history", "s3://acme-site/docs/b.html", "--log", "-", code=1, stdin=lines(record(1, **OTHER)))
    assert result.stdout == (
        "the log says nothing of s3://acme-site/docs/b.html in this time; `multicdn explain "
        "s3://acme-site/docs/b.html` says what a change would do\n"
    )


def test_a_provider_that_the_config_has_not_is_told(tmp_path: Path) -> None:
    nothing = "the log has nothing like that in this time\n"
    said = "the config has no provider 'wwww'; did you mean 'www'? (warning)\n"
    assert run("logs", "-", "--provider", "wwww").stderr == said + nothing
    assert run("logs", "-", "--provider", "site/E8F6", "--provider", "(events)").stderr == nothing
    (tmp_path / "multicdn.config.yml").unlink()
    assert run("logs", "-", "--provider", "wwww").stderr == nothing


def test_for_a_url_that_no_route_gives_nothing_is_searched_and_paid_for(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = searched(monkeypatch)
    result = run("history", "https://other.example/docs/", code=1)
    assert "no route gives it" in result.stderr
    assert aws.asked == []


ODD = ["1e999", "NaN", "9" * 400, "1e300", "99999999999", "true", '"soon"']


@pytest.mark.parametrize("number", ODD, ids=[each[:11] for each in ODD])
def test_numbers_and_times_of_other_worlds_are_no_end_of_a_log(number: str) -> None:
    line = json.dumps(record(0, attempt=0, targets=0, age_seconds=0, objects=0))
    odd = re.sub(r'"(attempt|targets|age_seconds|objects)": 0', rf'"\1": {number}', line)
    others = [
        {**record(0), "timestamp": "0001-01-01T00:00:00+14:00"},
        {**record(0), "timestamp": "9999-12-31T23:59:59-14:00"},
        {**record(0), "bucket": {"a": 1}, "kind": ["url"], "first": [["x"]], "objects": 99, "provider": ["www"]},
    ]
    text = f"{odd}\n{lines(*others)}{lines(record(60))}"
    assert run("logs", "-", stdin=text).stdout.count("\n") == 5
    assert "www: purge accepted at" in run("history", "s3://acme-site/docs/a.html", "--log", "-", stdin=text).stdout


def test_without_a_config_an_object_is_found_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "multicdn.config.yml").unlink()
    result = run("history", "s3://acme-site/docs/a.html", "--log", "-", stdin=lines(record(0)))
    assert "www: purge accepted" in result.stdout
    assert "aren't known without the routes" in result.stderr
    run("history", f"{WWW}/docs/", "--log", "-", code=1)


def test_ctrl_c_during_a_search_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: dict[str, Any]) -> dict[str, Any]:
        raise KeyboardInterrupt

    stopped: Callable[[dict[str, Any]], dict[str, Any]] = lambda _: {"success": True}  # noqa: E731
    answers = {"StartQuery": {"queryId": "q"}, "GetQueryResults": interrupted, "StopQuery": stopped}
    aws = installed(monkeypatch, answers)
    result = run("history", "s3://acme-site/docs/a.html", code=130)
    assert result.stderr == "Interrupted.\n"
    assert aws.asked[-1][0] == "StopQuery"

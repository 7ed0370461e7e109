"""``multicdn install test``: says what it costs, tells the function of an upload, and follows that to the vendors."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from kit import aws_answers
from kit.aws_wire import Refused
from kit.records import GROUP, event, record
from kit.rights import rights, used
from kit.tiers import Tiers
from kit.world import BUCKET, SITE
from kit.worlds_log import Told

from multicdn.cli import _installing, main
from multicdn.cli.install import install
from multicdn.events import envelopes
from multicdn.logbook import trial
from multicdn.model import Change
from multicdn.vocabulary import EVENTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kit.aws_answers import Answers

    from multicdn.simulators import Origin

CONFIG = """\
version: 1
providers:
  www: {type: fastly, service: SU1Z0isxPaozGVKXdv0eY, token: "${env:WWW_TOKEN}"}
  site: {type: cloudfront, distribution: E8F6HK73EP0LT}
routes:
  - {bucket: acme-site, prefix: docs/, index: index.html, urls: ["https://www.acme.com/{key}"], purge: [www, site]}
install: {region: eu-west-1, stack: web}
"""
QUEUE = "https://sqs.eu-west-1.amazonaws.com/1/web-Queue"


@pytest.fixture(autouse=True)
def _desk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("multicdn.logbook.group._PAUSE", 60)
    monkeypatch.setattr("multicdn.logbook.group.time.sleep", lambda _: None)
    monkeypatch.delenv("MULTICDN_CONFIG", raising=False)
    (tmp_path / "multicdn.config.yml").write_text(CONFIG, encoding="utf-8")


def run(*arguments: str, code: int = 0, stdin: str = "") -> Result:
    result = CliRunner().invoke(main, ("install", "test", *arguments), input=stdin)
    assert result.exit_code == code, (result.output, result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def deployed(
    patch: pytest.MonkeyPatch, *said: dict[str, Any], config: str = CONFIG, queued: bool = True, **answers: Any
) -> Answers:
    """An installation whose log says this once it was told of the upload."""
    outputs = {"LogGroupName": GROUP, **({"QueueUrl": QUEUE} if queued else {"InvokedArn": "arn:web"})}
    notes = {"config_sha256": hashlib.sha256(config.encode()).hexdigest()}
    template = {"TemplateBody": json.dumps({"Metadata": {"multicdn": notes}})}
    now = time.time() + 60
    events = [event(str(place), {**each, "timestamp": stamp(now)}, now) for place, each in enumerate(said)]
    return aws_answers.installed(patch, {
        **aws_answers.stack("web", outputs),
        "GetTemplate": template,
        "SendMessage": {"MessageId": "m1"},
        "GetQueueAttributes": {"Attributes": {"ApproximateNumberOfMessages": "1"}},
        "FilterLogEvents": {"events": events},
        **answers,
    })  # fmt: skip


def stamp(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


ACCEPTED = (record(0), record(0, provider="site"))


def test_it_says_what_it_costs_asks_and_follows_to_each_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = deployed(monkeypatch, record(0, messages=["other"]), *ACCEPTED)
    result = run("s3://acme-site/docs/a b.html", stdin="y\n")
    told, asked, after = result.stdout.partition("Do this? [y/N]: ")
    assert asked
    assert told.startswith(
        "The installed function is told that s3://acme-site/docs/a b.html was uploaded. The object isn't touched.\n"
    )
    assert "in all: 4 targets in 3 calls at 2 providers, up to $0.010\n" in told
    assert after.count("purge of 1 url accepted") == 2
    assert result.stderr.endswith("It works: site took the purge, www took the purge.\n")
    [body] = [call.json["MessageBody"] for call in aws.calls if call.operation == "SendMessage"]
    sent = json.loads(body)
    assert (
        sent["Records"][0]["userIdentity"]["principalId"] == "arn:aws:iam::123456789012:user/me (multicdn install test)"
    )
    [change] = envelopes.decode(sent).changes
    assert change == Change("acme-site", "docs/a b.html", time=change.time, principal=change.principal)
    assert used(aws) == rights("multicdn install test") - {
        "s3:ListBucket",
        "lambda:InvokeFunction",
        "sqs:GetQueueAttributes",
    }


def test_where_a_route_verifies_it_waits_until_the_edges_are_fresh(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = CONFIG.replace("[www, site]", "[www, site], verify: true")
    (tmp_path / "multicdn.config.yml").write_text(text, encoding="utf-8")
    seen = [
        record(0, provider=name, event=event, state=event, age_seconds=after)
        for name, after in (("www", 1.5), ("site", 9.25))
        for event, after in (("finished", after), ("fresh", after + 2))
    ]
    deployed(monkeypatch, *ACCEPTED, *seen, config=text)
    end = run("s3://acme-site/docs/a", "--yes").stderr
    assert "It works: site took the purge, finished after 9.2 s, fresh after 11 s, www took the purge, fin" in end
    deployed(monkeypatch, *ACCEPTED, *seen[:3], config=text)
    assert (
        "site: purge finished, and not seen to be fresh by now" in run("s3://acme-site/docs/a", "--yes", code=1).stderr
    )
    deployed(monkeypatch, *ACCEPTED, config=text)
    run("s3://acme-site/docs/a", "--yes", code=1)
    dead = record(0, event="stale", state="dead", purges=4, reason="still stale at AMS")
    deployed(monkeypatch, *ACCEPTED, *seen[:1], *seen[2:], dead, config=text)
    assert "www: purge of 1 url stale, dead: still stale at AMS" in run("s3://acme-site/docs/a", "--yes", code=1).stderr
    unknown = record(0, event="unknown", state="unknown", reason="login needed")
    deployed(monkeypatch, *ACCEPTED, *seen[:1], *seen[2:], unknown, config=text)
    answer = run("s3://acme-site/docs/a", "--yes")
    assert "Whether www is fresh is unknown: login needed" in answer.stderr
    answers = json.loads(run("s3://acme-site/docs/a", "--yes", "--json").stdout)["providers"]
    assert [each["seconds"] for each in answers] == [
        {"accepted": 2.0, "finished": 9.25, "fresh": 11.25}, {"accepted": 2.0, "finished": 1.5, "unknown": 2.0},
    ]  # fmt: skip


def test_nothing_is_sent_without_a_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = deployed(monkeypatch)
    run("s3://acme-site/docs/a", code=1, stdin="n\n")
    run("s3://acme-site/docs/a", "--json", code=2)
    assert not {"SendMessage", "FilterLogEvents"} & {name for name, _ in aws.asked}


def test_by_default_the_object_with_the_fewest_targets_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ["docs/", "docs/index.html", "docs/a.html"]
    listed = "".join(f"<Contents><Key>{key}</Key></Contents>" for key in keys)
    page = f"<ListBucketResult><IsTruncated>false</IsTruncated>{listed}</ListBucketResult>"
    deployed(monkeypatch, *ACCEPTED, ListObjectsV2=lambda _: page)
    assert "s3://acme-site/docs/a.html was uploaded" in run("--yes").stdout
    deployed(monkeypatch, ListObjectsV2=Refused(403, "AccessDenied"))
    assert "name one: multicdn install test s3://bucket/key" in run("--yes", code=1).stderr


def test_with_trigger_direct_the_function_itself_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = [{**each, "requestId": "r1", "messages": []} for each in ACCEPTED]
    answer = ({}, {"x-amzn-requestid": "r1"})
    aws = deployed(monkeypatch, *mine, queued=False, Invoke=lambda _: answer)
    run("s3://acme-site/docs/a.html", "--yes")
    [call] = [call for call in aws.calls if call.operation == "Invoke"]
    assert envelopes.decode(call.json).changes[0].key == "docs/a.html"


FAILURES = [
    ([record(0), record(0, provider="site", event="refused", state="dead", reason="403 no")],
     "site: purge of 1 url refused, dead: 403 no"),
    ([record(0), record(0, provider="site", event="retry", state="requeued", reason="503 busy", delay=31)],
     "site: purge of 1 url retry, requeued for 31 s: 503 busy"),
    ([record(0)], "site: nothing is known of the purge"),
    ([], "The log doesn't speak of it after 120 s; in the queue: 1 message."),
    ([{"event": "unreadable", "messages": ["m1"], "reason": "no"}], "The function could not make anything of the"),
    ([record(0, messages=["x"], objects=900)], "1 record of large batches may be about it."),
]  # fmt: skip


@pytest.mark.parametrize(("said", "why"), FAILURES)
def test_what_is_wrong_is_said_after_the_time(
    said: list[dict[str, Any]], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed(monkeypatch, *said)
    result = run("s3://acme-site/docs/a.html", "--yes", code=1)
    assert why in result.stderr
    assert result.stderr.endswith(
        "`multicdn doctor --online` looks for the reason, `multicdn logs --since 10m` shows what else there is.\n"
    )


def test_what_the_function_fails_with_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = {"type": "platform.report", "time": "", "record": {"status": "timeout"}}
    deployed(monkeypatch, failed)
    assert "an invocation of the function ended with timeout" in run("s3://acme-site/docs/a", "--yes", code=1).stdout


@pytest.mark.parametrize(
    ("what", "config", "answers", "code", "why"),
    [
        ("s3://acme-site/img/a", CONFIG, {}, 2, "no route acts on s3://acme-site/img/a"),
        ("s3://acme-site/docs/a", "x", {}, 1, "another config is deployed than the one here"),
        ("s3://acme-site/docs/a", CONFIG, aws_answers.no_stack("web"), 1, "nothing is installed as 'web'"),
        (
            "s3://acme-site/docs/a",
            CONFIG,
            {"SendMessage": Refused(403, "AccessDenied")},
            1,
            "not allowed: sqs:SendMessage",
        ),
    ],
)
def test_what_can_not_be_tried_is_refused(
    what: str, config: str, answers: dict[str, Any], code: int, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed(monkeypatch, config=config, **answers)
    assert why in " ".join(run(what, "--yes", code=code).stderr.split())


def test_a_level_that_hides_what_was_accepted_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = CONFIG.replace("stack: web", "stack: web, log_level: WARNING")
    (tmp_path / "multicdn.config.yml").write_text(text, encoding="utf-8")
    deployed(monkeypatch, config=text)
    assert "install.log_level is WARNING" in run("s3://acme-site/docs/a", "--yes", code=1).stderr


def test_a_part_that_died_is_not_made_good_by_another_that_was_accepted() -> None:
    from multicdn.logbook.entries import read

    tried = trial.Trial("m1", [("www", "purge")], 0.0)
    for each in (record(0, event="rejected", state="dead"), record(1)):
        tried.see(read(json.dumps(each)))
    assert (tried.is_over, tried.is_good) == (True, False)


def in_front_of(
    patch: pytest.MonkeyPatch,
    origin: Origin,
    vendors: Mapping[str, str],
    key: str,
    seconds: float,
    delay: float = 0.0,
    **world: Any,
) -> None:
    """Install a function in front of simulated CDNs, each of which fetches from the one before.

    Its log has what it says of a try by so many seconds later, where the innermost one has such a delay.
    """
    with patch.context() as inside, Told.listening() as told, Tiers(inside, origin, vendors) as tiers:
        tiers.warp.sleep(inside)
        next(iter(tiers.cdns.values())).topology.purge_delay = delay
        made = tiers.world(**world)
        made.upload(key, "new", told=False)
        message = made.aws.put(made.aws.work, trial.event(BUCKET, key, "me", time.time()))
        made.run(seconds)
        config = json.dumps({**json.loads(made._text), "install": {"region": "eu-west-1", "stack": "web"}})
    Path("multicdn.config.yml").write_text(config, encoding="utf-8")
    deployed(patch, *told.lines(*EVENTS), config=config, SendMessage={"MessageId": message.id})


CHAINS = [{"in": "cloudfront", "out": "fastly"}, {"in": "fastly", "mid": "cloudfront", "out": "fastly"}]


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("key", ["a.css", "docs/index.html"])
@pytest.mark.parametrize("vendors", CHAINS, ids=" ".join)
def test_cdns_that_fetch_from_each_other_work_once_the_outermost_was_purged(
    vendors: dict[str, str], key: str, verify: object, monkeypatch: pytest.MonkeyPatch, origin: Origin
) -> None:
    # A page has several targets, of which one is looked at.
    route = {"index": "index.html", "verify": verify and {"urls": [f"{SITE}/{{key}}"]}}
    in_front_of(monkeypatch, origin, vendors, key, 300, route=route)
    answer = json.loads(run(f"s3://{BUCKET}/{key}", "--yes", "--json").stdout)
    states = {each["name"]: each["state"] for each in answer["providers"]}
    ends = dict.fromkeys(vendors, "fresh") if verify else {**dict.fromkeys(vendors, "finished"), "out": "accepted"}
    assert (answer["ok"], states) == (True, ends)


def test_a_preload_that_waits_for_its_purge_works_once_it_was_accepted(
    monkeypatch: pytest.MonkeyPatch, origin: Origin
) -> None:
    in_front_of(monkeypatch, origin, {"in": "edgecast"}, "a.css", 300, verify=False, route={"preload": ["in"]})
    answer = json.loads(run(f"s3://{BUCKET}/a.css", "--yes", "--json").stdout)
    states = [(each["action"], each["state"]) for each in answer["providers"]]
    assert (answer["ok"], states) == (True, [("preload", "accepted"), ("purge", "finished")])


def test_while_the_inner_cdn_has_not_finished_the_outer_one_is_said_to_wait_for_it(
    monkeypatch: pytest.MonkeyPatch, origin: Origin
) -> None:
    in_front_of(monkeypatch, origin, CHAINS[0], "a.css", 0, verify=False)
    said = run(f"s3://{BUCKET}/a.css", "--yes", code=1).stderr
    assert "in: purge accepted, and not finished by now; a longer --timeout waits for that\n" in said
    assert "out: nothing is known of the purge, which waits for in\n" in said


def test_an_outer_cdn_that_was_let_go_ahead_makes_up_for_no_inner_one_that_has_not_finished(
    monkeypatch: pytest.MonkeyPatch, origin: Origin
) -> None:
    options = {"out": {"wait_at_most": "1s"}}
    in_front_of(monkeypatch, origin, CHAINS[0], "a.css", 20, delay=60, verify=False, options=options)
    answer = json.loads(run(f"s3://{BUCKET}/a.css", "--yes", "--json", code=1).stdout)
    assert [each["state"] for each in answer["providers"]] == ["accepted", "accepted"]


def test_a_purge_that_is_looked_at_is_over_when_each_part_of_it_is() -> None:
    from multicdn.logbook.entries import read

    page, folder = ({"first": [f"https://www.acme.com/docs/{name}"]} for name in ("a", ""))
    tried = trial.Trial("m1", [("www", "purge")], 0.0, {("www", "purge"): 2})
    over = []
    for each in (
        record(0, **page),
        record(1, **folder),
        record(2, **page, event="finished", state="finished"),
        record(3, **folder, event="finished", state="finished"),
        record(4, **page, event="fresh", state="fresh"),
        record(5, **folder, event="superseded", state="superseded"),
    ):
        tried.see(read(json.dumps(each)))
        over.append((tried.is_over, tried.is_good))
    assert over == [(False, False)] * 5 + [(True, True)]


def test_apply_names_what_to_type_next_with_the_options_that_it_was_given() -> None:
    with install.commands["apply"].make_context("apply", ["--stack", "my web"]):
        lines = list(_installing.what_next())
    assert lines[0].startswith("`multicdn install test --stack 'my web'` tells")


def test_json(monkeypatch: pytest.MonkeyPatch) -> None:
    deployed(monkeypatch, *ACCEPTED)
    answer = json.loads(run("s3://acme-site/docs/a.html", "--yes", "--json").stdout)
    assert (answer["ok"], answer["object"]) == (True, "s3://acme-site/docs/a.html")
    assert [(each["name"], each["state"]) for each in answer["providers"]] == [
        ("site", "accepted"),
        ("www", "accepted"),
    ]


def test_it_does_not_work_while_a_part_waits_of_which_the_log_speaks_later() -> None:
    from multicdn.logbook.entries import read

    page, folder = ({"first": [f"https://www.acme.com/docs/{name}"], "messages": ["m1"]} for name in ("a", ""))
    tried = trial.Trial("m1", [("www", "purge")], 0.0)
    over = []
    for each in (
        record(0, **page, requestId="r1"),
        record(0, **folder, requestId="r1", event="retry", state="requeued"),
        {"event": "invocation", "requestId": "r1"},
        record(9, **folder, requestId="r2"),
        {"event": "invocation", "requestId": "r2"},
    ):
        tried.see(read(json.dumps(each)))
        over.append((tried.is_over, tried.is_good))
    assert [done for done, _ in over] == [False, False, False, False, True]
    assert over[2] == (False, False)
    assert over[-1] == (True, True)

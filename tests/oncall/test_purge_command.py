"""``multicdn purge`` and ``multicdn preload`` against simulated vendors: what is purged, where, and how it ends."""

from __future__ import annotations

import json
import logging
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from kit import terminal
from kit.scenes import DOWNLOADS, ROUTES, SECOND, SITE, WWW, Scene, providers_of, scene, write

from multicdn import config
from multicdn.cli import _delivering, live, main, progress
from multicdn.delivery import delivery
from multicdn.model import Action, Target, TargetKind
from multicdn.oncall import manual
from multicdn.oncall.manual import ManualRequest, Object, RequestError
from multicdn.oncall.preview import Preview
from multicdn.plugins.discovery import Plugins
from multicdn.routing.router import Router
from multicdn.simulators.kit import faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from multicdn.oncall.board import Board

pytestmark = pytest.mark.slow

__all__ = ["scene"]

ALL = ("site", "fastly", "cloudflare")
REFERENCE = re.compile(rb"<CallerReference>([^<]+)</CallerReference>")


def bodies(scene: Scene, name: str) -> list[str]:
    return [call.body.decode() for call in scene.edges[name].calls]


# What is purged


def test_an_object_is_purged_at_every_cdn_of_its_routes(scene: Scene) -> None:
    scene.warm("docs/a b.html", *ALL)
    lines = scene.run("purge", "s3://acme-site/docs/a b.html").splitlines()
    assert [line.partition(", id ")[0] for line in lines if not line.startswith(" ")] == [
        "cloudflare: purge of 2 targets accepted in 1 call",
        "fastly: purge of 2 targets accepted in 2 calls, finished within about 0.15 s by the vendor's estimate",
        "site: purge of 2 targets accepted in 1 call",
    ]
    assert sorted(lines[1:3]) == sorted(lines[4:6]) == [f"  {WWW}/docs/a%20b.html", f"  {WWW}/docs/a+b.html"]
    assert lines[7:9] == ["  /docs/a%20b.html", "  /docs/a+b.html"]
    assert lines[9:] == ["  seen everywhere after about 5 s in 95 % of cases; the vendor calls it finished only later"]
    assert scene.fresh("docs/a b.html", *ALL) == list(ALL)


def test_a_url_goes_to_those_that_serve_its_host_and_to_no_others(scene: Scene) -> None:
    scene.warm("a.css", *ALL)
    scene.warm("a.css", "edgecast", site=DOWNLOADS)
    scene.run("purge", f"{WWW}/a.css")
    assert scene.fresh("a.css", *ALL) == list(ALL)
    assert scene.fresh("a.css", "edgecast", site=DOWNLOADS) == []
    assert scene.calls() == {"site": 1, "fastly": 1, "cloudflare": 1}


def test_hosts_are_compared_without_regard_to_case(scene: Scene) -> None:
    scene.warm("a.css", *ALL)
    scene.run("purge", "HTTPS://WWW.acme.com/a.css", "--provider", "fastly")
    assert scene.fresh("a.css", *ALL) == ["fastly"]
    assert "known: downloads.acme.com, www.acme.com" in _problem(scene, "purge", "https://wwww.acme.com/a.css")


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("HTTPS://WWW.acme.com:443", "https://www.acme.com/"),
        ("https://www.acme.com?v=1", "https://www.acme.com/?v=1"),
        ("http://www.acme.com:80/a", "http://www.acme.com/a"),
        ("https://www.acme.com/[id].js", "https://www.acme.com/[id].js"),
        ("https://www.acme.com/%5bid%5D.js", "https://www.acme.com/%5bid%5D.js"),
        ("https://www.acme.com/%61|b^c", "https://www.acme.com/%61|b^c"),
    ],
)
def test_a_url_is_purged_as_a_browser_asks_for_it_and_spelled_as_given(scene: Scene, url: str, sent: str) -> None:
    scene.run("purge", url, "--provider", "fastly")
    assert [call.target for call in scene.edges["fastly"].calls] == [f"/purge/{sent}"]


def pressed(monkeypatch: pytest.MonkeyPatch, times: int, when: Callable[[Board], bool]) -> None:
    """Press Ctrl-C, so many times, as soon as a board shows something."""
    left = [KeyboardInterrupt()] * times

    def look(board: Board, *_: object, **__: object) -> None:
        if left and when(board):
            raise left.pop()

    monkeypatch.setattr(live, "_print", look)


def waits_for_one(board: Board) -> bool:
    """Whether one vendor has accepted all, and the other one's call is under way."""
    standings = {standing.name: standing for standing in board.standings()}
    return standings["cloudflare"].is_over and standings["fastly"].under_way == 1


TWO = ("purge", f"{WWW}/a.css", "--provider", "cloudflare", "--provider", "fastly")


def test_ctrl_c_ends_with_what_was_done_and_with_the_command_for_the_rest(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.edges["fastly"].faults.always(faults.hang())
    monkeypatch.setattr(delivery, "LINGER", 0.05)
    pressed(monkeypatch, 1, waits_for_one)
    text = scene.run(*TWO, code=130)
    assert "cloudflare: purge of 1 target accepted in 1 call" in text
    assert "fastly: purge of 1 target not done, may succeed later: no answer before it was interrupted" in text
    assert scene.last.stderr.startswith("Interrupted: no further call begins. 1 call under way has 5 s to end. ")
    again = f"To go on: multicdn purge {WWW}/a.css --config {scene.path} --provider fastly\n"
    assert again in scene.last.stderr


def test_after_ctrl_c_programs_learn_what_was_done(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.edges["fastly"].faults.always(faults.hang())
    monkeypatch.setattr(delivery, "LINGER", 0.05)
    pressed(monkeypatch, 1, waits_for_one)
    answer = json.loads(scene.run(*TWO, "--json", code=130))
    assert (answer["interrupted"], answer["exit_status"]) == (True, 130)
    assert [(each["name"], bool(each["accepted"])) for each in answer["providers"]] == [
        ("cloudflare", True),
        ("fastly", False),
    ]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_cancelled_job_and_a_closed_terminal_end_it_in_the_same_way(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    scene.edges["fastly"].faults.always(faults.hang())
    monkeypatch.setattr(delivery, "LINGER", 0.05)
    before = signal.getsignal(number)
    sent = iter([number])
    monkeypatch.setattr(
        live,
        "_print",
        lambda board, *_, **__: [signal.raise_signal(each) for each in sent] if waits_for_one(board) else 0,
    )
    text = scene.run(*TWO, code=code)
    assert "cloudflare: purge of 1 target accepted in 1 call" in text
    assert "no answer before it was interrupted" in text
    assert signal.getsignal(number) is before


def test_a_signal_that_is_to_be_ignored_is_ignored(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``nohup`` has it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        monkeypatch.setattr(live, "_print", lambda *_, **__: signal.raise_signal(signal.SIGHUP))
        scene.run(*TWO)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_ctrl_c_as_the_last_call_is_accepted_is_no_failure(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    pressed(monkeypatch, 1, lambda board: all(standing.is_over for standing in board.standings()))
    monkeypatch.setattr(_delivering, "_GLANCE", 0.0)
    scene.run(*TWO)


@pytest.mark.parametrize("step", ["multicdn.cli._asked.read", "multicdn.oncall.manual.orders"])
def test_ctrl_c_before_any_call_says_that_there_was_none(
    scene: Scene, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(step, interrupted)
    scene.run(*TWO, code=130)
    assert scene.last.stderr == "No vendor was called.\nInterrupted.\n"


def test_ctrl_c_while_the_queue_is_written_says_that_again_does_no_harm(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("multicdn.queue.sender.RetryQueue.send", interrupted)
    scene.run(*TWO, "--queue", "http://127.0.0.1:9/123456789012/work", code=130)
    assert "Whether the queue took it isn't known: sending it again does no harm.\n" in scene.last.stderr


def test_the_second_ctrl_c_ends_at_once_with_what_is_known(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.edges["fastly"].faults.always(faults.hang())
    pressed(monkeypatch, 2, waits_for_one)
    scene.run(*TWO, code=130)
    assert "cloudflare: purge of 1 target accepted in 1 call" in scene.last.stderr
    assert "fastly: purge" not in scene.last.stderr
    assert scene.last.stderr.endswith("The rest isn't known: what was being called may be done.\nInterrupted.\n")


def test_at_a_terminal_the_vendors_words_are_seen_as_they_come_and_ctrl_c_ends_it(scene: Scene) -> None:
    """With a real terminal and a real process."""
    scene.edges["fastly"].faults.always(faults.status(503, body="being upgraded"))
    shown = terminal.Shown([*terminal.MULTICDN, *TWO, "--config", str(scene.path), "-v"], scene.environment)
    with shown:
        shown.until("503: being upgraded for")
        shown.until("cloudflare  1 of 1  1 call")
        shown.type("\x03")
        shown.until("Interrupted: no further call begins.")
        assert shown.status() == 130
    text = shown.text
    assert re.search(r"cloudflare: https://www.acme.com/a.css: accepted, id \w+ \([\d,]+ ms\)", text)
    assert re.search(r"fastly: https://www.acme.com/a.css: 503: being upgraded \([\d,]+ ms\)", text)
    final = re.sub(r"\s+", " ", text.rpartition("\x1b[?25h")[2])
    assert "503: being upgraded; not tried again before it was interrupted" in final
    assert "To go on: multicdn purge https://www.acme.com/a.css" in final


def test_named_providers_take_any_host(scene: Scene) -> None:
    scene.run("purge", "https://beta.acme.com/a.css", "--provider", "site", "--provider", "fastly")
    assert scene.calls() == {"site": 1, "fastly": 1}


def test_objects_are_purged_at_the_named_providers_alone(scene: Scene) -> None:
    scene.warm("a.css", *ALL)
    scene.run("purge", "s3://acme-site/a.css", "--provider", "fastly")
    assert scene.fresh("a.css", *ALL) == ["fastly"]


@pytest.mark.parametrize("on", ["created", "removed", "access"])
def test_a_route_acts_whichever_change_it_listens_to(scene: Scene, on: str) -> None:
    write(scene.path, providers_of(scene.path), [{**ROUTES[0], "on": [on]}])
    scene.run("purge", "s3://acme-site/a.css")
    assert scene.calls() == {"site": 1, "fastly": 1, "cloudflare": 1}


def test_tags_go_to_the_providers_of_routes_with_tags(scene: Scene) -> None:
    scene.warm("a.html", "fastly", **{"Surrogate-Key": "news sport"})
    scene.run("purge", "--tag", "sport", "--tag", "news")
    assert scene.fresh("a.html", "fastly") == ["fastly"]
    assert scene.calls() == {"fastly": 1, "cloudflare": 1}


def test_tags_without_a_route_need_a_provider(scene: Scene) -> None:
    write(scene.path, providers_of(scene.path), [ROUTES[0]])
    assert "name the providers for tag 'news' with --provider" in _problem(scene, "purge", "--tag", "news")
    scene.run("purge", "--tag", "news", "--provider", "cloudflare")
    assert scene.calls() == {"cloudflare": 1}


def test_prefixes_are_purged_where_the_vendor_can(scene: Scene) -> None:
    scene.warm("docs/a.html", *ALL)
    scene.run("purge", "--prefix", f"{WWW}/docs/", "--provider", "site", "--provider", "cloudflare")
    assert scene.fresh("docs/a.html", *ALL) == ["site", "cloudflare"]


def test_a_provider_that_cannot_is_not_left_out_silently(scene: Scene) -> None:
    text = _problem(scene, "purge", "--prefix", f"{WWW}/docs/")
    assert "fastly (fastly) can't purge by prefix; name those that can with --provider: site, cloudflare" in text


def test_a_list_is_read_from_standard_input(scene: Scene) -> None:
    scene.run("purge", "-", stdin=f"s3://acme-site/a b.css\n{WWW}/b.css\n\n")
    assert "<Path>/a%20b.css</Path><Path>/a+b.css</Path><Path>/b.css</Path>" in bodies(scene, "site")[0]


def test_what_a_list_leaves_out_makes_a_part_of_it(scene: Scene) -> None:
    text = "upload: a.css to s3://acme-site/a.css\nupload failed: b.css to s3://acme-site/b.css AccessDenied\n"
    scene.run("purge", "-", "--provider", "fastly", stdin=text, code=3)
    assert "standard input:2: left out: " in scene.last.stderr
    assert scene.calls() == {"fastly": 1}


def test_a_thousand_urls_take_as_few_calls_as_the_limits_allow(scene: Scene) -> None:
    scene.run("purge", "-", "--provider", "cloudflare", stdin="\n".join(f"{WWW}/{number}" for number in range(1_000)))
    assert scene.calls() == {"cloudflare": 10}


# New requests, soft and hard


def test_each_purge_by_hand_is_a_new_request(scene: Scene) -> None:
    for _ in range(2):
        scene.run("purge", "s3://acme-site/a.css", "--provider", "site")
        scene.run("purge", f"{WWW}/a.css", "--provider", "site")
    references = [REFERENCE.findall(call.body)[0] for call in scene.edges["site"].calls]
    assert len(set(references)) == 4


def test_a_repetition_within_one_purge_is_the_same_request(scene: Scene) -> None:
    scene.edges["site"].faults.once(faults.lost())
    scene.run("purge", f"{WWW}/a.css", "--provider", "site")
    references = [REFERENCE.findall(call.body)[0] for call in scene.edges["site"].calls]
    assert len(references) == 2
    assert len(set(references)) == 1


@pytest.mark.parametrize(
    ("arguments", "soft"),
    [
        (("--tag", "news"), True),  # as the routes with tags say
        (("--tag", "news", "--hard"), False),
        (("--tag", "news", "--provider", "fastly"), False),  # one of its routes is hard
        ((f"{WWW}/a.css",), False),
        ((f"{WWW}/a.css", "--soft", "--provider", "fastly"), True),
        (("s3://acme-site/a.css", "--soft", "--provider", "fastly"), True),
        (("s3://acme-site/a.css", "--provider", "fastly"), False),
    ],
)
def test_soft_is_what_is_asked_for_else_what_the_routes_say(
    scene: Scene, arguments: tuple[str, ...], soft: bool
) -> None:
    scene.run("purge", *arguments)
    [call] = scene.edges["fastly"].calls
    assert ("Fastly-Soft-Purge" in call.headers) is soft


@pytest.mark.parametrize("what", [(f"{WWW}/a.css",), ("s3://acme-site/a.css",), ("--tag", "x", "--provider", "site")])
def test_soft_is_refused_where_a_provider_has_none(scene: Scene, what: tuple[str, ...]) -> None:
    assert "site (cloudfront) has no soft purge by" in _problem(scene, "purge", *what, "--soft")


# Everything


def test_everything_goes_only_with_the_name_typed(scene: Scene) -> None:
    scene.warm("a.css", *ALL)
    for typed, code in (("fastly\n", 1), ("\n", 1), ("", 1), ("cloudflare\n", 0)):
        scene.run("purge", "--all", "--provider", "cloudflare", stdin=typed, code=code)
        assert bool(scene.calls()) is (code == 0)
    assert scene.fresh("a.css", *ALL) == ["cloudflare"]
    assert "zone 00000000000000000000000000000000, plan free, endpoint" in scene.last.output


def test_every_name_must_be_typed_before_any_is_emptied(scene: Scene) -> None:
    names = ("--provider", "cloudflare", "--provider", "fastly")
    scene.run("purge", "--all", *names, stdin="cloudflare\nfasty\n", code=1)
    assert scene.calls() == {}
    scene.run("purge", "--all", *names, "--yes")
    assert scene.calls() == {"cloudflare": 1, "fastly": 1}


def test_a_prefix_that_is_a_whole_host_goes_only_with_the_host_typed(scene: Scene) -> None:
    scene.warm("a.css", *ALL)
    arguments = ("purge", "--prefix", f"{WWW}/", "--provider", "cloudflare")
    host = WWW.removeprefix("https://")
    for typed, code in (("cloudflare\n", 1), ("", 1), (f"{host}\n", 0)):
        scene.run(*arguments, stdin=typed, code=code)
        assert bool(scene.calls()) is (code == 0)
    assert f"all of {WWW}/ will be purged at cloudflare" in scene.last.output
    scene.run(*arguments, "--yes")


@pytest.mark.parametrize(
    "arguments", [("--all", "--provider", "cloudflare"), ("--prefix", f"{WWW}/", "--provider", "cloudflare")], ids=str
)
def test_what_the_function_takes_from_no_queue_is_not_sent_there(scene: Scene, arguments: tuple[str, ...]) -> None:
    text = _problem(scene, "purge", *arguments, "--yes", "--queue", "http://127.0.0.1:9/123456789012/work")
    assert "the function takes no such job from its queue" in text
    assert "leave out --queue" in text.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (("--tag", ""), "tag"),
        (("--tag", " "), "tag"),
        (("--prefix", ""), "prefix"),
        (("--tag", "a", "--tag", ""), "tag"),
    ],
    ids=str,
)
def test_an_empty_value_is_refused_since_it_may_mean_everything(
    scene: Scene, arguments: tuple[str, ...], kind: str
) -> None:
    """A variable that isn't set: purge --tag "$UNSET"."""
    assert f"the {kind} is empty" in _problem(scene, "purge", *arguments, "--provider", "cloudflare", "--yes")
    scene.run("purge", "", code=2)
    assert scene.calls() == {}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--all",), "--all needs --provider"),
        (("--all", "--provider", "site", "s3://acme-site/a"), "--all goes without anything else"),
        (("--all", "--provider", "site", "--tag", "x"), "--all goes without anything else"),
        ((), "say what"),
        (("acme-site/a",), "is neither an S3 URI nor a URL"),
        (("s3://acme-site",), "names no object; add --recursive"),
        (("s3://acme-site/docs/",), "names no object; add --recursive"),
    ],
)
def test_commands_that_make_no_sense_call_nobody(scene: Scene, arguments: tuple[str, ...], problem: str) -> None:
    scene.run("purge", *arguments, code=2)
    assert problem in scene.last.output
    assert scene.calls() == {}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--all", "--provider", "edgecast", "--yes"), "edgecast (edgecast) can't purge by everything"),
        (("s3://acme-site/a", "--provider", "fasty"), "no provider is called 'fasty'; did you mean 'fastly'?"),
        (("s3://acme-site/a", "--provider", "edgecast"), "no route has anything to purge at edgecast for it"),
        (("s3://acme-site/app.js.map",), "(nearest: multicdn.config.yml:"),
        (("s3://acme-sit/a",), "but its bucket is acme-site)"),
        ((f"{WWW}/é",), f"must be percent-encoded: {WWW}/%C3%A9"),
        ((f"{WWW}/a#b",), "has a fragment"),
        (("https:///a",), "isn't an absolute URL"),
    ],
)
def test_what_cannot_be_done_is_said_before_anybody_is_called(
    scene: Scene, arguments: tuple[str, ...], problem: str
) -> None:
    assert problem in _problem(scene, "purge", *arguments)


def _problem(scene: Scene, *arguments: str) -> str:
    """What a command that fails before any call says."""
    before = scene.calls()
    scene.run(*arguments, code=2)
    assert scene.calls() == before
    return str(scene.last.output)


def test_objects_of_a_list_without_a_route_are_left_alone_and_counted(scene: Scene) -> None:
    scene.run("purge", "-", stdin="s3://acme-site/a.css\ns3://acme-site/a.css.map\n")
    assert "no route for 1 object, left alone\n  s3://acme-site/a.css.map\n" in scene.last.stderr


# Dry run


def test_a_dry_run_shows_what_would_be_called_and_calls_nobody(scene: Scene) -> None:
    text = scene.run("purge", f"{WWW}/a.css", "--tag", "news", "--dry-run", FASTLY_TOKEN="")
    assert text.startswith(f"site (cloudfront: distribution {SITE}, endpoint")
    assert "  purge by url: 1 target in 1 call\n    /a.css\n" in text
    assert "  soft purge by tag: 1 target in 1 call\n    news\n" in text
    assert text.endswith("\nno vendor was called\n")
    scene.run("purge", "--all", "--provider", "site", "--dry-run")
    assert scene.calls() == {}


# How it ends


def test_one_vendor_in_trouble_makes_it_partial(scene: Scene) -> None:
    scene.warm("a.css", *ALL)
    scene.edges["fastly"].faults.always(faults.status(401, body='{"msg": "no"}'))
    text = scene.run("purge", "s3://acme-site/a.css", code=3)
    assert "fastly: purge of 1 target refused for the credentials: " in text
    assert f"\n  {WWW}/a.css\n" in text
    assert scene.fresh("a.css", *ALL) == ["site", "cloudflare"]


def test_nothing_accepted_is_a_failure(scene: Scene) -> None:
    scene.edges["fastly"].faults.always(faults.status(401))
    scene.run("purge", "s3://acme-site/a.css", "--provider", "fastly", code=1)


def test_a_target_that_a_vendor_refuses_is_named(scene: Scene) -> None:
    text = scene.run("purge", f"{WWW}/~a", f"{WWW}/b", "--provider", "site", code=3)
    assert "site: purge of 1 target accepted" in text
    assert "site: purge of 1 target rejected: /~a: CloudFront can't invalidate a tilde" in text


@pytest.mark.parametrize("options", [(), ("-v",)])
def test_a_bug_of_a_plugin_is_a_sentence_and_its_trace_is_for_who_wants_details(
    scene: Scene, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def buggy(*_: object) -> Any:
        raise KeyError("zone")

    monkeypatch.setattr("multicdn_providers.fastly.Fastly.purge_urls", buggy)
    monkeypatch.setattr(logging.getLogger("multicdn"), "propagate", False)  # pytest's handlers are no person's
    text = scene.run("purge", f"{WWW}/a.css", "--provider", "fastly", *options, code=1)
    assert "fastly: purge of 1 target not done, may succeed later: bug in the plugin: KeyError: 'zone'" in text
    assert ("Traceback" in scene.last.stderr) is bool(options)
    assert logging.getLogger("multicdn").handlers == []


def test_a_missing_secret_names_the_reference(scene: Scene) -> None:
    text = scene.run("purge", "s3://acme-site/a.css", FASTLY_TOKEN="", code=3)
    assert "${env:FASTLY_TOKEN} is empty" in text


def test_what_takes_too_long_is_given_up(scene: Scene) -> None:
    scene.edges["fastly"].faults.always(faults.hang())
    text = scene.run("purge", f"{WWW}/a", "--provider", "fastly", "--timeout", "0.6", code=1)
    reason = r"no answer (before the time was up \(--timeout 0.6\)|within 0.6 s)"  # whichever clock is the first
    assert re.search(f"fastly: purge of 1 target not done, may succeed later: .*{reason}", text)


def test_every_distribution_that_auto_stands_for_is_purged(scene: Scene) -> None:
    providers = providers_of(scene.path)
    providers["site"]["distribution"] = "auto"
    write(scene.path, providers)
    lines = scene.run("purge", f"{WWW}/a.css", "--provider", "site").splitlines()
    assert [line.partition(": ")[0] for line in lines if not line.startswith(" ")] == [f"site/{SECOND}", f"site/{SITE}"]


# Preloads


def test_a_preload_fetches_and_purges_nothing(scene: Scene) -> None:
    scene.warm("a.iso", "edgecast", site=DOWNLOADS)
    scene.edges["edgecast"].forget_calls()
    scene.run("preload", "s3://acme-downloads/a.iso", f"{DOWNLOADS}/b.iso")
    assert [call.target.rpartition("/")[2] for call in scene.edges["edgecast"].calls] == ["bulkload"]
    assert scene.fresh("a.iso", "edgecast", site=DOWNLOADS) == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("s3://acme-site/a.css",), "no route has anything to preload for it"),
        ((f"{WWW}/a.css",), "no route has providers to preload www.acme.com (known: downloads.acme.com)"),
        ((f"{WWW}/a.css", "--provider", "fastly"), "fastly (fastly) can't preload by url"),
    ],
)
def test_what_cannot_be_preloaded_says_so(scene: Scene, arguments: tuple[str, ...], problem: str) -> None:
    assert problem in _problem(scene, "preload", *arguments)


def test_a_preload_of_nothing_makes_no_sense(scene: Scene) -> None:
    scene.run("preload", code=2)


def test_a_dry_run_of_a_preload_calls_nobody(scene: Scene) -> None:
    assert "preload by url: 1 target in 1 call" in scene.run("preload", f"{DOWNLOADS}/a", "--dry-run")
    assert scene.calls() == {}


# Progress


def test_long_work_shows_lines_for_its_tenths_and_no_others_where_all_goes_well(scene: Scene) -> None:
    scene.run("purge", "-", "--provider", "cloudflare", stdin="\n".join(f"{WWW}/{number}" for number in range(1_000)))
    tenths = [f"cloudflare: {number * 100:,} of 1,000" for number in range(1, 10)]
    assert [line for line in scene.last.stderr.splitlines() if line not in tenths] == []


def test_short_work_shows_nothing_on_the_way(scene: Scene) -> None:
    scene.run("purge", f"{WWW}/a.css", "--provider", "cloudflare")
    assert scene.last.stderr == ""


def test_on_a_terminal_there_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(progress.sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with progress.bar("listing", 4) as advance:
        advance(3)
    assert "listing" in screen.getvalue()
    assert "3/4" in screen.getvalue()


@pytest.mark.parametrize(("said", "pace", "seconds"), [(None, 0.0, 600), (None, 1_800.0, 2_400), (60.0, 1_800.0, 60)])
def test_the_time_is_as_long_as_the_vendors_pace_takes_unless_it_is_said(
    said: float | None, pace: float, seconds: float
) -> None:
    assert _delivering.time_for(said, [Preview("a", seconds=pace), Preview("b")]) == seconds


# From a request to demands and messages


CONFIG = """\
version: 1
providers:
  auto: {type: cloudfront, distribution: auto}
  www: {type: fastly, service: s, token: "${env:X}", soft: true}
  spare: {type: fastly, service: t, token: "${env:X}", soft: true}
routes:
  - {bucket: one, urls: ["https://a.example/{key}"], purge: [auto, www]}
  - {bucket: two, urls: ["https://a.example/two/{key}"], purge: [auto]}
  - {bucket: "3", urls: ["https://{bucket}.example/{key}"], purge: [auto]}
"""


@pytest.fixture
def loaded() -> config.Config:
    return config.parse(CONFIG, "test.yml", Plugins())


def wanted(loaded: config.Config, **request: Any) -> list[tuple[str, bool, str, list[str]]]:
    orders = manual.orders(loaded, Router(loaded.routes, loaded.providers), ManualRequest(id="r", **request))
    return [
        (demand.provider, demand.soft, demand.bucket, [target.value for target in demand.wants])
        for demand in orders.demands
    ]


def url(value: str) -> tuple[Target, ...]:
    return (Target(TargetKind.URL, value),)


def test_a_provider_that_is_looked_up_is_asked_for_every_bucket_behind_the_host(loaded: config.Config) -> None:
    assert wanted(loaded, targets=url("https://a.example/x")) == [
        ("auto", False, "one", ["https://a.example/x"]),
        ("auto", False, "two", ["https://a.example/x"]),
        ("www", True, "one", ["https://a.example/x"]),
    ]


def test_a_bucket_in_the_host_of_a_template_is_filled_in(loaded: config.Config) -> None:
    assert wanted(loaded, targets=url("https://3.example/x")) == [("auto", False, "3", ["https://3.example/x"])]


def test_a_provider_without_a_route_can_be_named(loaded: config.Config) -> None:
    assert wanted(loaded, targets=url("https://a.example/x"), providers=("spare",)) == [
        ("spare", True, "one", ["https://a.example/x"])
    ]


def test_one_that_is_looked_up_needs_a_route(loaded: config.Config) -> None:
    text = CONFIG.replace("purge: [auto, www]", "purge: [www]").replace("purge: [auto]", "purge: [www]")
    without = config.parse(text, "test.yml", Plugins())
    with pytest.raises(RequestError, match="auto is found out by a bucket, and no route names one for it"):
        wanted(without, targets=url("https://a.example/x"), providers=("auto",))


def test_everything_needs_a_name(loaded: config.Config) -> None:
    with pytest.raises(RequestError, match="name the providers to empty"):
        wanted(loaded, targets=(Target(TargetKind.EVERYTHING, ""),))


def test_everything_is_dropped_where_the_vendor_has_no_soft_way(loaded: config.Config) -> None:
    everything = (Target(TargetKind.EVERYTHING, ""),)
    assert wanted(loaded, targets=everything, providers=("www",)) == [("www", False, "one", [""])]


def test_an_object_for_which_a_hook_fails_is_a_failure_and_not_unmatched(loaded: config.Config) -> None:
    def hook(change: Any, urls: Any) -> Any:
        raise ValueError("not today")

    request = ManualRequest(id="r", objects=(Object("one", "a"), Object("nowhere", "b")))
    orders = manual.orders(loaded, Router(loaded.routes, loaded.providers, hook), request)
    assert orders.demands == ()
    assert orders.failures == (("s3://one/a", "a plugin failed on its URLs: ValueError: not today"),)
    assert [each.bucket for each in orders.unmatched] == ["nowhere"]


def test_large_work_becomes_messages_that_several_invocations_share(loaded: config.Config) -> None:
    request = ManualRequest(id="r", objects=tuple(Object("one", str(number)) for number in range(3000)))
    orders = manual.orders(loaded, Router(loaded.routes, loaded.providers), request)
    queued = list(manual.queued_jobs(orders.demands, request, 1.0))
    assert {len(each.job.targets) for each in queued} == {750}
    assert {(each.job.provider, each.job.bucket, each.job.soft, each.attempt) for each in queued} == {
        ("auto", "one", False, 0),
        ("www", "one", True, 0),
    }
    sent = [target for each in queued if each.job.provider == "www" for target in each.job.targets]
    assert sent == [f"https://a.example/{number}" for number in range(3000)]
    assert all(each.job.action is Action.PURGE for each in queued)


@pytest.mark.parametrize("command", ["explain", "purge", "preload"])
def test_every_command_has_help_without_a_config(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert "Exit status" in result.output

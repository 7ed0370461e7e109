"""What people see: each screen is kept in tests/data/screens, and `make screens` writes them anew."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from typing import TYPE_CHECKING

import click
import pytest
from generate import own_plugins
from kit import installs, screens
from kit.records import sample
from kit.watching import BUSY, Told
from rich.console import Console

from multicdn import config
from multicdn.cli import _ends, _followed, _going_on, _group, _letters, install, live, main
from multicdn.cli._group import CommandGroup
from multicdn.cli.terminal import say, width
from multicdn.installer import plan, status
from multicdn.installer.deployed.depth import Depth
from multicdn.installer.deployed_code import DeployedCode
from multicdn.installer.state import Artifacts, Current, Deployed
from multicdn.installer.steps import Deploy, Upload
from multicdn.model import Action, Job, Outcome, Receipt, Status, TargetKind
from multicdn.oncall.courses import Course, Sight
from multicdn.oncall.letters import Letter, ListEntry, grouped
from multicdn.oncall.manual import ManualRequest, Object
from multicdn.oncall.order import Announcement, Turns
from multicdn.plugins.discovery import Plugins
from multicdn.proof.identity import Verdict
from multicdn.queue.message import QueuedJob
from multicdn.sequel import Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from multicdn.installer.steps import InstallPlan

CONFIG = """\
version: 1
providers:
  site: {type: cloudfront, distribution: E8F6HK73EP0LT}
  www: {type: fastly, service: SU1Z0isxPaozGVKXdv0eY, token: "${env:WWW_TOKEN}"}
  shop: {type: cloudflare, zone: 023e105f4ecef8ad9ca31a8372d0c353, token: "${ssm:/multicdn/cloudflare/token}"}
routes:
  - {bucket: acme-site, prefix: docs/, index: index.html, urls: ["https://www.acme.com/{key}"], purge: [site, www]}
  - {bucket: acme-shop, urls: ["https://shop.acme.com/{key}"], purge: [shop]}
"""

FAULTY = """\
version: 1
providers:
  site: {type: cloudfrond, distribution: E8F6HK73EP0LT}
  www: {type: fastly, service: SU1Z0isxPaozGVKXdv0eY, token: very-secret}
routes:
  - {bucket: Acme_Site, urls: ["https://www.acme.com/{kye}"], purge: [site, wwww]}
"""

HELP = [
    "config", "config check", "dlq", "dlq list", "dlq redrive", "dlq show", "explain", "fresh", "history", "install",
    "install plan", "install test", "logs", "preload", "providers", "purge", "queue", "queue drop", "queue list",
    "worker",
]  # fmt: skip
SCREENS = {
    "help": ["--help"],
    **{f"help-{command.replace(' ', '-')}": [*command.split(), "--help"] for command in HELP},
    "providers": ["providers"],
    "providers-cloudflare": ["providers", "cloudflare"],
    "config-check": ["config", "check"],
    "config-check-json": ["config", "check", "--json"],
    "config-check-faults": ["config", "check", "faulty.yml"],
    "config-check-faults-json": ["config", "check", "faulty.yml", "--json"],
    "explain": ["explain", "s3://acme-site/docs/index.html", "s3://acme-site/Docs/a.html"],
    "explain-url": ["explain", "https://www.acme.com/docs/"],
    "history": ["history", "s3://acme-site/docs/index.html", "--log", "worker.log"],
    "logs": ["logs", "worker.log"],
    "purge-dry-run": ["purge", "s3://acme-site/docs/index.html", "--dry-run"],
    "error-command": ["purg"],
    "error-option": ["purge", "--recursve"],
    "error-file": ["explain", "s3://acme-site/docs/a", "--config", "no-such-config-file.yml"],
    "error-provider": ["purge", "https://www.acme.com/docs/", "--provider", "ste"],
    "error-kind": ["purge", "--prefix", "https://www.acme.com/docs/"],
    "error-host": ["purge", "https://images.acme.com/docs/"],
    "error-type": ["providers", "fasty"],
    "error-queue": ["dlq", "list", "--config", "no-such-config-file.yml"],
}  # fmt: skip


@pytest.fixture
def _desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a config, and the providers that multicdn brings, whatever else is installed here."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "multicdn.config.yml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "faulty.yml").write_text(FAULTY, encoding="utf-8")
    (tmp_path / "worker.log").write_text("".join(f"{json.dumps(each)}\n" for each in sample()), encoding="utf-8")
    monkeypatch.setattr("multicdn.cli.providers.Plugins", own_plugins)
    for name in ("MULTICDN_CONFIG", "MULTICDN_QUEUE_URL", "MULTICDN_DLQ_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("_desk")
@pytest.mark.parametrize("name", SCREENS)
def test_a_command_shows_what_it_showed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = screens.screen(monkeypatch, main, SCREENS[name], {})
    screens.compare(name, shown.replace(version("multicdn"), "0.1.0"))


# What AWS or vendors would have answered is made up here, and shown by the command's own lines.


def job(provider: str, *targets: str) -> Job:
    return Job(provider, Action.PURGE, TargetKind.URL, targets, (frozenset(("m",)),) * len(targets))


def purged() -> Iterable[str]:
    many = [f"https://shop.acme.com/catalogue/winter/{number}.html" for number in range(12)]
    busy = "503 Service Unavailable: the purge service is being upgraded and will be back within a few minutes"
    once, later = Receipt("9a7806061c88ada191ed06f989cc3dac"), Receipt("I2J0I21PCUYOIK", 25)
    outcomes = [
        Outcome(job("site", "/docs/", "/docs/index.html"), Status.ACCEPTED, receipt=later, calls=1),
        Outcome(job("shop", *many), Status.ACCEPTED, receipt=once, calls=1),
        Outcome(job("www", "https://www.acme.com/docs/"), Status.RETRY, busy, calls=3),
    ]
    return _ends.lines(outcomes, Action.PURGE)


def buried() -> Iterable[str]:
    queued = [
        ("www", "401 Unauthorized: Provided credentials are missing or invalid", "https://www.acme.com/docs/a.html"),
        ("www", "401 Unauthorized: Provided credentials are missing or invalid", "https://www.acme.com/docs/b.html"),
        ("site", "NoSuchDistribution: The specified distribution does not exist.", "/docs/a.html"),
    ]
    found = [
        Letter(f"{number}f2b8a1c-7d1e", "r", "", provider, reason, QueuedJob(job(provider, target), 6, 0.0, ("m",)))
        for number, (provider, reason, target) in enumerate(queued)
    ]
    return _letters.listing(grouped(letter.entry() for letter in found), "dead letter", 22_360.0)


def waiting() -> Iterable[str]:
    busy = "503 Service Unavailable: the purge service is being upgraded and will be back within a few minutes"
    many = tuple(f"https://shop.acme.com/catalogue/winter/{number}.html" for number in range(5))
    entries = [
        ListEntry("3f2b8a1c-7d1e", "shop", busy, many, 480, 100_000.0, 5, 103_900.0),
        ListEntry("4c2b8a1c-7d1e", "shop", busy, many[:1], 1, 102_000.0, 3, 103_620.0),
        ListEntry(
            "5a2b8a1c-7d1e", "(events)", "no try has ended yet", ("s3://acme-site/docs/a.html",), 1, 103_555.0, 0
        ),
    ]
    return _letters.listing(grouped(entries), "job", 103_600.0)


def installed() -> Iterable[str]:
    queue = "us-east-1:123456789012:multicdn-Queue-1"
    found = status.InstallStatus(
        "multicdn",
        "UPDATE_COMPLETE",
        "2026-10-02T07:15:04+00:00",
        "0.1.0",
        "c" * 64,
        "queue",
        {"acme-site": (f"ObjectCreated:*, ObjectRemoved:* docs/… -> arn:aws:sqs:{queue}",)},
        waiting=12,
        queue=Depth(1, 2, 9, 6),
        dead=2,
        outputs={"QueueUrl": "https://sqs.us-east-1.amazonaws.com/123456789012/multicdn-Queue-1"},
    )
    return status.lines(found, "d" * 64)


def sent() -> Iterable[str]:
    request = ManualRequest(id="by-hand-6f1e2d", objects=(Object("acme-site", "docs/a b.html"),))
    queued = [QueuedJob(job(name, "https://www.acme.com/docs/a%20b.html"), 0, 0.0, ("m",)) for name in ("site", "www")]
    queue = "https://sqs.us-east-1.amazonaws.com/123456789012/multicdn-Queue-1"
    return _going_on.sent(queued, 2, queue, request, ["--stack", "web"])


def interrupted() -> Iterable[str]:
    """After Ctrl-C, where one vendor takes one target a call and answers each with the same."""
    urls = [f"https://www.acme.com/docs/{number}.html" for number in range(40)]
    again = "POST https://api.fastly.com/purge/{}: 503: Service Unavailable; not tried again before it was interrupted"
    later = "its turn comes in {:.1f} s, not before the time was up (--timeout 600)"
    outcomes = [
        Outcome(job("site", "/docs/*"), Status.ACCEPTED, receipt=Receipt("I2J0I21PCUYOIK", 25), calls=1),
        *(Outcome(job("www", url), Status.RETRY, again.format(url), calls=3) for url in urls[:38]),
        Outcome(job("www", urls[38]), Status.RETRY, "no answer before it was interrupted", calls=1),
        Outcome(job("www", urls[39]), Status.RETRY, "not called before it was interrupted"),
        *(Outcome(job("shop", url), Status.PACED, later.format(number)) for number, url in enumerate(urls[:3])),
    ]
    yield from _ends.lines(outcomes, Action.PURGE, config.parse(CONFIG, "multicdn.config.yml", Plugins()).providers)
    with click.get_current_context().scope() as context:
        context.meta[_group.WORDS] = ("purge", "list.txt")
        yield from _going_on.undelivered(outcomes)


def waited() -> Iterator[str]:
    """What is said at the end of ``purge --wait``, and before it by ``--dry-run``."""
    home = Subject("https://www.acme.com/docs/", "acme-site", "docs/index.html")
    page = Subject("https://www.acme.com/docs/a.html", "acme-site", "docs/a.html")
    why = "ETag is not that of S3; cached before the purge, which did not reach this copy or the one behind it"
    old = Verdict("stale", why,
                  'ETag "0f34", 312 s old', 'ETag "9a03"', "FRA")  # fmt: skip
    fresh = Verdict("fresh", "ETag as in S3")
    turns = Turns({"www": ("site",)}, again={"site": "5s"}, at_most={"www": "15m"})
    yield from _followed.foretold(["site", "www", "shop"], turns, None)
    for event in ("held", "released", "redone"):
        yield _followed.turn(Announcement(event, "www", ("site",), 900.0))
    yield _followed.turn(Announcement("again", "site"))
    yield _followed.turn(Announcement("overdue", "www", ("site",), reason="InProgress"))
    yield from _followed.lines([
        Course("site", 2, 0.42, 2, 21.4, "vendor", sights=(Sight(home, fresh, 21.9), Sight(page, fresh, 22.04))),
        Course("www", 2, 21.6, 2, 21.75, "published time", sights=(Sight(home, fresh, 22), Sight(page, old, 95, 4))),
        Course("shop", 40, 1.2, 12, reason="InProgress"),
        Course("tags", 1, 0.3, 1, 0.3, "nothing"),
        Course("auto/E8F6HK73EP0LT", 1, 0.5, 1, 5.5, "vendor", unknown=("https://www.acme.com/search?q=a",)),
    ])  # fmt: skip


ANSWERS = {
    "purge": purged,
    "purge-waited": waited,
    "purge-sent": sent,
    "purge-interrupted": interrupted,
    "dlq-list": buried,
    "queue-list": waiting,
    "install-status": installed,
}


def watched() -> Iterator[tuple[str, Told]]:
    """A purge at four providers, at moments that are worth looking at."""
    told = Told(site=2, www=40, shop=1_000, auto=None)
    yield "at first", told
    told.plan("auto/E8F6HK73EP0LT", 3_000)
    told.accept("site", 0, 2)
    told.fail("www", 0, reason=f"{BUSY} and will be back within a few minutes; see https://www.fastlystatus.com/")
    told.accept("shop", 0, 100)
    told.board.calling(told.job("auto/E8F6HK73EP0LT", 0, 3_000))
    told.now += 12
    told.board.waiting("www", 4.2, "503")
    told.board.waiting("shop", 75.0, "")
    yield "one vendor in trouble, one that paces, one that doesn't answer", told
    told.accept("auto/E8F6HK73EP0LT", 0, 3_000)
    told.accept("www", 0, 39)
    told.end("www", 39, reason="400: Invalid URL")
    told.accept("shop", 100, 500)
    told.board.calling(told.job("shop", 600))
    told.now += 300
    yield "nearly done", told
    told.board.phase("site", "finished, 1 of 2 fresh, 1 stale")
    told.board.phase("edge", "waits for site")
    told.board.tell(_followed.turn(Announcement("held", "edge", ("site",), 900.0)))
    yield "with --wait, and one that fetches from another one", told
    told.board.stop()
    yield "after Ctrl-C", told


def test_a_purge_that_is_watched_shows_what_it_showed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frame after frame, without what the terminal is told between two; and in a pipe what is printed."""
    door = CommandGroup("multicdn")

    @door.command("purge")
    def show() -> None:
        news = live.News()
        for moment, told in watched():
            say(f"-- {moment}", err=True)
            if (columns := width(err=True)) is None:
                live._print(told.board, news, verbose=True)
                continue
            for line in (*map(live.told, told.board.answers()), *told.board.lines()):
                say(line, err=True)
            frame = live.frame(told.board.standings(), columns, 24)
            Console(stderr=True).print(live.picture(frame))

    screens.compare("purge-live", screens.screen(monkeypatch, door, ["purge"], {}))


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_shows_what_it_showed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    door = CommandGroup("multicdn")

    @door.command(name)
    def show() -> None:
        for line in ANSWERS[name]():
            say(line)

    screens.compare(name, screens.screen(monkeypatch, door, [name], {}))


def current(made: InstallPlan, nothing: Current) -> Current:
    """The account once a plan has been carried out, with the entry of another team among the notifications."""
    [deploy] = [step for step in made.steps if isinstance(step, Deploy)]
    [upload] = [step for step in made.steps if isinstance(step, Upload)]
    arn = "arn:aws:sqs:us-east-1:123456789012:multicdn-Queue-1"
    outputs = {"QueueArn": arn, "QueueUrl": "https://q"}
    stack = Deployed("multicdn", "CREATE_COMPLETE", deploy.body, deploy.parameters, outputs, deploy.tags)
    code = Artifacts(upload.bucket, ready=True, ours=True, keys=(upload.key,))
    before = installs.ROUTES.replace("acme.com/", "acme.com/old/").replace("[site, fastly]", "[fastly]")
    deployed = DeployedCode(installs.text(routes=before).encode())
    return Current(nothing.account, nothing.region, stack, nothing.notifications, code, code=deployed)


@pytest.mark.parametrize("change", ["", "memory: 1024, trigger: eventbridge"])
def test_a_plan_shows_what_it_showed(change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def desired(text: str) -> plan.Desired:
        return plan.Desired(installs.config(text), "c" * 64, installs.bundle(tmp_path, "code"), "0.1.0")

    code = Artifacts("multicdn-123456789012-us-east-1", ready=False, ours=True)
    nothing = Current("123456789012", "us-east-1", None, {"acme-site": {}}, code)
    made = plan.make(desired(""), nothing)
    if change:
        made = plan.make(desired(change), current(made, nothing))
    door = CommandGroup("multicdn")
    door.command("plan")(lambda: install._show(made, as_json=False))
    name = f"install-plan{'-changed' if change else ''}"
    screens.compare(name, screens.screen(monkeypatch, door, ["plan"], {}))


# What holds of all of them.


def test_no_word_is_cut_and_no_line_is_too_long() -> None:
    for name, kind, text in screens.kept():
        columns = re.match(r"\d+", kind)
        for line in text.splitlines() if columns else ():
            shown = re.sub(r"\\u001b\[\d*m", "", line)
            longest = max(map(len, shown.split()), default=0)
            indent = len(shown) - len(shown.lstrip())
            assert len(shown) <= max(int(columns[0]), indent + longest) or name.endswith("json"), (name, kind, line)
            assert "…" not in shown.removesuffix("…") or "docs/…" in shown, (name, kind, line)


def test_a_pipe_and_who_wants_no_colours_get_none_and_no_lines_of_boxes() -> None:
    kinds = {kind for _, kind, _ in screens.kept()}
    assert {"80 columns, no colours", "120 columns, no colours", "a pipe"} <= kinds
    for name, kind, text in screens.kept():
        if kind == "a pipe" or kind.endswith("no colours"):
            assert not re.search(r"\\u001b|[\u2500-\u257f]", text), (name, kind)
    assert any(r"\u001b[3" in text for _, kind, text in screens.kept() if kind == "80 columns")


def test_in_a_pipe_a_line_is_as_long_as_it_is() -> None:
    [text] = [text for name, kind, text in screens.kept() if (name, kind) == ("providers", "a pipe")]
    assert [line.split()[0] for line in text.splitlines()][1:] == sorted(own_plugins().providers)


def test_every_screen_that_is_kept_is_shown() -> None:
    shown = {*SCREENS, *ANSWERS, "purge-live", "install-plan", "install-plan-changed"}
    assert {path.stem for path in screens.FOLDER.glob("*.txt")} == shown

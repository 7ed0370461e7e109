"""The lines of a delivery that people watch: one for each provider at a terminal, and few where lines stay."""

from __future__ import annotations

import io
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from kit.environments import ROOT
from kit.watching import Told

from multicdn.cli import _delivering, _going_on, live
from multicdn.delivery.delivery import LINGER
from multicdn.model import Report
from multicdn.oncall.background import BackgroundDelivery
from multicdn.oncall.board import Reply, Standing

if TYPE_CHECKING:
    from multicdn.delivery.delivery import Delivery


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (Standing("a", 5), "begins"),
        (Standing("a"), "finds out what it stands for"),
        (Standing("a", 5, calls=1, under_way=1, calling=0.4), "calls"),
        (Standing("a", 5, calls=1, under_way=1, calling=7.2), "no answer yet for 7 s"),
        (Standing("a", 5, calls=1, wait=7.2), "at the vendor's pace, next call in 7 s"),
        (Standing("a", 5, calls=1, wait=4, trouble="503", troubled=12), "503 for 12 s, next try in 4 s"),
        (Standing("a", 5, calls=1, under_way=1, trouble="503", troubled=12), "503 for 12 s, tries again"),
        (Standing("a", 5, calls=1, wait=4, trouble="503", stopped=True), "stopped: 503"),
        (Standing("a", 5, stopped=True), "stopped"),
        (Standing("a", 5, calls=1, under_way=1, calling=2, stopped=True), "no answer yet for 2 s"),
        (Standing("a", 5, undone=2, why="bad URL", calls=2), "calls; 2 not accepted: bad URL"),
        (Standing("a", 5, accepted=5, calls=2), "done"),
        (Standing("a", 5, accepted=3, undone=2, why="bad URL", calls=2), "2 not accepted: bad URL"),
    ],
)
def test_what_a_provider_is_doing(standing: Standing, words: str) -> None:
    assert live.doing(standing) == words


def test_the_screen_in_the_docs_is_what_is_shown() -> None:
    standings = [
        Standing("site", 2, accepted=2, calls=1),
        Standing("fastly", 40, calls=8, wait=4.2, trouble="503: Service Unavailable", troubled=12),
        Standing("cloudflare", 1_000, accepted=100, calls=1, wait=75),
        Standing("akamai", 3_000, calls=1, under_way=1, calling=12),
    ]
    page = (ROOT / "docs" / "on-call.md").read_text(encoding="utf-8")
    assert "\n".join(text for text, _ in live.frame(standings, 100, 24)) in page
    assert f"Calls under way have {['no', 'one', 'two', 'three', 'four', 'five'][int(LINGER)]} seconds to end" in page


def test_those_that_are_done_make_room_for_those_that_are_not() -> None:
    standings = [*(Standing(f"done{number}", 1, accepted=1) for number in range(30)), Standing("slow", 1)]
    lines = [text for text, _ in live.frame(standings, 80, 6)]
    assert [line.split()[0] for line in lines] == ["slow", "done0", "done1", "done2", "done3", "and"]
    assert lines[-1] == "and 26 more providers, 26 of them done"


def test_what_a_vendor_says_steers_no_terminal() -> None:
    [(text, _)] = live.frame([Standing("a", 1, trouble="\x1b[2J503", calls=1)], 80, 24)
    assert r"\u001b[2J503" in text


@pytest.mark.parametrize("reason", ["503", "503 of {}"], ids=["one reason", "another one each time"])
def test_a_vendor_in_trouble_for_ever_is_told_of_ever_more_rarely(reason: str) -> None:
    news, printed = live.News(), list[str]()
    for tick in range(6_000):
        standing = Standing("www", 1_000, calls=tick, trouble=reason.format(tick), troubled=tick / 10, wait=1.0)
        printed += news.lines([standing], tick / 10)
    assert len(printed) == 7
    assert printed[0].startswith("www: 0 of 1,000, 503")


def test_what_goes_well_is_told_by_tenths_where_there_is_much_and_not_at_all_where_there_is_little() -> None:
    news, printed = live.News(), list[str]()
    for accepted in range(1_000):
        printed += news.lines([Standing("a", 1_000, accepted=accepted), Standing("b", 99, accepted=accepted // 11)], 0)
    assert printed == [f"a: {number * 100} of 1,000" for number in range(1, 10)]


def test_that_it_goes_on_again_is_told_too() -> None:
    news = live.News()
    assert news.lines([Standing("a", 9, calls=1, under_way=1, calling=9)], 9) == []
    assert news.lines([Standing("a", 9, calls=1, under_way=1, calling=10)], 10) == ["a: 0 of 9, no answer yet for 10 s"]
    assert news.lines([Standing("a", 9, accepted=1, calls=2)], 12) == []
    assert news.lines([Standing("a", 9, accepted=2, calls=3)], 16) == ["a: 2 of 9, goes on"]
    assert news.lines([Standing("a", 9, accepted=3, calls=4)], 60) == []
    assert news.lines([Standing("a", 9, accepted=9, calls=9)], 90) == []


def test_an_answer_names_a_few_targets_the_id_and_milliseconds() -> None:
    targets = tuple("abcde")
    assert live.told(Reply("www", targets, 0.1204, "9-17")) == "www: a, b, c and 2 more: accepted, id 9-17 (120 ms)"
    assert live.told(Reply("www", targets[:1], 9.5, trouble="503")) == "www: a: 503 (9,500 ms)"


# On a terminal and elsewhere


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def screen(monkeypatch: pytest.MonkeyPatch, told: Told, stream: io.StringIO, *, verbose: bool = False) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    with live.shown(told.board, verbose=verbose) as show:
        show()
    return stream.getvalue()


@pytest.mark.parametrize(
    ("stream", "term", "drawn"), [(Terminal, "xterm", True), (Terminal, "dumb", False), (io.StringIO, "xterm", False)]
)
def test_lines_are_drawn_over_where_that_is_possible(
    stream: type[io.StringIO], term: str, drawn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    told = Told(www=9)
    told.fail("www", 0, reason="503")
    shown = screen(monkeypatch, told, stream())
    assert ("\x1b[" in shown) is drawn
    assert ("www  0 of 9  1 call  503 for 1 s, tries again" if drawn else "www: 0 of 9, 503 for 1 s") in shown


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
@pytest.mark.parametrize("verbose", [True, False])
def test_each_answer_is_a_line_for_who_wants_them(
    stream: type[io.StringIO], verbose: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told(www=9)
    told.accept("www", 0)
    shown = screen(monkeypatch, told, stream(), verbose=verbose)
    assert ("www: https://www.acme.com/0: accepted, id 0-1729 (120 ms)\n" in shown) is verbose


# Ctrl-C


def pressing(presses: int, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Deliver something that ends once it is stopped; Ctrl-C is pressed whenever somebody looks, so many times."""
    said: list[str] = []
    calls: list[str] = []
    stopped = threading.Event()
    left = [KeyboardInterrupt()] * presses

    class Stoppable:
        def stop(self) -> None:
            said.append("stop")
            if presses == 1:
                stopped.set()

    def look(*_: object, **__: object) -> None:
        if left:
            raise left.pop()

    def deliver() -> Report:
        calls.append("deliver")
        stopped.wait(20)
        return Report()

    monkeypatch.setattr(live, "_print", look)
    monkeypatch.setattr(_delivering, "_GLANCE", 0.001)
    monkeypatch.setattr(sys, "stderr", stream)
    try:
        found = _delivering.watched(deliver, Stoppable(), Told(www=1).board)  # type: ignore[arg-type]
        said.append(f"interrupted {found.interrupted}")
    finally:
        stopped.set()
        assert calls == ["deliver"]
    return said


def test_the_first_ctrl_c_stops_the_delivery_and_waits_for_its_report(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    assert pressing(1, stream, monkeypatch) == ["stop", "interrupted True"]
    assert stream.getvalue() == "Interrupted: no further call begins. Ctrl-C again ends at once.\n"


def test_the_second_ctrl_c_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        pressing(2, io.StringIO(), monkeypatch)


def test_ctrl_c_before_anything_has_begun_calls_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    stops: list[str] = []
    start = BackgroundDelivery.start

    def interrupted(self: BackgroundDelivery) -> None:
        if stops:
            return start(self)
        raise KeyboardInterrupt

    class Stoppable:
        def stop(self) -> None:
            stops.append("stop")

    monkeypatch.setattr(BackgroundDelivery, "start", interrupted)
    delivery: Delivery = Stoppable()  # type: ignore[assignment]
    found = _delivering.watched(Report, delivery, Told(www=1).board)
    assert (found.interrupted, stops) == (True, ["stop"])


def test_where_no_thread_is_left_it_is_delivered_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: BackgroundDelivery) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(BackgroundDelivery, "start", refused)
    calls: list[Report] = []

    def deliver() -> Report:
        calls.append(Report())
        return calls[0]

    found = _delivering.watched(deliver, None, Told(www=1).board)  # type: ignore[arg-type]
    assert (found.report, len(calls)) == (calls[0], 1)


def test_what_a_delivery_raises_is_raised_where_somebody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def deliver() -> Report:
        raise ValueError("a bug of ours")

    with pytest.raises(ValueError, match="a bug of ours"):
        _delivering.watched(deliver, None, Told(www=1).board)  # type: ignore[arg-type]


# How to go on


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("purge", "s3://b/a b"), "multicdn purge 's3://b/a b' --provider www"),
        (
            ("purge", "--provider", "www", "u", "--provider=site", "--soft"),
            "multicdn purge u --soft --provider www",
        ),
        (("purge", "--provider=site", "--", "u", "--provider"), "multicdn purge --provider www -- u --provider"),
        (("preload", "-"), "multicdn preload - --provider www, with the same list on standard input"),
        (("purge", *("https://www.acme.com/long",) * 99), "the same command with --provider www alone"),
    ],
)
def test_the_command_for_the_rest_is_for_those_that_have_some(words: tuple[str, ...], command: str) -> None:
    assert _going_on.again(words, ["www"]) == command

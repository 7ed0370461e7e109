"""``multicdn purge`` by hand at CDNs in tiers: whose turn it is when, what is waited for, and how that is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from kit import tiered
from kit.memory_queues import MemoryQueues
from kit.tiered import LOG, NEW, OLD, WORLD, Cache

from multicdn.cli import _delivering, arguments, live, main
from multicdn.oncall import follow_through
from multicdn.oncall.board import Board
from multicdn.proof import ladder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONFIG = """\
version: 1
providers:
  outer: {type: tiered, cache: outer, pulls_from: [inner]OUTER}
  inner: {type: tiered, cache: innerINNER}
  aside: {type: tiered, cache: aside}
routes:
  - {bucket: acme-site, urls: ["https://www.acme.com/{key}"], purge: [outer, inner, aside]VERIFY}
"""
URL = "https://www.acme.com/a.css"
OBJECT = "s3://acme-site/a.css"


class Desk:
    """Where commands are run."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def config(self, outer: str = "", inner: str = "", verify: str = "") -> None:
        text = CONFIG.replace("OUTER", outer).replace("INNER", inner).replace("VERIFY", verify)
        self._path.write_text(text, encoding="utf-8")

    def run(self, *arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(main, ["purge", *arguments, "--config", str(self._path)])
        assert result.exit_code == code, (result.output, result.exception)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        return dict(json.loads(self.run(*arguments, "--json", code=code).stdout))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(arguments, "Plugins", tiered.plugins)
    monkeypatch.setattr(ladder, "_DISTANCES", (0, 0, 0))
    monkeypatch.setattr(ladder, "_UNKNOWN", (0, 0))
    monkeypatch.setattr(ladder._Ladder, "_next", lambda self: self._now)
    monkeypatch.setattr(follow_through, "_TICK", 0.001)
    monkeypatch.setattr(_delivering, "_GLANCE", 0.01)
    for name in ("MULTICDN_QUEUE_URL", "MULTICDN_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    tiered.begin(monkeypatch, inner=Cache(lag=2), outer=Cache("inner"), aside=Cache())
    desk = Desk(tmp_path / "multicdn.config.yml")
    desk.config()
    return desk


def served() -> dict[str, str]:
    return {name: cache.serves for name, cache in WORLD.items()}


FRESH = {"inner": NEW, "outer": NEW, "aside": NEW}


# The order


def test_at_once_the_outer_one_would_have_old_bytes_for_ever(desk: Desk) -> None:
    desk.run(OBJECT, "--provider", "outer")
    desk.run(OBJECT, "--provider", "inner")
    assert served() == {"inner": OLD, "outer": OLD, "aside": OLD}


@pytest.mark.parametrize("what", [(OBJECT,), (URL,), ("--tag", "news", "--provider", "outer", "--provider", "inner")])
def test_the_outer_one_is_purged_when_the_inner_one_has_finished(desk: Desk, what: tuple[str, ...]) -> None:
    result = desk.run(*what)
    log = [line for line in LOG if not line.startswith("aside")]
    assert log == ["inner purged", "inner finished", "outer purged"]
    assert served()["outer"] == NEW
    assert "outer: waits until inner has finished, 900 s at most\n" in result.stderr
    assert "outer: inner has finished, so it is purged now\n" in result.stderr
    assert "outer: purge of 1 target accepted in 1 call" in result.stdout


def test_it_waits_for_nobody_who_is_not_purged(desk: Desk) -> None:
    result = desk.run(OBJECT, "--provider", "outer", "--provider", "aside")
    assert sorted(LOG) == ["aside purged", "outer purged"]
    assert result.stderr == "outer fetches from inner, which is not purged now: what is old there comes back\n"


def test_nobody_looks_where_nobody_waits(desk: Desk) -> None:
    desk.run(OBJECT, "--provider", "inner")
    assert (LOG, WORLD["inner"].asked) == (["inner purged"], 0)


def test_one_that_is_refused_holds_nobody(desk: Desk) -> None:
    WORLD["inner"].refuses = True
    result = desk.run(OBJECT, code=3)
    assert "outer: purged now, without waiting any longer for inner: " in result.stderr
    assert "401: no such token" in result.stderr
    assert "outer purged" in LOG


def test_one_that_never_finishes_holds_nobody_for_longer_than_said(desk: Desk) -> None:
    WORLD["inner"].lag = 10**9
    desk.config(outer=", wait_at_most: 1s")
    result = desk.run(OBJECT)
    assert "outer: purged now, without waiting any longer for inner: InProgress\n" in result.stderr
    assert LOG[-1] == "outer purged"


def test_a_timeout_leaves_a_part_of_itself_to_those_that_wait(desk: Desk) -> None:
    WORLD["inner"].lag = 10**9
    result = desk.run(OBJECT, "--timeout", "0.4")
    assert "outer: waits until inner has finished, 0 s at most\n" in result.stderr
    assert LOG[-1] == "outer purged"


def test_a_second_purge_is_made_after_the_first_and_before_the_outer_one(desk: Desk) -> None:
    desk.config(inner=", again: 1s")
    result = desk.run(OBJECT)
    assert [line for line in LOG if not line.startswith("aside")] == [
        "inner purged", "inner purged", "inner finished", "outer purged",
    ]  # fmt: skip
    assert "inner: purged a second time, as `again` says\n" in result.stderr
    assert result.stdout.count("inner: purge of 1 target accepted") == 1


def test_one_that_waits_for_fresh_waits_until_the_inner_one_is(desk: Desk) -> None:
    WORLD["inner"].ignored = 2
    desk.config(outer=", wait_for: fresh", verify=", verify: true")
    desk.run(OBJECT)
    assert [line for line in LOG if not line.startswith("aside")][-2:] == ["inner finished", "outer purged"]
    assert LOG.count("inner purged") == 3
    assert served()["outer"] == NEW


def test_one_that_waits_for_fresh_is_told_where_the_inner_one_stays_stale(desk: Desk) -> None:
    WORLD["inner"].ignored = 99
    desk.config(outer=", wait_for: fresh", verify=", verify: {within: 1s}")
    result = desk.run(OBJECT)
    assert "outer: purged now, without waiting any longer for inner: it is stale\n" in result.stderr


# Waiting


def test_the_board_says_how_far_each_is_to_its_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, str]] = []
    monkeypatch.setattr(Board, "phase", lambda _, name, words: said.append((name, words)))
    desk.run(OBJECT, "--wait")
    assert {name: words for name, words in said if words} == dict.fromkeys(("inner", "outer", "aside"), "fresh")


def test_waiting_ends_when_all_is_fresh(desk: Desk) -> None:
    result = desk.run(OBJECT, "--wait")
    assert served() == FRESH
    lines = [line for line in result.stdout.splitlines() if "fresh" in line]
    assert [line.partition(":")[0] for line in lines] == ["aside", "inner", "outer"]
    assert all(", finished after " in line and "(says the vendor), fresh after " in line for line in lines)
    assert all(line.endswith(": 1 object looked at") for line in lines)


@pytest.mark.parametrize(
    "words", [("--wait", OBJECT), ("--wait", "30s", OBJECT), (OBJECT, "--wait=30s"), (URL, "--wait")]
)
def test_the_duration_may_be_left_out(desk: Desk, words: tuple[str, ...]) -> None:
    answer = desk.json(*words)
    assert [(each["name"], each["state"]) for each in answer["followed"]] == [
        ("aside", "fresh"), ("inner", "fresh"), ("outer", "fresh"),
    ]  # fmt: skip
    assert all(each["objects"][0]["url"] == URL for each in answer["followed"])
    times = [(each["accepted_seconds"], each["finished_seconds"], each["fresh_seconds"]) for each in answer["followed"]]
    assert all(accepted <= finished <= fresh for accepted, finished, fresh in times)


@pytest.mark.parametrize("word", ["0s", "90", "2min", "2d"])
def test_what_is_no_time_is_refused(desk: Desk, word: str) -> None:
    assert "to wait" in desk.run(OBJECT, "--wait", word, code=2).output
    assert LOG == []


def test_a_stale_edge_is_purged_again_before_those_behind_it_are(desk: Desk) -> None:
    WORLD["inner"].ignored = 1
    result = desk.run(OBJECT, "--wait")
    assert served() == FRESH
    assert f"inner: {URL} stale: " in result.stderr
    assert "; purged again now\n" in result.stderr
    assert (len(WORLD["inner"].purges), len(WORLD["outer"].purges)) == (2, 1)


def test_those_behind_an_edge_that_is_found_to_be_stale_later_are_purged_once_more(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = WORLD["inner"]
    inner.ignored, inner.status, WORLD["outer"].lag = 1, 500, 1
    monkeypatch.setattr(ladder, "_UNKNOWN", (0,) * 500)
    tiered.ASKED.append(lambda name: setattr(inner, "status", 200) if name == "outer" else None)
    result = desk.run(OBJECT, "--wait")
    assert "outer: purged once more, since it fetches from inner\n" in result.stderr
    last = {line: place for place, line in enumerate(LOG)}
    assert last["inner purged"] < last["inner finished"] < last["outer purged"]
    assert served() == FRESH


def test_an_edge_that_ignores_all_is_named_and_is_another_exit_status(desk: Desk) -> None:
    WORLD["aside"].ignored = 99
    desk.config(verify=", verify: {within: 1s}")
    result = desk.run(OBJECT, "--provider", "aside", "--wait", code=4)
    assert len(WORLD["aside"].purges) == 4
    assert f"aside: {URL} stale: still stale at FRA after 4 purges: " in result.stderr
    assert f"  {URL}: stale: " in result.stdout
    assert " at FRA, after 4 purges)" in result.stdout
    (aside,) = desk.json(OBJECT, "--provider", "aside", "--wait", code=4)["followed"]
    assert (aside["state"], aside["fresh_seconds"], aside["objects"][0]["purges"]) == ("stale", None, 4)


def test_what_is_not_finished_in_time_is_another_exit_status(desk: Desk) -> None:
    WORLD["inner"].lag = 10**9
    result = desk.run(OBJECT, "--provider", "inner", "--wait", "1s", code=4)
    assert "inner: accepted after 0.0 s, not finished: InProgress\n" in result.stdout


def test_what_cannot_be_told_is_another_exit_status(desk: Desk) -> None:
    WORLD["aside"].status = 401
    result = desk.run(OBJECT, "--provider", "aside", "--wait", code=4)
    assert f"  {URL}: unknown: login needed, or refused: it answers 401" in result.stdout


def test_a_url_of_no_object_is_unknown(desk: Desk) -> None:
    url = "https://www.elsewhere.com/a"
    result = desk.run(url, "--provider", "aside", "--wait", code=4)
    assert f"  {url}: unknown: no object is known for this URL\n" in result.stdout


def test_of_many_urls_some_are_looked_at_from_the_first_to_near_the_last(desk: Desk) -> None:
    urls = [f"https://www.acme.com/{number}" for number in range(50)]
    (aside,) = desk.json(*urls, "--provider", "aside", "--wait")["followed"]
    assert (aside["targets"], aside["state"]) == (50, "fresh")
    keys = [int(each["key"]) for each in aside["objects"]]
    assert (len(keys), keys[0], keys[-1]) == (20, 0, 47)


def test_a_tag_is_only_finished_and_that_is_said(desk: Desk) -> None:
    result = desk.run("--tag", "news", "--provider", "inner", "--wait")
    assert result.stdout.splitlines()[-1].endswith("(says the vendor), and nothing can be looked at")


def test_a_removed_object_is_fresh_where_it_is_not_found(desk: Desk) -> None:
    WORLD["aside"].status = 404
    desk.run("s3://acme-site/gone.css", "--provider", "aside", "--wait")


def test_the_queue_waits_for_itself(desk: Desk) -> None:
    result = desk.run(OBJECT, "--wait", "--queue", "https://sqs.eu-west-1.amazonaws.com/1/q", code=2)
    assert "--wait follows what this machine calls" in result.output


def test_in_the_queue_the_outer_one_follows_the_inner_one(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    aws = MemoryQueues()
    aws.answer(monkeypatch)
    result = desk.run(OBJECT, "--queue", aws.work)
    sent = [json.loads(message.body) for message in aws.queues[aws.work].messages]
    assert sorted(each["provider"] for each in sent) == ["aside", "inner"]
    (inner,) = [each for each in sent if each["provider"] == "inner"]
    assert {then["provider"] for one in inner["sequels"] for then in one["then"]} == {"outer"}
    assert "outer waits until inner has finished, 15m at most\n" in result.stdout
    assert "purge of 1 target at aside, inner, outer; request " in result.stdout


# Before it begins


def test_a_dry_run_shows_the_order_and_calls_nobody(desk: Desk) -> None:
    desk.config(inner=", again: 5s")
    lines = desk.run(OBJECT, "--wait", "--dry-run").stdout.splitlines()
    assert lines[-6:] == [
        "in all: 3 targets in 3 calls at 3 providers, up to $0.015",
        "in this order: inner, aside; then outer",
        "outer waits until inner has finished, 15m at most",
        "inner is purged a second time, 5s after the first was accepted: as many calls again, up to $0.005 more",
        "then up to 120 s until all has finished and 1 object fresh",
        "no vendor was called",
    ]
    assert LOG == []
    assert "in this order" not in desk.run(OBJECT, "--provider", "aside", "--dry-run").stdout


# Interruptions


def pressed(monkeypatch: pytest.MonkeyPatch, when: Callable[[Board], bool]) -> None:
    left = [KeyboardInterrupt()]

    def look(board: Board, *_: object, **__: object) -> None:
        if left and when(board):
            raise left.pop()

    monkeypatch.setattr(live, "_print", look)


def test_ctrl_c_says_what_waited_and_how_to_go_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    WORLD["inner"].lag = 10**9
    pressed(monkeypatch, lambda _: WORLD["inner"].asked > 3)
    result = desk.run(OBJECT, code=130)
    assert "inner: purge of 1 target accepted" in result.stdout
    assert "outer: purge of 1 target not done yet: it waited for inner: interrupted\n" in result.stdout
    assert f"To go on, once inner has finished: multicdn purge {OBJECT} " in result.stderr
    assert result.stderr.splitlines()[-2].endswith(" --provider outer")
    assert "outer purged" not in LOG


def test_ctrl_c_says_which_second_purge_was_not_made(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.config(inner=", again: 15m")
    pressed(monkeypatch, lambda board: len(board.outcomes()) == 1)
    result = desk.run(OBJECT, "--provider", "inner", code=130)
    assert "inner: purge of 1 target not done yet: not purged a second time: interrupted\n" in result.stdout


def test_ctrl_c_while_all_is_accepted_says_how_far_it_is(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    WORLD["inner"].lag = 10**9
    pressed(monkeypatch, lambda _: WORLD["inner"].asked > 3)
    answer = desk.json(OBJECT, "--provider", "inner", "--wait", code=130)
    assert answer["interrupted"]
    assert [(each["state"], each["reason"]) for each in answer["followed"]] == [("unfinished", "InProgress")]

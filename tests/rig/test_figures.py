"""The frame of all benches: what a figure says, and what is made of figures."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import types
from typing import TYPE_CHECKING, Any

import pytest
from kit.environments import ROOT
from rig import report
from rig.figures import Figure, Spent, compared, compared_times, interleaved, timed
from rig.processor_share import ProcessorShare, processor_seconds, share_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OK = compared("fine", [1.0], [2.0], "ms", limit=0.5)
MISSED = compared("not fine", [1.1], [2.0], "ms", limit=0.5)
TOLD = compared("told", [100.0], [2.0], "MB", note="a | b")


def test_a_ratio_is_that_of_each_round_and_no_outlier_moves_it() -> None:
    figure = compared("x", [2.0, 4.0, 3.0, 100.0, 2.5], [1.0, 2.0, 1.0, 1.0, 1.0], "ms")
    assert (figure.ours, figure.floor, figure.ratio) == (3.0, 1.0, 2.5)
    assert (figure.low, figure.high) == (2.0, 3.0)


def test_one_round_has_no_spread() -> None:
    assert (OK.low, OK.ratio, OK.high) == (0.5, 0.5, 0.5)


def test_a_floor_of_nothing_is_no_floor() -> None:
    with pytest.raises(ValueError, match="x: a floor of 0 ms"):
        compared("x", [1.0, 1.0], [1.0, 0.0], "ms")


def test_rounds_belong_together() -> None:
    with pytest.raises(ValueError, match="shorter"):
        compared("x", [1.0, 1.0], [1.0], "ms")


@pytest.mark.parametrize(("figure", "verdict"), [(OK, "ok"), (MISSED, "MISSED"), (TOLD, "")])
def test_the_limit_itself_is_allowed(figure: Figure, verdict: str) -> None:
    assert figure.verdict == verdict


def test_a_ratio_that_is_not_known_is_over_its_limit() -> None:
    assert Figure("x", 1.0, 1.0, "ms", math.nan, 0.0, 0.0, limit=2.0).is_missed


def test_times_are_those_of_the_processor_for_each_thing_with_the_clock_beside_them() -> None:
    figure = compared_times("x", [Spent(0.003, 0.5)], [Spent(0.001, 0.1)], unit="µs", each=10)
    assert (figure.ours, figure.floor, figure.unit) == (pytest.approx(300), pytest.approx(100), "µs")
    assert (figure.ratio, figure.wall) == (pytest.approx(3), pytest.approx(5))


def test_what_waits_is_told_by_the_clock() -> None:
    figure = compared_times("x", [Spent(0.003, 0.5)], [Spent(0.001, 0.1)], unit="s", by="wall")
    assert (figure.ours, figure.unit, figure.ratio, figure.wall) == (0.5, "s of wall", 5.0, None)


def test_cases_take_turns_and_the_first_turn_is_thrown_away() -> None:
    count = itertools.count()
    found = interleaved({"a": lambda: next(count), "b": lambda: next(count)}, 2)
    assert found == {"a": [2, 4], "b": [3, 5]}
    assert interleaved({"a": lambda: next(count)}, 1, warm_up=False) == {"a": [6]}


def test_what_is_quick_is_repeated() -> None:
    calls = list[int]()
    spent = timed(lambda: calls.append(1), shortest=0.1)
    assert len(calls) > 1
    assert spent.cpu > 0
    timed(lambda: calls.append(2), shortest=0)
    assert calls.count(2) == 1


def test_time_beyond_a_base_and_of_one_thing() -> None:
    assert Spent(3.0, 8.0).over(Spent(1.0, 2.0)).each(2) == Spent(1.0, 3.0)


@pytest.mark.parametrize(("figures", "status"), [([OK, TOLD], 0), ([OK, MISSED], 1)])
def test_one_figure_over_its_limit_fails_the_table(
    figures: list[Figure], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report.show([("first", [TOLD]), ("second", figures)]) == status
    shown = capsys.readouterr().out
    assert f"{status} of {len(figures) + 1} figures are over their limits" in shown
    assert ("MISSED" in shown) == bool(status)
    assert all(figure.name in shown for figure in figures)


def test_a_page_gets_the_table_between_its_marks_and_keeps_the_rest(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- figures -->\nold\n<!-- /figures -->\nafter\n", encoding="utf-8")
    for quick in (False, True):
        report.write([("first", [OK, TOLD]), ("second", [MISSED])], quick=quick, page=page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- figures -->\nMeasured on 20")
    assert text.endswith("\n<!-- /figures -->\nafter\n")
    assert "\nold\n" not in text
    assert ", by a quick run.\n" in text
    assert report.rows(page) == ["first", "fine", "told", "second", "not fine"]
    columns = {line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("|")}
    assert len(columns) == 1


def bench(*figures: Figure, rows: tuple[str, ...]) -> Any:
    made: Any = types.ModuleType("bench_of_a_test")

    def measure(*, quick: bool) -> Iterator[Figure]:
        yield from figures

    made.TITLE, made.ROWS, made.figures = "Of a test", rows, measure
    return made


def test_a_bench_has_the_rows_that_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert report.measured(bench(OK, rows=("fine",)), quick=True) == ("Of a test", [OK])
    with pytest.raises(ValueError, match="Of a test: \\['fine'\\] and not \\['fine', 'told'\\]"):
        report.measured(bench(OK, rows=("fine", "told")), quick=True)


@pytest.mark.slow
def test_a_missed_figure_is_the_exit_status_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "bench_of_a_test.py").write_text(
        "from rig.figures import compared\n"
        "TITLE, ROWS = 'Of a test', ('quick',)\n"
        "def figures(*, quick):\n"
        "    yield compared('quick', [1.0 + quick], [1.0], 'ms', limit=1.0)\n"
    )
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench"), "bench_of_a_test", "--quick"],
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "MISSED" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="by Linux's clocks of processes")
def test_a_process_is_stopped_when_its_share_is_used_up_and_goes_on_afterwards() -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"])
    try:
        with ProcessorShare(process, share_of(256)):
            assert any(state_of(process.pid) == "T" for _ in range(50_000))
        assert state_of(process.pid) != "T"
        had = processor_seconds(process.pid)
        assert any(processor_seconds(process.pid) > had for _ in range(1_000_000))
    finally:
        process.kill()
        process.wait()


def state_of(pid: int) -> str:
    """By proc(5): T is stopped."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123
        return file.read().rpartition(") ")[2][0]

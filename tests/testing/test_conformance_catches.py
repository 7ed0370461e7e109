"""The conformance suite fails plugins that are written carelessly: each sin by the tests about it, and no others."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from kit.careless_plugins import SINS, write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

# Take half a second and a process of their own; what is within most methods changes nothing for them.
STARTING = {"importing_it_is_light", "the_first_call_finds_nothing_left_to_load"}

# A plugin does several of these wrong, where other tests are about each: fewer plugins take less time.
MOST_SINS = 4


def plugins() -> list[list[str]]:
    """Names of sins, by plugin; the first does it right, and what changes the answers has a plugin of its own."""
    packed: list[list[str]] = [[]]
    for name, sin in SINS.items():
        fitting = (names for names in packed[1:] if len(names) < MOST_SINS and sin.goes_with([SINS[n] for n in names]))
        chosen = next(fitting, None)
        if chosen is None:
            packed.append([name])
        else:
            chosen.append(name)
    return packed


def results(folder: Path, left_out: list[str]) -> dict[str, tuple[int, set[str]]]:
    """For each test file, how many tests ran, and which failed, without ``test_`` and parameters."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "--import-mode=prepend", "-p", "no:cacheprovider"]
    command += [f"--deselect={test}" for test in left_out]
    subprocess.run([*command, "--junitxml=results.xml"], cwd=folder, capture_output=True, check=False)
    cases = ET.parse(folder / "results.xml").findall(".//testcase")
    ran = Counter(case.get("classname", "").split(".")[0] for case in cases)
    failed: dict[str, set[str]] = {file: set() for file in ran}
    for case in cases:
        if case.find("failure") is not None or case.find("error") is not None:
            failed[case.get("classname", "").split(".")[0]].add(case.get("name", "")[len("test_") :].partition("[")[0])
    return {file: (ran[file], failed[file]) for file in ran}


def test_each_sin_is_caught_by_the_tests_about_it(tmp_path: Path) -> None:
    sins = {f"test_acme{number:02}": [SINS[name] for name in names] for number, names in enumerate(plugins())}
    assert sum(map(len, sins.values())) == len(SINS)
    for file, together in sins.items():
        write(together, tmp_path, file.removeprefix("test_"))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    caught = {file: {name for sin in together for name in sin.caught} for file, together in sins.items()}
    as_light = [file for file, names in caught.items() if names and STARTING.isdisjoint(names)]
    found = results(tmp_path, [f"{file}.py::TestAcme::test_{name}" for file in as_light for name in STARTING])
    assert {file: failed for file, (_, failed) in found.items()} == caught
    ran = {file: number + len(STARTING) * (file in as_light) for file, (number, _) in found.items()}
    assert set(ran.values()) == {found["test_acme00"][0]} != {0}

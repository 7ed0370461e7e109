"""What the files of the page may hold: nothing that a browser would have to fetch elsewhere, or run from a text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "multicdn" / "local" / "static"
FILES = {file.name: file.read_text(encoding="utf-8") for file in sorted(FOLDER.iterdir())}
LARGEST = 60_000  # bytes, all together

# Where a text becomes markup or code: https://developer.mozilla.org/en-US/docs/Web/API/Trusted_Types_API
SINKS = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|setHTML|srcdoc|\beval\(|new Function|javascript:"


def test_the_page_is_small() -> None:
    assert sum(len(text.encode()) for text in FILES.values()) < LARGEST


@pytest.mark.parametrize("name", FILES)
def test_no_file_leads_elsewhere(name: str) -> None:
    assert set(re.findall(r"https?://\w[^\s\"'`)]+", FILES[name])) <= {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".js")])
def test_no_text_becomes_markup_or_code(name: str) -> None:
    assert re.findall(SINKS, FILES[name]) == []


def test_nothing_stands_inline() -> None:
    page = FILES["index.html"]
    assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", page) == []
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'")


def test_every_file_is_used() -> None:
    others = {name: "".join(text for other, text in FILES.items() if other != name) for name in FILES}
    assert [name for name in FILES if name != "index.html" and f'{name}"' not in others[name]] == []

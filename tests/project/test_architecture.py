"""docs/architecture.md is held against the code: the picture, the names of files, the words."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest
import rooms

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
SOURCES = [*ROOT.glob("multicdn/**/*.py"), *ROOT.glob("providers/**/*.py")]


@functools.cache
def classes() -> dict[str, list[str]]:
    """Public class names of the product and the files that define them, code in texts apart."""
    places: dict[str, list[str]] = {}
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(file.relative_to(ROOT).as_posix())
    return places


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_room_stands_in_the_table() -> None:
    named = set(re.findall(r"`(\w+?)(?:\.py|/)`", section("The rooms")))
    there = {
        path.stem for path in ROOT.glob("multicdn/[a-z]*") if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert named - {"providers", "multicdn"} == there


def test_every_file_that_the_page_names_is_there() -> None:
    named = re.findall(r"`((?:multicdn|providers|docs|tests)/[\w/.]+)`", TEXT)
    assert len(named) > 12
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_way_of_an_upload_passes_each_room_in_lambda_that_acts_on_it() -> None:
    passed = {
        name.split("/")[1].removesuffix(".py")
        for name in re.findall(r"`(multicdn/[\w/.]+)`", section("The way of one upload"))
    }
    assert passed >= {"handler", "dispatcher", "events", "routing", "planning", "delivery", "queue", "reporting"}


def test_every_class_of_the_glossary_is_defined_once() -> None:
    words = re.findall(r"^\| `(\w+)` \|", section("Glossary"), re.MULTILINE)
    assert len(words) > 12
    assert {word: len(classes().get(word, ())) for word in words} == dict.fromkeys(words, 1)


# Token buckets and sliding windows both: ours keep below a vendor's limit, the simulated ones are the limit.
# Objects as S3 has them, and as simulated CDNs find them at their origin.
ALIKE = {"SlidingWindow", "StoredObject", "TokenBucket"}


def test_a_class_name_has_one_meaning() -> None:
    twice = {name: files for name, files in classes().items() if len(files) > 1 and name not in ALIKE}
    assert twice == {}


@pytest.mark.parametrize(
    ("imports", "order"),
    [({"a": {"b", "c"}, "b": {"c"}, "c": set()}, ["c", "b", "a"]), ({"b": set(), "a": set()}, ["a", "b"])],
)
def test_rooms_are_ordered_from_the_lowest(imports: dict[str, set[str]], order: list[str]) -> None:
    assert rooms.in_order(imports) == order


def test_an_arrow_that_a_longer_way_says_is_left_out() -> None:
    assert list(rooms.needed({"a": {"b", "c"}, "b": {"c"}, "c": set()})) == [("a", "b"), ("b", "c")]

"""Regular expressions that are compiled when they are first used."""

from __future__ import annotations

import importlib
import pkgutil
import re
from typing import TYPE_CHECKING

import multicdn
from multicdn import patterns
from multicdn.patterns import lazy_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


def test_it_is_compiled_once_and_works_as_one_that_is(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    real = re.compile
    monkeypatch.setattr(patterns.re, "compile", lambda *given: compiled.append(given) or real(*given))
    made = lazy_pattern("A(.)", re.IGNORECASE)
    assert compiled == []
    assert [made.sub(r"\1", "abac"), made.sub("", "ab"), made.pattern, made.groups] == ["bc", "", "A(.)", 1]
    assert set(compiled) == {("A(.)", re.IGNORECASE)}
    count = len(compiled)
    made.sub("", "ab")
    assert len(compiled) == count


def lazy_ones() -> Iterator[tuple[str, re.Pattern[str]]]:
    for module in pkgutil.walk_packages(multicdn.__path__, "multicdn."):
        if not module.name.startswith(("multicdn.__main__", "multicdn.testing", "multicdn.simulators")):
            for name, value in vars(importlib.import_module(module.name)).items():
                if type(value) is patterns._Uncompiled:
                    yield f"{module.name}.{name}", value


def test_each_of_them_can_be_compiled() -> None:
    found = dict(lazy_ones())
    assert len(found) > 20
    assert all(isinstance(each.pattern, str) for each in found.values())

"""Large configs: what is done once for a file isn't done once a route, and the collector doesn't walk through them."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

import msgspec
import pytest

from multicdn.config import compiled
from multicdn.config.checker import parse
from multicdn.errors import ConfigError
from multicdn.plugins.discovery import Plugins
from multicdn.routing.route import Route

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = "version: 1\nproviders: {site: {type: cloudfront, distribution: E8F6HK73EP0LT}}\nroutes:\n"
ROUTE = "  - {{bucket: b, prefix: t{0}/, urls: ['https://t{0}.test/{{key}}'], purge: [site]}}\n"


def text(routes: int) -> str:
    return HEAD + "".join(map(ROUTE.format, range(routes)))


@contextlib.contextmanager
def collections() -> Iterator[list[str]]:
    """What the collector does meanwhile."""
    found: list[str] = []

    def note(phase: str, _: dict[str, int]) -> None:
        found.append(phase)

    gc.callbacks.append(note)
    try:
        yield found
    finally:
        gc.callbacks.remove(note)


@pytest.mark.parametrize("on", [True, False])
def test_the_collector_rests_while_a_config_is_checked_and_is_as_before_then(on: bool) -> None:
    plugins = Plugins()
    parse(text(1), "a.yml", plugins)
    threshold = gc.get_threshold()
    gc.set_threshold(100)
    (gc.enable if on else gc.disable)()
    try:
        gc.collect()
        with collections() as found:
            parse(text(200), "a.yml", plugins)
        assert found.count("start") <= 3  # what is due by then is done when it is on again; else there are dozens
        assert gc.isenabled() is on
        with pytest.raises(ConfigError):
            parse("version: 2\n", "a.yml", plugins)
        assert gc.isenabled() is on
    finally:
        gc.set_threshold(*threshold)
        gc.enable()


def test_to_compile_asks_for_the_members_of_a_type_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[type] = []
    fields = msgspec.structs.fields
    monkeypatch.setattr(msgspec.structs, "fields", lambda kind: asked.append(kind) or fields(kind))
    compiled._defaults.cache_clear()
    config = parse(text(50), "a.yml", Plugins())
    compiled.source(config, b"", {})
    assert asked.count(Route) == 1

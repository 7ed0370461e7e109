"""What vendors know objects and URLs by, as the routes of today have it. Asks nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multicdn.model import Change, ChangeKind, Target, TargetKind
from multicdn.oncall import manual
from multicdn.oncall.preview import previews
from multicdn.routing.router import Router

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from multicdn.config import Config
    from multicdn.routing.demand import Demand
    from multicdn.routing.matcher import UrlHook


def known_as(
    config: Config, objects: Iterable[tuple[str, str]], urls: Iterable[str], url_hook: UrlHook | None = None
) -> dict[str, dict[str, frozenset[str]]]:
    """The targets by provider instance and kind, in the vendor's spelling.

    Args:
        config: the checked config.
        objects: bucket and key of each.
        urls: public ones; of those that no route serves there is nothing.
        url_hook: as for ``Router``.
    """
    router = Router(config.routes, config.providers, url_hook)
    changes = [Change(bucket, key, kind) for bucket, key in objects for kind in ChangeKind]
    # A change of another kind is another change: together, the newest of a key would be taken for all.
    demands = [demand for change in changes for demand in router.demands([change])[0]]
    for url in urls:
        demands += _of_url(config, router, url)
    found: dict[str, dict[str, frozenset[str]]] = {}
    for name, kind, targets in _spelled(config, demands):
        kinds = found.setdefault(name, {})
        kinds[kind] = kinds.get(kind, frozenset[str]()).union(targets)
    return found


def _of_url(config: Config, router: Router, url: str) -> tuple[Demand, ...]:
    request = manual.ManualRequest(id="history", targets=(Target(TargetKind.URL, url),))
    try:
        return manual.orders(config, router, request).demands
    except manual.RequestError:
        return ()


def _spelled(config: Config, demands: Iterable[Demand]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for preview in previews(config, demands):
        for ask in preview.asks:
            for batch in ask.batches:
                yield preview.name.partition("/")[0], str(ask.kind), batch

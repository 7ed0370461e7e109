"""For each odd key: what clients send, and what each vendor is asked to purge. The text of tests/data/spellings.txt."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from kit import web_clients
from multicdn import config
from multicdn.model import Change
from multicdn.planning import planner
from multicdn.plugins.discovery import Plugins
from multicdn.routing.router import Router

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from multicdn.model import Job
    from multicdn.planning.planner import Plan

CONFIG = """\
version: 1
providers:
  akamai: {edgerc: "${env:NOBODY_SETS_THIS}"}
  cloudflare: {zone: 023e105f4ecef8ad9ca31a8372d0c353, token: "${env:NOBODY_SETS_THIS}"}
  cloudflare-not-normalizing:
    type: cloudflare
    zone: 023e105f4ecef8ad9ca31a8372d0c353
    token: "${env:NOBODY_SETS_THIS}"
    url_normalization: false
  cloudfront: {distribution: E8F6HK73EP0LT}
  edgecast: {endpoint: "https://edgecast.example.com", account: 1A2B, token: "${env:NOBODY_SETS_THIS}"}
  fastly: {service: SU1Z0isxPaozGVKXdv0eY, token: "${env:NOBODY_SETS_THIS}"}
  highwinds: {endpoint: "https://highwinds.example.com", account: a1b2c3d4, token: "${env:NOBODY_SETS_THIS}"}
  pixboost: {domain: images.acme.com, secret: "${env:NOBODY_SETS_THIS}"}
routes:
  - bucket: acme-site
    urls: ["https://www.acme.com/{key}"]
    purge: [akamai, cloudflare, cloudflare-not-normalizing, cloudfront, edgecast, fastly, highwinds, pixboost]
"""
_SITE = re.compile(r"(?:https?:)?//www\.acme\.com")
_HEAD = """\
# Keys, what clients send for them (tests/kit/web_clients.py says after which page), and what each vendor is asked for.
# Made by `python tests/data/record_spellings.py`; tests/routing/test_spellings.py compares, and the edges are asked.
"""


def table() -> str:
    """The table as text."""
    return "\n".join((_HEAD, *("\n".join(_of_key(key)) + "\n" for key in web_clients.KEYS)))


@cache
def all_vendors() -> config.Config:
    """A config with one route, at which all of them purge."""
    return config.parse(CONFIG, "spellings", Plugins())


@cache
def _router() -> Router:
    return Router(all_vendors().routes, all_vendors().providers)


def plans(key: str) -> dict[str, Plan]:
    """What each vendor is asked for when a key changes."""
    providers = all_vendors().providers
    demands, _ = _router().demands([Change("acme-site", key)])
    return {demand.provider: planner.plan(demand.provider, providers[demand.provider], [demand]) for demand in demands}


def _of_key(key: str) -> Iterator[str]:
    yield f"key {key!a}"
    for form, clients in web_clients.sent(key).items():
        yield f"  sent    /{form}  {', '.join(clients)}"
    asked: dict[tuple[str, ...], list[str]] = {}
    for name, plan in plans(key).items():
        refused = sorted({f"({outcome.status}: {outcome.reason.partition(': ')[2]})" for outcome in plan.rejected})
        asked.setdefault((*_paths(plan.jobs), *refused), []).append(name)
    for paths, names in asked.items():
        yield f"  purged  {'; '.join(names)}"
        yield from (f"          {path}" for path in paths)


def _paths(jobs: Iterable[Job]) -> Iterator[str]:
    """Targets without their scheme and host; a wildcard of CloudFront as it stands."""
    for job in jobs:
        for target in job.targets:
            yield _SITE.sub("", target, count=1)

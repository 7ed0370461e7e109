"""The benches that `make bench` runs: their rows on the page, and the calls that they count."""

from __future__ import annotations

import importlib
import json
import runpy
from typing import Any

import uploads
from kit.environments import ROOT
from rig import report

from multicdn.config.checker import parse
from multicdn.model import Change
from multicdn.planning import planner
from multicdn.plugins.discovery import Plugins
from multicdn.routing.router import Router

BENCHES: tuple[str, ...] = runpy.run_path(str(ROOT / "bench" / "__main__.py"))["BENCHES"]


def test_the_page_has_every_row_that_is_measured() -> None:
    benches: list[Any] = [importlib.import_module(name) for name in BENCHES]
    assert report.rows() == [row for bench in benches for row in (bench.TITLE, *bench.ROWS)]


def test_no_row_stands_twice() -> None:
    for name in BENCHES:
        rows = importlib.import_module(name).ROWS
        assert len(set(rows)) == len(rows), name


def test_many_uploads_take_as_few_calls_as_the_vendors_allow() -> None:
    providers = {
        "akamai": {"edgerc": "${env:EDGERC}"},
        "cloudflare": {"token": "${env:TOKEN}", "zone": "023e105f4ecef8ad9ca31a8372d0c353"},
        "cloudfront": {"distribution": "E8F6HK73EP0LT"},
        "fastly": {"token": "${env:TOKEN}", "service": "SU1Z0isxPaozGVKXdv0eY"},
    }
    route = {"bucket": "acme-site", "urls": ["https://www.acme.com/{key}"], "purge": list(providers)}
    config = parse(json.dumps({"version": 1, "providers": providers, "routes": [route]}), "bench", Plugins())
    router, found = Router(config.routes, config.providers), {name: list[int]() for name in uploads.CALLS}
    for number in uploads.NUMBERS:
        demands, failures = router.demands([Change("acme-site", key) for key in uploads.keys(number)])
        assert not failures
        for name, provider in config.providers.items():
            wanted = [demand for demand in demands if demand.provider == name]
            found[name].append(len(planner.plan(name, provider, wanted).jobs))
    assert found == {name: list(calls) for name, calls in uploads.CALLS.items()}

"""The table of bench/economy.py: ours is never dearer, and drops no more than the policy allows."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

_FILE = Path(__file__).parents[2] / "bench" / "economy.py"


@pytest.fixture(scope="module")
def bench() -> Any:
    spec = importlib.util.spec_from_file_location("bench_economy", _FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_site_is_the_one_of_the_table(bench: Any) -> None:
    site = bench.site()
    assert len(site) == 50_000
    assert sum(map(len, bench.deploy())) == 10_000
    assert all(set(event) <= site for event in (*bench.deploy(), *bench.trickle()))


@pytest.mark.parametrize(
    ("workload", "vendor"),
    [
        *(("deploy", vendor) for vendor in ("cloudfront", "akamai")),
        *(("at_once", vendor) for vendor in ("cloudfront", "cloudflare", "fastly", "akamai")),
        ("trickle", "cloudfront"),
    ],
)
def test_ours_is_never_dearer_and_drops_no_more_than_the_policy_allows(
    bench: Any, vendor: str, workload: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if vendor != "cloudfront":  # whose free thousand wants the site as large as it is
        monkeypatch.setattr(
            bench, "SITE", {name: (each // 5, changed // 5) for name, (each, changed) in bench.SITE.items()}
        )
    events = getattr(bench, workload)()
    usual, plain, budget = (bench.measure(vendor, strategy, events) for strategy in bench.STRATEGIES)
    assert budget.dollars <= plain.dollars <= usual.dollars
    assert plain.calls <= usual.calls
    assert budget.calls <= plain.calls + len(events)  # prefixes are a call of their own
    assert plain.innocent == 0
    assert budget.innocent <= budget.allowed


def test_budget_keeps_a_deploy_in_one_event_within_the_free_thousand(bench: Any) -> None:
    cost = bench.measure("cloudfront", "ours, budget", bench.at_once())
    assert (cost.dollars, cost.targets <= 1000) == (0, True)


def test_what_costs_nothing_drops_nothing_more(bench: Any) -> None:
    month = bench.trickle()[:20]  # 1,000 files
    assert bench.measure("cloudfront", "ours, budget", month) == bench.measure("cloudfront", "ours", month)

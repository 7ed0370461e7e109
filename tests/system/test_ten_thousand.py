"""A deploy of 10,000 objects in one event: as few calls to each vendor as its documented limits allow."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kit.scripted_provider import FakeClock

from multicdn.config import Config
from multicdn.delivery.delivery import Delivery
from multicdn.dispatcher import Dispatcher
from multicdn.model import Receipt
from multicdn.plugins.discovery import Plugins
from multicdn.provider import Call, Limits, PurgeUrls
from multicdn.routing.route import Route

if TYPE_CHECKING:
    from collections.abc import Sequence

COUNT = 10_000
KEYS = [f"assets/{number:05}.css" for number in range(COUNT)]
SITE = "https://www.acme.com"

# What the vendors document: URLs in one call.
CLOUDFRONT, CLOUDFLARE, FASTLY = 3000, 100, 1

# Longer than the pace of any vendor takes; the clock of these tests doesn't wait.
SECONDS = 100_000.0


def created(key: str, place: int) -> dict[str, Any]:
    return {
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "eventTime": "2026-11-23T09:00:00.123Z",
        "s3": {"bucket": {"name": "acme-site"}, "object": {"key": key, "sequencer": f"{place:016X}"}},
    }


EVENT = {"Records": [created(key, place) for place, key in enumerate(KEYS)]}


@dataclass(frozen=True, kw_only=True)
class Counter(PurgeUrls):
    """Takes what its limits allow, and counts."""

    limits: Limits
    endpoint: str = "https://api.vendor.test"
    sizes: list[int] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    @property
    def url_limits(self) -> Limits:
        return self.limits

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        self.sizes.append(len(urls))
        self.seen.update(urls)
        return Receipt()


def counting(**limits: Limits) -> tuple[Dispatcher, dict[str, Counter]]:
    counters = {name: Counter(limits=limit) for name, limit in limits.items()}
    route = Route(bucket="acme-site", urls=(f"{SITE}/{{key}}",), purge=tuple(counters))
    made = Config("test", counters, dict.fromkeys(counters, "counter"), (route,))
    return Dispatcher(made, Plugins([], ()), Delivery(counters, clock=FakeClock())), counters


def test_each_vendor_gets_every_url_once_in_as_few_calls_as_its_count_allows() -> None:
    dispatcher, counters = counting(
        cloudfront=Limits(targets=CLOUDFRONT), cloudflare=Limits(targets=CLOUDFLARE), fastly=Limits(targets=FASTLY)
    )
    reply = dispatcher.dispatch(EVENT, SECONDS)
    assert {name: summary["calls"] for name, summary in reply["providers"].items()} == {
        "cloudfront": 4,
        "cloudflare": 100,
        "fastly": 10_000,
    }
    assert counters["cloudfront"].sizes == [3000, 3000, 3000, 1000]
    for counter in counters.values():
        assert sum(counter.sizes) == COUNT
        assert counter.seen == {f"{SITE}/{key}" for key in KEYS}


def test_where_bytes_are_what_limits_a_call_each_is_as_full_as_it_can_be() -> None:
    each = len(f'"{SITE}/{KEYS[0]}",')
    envelope, most = 20, 50_000
    dispatcher, counters = counting(akamai=Limits(targets=COUNT, bytes=most, envelope=envelope))
    dispatcher.dispatch(EVENT, SECONDS)
    fit = (most - envelope) // each
    assert len(counters["akamai"].sizes) == math.ceil(COUNT / fit)
    assert counters["akamai"].sizes[:-1] == [fit] * (len(counters["akamai"].sizes) - 1)


def test_in_a_batch_from_sqs_each_message_is_done() -> None:
    dispatcher, counters = counting(cloudfront=Limits(targets=CLOUDFRONT))
    messages = [
        {"messageId": f"m{place}", "eventSource": "aws:sqs", "body": json.dumps({"Records": [record]})}
        for place, record in enumerate(EVENT["Records"])
    ]
    assert dispatcher.dispatch({"Records": messages}, SECONDS) == {"batchItemFailures": []}
    assert counters["cloudfront"].sizes == [3000, 3000, 3000, 1000]


def test_the_same_objects_ten_times_over_cost_the_same_calls() -> None:
    dispatcher, counters = counting(cloudflare=Limits(targets=CLOUDFLARE))
    dispatcher.dispatch({"Records": EVENT["Records"][:1000] * 10}, SECONDS)
    assert counters["cloudflare"].sizes == [100] * 10

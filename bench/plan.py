"""From an event to jobs: microseconds an object, stage by stage, on one core.

    python bench/plan.py [--objects 10000] [--rounds 7]

The floor is what no design can avoid: parsing the JSON of the batch and decoding its keys.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, unquote_plus

from rich.console import Console
from rich.table import Table

from multicdn.config.checker import parse
from multicdn.events import envelopes
from multicdn.planning import planner
from multicdn.plugins.discovery import Plugins
from multicdn.routing.router import Router

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIG = """
version: 1
providers:
  site: {type: cloudfront, distribution: E8F6HK73EP0LT}
  fastly: {token: "${env:TOKEN}", service: SU1Z0isxPaozGVKXdv0eY}
  cloudflare: {token: "${env:TOKEN}", zone: 023e105f4ecef8ad9ca31a8372d0c353}
routes:
  - bucket: acme-site
    index: index.html
    exclude: ["*.map", "*.tmp"]
    urls: ["https://www.acme.com/{key}"]
    purge: [site, fastly, cloudflare]
"""


def event(objects: int) -> dict[str, Any]:
    """An SQS batch of one-record messages, as Lambda hands it over. One key in ten needs decoding."""
    return {"Records": [_message(number) for number in range(objects)]}


def _message(number: int) -> dict[str, Any]:
    folder = "caf\u00e9 images" if number % 10 == 0 else "assets"
    key = f"{folder}/2026/11/picture-{number:05}.jpg"
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "eu-west-1",
        "eventTime": "2026-11-23T08:15:30.123Z",
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "AWS:AIDAEXAMPLE"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "FMyUVURIY8/IgAtTv8xRjskZQpcIZ9KG"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "multicdn",
            "bucket": {"name": "acme-site", "ownerIdentity": {"principalId": "A3NL"}, "arn": "arn:aws:s3:::acme-site"},
            "object": {
                "key": quote_plus(key, safe="/"),
                "size": 1024,
                "eTag": f"{number:032x}",
                "sequencer": f"{number:016X}",
            },
        },
    }
    return {"messageId": f"message-{number}", "eventSource": "aws:sqs", "body": json.dumps({"Records": [record]})}


def floor(batch: dict[str, Any]) -> int:
    """Parse and decode, and nothing else."""
    keys = 0
    for message in batch["Records"]:
        for record in json.loads(message["body"])["Records"]:
            keys += bool(unquote_plus(record["s3"]["object"]["key"]))
    return keys


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    batch = event(arguments.objects)
    config = parse(CONFIG, "bench", Plugins())
    router = Router(config.routes, config.providers)

    intake = envelopes.decode(batch)
    demands, _ = router.demands(intake.changes)
    by_provider = {name: [each for each in demands if each.provider == name] for name in config.providers}

    def plan() -> int:
        plans = [planner.plan(name, config.providers[name], wanted) for name, wanted in by_provider.items()]
        return sum(len(made.jobs) for made in plans)

    stages: dict[str, Callable[[], object]] = {
        "floor: json.loads and unquote_plus": lambda: floor(batch),
        "decode": lambda: envelopes.decode(batch),
        "route": lambda: router.demands(intake.changes),
        "plan": plan,
    }
    times = {name: _median(work, arguments.rounds, arguments.objects) for name, work in stages.items()}
    _print(times, arguments.objects, plan())


def _median(work: Callable[[], object], rounds: int, objects: int) -> float:
    """Microseconds an object."""
    seconds = []
    for _ in range(rounds):
        gc.collect()
        began = time.process_time()  # of the processor, whoever else may want it
        work()
        seconds.append(time.process_time() - began)
    return statistics.median(seconds) / objects * 1e6


def _print(times: dict[str, float], objects: int, jobs: int) -> None:
    base, *stages = times.items()
    table = Table(
        "stage", "µs an object", "of the floor", title=f"{objects:,} created objects to {jobs:,} jobs, 3 CDNs"
    )
    table.add_row(base[0], f"{base[1]:.2f}", "1.0")
    for name, value in [*stages, ("decode to jobs", sum(value for _, value in stages))]:
        table.add_row(name, f"{value:.2f}", f"{value / base[1]:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()

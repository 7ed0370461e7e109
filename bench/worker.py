"""How many messages a worker takes, as a ratio to a loop that only receives and deletes.

    python bench/worker.py [--messages 3000] [--rounds 3]

Both read the same queue of an AWS on loopback, one after the other. The worker has the default settings and two
vendors, of which one is paced: CloudFront, with a call each four seconds for a process. Fails if the worker reaches
less than half of the loop.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from rich.console import Console
from rich.table import Table

from multicdn.testing.loopback.environment import LocalEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEAST = 0.5
_BUCKET = "acme-site"
_EXAMPLE = Path(__file__).parents[1] / "multicdn.config.yml"
_PATIENCE = 300.0
_LONGEST_POLL = 20.0


def _config() -> dict[str, Any]:
    example = yaml.load(_EXAMPLE.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - texts only
    names = ["site", "akamai"]
    route = {"bucket": _BUCKET, "urls": ["https://www.acme.com/{key}"], "purge": names}
    return {"version": 1, "providers": {name: example["providers"][name] for name in names}, "routes": [route]}


def _wait_for_polls() -> None:
    """The queue still answers the last polls of a worker that has ended, and hides what nobody gets."""
    time.sleep(_LONGEST_POLL + 1)


def _fill(sqs: Any, queue: str, count: int, name: str) -> None:
    """Send messages about as many objects."""
    for start in range(0, count, 10):
        numbers = range(start, min(count, start + 10))
        entries = [{"Id": str(number), "MessageBody": _body(f"{name}/{number}.css")} for number in numbers]
        assert not sqs.send_message_batch(QueueUrl=queue, Entries=entries).get("Failed")


def _body(key: str) -> str:
    s3 = {"bucket": {"name": _BUCKET}, "object": {"key": key, "sequencer": "0055AED6DCD90281E5"}}
    return json.dumps({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3}]})


def _loop(endpoint: str, environment: dict[str, str], queue: str, count: int, seconds: Any) -> None:
    """Receive and delete, in a process of its own as the worker is."""
    import boto3

    sqs: Any = boto3.client(
        "sqs",
        endpoint_url=endpoint,
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    left = count
    began = time.monotonic()
    while left:
        answer = sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=0, MessageSystemAttributeNames=["All"]
        )
        messages = answer.get("Messages", [])
        entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(messages)]
        if entries:
            sqs.delete_message_batch(QueueUrl=queue, Entries=entries)
        left -= len(entries)
    seconds.value = time.monotonic() - began


def _time_loop(stage: LocalEnvironment, count: int) -> float:
    context = multiprocessing.get_context("spawn")
    seconds = context.Value("d", 0.0)
    _fill(stage.aws.client("sqs"), stage.queue.url, count, "loop")
    arguments = (stage.aws.endpoint, stage.aws.environment(), stage.queue.url, count, seconds)
    process = context.Process(target=_loop, args=arguments)
    process.start()
    process.join(_PATIENCE)
    assert process.exitcode == 0, "the loop did not end"
    return float(seconds.value)


def _time_worker(stage: LocalEnvironment, count: int, name: str) -> float:
    """Seconds from the worker's start until the batch that brings the last message has been handled and deleted."""
    _fill(stage.aws.client("sqs"), stage.queue.url, count, name)
    seen = len(stage.worker_log())
    with stage.worker():
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            time.sleep(0.1)
            lines = list(_lines(stage.worker_log()[seen:]))
            # What was put off for CloudFront comes back, and is no message of ours.
            handled = sum(line["messages"] for line in lines if line["event"] == "worker-batch")
            if handled >= count and _akamai(stage, name) >= count:
                return _duration(lines, count)
    raise TimeoutError(stage.worker_log()[-2000:])


def _akamai(stage: LocalEnvironment, name: str) -> int:
    return sum(call.body.decode().count(f"/{name}/") for call in stage.edges["akamai"].calls)


def _duration(lines: list[dict[str, Any]], count: int) -> float:
    [began] = [line["time"] for line in lines if line["event"] == "worker-started"]
    handled = 0
    for line in lines:
        handled += line["messages"] if line["event"] == "worker-batch" else 0
        if handled >= count:
            return (datetime.fromisoformat(line["time"]) - datetime.fromisoformat(began)).total_seconds()
    raise AssertionError("they have been counted")


def _lines(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            yield json.loads(line)


def main() -> int:
    """Measure, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    loops, workers = list[float](), list[float]()
    with tempfile.TemporaryDirectory(prefix="multicdn-bench-") as folder:
        path = Path(folder, "multicdn.config.yml")
        path.write_text(yaml.safe_dump(_config()), encoding="utf-8")
        with LocalEnvironment(path, auth=False) as stage:
            stage.wait_until_quiet()
            with stage.worker():  # S3's test event
                stage.wait_until_quiet()
            _wait_for_polls()
            for number in range(arguments.rounds):
                loops.append(arguments.messages / _time_loop(stage, arguments.messages))
                workers.append(arguments.messages / _time_worker(stage, arguments.messages, f"round-{number}"))
                _wait_for_polls()
                stage.aws.client("sqs").purge_queue(QueueUrl=stage.queue.url)
    loop, worker = statistics.median(loops), statistics.median(workers)
    table = Table("loop, messages/s", "worker, messages/s", "worker / loop", "", title="A worker's throughput")
    passed = worker >= _LEAST * loop
    table.add_row(f"{loop:.0f}", f"{worker:.0f}", f"{worker / loop:.2f}", "ok" if passed else "FAILED")
    Console().print(table)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())

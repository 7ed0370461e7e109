"""How many messages a worker takes, beside a loop that only receives and deletes.

    python bench/worker.py [--quick]

Both read queues of an AWS on loopback, in turns. The worker has the default settings; in one row its vendor is
Fastly, in the other there are two vendors, of which one is paced: CloudFront, with a call each four seconds.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import multiprocessing
import signal
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from rig import report
from rig.events import BUCKET, record
from rig.figures import Spent, compared_times, interleaved, medians
from rig.processor_share import processor_seconds

from multicdn.testing.loopback.environment import LocalEnvironment

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence

    from rig.figures import Figure

TITLE = "Messages through a worker, beside a loop that receives and deletes"

# By row, the providers of the example that are purged; the last one is who tells when all is done.
_VENDORS = {"fastly": ("fastly",), "akamai and a paced cloudfront": ("site", "akamai")}
ROWS = tuple(_VENDORS)

# Of the loop's time: half of its messages a second.
_MOST = 2.0

_EXAMPLE = Path(__file__).parents[1] / "multicdn.config.yml"
_PATIENCE = 300.0
_INTERVAL = 0.1


def _config(names: Sequence[str]) -> dict[str, Any]:
    example = yaml.load(_EXAMPLE.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - texts only
    providers = {name: example["providers"][name] for name in names}
    for options in providers.values():
        options.pop("pulls_from", None)  # each stands for itself
    route = {"bucket": BUCKET, "urls": ["https://www.acme.com/{key}"], "purge": list(names)}
    return {"version": 1, "providers": providers, "routes": [route]}


def _fill(sqs: Any, queue: str, count: int, name: str) -> None:
    """Send messages about as many objects."""
    for start in range(0, count, 10):
        numbers = range(start, min(count, start + 10))
        bodies = [json.dumps({"Records": [record(f"{name}/{number}.css", number)]}) for number in numbers]
        entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
        assert not sqs.send_message_batch(QueueUrl=queue, Entries=entries).get("Failed")


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
    wall, cpu = time.monotonic(), time.process_time()
    while left:
        answer = sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=0, MessageSystemAttributeNames=["All"]
        )
        messages = answer.get("Messages", [])
        entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(messages)]
        if entries:
            sqs.delete_message_batch(QueueUrl=queue, Entries=entries)
        left -= len(entries)
    seconds[:] = time.process_time() - cpu, time.monotonic() - wall


def _time_loop(stage: LocalEnvironment, count: int) -> Spent:
    context = multiprocessing.get_context("spawn")
    seconds: Any = context.Array("d", 2)
    sqs = stage.aws.client("sqs")
    queue = sqs.create_queue(QueueName="loop")["QueueUrl"]
    _fill(sqs, queue, count, "loop")
    process = context.Process(target=_loop, args=(stage.aws.endpoint, stage.aws.environment(), queue, count, seconds))
    process.start()
    process.join(_PATIENCE)
    assert process.exitcode == 0, "the loop did not end"
    return Spent(seconds[0], seconds[1])


def _time_worker(stage: LocalEnvironment, worker: subprocess.Popen[bytes], count: int, name: str) -> Spent:
    """What a running worker takes until the batch that brings the last message has been handled and deleted.

    It is stopped meanwhile, with a poll under way. What was put off for a paced vendor is no message of ours.
    """
    worker.send_signal(signal.SIGSTOP)
    sqs, seen, cpu = stage.aws.client("sqs"), len(stage.worker_log()), processor_seconds(worker.pid)
    sqs.purge_queue(QueueUrl=stage.queue.url)
    _fill(sqs, stage.queue.url, count, name)
    began = time.time()
    worker.send_signal(signal.SIGCONT)
    while time.time() < began + _PATIENCE:
        time.sleep(_INTERVAL)
        ends = _handled(stage.worker_log()[seen:], count)
        if ends and _called(stage, name) >= count:
            return Spent(processor_seconds(worker.pid) - cpu, ends - began)
    raise TimeoutError(stage.worker_log()[-2000:])


def _called(stage: LocalEnvironment, name: str) -> int:
    """For how many objects the vendor without a pace was called."""
    *_, vendor = stage.edges.values()
    return sum(f"{call.target} {call.body.decode()}".count(f"/{name}/") for call in vendor.calls)


def _handled(log: str, count: int) -> float | None:
    """When so many messages had been handled, in seconds since 1970."""
    handled = 0
    for text in log.splitlines():
        with contextlib.suppress(ValueError):
            line = json.loads(text)
            handled += line["messages"] if line.get("event") == "worker-batch" else 0
            if handled >= count:
                return datetime.fromisoformat(line["time"]).timestamp()
    return None


def _measure(names: Sequence[str], count: int, rounds: int) -> dict[str, list[Spent]]:
    with tempfile.TemporaryDirectory(prefix="multicdn-bench-") as folder:
        path = Path(folder, "multicdn.config.yml")
        path.write_text(yaml.safe_dump(_config(names)), encoding="utf-8")
        with LocalEnvironment(path, auth=False) as stage, stage.worker() as worker:
            assert stage.wait_for_worker(), stage.worker_log()  # S3's test event
            numbers = itertools.count()
            cases = {
                "loop": lambda: _time_loop(stage, count),
                "worker": lambda: _time_worker(stage, worker, count, f"round-{next(numbers)}"),
            }
            return interleaved(cases, rounds, warm_up=rounds > 1)


def figures(*, quick: bool) -> Iterator[Figure]:
    """Measure each worker, and a loop beside it."""
    count, rounds = (600, 1) if quick else (1500, 3)
    for row, names in _VENDORS.items():
        found = _measure(names, count, rounds)
        a_second = [count / spent.wall for spent in (medians(found["worker"]), medians(found["loop"]))]
        yield compared_times(
            row,
            found["worker"],
            found["loop"],
            each=count,
            by="wall",
            limit=_MOST if "akamai" in names else None,
            note="messages a second: {:.0f}, loop {:.0f}; CPU {:.2f} x".format(
                *a_second, medians(found["worker"]).cpu / medians(found["loop"]).cpu
            ),
        )


if __name__ == "__main__":
    sys.exit(report.main(sys.modules[__name__], __doc__))

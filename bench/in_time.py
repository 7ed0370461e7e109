"""Whether a cold invocation ends before its limit, at the processor share of a small function, while vendors hang.

    python bench/in_time.py [--records 10000] [--share 0.29] [--limit 30] [--vendors 7]

A function with 512 MB has 0.29 of a processor; in the initialisation phase it has a whole one. So a process of its own
reads the config, and from then on it is stopped and continued, as the scheduler of a container does. What it may not
do is to last until its limit: Lambda would kill it before its queue is written, and everything would be done again.
Exit status 1 says that it did, or that a target got lost on the way.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rig.processor_share import ProcessorShare

from multicdn.queue import message
from multicdn.simulators import VENDORS, Origin, load
from multicdn.simulators.kit import faults
from multicdn.testing.loopback.simulator_config import config_for
from multicdn.testing.recording import RecordingVendor, Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multicdn.simulators.kit.http_server import Request

_FUNCTION = """
import json, sys, time
from multicdn import handler
records, limit = int(sys.argv[1]), float(sys.argv[2])
def record(n):
    entity = {"key": f"folder-{n % 100}/a-name-of-usual-length-{n}.css", "sequencer": f"{n:016X}"}
    s3 = {"bucket": {"name": "acme-site"}, "object": entity}
    event = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3}
    return {"messageId": f"m{n}", "eventSource": "aws:sqs", "body": json.dumps({"Records": [event]})}
event = {"Records": [record(n) for n in range(records)]}
print("ready", flush=True)
sys.stdin.readline()
until = time.monotonic() + limit
class Context:
    def get_remaining_time_in_millis(self):
        return int(1000 * (until - time.monotonic()))
reply = handler.handler(event, Context())
print(json.dumps({"left": until - time.monotonic(), "failed": len(reply["batchItemFailures"])}), flush=True)
"""


class Queue:
    """An SQS that takes everything, and what it was sent."""

    def __init__(self) -> None:
        self.bodies: list[str] = []

    def __call__(self, request: Request) -> Response:
        """Confirm every entry."""
        entries = json.loads(request.body)["Entries"]
        self.bodies += [entry["MessageBody"] for entry in entries]
        return Response.json({"Successful": [{"Id": entry["Id"], "MessageId": "m"} for entry in entries]})

    def targets(self) -> int:
        """How many targets wait in it."""
        return sum(len(message.decode(json.loads(body), "m").job.targets) for body in self.bodies)


def run(records: int, share: float, limit: float, vendors: Sequence[str]) -> tuple[float, int, int]:
    """Let one cold invocation meet vendors that hang.

    Returns:
        Seconds that were left, messages that went back to AWS, and targets that wait in the queue.
    """
    queue = Queue()
    with ExitStack() as stack:
        origin = stack.enter_context(Origin())
        edges = {name: stack.enter_context(load(name)(origin.url)) for name in vendors}
        sqs = stack.enter_context(RecordingVendor(queue))
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        for edge in edges.values():
            edge.faults.always(faults.hang(10 * limit))
        described = config_for(edges)
        routes = [{"bucket": "acme-site", "urls": ["https://www.acme.com/{key}"], "purge": list(vendors)}]
        path = Path(folder) / "multicdn.config.yml"
        path.write_text(json.dumps({"version": 1, "providers": described.providers, "routes": routes}))
        settings = {
            "MULTICDN_CONFIG": str(path),
            "MULTICDN_QUEUE_URL": f"{sqs.endpoint}/123456789012/work",
            "MULTICDN_DLQ_URL": f"{sqs.endpoint}/123456789012/work-dlq",
            "AWS_ENDPOINT_URL_SQS": sqs.endpoint,
            "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
            "AWS_LAMBDA_FUNCTION_NAME": "bench",
            **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "x"),
            **dict.fromkeys(("AWS_DEFAULT_REGION", "AWS_REGION"), "eu-central-1"),
        }
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", _FUNCTION, str(records), str(limit)],
            env={**os.environ, **settings, **described.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdin is not None
        with process:
            process.stdout.readline()
            with ProcessorShare(process, share):
                process.stdin.write("\n")
                process.stdin.flush()
                *_metrics, last = process.stdout
            said = json.loads(last)
    return said["left"], said["failed"], queue.targets()


def main() -> None:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--share", type=float, default=0.29)
    parser.add_argument("--limit", type=float, default=30.0)
    parser.add_argument("--vendors", type=int, default=len(VENDORS))
    chosen = parser.parse_args()
    names = list(VENDORS)[: chosen.vendors]
    left, failed, waiting = run(chosen.records, chosen.share, chosen.limit, names)
    wanted = chosen.records * len(names)
    print(
        f"{chosen.records:,} records, {len(names)} hanging vendors, {chosen.share} of a processor, {chosen.limit:g} s:"
    )
    print(f"  {left:.2f} s left; {waiting:,} of {wanted:,} targets wait, {failed:,} messages go back to AWS")
    if left <= 0 or (waiting < wanted and not failed):
        raise SystemExit("NOT in time, or something is lost")


if __name__ == "__main__":
    main()

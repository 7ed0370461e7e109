"""Record the event fixtures anew: ``python tests/data/record.py [NAME...]`` in the folder of the repository.

Real objects are put and deleted in a loopback AWS whose S3, SNS, SQS and EventBridge call a real function, which
keeps what it was called with. README.md says what each fixture is. Needs ``make aws-sim``.
"""

from __future__ import annotations

import io
import json
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_form import in_aws_form

from multicdn.testing.loopback.aws import LoopbackAws
from multicdn.testing.loopback.resources import Queue, keep_versions, make_queue, notify_queue

if TYPE_CHECKING:
    from collections.abc import Callable

    Act = Callable[[Any, str], object]
    Scenario = Callable[["Recorder", str], Any]

FOLDER = Path(__file__).parent
CREATED, REMOVED = "s3:ObjectCreated:*", "s3:ObjectRemoved:*"
KEY = "img/logo.png"
ODD_KEY = "ordner/ein bild+100%/größe 中文.jpg"
ODD_LETTERS = (
    "with space.txt", "plus+plus.txt", "100%.txt", "%2Fnot a slash.txt", "größe.txt", "中文.txt", "smile-😀.txt",
)  # fmt: skip
ODD_SIGNS = (
    "deep/er/and/deeper.txt", "folder/", "//double//slash.txt", "../up/./here.txt", "q?a=1&b=2#c;d.txt",
    "'single' \"double\".txt", "~!*()@:,$[]{}|^`.txt", "back\\slash.txt",
)  # fmt: skip

_FUNCTION = """
import boto3, json, time
def handler(event, context):
    key = f"{context.function_name}/{time.time_ns()}"
    boto3.client("s3").put_object(Bucket="recordings", Key=key, Body=json.dumps(event))
"""
_PATIENCE = 15.0


class Recorder:
    """A loopback AWS in which every function writes its events into one bucket."""

    def __init__(self, aws: LoopbackAws) -> None:
        self.aws = aws
        self.s3, self.sqs, self.sns = aws.client("s3"), aws.client("sqs"), aws.client("sns")
        self.functions, self.bridge = aws.client("lambda"), aws.client("events")
        self.s3.create_bucket(Bucket="recordings")

    def make_function(self, name: str) -> str:
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as package:
            package.writestr("app.py", _FUNCTION)
        role = f"arn:aws:iam::{self.aws.account}:role/recorder"
        made = self.functions.create_function(
            FunctionName=name, Runtime="python3.13", Handler="app.handler", Role=role, Code={"ZipFile": code.getvalue()}
        )
        return str(made["FunctionArn"])

    def make_bucket(self, name: str) -> str:
        """Buckets with ``versioned`` in their name keep versions: ``aws_form`` goes by that, too."""
        self.s3.create_bucket(Bucket=name)
        if "versioned" in name:
            keep_versions(self.aws, name)
        return name

    def notify(self, bucket: str, configuration: dict[str, object]) -> None:
        self.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)

    def make_topic(self, bucket: str) -> str:
        """Make the topic of a bucket. Its test event has gone by before anybody can subscribe."""
        topic = str(self.sns.create_topic(Name="multicdn")["TopicArn"])
        self.notify(bucket, {"TopicConfigurations": [{"Id": "multicdn", "TopicArn": topic, "Events": [CREATED]}]})
        return topic

    def make_rule(self, bucket: str, kind: str | None, target: str) -> None:
        pattern: dict[str, object] = {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}
        if kind:
            pattern["detail-type"] = [kind]
        self.notify(bucket, {"EventBridgeConfiguration": {}})
        self.bridge.put_rule(Name="multicdn", EventPattern=json.dumps(pattern))
        self.bridge.put_targets(Rule="multicdn", Targets=[{"Id": "multicdn", "Arn": target}])

    def recorded(self, function: str, count: int) -> list[Any]:
        """The events of a function, in order, once there are as many as expected."""

        def keys() -> list[str]:
            listed = self.s3.list_objects_v2(Bucket="recordings", Prefix=f"{function}/")
            return sorted(item["Key"] for item in listed.get("Contents", []))

        _wait(lambda: len(keys()) >= count, f"{function} was not called {count} times")
        return [json.loads(self.s3.get_object(Bucket="recordings", Key=key)["Body"].read()) for key in keys()]

    def consume(self, name: str, queue: Queue, messages: int) -> Any:
        """Hand all messages of a queue, ten at most, to a function as one batch, and return the event."""
        _wait(lambda: self._waiting(queue) == messages, f"{name}: {self._waiting(queue)} messages, not {messages}")
        self.make_function(name)
        self.functions.create_event_source_mapping(FunctionName=name, EventSourceArn=queue.arn, BatchSize=10)
        (event,) = self.recorded(name, 1)
        if len(event["Records"]) != messages:
            raise RuntimeError(f"{name}: the simulator split the batch")
        return event

    def drain(self, queue: Queue) -> None:
        """Drop the test event that S3 sends when a notification is configured."""
        _wait(lambda: self._waiting(queue) == 1, "no test event")
        self.sqs.purge_queue(QueueUrl=queue.url)

    def _waiting(self, queue: Queue) -> int:
        name = "ApproximateNumberOfMessages"
        found = self.sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=[name])
        return int(found["Attributes"][name])


def direct(act: Act, events: str = CREATED, bucket: str = "acme-site") -> Scenario:
    """S3 calls the function."""

    def record(recorder: Recorder, name: str) -> Any:
        entry = {"Id": "multicdn", "LambdaFunctionArn": recorder.make_function(name), "Events": [events]}
        recorder.notify(recorder.make_bucket(bucket), {"LambdaFunctionConfigurations": [entry]})
        act(recorder.s3, bucket)
        return recorder.recorded(name, 1)[0]

    return record


def queued(act: Act, events: str = CREATED, messages: int = 1) -> Scenario:
    """S3 sends to a queue; the function gets all messages in one batch."""

    def record(recorder: Recorder, name: str) -> Any:
        bucket, queue = recorder.make_bucket("acme-site"), make_queue(recorder.aws, "multicdn")
        notify_queue(recorder.aws, bucket, queue, events=[events])
        recorder.drain(queue)
        act(recorder.s3, bucket)
        return recorder.consume(name, queue, messages)

    return record


def test_event_queued(recorder: Recorder, name: str) -> Any:
    """What S3 sends when a notification is configured."""
    bucket, queue = recorder.make_bucket("acme-site"), make_queue(recorder.aws, "multicdn")
    notify_queue(recorder.aws, bucket, queue)
    return recorder.consume(name, queue, 1)


def published(act: Act) -> Scenario:
    """S3 publishes to a topic that calls the function."""

    def record(recorder: Recorder, name: str) -> Any:
        topic = recorder.make_topic(recorder.make_bucket("acme-site"))
        recorder.sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=recorder.make_function(name))
        act(recorder.s3, "acme-site")
        return recorder.recorded(name, 1)[0]

    return record


def published_and_queued(act: Act, *, raw: bool) -> Scenario:
    """S3 publishes to a topic that feeds a queue, with SNS's envelope or, if raw, without."""

    def record(recorder: Recorder, name: str) -> Any:
        topic, queue = recorder.make_topic(recorder.make_bucket("acme-site")), make_queue(recorder.aws, "multicdn")
        settings = {"RawMessageDelivery": str(raw).lower()}
        recorder.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, Attributes=settings)
        act(recorder.s3, "acme-site")
        return recorder.consume(name, queue, 1)

    return record


def bridged(act: Act, kind: str = "Object Created", bucket: str = "acme-site") -> Scenario:
    """EventBridge calls the function."""

    def record(recorder: Recorder, name: str) -> Any:
        recorder.make_rule(recorder.make_bucket(bucket), kind, recorder.make_function(name))
        act(recorder.s3, bucket)
        return recorder.recorded(name, 1)[0]

    return record


def bridged_and_queued(act: Act, messages: int) -> Scenario:
    """EventBridge sends to a queue; the function gets all messages in one batch."""

    def record(recorder: Recorder, name: str) -> Any:
        queue = make_queue(recorder.aws, "multicdn")
        recorder.make_rule(recorder.make_bucket("acme-versioned"), None, queue.arn)
        act(recorder.s3, "acme-versioned")
        return recorder.consume(name, queue, messages)

    return record


def put(*keys: str) -> Act:
    """Put a small object under each key."""

    def act(s3: Any, bucket: str) -> None:
        for key in keys:
            s3.put_object(Bucket=bucket, Key=key, Body=f"object {key}".encode())

    return act


def copy(s3: Any, bucket: str) -> None:
    put("drafts/logo.png")(s3, bucket)
    s3.copy_object(Bucket=bucket, Key=KEY, CopySource={"Bucket": bucket, "Key": "drafts/logo.png"})


def upload_in_parts(s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key=KEY)["UploadId"]
    where = {"Bucket": bucket, "Key": KEY, "UploadId": upload}
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**where, PartNumber=number, Body=b"x" * size)["ETag"]}
        for number, size in ((1, 5 << 20), (2, 1))
    ]
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})


def delete(s3: Any, bucket: str) -> None:
    put(KEY)(s3, bucket)
    s3.delete_object(Bucket=bucket, Key=KEY)


def delete_version(s3: Any, bucket: str) -> None:
    version = s3.put_object(Bucket=bucket, Key=KEY, Body=b"first")["VersionId"]
    s3.delete_object(Bucket=bucket, Key=KEY, VersionId=version)


def delete_many(s3: Any, bucket: str) -> None:
    keys = (KEY, "img/photo.jpg", ODD_KEY)
    put(*keys)(s3, bucket)
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})


def put_and_delete(s3: Any, bucket: str) -> None:
    put(KEY, ODD_KEY)(s3, bucket)
    s3.delete_object(Bucket=bucket, Key=KEY)


SCENARIOS: dict[str, Scenario] = {
    "s3-put": direct(put(KEY)),
    "s3-put-odd-key": direct(put(ODD_KEY)),
    "s3-put-versioned": direct(put(KEY), bucket="acme-versioned"),
    "s3-copy": direct(copy, "s3:ObjectCreated:Copy"),
    "s3-multipart": direct(upload_in_parts),
    "s3-delete": direct(delete, REMOVED),
    "s3-delete-marker": direct(delete, REMOVED, "acme-versioned"),
    "s3-delete-version": direct(delete_version, REMOVED, "acme-versioned"),
    "sqs-put": queued(put(KEY)),
    "sqs-odd-letters": queued(put(*ODD_LETTERS), messages=len(ODD_LETTERS)),
    "sqs-odd-signs": queued(put(*ODD_SIGNS), messages=len(ODD_SIGNS)),
    "sqs-multi-delete": queued(delete_many, REMOVED, 3),
    "sqs-test-event": test_event_queued,
    "sns-put": published(put(KEY)),
    "sqs-sns-put": published_and_queued(put(ODD_KEY), raw=False),
    "sqs-sns-raw-put": published_and_queued(put(ODD_KEY), raw=True),
    "eventbridge-created": bridged(put(KEY)),
    "eventbridge-created-odd-key": bridged(put(ODD_KEY)),
    "eventbridge-deleted": bridged(delete, "Object Deleted"),
    "eventbridge-delete-marker": bridged(delete, "Object Deleted", "acme-versioned"),
    "sqs-eventbridge": bridged_and_queued(put_and_delete, 3),
}


def main(names: list[str]) -> None:
    """Record the named fixtures, or all of them."""
    with LoopbackAws(auth=False) as aws:
        for name in names or SCENARIOS:
            aws.reset()
            event = in_aws_form(name, SCENARIOS[name](Recorder(aws), name))
            text = json.dumps(event, indent=2, ensure_ascii=False) + "\n"
            (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")
            print(name)


def _wait(ready: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(complaint)
        time.sleep(0.02)


if __name__ == "__main__":
    main(sys.argv[1:])

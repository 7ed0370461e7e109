"""S3 Batch Operations: a job that calls the function for objects of a list, and wants to know what became of each.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-invoke-lambda.html. Schema 1.0 names the bucket by its
ARN, 2.0 by its name. Keys are encoded like a form.
"""

from __future__ import annotations

from typing import Any

from multicdn.errors import EventError
from multicdn.events.describe import seen
from multicdn.events.intake import Tasks
from multicdn.events.s3 import check_name, decoded
from multicdn.model import Change


def tasks(content: dict[str, Any]) -> Tasks:
    """What has to be answered. A cause is unique in this invocation, so that no vendor takes it for a repetition."""
    invocation = str(content.get("invocationId", ""))
    ids = [str(task["taskId"]) for task in content["tasks"] if isinstance(task, dict) and "taskId" in task]
    return Tasks(str(content["invocationSchemaVersion"]), invocation, {f"{invocation}:{id_}": id_ for id_ in ids})


def change(task: object, cause: str) -> Change:
    """The object of a task, which counts as created: it is in the list since it exists.

    Raises:
        EventError: the task names none.
    """
    if not isinstance(task, dict) or not isinstance(task.get("s3Key"), str):
        raise EventError(f"a task of S3 Batch Operations without an s3Key: {seen(task)}")
    arn = str(task.get("s3BucketArn") or "")
    bucket = str(task.get("s3Bucket") or arn.rpartition(":")[2])
    key = decoded(task["s3Key"])
    check_name(bucket, key)
    return Change(bucket, key, cause=cause)

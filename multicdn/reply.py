"""What AWS is answered: by name of message to a queue, by task to S3 Batch Operations, else whether all went well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multicdn import reporting
from multicdn.errors import Undelivered
from multicdn.events.describe import cut
from multicdn.model import Status
from multicdn.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from multicdn.events.intake import Intake, Tasks
    from multicdn.model import Outcome, Report
    from multicdn.routing.demand import RoutingFailure

# A message of a failed invocation names this many things; all of them are in the log.
_NAMED = 10

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-invoke-lambda.html, "Response and result codes": what
# failed temporarily is asked for again before the job ends.
_SUCCEEDED, _TEMPORARY, _PERMANENT = "Succeeded", "TemporaryFailure", "PermanentFailure"


def reply(intake: Intake, failures: Collection[RoutingFailure], report: Report, left: Report) -> dict[str, Any]:
    """Answer in the form of whoever called.

    Args:
        intake: of the event.
        failures: changes of which something could not be found out, and that don't wait in the queue.
        report: of all that was delivered or not.
        left: the part of it that neither was delivered nor waits in the queue.

    Raises:
        Undelivered: a direct event of which something stayed undelivered.
    """
    if intake.queued:
        return _to_queue(intake, failures, left)
    if intake.tasks is not None:
        return _to_batch_operations(intake.tasks, intake, failures, left)
    problems = list(_problems(intake, failures, left))
    if problems:
        more = f" (and {len(problems) - _NAMED} more)" if len(problems) > _NAMED else ""
        raise Undelivered("; ".join(problems[:_NAMED]) + more)
    return {"providers": reporting.summary(report)}


def _to_queue(intake: Intake, failures: Iterable[RoutingFailure], left: Report) -> dict[str, Any]:
    failed = {message.cause for message in intake.unreadable}
    failed |= {failure.change.cause for failure in failures} | left.failed_messages
    # In the order of the batch, so that the same failure always reads the same.
    return {"batchItemFailures": [{"itemIdentifier": cause} for cause in intake.messages if cause in failed]}


def _to_batch_operations(
    tasks: Tasks, intake: Intake, failures: Iterable[RoutingFailure], left: Report
) -> dict[str, Any]:
    results = {message.cause: (_PERMANENT, message.reason) for message in intake.unreadable}
    for outcome in left.undelivered:
        code = _PERMANENT if _is_hopeless(outcome) else _TEMPORARY
        for cause in outcome.job.messages:
            if results.get(cause, ("",))[0] != _TEMPORARY:
                results[cause] = code, f"{outcome.job.provider}: {outcome.status}: {outcome.reason}"
    results |= {failure.change.cause: (_TEMPORARY, failure.reason) for failure in failures}
    return {
        "invocationSchemaVersion": tasks.schema,
        "treatMissingKeysAs": _TEMPORARY,
        "invocationId": tasks.invocation,
        "results": [_result(id_, *results.get(cause, (_SUCCEEDED, ""))) for cause, id_ in tasks.ids.items()],
    }


def _result(task: str, code: str, reason: str) -> dict[str, str]:
    return {"taskId": task, "resultCode": code, "resultString": cut(redact(reason))}


def _is_hopeless(outcome: Outcome) -> bool:
    """Whether the same would be refused again."""
    return outcome.status is Status.REJECTED or outcome.final


def _problems(intake: Intake, failures: Iterable[RoutingFailure], left: Report) -> Iterator[str]:
    for message in intake.unreadable:
        yield redact(message.reason)
    for failure in failures:
        yield redact(f"{failure.change.key}: {failure.reason}")
    for outcome in left.undelivered:
        job = outcome.job
        more = f" and {len(job.targets) - 1} more" if len(job.targets) > 1 else ""
        wanted = f"{job.provider}: {job.action} of {job.described[0]}{more}"
        yield redact(f"{wanted}: {outcome.status}: {outcome.reason}")

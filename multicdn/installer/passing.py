"""Which answers of AWS pass by themselves. Pure: it is given what AWS said."""

from __future__ import annotations

import enum
import re


class Passing(enum.Enum):
    """Why the same call may succeed in a while; the value is a sentence about ``{thing}``."""

    CONFLICT = "another change of {thing} is under way"
    NOT_YET = "{thing} was made just now, and AWS doesn't show it everywhere yet"
    THROTTLED = "AWS wants fewer calls"
    FAULT = "AWS has a fault of its own"
    UNREACHABLE = "AWS can't be reached"


# From the lists of errors of each API, S3's in API/ErrorResponses.html. Lambda's conflict may be a name that is taken.
_CONFLICTS = {
    "OperationAborted",
    "OperationAbortedException",
    "ConditionalRequestConflict",
    "OperationInProgressException",
    "OperationStatusCheckFailed",
    "ConcurrentModification",
    "ConcurrentModificationException",
    "EntityTemporarilyUnmodifiable",
    "ResourceConflictException",
    "ResourceInUseException",
    "ResourceNotReadyException",
    "QueueDeletedRecently",
    "AWS.SimpleQueueService.QueueDeletedRecently",
    "TooManyUpdates",
}
_THROTTLED = {
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "PriorRequestNotComplete",
    "SlowDown",
}
_FAULTS = {
    "InternalError",
    "InternalFailure",
    "InternalServiceError",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "RequestTimeout",
    "RequestTimeoutException",
}
# CloudFormation calls almost everything a ValidationError, or names a state.
_BUSY = re.compile(r"[A-Z]_(IN_PROGRESS|PENDING)\b")
_STATES = {"ValidationError", "InvalidChangeSetStatus", "InvalidChangeSetStatusException"}
# No NoSuchKey: an object of S3 is seen at once where it was put (S3 User Guide, "Amazon S3 data consistency model").
_GONE = {"NoSuchBucket", "404", "NotFound", "ChangeSetNotFound", "ChangeSetNotFoundException"}

# What CloudFormation says of a resource that failed. HandlerErrorCode is one of
# docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-test-contract-errors.html; roles, policies and
# grants of KMS are seen by other services some seconds after they were made.
_PASSING_REASON = re.compile(
    r"""HandlerErrorCode:\s(ResourceConflict|Throttling|NotStabilized|ServiceInternalError|NetworkFailure|InternalFailure)
    | cannot\sbe\sassumed | role\sdoes\snot\shave\spermissions?\sto\scall | KMS\saccess\swas\sdenied | KMSAccessDenied
    | Rate\sexceeded | Throttl | TooManyRequests | SlowDown | conflicting\s(conditional\s)?operation | OperationAborted
    | ConcurrentModification | ResourceConflictException | (is|currently)\sin\sprogress | (try|retry)\s(again|your)
    | Status\sCode:\s5\d\d | Internal\s?(Failure|Error) | Service\s?Unavailable | [A-Z]_IN_PROGRESS\b""",
    re.VERBOSE | re.IGNORECASE,
)
_DENIED_REASON = re.compile(r"HandlerErrorCode: AccessDenied|AccessDenied|not authorized to perform", re.IGNORECASE)
_TAKEN = re.compile("already exists?", re.IGNORECASE)


def passing(code: str, message: str, status: int) -> Passing | None:
    """Whether an error passes.

    Args:
        code: of the error.
        message: of the error.
        status: of HTTP.
    """
    if code in _THROTTLED or status == 429:
        return Passing.THROTTLED
    if code in _CONFLICTS:
        return None if _TAKEN.search(message) else Passing.CONFLICT
    if code in _STATES and _BUSY.search(message):
        return Passing.CONFLICT
    if code in _FAULTS or (status >= 500 and status != 501):
        return Passing.FAULT
    return None


def is_gone(code: str, message: str) -> bool:
    """Whether something isn't there, or isn't there yet."""
    return code in _GONE or (code == "ValidationError" and "does not exist" in message)


def is_passing_reason(reason: str) -> bool:
    """Whether a resource of a stack failed for something that passes."""
    return bool(_PASSING_REASON.search(reason)) and not _TAKEN.search(reason)


def is_denied_reason(reason: str) -> bool:
    """Whether a resource of a stack failed for a missing permission of whoever installs."""
    return bool(_DENIED_REASON.search(reason))

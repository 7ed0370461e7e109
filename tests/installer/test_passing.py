"""Which answers of AWS pass by themselves, and which stay."""

from __future__ import annotations

import pytest

from multicdn.installer.passing import Passing, is_passing_reason, passing

PASSES = (
    "The role defined for the function cannot be assumed by Lambda. (Service: Lambda, Status Code: 400)",
    "The provided execution role does not have permissions to call ReceiveMessage on SQS",
    "The function execution role does not have permissions to call SendMessage on arn:aws:sqs:eu-west-1:1:q",
    "Lambda was unable to decrypt the environment variables because KMS access was denied. (Status Code: 400)",
    "The operation cannot be performed at this time. An update is in progress for resource: arn:aws:lambda:x",
    "Rate exceeded (Service: CloudWatchLogs, Status Code: 400) (HandlerErrorCode: Throttling)",
    "Another request is changing it (RequestToken: 1, HandlerErrorCode: ResourceConflict)",
    "Internal Failure",
    "A conflicting conditional operation is currently in progress against this resource. Please try again.",
    "Service returned an error (Service: Iam, Status Code: 503, Request ID: 1)",
)
STAYS = (
    "User: arn:aws:iam::1:user/me is not authorized to perform: iam:CreateRole (HandlerErrorCode: AccessDenied)",
    "multicdn-Queue already exists in stack other (HandlerErrorCode: AlreadyExists)",
    "Function already exist: multicdn (Service: Lambda, Status Code: 409) (HandlerErrorCode: ResourceConflict)",
    "Value 43201 for parameter VisibilityTimeout is invalid (HandlerErrorCode: InvalidRequest)",
    "Specified ReservedConcurrentExecutions decreases the account's UnreservedConcurrentExecution below 10",
    "Maximum policy size of 10240 bytes exceeded for role x (HandlerErrorCode: ServiceLimitExceeded)",
)


@pytest.mark.parametrize("reason", PASSES)
def test_a_resource_that_fails_for_what_passes_is_made_again(reason: str) -> None:
    assert is_passing_reason(reason)


@pytest.mark.parametrize("reason", STAYS)
def test_a_resource_that_fails_for_good_is_not(reason: str) -> None:
    assert not is_passing_reason(reason)


@pytest.mark.parametrize(
    ("code", "message", "status", "expected"),
    [
        ("OperationAborted", "", 409, Passing.CONFLICT),
        (
            "ValidationError",
            "Stack:x is in UPDATE_COMPLETE_CLEANUP_IN_PROGRESS state and can not be updated.",
            400,
            "c",
        ),
        ("InvalidChangeSetStatus", "cannot be executed in its current status of [CREATE_PENDING]", 400, "c"),
        ("ResourceConflictException", "An update is in progress for resource", 409, "c"),
        ("ResourceConflictException", "Function already exist: x", 409, None),
        ("InvalidChangeSetStatus", "cannot be executed in its current status of [OBSOLETE]", 400, None),
        ("ValidationError", "Stack [x] cannot be deleted while TerminationProtection is enabled", 400, None),
        ("SlowDown", "", 503, Passing.THROTTLED),
        ("AnythingNew", "", 429, Passing.THROTTLED),
        ("AnythingNew", "", 502, Passing.FAULT),
        ("NotImplemented", "", 501, None),
        ("LimitExceeded", "Cannot exceed quota for RolesPerAccount", 409, None),
        ("BucketAlreadyExists", "", 409, None),
        ("AccessDenied", "", 403, None),
        ("ExpiredToken", "", 400, None),
    ],
)
def test_what_passes_is_told_from_what_does_not(code: str, message: str, status: int, expected: object) -> None:
    assert passing(code, message, status) is (Passing.CONFLICT if expected == "c" else expected)

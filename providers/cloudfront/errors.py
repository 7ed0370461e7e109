"""Turn the exceptions of botocore into the errors of the provider contract.

Codes: the operations' pages in the CloudFront API reference, CommonErrors there, and what SDK users report.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from multicdn.provider import About, CallRefused, CredentialsRefused, ProviderError, RetryLater, TargetsRefused
from multicdn.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.exceptions import BotoCoreError, ClientError

_BUSY = 10.0  # seconds; 95 % of invalidations are Completed within 25, so some of the open ones are gone by then
_LONGEST_QUOTE, _LOOKED_AT = 300, 12_288  # characters; of a message, which may be as long as an answer
_SERVER_ERROR = 500
_REFERENCE = re.compile(r"caller ?reference\b", re.IGNORECASE)
_USED = re.compile(r"\bused\b", re.IGNORECASE)

_RETRY = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "RequestThrottled",
        "TooManyInvalidationsInProgress",
        "ServiceUnavailable",
        "InternalFailure",
        "InternalError",
        "RequestTimeout",
    }
)
_TARGETS = frozenset({"InvalidArgument", "BatchTooLarge", "NoSuchInvalidation"})
_CREDENTIALS = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_NOWHERE = frozenset({"NoSuchDistribution", "EntityNotFound"})
_STATUS: dict[int, type[ProviderError]] = {408: RetryLater, 413: TargetsRefused, 429: RetryLater}


class ReferenceUsed(ProviderError):
    """CloudFront has seen this CallerReference before."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise what a call to CloudFront raises as an error of the contract.

    Raises:
        ReferenceUsed: the caller reference has been used.
        ProviderError: RetryLater, TargetsRefused, CallRefused or CredentialsRefused.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as error:
        raise _answered(error) from None
    except ResponseParserError:
        message = "CloudFront's answer can't be parsed: something in between may have answered"
        raise RetryLater(message) from None
    except BotoCoreError as error:
        raise _unanswered(error) from None


def _answered(error: ClientError) -> ProviderError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    message = str(error.response.get("Error", {}).get("Message", ""))[:_LOOKED_AT]
    reason = f"{error.operation_name}: {code or status}: {_first_line(message)}"
    if code == "InvalidationBatchAlreadyExists" or (code == "InvalidArgument" and _says_used(message)):
        return ReferenceUsed(reason)
    meaning = _meaning(code, status)
    if issubclass(meaning, RetryLater):
        return meaning(reason, after=_BUSY if code == "TooManyInvalidationsInProgress" else None)
    if issubclass(meaning, CallRefused):
        return meaning(reason, _about(code, str(error.operation_name)))
    return meaning(reason)


def _says_used(message: str) -> bool:
    reference = _REFERENCE.search(message)
    return reference is not None and _USED.search(message, reference.end()) is not None


def _about(code: str, operation: str) -> About | None:
    if code in ("AccessDenied", "AccessDeniedException"):
        # Looking is needed for tags, or to know when an invalidation is completed; purges by path go on without.
        return "kind" if operation.startswith("Get") else "account"
    return "account" if code in _CREDENTIALS or code in _NOWHERE else None


def _meaning(code: str, status: int) -> type[ProviderError]:
    if code in _RETRY or status >= _SERVER_ERROR:
        return RetryLater
    if code in _CREDENTIALS:
        return CredentialsRefused
    if code in _TARGETS:
        return TargetsRefused
    # Where the answer isn't CloudFront's, botocore makes a code of its status.
    return _STATUS.get(status, RetryLater if code in ("", str(status)) else CallRefused)


def _first_line(message: str) -> str:
    """Only the first line: below it AWS repeats the request that should have been signed, session token and all."""
    return redact(message[:_LOOKED_AT].strip().partition("\n")[0])[:_LONGEST_QUOTE]


def _unanswered(error: BotoCoreError) -> ProviderError:
    from botocore import exceptions as botocore

    missing = (
        botocore.NoCredentialsError,
        botocore.PartialCredentialsError,
        botocore.ProfileNotFound,
        botocore.SSOError,
        botocore.TokenRetrievalError,
    )
    passing = (
        botocore.HTTPClientError,
        botocore.ConnectionError,
        botocore.CredentialRetrievalError,
        botocore.IncompleteReadError,
        botocore.MetadataRetrievalError,
    )
    reason = f"{type(error).__name__}: {_first_line(str(error))}"
    if isinstance(error, missing):
        return CredentialsRefused(reason, about="account")
    return RetryLater(reason) if isinstance(error, passing) else CallRefused(reason)

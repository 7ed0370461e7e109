"""What AWS says, in sentences that name the remedy."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from multicdn import DOCS
from multicdn.errors import MulticdnError
from multicdn.installer.retries import WAITED, is_unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.exceptions import ClientError

_LONGEST_QUOTE = 300  # characters

_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
_UNKNOWN = (
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "AuthFailure",
)
_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Forbidden", "403")

# Where the permission isn't called as the operation is: service authorization reference, Amazon S3.
_PERMISSIONS = {
    "GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "PutBucketNotificationConfiguration": "s3:PutBucketNotification",
    "HeadBucket": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "HeadObject": "s3:GetObject",
    "DeleteObjects": "s3:DeleteObject",
    "PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
}


class InstallError(MulticdnError):
    """Installing can't go on; the text says why, and what to do."""


class PassingError(InstallError):
    """The same, for a reason that passes; what was made so far is as right as before."""


class PassedOverError(InstallError):
    """A bucket isn't there, or isn't of this account and region, so that nothing of ours can be in it."""


@contextlib.contextmanager
def translated(doing: str, service: str) -> Iterator[None]:
    """Turn what boto3 raises into ``InstallError``.

    Args:
        doing: what was tried, to stand after "while".
        service: prefix of the permissions in question, such as ``s3``.
    """
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        NoCredentialsError,
        PartialCredentialsError,
        ProfileNotFound,
    )
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as error:
        kind = PassingError if code(error) in _EXPIRED or WAITED in error.response.get("Error", {}) else InstallError
        raise kind(_explained(error, doing, service)) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise InstallError(
            "no AWS credentials found; sign in (`aws sso login`, AWS_PROFILE) and run it again"
        ) from error
    except ProfileNotFound as error:
        raise InstallError(
            f"{error}: AWS_PROFILE names it; `aws configure list-profiles` lists those that there are"
        ) from error
    except ResponseParserError as error:
        # Below its first line it repeats the answer, which is somebody's page.
        said = str(error).partition("\n")[0][:_LONGEST_QUOTE]
        raise PassingError(f"what answered isn't AWS, while {doing} ({said}); look at the proxy") from error
    except BotoCoreError as error:
        if is_unreachable(error):
            raise PassingError(f"AWS can't be reached, while {doing}: {error}") from error
        raise InstallError(f"{error}, while {doing}") from error


def code(error: ClientError) -> str:
    """AWS's short name of an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_denied(error: ClientError) -> bool:
    """Whether a permission is missing."""
    return code(error) in _DENIED


def is_no_queue(error: ClientError) -> bool:
    """Whether SQS knows no such queue; the older of its protocols has another word for it."""
    return "NonExistentQueue" in code(error) or "QueueDoesNotExist" in code(error)


def _explained(error: ClientError, doing: str, service: str) -> str:
    waited = error.response.get("Error", {}).get(WAITED)
    if waited:
        return f"{waited} ({_said(error)}), while {doing}; run it again later"
    name, said = code(error), str(error.response.get("Error", {}).get("Message", ""))
    if name in _EXPIRED:
        return "the AWS credentials have expired; sign in again (`aws sso login`) and run it again"
    if name in _UNKNOWN:
        return f"AWS doesn't accept the credentials ({name}); see which are used with `aws sts get-caller-identity`"
    if name in _DENIED:
        operation = error.operation_name
        permission = _PERMISSIONS.get(operation, f"{service}:{operation}")
        return f"not allowed: {permission}, while {doing}; {DOCS}/install.md lists what the installer needs ({said})"
    return f"{_said(error)}, while {doing}"


def _said(error: ClientError) -> str:
    return f"{code(error)}: {error.response.get('Error', {}).get('Message', '')}"

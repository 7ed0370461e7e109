"""What AWS says, in sentences that name the remedy."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from multicdn import DOCS
from multicdn.errors import MulticdnError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.exceptions import ClientError

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
        EndpointConnectionError,
        HTTPClientError,
        NoCredentialsError,
        PartialCredentialsError,
    )

    try:
        yield
    except ClientError as error:
        raise InstallError(_explained(error, doing, service)) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise InstallError(
            "no AWS credentials found; sign in (`aws sso login`, AWS_PROFILE) and run it again"
        ) from error
    except (EndpointConnectionError, HTTPClientError) as error:
        raise InstallError(f"AWS can't be reached, while {doing}: {error}") from error
    except BotoCoreError as error:
        raise InstallError(f"{error}; while {doing}") from error


def code(error: ClientError) -> str:
    """AWS's short name of an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_denied(error: ClientError) -> bool:
    """Whether a permission is missing."""
    return code(error) in _DENIED


def _explained(error: ClientError, doing: str, service: str) -> str:
    name, said = code(error), str(error.response.get("Error", {}).get("Message", ""))
    if name in _EXPIRED:
        return "the AWS credentials have expired; sign in again (`aws sso login`) and run it again"
    if name in _UNKNOWN:
        return f"AWS doesn't accept the credentials ({name}); see which are used with `aws sts get-caller-identity`"
    if name in _DENIED:
        operation = error.operation_name
        permission = _PERMISSIONS.get(operation, f"{service}:{operation}")
        return f"not allowed: {permission}, while {doing}; {DOCS}/install.md lists what the installer needs ({said})"
    return f"{name}: {said}; while {doing}"

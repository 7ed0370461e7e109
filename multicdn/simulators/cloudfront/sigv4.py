"""Check AWS Signature Version 4 as a service does: compute it anew from the known secret and compare.

Algorithm: IAM User Guide, "Create a signed AWS API request". Errors and status: "Common errors" of the API references.
"""

from __future__ import annotations

import calendar
import hashlib
import hmac
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from multicdn.simulators.cloudfront.errors import ApiError

if TYPE_CHECKING:
    from multicdn.simulators.kit.http_server import Request

_ALGORITHM = "AWS4-HMAC-SHA256"
_LONGEST_SKEW = 300.0  # seconds that the clocks of client and service may differ
_AUTHORIZATION = re.compile(
    rf"{_ALGORITHM}\s+Credential=(?P<key>[^/,\s]+)/(?P<date>\d{{8}})/(?P<region>[^/,]+)/(?P<service>[^/,]+)/aws4_request,"
    r"\s*SignedHeaders=(?P<headers>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key. With a session token it is a temporary one, which is only valid together with the token."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


def authenticate(request: Request, credentials: AccessKey, *, region: str, service: str, now: float) -> None:
    """Check that a request is signed with these credentials for this service, at about this time.

    Raises:
        ApiError: it isn't.
    """
    header = request.headers.get("Authorization")
    if header is None:
        raise ApiError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
    match = _AUTHORIZATION.fullmatch(header.strip())
    if match is None or "X-Amz-Date" not in request.headers:
        raise ApiError("IncompleteSignature", "Authorization header or X-Amz-Date is missing a part", 400)
    _check_key(request, match, credentials)
    _check_scope(match, region, service)
    _check_time(request.headers["X-Amz-Date"], now)
    _check_signature(request, match, credentials.secret_key)


def _check_key(request: Request, match: re.Match[str], credentials: AccessKey) -> None:
    token = request.headers.get("X-Amz-Security-Token", "")
    if match["key"] != credentials.access_key or token != credentials.session_token:
        raise ApiError("InvalidClientTokenId", "The security token included in the request is invalid.", 403)


def _check_scope(match: re.Match[str], region: str, service: str) -> None:
    if match["region"] != region:
        raise _mismatch(f"Credential should be scoped to a valid region ({region}).")
    if match["service"] != service:
        raise _mismatch(f"Credential should be scoped to correct service: '{service}'.")


def _check_time(stamp: str, now: float) -> None:
    try:
        signed_at = calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise ApiError("IncompleteSignature", f"X-Amz-Date {stamp!r} is no date", 400) from None
    if abs(now - signed_at) > _LONGEST_SKEW:
        raise _mismatch(f"Signature expired: {stamp} is more than 5 minutes off")


def _check_signature(request: Request, match: re.Match[str], secret: str) -> None:
    canonical = _canonical(request, match["headers"])
    if not hmac.compare_digest(match["signature"], _signature(canonical, request, match, secret)):
        # The real text goes on like this too: it shows the signed headers, and with them the session token.
        message = (
            "The request signature we calculated does not match the signature you provided. Check your key and signing"
            f" method.\n\nThe Canonical String for this request should have been\n'{canonical}'"
        )
        raise _mismatch(message)


def _mismatch(message: str) -> ApiError:
    return ApiError("SignatureDoesNotMatch", message, 403)


def _canonical(request: Request, names: str) -> str:
    path = quote(request.path, safe="/~")  # what is escaped already is escaped again; only S3 differs
    pairs = sorted(part if "=" in part else f"{part}=" for part in request.query.split("&") if part)
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in names.split(";"))
    payload = hashlib.sha256(request.body).hexdigest()
    return "\n".join((request.method, path, "&".join(pairs), headers, names, payload))


def _signature(canonical: str, request: Request, match: re.Match[str], secret: str) -> str:
    scope = f"{match['date']}/{match['region']}/{match['service']}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = "\n".join((_ALGORITHM, request.headers["X-Amz-Date"], scope, digest))
    return hmac.digest(key, text.encode(), "sha256").hex()

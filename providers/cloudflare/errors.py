"""What Cloudflare's answers mean, in the errors of the provider contract.

Codes: the vendor's API pages, and the issue trackers of its clients.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from multicdn.provider import CallRefused, CredentialsRefused, ProviderError, RetryLater, TargetsRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import cloudflare
    import httpx

    from multicdn.provider import Call

_NO_URL_PURGE = 1136  # this environment selects its requests by address, country or threat score

_BY_CODE: dict[int, type[ProviderError]] = {
    971: RetryLater,  # throttle your request speed
    1015: RetryLater,  # unable to purge, as 1016, 1017 and 1084
    1016: RetryLater,
    1017: RetryLater,
    1083: RetryLater,  # purge rate limit reached
    1084: RetryLater,
    10429: RetryLater,
    1012: CallRefused,  # no selector, not true, not an array: our body is wrong, whatever the targets
    1013: CallRefused,
    1014: CallRefused,
    7000: CallRefused,  # no such route
    7003: CallRefused,  # the zone's id is malformed
    1082: TargetsRefused,  # a URL of another zone
    _NO_URL_PURGE: TargetsRefused,
    6003: CredentialsRefused,  # malformed authentication header
    10000: CredentialsRefused,
    10502: CredentialsRefused,  # too many failed authentications
}
_BY_STATUS: dict[int, type[ProviderError]] = {
    400: TargetsRefused,
    401: CredentialsRefused,
    403: CredentialsRefused,
    408: RetryLater,
    409: RetryLater,
    413: TargetsRefused,
    414: TargetsRefused,
    422: TargetsRefused,
    425: RetryLater,
}


def accepted_id(answer: httpx.Response, request: str, targets: Sequence[str], hide: Callable[[str], str]) -> str:
    """Return the id of a purge that was accepted; empty where Cloudflare gives none.

    Args:
        answer: of whatever status. Cloudflare may say 200 and still have failed, which the SDK's own parsing turns
            into None.
        request: what was asked, for the text of an error.
        targets: of the call.
        hide: takes out of a text what must not be shown.

    Raises:
        ProviderError: it was not.
    """
    envelope = _envelope(answer)
    if answer.is_success and envelope.get("success") is True:
        result = envelope.get("result")
        return str(result.get("id") or "") if isinstance(result, dict) else ""
    # The error path alone pays for importing requests, which the SDK does without.
    from multicdn.http import Answer

    codes = list(_codes(envelope))
    reason = Answer(answer.status_code, answer.headers, answer.content, request, hide).reason
    meaning = _meaning(answer, codes)
    if issubclass(meaning, RetryLater):
        raise meaning(reason, after=_wait(answer.headers))
    if issubclass(meaning, TargetsRefused):
        raise meaning(reason, targets=targets if _NO_URL_PURGE in codes else ())
    if answer.is_redirect:
        raise meaning(f"{reason}; redirects are never followed with credentials, correct `endpoint`")
    raise meaning(reason)


def cause_of(error: cloudflare.APIConnectionError, call: Call) -> str:
    """Say why there was no answer, by the class alone: texts of such errors may repeat headers."""
    import httpcore

    cause = error.__cause__
    if isinstance(cause, httpcore.ConnectTimeout):
        return f"no connection within {min(call.connect, call.read):.1f} s"
    if isinstance(cause, httpcore.TimeoutException):
        return f"no answer within {call.read:.1f} s"
    return f"connection failed ({type(cause).__name__})"


def _envelope(answer: httpx.Response) -> dict[str, Any]:
    try:
        value = json.loads(answer.content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _codes(problem: object) -> Iterator[int]:
    """Walk an envelope to its error codes, those of nested chains included."""
    if isinstance(problem, list):
        for item in problem:
            yield from _codes(item)
    elif isinstance(problem, dict):
        if isinstance(problem.get("code"), int):
            yield problem["code"]
        yield from _codes(problem.get("errors"))
        yield from _codes(problem.get("error_chain"))


def _meaning(answer: httpx.Response, codes: Sequence[int]) -> type[ProviderError]:
    if answer.is_server_error or answer.status_code == 429:
        return RetryLater
    if answer.is_redirect:
        return CallRefused
    known = [_BY_CODE[code] for code in codes if code in _BY_CODE]
    # A success that can't be read or that names no known code isn't one: somebody between us may have answered.
    otherwise = RetryLater if answer.is_success else CallRefused
    return known[0] if known else _BY_STATUS.get(answer.status_code, otherwise)


def _wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks us to wait; the SDK itself would ignore any above 60."""
    from multicdn.http import retry_after

    seconds = retry_after(headers)
    if seconds is not None:
        return seconds
    # Ratelimit: "default";r=0;t=42 says in how many seconds the window starts anew.
    reset = re.search(r";\s*t=(\d{1,9})\b", headers.get("Ratelimit", ""))
    return float(reset[1]) if reset else None

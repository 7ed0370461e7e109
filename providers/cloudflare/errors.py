"""What Cloudflare's answers mean, in the errors of the provider contract.

Codes: the vendor's API pages, and the issue trackers of its clients.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from multicdn.provider import About, CallRefused, CredentialsRefused, ProviderError, RetryLater, TargetsRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import cloudflare
    import httpx

    from multicdn.provider import Call

_NO_URL_PURGE = 1136  # this environment selects its requests by address, country or threat score

_BY_CODE: dict[int, type[ProviderError]] = {
    971: RetryLater,  # throttle your request speed
    1083: RetryLater,  # purge rate limit reached
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
    1107: CallRefused,  # the zone's plan has no purge by tag
}
_ABOUT_KIND = (1012, 1013, 1014, 1107)

_BEFORE_NAME = " \n\"'("
_END_OF_NAME = re.compile(r"[.,;:)]{0,4}(?:[\s\"']|\Z)")
_LONGEST_SAID = 4096  # characters: each of 500 targets is looked for in it

# Unable to purge, any or all: they stand beside the error that says why, before or behind it (cloudflare/
# Cloudflare-WordPress#429), and 1016 alone with status 200 for a batch with a bad URL.
_COMPANIONS = frozenset({1015, 1016, 1017, 1084})
_TOO_LARGE = (413, 414)  # whoever says so
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

    Raises:
        ProviderError: as in ``result_of``.
    """
    return str(result_of(answer, request, targets, hide).get("id") or "")


def result_of(
    answer: httpx.Response, request: str, targets: Sequence[str], hide: Callable[[str], str]
) -> dict[str, Any]:
    """Return the result of a call that was accepted; empty where there is none.

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
        return result if isinstance(result, dict) else {}
    # The error path alone pays for importing requests, which the SDK does without.
    from multicdn.http import Answer

    reason = Answer(answer.status_code, answer.headers, answer.content, request, hide).reason
    # Only what stands in its envelope: gateways answer {"code": 400, "message": ...} as well.
    raise _refusal(answer, list(_errors(envelope.get("errors"))), reason, targets)


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


class _Error(NamedTuple):
    code: int
    message: str


def _errors(problem: object) -> Iterator[_Error]:
    """Walk an envelope to its errors, those of nested chains included."""
    if isinstance(problem, list):
        for item in problem:
            yield from _errors(item)
    elif isinstance(problem, dict):
        if isinstance(problem.get("code"), int):
            yield _Error(problem["code"], str(problem.get("message") or ""))
        yield from _errors(problem.get("errors"))
        yield from _errors(problem.get("error_chain"))


def _refusal(answer: httpx.Response, errors: Sequence[_Error], reason: str, targets: Sequence[str]) -> ProviderError:
    specific = [error for error in errors if error.code not in _COMPANIONS]
    meaning = _meaning(answer, errors, specific, targets)
    if issubclass(meaning, RetryLater):
        if answer.is_redirect:
            reason = f"{reason}; redirects are never followed with credentials, correct `endpoint`"
        return meaning(reason, after=_wait(answer.headers))
    codes = [error.code for error in specific]
    if issubclass(meaning, TargetsRefused):
        return meaning(reason, targets if _NO_URL_PURGE in codes else named(specific, targets))
    if issubclass(meaning, CallRefused):
        return meaning(reason, _about(answer, codes))
    return meaning(reason)


def _meaning(
    answer: httpx.Response, errors: Sequence[_Error], specific: Sequence[_Error], targets: Sequence[str]
) -> type[ProviderError]:
    # Without one of its errors an answer isn't Cloudflare's, or can't be read: somebody between us may have answered.
    if answer.is_server_error or answer.status_code == 429 or answer.is_redirect or not errors:
        return TargetsRefused if answer.status_code in _TOO_LARGE else RetryLater
    known = [_BY_CODE[error.code] for error in specific if error.code in _BY_CODE]
    if known:
        return known[0]
    if specific and not answer.is_success:
        return _BY_STATUS.get(answer.status_code, CallRefused)
    # It doesn't say why. One bad target is reason enough, and is found among the others; alone, it may yet pass.
    return TargetsRefused if len(targets) > 1 else RetryLater


def _about(answer: httpx.Response, codes: Iterable[int]) -> About | None:
    first = next((code for code in codes if code in _BY_CODE), 0)
    if first in _ABOUT_KIND:
        return "kind"
    return "account" if first or answer.status_code == 401 else None


def named(errors: Iterable[_Error], targets: Sequence[str]) -> list[str]:
    """The targets that errors name, by their URL, or else by their path, or else by their host.

    A text counts where it stands as a whole: one URL may be the beginning of another, one path the end of another. In
    "Unable to purge/path/to/image.jpg, which is an invalid URL." (cloudflare/cloudflare-docs#25277) no space is before
    the path.
    """
    said = "\n".join(error.message for error in errors)[:_LONGEST_SAID]
    starts = [place for place in range(len(said)) if _is_start(said, place)]
    ends = {place for place in range(len(said) + 1) if _END_OF_NAME.match(said, place)}
    for part in (_url, _path, _host):
        texts = {target: part(target) for target in targets}
        found = {
            text
            for text in filter(None, set(texts.values()))
            if any(said.startswith(text, start) and start + len(text) in ends for start in starts)
        }
        if found:
            return [target for target, text in texts.items() if text in found]
    return []


def _is_start(said: str, place: int) -> bool:
    after = place == 0 or said[place - 1] in _BEFORE_NAME or said.endswith("purge", 0, place)
    return after and said[place] not in _BEFORE_NAME


def _url(target: str) -> str:
    return str(json.loads(target)["url"]) if target.startswith("{") else target


def _path(target: str) -> str:
    path = urlsplit(_url(target)).path
    return path if len(path) > 1 else ""


def _host(target: str) -> str:
    url = _url(target)
    return urlsplit(url if "://" in url else f"//{url}").hostname or ""


def _wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks us to wait; the SDK itself would ignore any above 60."""
    from multicdn.http import retry_after

    seconds = retry_after(headers)
    if seconds is not None:
        return seconds
    # Ratelimit: "default";r=0;t=42 says in how many seconds the window starts anew.
    reset = re.search(r";\s*t=(\d{1,9})\b", headers.get("Ratelimit", ""))
    return float(reset[1]) if reset else None

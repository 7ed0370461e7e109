"""What Fast Purge and the gateway before it say.

Facts: techdocs.akamai.com/purge-cache/reference (400, 403, 429, rate-limiting), the examples in akamai/akamai-apis.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from multicdn.http import Answer, retry_after
from multicdn.provider import CallRefused, CredentialsRefused, ProviderError, Receipt, RetryLater, TargetsRefused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PAUSE = 5.0  # seconds after a 429: https://techdocs.akamai.com/purge-cache/reference/429
# Refusals, and members of which both kinds of problem have some: other bodies are of somebody in between.
_REFUSING, _MEMBERS_OF_PROBLEMS = (401, 403, 404, 422), {"httpStatus", "status", "title"}
_URL = re.compile(r'https?://[^\s"<>]+')


def receipt(answer: Answer) -> Receipt:
    """Read the answer to an accepted purge.

    Raises:
        RetryLater: it isn't one.
    """
    if not answer.text("purgeId"):
        message = f"{answer.reason} (no purgeId: this isn't Fast Purge's answer)"
        raise RetryLater(message)
    estimate = number(answer.json().get("estimatedSeconds"))
    return Receipt(
        id=answer.text("purgeId"), estimate=estimate, note=answer.text("supportId"), pause=_pause(answer.headers)
    )


def refusal(answer: Answer, kind: str, targets: Sequence[str]) -> ProviderError | None:
    """Read an answer that isn't a success; None where its status says it all.

    Args:
        answer: of Fast Purge, whose problems have a ``httpStatus``, or of the gateway, whose have a ``status``.
        kind: of objects: url, tag or cpcode.
        targets: of the call. If one is bad all are refused, and ``detail`` may name the bad one.
    """
    problem = answer.problem
    if answer.body and answer.status in _REFUSING and not problem.keys() & _MEMBERS_OF_PROBLEMS:
        return RetryLater(answer.reason)
    match answer.status:
        case 400:
            return _malformed(answer, problem, targets)
        case 403 if _said(problem, "title") == "unauthorized arl":
            return TargetsRefused(answer.reason, _named(problem, targets))
        case 403 if "httpStatus" in problem and kind != "url":
            # Tags and CP codes are granted one by one, and apart from URLs: identity-management, purgeOptions.
            return CredentialsRefused(answer.reason, about="kind")
        case 429:
            return _throttled(answer, problem, targets)
        case 507:  # listed without a text; in older pages a full queue
            return RetryLater(answer.reason, after=max(_PAUSE, retry_after(answer.headers) or 0.0))
    return None


def _malformed(answer: Answer, problem: Mapping[str, Any], targets: Sequence[str]) -> ProviderError:
    if not problem.keys() & _MEMBERS_OF_PROBLEMS:
        # A firewall's page (the vendor's own answers 400 to too many requests) says nothing against the targets.
        return RetryLater(answer.reason, after=_PAUSE)
    if "httpStatus" not in problem:
        if "timestamp" in _said(problem, "detail"):
            # The next try is signed anew, and maybe on a machine with a better clock: no reason to give up.
            return RetryLater(f"{answer.reason}; this machine's clock is off by over 30 s, or the request was slow")
        return CredentialsRefused(answer.reason, about="account")
    if "invalid endpoint" in (_said(problem, "title"), _said(problem, "detail")):
        return CredentialsRefused(f"{answer.reason}; the API client or its host isn't for purging", about="account")
    return TargetsRefused(answer.reason, _named(problem, targets))


def _throttled(answer: Answer, problem: Mapping[str, Any], targets: Sequence[str]) -> ProviderError:
    size, limit = number(problem.get("rateLimitCurrentRequestSize")), number(problem.get("rateLimit"))
    if size is not None and limit is not None and size > limit:
        reason = f"{answer.reason}; this account's limit is {limit:.0f}, so {size:.0f} at once never pass"
        return TargetsRefused(reason) if len(targets) > 1 else CallRefused(reason, about="kind")
    waits = [*_refreshes(answer.headers), *_shortfall(answer, problem)]
    return RetryLater(answer.reason, after=min(waits) if waits else max(_PAUSE, retry_after(answer.headers) or 0.0))


def _refreshes(headers: Mapping[str, str]) -> list[float]:
    """Seconds until both buckets are full again: longer than needed, but what the vendor says."""
    names = ("X-Ratelimit-Seconds-To-Refresh-Limit", "X-Ratelimit-Seconds-To-Refresh-Limit-Objects")
    waits = [wait for wait in (number(headers.get(name)) for name in names) if wait is not None]
    return [max(waits)] if waits else []


def _pause(headers: Mapping[str, str]) -> float:
    """Seconds to leave after a call that emptied a bucket: until it is full, but no longer than after a 429."""
    waits = [0.0]
    for bucket in ("", "-Objects"):
        if headers.get(f"X-Ratelimit-Remaining{bucket}", "").strip() == "0":
            refresh = number(headers.get(f"X-Ratelimit-Seconds-To-Refresh-Limit{bucket}"))
            waits.append(_PAUSE if refresh is None else min(_PAUSE, refresh))
    return max(waits)


def _shortfall(answer: Answer, problem: Mapping[str, Any]) -> list[float]:
    """Seconds until the short bucket holds what this request needs; a tag bucket takes 600 to be full."""
    which = "" if _said(problem, "title") == "rate limit exceeded" else "-Objects"
    size, remaining = number(problem.get("rateLimitCurrentRequestSize")), number(problem.get("rateLimitRemaining"))
    pace = number(answer.headers.get(f"X-Ratelimit-Limit-Per-Second{which}"))
    if size is None or remaining is None or not pace:
        return []
    return [max(_PAUSE, (size - remaining) / pace)]


def _named(problem: Mapping[str, Any], targets: Sequence[str]) -> list[str]:
    """The targets that a problem names. Whole words only: one URL may be the beginning of another."""
    detail = str(problem.get("detail") or "").strip()
    words = {detail, *_URL.findall(detail)}
    return [target for target in targets if target in words]


def _said(problem: Mapping[str, Any], member: str) -> str:
    return str(problem.get(member) or "").strip().lower()


def number(value: object) -> float | None:
    """A number that is none below 0, from JSON or from a header."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None

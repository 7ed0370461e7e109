"""What proves that Akamai would purge: the state of the budgets, which takes the same credentials. For people alone.

POST /ccu/v3/rate-limit-status/KIND purges nothing (techdocs.akamai.com/purge-cache/reference/rate-limiting). Older
descriptions of the API lack it. Which hosts, tags and CP codes the client may purge is written in Control Center alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multicdn.diagnosis import Finding, ok, unknown, warning
from multicdn.provider import CallRefused, CredentialsRefused, RetryLater, TargetKind

from .answers import number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from multicdn.diagnosis import Usage
    from multicdn.http import Answer

    from . import Akamai

_NOT_THERE = (": 404:", ": 405:")
_OF_KIND = {TargetKind.URL: "url", TargetKind.TAG: "tag", TargetKind.EVERYTHING: "cpcode"}
_GRANTED = {
    TargetKind.URL: "that the API client may purge the hosts of the routes",
    TargetKind.TAG: "that the API client has canPurgeByCacheTag",
    TargetKind.EVERYTHING: "that the API client has canPurgeByCpcode, and access to the CP codes",
}


def findings(provider: Akamai, use: Usage, ask: Callable[[str], Answer]) -> Iterator[Finding]:
    """Ask for the budget of each kind that is purged.

    Args:
        provider: whose.
        use: what purges are needed.
        ask: posts nothing to a path of the API, and returns whatever answer it has.

    Raises:
        ProviderError: the credentials aren't accepted, or there is no answer.
    """
    for kind in (kind for kind in _OF_KIND if use.purges(kind)):
        operation = f"POST /ccu/v3/rate-limit-status/{_OF_KIND[kind]}"
        try:
            answer = ask(f"/ccu/v3/rate-limit-status/{_OF_KIND[kind]}")
        except CredentialsRefused:
            raise
        except (CallRefused, RetryLater) as error:
            if not any(status in error.reason for status in _NOT_THERE):
                raise
            yield unknown(f"{operation} isn't there, and nothing else is harmless: not provable without purging")
            return
        if not any(name.lower().startswith("x-ratelimit-") for name in answer.headers):
            raise RetryLater(f"no budget in the headers: this isn't Fast Purge's answer: {answer.reason}")
        yield ok(f"{operation}: the credentials are accepted, for {provider.network}{_left(answer)}")
        yield from _pace(provider, kind, answer)
        yield unknown(f"{_GRANTED[kind]} isn't provable without purging")


def _left(answer: Answer) -> str:
    left = number(answer.headers.get("X-Ratelimit-Remaining-Objects"))
    return "" if left is None else f"; {left:,.0f} objects are left of the budget"


def _pace(provider: Akamai, kind: TargetKind, answer: Answer) -> Iterator[Finding]:
    """An account may have less than others: its own numbers stand in the headers."""
    limits = {
        TargetKind.URL: provider.url_limits,
        TargetKind.TAG: provider.tag_limits,
        TargetKind.EVERYTHING: provider.everything_limits,
    }[kind]
    theirs = number(answer.headers.get("X-Ratelimit-Limit-Per-Second-Objects"))
    ours = limits.targets_per_second or (limits.calls_per_second or 0.0) * max(1, len(provider.cp_codes))
    if theirs is not None and theirs < ours * 0.99:
        yield warning(
            f"this account takes {theirs:g} {_OF_KIND[kind]} objects a second, and purges are paced for {ours:g}",
            "ask Akamai for the usual limits; until then some calls are throttled, and wait",
        )

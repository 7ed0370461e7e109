"""What proves that Fastly would purge: the token's own page, and the service's. For people alone.

https://www.fastly.com/documentation/reference/api/auth-tokens/user/ and .../reference/api/services/service/
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from multicdn.diagnosis import Finding, ending, failed, ok, unknown
from multicdn.provider import CallRefused, CredentialsRefused, RetryLater, TargetKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from multicdn.diagnosis import Usage
    from multicdn.http import Answer

_READING = {"global", "global:read"}


def findings(service: str, use: Usage, ask: Callable[[str], Answer]) -> Iterator[Finding]:
    """Look at the token, then at the service.

    Args:
        service: its id.
        use: what purges are needed.
        ask: gets a path below the API.

    Raises:
        ProviderError: the token isn't accepted, or there is no answer.
    """
    answer = ask("/tokens/self")
    token = answer.json()
    scope, services = token.get("scope"), token.get("services") or []
    if not isinstance(scope, str) or not isinstance(services, list):
        raise RetryLater(f"no scope and services: this isn't Fastly's answer: {answer.reason}")
    scopes = set(scope.split())
    yield _scope(scopes, use)
    yield from ending(token.get("expires_at"))
    yield from _service(service, [str(name) for name in services], scopes, ask)


def _scope(scopes: set[str], use: Usage) -> Finding:
    wanted = {"purge_all"} if use.purges(TargetKind.EVERYTHING) else set()
    if use.purges(TargetKind.URL) or use.purges(TargetKind.TAG):
        wanted.add("purge_select")
    shown = " ".join(sorted(scopes)) or "none"
    if "global" in scopes or wanted <= scopes:
        needed = f", and the routes need {' and '.join(sorted(wanted))}" if wanted else ""
        return ok(f"GET /tokens/self: the token is accepted, with scope {shown}{needed}")
    lacking = " and ".join(sorted(wanted - scopes))
    return failed(
        f"GET /tokens/self: the token is accepted, but its scope is {shown}: it lacks {lacking}",
        f"make a token with scope {' '.join(sorted(wanted))}, and store it in place of this one",
    )


def _service(service: str, opened: list[str], scopes: set[str], ask: Callable[[str], Answer]) -> Iterator[Finding]:
    if opened and service not in opened:
        yield failed(
            f"the token is limited to other services than {service}: {', '.join(opened)}",
            "add the service to those of the token, or correct `service`",
        )
    elif opened:
        yield ok(f"the token is limited to services, of which {service} is one")
    elif not scopes & _READING:
        yield unknown(f"that the service {service} exists isn't provable without purging: the token can't read")
    else:
        yield _look_at(service, ask)


def _look_at(service: str, ask: Callable[[str], Answer]) -> Finding:
    try:
        answer = ask(f"/service/{quote(service, safe='')}")
    except CredentialsRefused as error:
        return unknown(f"the service {service} can't be looked at: {error.reason}")
    except CallRefused as error:
        return failed(
            f"the token opens no service {service}: {error.reason}", "correct `service`, or use its own token"
        )
    if answer.text("id") != service:
        raise RetryLater(f"not that service: this isn't Fastly's answer: {answer.reason}")
    return ok(f"GET /service/{service}: it is {answer.text('name')}")

"""What proves that Fastly would purge: the token's own page, and the service's. For people alone.

https://www.fastly.com/documentation/reference/api/auth-tokens/user/ and .../reference/api/services/service/
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from multicdn.diagnosis import Finding, failed, ok, unknown, warning
from multicdn.provider import CallRefused, CredentialsRefused, TargetKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from multicdn.diagnosis import Usage
    from multicdn.http import Answer

_DAY = 86_400.0
_SOON = 30 * _DAY
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
    token = ask("/tokens/self").json()
    scopes = set(str(token.get("scope") or "").split())
    yield _scope(scopes, use)
    yield from _end(token.get("expires_at"))
    yield from _service(service, token, scopes, ask)


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


def _end(moment: Any) -> Iterator[Finding]:
    """A token may have a day on which it ends; none is the default."""
    try:
        left = datetime.fromisoformat(str(moment).replace("Z", "+00:00")).timestamp() - time.time()
    except ValueError:
        return
    if left < _SOON:
        yield warning(
            f"the token ends on {moment}, in {max(0.0, left) / _DAY:.0f} days", "make a new token, and store it"
        )


def _service(service: str, token: dict[str, Any], scopes: set[str], ask: Callable[[str], Answer]) -> Iterator[Finding]:
    opened = [str(name) for name in token.get("services") or ()]
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
        name = ask(f"/service/{quote(service, safe='')}").text("name")
    except CredentialsRefused as error:
        return unknown(f"the service {service} can't be looked at: {error.reason}")
    except CallRefused as error:
        return failed(
            f"the token opens no service {service}: {error.reason}", "correct `service`, or use its own token"
        )
    return ok(f"GET /service/{service}: it is {name}")

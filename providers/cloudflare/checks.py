"""What proves that Cloudflare would purge: the zone's page, and the token's. For people alone.

https://developers.cloudflare.com/api/resources/zones/methods/get/ (Cache Purge alone opens it),
.../user/subresources/tokens/methods/verify/ and, for tokens that an account owns,
.../accounts/subresources/tokens/methods/verify/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multicdn.diagnosis import Finding, ending, failed, ok, unknown, warning
from multicdn.provider import CallRefused, CredentialsRefused, ProviderError, RetryLater, TargetKind

from .plans import PLANS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from multicdn.diagnosis import Usage

    from . import Cloudflare

    Look = Callable[[str], dict[str, Any]]

# Code 9109, which other refusals have as well (jeessy2/ddns-go#1341).
_ELSEWHERE = "from location"
_CACHE_KEYS = "https://developers.cloudflare.com/cache/how-to/cache-keys/"


def without_network(provider: Cloudflare, use: Usage) -> Iterator[Finding]:
    """What the options tell."""
    if use.purges(TargetKind.URL) and not any("origin" in map(str.lower, one) for one in provider.variants):
        yield warning(
            "the default cache key has the request header Origin: copies that browsers fetched with one (fonts, "
            f"modules, fetch) stay after a purge by URL ({_CACHE_KEYS})",
            "purge these by prefix or tag; or list the origins: variants: [{}, {Origin: 'https://www.example.com'}]",
        )


def findings(provider: Cloudflare, use: Usage, look: Look) -> Iterator[Finding]:
    """Look at the zone, then at the token.

    Args:
        provider: whose.
        use: what purges are needed.
        look: gets what API v4 has below a path.

    Raises:
        ProviderError: the credentials aren't accepted, or there is no answer.
    """
    zone, refused = _zone(provider, look)
    if zone:
        yield ok(f"GET /zones/{provider.zone}: the credentials open the zone {zone.get('name')}")
        yield from _about(provider, zone, use)
    if provider.token is not None:
        yield from _token(str(_member(zone, "account", "id")), look, accepted=bool(zone))
    if refused is not None:
        yield refused
    if provider.environment is not None:
        yield from _environment(provider, provider.environment, look)
    if zone:
        yield unknown(
            "that they may purge (Cache Purge) isn't provable without purging: other rights open the zone too"
        )


def _zone(provider: Cloudflare, look: Look) -> tuple[dict[str, Any], Finding | None]:
    """The zone; or nothing, and why not."""
    try:
        zone = look(f"/zones/{provider.zone}")
    except RetryLater:
        raise
    except CredentialsRefused as error:
        if _ELSEWHERE in error.reason:
            return {}, unknown(
                f"the token isn't for calls from here, which tells nothing of the function: {error.reason}",
                "see that the token's client IP address filtering lets the function's addresses pass",
            )
        remedy = (
            "store the Global API Key that belongs to `email`, of a member of the zone's account; or make a token"
            if provider.token is None
            else "give the token Zone > Cache Purge on this zone (dash.cloudflare.com/profile/api-tokens)"
        )
        return {}, failed(f"the credentials don't open the zone {provider.zone}: {error.reason}", remedy)
    except ProviderError as error:
        remedy = "correct `zone`: the id stands on the zone's overview page"
        return {}, failed(f"there is no zone {provider.zone}: {error.reason}", remedy)
    if not zone.get("name"):
        raise RetryLater(f"GET /zones/{provider.zone}: no zone in the answer: something in between may have answered")
    return zone, None


def _about(provider: Cloudflare, zone: Mapping[str, Any], use: Usage) -> Iterator[Finding]:
    name = _ascii(str(zone.get("name") or ""))
    beside = [host for host in use.hosts if not f".{host}".endswith(f".{name}")] if name else []
    if beside:
        yield failed(
            f"not in the zone {name}: {', '.join(beside)}; Cloudflare refuses to purge them",
            "name another provider in their routes, with the zone that they are in",
        )
    if zone.get("paused") or zone.get("status") not in (None, "active"):
        state = "paused" if zone.get("paused") else zone.get("status")
        yield warning(f"the zone is {state}: Cloudflare serves nothing of it", "look at the zone's overview page")
    plan = str(_member(zone, "plan", "legacy_id"))
    if plan in PLANS and plan != provider.plan:
        yield _plan(plan, provider.plan)
    elif plan in PLANS:
        yield ok(f"the zone's plan is {plan}, by which purges are paced")
    else:
        yield unknown(f"the zone's plan is {plan or 'not told'}, and purges are paced for {provider.plan}")


def _ascii(name: str) -> str:
    """A zone's name as it stands in URLs: Cloudflare shows it to people."""
    try:
        return name.encode("idna").decode().lower()
    except UnicodeError:
        return name


def _plan(plan: str, configured: str) -> Finding:
    order = list(PLANS)
    text = f"the zone's plan is {plan}, and purges are paced for {configured}"
    if order.index(plan) < order.index(configured):
        return failed(f"{text}: Cloudflare refuses larger batches, and throttles", f"write `plan: {plan}`")
    return warning(f"{text}: slower than need be", f"write `plan: {plan}`")


def _token(account: str, look: Look, *, accepted: bool) -> Iterator[Finding]:
    """A token is verified where its owner's are: a user's, or an account's."""
    for path in ("/user/tokens/verify", *([f"/accounts/{account}/tokens/verify"] if account else [])):
        try:
            token = look(path)
        except CallRefused as error:
            if _ELSEWHERE in error.reason:
                return
            continue
        state = str(token.get("status"))
        if state == "active":
            end = token.get("expires_on")
            yield ok(f"GET {path}: the token is active{f' until {end}' if end else ''}")
            yield from ending(end)
        else:
            yield failed(f"GET {path}: the token is {state}", "make a new token, and store it in place of this one")
        return
    if not accepted:
        yield failed(
            "GET /user/tokens/verify: the token isn't accepted",
            "store a token that is active; has the stored value a line break, or is it a Global API Key (`key`)?",
        )
    else:
        yield unknown(
            "whether the token ends some day can't be looked at: it is verified neither as a user's nor as an account's"
        )


def _environment(provider: Cloudflare, ref: str, look: Look) -> Iterator[Finding]:
    path = f"/zones/{provider.zone}/environments"
    try:
        listed = look(path).get("environments")
    except CallRefused as error:
        yield unknown(f"whether there is an environment {ref} can't be looked at: {error.reason}")
        return
    known = [str(one.get("ref")) for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    if ref in known:
        yield ok(f"GET {path}: the environment {ref} is there")
    else:
        remedy = f"correct `environment`; there are {', '.join(known) or 'none'}"
        yield failed(f"GET {path}: there is no environment {ref}", remedy)


def _member(value: Mapping[str, Any], *names: str) -> object:
    for name in names:
        found = value.get(name) if isinstance(value, dict) else None
        value = found if found is not None else {}
    return value or ""

"""What can be told of the config's providers: what they are used for, their secrets, their pace, what they say."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from multicdn.bounds import ANY_LENGTH, bounded
from multicdn.diagnosis import Finding, Usage, failed, ok, unknown, warning
from multicdn.errors import CredentialsRefused, SecretError
from multicdn.model import Action, TargetKind
from multicdn.provider import Call, Provider, PurgePrefixes, Secret, capability
from multicdn.routing.allowed import named_hosts
from multicdn.routing.route import MEMBERS
from multicdn.secrets import parse_reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from multicdn.config import Config
    from multicdn.oncall.checkup import Look

# Of each call; the whole has its own limit.
_CALL = Call(connect=3.0, read=10.0)


def offline(config: Config) -> dict[str, Look]:
    """Checks of the providers that need no network."""
    return {f"vendor {name}": partial(_known, config, name, provider) for name, provider in config.providers.items()}


def online(config: Config) -> dict[str, Look]:
    """Checks that read secrets, and ask vendors."""
    checks: dict[str, Look] = {}
    for secret, users in _secrets(config.providers).items():
        checks[f"secret {secret.reference}"] = partial(_resolved, secret, users)
    for name, provider in config.providers.items():
        checks[f"vendor {name} online"] = partial(_asked, config, name, provider)
    return checks


def use_of(config: Config, name: str) -> Usage:
    """What the routes have one provider instance do."""
    provider = config.providers[name]
    purging = [route for route in config.routes if name in route.purge]
    preloading = [route for route in config.routes if name in route.preload]
    asks = {(Action.PURGE, kind) for route in purging for member, kind in MEMBERS.items() if route.wants(member)}
    if isinstance(provider, PurgePrefixes) and any(route.collapse != "never" for route in purging):
        asks.add((Action.PURGE, TargetKind.PREFIX))
    if preloading:
        asks.add((Action.PRELOAD, TargetKind.URL))
    routes = list(dict.fromkeys((*purging, *preloading)))
    return Usage(
        asks=frozenset(asks),
        hosts=tuple(dict.fromkeys(host for route in routes for host in named_hosts(route))),
        buckets=tuple(dict.fromkeys(route.bucket for route in routes)),
    )


def _known(config: Config, name: str, provider: Provider) -> Iterator[Finding]:
    use = use_of(config, name)
    if not use.asks:
        yield warning("no route names it", f"name {name} in the `purge` of a route, or take it out")
    yield from _pace(config, provider, use)
    yield from _paced_apart(config, name)
    yield from provider.diagnose(use, None) or ()


def _pace(config: Config, provider: Provider, use: Usage) -> Iterator[Finding]:
    """How fast it goes, since each invocation that may run has its share of the vendor's rate."""
    shares = config.concurrency
    for action, kind in sorted(use.asks):
        way = capability(provider, action, kind)
        if way is None:
            continue
        limits = way.limits_of(provider)
        rates = [
            f"{_rate(rate, shares)} {what} a minute"
            for rate, what in ((limits.targets_per_second, "targets"), (limits.calls_per_second, "calls"))
            if rate is not None
        ]
        pace = f"at most {' and '.join(rates)}" if rates else "as fast as it answers"
        split = f", a share of 1/{shares} of the vendor's limit for each invocation" if rates and shares > 1 else ""
        yield ok(f"{action} by {kind}: {limits.targets:,} a call, {pace}{split}")


def _paced_apart(config: Config, name: str) -> Iterator[Finding]:
    """Vendors limit accounts; instances share a pace only where their plugin knows that they are of one."""
    kind = config.types[name]
    group = [other for other, its in config.types.items() if its == kind and _is_apart(config, name, other)]
    if group and name == min((name, *group), key=[*config.types].index):
        yield unknown(
            f"whether {_listed([name, *group])} are of one account: each is paced for all that the vendor gives one",
            f"if they are, have them share that: delivery.concurrency: {config.concurrency * (len(group) + 1)}",
        )


def _is_apart(config: Config, name: str, other: str) -> bool:
    """Whether two instances of a vendor have a pace each for the same thing."""
    one, two = config.providers[name], config.providers[other]
    for action, kind in use_of(config, name).asks & use_of(config, other).asks if name != other else ():
        ways = capability(one, action, kind), capability(two, action, kind)
        mine, theirs = (way.limits_of(each) if way else None for way, each in zip(ways, (one, two), strict=True))
        paced = mine and theirs and (mine.calls_per_second or mine.targets_per_second)
        if mine and theirs and paced and not (mine.quota and mine.quota == theirs.quota):
            return True
    return False


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _rate(rate: float, shares: int) -> str:
    share = rate * 60 / shares
    return f"{share:,.0f}" if share >= 10 else f"{share:.2g}"


def _resolved(secret: Secret, users: str) -> Iterator[Finding]:
    """A secret is read, and not shown: not even how long it is."""
    try:
        secret.reveal()
    except SecretError as error:
        what, _, remedy = str(error).partition("; ")
        if error.denied:
            yield unknown(
                f"it can't be read with your rights: {what}",
                "ask for the right to read it; IAM is asked whether the function has it",
            )
        elif error.passing:
            yield failed(f"{what}; {users} can't be called", "its source is out: run it again")
        else:
            yield failed(f"{what}; {users} can't be called", remedy or _where(secret))
    else:
        yield ok(f"it can be read from here, for {users}; whether the function may is asked of IAM")


def _where(secret: Secret) -> str:
    """How to give a secret its value."""
    scheme, name = parse_reference(secret.reference) or ("", "")
    match scheme:
        case "ssm" | "secretsmanager":
            return f"multicdn secret put {scheme}:{name}; or sign in to the account and region that have it"
        case "env":
            return f"set the variable {name} where this runs"
        case _:
            return "see that it is there, and may be read"


def _asked(config: Config, name: str, provider: Provider) -> Iterator[Finding]:
    said = False
    try:
        with bounded(_CALL.read * 3, ANY_LENGTH):
            for finding in provider.diagnose(use_of(config, name), _CALL) or ():
                said = True
                yield finding
    except CredentialsRefused as error:
        yield failed(f"the credentials aren't accepted: {error.reason}", _credentials(provider))
        return
    except SecretError as error:
        yield unknown(f"not asked: {str(error).partition('; ')[0]}", "see the line of that secret")
        return
    if not said:
        yield unknown(f"the plugin {config.types[name]} has no check: not provable without purging")


def _credentials(provider: Provider) -> str:
    """How to get credentials that are good: stored ones, or those of whoever asks."""
    needed = "; ".join(provider.permissions) or "what its documentation names"
    if not any(provider.secrets()):
        return f"it is asked with your own credentials: sign in again (`aws sso login`, AWS_PROFILE), with: {needed}"
    return f"store credentials with: {needed}"


def _secrets(providers: Mapping[str, Provider]) -> dict[Secret, str]:
    """Each secret once, and who uses it."""
    users: dict[Secret, list[str]] = {}
    for name, provider in providers.items():
        for secret in provider.secrets():
            users.setdefault(secret, []).append(name)
    return {secret: ", ".join(dict.fromkeys(names)) for secret, names in users.items()}

"""Cloudflare: hard and soft purge by URL, prefix, tag and host, and of whole zones, through the vendor's SDK."""

from __future__ import annotations

import json
import re
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from multicdn.errors import CallRefused, CredentialsRefused, ProviderError, RetryLater, TargetsRefused
from multicdn.provider import (
    Call,
    Limits,
    PurgeEverything,
    PurgeHosts,
    PurgePrefixes,
    PurgeTags,
    PurgeUrls,
    Receipt,
    Secret,
    SoftPurge,
    Speed,
    Target,
    TargetKind,
    option,
)
from multicdn.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import cloudflare
    import httpx

    from multicdn.model import Action


class _Plan(NamedTuple):
    urls_per_call: int
    urls_per_second: float
    calls_per_second: float  # of every kind but URLs
    burst: float  # calls that fit into its bucket


# https://developers.cloudflare.com/cache/how-to/purge-cache/#availability-and-limits (2026-09-29). The limits are an
# account's, shared by its zones of one plan and by hard and soft purges.
_PLANS = {
    "free": _Plan(100, 800, 5 / 60, 25),
    "pro": _Plan(100, 1500, 5, 25),
    "business": _Plan(100, 1500, 10, 50),
    "enterprise": _Plan(500, 3000, 50, 500),
}
_ITEMS_PER_CALL = 100
_LONGEST_TAG = 1024  # https://developers.cloudflare.com/cache/how-to/purge-cache/purge-by-tags/
_MOST_SEPARATORS = 31  # https://developers.cloudflare.com/cache/how-to/purge-cache/purge_by_prefix/
# Cloudflare names no limit. At 0.1 to 0.2 s an answer, 800 URLs a second need more than one call under way.
_PARALLEL = 4

_INSTANT = Speed(seconds=0.15, share="50 %", page="https://blog.cloudflare.com/instant-purge/")

_NO_URL_PURGE = 1136  # this environment selects its requests by address, country or threat score

# What an error code means for the batch, from the vendor's API pages and the issue trackers of its clients.
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


@dataclass(frozen=True, kw_only=True)
class Cloudflare(SoftPurge, PurgeUrls, PurgePrefixes, PurgeTags, PurgeHosts, PurgeEverything):
    """Cloudflare's cache, purged zone by zone through API v4.

    Accepted means just that: the answer doesn't say whether anything was cached, and its id can't be asked about.
    """

    docs: ClassVar[str] = "https://developers.cloudflare.com/cache/how-to/purge-cache/"
    permissions: ClassVar[tuple[str, ...]] = ("Zone > Cache Purge, on the zone",)
    # The figure is for these kinds alone; none is published for URLs and whole zones.
    speeds: ClassVar[Mapping[TargetKind, Speed]] = dict.fromkeys(
        (TargetKind.PREFIX, TargetKind.TAG, TargetKind.HOST), _INSTANT
    )
    example: ClassVar[Mapping[str, str]] = {
        "zone": "023e105f4ecef8ad9ca31a8372d0c353",
        "token": "${ssm:/multicdn/cloudflare/token}",
    }

    zone: str = option(help="id of the zone, 32 hexadecimal digits from its overview page")
    token: Secret | None = option(help="API token with the permission Cache Purge on the zone", default=None)
    email: str | None = option(help="account's e-mail address, only with `key`", default=None)
    key: Secret | None = option(help="legacy Global API Key, instead of `token`", default=None)
    environment: str | None = option(help="id of one Version Management environment; default: all", default=None)
    plan: Literal["free", "pro", "business", "enterprise"] = option(
        help="the zone's plan, on which its rate limits depend", default="free"
    )
    urls_per_call: int | None = option(help="URLs a call; default: all that the plan takes (100 or 500)", default=None)
    items_per_call: int = option(help="prefixes, tags or hosts a call", default=_ITEMS_PER_CALL)
    variants: tuple[dict[str, str], ...] = option(
        help="request headers of a custom cache key: each URL is purged once for each of these mappings; "
        "{} stands for a request without any of the headers",
        default=(),
        hash=False,
    )
    endpoint: str = option(
        help="base URL of the vendor's API, up to /client/v4", default="https://api.cloudflare.com/client/v4"
    )

    def __post_init__(self) -> None:
        """Refuse options that can't work together.

        Raises:
            ValueError: the sentence is for the author of the config file.
        """
        super().__post_init__()
        _check_id("zone", self.zone)
        if self.environment is not None:
            _check_id("environment", self.environment)
        self._check_credentials()
        _check_count("urls_per_call", self._urls_per_call, _PLANS[self.plan].urls_per_call, self.plan)
        _check_count("items_per_call", self.items_per_call, _ITEMS_PER_CALL, self.plan)

    def _check_credentials(self) -> None:
        if self.token is not None and (self.email or self.key is not None):
            message = "give either `token`, or `email` and `key`: Cloudflare ignores a token beside a key"
        elif self.token is None and not (self.email and self.key is not None):
            message = "no complete credentials: give `token`, or both `email` and `key`"
        else:
            return
        raise ValueError(message)

    @property
    def _urls_per_call(self) -> int:
        return _PLANS[self.plan].urls_per_call if self.urls_per_call is None else self.urls_per_call

    @property
    def url_limits(self) -> Limits:
        """Limits of ``purge_urls``, by plan."""
        pace = _PLANS[self.plan].urls_per_second
        return Limits(
            targets=self._urls_per_call, targets_per_second=pace, target_burst=max(pace, 500), parallel=_PARALLEL
        )

    @property
    def prefix_limits(self) -> Limits:
        """Limits of ``purge_prefixes``, by plan."""
        return self._limits(self.items_per_call)

    @property
    def tag_limits(self) -> Limits:
        """Limits of ``purge_tags``, by plan."""
        return self._limits(self.items_per_call, target_bytes=_LONGEST_TAG)

    @property
    def host_limits(self) -> Limits:
        """Limits of ``purge_hosts``, by plan."""
        return self._limits(self.items_per_call)

    @property
    def everything_limits(self) -> Limits:
        """Limits of ``purge_everything``, by plan."""
        return self._limits(1)

    def _limits(self, targets: int, target_bytes: int | None = None) -> Limits:
        plan = _PLANS[self.plan]
        return Limits(
            targets=targets,
            target_bytes=target_bytes,
            calls_per_second=plan.calls_per_second,
            burst=plan.burst,
            quota=f"cloudflare {self.zone}",
        )

    def locate(self, target: Target, action: Action) -> tuple[Target, ...]:
        """Spell a target for Cloudflare.

        A prefix loses its scheme, query and fragment, a host all but its name. With ``variants`` a URL becomes one
        target for each of them: the JSON object of the request body, as text.

        Raises:
            TargetsRefused: a prefix of too many segments, a tag that no header can carry, a value without a host.
        """
        del action
        if target.kind is TargetKind.URL:
            return tuple(Target(TargetKind.URL, value) for value in self._variants_of(target.value))
        spell = _SPELLING.get(target.kind)
        return (Target(target.kind, spell(target.value)) if spell else target,)

    def _variants_of(self, url: str) -> Iterator[str]:
        if not self.variants:
            yield url
        for headers in self.variants:
            yield json.dumps({"url": url, "headers": headers}, ensure_ascii=False, separators=(",", ":"))

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        """Drop these URLs, or mark them stale."""
        files = [json.loads(url) if url.startswith("{") else url for url in urls]
        return self._send({"files": files}, urls, call)

    def purge_prefixes(self, prefixes: Sequence[str], call: Call) -> Receipt:
        """Drop all below these prefixes, whatever its query, or mark it stale."""
        return self._send({"prefixes": list(prefixes)}, prefixes, call)

    def purge_tags(self, tags: Sequence[str], call: Call) -> Receipt:
        """Drop all whose ``Cache-Tag`` header has one of these tags, or mark it stale."""
        return self._send({"tags": list(tags)}, tags, call)

    def purge_hosts(self, hosts: Sequence[str], call: Call) -> Receipt:
        """Drop all of these hosts, or mark it stale."""
        return self._send({"hosts": list(hosts)}, hosts, call)

    def purge_everything(self, call: Call) -> Receipt:
        """Empty the zone or the configured environment, or mark all of it stale."""
        return self._send({"purge_everything": True}, (), call)

    def _send(self, selector: Mapping[str, object], targets: Sequence[str], call: Call) -> Receipt:
        answer = self._ask(selector, call)
        envelope = _envelope(answer)
        # Cloudflare may say 200 and still have failed, which the SDK's own parsing turns into None.
        if answer.is_success and envelope.get("success") is True:
            result = envelope.get("result")
            return Receipt(id=str(result.get("id") or "") if isinstance(result, dict) else "")
        raise self._error(answer, list(_codes(envelope)), targets, call)

    def _ask(self, selector: Mapping[str, object], call: Call) -> httpx.Response:
        """Return the answer, whatever its status.

        Raises:
            RetryLater: there was none.
        """
        import cloudflare
        import httpx

        purge = self._operation(self._client().cache.with_raw_response, call)
        limits = httpx.Timeout(call.read, connect=call.connect)
        try:
            answer: httpx.Response = purge(zone_id=self.zone, timeout=limits, **selector).http_response
        except cloudflare.APIStatusError as error:
            return error.response
        except cloudflare.APIConnectionError as error:
            reason = f"{self._request(call)}: {_failure(error, call)}"
        else:
            return answer
        # Outside the handler: the SDK's exceptions hold the request and thus the credentials; none may be chained.
        raise RetryLater(reason)

    def _operation(
        self, cache: cloudflare.resources.cache.cache.CacheResourceWithRawResponse, call: Call
    ) -> Callable[..., Any]:
        if self.environment is not None:
            operation = cache.invalidate_environment if call.soft else cache.purge_environment
            return partial(operation, self.environment)
        return cache.invalidate if call.soft else cache.purge

    def _client(self) -> cloudflare.Cloudflare:
        """Make the SDK's client for one call. It takes some 50 µs, and a rotated secret is used at once.

        The SDK takes what it isn't given from variables CLOUDFLARE_*, and an e-mail address or a key from there beats
        our token. So these three are set once more afterwards, to None where we have none.
        """
        import cloudflare

        client = cloudflare.Cloudflare(
            api_token="", base_url=self.endpoint, max_retries=0, http_client=self._connections
        )
        client.api_token, client.api_email, client.api_key = self._credentials()
        client._custom_headers = {}  # noqa: SLF001 - CLOUDFLARE_CUSTOM_HEADERS has no public switch
        return client

    def _credentials(self) -> tuple[str | None, str | None, str | None]:
        """Token, e-mail address and key; those that aren't configured are None."""
        token = None if self.token is None else _header("token", self.token.reveal())
        key = None if self.key is None else _header("key", self.key.reveal())
        return token, self.email and _header("email", self.email), key

    @cached_property
    def _connections(self) -> httpx.Client:
        import httpx

        client = httpx.Client(follow_redirects=False)
        weakref.finalize(self, client.close)
        return client

    def _error(self, answer: httpx.Response, codes: Sequence[int], targets: Sequence[str], call: Call) -> ProviderError:
        # The error path alone pays for importing requests, which the SDK does without.
        from multicdn.http import Answer

        reason = Answer(answer.status_code, answer.headers, answer.content, self._request(call), self._hide).reason
        meaning = _meaning(answer, codes)
        if issubclass(meaning, RetryLater):
            return meaning(reason, after=_wait(answer.headers))
        if issubclass(meaning, TargetsRefused):
            return meaning(reason, targets=targets if _NO_URL_PURGE in codes else ())
        if answer.is_redirect:
            return meaning(f"{reason}; redirects are never followed with credentials, correct `endpoint`")
        return meaning(reason)

    def _hide(self, text: str) -> str:
        return redact(text.replace(self.email, "[email]") if self.email else text)

    def _request(self, call: Call) -> str:
        environment = f"/environments/{self.environment}" if self.environment else ""
        operation = "invalidate_cache" if call.soft else "purge_cache"
        return f"POST {self.endpoint.rstrip('/')}/zones/{self.zone}{environment}/{operation}"


def _check_id(name: str, value: str) -> None:
    if not re.fullmatch(r"[0-9A-Za-z_-]+", value):
        message = f"{name} {value!r} is no id; names aren't looked up, give the id that the dashboard shows"
        raise ValueError(message)


def _check_count(name: str, count: int, most: int, plan: str) -> None:
    if not 1 <= count <= most:
        message = f"{name} is {count}; plan {plan} takes 1 to {most}"
        raise ValueError(message)


def _header(name: str, value: str) -> str:
    """Return a credential that can stand in a header; the errors for others would show it."""
    if re.fullmatch(r"[!-~]+", value):
        return value
    message = f"the {name} is empty or has characters that no header takes; has it a line break at its end?"
    raise CredentialsRefused(message)


def _prefix(value: str) -> str:
    path = re.split("[?#]", _without_scheme(value))[0].partition("/")[2]
    prefix = f"{_host(value)}/{path}"
    if prefix.count("/") > _MOST_SEPARATORS:
        message = f"prefix {value!r} has more than {_MOST_SEPARATORS} path separators"
        raise TargetsRefused(message, [value])
    return prefix


def _host(value: str) -> str:
    host = re.split("[/?#]", _without_scheme(value))[0].lower()
    if not host:  # nothing would be read as everything
        message = f"{value!r} names no host"
        raise TargetsRefused(message, [value])
    return host


def _without_scheme(value: str) -> str:
    return re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*://", "", value)


def _tag(value: str) -> str:
    if not re.fullmatch(r"[!-+\--~]+", value):  # the header Cache-Tag separates its tags with commas
        message = f"tag {value!r} is empty or has a space, a comma or a character outside printable ASCII"
        raise TargetsRefused(message, [value])
    if len(value) > _LONGEST_TAG:
        message = f"tag {value[:40]!r}… has {len(value)} characters; the API takes {_LONGEST_TAG}"
        raise TargetsRefused(message, [value])
    return value


_SPELLING: dict[TargetKind, Callable[[str], str]] = {
    TargetKind.PREFIX: _prefix,
    TargetKind.HOST: _host,
    TargetKind.TAG: _tag,
}


def _envelope(answer: httpx.Response) -> dict[str, Any]:
    try:
        value = json.loads(answer.content)
    except ValueError:
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
    reset = re.search(r";\s*t=(\d+)", headers.get("Ratelimit", ""))
    return float(reset[1]) if reset else None


def _failure(error: cloudflare.APIConnectionError, call: Call) -> str:
    """Say why there was no answer, by the class alone: texts of such errors may repeat headers."""
    import httpx

    cause = error.__cause__
    if isinstance(cause, httpx.ConnectTimeout):
        return f"no connection within {call.connect:.1f} s"
    if isinstance(cause, httpx.TimeoutException):
        return f"no answer within {call.read:.1f} s"
    return f"connection failed ({type(cause).__name__})"

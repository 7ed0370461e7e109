"""Cloudflare: hard and soft purge by URL, prefix, tag and host, and of whole zones, through the vendor's SDK."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

from multicdn.provider import (
    Action,
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

from .client import ApiCredentials, ZoneApi
from .plans import ITEMS_PER_CALL, PLANS
from .spelling import LONGEST_TAG, is_seen, located

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multicdn.diagnosis import Finding, Usage

_INSTANT = Speed(seconds=0.15, share="50 %", page="https://blog.cloudflare.com/instant-purge/")


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

    # None of some 120 products, only what the SDK imports with itself: 60 files instead of 6,200.
    bundled: ClassVar[Mapping[str, tuple[str, ...]]] = {"cloudflare.resources": (), "cloudflare.types": ("shared",)}

    zone: str = option(help="id of the zone, 32 hexadecimal digits from its overview page")
    token: Secret | None = option(help="API token with the permission Cache Purge on the zone", default=None)
    email: str | None = option(help="account's e-mail address, only with `key`", default=None)
    key: Secret | None = option(help="legacy Global API Key, instead of `token`", default=None)
    environment: str | None = option(help="id of one Version Management environment; default: all", default=None)
    plan: Literal["free", "pro", "business", "enterprise"] = option(
        help="the zone's plan, on which its rate limits depend", default="free"
    )
    urls_per_call: int | None = option(help="URLs a call; default: all that the plan takes (100 or 500)", default=None)
    items_per_call: int = option(help="prefixes, tags or hosts a call", default=ITEMS_PER_CALL)
    url_normalization: bool = option(
        help="whether the zone normalizes incoming URLs (Rules > Settings), as zones do unless told otherwise",
        default=True,
    )
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
        _check_count("urls_per_call", self._urls_per_call, PLANS[self.plan].urls_per_call, self.plan)
        _check_count("items_per_call", self.items_per_call, ITEMS_PER_CALL, self.plan)

    def _check_credentials(self) -> None:
        if self.token is not None and (self.email or self.key is not None):
            raise ValueError("give either `token`, or `email` and `key`: Cloudflare ignores a token beside a key")
        if self.token is None and not (self.email and self.key is not None):
            raise ValueError("no complete credentials: give `token`, or both `email` and `key`")

    @property
    def _urls_per_call(self) -> int:
        return PLANS[self.plan].urls_per_call if self.urls_per_call is None else self.urls_per_call

    @property
    def url_limits(self) -> Limits:
        """Limits of ``purge_urls``, by plan."""
        return PLANS[self.plan].url_limits(self._urls_per_call)

    @property
    def prefix_limits(self) -> Limits:
        """Limits of ``purge_prefixes``, by plan."""
        return PLANS[self.plan].item_limits(self.items_per_call, self.zone)

    @property
    def tag_limits(self) -> Limits:
        """Limits of ``purge_tags``, by plan."""
        return PLANS[self.plan].item_limits(self.items_per_call, self.zone, LONGEST_TAG)

    @property
    def host_limits(self) -> Limits:
        """Limits of ``purge_hosts``, by plan."""
        return PLANS[self.plan].item_limits(self.items_per_call, self.zone)

    @property
    def everything_limits(self) -> Limits:
        """Limits of ``purge_everything``, by plan."""
        return PLANS[self.plan].item_limits(1, self.zone)

    @cached_property
    def _api(self) -> ZoneApi:
        return ZoneApi(self.endpoint, self.zone, self.environment, ApiCredentials(self.token, self.email, self.key))

    def locate(self, target: Target, action: Action) -> tuple[Target, ...]:
        """Spell a target for Cloudflare.

        A URL is spelled as the cache sees it, and so is a prefix, which loses its scheme, query and fragment; a host
        loses all but its name. With ``variants`` a URL becomes one
        target for each of them: the JSON object of the request body, as text.

        Raises:
            TargetsRefused: a prefix of too many segments, a tag that no header can carry, a value without a host.
        """
        if target.kind is TargetKind.URL and not self.variants and is_seen(target.value):
            return (target,)
        [target] = super().locate(target, action)
        return located(target, self.variants, escapes=self.url_normalization)

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        """Drop these URLs, or mark them stale."""
        files = [json.loads(url) if url.startswith("{") else url for url in urls]
        return self._purge({"files": files}, urls, call)

    def purge_prefixes(self, prefixes: Sequence[str], call: Call) -> Receipt:
        """Drop all below these prefixes, whatever its query, or mark it stale."""
        return self._purge({"prefixes": list(prefixes)}, prefixes, call)

    def purge_tags(self, tags: Sequence[str], call: Call) -> Receipt:
        """Drop all whose ``Cache-Tag`` header has one of these tags, or mark it stale."""
        return self._purge({"tags": list(tags)}, tags, call)

    def purge_hosts(self, hosts: Sequence[str], call: Call) -> Receipt:
        """Drop all of these hosts, or mark it stale."""
        return self._purge({"hosts": list(hosts)}, hosts, call)

    def purge_everything(self, call: Call) -> Receipt:
        """Empty the zone or the configured environment, or mark all of it stale."""
        return self._purge({"purge_everything": True}, (), call)

    def prepare(self) -> None:
        """Load the SDK, and let it rehearse a purge."""
        self._api.prepare(*{False, self.soft})

    def diagnose(self, use: Usage, call: Call | None) -> Iterator[Finding]:
        """Look at the token, the zone, its plan, and what its cache key has."""
        from .checks import findings, without_network

        return without_network(self, use) if call is None else findings(self, use, lambda at: self._api.look(at, call))

    def _purge(self, selector: Mapping[str, object], targets: Sequence[str], call: Call) -> Receipt:
        return Receipt(id=self._api.purge(selector, targets, call))


def _check_id(name: str, value: str) -> None:
    if not re.fullmatch(r"[0-9A-Za-z_-]+", value):
        raise ValueError(f"{name} {value!r} is no id; names aren't looked up, give the id that the dashboard shows")


def _check_count(name: str, count: int, most: int, plan: str) -> None:
    if not 1 <= count <= most:
        raise ValueError(f"{name} is {count}; plan {plan} takes 1 to {most}")

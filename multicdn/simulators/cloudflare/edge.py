"""Cloudflare's edge: its cache keys, its tags, and how a purge matches them.

The real edge caches by file extension unless a Cache Rule says otherwise; this one behaves as with a rule that makes
everything eligible, which is what a site in a bucket needs.
"""

from __future__ import annotations

import copy
import hashlib
import re
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from multicdn.simulators.kit.cache import Entry, Url, cache_control
from multicdn.simulators.kit.edge import Edge
from multicdn.simulators.kit.http_server import Headers, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_LONGEST_TAG_HEADER = 16 * 1024  # https://developers.cloudflare.com/cache/how-to/purge-cache/purge-by-tags/
# https://developers.cloudflare.com/cache/how-to/configure-cache-status-code/ (what has no lifetime from the origin)
_TTL = 120 * 60.0
_TTL_OF_404 = 3 * 60.0

# https://developers.cloudflare.com/cache/how-to/cache-keys/: in the key wherever a request has them.
_KEY_HEADERS = (
    "origin",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-forwarded-host",
    "x-host",
    "x-forwarded-scheme",
    "x-original-url",
    "x-rewrite-url",
    "forwarded",
)
# An environment that selects its visitors by these can't be purged by URL.
_VISITOR_HEADERS = ("cf-connecting-ip", "cf-ipcountry")

# https://developers.cloudflare.com/rules/normalization/: the type of a zone's URL normalization, or that it has none.
Normalization = Literal["cloudflare", "rfc3986", "off"]
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_RESERVED = ":/?#[]@!$&'()*+,;="
_ESCAPE_OR_SIGN = re.compile(r"%[0-9A-Fa-f]{2}|[^%]")

_CACHE_STATUS = {"HIT": "HIT", "MISS": "MISS", "STALE": "UPDATING", "REVALIDATED": "REVALIDATED"}


@dataclass(frozen=True)
class Environment:
    """One Version Management environment: it has the requests whose header has a value.

    Attributes:
        ref: its id in the API.
        header, value: ``Host`` and a host name; ``CF-Connecting-IP`` and an address; ``CF-IPCountry`` and a country.
    """

    ref: str
    header: str
    value: str

    @property
    def by_visitor(self) -> bool:
        """Tell if it depends on the visitor, so that no URL alone belongs to it."""
        return self.header.lower() in _VISITOR_HEADERS


@dataclass(frozen=True)
class Zone:
    """One zone: a domain with all its subdomains. Its id, 32 hexadecimal digits, is made from the name if not given."""

    name: str
    account: str = "acme"
    plan: str = "free"
    environments: tuple[Environment, ...] = ()
    id: str = ""

    def __post_init__(self) -> None:
        """Give the zone an id."""
        if not self.id:
            object.__setattr__(self, "id", hashlib.sha256(self.name.encode()).hexdigest()[:32])

    def has(self, host: str) -> bool:
        """Tell if a host, with a port or without, is in this zone."""
        name = host.partition(":")[0].lower()
        return name == self.name or name.endswith(f".{self.name}")

    def environment_of(self, request: Request) -> str:
        """Id of the environment that answers a request; empty for production."""
        refs = (
            environment.ref
            for environment in self.environments
            if request.headers.get(environment.header, "") == environment.value
        )
        return next(refs, "")


class CloudflareEdge(Edge):
    """The edge of one environment. What it did is in ``CF-Cache-Status``, in the vendor's words.

    The cache sees normalized paths, the origin gets those of the clients. Whether the URLs of a purge are normalized as
    well is said for prefixes alone; here neither are, so that whoever purges has to spell them as the cache does.
    """

    def __init__(
        self,
        origin: str,
        *,
        clock: Callable[[], float],
        key_headers: Sequence[str] = (),
        normalization: Normalization = "cloudflare",
    ) -> None:
        self.normalization: Normalization = normalization
        super().__init__(origin, clock=clock, ttl=_TTL, negative_ttl=_TTL_OF_404)
        self._key_headers = tuple(dict.fromkeys((*_KEY_HEADERS, *map(str.lower, key_headers))))
        self._variant = ""

    def seen_with(self, headers: Headers) -> CloudflareEdge:
        """This edge, with the same cache, for requests that have these headers."""
        view = copy.copy(self)
        given = ((name, headers.get(name, "")) for name in self._key_headers)
        view._variant = "".join(f"\n{name}: {value}" for name, value in given if value)  # noqa: SLF001
        return view

    def cache_key(self, url: Url) -> str:
        """Scheme, host, path, query and the values of the headers in the key; missing counts as empty."""
        return self.key_of(url._replace(target=self.seen(url)))

    def seen(self, url: Url) -> str:
        """Path and query of a request as the cache sees them."""
        path, mark, query = url.target.partition("?")
        return normalized(path, self.normalization) + mark + query

    def key_of(self, seen: Url) -> str:
        """The key for a URL as the cache sees it."""
        return f"{seen}{self._variant}"

    def tags(self, headers: Headers) -> frozenset[str]:
        """Tags of the ``Cache-Tag`` header as far as it is read; case doesn't matter."""
        read = headers.get("Cache-Tag", "")[:_LONGEST_TAG_HEADER]
        return frozenset(tag.strip().lower() for tag in read.split(",") if tag.strip())

    def visible(self, headers: Headers) -> dict[str, str]:
        """All but ``Cache-Tag``, which no visitor sees."""
        return {name: value for name, value in headers.items() if name.lower() != "cache-tag"}

    def named(self, headers: Headers) -> dict[str, str]:
        """``CF-RAY``: an id for each request, and the data center."""
        del headers
        return {"CF-RAY": f"{secrets.token_hex(8)}-{self.place.name}"}

    def told_of_picture(self, before: int, after: int) -> dict[str, str]:
        """What Polish tells: https://developers.cloudflare.com/images/polish/cf-polished-statuses/."""
        del after
        return {"Cf-Polished": f"origSize={before}"}

    def purge_files(self, files: Iterable[Any], *, soft: bool) -> None:
        """Drop URLs, or mark them stale. A file is a URL, or an object of ``url`` and ``headers``."""
        for item in files:
            url, headers = (item["url"], item.get("headers", {})) if isinstance(item, dict) else (item, {})
            key = self.seen_with(Headers(headers)).key_of(Url.parse(url))
            self.purge_key(key, soft=soft)

    def _fetch(self, key: str, url: Url, stale: Entry | None = None) -> Response:
        response = super()._fetch(key, url, stale)
        if stale is None:
            return response
        if response.status >= 500:
            kept = stale.fresh_until + cache_control(stale.headers).get("stale-if-error", 0)
            return _cache_status(self._serve(stale, "STALE"), "STALE") if self.clock() < kept else response
        return _cache_status(response, "EXPIRED") if response.headers["X-Cache"] == "MISS" else response

    def _serve(self, entry: Entry, cache: str) -> Response:
        kept = entry.fresh_until > entry.stored_at
        return _cache_status(super()._serve(entry, cache), _CACHE_STATUS[cache] if kept else "BYPASS")


def _cache_status(response: Response, status: str) -> Response:
    return replace(response, headers={**response.headers, "CF-Cache-Status": status})


def normalized(path: str, normalization: Normalization) -> str:
    """A path as the vendor's page says, but for dot segments, which no browser sends.

    Slashes are merged in any case: https://developers.cloudflare.com/rules/normalization/.
    """
    if normalization == "cloudflare":
        path = path.replace("\\", "/")
    merged = re.sub("//+", "/", path)
    return merged if normalization == "off" else _ESCAPE_OR_SIGN.sub(_by_rfc3986, merged)


def _by_rfc3986(found: re.Match[str]) -> str:
    text = found[0]
    if len(text) == 1:
        return text if text in _UNRESERVED or text in _RESERVED else quote(text, safe="")
    character = chr(int(text[1:], 16))
    return character if character in _UNRESERVED else text.upper()


def matcher(edge: CloudflareEdge, zone: Zone, kind: str, values: Sequence[str]) -> Callable[[Entry], bool]:
    """Make the predicate of a purge by tags, hosts, prefixes or of everything: in the zone, for any request headers.

    A prefix is compared with host and path as text, query aside: ``acme.com/foo`` also matches ``acme.com/foobar``,
    which the vendor's pages leave open.
    """
    if kind == "tags":
        tags = frozenset(map(str.lower, values))
        return lambda entry: zone.has(entry.url.host) and not tags.isdisjoint(entry.tags)
    if kind == "hosts":
        hosts = frozenset(map(str.lower, values))
        return lambda entry: entry.url.host in hosts
    if kind == "prefixes":
        prefixes = tuple(host.lower() + slash + path for host, slash, path in (each.partition("/") for each in values))
        return lambda entry: f"{entry.url.host}{edge.seen(entry.url)}".startswith(prefixes)
    return lambda entry: zone.has(entry.url.host)

"""The nouns of the simulated CloudFront: distributions, tenants, and what invalidation items are and reach."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

# What a path must have escaped: anything but visible ASCII, RFC 1738's unsafe characters, a stray percent sign; and
# the tilde, which is refused though RFC 1738 doesn't list it alone (aws/aws-sdk#525). A raw space: unconfirmed.
_REFUSED = re.compile(r"%(?![0-9A-Fa-f]{2})|[^!-~]|[<>\"#{}|\\^\[\]`~]")
_UNSAFE = re.compile(r"[<>\"{}|\\^\[\]`]")  # guide, invalidation-specifying-objects, by RFC 1738
_TAG = re.compile(r"#[!-+\--~]{1,256}")
_LONGEST_PATH = 4000
_MOST_TAGS = 50  # of an object; CloudFront drops the others without a word


@dataclass(frozen=True, slots=True)
class S3Origin:
    """An origin of a distribution: its domain name, and what is put before the viewer's path."""

    domain: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution.

    Attributes:
        id: upper-case letters and digits.
        aliases: host names beside its own; ``*.acme.com`` stands for one label more.
        origins: the edge asks the first one.
        enabled, staging: as in its configuration.
        tenant_only: a multi-tenant distribution, which serves nothing itself.
        tag_header: CacheTagConfig's header name; empty keeps no tags.
        query_in_key: whether the query string is part of the cache key.
        headers_in_key: request headers that are part of the cache key.
    """

    id: str
    aliases: tuple[str, ...] = ()
    origins: tuple[S3Origin, ...] = (S3Origin("acme-site.s3.eu-west-1.amazonaws.com"),)
    enabled: bool = True
    staging: bool = False
    tenant_only: bool = False
    tag_header: str = ""
    query_in_key: bool = True
    headers_in_key: tuple[str, ...] = ()

    @property
    def domain(self) -> str:
        """Its own host name."""
        return f"d{self.id.lower()}.cloudfront.net"

    @property
    def arn(self) -> str:
        """Its Amazon Resource Name."""
        return f"arn:aws:cloudfront::123456789012:distribution/{self.id}"

    def answers(self, host: str) -> bool:
        """Tell if it serves a host name. It must be enabled, and no multi-tenant one."""
        if not self.enabled or self.tenant_only:
            return False
        parent = host.partition(".")[2]
        return host == self.domain or host in self.aliases or f"*.{parent}" in self.aliases


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant of a multi-tenant distribution: the host names are here, the configuration is there."""

    id: str
    distribution: str
    domains: tuple[str, ...]

    @property
    def arn(self) -> str:
        """Its Amazon Resource Name."""
        return f"arn:aws:cloudfront::123456789012:distribution-tenant/{self.id}"


@dataclass(frozen=True, slots=True)
class Reach:
    """The part of a distribution's cache that a batch drops.

    Attributes:
        keys, prefixes, tags: of what it drops.
    """

    keys: frozenset[str]
    prefixes: tuple[str, ...]
    tags: frozenset[str]

    @classmethod
    def of(cls, items: Iterable[str]) -> Self:
        """Sort items by kind. A path with an escaped tilde is accepted and reaches nothing (aws/aws-sdk#525)."""
        effective = [item for item in items if item.startswith("#") or "%7e" not in item.lower()]
        paths = [item for item in effective if item.startswith("/")]
        return cls(
            frozenset(path for path in paths if not is_wildcard(path)),
            tuple(path[:-1] for path in paths if is_wildcard(path)),
            frozenset(item[1:].lower() for item in effective if item.startswith("#")),
        )

    def covers(self, key: str, tags: frozenset[str]) -> bool:
        """Tell if it drops an object with this cache key and these tags, in all its variants.

        Unsafe characters of a path stand escaped in the item, whether the viewer escaped them or not; all others are
        compared as they came, which is the cautious reading: no page says which other spellings are one object.
        """
        path = _UNSAFE.sub(lambda found: quote(found[0], safe=""), key)
        return path in self.keys or path.startswith(self.prefixes) or not self.tags.isdisjoint(tags)


def is_wildcard(item: str) -> bool:
    """Tell if an item is a path that ends in an asterisk; elsewhere an asterisk stands for itself."""
    return item.startswith("/") and item.endswith("*")


def is_valid(item: str, *, quotes_refused: bool = False) -> bool:
    """Tell if CloudFront accepts an item. Its guide leaves a quote plain, yet two projects saw one refused."""
    if item.startswith("#"):
        return _TAG.fullmatch(item) is not None
    if quotes_refused and "'" in item:
        return False
    return item.startswith("/") and len(item) <= _LONGEST_PATH and _REFUSED.search(item) is None


def tags_of(value: str) -> frozenset[str]:
    """The tags in a header, in lower case: they are compared so."""
    candidates = [tag.strip().lower() for tag in value.split(",")]
    return frozenset([tag for tag in candidates if _TAG.fullmatch(f"#{tag}")][:_MOST_TAGS])

"""CDNs in tiers, as plugins: caches that fetch from one another, vendors that can be asked, POPs that tell.

A cache is asked by visitors all the time: whatever it drops it fetches anew at once, from where it fetches.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSResponse
from botocore.httpsession import URLLib3Session

from kit import sample_plugins
from multicdn.errors import CredentialsRefused
from multicdn.provider import (
    Call,
    Confirm,
    Confirmation,
    Limits,
    Price,
    Prove,
    PurgeTags,
    PurgeUrls,
    Receipt,
    Seen,
    option,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest
    from botocore.awsrequest import AWSPreparedRequest

    from multicdn.plugins.discovery import Plugins

OLD, NEW = "0" * 31 + "1", "0" * 31 + "2"


@dataclass
class Cache:
    """A CDN.

    Attributes:
        inner: the cache that it fetches from; else the origin, which has what is new.
        lag: how often its vendor is asked before a purge has its effect, and is said to be finished.
        ignored: purges without effect, though the vendor says that they are finished.
        refuses: whether its vendor refuses all purges.
        status: that it answers.
        purges: the targets of each call.
        serves: the ETag of what it has.
    """

    inner: str = ""
    lag: int = 0
    ignored: int = 0
    refuses: bool = False
    status: int = 200
    purges: list[tuple[str, ...]] = field(default_factory=list)
    softly: list[bool] = field(default_factory=list)
    serves: str = OLD
    asked: int = 0

    def drop(self) -> None:
        if self.ignored:
            self.ignored -= 1
        else:
            self.serves = WORLD[self.inner].serves if self.inner else NEW


#: All caches by name. Emptied by whoever begins with it.
WORLD: dict[str, Cache] = {}

#: What happens in it, in order.
LOG: list[str] = []

#: Called at each question to a vendor.
ASKED: list[Callable[[str], None]] = []


@dataclass(frozen=True, kw_only=True)
class Tiered(PurgeUrls, PurgeTags, Confirm, Prove):
    """A vendor of one such cache."""

    price = Price(dollars=0.005, free=1000, page="https://www.tiered.example/pricing")

    endpoint: str = option(default="https://api.tiered.example", help="base URL")
    cache: str = option(help="name of the cache")

    url_limits = tag_limits = confirm_limits = prove_limits = Limits(targets=10)

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        """Take a purge."""
        cache = WORLD[self.cache]
        if cache.refuses:
            raise CredentialsRefused("401: no such token")
        cache.purges.append(tuple(urls))
        cache.asked = 0
        LOG.append(f"{self.cache} purged")
        if not cache.lag:
            cache.drop()
        return Receipt(id=f"{self.cache}-{len(cache.purges)}")

    purge_tags = purge_urls

    def confirm(self, receipt: str, call: Call) -> Confirmation:
        """Say whether it is done."""
        cache = WORLD[self.cache]
        for each in ASKED:
            each(self.cache)
        cache.asked += 1
        if cache.asked == cache.lag:
            cache.drop()
            LOG.append(f"{self.cache} finished")
        done = cache.asked >= cache.lag
        return Confirmation(done=done, reason="Completed" if done else "InProgress")

    def prove(self, url: str, call: Call) -> Sequence[Seen]:
        """Say what it serves."""
        cache = WORLD[self.cache]
        return [Seen(status=cache.status, headers={"etag": f'"{cache.serves}"'}, pop="FRA")]


def plugins() -> Plugins:
    """With these as type ``tiered``."""
    return sample_plugins.installed(tiered="kit.tiered:Tiered")


def begin(patch: pytest.MonkeyPatch, **caches: Cache) -> None:
    """Begin anew; S3 answers every HeadObject with what is new, at the wire."""
    WORLD.clear()
    LOG.clear()
    ASKED.clear()
    WORLD.update(caches)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patch.setenv(name, "memory-only")
    patch.setenv("AWS_REGION", "eu-west-1")
    patch.setattr(URLLib3Session, "send", _s3)


def _s3(_: URLLib3Session, request: AWSPreparedRequest) -> AWSResponse:
    headers = {"ETag": f'"{NEW}"', "Content-Length": "7", "Last-Modified": "Thu, 15 Jan 2026 08:00:00 GMT"}
    there = request.method == "HEAD" and "gone" not in str(request.url)
    answer: Any = _Raw()
    return AWSResponse(request.url, HTTPStatus.OK if there else HTTPStatus.NOT_FOUND, headers if there else {}, answer)


class _Raw:
    def stream(self) -> list[bytes]:
        return []

"""A vendor that can do everything that vendors can do, over the plainest API: what a provider looks like, complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from multicdn.errors import RetryLater
from multicdn.http import Http
from multicdn.provider import (
    Call,
    Limits,
    PreloadUrls,
    PurgeEverything,
    PurgeHosts,
    PurgePrefixes,
    PurgeTags,
    PurgeUrls,
    Receipt,
    Secret,
    SoftPurge,
    option,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST = 25
_ENVELOPE = len('{"preload":[],"soft":false}')


@dataclass(frozen=True, kw_only=True)
class Dummy(SoftPurge, PurgeUrls, PurgePrefixes, PurgeTags, PurgeHosts, PurgeEverything, PreloadUrls):
    """A CDN that doesn't exist, and has every capability."""

    docs: ClassVar[str] = "https://docs.dummy.example/purge"
    permissions: ClassVar[tuple[str, ...]] = ("purge", "preload")
    example: ClassVar[Mapping[str, str]] = {"token": "${env:DUMMY_TOKEN}"}

    token: Secret = option(repr=False, help="API token")
    endpoint: str = option(default="https://api.dummy.example", help="base URL of the API")

    url_limits = Limits(targets=_MOST, bytes=1200, envelope=_ENVELOPE, target_bytes=1100, parallel=4)
    prefix_limits = tag_limits = host_limits = Limits(targets=_MOST, calls_per_second=100)
    preload_limits = Limits(targets=10)

    @cached_property
    def _api(self) -> Http:
        return Http(self.endpoint, headers=lambda: {"Dummy-Token": self.token.reveal()}, parallel=4)

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        """Drop URLs."""
        return self._send({"urls": list(urls), "soft": call.soft}, call)

    def purge_prefixes(self, prefixes: Sequence[str], call: Call) -> Receipt:
        """Drop all below prefixes."""
        return self._send({"prefixes": list(prefixes), "soft": call.soft}, call)

    def purge_tags(self, tags: Sequence[str], call: Call) -> Receipt:
        """Drop all with these tags."""
        return self._send({"tags": list(tags), "soft": call.soft}, call)

    def purge_hosts(self, hosts: Sequence[str], call: Call) -> Receipt:
        """Drop all of these hosts."""
        return self._send({"hosts": list(hosts), "soft": call.soft}, call)

    def purge_everything(self, call: Call) -> Receipt:
        """Drop all there is."""
        return self._send({"everything": True, "soft": call.soft}, call)

    def preload_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        """Fetch URLs."""
        return self._send({"preload": list(urls)}, call)

    def _send(self, body: Mapping[str, object], call: Call) -> Receipt:
        number = self._api.send("POST", "/orders", call, json=body).text("id")
        if not number:
            raise RetryLater("the answer has no id")
        return Receipt(id=number)

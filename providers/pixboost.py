"""Pixboost, an image CDN: invalidation of single source images, and warm-up of transformed ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

from multicdn.http import Answer, Http, refuse_dot_segments
from multicdn.provider import (
    Action,
    Call,
    CredentialsRefused,
    Limits,
    PreloadUrls,
    PurgeUrls,
    Receipt,
    RetryLater,
    Secret,
    Speed,
    Target,
    TargetKind,
    option,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multicdn.diagnosis import Finding, Usage

_PAGE = "https://help.pixboost.com/workflows/cache-invalidation"

# _PAGE: an accepted invalidation ends within about five minutes.
_SECONDS_ACCEPTED = 300.0


@dataclass(frozen=True, kw_only=True)
class Pixboost(PurgeUrls, PreloadUrls):
    """Pixboost, whose API stands below its own domain or below one of the customer's.

    Purges take the URL of the *source* image, and cover all that was made of it. Preloads take the URLs of transformed
    images, exactly as the pages write them, with the public API key. So the two need routes of their own.
    """

    docs = _PAGE
    example: ClassVar[Mapping[str, str]] = {
        "secret": "${ssm:/multicdn/pixboost/secret}",
        "domain": "images.example.com",
    }
    speeds: ClassVar[Mapping[TargetKind, Speed]] = {TargetKind.URL: Speed(seconds=_SECONDS_ACCEPTED, page=_PAGE)}
    permissions = ("an API secret: https://help.pixboost.com/workflows/api-secrets",)

    secret: Secret = option(repr=False, help="API secret; not the API key, which is public")
    domain: str = option(default="pixboost.com", help="host name that the images have in the pages")
    endpoint: str = option(default="", help="base URL of the API; by default https:// and the domain")

    # One image a call. No rate is published but the dashboard's one a minute, so calls go out one after another.
    url_limits = Limits(targets=1, page=_PAGE)
    preload_limits = Limits(targets=20, page="https://help.pixboost.com/workflows/warmup")

    def __post_init__(self) -> None:
        """Derive the endpoint from the domain, where it isn't given.

        Raises:
            ValueError: the sentence is for the author of the config file.
        """
        if not re.fullmatch(r"[A-Za-z0-9.-]+", self.domain):
            message = f"domain {self.domain!r} is no host name; write it alone, as in images.example.com"
            raise ValueError(message)
        if not self.endpoint:
            object.__setattr__(self, "endpoint", f"https://{self.domain}")
        super().__post_init__()

    def prepare(self) -> None:
        """Make what calls need but for their connections."""
        self._api.prepare()

    @cached_property
    def _api(self) -> Http:
        return Http(self.endpoint)

    def locate(self, target: Target, action: Action) -> tuple[Target, ...]:
        """Spell a source URL so that it can stand in a path: its own ``?`` or ``#`` would cut off the secret.

        Whether Pixboost knows a source with a query by this spelling was never established.
        """
        if action is Action.PRELOAD or target.kind is not TargetKind.URL:
            return super().locate(target, action)
        refuse_dot_segments(target)
        [target] = super().locate(target, action)
        return (Target(TargetKind.URL, target.value.replace("?", "%3F").replace("#", "%23")),)

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        """Invalidate one source image with all its transformed variants."""
        [url] = urls
        refuse_dot_segments(Target(TargetKind.URL, url))  # a job from the queue comes without ``locate``
        answer = self._send("DELETE", f"/api/2/img/{url}", call)
        # 200: done, or nothing was cached. 202: begun; nothing tells when it ends.
        return Receipt(estimate=_SECONDS_ACCEPTED if answer.status == 202 else 0.0)

    def preload_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        """Make and cache these transformed images."""
        self._send("POST", "/api/2/img/warmup", call, json={"images": list(urls)})
        return Receipt()

    def diagnose(self, use: Usage, call: Call | None) -> Iterator[Finding]:
        """Say that nothing is harmless."""
        del use
        from multicdn.diagnosis import unknown

        if call is not None:
            yield unknown(
                "not provable without purging: the API of Pixboost has no call but invalidations and warm-ups"
            )

    def _send(self, method: str, path: str, call: Call, json: object = None) -> Answer:
        target = f"{path}?auth={quote(self.secret.reveal(), safe='')}"
        answer = self._api.send(method, target, call, json=json, refusal=_secret_or_source)
        # What a body looks like is documented nowhere; a page certainly isn't one of the API.
        if answer.is_page:
            raise RetryLater(f"a page in place of an answer: {answer.reason}")
        return answer


def _secret_or_source(answer: Answer) -> CredentialsRefused | None:
    """Name both mistakes that a 401 may stand for."""
    if answer.status != 401:
        return None
    causes = "the API secret is wrong, or the image's domain isn't among the image sources"
    return CredentialsRefused(f"{answer.reason}; {causes}")

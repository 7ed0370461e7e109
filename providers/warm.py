"""Warm: fills the cache of a CDN that has no preload, by plain requests through that CDN's own host."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from multicdn.bounds import AnswerTooLong, bounded
from multicdn.provider import (
    Call,
    CallRefused,
    Limits,
    PreloadUrls,
    Receipt,
    RetryLater,
    TargetsRefused,
    option,
)
from multicdn.through import Address, answering, connect, locate, told

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multicdn.diagnosis import Finding, Usage

# Bytes of a body that are read. Beyond that a CDN that fetches on has begun to do so.
_LARGEST_BODY = 64 * 1024 * 1024
_PIECE = 64 * 1024

# Requests under way at once, each of which may take as long as the origin does.
_PARALLEL = 4

# What browsers send for pages with TLS, so that the variant is loaded that people ask for.
# developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Accept-Encoding
_BROWSERS = {"Accept-Encoding": "gzip, deflate, br, zstd"}

_LATER = (408, 425, 429)
_GONE = (404, 410)


@dataclass(frozen=True, kw_only=True)
class Warm(PreloadUrls):
    """Fills the cache of a CDN that has no preload, by plain requests.

    Each URL is asked for as a browser does, but where that CDN itself is reached. It is the origin that has the work,
    so its pace counts: ``requests_per_second`` holds for all instances with the same ``origin`` together. A request
    warms the one POP that answers it, and with a shield in front of the origin that shield.
    """

    docs = "https://www.rfc-editor.org/rfc/rfc9111#section-3"
    permissions = ("nothing: it asks for public URLs, without credentials",)
    example: ClassVar[Mapping[str, str]] = {"via": "acme.global.ssl.fastly.net"}

    via: str = option(help="where the CDN itself is reached, whatever DNS says of the site's name: `host`, "
                      "`host:port`, or `https://host:port`")  # fmt: skip
    of: str = option(default="", help="name of the provider that purges this cache, which is followed; default: of "
                     "those that purge the object, all that no other one pulls from")  # fmt: skip
    requests_per_second: float = option(default=5.0, help="what the origin bears")
    origin: str = option(default="", help="name of the origin that has the work; instances with the same one share its "
                         "pace")  # fmt: skip
    endpoint: str = option(default="", help="base URL to connect to in place of `via`")

    def __post_init__(self) -> None:
        """Refuse a pace at which nothing is ever loaded.

        Raises:
            ValueError: the sentence is for the author of the config file.
        """
        if not 0 < self.requests_per_second <= 1000:
            message = f"requests_per_second {self.requests_per_second:g} must be above 0, and no more than 1000"
            raise ValueError(message)
        if self.endpoint:
            super().__post_init__()

    @property
    def preload_limits(self) -> Limits:
        """One URL a request, at the pace of the origin."""
        quota = f"warm {self.origin}".rstrip()
        return Limits(targets=1, calls_per_second=self.requests_per_second, quota=quota, parallel=_PARALLEL)

    def preload_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        """Ask for one URL, and throw the answer away."""
        [url] = urls
        address = self._address(url)
        try:
            with (
                bounded(call.read, _LARGEST_BODY + _PIECE),
                answering(address, call.read, _BROWSERS, connect=call.connect) as answer,
            ):
                _refuse(answer, url)
                rest = "" if _is_read(answer) else ", whose end wasn't waited for"
                return Receipt(note=f"the answer was {answer.status}{rest}")
        except ssl.SSLCertVerificationError as error:
            raise CallRefused(f"GET {_shown(url)}: {told(error, address, call.read)}") from None
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            raise RetryLater(f"GET {_shown(url)}: {told(error, address, call.read)}") from None

    def diagnose(self, use: Usage, call: Call | None) -> Iterator[Finding]:
        """Say whether `via` serves the site's name, without asking for anything."""
        from multicdn.diagnosis import failed, ok, unknown

        if call is None:
            return
        for host in use.hosts[:1]:
            address = self._address(f"https://{host}/")
            where = f"{address.host}:{address.port}"
            try:
                connect(address, min(call.connect, call.read))
            except (OSError, UnicodeError) as error:
                remedy = "write in `via` the host under which the CDN serves this site, such as its own test name"
                yield failed(told(error, address, call.read), remedy)
            else:
                with_tls = f" with a certificate for {host}" if address.scheme == "https" else ""
                yield ok(f"{where} takes connections{with_tls}")
        yield unknown("whether what it loads is kept isn't provable without loading: that is up to the headers")

    def _address(self, url: str) -> Address:
        try:
            return locate(url, self.endpoint or self.via)
        except ValueError as error:
            raise TargetsRefused(f"{_shown(url)}: {error}", [url]) from None


def _refuse(answer: http.client.HTTPResponse, url: str) -> None:
    """Refuse what is no answer to keep. A redirect is one, and so is that nothing is there.

    Raises:
        RetryLater: the origin or the CDN is in trouble, or asked too often.
        TargetsRefused: the URL isn't for anybody.
    """
    said = f"GET {_shown(url)}: {answer.status}"
    if answer.status in (401, 403):
        reason = "the site wants a login there, or keeps robots out; what not everybody gets can't be loaded"
        raise TargetsRefused(f"{said}: {reason}", [url])
    if answer.status >= 500 or answer.status < 200 or answer.status in _LATER:
        from multicdn.http import retry_after

        raise RetryLater(said, after=retry_after(dict(answer.headers)))
    if answer.status >= 400 and answer.status not in _GONE:
        raise TargetsRefused(said, [url])


def _is_read(answer: http.client.HTTPResponse) -> bool:
    """Read a body to its end and keep nothing of it; False where that takes longer than there is time or room.

    Raises:
        IncompleteRead: it broke off.
    """
    try:
        while answer.read(_PIECE):
            pass
    except (TimeoutError, AnswerTooLong):
        return False
    if answer.length:
        raise http.client.IncompleteRead(b"", answer.length)
    return True


def _shown(url: str) -> str:
    """A URL without its query, which may hold what isn't for everybody."""
    return url.partition("?")[0]

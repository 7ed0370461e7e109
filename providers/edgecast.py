"""Edgecast (Verizon Digital Media, Edgio): purge and load through the legacy REST API v2. Retired on 2025-01-15."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal
from urllib.parse import quote

import msgspec

from multicdn.http import Answer, Http
from multicdn.provider import (
    Action,
    Call,
    CallRefused,
    Confirm,
    Confirmation,
    CredentialsRefused,
    Limits,
    PreloadUrls,
    PurgePrefixes,
    PurgeUrls,
    Receipt,
    RetryLater,
    Secret,
    Target,
    TargetKind,
    TargetsRefused,
    option,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multicdn.diagnosis import Finding, Usage

# Where all facts in this file are from.
_PAGE = "https://developer.edgecast.com/cdn/api/Content/Media_Management/Bulk-Purge-Content.htm"

_MEDIA_TYPES = {"flash": 2, "large": 3, "small": 8, "adn": 14}

# 50 may be outstanding, and each URL of a bulk request is one. How long one is outstanding isn't said anywhere: a
# minute is a guess.
_MOST_OUTSTANDING = 50
_SECONDS_OUTSTANDING = 60.0

_LARGEST_STATUS = 1 << 20  # bytes: that of a bulk request may name all of its paths
_ORIGIN = re.compile(r"https?://(?P<host>[^/?#]*)(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_ID = re.compile(r"(?P<operation>(?P<bulk>bulk)?(?:purge|load))/(?P<number>[^/.][^/]*)")
_NO_ROOM = re.compile(r"concurrent|outstanding|too many|(?:purge|load|request)s? limit", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Edgecast(PurgeUrls, PurgePrefixes, PreloadUrls, Confirm):
    """Edgecast CDN, one platform of one account, for installations that still speak its API.

    A purge invalidates: there is no choice of soft or hard. It covers http and https and all host names of the same
    asset, while a load covers only the very URL.

    Ids in receipts begin with the operation, as in ``bulkpurge/1234``, since each has a status page of its own.
    """

    docs = _PAGE
    retired = "Edgio switched the CDN off on 2025-01-15, and its API has no successor; remove the provider"
    example: ClassVar[Mapping[str, str]] = {
        "endpoint": "https://edgecast.example.com",
        "account": "1A2B",
        "token": "${ssm:/multicdn/edgecast/token}",
    }
    permissions = ("the REST API token of an MCC user who may purge and load",)

    # No default: an old token mustn't reach whoever has the vendor's host names today.
    endpoint: str = option(help="base URL of the API; required, since the vendor's own is gone")
    account: str = option(help="account number, as the MCC shows it")
    token: Secret = option(repr=False, help="REST API token")
    platform: Literal["flash", "large", "small", "adn"] = option(
        # The one that Azure CDN from Verizon ran on: learn.microsoft.com/azure/cdn, cdn-verizon-premium-rules-engine
        default="large",
        help="the platform that serves the site; each has a cache of its own (flash ended long before the rest)",
    )

    preload_limits = Limits(
        targets=_MOST_OUTSTANDING, targets_per_second=_MOST_OUTSTANDING / _SECONDS_OUTSTANDING, page=_PAGE
    )
    confirm_limits = Limits(targets=1, calls_per_second=1, page=_PAGE)  # no rate is published

    @property
    def url_limits(self) -> Limits:
        """Limits of ``purge_urls``: as many as of preloads, but counted apart from those, for the whole account."""
        return msgspec.structs.replace(self.preload_limits, quota=f"edgecast {self.account}")

    @property
    def prefix_limits(self) -> Limits:
        """Limits of ``purge_prefixes``, which count as URLs."""
        return self.url_limits

    def prepare(self) -> None:
        """Make what calls need but for their connections."""
        self._api.prepare()

    @cached_property
    def _api(self) -> Http:
        return Http(
            self.endpoint,
            headers=lambda: {"Authorization": f"TOK:{self.token.reveal()}", "Accept": "application/json"},
        )

    def locate(self, target: Target, action: Action) -> tuple[Target, ...]:
        """Spell purges without regard to the scheme, and so that no ``*`` of a key is a wildcard.

        Whether the real edge takes ``%2A`` for the ``*`` that browsers send was never established; a bare one would
        purge other objects, or with a key that ends in ``/*`` a whole directory tree.

        A prefix becomes one wildcard if it ends in a slash, else two: ``*`` in a name may stop at the next slash.
        """
        if action is Action.PRELOAD or target.kind not in (TargetKind.URL, TargetKind.PREFIX):
            return super().locate(target, action)
        [target] = super().locate(target, action)
        plain = _without_scheme(target.value).replace("*", "%2A")
        if target.kind is TargetKind.URL:
            return (Target(TargetKind.URL, plain),)
        wildcards = ("*",) if plain.endswith("/") else ("*", "*/*")
        return tuple(Target(TargetKind.PREFIX, plain + wildcard) for wildcard in wildcards)

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        """Invalidate these URLs, under all their host names and both schemes."""
        return self._submit("purge", urls, call)

    def purge_prefixes(self, prefixes: Sequence[str], call: Call) -> Receipt:
        """Invalidate all that these wildcards match, sub-directories included."""
        return self._submit("purge", prefixes, call)

    def preload_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        """Load exactly these URLs into the caches."""
        return self._submit("load", urls, call)

    def confirm(self, receipt: str, call: Call) -> Confirmation:
        """Ask whether a request is done; each operation has a status page of its own, which the id begins with.

        Raises:
            TargetsRefused: the vendor knows no such request.
            ProviderError: as in the purge methods.
        """
        named = _ID.fullmatch(receipt)
        if named is None:
            raise TargetsRefused(f"{receipt!r} is no id of a request to Edgecast")
        target = self._target(f"{named['operation']}/{quote(named['number'], safe='')}")
        try:
            answer = self._api.send("GET", target, call, largest=_LARGEST_STATUS)
        except CredentialsRefused:
            raise
        except CallRefused as error:  # the account is known, or it hadn't accepted the purge
            raise TargetsRefused(error.reason) from None
        return _bulk_state(answer) if named["bulk"] else _single_state(answer)

    def diagnose(self, use: Usage, call: Call | None) -> Iterator[Finding]:
        """Say that nothing is harmless."""
        del use
        from multicdn.diagnosis import unknown

        if call is not None:
            yield unknown(
                "not provable without purging: the API of Edgecast has no call but purges, loads and their status"
            )

    def _submit(self, operation: str, paths: Sequence[str], call: Call) -> Receipt:
        single = len(paths) == 1
        operation = operation if single else f"bulk{operation}"
        # Bulk requests have their list under the singular name, too.
        body = {"MediaPath": paths[0] if single else list(paths), "MediaType": _MEDIA_TYPES[self.platform]}
        answer = self._api.send("PUT", self._target(operation), call, json=body, refusal=_no_room)
        number = answer.text("Id")
        if not number:
            message = f"Edgecast's answer to {operation} has no Id: {answer.reason}"
            raise RetryLater(message)
        return Receipt(id=f"{operation}/{number}")

    def _target(self, below: str) -> str:
        return f"/v2/mcc/customers/{quote(self.account, safe='')}/edge/{below}"


def _without_scheme(url: str) -> str:
    """Spell http and https alike, and put a slash after a bare host: ``host*`` could match another host."""
    parts = _ORIGIN.fullmatch(url)
    return f"http://{parts['host']}{parts['rest'] or '/'}" if parts else url


def _single_state(answer: Answer) -> Confirmation:
    status = answer.json()
    if "CompleteDate" not in status:
        raise RetryLater(f"the answer has no CompleteDate: {answer.reason}")
    return Confirmation(done=bool(status["CompleteDate"]))


def _bulk_state(answer: Answer) -> Confirmation:
    details = answer.json().get("Status_Details")
    state = details.get("Status") if isinstance(details, dict) else None
    if not isinstance(state, str) or not state:
        raise RetryLater(f"the answer has no Status: {answer.reason}")
    return Confirmation(done=state == "done", reason=state)


def _no_room(answer: Answer) -> RetryLater | None:
    """Read from its words whether a 400 means too many outstanding requests rather than a bad target.

    The documentation gives the status for both, and the words for neither. Where they don't speak of a limit, the
    targets count as refused. The core then halves the batch, and smaller batches may find room; a single URL ends as
    rejected, for a person to see, rather than being tried for ever and holding up the others.
    """
    if answer.status == 400 and _NO_ROOM.search(answer.words):
        return RetryLater(answer.reason, after=_SECONDS_OUTSTANDING / 2)
    return None

"""Highwinds StrikeTracker (StackPath CDN): hard and soft purge by URL, directory and host. Retired in 2023."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote, urlsplit

from multicdn.provider import (
    Action,
    Call,
    CallRefused,
    Confirm,
    Confirmation,
    CredentialsRefused,
    Limits,
    PurgeHosts,
    PurgePrefixes,
    PurgeUrls,
    Receipt,
    RetryLater,
    Secret,
    SoftPurge,
    Target,
    TargetKind,
    TargetsRefused,
    option,
)

from .api import HighwindsApi, Login

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multicdn.diagnosis import Finding, Usage


@dataclass(frozen=True, kw_only=True)
class Highwinds(SoftPurge, PurgeUrls, PurgePrefixes, PurgeHosts, Confirm):
    """Highwinds, one account, for installations that still speak its API.

    URLs go out as ``//host/path``, which covers http and https.
    """

    docs = "https://support.highwinds.com/hc/en-us/articles/360029758831"
    retired = (
        "StackPath left the CDN business in 2023 and closed in 2024-06, and the API ended with it; remove the provider"
    )
    example: ClassVar[Mapping[str, str]] = {
        "endpoint": "https://highwinds.example.com",
        "account": "a1b2c3d4",
        "token": "${ssm:/multicdn/highwinds/token}",
    }
    # Recursive purges reach all below, query strings included: .../articles/360029758831
    prefix_ending = ""
    permissions = ("content edit",)  # support.highwinds.com, introduction to the APIs

    # No default: an old password mustn't reach whoever has the vendor's host names today.
    endpoint: str = option(help="base URL of the API; required, since the vendor's own is gone")
    account: str = option(help="account hash, 8 characters")
    sub_account: str = option(default="", help="hash of the sub-account that has the site, if it isn't in the account")
    token: Secret | None = option(default=None, repr=False, help="long-lived API token; or else user and password")
    user: str = option(default="", help="user name to log in with, instead of a token")
    password: Secret | None = option(default=None, repr=False, help="password of the user")
    application: str = option(default="", help="what to call ourselves in X-Application-Id: a domain")
    purge_all_dynamic: bool = option(
        default=True, help="with a URL, also purge its variants by query string and the like"
    )

    # No rate is published; the vendor's own client asked far more often.
    confirm_limits = Limits(targets=1, calls_per_second=1, page=docs)

    # 100 URIs within any 60 seconds, whatever their kind; one too many refuses the whole call.
    @property
    def url_limits(self) -> Limits:
        """Limits of ``purge_urls``."""
        quota, page = f"highwinds {self.account}", "https://support.highwinds.com/hc/en-us/articles/360029758911"
        return Limits(targets=100, targets_per_second=100 / 60, target_window=60.0, quota=quota, page=page)

    @property
    def prefix_limits(self) -> Limits:
        """Limits of ``purge_prefixes``, which count as URLs."""
        return self.url_limits

    @property
    def host_limits(self) -> Limits:
        """Limits of ``purge_hosts``, which count as URLs."""
        return self.url_limits

    def __post_init__(self) -> None:
        """Refuse credentials that are incomplete, or of two kinds.

        Raises:
            ValueError: the sentence is for the author of the config file.
        """
        super().__post_init__()
        by_password = (bool(self.user), self.password is not None)
        if self.token is not None and any(by_password):
            message = "give either `token`, or `user` and `password`"
        elif self.token is None and not all(by_password):
            message = "no complete credentials: give `token`, or both `user` and `password`"
        else:
            return
        raise ValueError(message)

    def prepare(self) -> None:
        """Make what calls need but for their connections."""
        self._api.prepare()

    @cached_property
    def _api(self) -> HighwindsApi:
        login = None
        if self.password is not None:
            login = Login(self.endpoint, self.application, self.user, self.password)
        return HighwindsApi(self.endpoint, self.application, self.token, login)

    def locate(self, target: Target, action: Action) -> tuple[Target, ...]:
        """Spell URLs and prefixes without their scheme.

        Raises:
            TargetsRefused: a prefix that ends within a name: directories are all that the vendor documents.
        """
        [target] = super().locate(target, action)
        if target.kind not in (TargetKind.URL, TargetKind.PREFIX):
            return (target,)
        found = _without_scheme(target.value)
        if target.kind is TargetKind.PREFIX and not found.endswith("/"):
            message = f"{target.value!r} is no directory, and Highwinds purges no other prefixes; end it with a slash"
            raise TargetsRefused(message, (target.value,))
        return (Target(target.kind, found),)

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        """Delete or expire these URLs."""
        return self._purge(urls, call, recursive=False)

    def purge_prefixes(self, prefixes: Sequence[str], call: Call) -> Receipt:
        """Delete or expire all in these directories and below."""
        return self._purge(prefixes, call, recursive=True)

    def purge_hosts(self, hosts: Sequence[str], call: Call) -> Receipt:
        """Delete or expire all of these hosts."""
        return self._purge([f"//{host}/" for host in hosts], call, recursive=True)

    def confirm(self, receipt: str, call: Call) -> Confirmation:
        """Ask how much of a purge is done, which the vendor says as a number from 0 to 1.

        Raises:
            TargetsRefused: the vendor knows no such purge.
            ProviderError: as in the purge methods.
        """
        try:
            answer = self._api.send("GET", f"{self._target}/{quote(receipt, safe='')}", call)
        except CredentialsRefused:
            raise
        except CallRefused as error:  # the account is known, or it hadn't accepted the purge
            raise TargetsRefused(error.reason) from None
        share = answer.json().get("progress")
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise RetryLater(f"the answer has no progress from 0 to 1: {answer.reason}")
        return Confirmation(done=share == 1, reason=f"progress {share:g}")

    def diagnose(self, use: Usage, call: Call | None) -> Iterator[Finding]:
        """Ask whose the token is, which every token may."""
        del use
        from multicdn.diagnosis import failed, ok, unknown

        if call is None:
            return
        answer = self._api.send("GET", "/api/v1/users/me", call)
        account = answer.text("accountHash")
        if not account:
            raise RetryLater(f"the answer has no accountHash: {answer.reason}")
        if account == self.account:
            yield ok(f"GET /api/v1/users/me: the credentials are accepted, in account {account}")
        else:
            yield failed(f"GET /api/v1/users/me: the credentials are of account {account}", "correct `account`")
        yield unknown("that they may purge (content edit) isn't provable without purging")

    def _purge(self, urls: Sequence[str], call: Call, *, recursive: bool) -> Receipt:
        variants = self.purge_all_dynamic and not recursive  # ignored with recursive, which covers them anyway
        how = {"recursive": recursive, "purgeAllDynamic": variants, "invalidateOnly": call.soft}
        answer = self._api.send("POST", self._target, call, json={"list": [{"url": url, **how} for url in urls]})
        number = answer.text("id")
        if not number:
            raise RetryLater(f"the answer has no id: {answer.reason}")
        return Receipt(id=number)

    @property
    def _target(self) -> str:
        return f"/api/v1/accounts/{quote(self.sub_account or self.account, safe='')}/purge"


def _without_scheme(url: str) -> str:
    """``//host/path``: with a slash after a bare host, and the query kept."""
    scheme, _, after = url.partition(":")
    rest = after if scheme.lower() in ("http", "https") else url
    return rest if urlsplit(rest).path else f"{rest}/"

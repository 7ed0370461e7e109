"""Akamai: invalidates or deletes by URL, cache tag and CP code, through Fast Purge (CCU v3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, ClassVar, Literal
from urllib.parse import quote

from multicdn.http import Answer, Http
from multicdn.provider import (
    Action,
    Call,
    CallRefused,
    Limits,
    PurgeEverything,
    PurgeTags,
    PurgeUrls,
    Receipt,
    Secret,
    SoftPurge,
    Speed,
    Target,
    TargetKind,
    TargetsRefused,
    option,
)

from .answers import receipt, refusal
from .credentials import Credentials, Signature, clean_host, read_edgerc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from multicdn.diagnosis import Finding, Usage

# Buckets of one account, all its clients together.
_PACE = "https://techdocs.akamai.com/purge-cache/reference/rate-limiting"
# Bytes of a body: https://techdocs.akamai.com/purge-cache/reference/413.
_limits = partial(Limits, bytes=50_000, envelope=len('{"objects":[]}'), calls_per_second=50.0, burst=100, page=_PACE)
_CP_CODES, _CP_CODES_PER_SECOND = 300, 30 / 60

_KINDS = (TargetKind.URL, TargetKind.TAG, TargetKind.EVERYTHING)
_SOON = Speed(seconds=5, page="https://github.com/akamai/cli-purge")

_URL = re.compile(r"(?ai:https?)://(?![/?#])[!-~]+")
# A tag has 128 of these at most: https://techdocs.akamai.com/purge-cache/docs/assign-cache-tags
_TAG = re.compile(r"[A-Za-z0-9!#$%&'+./^_`|~-]+")


@dataclass(frozen=True, kw_only=True)
class Akamai(SoftPurge, PurgeUrls, PurgeTags, PurgeEverything):
    """Akamai Fast Purge.

    Hard purge deletes, and leaves nothing to serve while the origin is down; soft purge invalidates, which is what
    Akamai recommends. Everything means all objects of the CP codes in ``cp_codes``: Fast Purge knows nothing larger.
    """

    docs: ClassVar[str] = "https://techdocs.akamai.com/purge-cache/reference/api"
    # https://techdocs.akamai.com/iam-api/reference: members of purgeOptions
    permissions: ClassVar[tuple[str, ...]] = (
        "READ-WRITE on the API service CCU APIs",
        "canPurgeByCacheTag (only for routes with `tags`)",
        "canPurgeByCpcode and access to the CP codes (only for routes with `everything: true`)",
    )

    speeds: ClassVar[Mapping[TargetKind, Speed]] = dict.fromkeys(_KINDS, _SOON)
    example: ClassVar[Mapping[str, str]] = {"edgerc": "${secretsmanager:multicdn/akamai}"}

    host: str = option(help="host of the API client, such as akab-….luna.akamaiapis.net", default="")
    client_token: Secret | None = option(help="client token of the API client", default=None)
    client_secret: Secret | None = option(help="client secret of the API client", default=None)
    access_token: Secret | None = option(help="access token of the API client", default=None)
    edgerc: Secret | None = option(help="text of an .edgerc instead of host and tokens", file="~/.edgerc", default=None)
    section: str = option(help="section of `edgerc`", default="default")
    account_key: str = option(help="account switch key, to purge in a customer's account", default="")
    network: Literal["production", "staging"] = option(help="network to purge", default="production")
    cp_codes: tuple[int, ...] = option(help="CP codes that `everything: true` purges", default=())
    soft: bool = option(help="invalidate rather than delete; Akamai recommends it", default=False)
    endpoint: str = option(help="base URL of the vendor's API; default: https:// and the host", default="")

    url_limits = _limits(targets=10_000, targets_per_second=12_000 / 60)
    tag_limits = _limits(targets=5_000, targets_per_second=500 / 60, target_bytes=128)

    def __post_init__(self) -> None:
        """Refuse options that can't work together.

        Raises:
            ValueError: the sentence is for the author of the config file.
        """
        if self.endpoint:
            super().__post_init__()
        if self.host and not clean_host(self.host):
            raise ValueError(f"host {self.host!r} is no host name; write akab-….luna.akamaiapis.net")
        self._check_credentials()
        if len(self.cp_codes) > _CP_CODES or any(code <= 0 for code in self.cp_codes):
            raise ValueError(f"cp_codes must be at most {_CP_CODES} positive numbers, without the prefix cpc_")

    def _check_credentials(self) -> None:
        tokens = {name: getattr(self, name) for name in ("client_token", "client_secret", "access_token")}
        given = [name for name, value in {"host": self.host or None, **tokens}.items() if value is not None]
        lacking = [name for name, value in tokens.items() if value is None]
        if self.edgerc is not None:
            if given:
                raise ValueError(f"`edgerc` already holds the credentials; leave out {', '.join(given)}")
            return
        if not (self.host or self.endpoint):
            lacking.insert(0, "host")
        if lacking:
            raise ValueError(f"no complete credentials: give {', '.join(lacking)}; or `edgerc` alone")
        if self.section != "default":
            raise ValueError("`section` says which part of `edgerc` to use, and there is no `edgerc`")

    def lacks(self, action: Action, kind: TargetKind) -> str:
        """Say that everything means CP codes, where there are none."""
        del action
        return "list its CP codes in `cp_codes`" if kind is TargetKind.EVERYTHING and not self.cp_codes else ""

    @property
    def everything_limits(self) -> Limits:
        """Limits of ``purge_everything``: each CP code counts."""
        codes = max(1, len(self.cp_codes))
        return Limits(targets=1, calls_per_second=_CP_CODES_PER_SECOND / codes, burst=_CP_CODES / codes, page=_PACE)

    def locate(self, target: Target, action: Action) -> tuple[Target, ...]:
        """Refuse what Akamai refuses, since one bad object makes it refuse the whole call.

        Raises:
            TargetsRefused: a URL that isn't absolute or not ASCII, or a tag that no object can have.
        """
        if target.kind is TargetKind.URL and not _URL.fullmatch(target.value):
            reason = "isn't an absolute http or https URL in ASCII; percent-encode the rest"
            raise TargetsRefused(f"{target.value!r} {reason}", [target.value])
        if target.kind is TargetKind.TAG and not _TAG.fullmatch(target.value):
            message = f"tag {target.value!r} is empty or has a character that Akamai's cache tags can't have"
            raise TargetsRefused(message, [target.value])
        return super().locate(target, action)

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        """Delete or invalidate these URLs; of http and https either usually stands for both."""
        return self._purge("url", urls, urls, call)

    def purge_tags(self, tags: Sequence[str], call: Call) -> Receipt:
        """Delete or invalidate all whose ``Edge-Cache-Tag`` header has one of these tags, in the same case."""
        return self._purge("tag", tags, tags, call)

    def purge_everything(self, call: Call) -> Receipt:
        """Delete or invalidate all of the CP codes.

        Raises:
            CallRefused: there are none configured.
        """
        if not self.cp_codes:
            raise CallRefused("Akamai purges everything by CP code: list some in `cp_codes`", about="kind")
        return self._purge("cpcode", self.cp_codes, (), call)

    def _purge(self, kind: str, objects: Sequence[str | int], targets: Sequence[str], call: Call) -> Receipt:
        path = f"/ccu/v3/{'invalidate' if call.soft else 'delete'}/{kind}/{self.network}"
        return receipt(self._send(path, call, kind, targets, json={"objects": list(objects)}))

    def prepare(self) -> None:
        """Load the signer, and let it rehearse. A host that stands in the .edgerc is a secret until the first call."""
        self._api(self.endpoint or f"https://{clean_host(self.host) or 'secret.invalid'}").prepare()

    def diagnose(self, use: Usage, call: Call | None) -> Iterator[Finding]:
        """Ask for the budgets, which takes the same credentials."""
        from .checks import findings

        if call is not None:
            yield from findings(self, use, lambda path: self._send(path, call, "url", ()))

    def _send(self, path: str, call: Call, kind: str, targets: Sequence[str], json: object = None) -> Answer:
        credentials = self._credentials()
        api = self._api(self.endpoint or f"https://{credentials.host}")
        account = f"?accountSwitchKey={quote(credentials.account_key, safe=':')}" if credentials.account_key else ""
        return api.send("POST", path + account, call, json=json, refusal=lambda given: refusal(given, kind, targets))

    @cached_property
    def _api(self) -> Callable[[str], Http]:
        """Gives the API at a base URL. Connections are kept; an .edgerc that is renewed may name another host."""
        signature = Signature(self._credentials)
        return cache(lambda base: Http(base, auth=signature))

    def _credentials(self) -> Credentials:
        """Read anew for every request, since secrets are rotated.

        Raises:
            CredentialsRefused: the .edgerc can't be used.
        """
        if self.client_token and self.client_secret and self.access_token:
            host = clean_host(self.host)
            return Credentials(host, self.client_token, self.client_secret, self.access_token, self.account_key)
        assert self.edgerc is not None, "__post_init__ takes no other combination"
        found = read_edgerc(self.edgerc.reveal(), self.section)
        return found._replace(account_key=self.account_key or found.account_key)

    check_secrets = _credentials

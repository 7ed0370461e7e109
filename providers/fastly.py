"""Fastly. Exact URLs one by one, surrogate keys in batches, soft and hard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import quote

from multicdn.http import Answer, Http, refuse_dot_segments, until_epoch
from multicdn.provider import (
    Action,
    Call,
    CallRefused,
    CredentialsRefused,
    Limits,
    Prove,
    ProviderError,
    PurgeEverything,
    PurgeTags,
    PurgeUrls,
    Receipt,
    RetryLater,
    Secret,
    Seen,
    SoftPurge,
    Speed,
    Target,
    TargetKind,
    TargetsRefused,
    option,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from multicdn.diagnosis import Finding, Usage

_PARALLEL = 16
_REFUSING = (400, 401, 403, 404, 405, 422)  # what else is refused is no matter of who does: 413 is too large
_MEMBERS_OF_ERRORS = {"msg", "detail", "title", "errors"}  # of its three shapes: the reference pages of its APIs
_LARGEST_LIST = 1 << 20  # bytes: each of 256 keys of up to 1 KB comes back, escaped, with an id
_PAGE = "https://developer.fastly.com/learning/concepts/purging"
_LENGTHS = "https://www.fastly.com/documentation/reference/vcl/constraints-and-limitations/"
_EDGE_CHECK = "https://www.fastly.com/documentation/reference/api/utils/content/"
_LARGEST_CHECK = 4 << 20  # bytes: an entry for each of a hundred POPs or so, with all headers
_BATCHES = "https://github.com/fastly/fastly-py/blob/main/docs/PurgeApi.md"

_until_reset = until_epoch("Fastly-RateLimit-Reset")


@dataclass(frozen=True, kw_only=True)
class Fastly(SoftPurge, PurgeUrls, PurgeTags, PurgeEverything, Prove):
    """Fastly: purge URLs one by one, surrogate keys in batches, or the whole service.

    URLs are exact, and a ``*`` in one is an ordinary character: for groups, give objects a ``Surrogate-Key``.
    """

    docs = _PAGE
    example: ClassVar[Mapping[str, str]] = {
        "token": "${ssm:/multicdn/fastly/token}",
        "service": "SU1Z0isxPaozGVKXdv0eY",
    }
    permissions = (
        "purge_select",
        "purge_all (only for routes with `everything: true`)",
        "global, of a user who is at least an engineer (only to see what every POP serves, for `verify`)",
    )
    speeds: ClassVar[Mapping[TargetKind, Speed]] = {
        TargetKind.URL: Speed(seconds=0.15, page=_PAGE),
        TargetKind.TAG: Speed(seconds=0.15, page=_PAGE),
        TargetKind.EVERYTHING: Speed(seconds=20, page=_PAGE),
    }
    # purge_all is always hard: _BATCHES.
    soft_kinds = frozenset((TargetKind.URL, TargetKind.TAG))

    endpoint: str = option(default="https://api.fastly.com", help="base URL of the API")
    token: Secret = option(repr=False, help="API token with the scope purge_select (purge_all to purge everything)")
    service: str = option(help="id of the service")
    soft: bool = option(default=False, help="mark objects stale instead of dropping them")
    environment: Literal["production", "staging"] = option(
        default="production", help="environment to purge; staging knows tags and everything, not URLs"
    )

    # One URL a call, at most 8 KB.
    # The 100,000 purges an hour are an average, so bursts aren't paced; a 429 says when there is room again.
    url_limits = Limits(targets=1, target_bytes=8192, parallel=_PARALLEL, page=_LENGTHS)
    everything_limits = Limits(targets=1, page=_BATCHES)
    # 1 KB a key: _LENGTHS.
    tag_limits = Limits(targets=256, target_bytes=1024, parallel=4, page=_BATCHES)
    # 200 an hour, which services of one account share.
    prove_limits = Limits(
        targets=1,
        target_bytes=8192,
        targets_per_second=200 / 3600,
        target_window=3600.0,
        quota="fastly, edge checks",
        page=_EDGE_CHECK,
    )

    def prepare(self) -> None:
        """Make what calls need but for their connections."""
        self._api.prepare()

    @cached_property
    def _api(self) -> Http:
        return Http(
            self.endpoint,
            headers=lambda: {"Fastly-Key": self.token.reveal(), "Accept": "application/json"},
            parallel=_PARALLEL,
            meaning={405: TargetsRefused},  # a host that Fastly doesn't serve, or VCL that blocks: fastly/cli#645
            wait=_until_reset,
        )

    def locate(self, target: Target, action: Action) -> tuple[Target, ...]:
        """Refuse what Fastly would take and never match."""
        if target.kind is TargetKind.URL:
            if self.environment == "staging":
                message = "Fastly purges URLs in production only; purge staging by tag"
                raise TargetsRefused(message, [target.value])
            refuse_dot_segments(target)
        elif target.kind is TargetKind.TAG and (not target.value or any(map(str.isspace, target.value))):
            message = "blanks separate Fastly's surrogate keys, so no key holds one"
            raise TargetsRefused(message, [target.value])
        return super().locate(target, action)

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        """Purge one URL, which goes into the path as it is: an encoded one is answered with 400."""
        [url] = urls
        refuse_dot_segments(Target(TargetKind.URL, url))  # a job from the queue comes without ``locate``
        answer = self._purge(f"/purge/{url}", call, _refusal_of_url, soft=call.soft)
        return Receipt(id=_accepted(answer), estimate=0.15, pause=_pause(answer))

    def purge_tags(self, tags: Sequence[str], call: Call) -> Receipt:
        """Purge keys in the body, one key too: in a path or a header odd keys get mangled."""
        answer = self._purge(
            f"/service/{self._service}/purge",
            call,
            _refusal_of_kind,
            soft=call.soft,
            json={"surrogate_keys": list(tags)},
            headers=self._where,
            largest=_LARGEST_LIST,
        )
        ids = answer.json()
        missing = [tag for tag in tags if not ids.get(tag)]
        if missing:
            message = f"Fastly's answer doesn't confirm {len(missing)} of {len(tags)} surrogate keys"
            raise RetryLater(message)
        note = f"the first of {len(tags)} ids, one a key" if len(tags) > 1 else ""
        return Receipt(id=str(ids[tags[0]]), estimate=0.15, note=note, pause=_pause(answer))

    def purge_everything(self, call: Call) -> Receipt:
        """Purge the whole service, always hard. It takes some 20 seconds to be seen everywhere."""
        target = f"/service/{self._service}/purge_all"
        answer = self._purge(target, call, _refusal_of_kind, soft=False, headers=self._where)
        return Receipt(id=_accepted(answer), estimate=20.0, pause=_pause(answer))

    def prove(self, url: str, call: Call) -> tuple[Seen, ...]:
        """Have every POP fetch a URL from its cache, and say what came; what a POP hasn't, it gets from the origin."""
        from ._fastly_edge_check import seen

        if self.environment == "staging":
            raise TargetsRefused("Fastly's edge check looks at production only", [url])
        target = f"/content/edge_check?url={quote(url, safe='')}"
        answer = self._api.send(
            "GET", target, call, largest=_LARGEST_CHECK, refusal=_ours(partial(_refusal_of_check, url))
        )
        return seen(answer)

    def diagnose(self, use: Usage, call: Call | None) -> Iterator[Finding]:
        """Look at the token's scopes and services."""
        from ._fastly_checks import findings

        if call is not None:
            yield from findings(
                self.service, use, lambda path: self._api.send("GET", path, call, largest=_LARGEST_LIST)
            )

    @property
    def _service(self) -> str:
        return quote(self.service, safe="")

    @property
    def _where(self) -> dict[str, str]:
        return {"Fastly-Purge-Environment": "staging"} if self.environment == "staging" else {}

    def _purge(
        self,
        target: str,
        call: Call,
        refusal: Callable[[Answer], ProviderError | None],
        *,
        soft: bool,
        headers: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> Answer:
        headers = {**({"Fastly-Soft-Purge": "1"} if soft else {}), **(headers or {})}
        return self._api.send("POST", target, call, headers=headers, refusal=_ours(refusal), **settings)


def _ours(refusal: Callable[[Answer], ProviderError | None]) -> Callable[[Answer], ProviderError | None]:
    """Read a refusal only where it is Fastly's."""
    return lambda answer: RetryLater(answer.reason) if _is_foreign(answer) else refusal(answer)


def _is_foreign(answer: Answer) -> bool:
    """Whether the body of an error has none of Fastly's shapes: a gateway's {"message": "no Route matched"}, a text."""
    refuses = answer.status in _REFUSING and bool(answer.body)
    return refuses and not answer.problem.keys() & _MEMBERS_OF_ERRORS


def _refusal_of_url(answer: Answer) -> ProviderError | None:
    """Read what is about one host: each may be another service's, with a VCL that forbids what is not."""
    if answer.status == 403:  # alphagov/govuk-cdn-config#148
        causes = "the VCL of this host may forbid FASTLYPURGE, or the token lacks purge_select"
        return CredentialsRefused(f"{answer.reason}; {causes}", about="host")
    if (
        answer.status == 404 and "find service" in answer.words
    ):  # no service of the token has the host: fastly/fastly-php#53
        return TargetsRefused(answer.reason)
    return None


def _refusal_of_kind(answer: Answer) -> ProviderError | None:
    """Read what is about keys, or about everything: both need a service, and scopes of their own, and URLs don't."""
    if not answer.problem:
        return None
    if answer.status == 403:
        return CredentialsRefused(answer.reason, about="kind")
    return CallRefused(answer.reason, about="kind") if answer.status == 404 else None


def _refusal_of_check(url: str, answer: Answer) -> ProviderError | None:
    """Read what is about edge checks alone: the token may purge, and the URL be somebody else's."""
    if answer.status == 403:  # recorded in fastly/go-fastly, fastly/fixtures/content
        needed = "edge_check needs the scope global, and a user who is at least an engineer"
        return CredentialsRefused(f"{answer.reason}; {needed}", about="kind")
    return TargetsRefused(answer.reason, [url]) if answer.status == 404 and answer.problem else None


def _accepted(answer: Answer) -> str:
    """Return the id in an answer that says ok."""
    if answer.text("status") != "ok":
        message = "Fastly's answer doesn't say that it accepted the purge"
        raise RetryLater(message)
    return answer.text("id")


def _pause(answer: Answer) -> float:
    """Seconds until the budget is renewed, where the answer says that this call used it up.

    The headers are on calls that change something, but for purges by key: recorded answers in fastly/go-fastly,
    fastly/fixtures/purges.
    """
    used_up = answer.headers.get("Fastly-RateLimit-Remaining", "").strip() == "0"
    return (_until_reset(answer.headers) or 0.0) if used_up else 0.0

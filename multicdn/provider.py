"""The contract between the core and a vendor's plugin. This page is the plugin author's manual.

A provider is a frozen dataclass. Its fields are its options in the config file; the classes it inherits from say
what its vendor can do; each of them asks for one method and for the limits of that method:

    @dataclass(frozen=True, kw_only=True)
    class Acme(PurgeUrls):
        '''Acme CDN, https://docs.acme.example/purge'''

        token: Secret
        endpoint: str = "https://api.acme.example"

        url_limits = Limits(targets=30)  # https://docs.acme.example/limits

        @cached_property
        def _api(self) -> Http:
            return Http(self.endpoint, headers=lambda: {"Authorization": f"Bearer {self.token.reveal()}"})

        def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
            answer = self._api.send("POST", "/purge", call, json={"urls": list(urls)})
            return Receipt(id=answer.text("id"))

What a provider may count on:

- its methods are never called with an empty list, nor with more than its limits allow;
- they may be called from several threads at once if its limits say ``parallel`` above 1;
- the core batches, paces, retries, halves, times and logs.

What a provider must do:

- make exactly one call, within the limits of ``call``, and return a ``Receipt`` if the vendor accepted *all* of it;
- otherwise raise ``RetryLater``, ``TargetsRefused``, ``CallRefused`` or ``CredentialsRefused``; any other exception
  counts as a bug in the plugin, and the batch as undelivered;
- say with ``about`` what a refusal is about, where the vendor says so: ``CallRefused(reason, about="kind")``;
- never sleep, log, chunk, retry, follow redirects, or put a secret into a message;
- import its vendor's SDK inside the method or property that needs it, not at the top of the file, and have
  ``prepare`` do so, too;
- import nothing else of multicdn than this module, ``multicdn.http``, ``multicdn.secrets``, ``multicdn.bounds``,
  ``multicdn.tls``, ``multicdn.proxies``, ``multicdn.aws_clients``, ``multicdn.through`` and, for people alone,
  ``multicdn.diagnosis``.
"""

from __future__ import annotations

import dataclasses
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeGuard
from urllib.parse import urlsplit

from msgspec import Struct

from multicdn.errors import About, CallRefused, CredentialsRefused, ProviderError, RetryLater, TargetsRefused
from multicdn.model import Action, Receipt, Target, TargetKind
from multicdn.secrets import Secret
from multicdn.terms import Call, Confirmation, Limits, Price, Seen, Speed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from multicdn.diagnosis import Finding, Usage

__all__ = [
    "API_VERSION",
    "CAPABILITIES",
    "About",
    "Action",
    "Call",
    "CallRefused",
    "Capability",
    "Confirm",
    "Confirmation",
    "CredentialsRefused",
    "Discover",
    "Limits",
    "PreloadUrls",
    "Price",
    "Prove",
    "Provider",
    "ProviderError",
    "PurgeEverything",
    "PurgeHosts",
    "PurgePrefixes",
    "PurgeTags",
    "PurgeUrls",
    "Receipt",
    "RetryLater",
    "Secret",
    "Seen",
    "SoftPurge",
    "Speed",
    "Target",
    "TargetKind",
    "TargetsRefused",
    "capabilities",
    "capability",
    "option",
    "published",
]

# Raised when a plugin written for an older contract would misbehave silently.
API_VERSION = 1

# As ``dumps`` would, which makes an encoder for each text that isn't to be ASCII.
_as_json = json.JSONEncoder(ensure_ascii=False).encode

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def option(*, help: str, file: str = "", **settings: Any) -> Any:  # noqa: A002 - reads as it does in click and argparse
    """Declare an option with the sentence that ``multicdn providers NAME`` and the JSON schema show for it.

    Args:
        help: the sentence.
        file: of a secret that is the text of a file, where people have that: ``~/.edgerc``.
        settings: of the dataclass's field, such as ``default``.
    """
    return dataclasses.field(metadata={"help": help, "file": file}, **settings)


@dataclass(frozen=True, kw_only=True)
class Provider(ABC):  # noqa: B024 - what is abstract stands in the capabilities
    """Base of all providers. Inherit from the capability classes below rather than from this one alone.

    Class attributes:
        docs: the vendor's page about purging.
        retired: empty, or one sentence with the date on which the vendor ended the service.
        permissions: what the credentials must be allowed to do, in the vendor's words, one each.
        example: options for an example block, as they would stand in a config file.
        speeds: how soon a purge is seen everywhere, where the vendor publishes it for a kind of target.
        price: of a purge, where the vendor has one.
        bundled: of packages with far more in them than this plugin uses, by dotted name, the sub-packages that a bundle
            for Lambda takes; it leaves out the others. A package's own modules are always taken.
        aws_operations: what it asks AWS through ``multicdn.aws_clients``, by service as botocore calls it and by AWS's
            own names of the operations. Of these a bundle has the data at hand; others work, and take longer to load.
    """

    api_version: ClassVar[int] = API_VERSION
    docs: ClassVar[str] = ""
    retired: ClassVar[str] = ""
    permissions: ClassVar[tuple[str, ...]] = ()
    example: ClassVar[Mapping[str, str]] = {}
    speeds: ClassVar[Mapping[TargetKind, Speed]] = {}
    price: ClassVar[Price | None] = None
    bundled: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    aws_operations: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    endpoint: str = option(help="base URL of the vendor's API")

    def __post_init__(self) -> None:
        """Refuse an endpoint over which credentials would travel in clear.

        Raises:
            ValueError: the sentence is for the author of the config file.
        """
        check_endpoint(self.endpoint)

    def locate(self, target: Target, action: Action) -> tuple[Target, ...]:
        """Spell a target as the vendor knows it.

        Routing hands in what the route's templates give: absolute URLs, URL prefixes that start with a scheme, tags,
        host names. CDNs that know objects by something else (a path, a URL without its scheme) turn it into that
        here; planning removes the duplicates that this makes. A target may become several, of any kind that the
        provider has. Must be pure and quick: it runs for every object.

        Raises:
            TargetsRefused: the vendor has no way to act on this target, or it is empty, which some vendors take for
                everything. The core hands in none that is.
        """
        del action
        if not target.value.strip() and target.kind is not TargetKind.EVERYTHING:
            raise TargetsRefused(f"an empty {target.kind} names nothing", [target.value])
        return (target,)

    def lacks(self, action: Action, kind: TargetKind) -> str:
        """Name what this instance lacks for something that its class can do; empty if nothing.

        Asked when the config is loaded: the sentence is for the author of the file.
        """
        del action, kind
        return ""

    def weigh(self, target: str) -> int:
        """How many bytes a target adds to the request body. The default is a member of a JSON array."""
        return len(_as_json(target).encode()) + 1

    def prepare(self) -> None:
        """Load what the first call needs: import the vendor's SDK, make its client, read what it reads of disks.

        Called while Lambda initialises the function, when it has a whole processor, one provider after the other and
        before any other method. The first event after it shall find nothing left to load. Must open no connection, read
        no secret (they are rotated later) and change nothing that a call doesn't change; may be called again. What it
        raises is logged, and so is that it takes longer than there is; the first call does without it then.

        This one makes the TLS context that ``multicdn.http`` uses: a provider that needs nothing else has no own one.
        """
        if not self.endpoint.startswith("http:"):
            from multicdn import tls

            tls.context()

    def iam_statements(self, account: str, partition: str = "aws") -> Sequence[Mapping[str, Any]]:
        """The IAM policy statements that this instance needs to make its calls; none for vendors outside AWS.

        Args:
            account: of the installation; put it into ARNs as it stands, since it may be ``${AWS::AccountId}``, which
                CloudFormation fills in.
            partition: first part of ARNs: ``aws``, ``aws-cn``, ``aws-us-gov``, or ``${AWS::Partition}``.
        """
        del account, partition
        return ()

    def diagnose(self, use: Usage, call: Call | None) -> Iterable[Finding]:
        """Say whether purges would work, for ``multicdn doctor``: by calls that are harmless, and cost nothing.

        Tell in each finding what it proves; what nobody can prove without purging is ``unknown``. Only people ask:
        what this needs stands in a module of its own, which is imported here.

        Args:
            use: what the config's routes have this provider do.
            call: limits of each call; None where no network is to be used, and the options alone can tell something.

        Raises:
            ProviderError: as in the purge methods; it counts as a finding, after those that were yielded before.
        """
        del use, call
        return ()

    def secrets(self) -> Iterator[Secret]:
        """Yield the options that hold a secret."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Secret):
                yield value

    def check_secrets(self) -> object:  # noqa: B027 - most vendors' secrets have no shape
        """Refuse secrets that can't be what the vendor gave, for `multicdn secret check`. Calls no vendor.

        Raises:
            CredentialsRefused: the text names no value.
        """


@dataclass(frozen=True, kw_only=True)
class SoftPurge(Provider):
    """The vendor can mark objects stale instead of dropping them. Read ``call.soft`` in the purge methods.

    Class attributes:
        soft_kinds: the kinds of target for which it can.
    """

    soft_kinds: ClassVar[frozenset[TargetKind]] = frozenset(TargetKind)

    soft: bool = option(default=False, help="mark objects stale instead of dropping them; a route's `soft` wins")


class PurgeUrls(Provider):
    """Purge single URLs."""

    @property
    @abstractmethod
    def url_limits(self) -> Limits:
        """Limits of ``purge_urls``."""

    @abstractmethod
    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        """Drop these URLs from the cache, or mark them stale if ``call.soft``."""


class PurgePrefixes(Provider):
    """Purge everything below a URL prefix.

    Class attributes:
        prefix_ending: what prefixes end with as ``locate`` spells them, where the vendor promises that such a purge
            reaches every URL that begins with the rest, with whatever query string: then URLs and narrower prefixes
            below one aren't asked for as well. None where there is no such promise.
    """

    prefix_ending: ClassVar[str | None] = None

    @property
    @abstractmethod
    def prefix_limits(self) -> Limits:
        """Limits of ``purge_prefixes``."""

    @abstractmethod
    def purge_prefixes(self, prefixes: Sequence[str], call: Call) -> Receipt:
        """Drop all that begins with one of these prefixes."""


class PurgeTags(Provider):
    """Purge all objects that carry a tag."""

    @property
    @abstractmethod
    def tag_limits(self) -> Limits:
        """Limits of ``purge_tags``."""

    @abstractmethod
    def purge_tags(self, tags: Sequence[str], call: Call) -> Receipt:
        """Drop all that carries one of these tags."""


class PurgeHosts(Provider):
    """Purge all objects of a host name."""

    @property
    @abstractmethod
    def host_limits(self) -> Limits:
        """Limits of ``purge_hosts``."""

    @abstractmethod
    def purge_hosts(self, hosts: Sequence[str], call: Call) -> Receipt:
        """Drop all that was cached under one of these host names."""


class PurgeEverything(Provider):
    """Empty the whole zone, service or distribution. Only ever called on an explicit ``everything: true``."""

    @property
    def everything_limits(self) -> Limits:
        """Limits of ``purge_everything``."""
        return Limits(targets=1)

    @abstractmethod
    def purge_everything(self, call: Call) -> Receipt:
        """Drop all there is."""


class PreloadUrls(Provider):
    """Fetch URLs into the cache before anybody asks for them.

    An option called ``of`` names the instance whose purge is followed, for a provider that fills another one's cache.
    """

    @property
    @abstractmethod
    def preload_limits(self) -> Limits:
        """Limits of ``preload_urls``."""

    @abstractmethod
    def preload_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        """Fetch these URLs into the cache."""


class Confirm(Provider):
    """The vendor can be asked whether a purge is done: whether what it accepted has *finished*.

    The core asks with the ``id`` of a ``Receipt``, each by itself: first when the vendor's own time is over, the
    shorter one of ``Receipt.estimate`` and ``speeds``; then again and again with growing distances, from later
    invocations. Where a provider doesn't inherit this, a ``Receipt`` has no id, or the vendor refuses the question, its
    time alone counts (``Receipt.estimate``, else ``speeds``), and is marked as such. Of a provider that stands for
    others, the part that made the call is asked.
    """

    @property
    @abstractmethod
    def confirm_limits(self) -> Limits:
        """Limits of ``confirm``; ``targets`` is 1. Name the ``quota`` if questions count as purges do."""

    @abstractmethod
    def confirm(self, receipt: str, call: Call) -> Confirmation:
        """Say whether the request with this ``Receipt.id`` is done.

        The id has to be enough: the instance that asks may be another process than the one that purged. An answer that
        means neither done nor failed is ``Confirmation(done=False)``, with the vendor's word for it.

        Raises:
            TargetsRefused: the vendor knows no such request, for instance no longer: then its published time counts.
            ProviderError: else as in the purge methods.
        """


class Prove(Provider):
    """The vendor can say what each of its POPs serves for a URL: a better instrument than a request of our own."""

    @property
    @abstractmethod
    def prove_limits(self) -> Limits:
        """Limits of ``prove``; ``targets`` is 1. Where they don't suffice the core looks by requests of its own."""

    @abstractmethod
    def prove(self, url: str, call: Call) -> Sequence[Seen]:
        """Return what each POP serves for an absolute URL, as clients ask for it; those that didn't answer as well.

        Raises:
            TargetsRefused: the vendor won't look at this URL.
            ProviderError: else as in the purge methods.
        """


class Discover(Provider):
    """A provider that stands for several others, which the vendor names at run time (``distribution: auto``)."""

    @property
    @abstractmethod
    def discovers(self) -> bool:
        """Whether this instance stands for others; False where it was configured with an id."""

    @abstractmethod
    def discover(self, bucket: str, call: Call) -> Mapping[str, Provider]:
        """Return the providers that serve a bucket, each under a name that is unique within this instance.

        Network calls are allowed here; the answer is kept between invocations by the core.

        Raises:
            ProviderError: as in the purge methods.
        """

    @abstractmethod
    def part(self, name: str) -> Provider:
        """Return a provider that ``discover`` has once found under a name, without asking anybody.

        Jobs that waited in the queue know it by that name; their targets are spelled for it already.
        """


class Capability(Struct, frozen=True):
    """One thing that vendors can do, and where a provider has it."""

    action: Action
    kind: TargetKind
    base: type[Provider]
    method: str
    limits: str

    def limits_of(self, provider: Provider) -> Limits:
        """The limits of a provider's calls for this."""
        return getattr(provider, self.limits)  # type: ignore[no-any-return]


CAPABILITIES = (
    Capability(Action.PURGE, TargetKind.URL, PurgeUrls, "purge_urls", "url_limits"),
    Capability(Action.PURGE, TargetKind.PREFIX, PurgePrefixes, "purge_prefixes", "prefix_limits"),
    Capability(Action.PURGE, TargetKind.TAG, PurgeTags, "purge_tags", "tag_limits"),
    Capability(Action.PURGE, TargetKind.HOST, PurgeHosts, "purge_hosts", "host_limits"),
    Capability(Action.PURGE, TargetKind.EVERYTHING, PurgeEverything, "purge_everything", "everything_limits"),
    Capability(Action.PRELOAD, TargetKind.URL, PreloadUrls, "preload_urls", "preload_limits"),
)

_BY_ACTION = {(capability.action, capability.kind): capability for capability in CAPABILITIES}


def capabilities(provider: Provider | type[Provider]) -> tuple[Capability, ...]:
    """List the capabilities of a provider."""
    cls = provider if isinstance(provider, type) else type(provider)
    return tuple(capability for capability in CAPABILITIES if issubclass(cls, capability.base))


def capability(provider: Provider | type[Provider], action: Action, kind: TargetKind) -> Capability | None:
    """How a provider does something, or None where it can't."""
    way = _BY_ACTION.get((action, kind))
    cls = provider if isinstance(provider, type) else type(provider)
    return way if way is not None and issubclass(cls, way.base) else None


def published(provider: Provider | type[Provider], kind: TargetKind, receipt: Receipt) -> tuple[float, bool]:
    """Seconds after the acceptance of a purge after which it counts as finished, and whether the vendor says so at all.

    What it said with the receipt comes before what it publishes for all purges of this kind.
    """
    if receipt.estimate is not None:
        return float(receipt.estimate), True
    speed = provider.speeds.get(kind)
    return (speed.seconds, True) if speed is not None else (0.0, False)


def stands_for_others(provider: Provider) -> TypeGuard[Discover]:
    """Whether an instance stands for providers that are found out at run time."""
    return isinstance(provider, Discover) and provider.discovers


def check_endpoint(endpoint: str) -> None:
    """Refuse anything but https, and http to this machine.

    Raises:
        ValueError: with a sentence for the author of the config file.
    """
    parts = urlsplit(endpoint)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and parts.hostname in _LOOPBACK:
        return
    if parts.scheme == "http":
        message = f"endpoint {endpoint!r} would send credentials in clear; use https (http is only for this machine)"
    else:
        message = f"endpoint {endpoint!r} is not an absolute URL; write https://host or https://host/path"
    raise ValueError(message)

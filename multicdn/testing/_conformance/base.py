"""The base of the conformance tests: the factory that plugin authors give, and ways to make calls."""

from __future__ import annotations

import html
import json
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from multicdn.model import Receipt, Target, TargetKind, digest
from multicdn.provider import Call, Capability, Confirm, Prove, Provider, capabilities
from multicdn.simulators.kit.http_server import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from multicdn.simulators.kit.faults import Faults
    from multicdn.testing._conformance.failure_cases import Expected


_NOTHING = pytest.param(None, id="nothing", marks=pytest.mark.skip(reason="it can't do what this test looks at"))


class Sent(Protocol):
    """One request that an API received."""

    @property
    def method(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...


class Api(Protocol):
    """A running API: ``RecordingVendor`` is one, and so is every ``Simulator``."""

    @property
    def faults(self) -> Faults:
        """Trouble on demand."""

    @property
    def calls(self) -> Sequence[Sent]:
        """The requests so far."""


@dataclass(frozen=True)
class Vendor:
    """A provider under test, and the API that it is configured to talk to."""

    provider: Provider
    api: Api


class Question(NamedTuple):
    """One thing that a vendor can be asked after a purge."""

    base: type[Provider]
    method: str
    limits: str


_QUESTIONS = (Question(Confirm, "confirm", "confirm_limits"), Question(Prove, "prove", "prove_limits"))


class Promises(ABC):
    """Base of the groups of tests. Plugin authors inherit ``multicdn.testing.conformance.ProviderConformance``."""

    plugin: ClassVar[type[Provider]]
    site: ClassVar[str] = "https://www.example.com"
    expected: ClassVar[Mapping[str, Expected]] = {}
    right_answers: ClassVar[Mapping[str, str]] = {}
    refused_urls: ClassVar[Mapping[str, str]] = {}
    further_calls: ClassVar[Mapping[str, str]] = {}
    imports_at_start: ClassVar[Mapping[str, str]] = {}
    imports_at_first_call: ClassVar[Mapping[str, str]] = {}
    plain_options: ClassVar[Mapping[str, str]] = {}
    other_secrets: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def vendor(self) -> AbstractContextManager[Vendor]:
        """Start an API, and give it with a provider that talks to it. Called for each test."""

    def refusal(self, status: int) -> Response:
        """Word an error as the vendor does. The default is what many APIs do."""
        return Response.json({"message": f"refused with {status}"}, status)

    def sample(self, what: Capability, number: int) -> str:
        """Name the n-th of many targets, as a route's template would give it."""
        match what.kind:
            case TargetKind.URL:
                return f"{self.site}/conformance/{number:06}.css"
            case TargetKind.PREFIX:
                return f"{self.site}/conformance/{number:06}/"
            case TargetKind.TAG:
                return f"conformance-{number:06}"
            case TargetKind.HOST:
                return f"h{number:06}.{urlsplit(self.site).hostname}"
        return ""

    @pytest.fixture
    def running(self) -> Iterator[Vendor]:
        """A vendor of its own for each test."""
        with self.vendor() as vendor:
            yield vendor

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run a test once for each thing that the provider can do, of those that its argument stands for."""
        if not hasattr(self, "plugin"):
            raise pytest.UsageError(f"{type(self).__name__}: set `plugin` to the class of your provider")
        choose: dict[str, Callable[[Capability], bool]] = {
            "what": lambda _: True,
            "batched": lambda what: what.kind is not TargetKind.EVERYTHING,
            "by_url": lambda what: what.kind is TargetKind.URL,
        }
        for name in choose.keys() & set(metafunc.fixturenames):
            chosen = [pytest.param(what, id=what.method) for what in capabilities(self.plugin) if choose[name](what)]
            metafunc.parametrize(name, chosen or [_NOTHING])
        if "question" in metafunc.fixturenames:
            asked = [pytest.param(one, id=one.method) for one in _QUESTIONS if issubclass(self.plugin, one.base)]
            metafunc.parametrize("question", asked or [_NOTHING])

    def located(self, provider: Provider, what: Capability, numbers: Iterable[int]) -> tuple[str, ...]:
        """Some samples as the vendor knows them."""
        given = [self.sample(what, number) for number in numbers]
        targets = [located for value in given for located in provider.locate(Target(what.kind, value), what.action)]
        values = tuple(dict.fromkeys(located.value for located in targets if located.kind is what.kind))
        assert values, f"`locate` makes nothing of {given[0]!r} that {what.method} takes; override `sample`, or `site`"
        return values

    def order(self, vendor: Vendor, what: Capability, number: int = 0, *, soft: bool = False) -> Receipt:
        """Make one plain call."""
        return make_call(vendor.provider, what, self.located(vendor.provider, what, [number]), soft=soft)


def make_call(
    provider: Provider, what: Capability, targets: Sequence[str], *, soft: bool = False, read: float = 10.0
) -> Receipt:
    """Call a provider as the core does."""
    call = Call(soft=soft, reference=digest(what.method, str(soft), *targets), connect=5.0, read=read)
    method = getattr(provider, what.method)
    receipt = method(call) if what.kind is TargetKind.EVERYTHING else method(targets, call)
    assert isinstance(receipt, Receipt), f"{what.method} returned {receipt!r}; return a Receipt, or raise"
    return receipt


class Wire:
    """All texts in some requests, in every spelling in which a target may stand there."""

    def __init__(self, calls: Iterable[Sent]) -> None:
        self._lines: list[str] = []
        self._texts: set[str] = set()
        for call in calls:
            self._lines.append(call.target)
            # What is asked for as a browser does is spelled by two parts of the request.
            self._texts.update(
                f"{scheme}://{call.headers.get('Host', '')}{call.target}" for scheme in ("http", "https")
            )
            self._texts.update(value for _, value in parse_qsl(call.target.partition("?")[2]))
            for value in call.headers.values():
                self._texts.update((value, *re.split(r"[\s,]+", value)))
            self._read_body(call.body.decode("utf-8", "replace"))

    def _read_body(self, body: str) -> None:
        try:
            self._texts.update(_texts_of(json.loads(body)))
        except ValueError:
            self._texts.update(value for _, value in parse_qsl(body))
            self._texts.update(html.unescape(text) for text in re.findall(r">([^<>]+)<", body))
            self._texts.update(body.splitlines())

    def lacks(self, values: Iterable[str]) -> list[str]:
        """List those of some targets that aren't there."""
        return [value for value in values if value not in self._texts and not self._holds(value)]

    def _holds(self, value: str) -> bool:
        spelled = (value, quote(value, safe=""))
        return any(one in line for one in spelled for line in self._lines) or any(value in text for text in self._texts)

    def __contains__(self, text: str) -> bool:
        return not self.lacks([text])


def _texts_of(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts_of(item)


def shown(calls: Iterable[Sent]) -> str:
    """Some requests, for a message."""
    return "; ".join(f"{call.method} {call.target[:200]} {call.body[:200]!r}" for call in calls) or "nothing"

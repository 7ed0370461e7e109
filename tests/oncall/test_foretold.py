"""What a preview says of a message is what delivery does with it, whatever the config and the message."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.scripted_provider import FakeClock, Finder, Scripted, most

from multicdn.config import Config
from multicdn.delivery.delivery import Delivery
from multicdn.errors import CallRefused, CredentialsRefused, RetryLater, SecretError, TargetsRefused
from multicdn.model import Action, Job, Report, Target, TargetKind
from multicdn.oncall.preview import UNRESOLVED, Preview, previews, resolve_online
from multicdn.provider import Limits, Provider, stands_for_others
from multicdn.routing.demand import Demand, Want

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONFIGURED = ("acme", "bravo")
NAMES = (*CONFIGURED, "nobody")
PARTS = ("", "/", "/east", "/west", "/gone")
BUCKETS = ("one", "two")
KINDS = (
    (Action.PURGE, TargetKind.URL, False),
    (Action.PURGE, TargetKind.URL, True),
    (Action.PURGE, TargetKind.TAG, False),
    (Action.PURGE, TargetKind.EVERYTHING, False),
    (Action.PURGE, TargetKind.PREFIX, False),  # which none of them has
    (Action.PRELOAD, TargetKind.URL, False),
)
METHODS = {
    "purge_urls": (Action.PURGE, TargetKind.URL),
    "purge_tags": (Action.PURGE, TargetKind.TAG),
    "purge_everything": (Action.PURGE, TargetKind.EVERYTHING),
    "preload_urls": (Action.PRELOAD, TargetKind.URL),
}
TROUBLES: tuple[Exception, ...] = (
    CallRefused("denied"),
    CredentialsRefused("who are you"),
    RetryLater("busy", 1000.0),
    RetryLater("broken"),
    SecretError("${env:KEY}: missing"),
    KeyError("Items"),
)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="multicdn")


@dataclass(frozen=True, kw_only=True)
class Unplannable(Scripted):
    """Its targets can't even be counted."""

    def weigh(self, target: str) -> int:
        raise OverflowError("no scales today")


@dataclass(frozen=True, kw_only=True)
class Sometimes(Finder):
    """Stands for others, as far as its configuration says so, as CloudFront does."""

    auto: bool = True
    parts: Mapping[str, Provider]

    @property
    def discovers(self) -> bool:
        return self.auto

    def part(self, name: str) -> Provider:
        return self.parts[name]


def spell(target: Target) -> tuple[Target, ...]:
    if target.value == "never":
        raise TargetsRefused("not in this zone")
    if target.value == "odd":
        raise ValueError("bug")
    if target.value == "host":
        return (Target(TargetKind.HOST, "host"),)
    return (Target(target.kind, target.value.removesuffix("/again")),)


def settings_of(draw: st.DrawFn) -> dict[str, object]:
    return {"limits": Limits(targets=draw(st.integers(1, 2))), "limits_of_tags": Limits(targets=2), "spell": spell}


@st.composite
def concrete(draw: st.DrawFn) -> Scripted:
    if draw(st.integers(0, 9)) == 9:
        return Unplannable(limits=Limits(targets=3, bytes=100), spell=spell)
    return Scripted(**settings_of(draw))  # type: ignore[arg-type]


@st.composite
def instances(draw: st.DrawFn) -> Provider:
    if draw(st.booleans()):
        return draw(concrete())
    parts = {"east": draw(concrete()), "west": draw(concrete())}
    answers = st.one_of(st.sampled_from(TROUBLES), st.just({}), st.just({"east": parts["east"]}), st.just(parts))
    serving = {bucket: draw(answers) for bucket in BUCKETS}
    more = settings_of(draw)
    return Sometimes(find=_answers(serving), auto=draw(st.integers(0, 2)) > 0, parts=parts, **more)  # type: ignore[arg-type]


def _answers(serving: Mapping[str, object]) -> Callable[[str], Mapping[str, Provider]]:
    def find(bucket: str) -> Mapping[str, Provider]:
        answer = serving[bucket]
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[return-value]

    return find


class Message(NamedTuple):
    """What one invocation is asked for: what is new, and what comes back."""

    demands: list[Demand]
    returned: list[Job]


@st.composite
def messages(draw: st.DrawFn) -> Message:
    values = st.lists(st.sampled_from(["1", "2", "3", "1/again", "never", "odd", "host"]), unique=True, min_size=1)
    demands, returned = [], []
    for number in range(draw(st.integers(1, 8))):
        name, (action, kind, soft) = draw(st.sampled_from(NAMES)), draw(st.sampled_from(KINDS))
        texts = [""] if kind is TargetKind.EVERYTHING else draw(values)
        # A message of its own for each target: of what isn't purged, nothing else that its message asks for is loaded.
        causes = [frozenset((f"{number} {text}",)) for text in texts]
        if draw(st.booleans()):
            wants = {Target(kind, text): Want(cause, cause) for text, cause in zip(texts, causes, strict=True)}
            demands.append(Demand(name, action, soft, draw(st.sampled_from(BUCKETS)), wants))
        else:
            provider, bucket = name + draw(st.sampled_from(PARTS)), draw(st.sampled_from(["", *BUCKETS]))
            returned.append(Job(provider, action, kind, tuple(texts), tuple(causes), soft, "r", bucket))
    return Message(demands, returned)


configs = st.dictionaries(st.sampled_from(CONFIGURED), instances())

# Provider, action, kind, soft and targets of a call.
Called = tuple[str, Action, TargetKind, bool, tuple[str, ...]]


def concretes(providers: Mapping[str, Provider]) -> Iterator[tuple[str, Scripted]]:
    for name, provider in providers.items():
        assert isinstance(provider, Scripted)
        yield name, provider
        if isinstance(provider, Sometimes):
            yield from ((f"{name}/{part}", one) for part, one in provider.parts.items() if isinstance(one, Scripted))


def called(providers: Mapping[str, Provider]) -> Counter[Called]:
    """The calls that the vendors got."""
    return Counter(
        (name, *METHODS[seen.method], seen.call.soft, seen.targets or ("",))
        for name, provider in concretes(providers)
        for seen in provider.calls
    )


def foretold(found: list[Preview]) -> Counter[Called]:
    return Counter(
        (preview.name, ask.action, ask.kind, ask.soft, batch)
        for preview in found
        for ask in preview.asks
        for batch in ask.batches
    )


def undone(report: Report) -> set[tuple[str, str]]:
    """Who did not do something, and why."""
    return {(outcome.job.provider, outcome.reason) for outcome in report.undelivered}


def foretold_undone(found: list[Preview]) -> set[tuple[str, str]]:
    rejected = {(outcome.job.provider, outcome.reason) for preview in found for outcome in preview.rejected}
    return rejected | {(preview.name, preview.note) for preview in found if preview.note}


def config_of(providers: Mapping[str, Provider]) -> Config:
    return Config("multicdn.config.yml", providers, dict.fromkeys(providers, "scripted"), ())


@pytest.mark.slow
@settings(max_examples=200)
@given(providers=configs, message=messages())
def test_a_preview_and_delivery_agree(providers: dict[str, Provider], message: Message) -> None:
    found = previews(config_of(providers), *message, resolve_online)
    assert not called(providers), "a preview calls nobody"
    report = Delivery(providers, clock=FakeClock(), jitter=most).deliver(message.demands, 10_000, message.returned)
    assert foretold(found) == called(providers)
    assert foretold_undone(found) == undone(report)
    assert {outcome for preview in found for outcome in preview.rejected} <= set(report)


@pytest.mark.slow
@settings(max_examples=60)
@given(providers=configs, message=messages())
def test_without_asking_only_what_must_be_asked_for_differs(providers: dict[str, Provider], message: Message) -> None:
    config = config_of(providers)
    offline = previews(config, *message)
    online = previews(config, *message, resolve_online)
    asked = {name for name, provider in providers.items() if stands_for_others(provider)}
    assert [each for each in offline if each.name.partition("/")[0] not in asked] == [
        each for each in online if each.name.partition("/")[0] not in asked
    ]
    assert {each.name for each in offline if UNRESOLVED in each.note} <= asked

"""The conformance suite fails plugins whose questions after a purge are written carelessly."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from multicdn.errors import CredentialsRefused, ProviderError
from multicdn.http import Http
from multicdn.provider import Call, Confirm, Confirmation, Limits, Prove, PurgeUrls, Receipt, Secret, Seen, option
from multicdn.testing._conformance import questions
from multicdn.testing._conformance.base import _QUESTIONS
from multicdn.testing.conformance import ProviderConformance, Vendor
from multicdn.testing.recording import RecordingVendor, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytestmark = pytest.mark.slow

CONFIRM, PROVE = _QUESTIONS
TOKEN = "token-for-tests-only"


@dataclass(frozen=True, kw_only=True)
class Acme(PurgeUrls, Confirm, Prove):
    """Acme CDN, which can be asked everything."""

    docs: ClassVar[str] = "https://docs.acme.example/purge"
    example: ClassVar[Mapping[str, str]] = {"token": "${env:ACME_TOKEN}"}

    token: Secret = option(repr=False, help="API token")
    endpoint: str = option(default="https://api.acme.example", help="base URL of the API")

    url_limits = Limits(targets=3)
    confirm_limits = Limits(targets=1)
    prove_limits = Limits(targets=1)

    @cached_property
    def api(self) -> Http:
        return Http(self.endpoint, headers=lambda: {"Acme-Token": self.token.reveal()})

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        return Receipt(id=self.api.send("POST", "/purge", call, json={"urls": list(urls)}).text("id"))

    def state(self, receipt: str, call: Call) -> str:
        return self.api.send("GET", f"/purge/{receipt}", call).text("state")

    def confirm(self, receipt: str, call: Call) -> Confirmation:
        return Confirmation(done=self.state(receipt, call) == "done")

    def prove(self, url: str, call: Call) -> Sequence[Seen]:
        answer = self.api.send("GET", f"/look?url={url}", call)
        return [Seen(status=200, md5=md5, pop=pop) for pop, md5 in answer.json().items() if len(md5) == 32]


class AcmeConformance(ProviderConformance):
    plugin: ClassVar[type[Acme]] = Acme
    __test__ = False

    @contextmanager
    def vendor(self) -> Iterator[Vendor]:
        with RecordingVendor(answer) as api:
            yield Vendor(self.plugin(endpoint=api.endpoint, token=Secret.literal(TOKEN)), api)


def answer(request: Request) -> Response:
    if request.method == "GET":
        return Response.json({"state": "done"} if request.target.startswith("/purge/") else {"AMS": "0" * 32})
    return Response.json({"id": "1"})


class Nothing(Acme):
    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        super().purge_urls(urls, call)
        return Receipt()


class Optimist(Acme):
    def confirm(self, receipt: str, call: Call) -> Confirmation:
        return Confirmation(done=self.state(receipt, call) != "pending")


class Pessimist(Acme):
    def confirm(self, receipt: str, call: Call) -> Confirmation:
        state = self.state(receipt, call)
        return Confirmation(done=state == "done", failed=state not in ("done", "pending"))


class Twice(Acme):
    def confirm(self, receipt: str, call: Call) -> Confirmation:
        self.state(receipt, call)
        return super().confirm(receipt, call)


class Forgiving(Acme):
    def confirm(self, receipt: str, call: Call) -> Confirmation:
        try:
            return super().confirm(receipt, call)
        except ProviderError as error:
            return Confirmation(done=False, reason=error.reason)


class Suspicious(Acme):
    def confirm(self, receipt: str, call: Call) -> Confirmation:
        try:
            return super().confirm(receipt, call)
        except ProviderError as error:
            raise CredentialsRefused(error.reason) from error


class Remembering(Acme):
    @cached_property
    def mine(self) -> set[str]:
        return set()

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        receipt = super().purge_urls(urls, call)
        self.mine.add(receipt.id)
        return receipt

    def confirm(self, receipt: str, call: Call) -> Confirmation:
        assert receipt in self.mine, "another process asks"
        return super().confirm(receipt, call)


class Boolean(Acme):
    def confirm(self, receipt: str, call: Call) -> Confirmation:
        return super().confirm(receipt, call).done  # type: ignore[return-value]


class Chatty(Acme):
    def confirm(self, receipt: str, call: Call) -> Confirmation:
        print(receipt)
        return super().confirm(receipt, call)


class Sleepy(Acme):
    def confirm(self, receipt: str, call: Call) -> Confirmation:
        time.sleep(0.001)
        return super().confirm(receipt, call)


class Leaky(Acme):
    def prove(self, url: str, call: Call) -> Sequence[Seen]:
        super().prove(url, call)
        return [Seen(headers={"acme-token": self.token.reveal()})]


class Deaf(Acme):
    def confirm(self, receipt: str, call: Call) -> Confirmation:
        return super().confirm(receipt, Call(read=30.0))


class Greedy(Acme):
    prove_limits = Limits(targets=2)


class Blind(Acme):
    def prove(self, url: str, call: Call) -> Sequence[Seen]:
        return super().prove(url, call) or [Seen(status=200)]


class Text(Acme):
    def prove(self, url: str, call: Call) -> Sequence[Seen]:
        return [str(one) for one in super().prove(url, call)]  # type: ignore[misc]


@pytest.fixture
def kit(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> Callable[[type[Acme], str, questions.Question], None]:
    """Run one test of the kit for a plugin."""
    monkeypatch.setattr(questions, "_READ", 0.3)  # how long a plugin that doesn't obey is waited for

    def run(plugin: type[Acme], test: str, question: questions.Question) -> None:
        suite: Any = type("Suite", (AcmeConformance,), {"plugin": plugin})()
        more = (monkeypatch, caplog, capsys) if test == "a_question_has_no_side_effects" else ()
        with suite.vendor() as running:
            getattr(suite, f"test_{test}")(running, question, *more)

    return run


TESTS = [name.removeprefix("test_") for name in vars(questions.Questions) if name.startswith("test_")]


@pytest.mark.parametrize("question", [CONFIRM, PROVE], ids=["confirm", "prove"])
@pytest.mark.parametrize("test", TESTS)
def test_a_careful_plugin_passes(kit: Callable[..., None], test: str, question: questions.Question) -> None:
    kit(Acme, test, question)


@pytest.mark.parametrize(
    ("plugin", "test", "question", "words"),
    [
        (Nothing, "a_question_is_answered", CONFIRM, "with an id"),
        (Optimist, "what_says_nothing_is_no_answer", CONFIRM, "raise RetryLater"),
        (Pessimist, "what_says_nothing_is_no_answer", CONFIRM, "raise RetryLater"),
        (Twice, "a_question_is_answered", CONFIRM, "made 2 requests"),
        (Forgiving, "trouble_answers_no_question", CONFIRM, "makes None of '400'"),
        (Suspicious, "trouble_answers_no_question", CONFIRM, "raise RetryLater"),
        (Remembering, "a_question_stands_alone", CONFIRM, "another process asks"),
        (Boolean, "a_question_is_answered", CONFIRM, "return a Confirmation"),
        (Chatty, "a_question_has_no_side_effects", CONFIRM, "logs or prints"),
        (Sleepy, "a_question_has_no_side_effects", CONFIRM, "sleeps for"),
        (Leaky, "a_question_has_no_side_effects", PROVE, "shows a secret"),
        (Deaf, "a_question_ends_in_time", CONFIRM, "longer than `call.read`"),
        (Greedy, "questions_have_limits", PROVE, "targets=1"),
        (Blind, "what_says_nothing_is_no_answer", PROVE, "raise RetryLater"),
        (Text, "a_question_is_answered", PROVE, "return a list of Seen"),
    ],
)
def test_a_careless_one_is_caught(
    kit: Callable[..., None], plugin: type[Acme], test: str, question: questions.Question, words: str
) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception), match=words):
        kit(plugin, test, question)

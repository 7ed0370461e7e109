"""Conformance of what a vendor is asked after a purge: whether it is done, and what each POP serves."""

from __future__ import annotations

import dataclasses
import threading
from typing import TYPE_CHECKING

import pytest

from multicdn.errors import CallRefused, ProviderError, RetryLater, TargetsRefused
from multicdn.provider import Call, Confirm, Confirmation, Limits, Prove, Seen, capabilities
from multicdn.simulators.kit import faults
from multicdn.testing._conformance.base import Promises, Question, Vendor, shown
from multicdn.testing._conformance.failure_cases import TROUBLES, Expected, echo
from multicdn.testing._conformance.side_effects import Slept, everything_said, forbid_sleep, logged_by, shown_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.provider import Provider
    from multicdn.simulators.kit.faults import Fault

_READ, _IMPATIENT = 5.0, 0.05
_ECHOED = (200, 400, 401, 403, 404, 429, 500)
_REDIRECTS = (301, 302, 307, 308)
_NOTHING = ("{}", "[]", "null", '""', "")
# Whether it is the id, the URL or the settings that a vendor doesn't know, only it can say.
_NOT_KNOWN = (TargetsRefused, CallRefused)


class Questions(Promises):
    """What ``Confirm`` and ``Prove`` promise, where a plugin has them."""

    def test_a_question_is_answered(self, running: Vendor, question: Question) -> None:
        """One question is one request, and the answer is of the right type."""
        about = self._about(running, question)
        before = len(running.api.calls)
        self._ask(running.provider, question, about)
        self._assert_one_request(running, question, before, "an answer")

    def test_a_question_stands_alone(self, running: Vendor, question: Question) -> None:
        """Another process asks, hours later: it has the id of the receipt, and nothing else."""
        about = self._about(running, question)
        self._ask(dataclasses.replace(running.provider), question, about)

    def test_questions_have_limits(self, running: Vendor, question: Question) -> None:
        """One id or URL a question."""
        limits = getattr(running.provider, question.limits)
        assert isinstance(limits, Limits), f"{question.limits} is {limits!r}, and no Limits"
        assert limits.targets == 1, f"{question.limits} must have targets=1: each question is about one"

    def test_trouble_answers_no_question(self, running: Vendor, question: Question) -> None:
        """The core knows from the error whether to ask again, and one question is one request then, too."""
        about = self._about(running, question)
        for trouble in TROUBLES:
            rule = self.expected.get(trouble.name, Expected(trouble.error, "", trouble.after))
            if trouble.name in self.right_answers:
                continue
            before = len(running.api.calls)
            running.api.faults.always(trouble.fault(self.refusal))
            error = self._refused(running.provider, question, about)
            running.api.faults.clear()
            right = _NOT_KNOWN if issubclass(rule.error, _NOT_KNOWN) else (rule.error,)
            assert isinstance(error, right), (
                f"{question.method} makes {error!r} of {trouble.name!r}; raise {rule.error.__name__}"
            )
            wait = getattr(error, "after", None)
            assert rule.after is None or (wait is not None and abs(wait - rule.after) <= 1), (
                f"{trouble.name!r} asks for {rule.after:g} seconds: raise RetryLater(reason, after=...)"
            )
            self._assert_one_request(running, question, before, trouble.name)

    def test_what_says_nothing_is_no_answer(self, running: Vendor, question: Question) -> None:
        """A purge counts as done only where the vendor says so, and a POP as seen only where it is named."""
        about = self._about(running, question)
        for body in _NOTHING:
            running.api.faults.always(faults.status(200, {"Content-Type": "application/json"}, body))
            try:
                answer = self._ask(running.provider, question, about)
            except ProviderError:
                continue
            finally:
                running.api.faults.clear()
            nothing = not answer if question.base is Prove else answer == Confirmation(done=False)
            assert nothing, f"{question.method} makes {answer!r} of the answer {body!r}; raise RetryLater"

    def test_a_question_is_never_redirected(self, running: Vendor, question: Question) -> None:
        """Credentials go to the vendor alone."""
        about = self._about(running, question)
        for status in _REDIRECTS:
            before = len(running.api.calls)
            running.api.faults.once(faults.status(status, {"Location": "/elsewhere"}))
            error = self._refused(running.provider, question, about)
            assert isinstance(error, RetryLater | CallRefused), f"{question.method} makes {error!r} of {status}"
            made = running.api.calls[before:]
            assert len(made) == 1, f"{question.method} follows {status}: {shown(made)}"

    def test_a_question_ends_in_time(self, running: Vendor, question: Question) -> None:
        """``call.read`` is obeyed, as in a purge."""
        about = self._about(running, question)
        raised: list[BaseException | None] = []
        running.api.faults.always(faults.hang())
        ask = threading.Thread(
            target=lambda: raised.append(self._refused(running.provider, question, about, _IMPATIENT)), daemon=True
        )
        ask.start()
        ask.join(_READ)
        late = ask.is_alive()
        running.api.faults.clear()
        ask.join(_READ)
        assert not late, f"{question.method} waits for longer than `call.read`; pass it to the HTTP client"
        assert isinstance(raised[0], RetryLater), f"{question.method} makes {raised[0]!r} of silence; raise RetryLater"

    def test_a_question_has_no_side_effects(
        self,
        running: Vendor,
        question: Question,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """It never sleeps, logs or prints, and shows no secret, even if the vendor quotes it."""
        about, heard = self._about(running, question), set[str]()
        secrets = [*self.other_secrets, *(secret.reveal() for secret in running.provider.secrets())]
        caplog.set_level("DEBUG", logger=self.plugin.__module__)
        forbid_sleep(monkeypatch, self.plugin.__module__)
        for name, fault in _faults(heard):
            running.api.faults.always(fault)
            said = self._told(running.provider, question, about, name)
            running.api.faults.clear()
            assert not shown_in(said, (*secrets, *heard)), (
                f"{question.method} shows a secret on {name!r}; cut it out with multicdn.secrets.redact"
            )
            told = "".join((*logged_by(caplog.records, self.plugin.__module__), *capsys.readouterr()))
            assert not told, f"{question.method} logs or prints on {name!r}: put it into the error instead: {told}"

    def _told(self, provider: Provider, question: Question, about: str, name: str) -> str:
        """All that an answer or an error could show."""
        try:
            return repr(self._ask(provider, question, about))
        except Slept as slept:
            pytest.fail(f"{question.method} sleeps for {slept} on {name!r}; raise RetryLater(reason, after=...)")
        except Exception as error:  # noqa: BLE001 - with which one, other tests look at
            return everything_said(error)

    def _about(self, vendor: Vendor, question: Question) -> str:
        """What to ask about: a URL, or the id of a purge that was accepted."""
        if question.base is Prove:
            return f"{self.site}/conformance/000000.css"
        purges = [what for what in capabilities(self.plugin) if what.action == "purge"]
        ids = (self.order(vendor, what).id for what in purges)
        found = next(filter(None, ids), "")
        assert found, "no purge returns a Receipt with an id, so the core has nothing to ask about"
        return found

    def _ask(self, provider: Provider, question: Question, about: str, read: float = _READ) -> object:
        answer: object = getattr(provider, question.method)(about, Call(connect=_READ, read=read))
        if question.base is Confirm:
            assert isinstance(answer, Confirmation), f"confirm returned {answer!r}; return a Confirmation, or raise"
        else:
            right = isinstance(answer, list | tuple) and all(isinstance(one, Seen) for one in answer)
            assert right, f"prove returned {answer!r}; return a list of Seen, or raise"
        return answer

    def _refused(self, provider: Provider, question: Question, about: str, read: float = _READ) -> ProviderError | None:
        try:
            self._ask(provider, question, about, read)
        except ProviderError as error:
            return error
        return None

    def _assert_one_request(self, running: Vendor, question: Question, before: int, name: str) -> None:
        made = running.api.calls[before:]
        assert len(made) == 1 or question.method in self.further_calls, (
            f"{question.method} made {len(made)} requests on {name!r}; make one, or explain the others in "
            f"`further_calls`: {shown(made)}"
        )


def _faults(heard: set[str]) -> Iterator[tuple[str, Fault]]:
    for status in _ECHOED:
        yield f"{status}, quoting us", echo(status, heard)
    yield "connection reset", faults.reset()
    yield "page in place of an answer", faults.garbage()

"""Conformance of calls that fail: the right error, once, in time, and without a word to anybody else."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from multicdn.delivery.delivery import Delivery
from multicdn.errors import CallRefused, ProviderError, RetryLater
from multicdn.model import Job, Rank
from multicdn.provider import capabilities
from multicdn.simulators.kit import faults
from multicdn.testing._conformance.base import Promises, Vendor, Wire, make_call, shown
from multicdn.testing._conformance.failure_cases import REDIRECTS, TROUBLES, Expected, echo
from multicdn.testing._conformance.side_effects import Slept, everything_said, forbid_sleep, logged_by, shown_in
from multicdn.testing.recording import RecordingVendor, Response

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multicdn.provider import Capability, Provider
    from multicdn.simulators.kit.faults import Fault
    from multicdn.testing._conformance.failure_cases import Trouble

_IMPATIENT = 0.05
_PATIENCE = 5.0  # seconds within which a call that may wait for 0.05 must have ended

_ECHOED = (200, 400, 401, 403, 404, 413, 422, 429, 500, 503)


class Failures(Promises):
    """When a vendor doesn't accept, the core is told why, and nothing else happens."""

    @pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name)
    def test_trouble_becomes_the_right_error(self, running: Vendor, what: Capability, trouble: Trouble) -> None:
        """The core knows from the error whether to wait, to leave out targets, or to stop."""
        rule = self.expected.get(trouble.name, Expected(trouble.error, "", trouble.after))
        running.api.faults.always(trouble.fault(self.refusal))
        error = self._failure(running, what)
        if trouble.name in self.right_answers:
            assert error is None, f"{what.method} makes {error!r} of {trouble.name!r}, which `right_answers` names"
            return
        assert error, f"{what.method} took {trouble.name!r} for success; raise {rule.error.__name__}"
        assert isinstance(error, rule.error), (
            f"{what.method} makes {type(error).__name__} of {trouble.name!r}, and it must be {rule.error.__name__} "
            f"(or say in `expected` why this vendor differs): {error}"
        )
        assert rule.after is None or _about(getattr(error, "after", None), rule.after), (
            f"{trouble.name!r} asks for {rule.after:g} seconds: raise {rule.error.__name__}(reason, after=...)"
        )

    def test_silence_ends_in_time(self, running: Vendor, what: Capability) -> None:
        """``call.read`` is obeyed: the function has only so much time, and other vendors to serve."""
        targets = self.located(running.provider, what, [0])
        raised: list[BaseException] = []

        def ask() -> None:
            try:
                make_call(running.provider, what, targets, read=_IMPATIENT)
            except BaseException as error:  # noqa: BLE001 - looked at below
                raised.append(error)

        running.api.faults.always(faults.hang())
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(_PATIENCE)
        late = thread.is_alive()
        running.api.faults.clear()
        thread.join(_PATIENCE)
        assert not late, f"{what.method} waits for longer than `call.read`; pass it to the HTTP client"
        rule = self.expected.get("silence", Expected(RetryLater, ""))
        assert raised, f"{what.method} took silence for success; raise {rule.error.__name__}"
        assert isinstance(raised[0], rule.error), f"{what.method} makes {raised[0]!r} of silence"

    def test_a_failing_call_is_made_once(self, running: Vendor, what: Capability) -> None:
        """The core retries: it knows the time that is left, and the pace that all callers share."""
        for name, fault in self._faults():
            before = len(running.api.calls)
            self._fail(running, what, fault)
            made = running.api.calls[before:]
            assert len(made) == 1, f"{what.method} made {len(made)} requests on {name!r}, not one: {shown(made)}"

    def test_a_failing_call_never_sleeps(
        self, running: Vendor, what: Capability, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Sleeping costs the function's time, which other vendors need, and the core can't see it."""
        forbid_sleep(monkeypatch, self.plugin.__module__)
        for name, fault in self._faults():
            try:
                self._fail(running, what, fault)
            except Slept as slept:
                pytest.fail(f"{what.method} sleeps for {slept} on {name!r}; raise RetryLater(reason, after=...)")

    def test_a_failing_call_says_nothing(
        self, running: Vendor, what: Capability, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A provider raises and the core logs, once, with what it knows of the batch."""
        caplog.set_level("DEBUG")
        for name, fault in self._faults():
            self._fail(running, what, fault)
            logged = logged_by(caplog.records, self.plugin.__module__)
            assert not logged, f"{what.method} logs on {name!r}: put it into the error instead: {logged[0]}"
            out, err = capsys.readouterr()
            assert not out + err, f"{what.method} prints on {name!r}: put it into the error instead: {out}{err}"

    def test_no_secret_is_shown(
        self, running: Vendor, what: Capability, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Not in a repr, an error or its chain, a log record or on the terminal, even if the vendor quotes it."""
        caplog.set_level("DEBUG", logger="multicdn")
        caplog.set_level("DEBUG", logger=self.plugin.__module__)
        provider = running.provider
        secrets = [*self.other_secrets, *(secret.reveal() for secret in provider.secrets())]
        heard: set[str] = set()
        for name, fault in (*self._faults(), *((f"{status}, quoting us", echo(status, heard)) for status in _ECHOED)):
            said = self._said(running, what, fault) + caplog.text + "".join(capsys.readouterr())
            leaked = shown_in(said, (*secrets, *heard))
            assert not leaked, f"{what.method} shows a secret on {name!r}; cut it out with multicdn.secrets.redact"
        assert not shown_in(f"{provider!r} {provider!s} {self.order(running, what)!r}", secrets), (
            "its repr shows a secret"
        )

    @pytest.mark.parametrize("status", REDIRECTS)
    def test_a_redirect_is_never_followed(self, running: Vendor, what: Capability, status: int) -> None:
        """Whoever can answer once must not be able to send credentials elsewhere, nor to turn POST into GET."""
        rule = self.expected.get(f"redirect {status}", Expected(RetryLater, ""))
        with RecordingVendor(Response.json({})) as elsewhere:
            for place in (f"{elsewhere.endpoint}/purge", "/elsewhere"):
                before = len(running.api.calls)
                running.api.faults.once(faults.status(status, {"Location": place}))
                error = self._failure(running, what)
                assert not elsewhere.calls, f"{what.method} follows {status} to another host, with credentials"
                made = running.api.calls[before:]
                assert len(made) == 1, f"{what.method} follows {status} on the same host: {shown(made)}"
                if f"redirect {status}" in self.right_answers:
                    assert error is None, f"{what.method} makes {error!r} of {status}, which `right_answers` names"
                    continue
                assert isinstance(error, rule.error | CallRefused), (
                    f"{what.method} makes {error!r} of {status}, not {rule.error.__name__}"
                )

    def test_a_refusal_costs_what_was_refused(self, running: Vendor, batched: Capability) -> None:
        """Where a right is missing for one kind, the others go on; a bad target that came back stops no new one."""
        provider, [bad] = running.provider, self.located(running.provider, batched, [0])[:1]
        refusal = self.refusal(403)
        running.api.faults.always(lambda *_: refusal, when=lambda request: bad in Wire([request]))
        new = [self._job(what, self.located(provider, what, [1])) for what in capabilities(provider)]
        undelivered = self._undelivered(provider, self._job(batched, [bad], Rank.TRIED), new)
        assert not undelivered, f"one refused target that came back costs new ones their purge: {undelivered}"
        if "403 for one kind" in self.expected:
            return
        others = [job for job in new if (job.action, job.kind) != (batched.action, batched.kind)]
        undelivered = self._undelivered(provider, self._job(batched, [bad]), others)
        assert not undelivered, (
            f"a 403 for {batched.kind} costs other kinds their purge: {undelivered}; say with `about` what is refused, "
            f"or leave it out (or name it in `expected` as '403 for one kind', if one permission is for all)"
        )

    def _job(self, what: Capability, targets: Sequence[str], rank: Rank = Rank.NEW) -> Job:
        causes = tuple(frozenset((f"{what.method} {target}",)) for target in targets)
        return Job("it", what.action, what.kind, tuple(targets), causes, reference=what.method, rank=rank)

    def _undelivered(self, provider: Provider, bad: Job, others: Sequence[Job]) -> list[str]:
        """The reasons why some of the jobs beside a bad one weren't accepted."""
        report = Delivery({"it": provider}).deliver([], 10.0, [bad, *others])
        return [
            f"{outcome.job.action} by {outcome.job.kind}: {outcome.reason}"
            for outcome in report.undelivered
            if not set(outcome.job.targets) & set(bad.targets) or outcome.job.kind is not bad.kind
        ]

    def _faults(self) -> Iterator[tuple[str, Fault]]:
        for trouble in TROUBLES:
            yield trouble.name, trouble.fault(self.refusal)
        yield "redirect", faults.status(302, {"Location": "/elsewhere"})

    def _failure(self, vendor: Vendor, what: Capability) -> ProviderError | None:
        """Return the error of a call; None where it takes trouble for success. Other exceptions are bugs."""
        try:
            self.order(vendor, what)
        except ProviderError as error:
            return error
        return None

    def _fail(self, vendor: Vendor, what: Capability, fault: Fault) -> BaseException | None:
        """Make a call that meets a fault. That it fails, and with which error, other tests look at."""
        vendor.api.faults.always(fault)
        try:
            self.order(vendor, what)
        except Exception as error:  # noqa: BLE001 - any will do here
            return error
        finally:
            vendor.api.faults.clear()
        return None

    def _said(self, vendor: Vendor, what: Capability, fault: Fault) -> str:
        return everything_said(self._fail(vendor, what, fault))


def _about(seconds: float | None, asked: float) -> bool:
    """Tell if a wait is the one that was asked for; a vendor's date may be rounded."""
    return seconds is not None and abs(seconds - asked) <= 1

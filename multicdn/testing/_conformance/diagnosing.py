"""Conformance of ``diagnose``, where a plugin has it: it purges nothing, shows nothing, and says what to do."""

from __future__ import annotations

from urllib.parse import urlsplit

from multicdn.diagnosis import Finding, Health, Usage
from multicdn.errors import ProviderError
from multicdn.provider import Call, Provider, capabilities
from multicdn.simulators.kit import faults
from multicdn.testing._conformance.base import Promises, Vendor, shown
from multicdn.testing._conformance.failure_cases import echo
from multicdn.testing._conformance.side_effects import everything_said, outside_work, shown_in

_CALL = Call(connect=2.0, read=2.0)
_ECHOED = (200, 400, 401, 403, 404, 500)


class Diagnoses(Promises):
    """``multicdn doctor`` may ask at any time, and its answers go on a screen."""

    def test_a_diagnosis_without_network_asks_nobody(self, running: Vendor) -> None:
        """``call`` is None where no network is to be used: only the options can tell something then."""
        if not self._diagnoses:
            return
        self._findings(running.provider, None)  # what it imports is imported by now
        with outside_work() as seen:
            self._findings(running.provider, None)
        assert not seen, f"`diagnose` with call=None must ask nobody, and does {', '.join(seen)}"
        assert not running.api.calls, f"`diagnose` with call=None sends {shown(running.api.calls)}"

    def test_a_diagnosis_says_what_to_do(self, running: Vendor) -> None:
        """Findings of every state have words; what failed, or will, has a remedy."""
        found = [*self._findings(running.provider, None), *self._findings(running.provider, _CALL)]
        running.api.faults.always(faults.status(403, body=self.refusal(403).body))
        for finding in (*found, *self._findings(running.provider, _CALL)):
            assert isinstance(finding, Finding), f"`diagnose` yields {finding!r}: make it with multicdn.diagnosis"
            assert finding.text.strip(), "a finding of `diagnose` has no text"
            bad = finding.state in (Health.FAILED, Health.WARNING)
            assert finding.remedy.strip() or not bad, f"say what to do about {finding.text!r}"

    def test_a_diagnosis_purges_nothing(self, running: Vendor) -> None:
        """Whoever only looks must not empty a cache, nor pay for it."""
        if not self._diagnoses or "diagnose" in self.further_calls:
            return
        for what in capabilities(self.plugin):
            self.order(running, what)
        orders = {(call.method, call.target) for call in running.api.calls}
        before = len(running.api.calls)
        self._findings(running.provider, _CALL)
        purges = [call for call in running.api.calls[before:] if (call.method, call.target) in orders]
        assert not purges, (
            f"`diagnose` sends what purges send: {shown(purges)}; find a harmless call, or yield `unknown` "
            "(if the body makes the difference, say so in `further_calls` under 'diagnose')"
        )

    def test_a_diagnosis_shows_no_secret(self, running: Vendor) -> None:
        """Not even if the vendor quotes the request in its answer."""
        provider = running.provider
        secrets = [*self.other_secrets, *(secret.reveal() for secret in provider.secrets())]
        heard: set[str] = set()
        for status in _ECHOED:
            running.api.faults.always(echo(status, heard))
            said = "\n".join(f"{each!r}" for each in self._findings(provider, _CALL))
            assert not shown_in(said, (*secrets, *heard)), (
                f"a finding of `diagnose` shows a secret where the vendor answers {status} and quotes us; cut it out "
                "with multicdn.secrets.redact"
            )

    @property
    def _diagnoses(self) -> bool:
        return self.plugin.diagnose is not Provider.diagnose

    def _findings(self, provider: Provider, call: Call | None) -> list[object]:
        """What it says of a use of all that it can do, and the text of its error, if it ends with one."""
        host = urlsplit(self.site).hostname or ""
        asks = frozenset((what.action, what.kind) for what in capabilities(provider))
        found: list[object] = []
        try:
            found += provider.diagnose(Usage(asks=asks, hosts=(host,), buckets=("site",)), call)
        except ProviderError as error:
            found.append(Finding(Health.FAILED, everything_said(error), "the core says what to do about errors"))
        return found

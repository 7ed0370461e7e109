"""Conformance of how a plugin starts: what it imports when, and what it does before the first call."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from multicdn.model import TargetKind
from multicdn.provider import Capability, Secret, capabilities
from multicdn.testing._conformance.base import Promises, Vendor, shown
from multicdn.testing._conformance.side_effects import Import, outside_work, start_afresh

if TYPE_CHECKING:
    import pytest

# By test class: two tests are about what is found in one process, which takes half a second.
_started: dict[type, Import] = {}


class Starts(Promises):
    """A plugin costs nothing where its vendor isn't configured, and else loads what it needs before the first event."""

    def test_importing_it_is_light(self, running: Vendor) -> None:
        """An SDK costs a cold start hundreds of milliseconds, even where this vendor isn't configured."""
        done = self._start(running)
        heavy = sorted(done.packages - self.imports_at_start.keys())
        assert not heavy, (
            f"importing the plugin imports {', '.join(heavy)}: move that into the method or property that needs it, "
            f"or explain it in `imports_at_start`"
        )
        assert not done.outside, f"importing the plugin uses the network: {', '.join(done.outside)}"

    def test_the_first_call_finds_nothing_left_to_load(self, running: Vendor) -> None:
        """What is imported within the first event takes three times as long as before it, and somebody waits."""
        late = [name for name in self._start(running).late if name.partition(".")[0] not in self.imports_at_first_call]
        assert not late, (
            f"the first call imports {', '.join(late[:5])}: import that in `prepare` as well, or explain the package "
            f"in `imports_at_first_call`"
        )

    def test_preparing_asks_nobody_and_reads_no_secret(self, running: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
        """It may happen long before the first call: connections would be gone by then, and secrets rotated."""

        def reveal(secret: Secret) -> NoReturn:
            raise AssertionError(f"`prepare` reads {secret}: leave that to the calls")

        before = self._ending(running, 0)
        asked = len(running.api.calls)
        with monkeypatch.context() as patch, outside_work() as seen:
            patch.setattr(Secret, "reveal", reveal)
            for _ in range(2):
                running.provider.prepare()
        talks = [each for each in seen if each.startswith("socket.")]
        assert not talks, f"`prepare` uses the network: {', '.join(talks)}"
        sent = running.api.calls[asked:]
        assert not sent, f"`prepare` sends {shown(sent)}"
        after = self._ending(running, 1)
        assert after == before, f"a call ends with {after} after `prepare`, and without it with {before}"

    def _ending(self, vendor: Vendor, number: int) -> str:
        """How a call ends: by the name of what it returns or raises."""
        try:
            return type(self.order(vendor, self._first, number)).__name__
        except Exception as error:  # noqa: BLE001 - other tests are about how calls end
            return type(error).__name__

    @property
    def _first(self) -> Capability:
        return capabilities(self.plugin)[0]

    def _start(self, vendor: Vendor) -> Import:
        if type(self) not in _started:
            first = self._first
            targets = self.located(vendor.provider, first, [0])
            arguments = () if first.kind is TargetKind.EVERYTHING else (targets,)
            _started[type(self)] = start_afresh(vendor.provider, first.method, arguments)
        done = _started[type(self)]
        assert not done.error, f"{self.plugin.__module__} does not start by itself:\n{done.error}"
        return done

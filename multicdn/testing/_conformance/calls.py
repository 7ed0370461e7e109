"""Conformance of calls that the vendor accepts: limits, exact targets, repetition."""

from __future__ import annotations

import contextlib
import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from multicdn.delivery.delivery import Delivery
from multicdn.errors import ProviderError, TargetsRefused
from multicdn.model import Target, TargetKind
from multicdn.planning import planner
from multicdn.provider import Capability, Secret, SoftPurge, capabilities, capability
from multicdn.routing.demand import Demand, Want
from multicdn.testing._conformance.base import Promises, Sent, Vendor, Wire, make_call, shown
from multicdn.testing._conformance.failure_cases import ODD_PATHS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from multicdn.model import Job
    from multicdn.provider import Limits

# A limit above this is no limit: nobody changes so many objects at once.
_MOST_TARGETS = 20_000
_MOST_THREADS = 8

_OLD = "r0tated-0ut-"


class Calls(Promises):
    """What a vendor accepts is accepted, whole and exact."""

    def test_a_call_is_accepted(self, running: Vendor, what: Capability) -> None:
        """One order is one request, and the receipt says so."""
        self.order(running, what)
        calls = running.api.calls
        assert calls, f"{what.method} returned a receipt and sent nothing"
        assert len(calls) == 1 or what.method in self.further_calls, (
            f"{what.method} made {len(calls)} requests for one batch; make one, or explain the others in "
            f"`further_calls`: {shown(calls)}"
        )

    def test_a_full_batch_is_accepted(self, running: Vendor, batched: Capability) -> None:
        """A call at exactly the declared limit works, and every target of it arrives."""
        job = self._full(running, batched)
        make_call(running.provider, batched, job.targets)
        missing = Wire(running.api.calls).lacks(job.targets)
        assert not missing, f"of {len(job.targets)} targets {len(missing)} were not sent, {missing[0]!r} first"

    def test_declared_bytes_cover_the_body(self, running: Vendor, batched: Capability) -> None:
        """The core cuts batches by ``weigh`` and ``envelope``, so these may not promise less than is sent."""
        limits: Limits = getattr(running.provider, batched.limits)
        if limits.bytes is None:
            return
        job = self._full(running, batched)
        make_call(running.provider, batched, job.targets)
        promised = limits.envelope + sum(map(running.provider.weigh, job.targets))
        sent = max(len(call.body) for call in running.api.calls)
        assert sent <= promised, f"{sent} bytes were sent, and `weigh` and `envelope` say {promised}"
        assert sent <= limits.bytes, f"{sent} bytes were sent, and the limit is {limits.bytes}"

    def test_the_longest_target_is_accepted(self, running: Vendor, batched: Capability) -> None:
        """A target of exactly the declared length works."""
        longest = getattr(running.provider, batched.limits).target_bytes
        if longest is None:
            return
        stem, dot, rest = self.sample(batched, 0).partition("conformance")
        [plain] = self.located(running.provider, batched, [0])
        padded = f"{stem}{dot}{'k' * (longest - len(plain.encode()))}{rest}"
        [target] = running.provider.locate(Target(batched.kind, padded), batched.action)
        assert len(target.value.encode()) == longest, "the length can't be reached; override `sample`"
        make_call(running.provider, batched, [target.value])

    @pytest.mark.parametrize("path", ODD_PATHS.values(), ids=ODD_PATHS.keys())
    def test_an_odd_url_is_sent_exactly(self, running: Vendor, by_url: Capability, path: str) -> None:
        """CDNs compare byte by byte: no letter may be encoded, decoded, folded or normalised on the way."""
        provider, action = running.provider, by_url.action
        try:
            located = provider.locate(Target(TargetKind.URL, self.site + path), action)
        except TargetsRefused as refused:
            if next(name for name, odd in ODD_PATHS.items() if odd == path) in self.refused_urls:
                return
            pytest.fail(
                f"`locate` refuses {path!r}; if the vendor can't purge it, say why in `refused_urls`: {refused}"
            )
        for target in located:
            way = capability(provider, action, target.kind)
            assert way, f"`locate` made the {target.kind} {target.value!r}, which the provider can't {action}"
            make_call(provider, way, [target.value])
        missing = Wire(running.api.calls).lacks(target.value for target in located)
        assert not missing, (
            f"not sent as it is: {missing}; HTTP clients respell URLs, multicdn.http.Http doesn't. "
            f"Sent: {shown(running.api.calls)}"
        )

    def test_a_repeated_call_is_accepted(self, running: Vendor, what: Capability) -> None:
        """S3 delivers at least once, and the core tries again what may have been done."""
        assert self.order(running, what) is not None
        assert self.order(running, what) is not None

    def test_soft_differs_from_hard(self, running: Vendor) -> None:
        """``call.soft`` reaches the vendor, for each kind that the provider purges softly."""
        for what in capabilities(self.plugin):
            if what.action == "purge" and self._is_soft(what.kind):
                self._compare(running, what)

    def _is_soft(self, kind: TargetKind) -> bool:
        return issubclass(self.plugin, SoftPurge) and kind in self.plugin.soft_kinds

    def _compare(self, vendor: Vendor, what: Capability) -> None:
        sent = []
        for wished in (False, False, True):
            self.order(vendor, what, soft=wished)
            sent.append(vendor.api.calls[-1])
        hard, again, softly = sent
        volatile = _differences(hard, again)
        differs = _differences(hard, softly) - volatile
        assert differs, f"{what.method} sends the same for soft and hard: {shown([softly])}"

    def test_calls_run_side_by_side(self, running: Vendor, batched: Capability) -> None:
        """As many as ``parallel`` allows may be under way at once."""
        limits: Limits = getattr(running.provider, batched.limits)
        number = min(limits.parallel, _MOST_THREADS)
        batches = [self.located(running.provider, batched, [place]) for place in range(number)]
        with ThreadPoolExecutor(number) as threads:
            list(threads.map(lambda batch: make_call(running.provider, batched, batch), batches))
        missing = Wire(running.api.calls).lacks(target for batch in batches for target in batch)
        assert not missing, f"of {number} calls at once some lost their targets: {missing}"

    def test_nothing_to_do_makes_no_call(self, running: Vendor, batched: Capability) -> None:
        """An empty order never reaches the vendor, where it might mean everything."""
        report = Delivery({"it": running.provider}).deliver([_demand(batched, [])], 5.0)
        assert not report.outcomes
        assert not running.api.calls

    def test_a_rotated_secret_is_used_at_once(self, running: Vendor, what: Capability) -> None:
        """After a refusal the core resolves the secrets anew; a provider keeps no copy of the old ones."""
        rotating: dict[str, Any] = {
            field.name: _rotating(getattr(running.provider, field.name).reveal())
            for field in dataclasses.fields(running.provider)
            if isinstance(getattr(running.provider, field.name), Secret)
        }
        changed = Vendor(dataclasses.replace(running.provider, **rotating), running.api)
        with contextlib.suppress(ProviderError):  # by a vendor that looks at credentials
            self.order(changed, what)
        before = len(running.api.calls)
        for secret in changed.provider.secrets():
            secret.forget()
        self.order(changed, what)
        assert _OLD not in Wire(running.api.calls[before:]), (
            "it still sends a secret that was rotated: call reveal() anew"
        )

    def _full(self, vendor: Vendor, what: Capability) -> Job:
        """The largest batch that the core makes, cut by the core from one target more than the limit."""
        most: int = getattr(vendor.provider, what.limits).targets
        assert most <= _MOST_TARGETS, (
            f"{what.limits} allows {most:,} targets a call; {_MOST_TARGETS:,} are as good as any"
        )
        plan = planner.plan("it", vendor.provider, [_demand(what, (self.sample(what, n) for n in range(most + 1)))])
        assert not plan.rejected, f"samples are refused: {plan.rejected[0].reason}; override `sample`, or `site`"
        jobs = [job for job in plan.jobs if job.kind is what.kind]
        assert all(len(job.targets) <= most for job in jobs)
        return max(jobs, key=lambda job: len(job.targets))


def _demand(what: Capability, values: Iterable[str]) -> Demand:
    wants = {Target(what.kind, value): Want({"message"}, {value}) for value in values}
    return Demand("it", what.action, soft=False, bucket="bucket", wants=wants)


def _rotating(value: str) -> Secret:
    values = iter((_OLD + value, value))
    return Secret("rotating", lambda: next(values, value))


def _differences(one: Sent, other: Sent) -> set[str]:
    """In which of its parts a request differs from another."""
    parts = [
        {
            "method": each.method,
            "target": each.target,
            "body": str(each.body),
            **{n.lower(): v for n, v in each.headers.items()},
        }
        for each in (one, other)
    ]
    return {name for name in parts[0].keys() | parts[1].keys() if parts[0].get(name) != parts[1].get(name)}

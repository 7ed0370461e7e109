"""Purges that are looked at in one invocation: vendors are asked whether they are done, and edges what they serve.

It happens side by side with the delivery, a thread for each provider instance: whatever hangs there keeps nobody else.
What wasn't found out in time is looked at later.
"""

from __future__ import annotations

import threading
import time
from threading import Semaphore
from typing import TYPE_CHECKING, NamedTuple

from multicdn.bounds import bounded
from multicdn.delivery.rate_limit import RateLimits
from multicdn.errors import CredentialsRefused, ProviderError, RetryLater, bug, told
from multicdn.log import plugin_bug
from multicdn.proof.ladder import Note, Sighting
from multicdn.proof.look import is_asked, together
from multicdn.proof.look import look as look_at
from multicdn.proof.proving import instrument
from multicdn.provider import Call, Confirm, Confirmation, Prove, stands_for_others

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from multicdn.proof.identity import Verdict
    from multicdn.proof.ladder import Rules
    from multicdn.proof.look import See, Stored
    from multicdn.provider import Provider
    from multicdn.queue.message import Look, QueuedJob
    from multicdn.routing.tiers import Tier
    from multicdn.routing.verify import Verify
    from multicdn.sequel import Subject

# Seconds that one question to a vendor may take.
_CONNECT, _READ = 3.0, 5.0

# Bytes of an answer: a vendor says of one request how far it is.
_LARGEST_ANSWER = 1 << 20

# Seconds that an invocation waits for what is looked at once all else is done, beside those of one look: the next
# uploads wait for its end.
_GRACE = 0.4

# Of that one look may take so many, so that what its edges have said by then is told, though one of them hangs; more
# where a vendor asks all of its POPs.
_PROMPT, _PROVING = 1.6, 3.6

# Below this many seconds nothing is begun.
_SHORTEST = 0.1

# Seconds after which the published time of a purge counts: the vendor hangs, or so many are asked about that its turn
# doesn't come.
_LONGEST_UNASKED = 300.0

# Threads of one instance that earlier looks may have left behind: a plugin that hangs for ever must not take them all.
_MOST_LEFT_BEHIND = 4


class _VendorWord(NamedTuple):
    finished: bool
    asked: bool = False
    failed: str = ""
    reason: str = ""
    receipts: tuple[str, ...] = ()


class Pursuits:
    """Looks at purges. Kept between invocations, for the rates of questions.

    Args:
        providers: instances by name.
        tiers: where those stand that say so, by name.
        rules: how the routes look at objects.
        stored: asks S3 for objects.
        concurrency: how many processes share the vendors' rates.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        tiers: Mapping[str, Tier],
        rules: Rules,
        stored: Stored,
        concurrency: int = 1,
    ) -> None:
        self._providers = providers
        self._tiers = tiers
        self._rules = rules
        self._stored = stored
        self._rates = RateLimits(concurrency)
        self._turns: dict[str, Semaphore] = {}

    def begin(self, looks: Iterable[QueuedJob], seconds: float, each: float | None = None) -> Pursuit:
        """Begin to look, for so many seconds at most, and for so many at each purge; else as others can wait for it."""

        def longest(queued: QueuedJob) -> float:
            if each is not None:
                return each
            return _PROVING if isinstance(self.concrete(queued.job.provider), Prove) else _PROMPT

        return Pursuit(tuple(looks), self._find, seconds, longest)

    def concrete(self, name: str) -> Provider | None:
        """The provider that a job names; None where the config no longer has it."""
        instance, _, part = name.partition("/")
        provider = self._providers.get(instance)
        try:
            return provider.part(part) if part and provider and stands_for_others(provider) else provider
        except Exception:  # noqa: BLE001 - a plugin's, or a message of an older config; then nothing can be asked
            return None

    def _find(self, queued: QueuedJob, until: float) -> Sighting:
        """What can be found out about one purge until a moment of the monotonic clock."""
        answer = self._answer(queued, until)
        verdicts: Mapping[Subject, Verdict] = {}
        if answer.finished and not answer.failed:
            verdicts = self._verdicts(queued, until)
        told = answer.finished, answer.asked, answer.failed, answer.reason
        return Sighting(queued, *told, verdicts, answer.receipts)

    def _answer(self, queued: QueuedJob, until: float) -> _VendorWord:
        look = queued.look
        assert look is not None, "only what was accepted is looked at"
        if look.finished:
            return _VendorWord(finished=True, asked=look.asked)
        provider = self.concrete(queued.job.provider)
        if not (look.receipts and isinstance(provider, Confirm)):
            return self._by_time(look.due)
        asked = True
        for place, receipt in enumerate(look.receipts):
            answer = self._asked(queued, provider, receipt, until)
            if not answer.finished or answer.failed:
                return answer._replace(receipts=look.receipts[place:])
            asked = asked and answer.asked
        return _VendorWord(finished=True, asked=asked)

    @staticmethod
    def _by_time(due: float, reason: str = "") -> _VendorWord:
        return _VendorWord(finished=time.time() >= due - _SHORTEST, reason=reason or "its published time isn't over")

    def _asked(self, queued: QueuedJob, provider: Confirm, receipt: str, until: float) -> _VendorWord:
        look, now = queued.look, time.monotonic()
        assert look is not None, "as above"
        call = Call(connect=min(_CONNECT, until - now), read=min(_READ, until - now))
        try:
            limits = provider.confirm_limits
            # No turn is booked for a question that nobody could wait for.
            if until - now < _SHORTEST or self._rates.book(queued.job.provider, "confirm", limits, 1, now, now) > now:
                return _VendorWord(_is_late(look), reason="the vendor's rate allows the question only later")
            with bounded(call.read, _LARGEST_ANSWER):
                answer = provider.confirm(receipt, call)
            if not isinstance(answer, Confirmation):
                raise TypeError(f"confirm returned {type(answer).__name__} instead of a Confirmation")
        except RetryLater as error:
            return _VendorWord(finished=False, reason=error.reason)
        except ProviderError as error:  # it can't be asked: then its published time counts
            if isinstance(error, CredentialsRefused):
                for secret in provider.secrets():
                    secret.forget()
            return self._by_time(look.due, f"the vendor can't be asked: {error.reason}")
        except BaseException as error:  # noqa: BLE001 - a plugin's bug
            plugin_bug(queued.job.provider, error)
            return self._by_time(look.due, bug(error))
        failed = (answer.reason or "it says no more") if answer.failed else ""
        return _VendorWord(answer.done or answer.failed, asked=True, failed=failed, reason=answer.reason)

    def _verdicts(self, queued: QueuedJob, until: float) -> Mapping[Subject, Verdict]:
        look, instance = queued.look, queued.job.instance
        assert look is not None, "as above"
        rules = {
            subject: rule
            for sequel in queued.job.sequels
            for subject in (sequel.subjects if sequel else ())
            if (rule := self._rules(subject.bucket, subject.key, instance))
        }
        found: dict[Subject, Verdict] = {}
        for rule in dict.fromkeys(rules.values()):
            subjects = [subject for subject, each in rules.items() if each == rule]
            seen = look_at(
                subjects,
                self._instrument(queued.job.provider, rule),
                self._stored,
                identity=rule.identity,
                removed_as=rule.removed_as,
                purged=look.accepted,
                seconds=until - time.monotonic(),
            )
            asked = {subject: verdicts for subject, verdicts in seen.items() if is_asked(verdicts)}
            found |= {subject: together(verdicts) for subject, verdicts in asked.items()}
        return found

    def _instrument(self, name: str, rule: Verify) -> See:
        tier = self._tiers.get(name.partition("/")[0])

        def may_ask(provider: Prove) -> bool:
            now = time.monotonic()
            return self._rates.book(name, "prove", provider.prove_limits, 1, now, now) <= now

        provider = self.concrete(name)
        turns = self._turns_of(name, provider) if isinstance(provider, Prove) else None
        return instrument(name, provider, tier.via if tier else "", rule.identity, may_ask, turns)

    def _turns_of(self, name: str, provider: Prove) -> Semaphore:
        """As many as may ask at once, by the plugin's word; those that an earlier invocation has left hanging count."""
        return self._turns.setdefault(name, Semaphore(provider.prove_limits.parallel))


class Pursuit:
    """What is looked at in one invocation.

    Args:
        looks: the purges.
        find: finds out about one of them.
        seconds: that there are.
        each: that there are for one of them.

    Attributes:
        looks: the same.
        superseded: what is told of that which isn't looked at, since the same objects have changed again.
    """

    def __init__(
        self,
        looks: Sequence[QueuedJob],
        find: Callable[[QueuedJob, float], Sighting],
        seconds: float,
        each: Callable[[QueuedJob], float],
    ) -> None:
        self.looks = looks
        self.superseded: Sequence[Note] = ()
        self._find = find
        self._each = [each(queued) for queued in looks]
        self._until = time.monotonic() + seconds
        self._found: dict[int, Sighting] = {}
        self._changed = threading.Condition()
        self._closed = False
        by_instance: dict[str, list[tuple[int, QueuedJob]]] = {}
        for place, queued in enumerate(looks):
            by_instance.setdefault(queued.job.instance, []).append((place, queued))
        running = [thread.name for thread in threading.enumerate()]
        for instance, mine in by_instance.items():
            name = f"multicdn-look-{instance}"
            if running.count(name) >= _MOST_LEFT_BEHIND:
                self._found |= {
                    place: _unfound(queued, "what it was asked before hangs still") for place, queued in mine
                }
                continue
            thread = threading.Thread(target=self._run, args=(mine,), name=name, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no thread is left; it is looked at later
                continue

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be found out."""
        return len(self._found) >= len(self.looks) or time.monotonic() >= self._until

    def findings(self) -> list[Sighting]:
        """What was found out, at the latest after a grace; the rest is to be looked at later."""
        with self._changed:
            waited = (each for place, each in enumerate(self._each) if place not in self._found)
            until = min(self._until, time.monotonic() + max(waited, default=0.0) + _GRACE)
            while len(self._found) < len(self.looks) and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            self._closed = True
            found = dict(self._found)
        return [found.get(place) or _unfound(queued) for place, queued in enumerate(self.looks)]

    def _run(self, looks: Sequence[tuple[int, QueuedJob]]) -> None:
        for place, queued in looks:
            now = time.monotonic()
            if self._closed or self._until - now < _SHORTEST:
                return
            try:
                finding = self._find(queued, min(self._until, now + self._each[place]))
            except BaseException as error:  # noqa: BLE001 - a bug must cost this look alone, and it is looked at again
                plugin_bug(queued.job.provider, error)
                finding = _unfound(queued, told(error))
            with self._changed:
                self._found[place] = finding
                self._changed.notify_all()


def _unfound(queued: QueuedJob, reason: str = "no time was left to look") -> Sighting:
    look = queued.look
    assert look is not None, "only what was accepted is looked at"
    return Sighting(queued, finished=bool(look.finished) or _is_late(look), asked=look.asked, reason=reason)


def _is_late(look: Look) -> bool:
    """Whether the vendor should have been asked long ago: then its published time counts."""
    return time.time() - max(look.accepted, look.heard) > _LONGEST_UNASKED

"""Finding out what a provider stands for, and remembering it for a while."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.bounds import ANY_LENGTH, bounded
from multicdn.delivery.invocation import forget_secrets
from multicdn.delivery.patience import COMPUTING
from multicdn.errors import CallRefused, CredentialsRefused, ProviderError, RetryLater, SecretError
from multicdn.log import plugin_bug
from multicdn.provider import Provider

if TYPE_CHECKING:
    from multicdn.delivery.breaker import Breaker
    from multicdn.delivery.clock import Clock
    from multicdn.delivery.invocation import Run
    from multicdn.provider import Call, Discover


class Discovered(Struct, frozen=True):
    """The providers behind another one, by name, and the moment from which they are asked for anew."""

    providers: Mapping[str, Provider]
    until: float


class Discoveries:
    """What providers were found to stand for in front of a bucket. Kept between invocations.

    Args:
        clock: of this process.
    """

    # A distribution that was added or changed is seen after this many seconds.
    LIFETIME = 300.0

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._discovered: dict[tuple[str, str], Discovered] = {}
        self._lock = threading.Lock()

    def find(self, name: str, provider: Discover, bucket: str, run: Run, breaker: Breaker) -> Mapping[str, Provider]:
        """The providers that the instance of a name stands for: as remembered, or else as the vendor says now.

        Raises:
            ProviderError, SecretError: the vendor could not be asked, or knows none. A plugin's bug may raise anything.
        """
        with self._lock:
            discovered = self._discovered.get((name, bucket))
        if discovered is not None and discovered.until > self._clock.now():
            return discovered.providers
        try:
            providers = _ask_as_known(name, provider, bucket, run, breaker)
        except (ProviderError, SecretError):
            raise
        except BaseException as error:
            plugin_bug(name, error)
            raise
        with self._lock:
            self._discovered[name, bucket] = Discovered(providers, self._clock.now() + self.LIFETIME)
        return providers


def discover(provider: Discover, bucket: str, call: Call) -> Mapping[str, Provider]:
    """Ask a vendor once.

    Raises:
        ProviderError, SecretError: it could not be asked, or knows none: that is a mistake in the config.
    """
    with bounded(call.read, ANY_LENGTH):
        providers = provider.discover(bucket, call)
    if not all(isinstance(found, Provider) for found in dict(providers).values()):
        raise TypeError("discover must return providers by their names")
    if not providers:
        raise CallRefused(f"nothing found that serves the bucket {bucket!r}")
    return providers


def _ask_as_known(name: str, provider: Discover, bucket: str, run: Run, breaker: Breaker) -> Mapping[str, Provider]:
    """Ask with the secrets that are known; where they are refused, with what they are now."""
    try:
        return _ask(name, provider, bucket, run, breaker)
    except CredentialsRefused:
        forget_secrets(provider)
        return _ask(name, provider, bucket, run, breaker)


def _ask(name: str, provider: Discover, bucket: str, run: Run, breaker: Breaker) -> Mapping[str, Provider]:
    """Ask, with the same limits of time as any other call."""
    for tried in range(run.terms.tries):
        if not run.has_time():
            raise RetryLater("no time was left to find out what it stands for")
        watched = breaker.admit(run, run)
        if watched is None:
            raise RetryLater(breaker.reason, after=breaker.pause())
        run.patience.busy(watched.usual, cold=watched.cold)
        try:
            with breaker.watch(watched):
                return discover(provider, bucket, run.call(most=watched.limit))
        except RetryLater as error:
            wait = run.wait_before(tried, error.after)
            if tried + 1 == run.terms.tries or not run.has_time(wait):
                raise
            if run.observer:
                run.observer.waiting(name, wait, error.reason)
            if not run.patience.sleep(wait):
                raise
        finally:
            run.patience.busy(COMPUTING)
    raise AssertionError("unreachable: the last try returns or raises")

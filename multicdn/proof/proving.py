"""The instrument by which a provider's edges are looked at: the vendor's own where it has one, else a request."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from multicdn.bounds import bounded
from multicdn.errors import ProviderError, bug
from multicdn.log import plugin_bug
from multicdn.proof.look import through
from multicdn.provider import Call, Prove, Seen

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Semaphore

    from multicdn.proof.look import See
    from multicdn.provider import Provider
    from multicdn.sequel import Subject

# Bytes of an answer: each of some hundred POPs tells all headers.
_LARGEST_ANSWER = 4 << 20

_CONNECT = 3.0

# The part of the time that the vendor has to answer; the rest is for a request, should it not.
_ITS_SHARE = 0.7


def instrument(
    name: str,
    provider: Provider | None,
    via: str,
    identity: str,
    may_ask: Callable[[Prove], bool],
    turns: Semaphore | None = None,
) -> See:
    """What asks the edges of a provider.

    Args:
        name: of the provider, for the log.
        provider: the concrete one; None where the config no longer has it.
        via: where it is reached.
        identity: by which its answers will be judged.
        may_ask: whether the vendor's rate allows another question now; where it doesn't, a request has to do.
        turns: one for each that may ask the vendor at once; else a request has to do, too.
    """
    request = through(via, identity)
    if not isinstance(provider, Prove):
        return request

    def see(subject: Subject, seconds: float) -> Sequence[Seen]:
        until = time.monotonic() + seconds
        if turns and not turns.acquire(timeout=seconds * _ITS_SHARE):
            return request(subject, until - time.monotonic())
        try:
            if not may_ask(provider):
                return request(subject, until - time.monotonic())
            left = (until - time.monotonic()) * _ITS_SHARE
            with bounded(left, _LARGEST_ANSWER):
                found = _checked(provider.prove(subject.url, Call(connect=min(_CONNECT, left), read=left)))
        except ProviderError as error:
            seen = request(subject, until - time.monotonic())
            return [*seen, Seen(reason=error.reason)] if not any(each.status for each in seen) else seen
        except Exception as error:  # noqa: BLE001 - a plugin's bug
            plugin_bug(name, error)
            return [Seen(reason=bug(error))]
        finally:
            if turns:
                turns.release()
        return found or request(subject, until - time.monotonic())

    return see


def _checked(found: object) -> Sequence[Seen]:
    """What a plugin said, if it is what it should be."""
    if isinstance(found, Sequence) and all(isinstance(each, Seen) for each in found):
        return found
    raise TypeError("prove must return what each POP serves, as Seen")

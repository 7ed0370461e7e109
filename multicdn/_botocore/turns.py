"""Lets one thread after the other use a session of botocore, and none for longer than its bounds."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ConnectionError as NoConnectionError

from multicdn.bounds import bounded, time_left

if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds for a client with its credentials, and for which others wait while one is made: what gives the credentials, a
# service or a program, may hang.
_LONGEST, _LONGEST_OF_OTHERS = 10.0, 4.0

# What names such a source: docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
_SOURCES = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_PROFILE")


class NotMadeError(NoConnectionError):
    """A client wasn't made in time. Whoever handles what botocore raises knows it as trouble that passes."""

    fmt = "the AWS {what} wasn't made within {seconds:.1f} s: does the source of its credentials hang{named}?"


class SessionTurns:
    """Lets one thread after the other use a session: it isn't made for several, while its clients are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began = 0.0

    def take(self, what: str, use: Callable[[], Any]) -> Any:
        """Use a session within the bounds of this thread, or leave that behind, so that it ends while nobody waits.

        Raises:
            NotMadeError: it takes too long, or that of another thread does.
        """
        began = time.monotonic()
        until = began + (time_left(_LONGEST) or 0.0)
        if self._is_mine(until):
            self._began = time.monotonic()
            turn = _SessionTurn(use, self._lock)
            try:
                turn.start()
            except RuntimeError:  # the process has no thread left
                turn.run()
            else:
                turn.join(max(0.0, until - time.monotonic()))
            if not turn.is_alive():
                return turn.result()
        named = ", ".join(name for name in _SOURCES if os.environ.get(name))
        raise NotMadeError(what=what, seconds=time.monotonic() - began, named=named and f" ({named})")

    def _is_mine(self, until: float) -> bool:
        """Wait for the turn of this thread. One that hangs keeps it, and nobody waits for that anew."""
        while True:
            left = min(until, self._began + _LONGEST_OF_OTHERS) - time.monotonic()
            if self._lock.acquire(timeout=max(0.0, left)):
                return True
            if left <= 0:
                return False


class _SessionTurn(threading.Thread):
    """Uses a session, in a thread since nothing else can be left behind, and ends the turn of whoever started it."""

    def __init__(self, use: Callable[[], Any], lock: threading.Lock) -> None:
        super().__init__(name="multicdn-aws", daemon=True)
        self._use = use
        self._lock = lock
        self._error: BaseException | None = None
        self._made: Any = None

    def run(self) -> None:
        """Do it."""
        try:
            with bounded(_LONGEST):
                self._made = self._use()
        except BaseException as error:  # noqa: BLE001 - raised where somebody waits for it
            self._error = error
        finally:
            self._lock.release()

    def result(self) -> Any:
        """What was made; raises what making it raised."""
        if self._error is not None:
            raise self._error
        return self._made

"""Looking at many things at once, for ``multicdn doctor``: whatever becomes of one, the others are looked at."""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multicdn.diagnosis import Finding, Health, failed, unknown
from multicdn.errors import CredentialsRefused, MulticdnError, ProviderError, RetryLater, told
from multicdn.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Look = Callable[[], Iterable[Finding]]

_MOST_THREADS = 32
_MOST_FINDINGS = 1_000  # of one check: a plugin may yield for ever
_LONGEST = 2_000  # characters of a text, which may quote a vendor
_LOOKED_AT = 8_192  # characters of it among which secrets are looked for, so that none stands across the end


class Line(Struct, frozen=True):
    """One line of the report.

    Attributes:
        check: what was looked at.
        state, text, remedy: as in a finding; no secret that this process has read is in them.
    """

    check: str
    state: Health
    text: str
    remedy: str = ""


def examine(checks: Mapping[str, Look], seconds: float) -> list[Line]:
    """Look at all of them side by side, for so many seconds altogether.

    Args:
        checks: by their names, in the order of the report. Each gives findings, or raises.
        seconds: after which nobody is waited for any longer; what was found by then counts.
    """
    found: dict[str, list[Finding]] = {name: [] for name in checks}
    waiting: queue.SimpleQueue[tuple[str, Look]] = queue.SimpleQueue()
    for item in checks.items():
        waiting.put(item)
    begun: set[str] = set()
    done: queue.SimpleQueue[str] = queue.SimpleQueue()

    def work() -> None:
        while True:
            try:
                name, look = waiting.get_nowait()
            except queue.Empty:
                return
            begun.add(name)
            _look(look, found[name])
            done.put(name)

    for _ in range(min(len(checks), _MOST_THREADS)):
        threading.Thread(target=work, name="multicdn-doctor", daemon=True).start()
    for name in _late(set(checks), done, seconds):
        found[name] = [*found[name], _unfinished(seconds) if name in begun else _unasked(seconds)]
    return [_line(name, finding) for name in checks for finding in found[name]]


def _unfinished(seconds: float) -> Finding:
    remedy = "run it again; if it stays so, see whether a proxy or firewall lies between"
    return failed(f"no answer within {seconds:g} s", remedy)


def _unasked(seconds: float) -> Finding:
    """What hangs holds a thread, and there are so many of them."""
    return unknown(f"not looked at: others took all of {seconds:g} s", "mend those, or give it more: --timeout")


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Let no other thread than this one print: what a plugin prints is no part of the report, and may be a secret."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_OfOneThread(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


class _OfOneThread:
    """A stream for the thread that made this; what others write is dropped."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._thread = threading.get_ident()

    def write(self, text: Any) -> int:
        """As a stream does."""
        if threading.get_ident() == self._thread:
            self._stream.write(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _late(names: set[str], done: queue.SimpleQueue[str], seconds: float) -> set[str]:
    """Those that aren't done in time."""
    until = time.monotonic() + seconds
    while names:
        try:
            names.discard(done.get(timeout=max(0.0, until - time.monotonic())))
        except queue.Empty:
            break
    return names


def _look(look: Look, found: list[Finding]) -> None:
    try:
        given: Iterable[object] = look()
        for finding in given:
            found.append(_checked(finding))
            if len(found) >= _MOST_FINDINGS:
                found.append(unknown(f"it says more than {_MOST_FINDINGS:,} things: the rest isn't shown"))
                return
    except BaseException as error:  # noqa: BLE001 - a plugin may raise anything, SystemExit too
        found.append(_raised(error))


def _raised(error: BaseException) -> Finding:
    match error:
        case CredentialsRefused():
            return failed(f"the credentials aren't accepted: {error.reason}", "store credentials that are good")
        case RetryLater():
            return failed(f"it can't be asked: {error.reason}", "run it again; see whether it can be reached from here")
        case ProviderError():
            return failed(error.reason, "correct what the config says of it")
        case MulticdnError():
            return _sentence(str(error))
        case ImportError():
            return failed(f"a package isn't installed here: {error}", "install what the plugin's own page names")
    return failed(
        f"this check failed: {told(error)}",
        "it is no fault of your config: report it to whoever wrote the check, the plugin's author or us",
    )


def _sentence(text: str) -> Finding:
    """Our own errors end with what to do, behind a semicolon."""
    what, _, remedy = text.partition("; ")
    return failed(what, remedy or "see the text")


def _checked(value: object) -> Finding:
    """What a plugin yields, if it is what the contract says."""
    if not isinstance(value, Finding):
        return _odd(f"a {type(value).__name__}, which is no Finding")
    members: tuple[object, ...] = value.state, value.text, value.remedy
    if tuple(map(type, members)) != (Health, str, str):
        return _odd("a Finding of other members than a Health and two texts")
    if value.state in (Health.FAILED, Health.WARNING) and not value.remedy.strip():
        return Finding(value.state, value.text, "its plugin doesn't say what to do: see the vendor's documentation")
    return value


def _odd(what: str) -> Finding:
    return failed(f"`diagnose` yields {what}", "report it to the plugin's author")


def _line(name: str, finding: Finding) -> Line:
    return Line(name, finding.state, _shown(finding.text), _shown(finding.remedy))


def _shown(text: str) -> str:
    """Redacted now that all is done: a check may have quoted what another one was about to read."""
    whole = redact(text[:_LOOKED_AT])
    return whole if len(whole) <= _LONGEST else f"{whole[:_LONGEST]}…"

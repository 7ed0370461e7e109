"""Looking at many things at once, for ``multicdn doctor``: whatever becomes of one, the others are looked at."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.diagnosis import Finding, Health, failed
from multicdn.errors import CredentialsRefused, MulticdnError, ProviderError, RetryLater, told
from multicdn.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Look = Callable[[], Iterable[Finding]]

_MOST_THREADS = 32
_MOST_FINDINGS = 1_000  # of one check: a plugin may yield for ever
_LONGEST = 2_000  # characters of a text, which may quote a vendor


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
    done: queue.SimpleQueue[str] = queue.SimpleQueue()

    def work() -> None:
        while not waiting.empty():
            try:
                name, look = waiting.get_nowait()
            except queue.Empty:
                return
            _look(look, found[name])
            done.put(name)

    for _ in range(min(len(checks), _MOST_THREADS)):
        threading.Thread(target=work, name="multicdn-doctor", daemon=True).start()
    late = _late(set(checks), done, seconds)
    for name in late:
        remedy = "run it again; if it stays so, see whether a proxy or firewall lies between"
        found[name] = [*found[name], failed(f"no answer within {seconds:g} s", remedy)]
    return [_line(name, finding) for name in checks for finding in found[name]]


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
            found.append(finding if isinstance(finding, Finding) else _odd(finding))
            if len(found) >= _MOST_FINDINGS:
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
            return failed(f"{error.name} isn't installed here", "pip install 'multicdn[all]', or the extra that has it")
    return failed(
        f"this check failed: {told(error)}", "it is no fault of your config: report it to the plugin's author"
    )


def _sentence(text: str) -> Finding:
    """Our own errors end with what to do, behind a semicolon."""
    what, _, remedy = text.partition("; ")
    return failed(what, remedy or "see the text")


def _odd(value: object) -> Finding:
    return failed(
        f"`diagnose` yields a {type(value).__name__}, which is no Finding", "report it to the plugin's author"
    )


def _line(name: str, finding: Finding) -> Line:
    return Line(name, finding.state, _shown(finding.text), _shown(finding.remedy))


def _shown(text: str) -> str:
    """Redacted now that all is done: a check may have quoted what another one was about to read."""
    whole = redact(str(text))
    return whole if len(whole) <= _LONGEST else f"{whole[:_LONGEST]}…"

"""Every error that multicdn raises on purpose, each named for what its reader does next.

    MulticdnError
    ├── ConfigError           edit the configuration (file, line and remedy are in the message)
    ├── PluginError           install, upgrade or repair a plugin
    ├── EventError            this message is not an event that we can read
    ├── SecretError           store the secret, or grant the right to read it
    ├── Undelivered           some purges did not get through; the invocation fails so that AWS tries again
    └── ProviderError         raised by providers; tells delivery what to do with the batch
        ├── RetryLater        the same call may succeed after a while
        ├── TargetsRefused    these targets will never be accepted; the others may be
        └── CallRefused       nothing that it is about can succeed: wrong zone or host, no such kind of purge
            └── CredentialsRefused   the same, because of who we are

Providers raise, the core decides and logs. No message may contain a secret.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


About = Literal["account", "kind", "host"]
"""What a refusal is about: all that the provider can be asked, its kind of target, or the hosts of its targets."""


class MulticdnError(Exception):
    """Root of all errors that multicdn raises on purpose."""


class ConfigError(MulticdnError):
    """The configuration can't be used.

    Attributes:
        problems: one line each, ``file:line: path: what is wrong; what to do``.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class PluginError(MulticdnError):
    """A plugin is missing, broken, or claimed by two distributions."""


class EventError(MulticdnError):
    """A message has no shape that we know; the text says what was seen in it."""


class SecretError(MulticdnError):
    """A secret reference can't be resolved; the text names the reference, never a value.

    Args:
        reason: the text.
        passing: whether only its source is out, and the same reference may be resolved later.
        denied: whether it is there, or may be, and only the right to read it is missing.
    """

    def __init__(self, reason: str, *, passing: bool = False, denied: bool = False) -> None:
        self.passing = passing
        self.denied = denied
        super().__init__(reason)


class Undelivered(MulticdnError):
    """Some jobs of a direct invocation stayed undelivered; the text names them."""


class ProviderError(MulticdnError):
    """Root of what a provider may raise.

    Args:
        reason: one sentence for the log, without secrets: the vendor's words where there are any.
    """

    reason: str = "(no reason was given)"

    def __init__(self, reason: str) -> None:
        # Plugins hand over what they have; the log and the queue need text.
        self.reason = _text(reason)
        super().__init__(self.reason)


class RetryLater(ProviderError):
    """The same call may succeed later: throttled, vendor in trouble, connection broken.

    Args:
        reason: what happened.
        after: seconds that the vendor asked us to wait, or None where it didn't say.
    """

    after: float | None = None

    def __init__(self, reason: str, after: float | None = None) -> None:
        self.after = after
        super().__init__(reason)


class TargetsRefused(ProviderError):
    """The vendor will never accept some targets of this call.

    Args:
        reason: the vendor's words.
        targets: the refused ones, spelled as they were given to the provider; empty where the vendor refused the
            whole call without naming one. The core then halves the batch until the bad one stands alone.
    """

    targets: tuple[str, ...] = ()

    def __init__(self, reason: str, targets: Sequence[str] = ()) -> None:
        self.targets = (targets,) if isinstance(targets, str) else tuple(targets or ())
        super().__init__(reason)


class CallRefused(ProviderError):
    """Nothing like this call can succeed with this configuration: unknown zone or service, moved endpoint.

    Args:
        reason: the vendor's words.
        about: what the vendor refuses, by its own words; the rest is still asked. None where it doesn't say: then calls
            of the same kind at the same host are held back, and more only when others are refused as well.
    """

    def __init__(self, reason: str, about: About | None = None) -> None:
        self.about = about
        super().__init__(reason)


class CredentialsRefused(CallRefused):
    """The vendor doesn't accept our credentials, or they lack a permission: for what ``about`` says."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """End a sentence about an unknown word: with the known one that is most like it, else with all of them.

    One that says the opposite is never it, however like: who writes ``include`` must not be led to ``exclude``.
    """
    import difflib

    spelled = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), spelled, n=1)
    if near and not _denies(word.lower(), near[0]) and not _denies(near[0], word.lower()):
        return f"; did you mean {spelled[near[0]]!r}?"
    return f" (known: {', '.join(spelled.values())})" if spelled else ""


def _denies(word: str, other: str) -> bool:
    """Whether a word is another one with a beginning that turns it round, as in exclude, disallow, non-production."""
    for beginning, without in _DENIALS:
        if word.startswith(beginning) and other.startswith(without):
            rest, stem = word[len(beginning) :].lstrip("_-"), other[len(without) :]
            if stem and not other.startswith(beginning) and rest[:2] == stem[:2]:
                return True
    return False


# Beginnings that deny, and what stands in their place where nothing is denied.
_DENIALS = (
    ("ex", "in"), ("dis", "en"), ("off", "on"), ("post", "pre"),
    *((denial, "") for denial in ("un", "dis", "non", "no", "not", "de", "in", "pre", "never", "skip", "without")),
)  # fmt: skip


def is_seconds(value: object) -> bool:
    """Whether a value is a time that can be waited: a number, not negative and not endless."""
    return isinstance(value, int | float) and 0 <= value < math.inf


def _text(value: object) -> str:
    return value if isinstance(value, str) else repr(value)


def told(error: BaseException) -> str:
    """An exception in one line, for a log or a reason: its type and its text, if that can be had."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - a plugin's own exception may fail at this, too
        text = "(its text can't be had)"
    return f"{type(error).__name__}: {text}"


def bug(error: BaseException) -> str:
    """The reason of an outcome for which a plugin is to blame: it raised what it may not, or lacks a package."""
    if is_lack(error):
        return f"a package that the plugin needs isn't installed where this runs: {error}"
    return f"bug in the plugin: {told(error)}"


def is_lack(error: BaseException) -> bool:
    """Whether an exception says that a package isn't installed: no bug, and its trace shows nothing."""
    return isinstance(error, ModuleNotFoundError)

"""The checks of an installation, each by itself, on one sign-in and one look at the stack."""

from __future__ import annotations

import dataclasses
import os
import threading
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from multicdn.diagnosis import Finding, failed, ok, unknown, warning
from multicdn.installer import cloudformation, diff, sessions, state
from multicdn.installer.deployed import function, queues, rights, triggers
from multicdn.installer.deployed.installed import Installed
from multicdn.installer.errors import InstallError, PassedOverError, is_denied
from multicdn.queue.sender import QUEUE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from multicdn.installer.account import Account
    from multicdn.installer.sessions import ConfigFile

_SHOWN = 3

# Seconds that a call waits for what passes: somebody waits for all of this, and has a minute by default.
_PATIENCE = 10.0

_NOBODY = "not looked at: who we are in AWS isn't known"

_T = TypeVar("_T")


def checks(file: ConfigFile) -> dict[str, Callable[[], Iterable[Finding]]]:
    """The checks of what a config has installed, by name."""
    opened = _Opened(file)
    parts: dict[str, Callable[[Installed], Iterable[Finding]]] = {
        "function": function.settings,
        "deployed config": function.config,
        "role": rights.of_role,
        "event source": function.mapping,
        "queue": queues.waiting,
        "dead letters": queues.dead,
        "rules": triggers.rules,
        **{f"bucket {name}": partial(triggers.bucket, name) for name in file.buckets},
        **{f"bucket {one.bucket}": triggers.forwarded for one in file.config.install.forwarded},
    }
    return {
        "aws": partial(_guarded, opened.identity),
        "stack": partial(_guarded, opened.stack),
        **{name: partial(_guarded, partial(opened.part, look)) for name, look in parts.items()},
    }


def _guarded(look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Where a right to look is missing, nothing is known to be wrong."""
    try:
        yield from look()
    except InstallError as error:
        cause: Any = error.__cause__
        # A bucket of somebody else's is known by what it denies.
        if isinstance(error, PassedOverError) or not hasattr(cause, "response") or not is_denied(cause):
            raise
        yield unknown(f"can't be looked at: {error}", "ask for that right, or let somebody run this who has it")


class _Once(Generic[_T]):
    """What whoever comes first makes; the others wait, and get it too, or the same error."""

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._lock = threading.RLock()
        self._made: list[_T] = []
        self._error: Exception | None = None

    def __call__(self) -> _T:
        with self._lock:
            if self._error is not None:
                raise self._error
            if not self._made:
                try:
                    self._made.append(self._make())
                except Exception as error:
                    self._error = error
                    raise
            return self._made[0]


class _Opened:
    """One sign-in and one look at the stack for all checks."""

    def __init__(self, file: ConfigFile) -> None:
        self._file = file
        self._account = _Once(self._sign_in)
        self._deployed = _Once(lambda: state.read_stack(self._account(), file.config.install.stack))
        self._named = _Once(self._name_keys)

    def identity(self) -> Iterator[Finding]:
        account = self._account()
        source = "install.region" if self._file.config.install.region else "of the environment, no install.region"
        yield ok(f"{account.arn}, account {account.id}, region {account.region} ({source})")

    def stack(self) -> Iterator[Finding]:
        name = self._file.config.install.stack
        try:
            account = self._account()
        except Exception:  # noqa: BLE001 - whatever it is, the check of it tells
            yield unknown(_NOBODY)
            return
        deployed = self._deployed()
        if deployed is None:
            absent = f"nothing is installed as {name} in {account.region} of {account.id}"
            remedy = "run multicdn install apply; if it is elsewhere, name --stack, --region or AWS_PROFILE"
            yield (
                warning(f"{absent}; {QUEUE} names a worker's queue", remedy)
                if _has_worker()
                else failed(absent, remedy)
            )
        elif not deployed.exists:
            busy = cloudformation.is_busy(deployed.status)
            text = f"the stack {name} is {deployed.status}"
            yield warning(text, "wait for the end of that") if busy else failed(text, "run multicdn install apply")
        else:
            yield ok(f"{name} is {deployed.status}, since {deployed.updated}")
            yield from self._drift(deployed)

    def part(self, look: Callable[[Installed], Iterable[Finding]]) -> Iterator[Finding]:
        """Look at one part, if there is one."""
        why = _NOBODY
        try:
            account = self._account()
            why = "not looked at: what is installed isn't known, see stack"
            deployed, named = self._deployed(), self._named()
        except Exception:  # noqa: BLE001 - whatever it is, the check of it tells
            yield unknown(why)
            return
        if deployed is None or not deployed.exists:
            yield unknown("not looked at: nothing is installed")
            return
        yield from look(Installed(account, named, deployed))

    def _drift(self, deployed: state.Deployed) -> Iterator[Finding]:
        """Whether this config makes another stack than is there: rights, settings, versions."""
        installed = Installed(self._account(), self._named(), deployed)
        lines = [line.strip() for line in diff.stack(deployed.body, installed.wanted)]
        if lines:
            more = f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
            yield failed(
                f"the stack isn't what this config makes: {'; '.join(lines[:_SHOWN])}{more}",
                "multicdn install plan shows it all; multicdn install apply does it",
            )
        here = metadata.version("multicdn")
        if deployed.state.version != here:
            yield warning(
                f"multicdn {deployed.state.version} is deployed, and {here} is here", "multicdn install apply"
            )

    def _sign_in(self) -> Account:
        account = sessions.sign_in(self._file, _unsaid, _PATIENCE).account
        return dataclasses.replace(account, client=_Locked(account.client))

    def _name_keys(self) -> ConfigFile:
        """The config with every KMS key by its ARN, as it was when it was installed."""
        file, account = self._file, self._account()
        session = sessions.Session(account, file.config.install, file.buckets, file)
        return sessions.with_key_arns(session).file or file


def _unsaid(_: str) -> None:
    """What is waited for stands in the finding, if it doesn't pass."""


class _Locked:
    """Makes clients one at a time: a session of boto3 isn't made for threads, while its clients are."""

    def __init__(self, make: Callable[[str], Any]) -> None:
        self._make = make
        self._lock = threading.Lock()

    def __call__(self, service: str) -> Any:
        with self._lock:
            return self._make(service)


def _has_worker() -> bool:
    return bool(os.environ.get(QUEUE))

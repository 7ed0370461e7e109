"""Calls to AWS whose answers only inform: what can't be looked at is a sentence, and stops nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from multicdn.installer.errors import InstallError, PassingError, translated

if TYPE_CHECKING:
    from collections.abc import Callable

_Answer = TypeVar("_Answer")


class Hints:
    """Asks, and remembers what couldn't be found out.

    A service that doesn't answer in time is asked nothing more: each of its calls would be waited for as long.

    Attributes:
        problem: why the last question has no answer; empty if it has one.
    """

    def __init__(self) -> None:
        self.problem = ""
        self._silent: dict[str, str] = {}
        self._unknown: dict[tuple[str, str], str] = {}

    @property
    def doubts(self) -> tuple[str, ...]:
        """A sentence about each subject and service of which something isn't known."""
        return tuple(f"{subject} isn't known: {why}" for (subject, _), why in self._unknown.items())

    def ask(self, service: str, doing: str, call: Callable[[], _Answer], subject: str = "") -> _Answer | None:
        """Ask one service.

        Args:
            service: prefix of its permissions, such as ``sqs``.
            doing: what is tried, to stand after "while".
            call: asks, and may raise what boto3 raises.
            subject: what wouldn't be known without it; empty if the caller says so by ``problem``.

        Returns:
            The answer; None if there is none.
        """
        self.problem = self._silent.get(service, "")
        if not self.problem:
            try:
                with translated(doing, service):
                    return call()
            except InstallError as error:
                self.problem = str(error)
                if isinstance(error, PassingError):
                    self._silent[service] = self.problem
        if subject:
            self._unknown.setdefault((subject, service), self.problem)
        return None

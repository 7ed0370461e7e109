"""A delivery in a thread of its own, for who goes on meanwhile."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from multicdn.model import Report


class BackgroundDelivery:
    """One delivery to one provider.

    Args:
        deliver: calls the vendor; never raises for what that does.
        name: of the provider.
        first: whether it is the first for its targets.

    Attributes:
        ended: set when it has.
    """

    def __init__(self, deliver: Callable[[], Report], name: str, *, first: bool) -> None:
        self._deliver, self._name, self.first = deliver, name, first
        self._report: Report | None = None
        self._error: BaseException | None = None
        self.ended = threading.Event()

    def begin(self) -> None:
        """Begin; where no thread is left, do it here."""
        try:
            threading.Thread(target=self._run, name=f"multicdn-follow-{self._name}", daemon=True).start()
        except RuntimeError:
            self._run()

    @property
    def report(self) -> Report:
        """How it ended.

        Raises:
            BaseException: whatever the delivery raised.
        """
        if self._report is None:
            raise self._error or AssertionError("it has ended")
        return self._report

    def _run(self) -> None:
        try:
            self._report = self._deliver()
        except BaseException as error:  # noqa: BLE001 - raised again where somebody waits for it
            self._error = error
        finally:
            self.ended.set()

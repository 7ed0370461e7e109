"""A delivery in a thread of its own, for who goes on meanwhile."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from multicdn.model import Report


class BackgroundDelivery(threading.Thread):
    """One delivery. A daemon: who ends at once waits for none.

    Args:
        deliver: calls the vendors; never raises for what these do.
        name: for the thread.

    Attributes:
        ended: set when it has.
    """

    def __init__(self, deliver: Callable[[], Report], name: str) -> None:
        super().__init__(name=f"multicdn-{name}", daemon=True)
        self._deliver = deliver
        self._report: Report | None = None
        self._error: BaseException | None = None
        self.ended = threading.Event()

    def begin(self) -> None:
        """Begin, unless it has; where no thread is left, do it here."""
        if self.ident is None and not self.ended.is_set():
            try:
                self.start()
            except RuntimeError:
                self.run()

    def run(self) -> None:
        """Deliver, in the thread."""
        try:
            self._report = self._deliver()
        except BaseException as error:  # noqa: BLE001 - raised again where somebody waits for it
            self._error = error
        finally:
            self.ended.set()

    @property
    def report(self) -> Report:
        """How it ended.

        Raises:
            BaseException: whatever the delivery raised.
        """
        if self._report is None:
            raise self._error or AssertionError("it has ended")
        return self._report

"""What stands in for the hooks where no hook plugin is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multicdn.model import Change, Report


class NoHooks:
    """What ``Hooks`` is where no hook plugin is installed: it changes and knows nothing."""

    rewrites_urls = False

    def urls(self, change: Change, urls: Sequence[str]) -> Sequence[str]:
        """The URLs as they are."""
        del change
        return urls

    def resolve_secret(self, scheme: str, name: str) -> str | None:
        """None: nobody knows the reference."""

    def read_event(self, message: object) -> Sequence[Change] | None:
        """None: nobody knows the message."""

    def report(self, report: Report) -> Iterator[Exception]:
        """No errors: nobody looks at it."""
        del report
        return iter(())

"""What vendors publish about their purges: how soon one is seen, and what it costs. Shown by ``multicdn explain``."""

from __future__ import annotations

from msgspec import Struct


class Speed(Struct, frozen=True, kw_only=True):
    """How soon a purge is seen everywhere, by the vendor's own figures.

    Attributes:
        seconds: after the vendor has accepted it.
        share: of how many purges that is said, such as ``95 %``; empty where the vendor doesn't say.
        page: where it is said.
    """

    seconds: float
    page: str
    share: str = ""


class Price(Struct, frozen=True, kw_only=True):
    """What a vendor charges for purges, by its own list.

    Attributes:
        dollars: for one target, of whatever kind.
        free: targets a month of the whole account that cost nothing.
        page: where it is said.
    """

    dollars: float
    free: int
    page: str

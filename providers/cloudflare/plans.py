"""What Cloudflare takes of a zone, by its plan, as of 2026-09-29.

The limits are an account's, shared by its zones of one plan and by hard and soft purges.
"""

from __future__ import annotations

from typing import NamedTuple

from multicdn.provider import Limits

_PAGE = "https://developers.cloudflare.com/cache/how-to/purge-cache/#availability-and-limits"

# Prefixes, tags or hosts, whatever the plan.
ITEMS_PER_CALL = 100

# Cloudflare names no limit. At 0.1 to 0.2 s an answer, 800 URLs a second need more than one call under way.
_PARALLEL = 4


class ZonePlan(NamedTuple):
    """The rates of one plan."""

    urls_per_call: int
    urls_per_second: float
    calls_per_second: float  # of every kind but URLs
    burst: float  # calls that fit into its bucket

    def url_limits(self, urls: int) -> Limits:
        """Limits of purges by URL, so many a call."""
        burst = max(self.urls_per_second, 500)
        return Limits(
            targets=urls,
            targets_per_second=self.urls_per_second,
            target_burst=burst,
            parallel=_PARALLEL,
            page=_PAGE,
        )

    def item_limits(self, items: int, zone: str, longest: int | None = None) -> Limits:
        """Limits of all other purges of a zone, which share one bucket; ``longest`` is that of one item in bytes."""
        return Limits(
            targets=items,
            target_bytes=longest,
            calls_per_second=self.calls_per_second,
            burst=self.burst,
            quota=f"cloudflare {zone}",
            page=_PAGE,
        )


PLANS = {
    "free": ZonePlan(100, 800, 5 / 60, 25),
    "pro": ZonePlan(100, 1500, 5, 25),
    "business": ZonePlan(100, 1500, 10, 50),
    "enterprise": ZonePlan(500, 3000, 50, 500),
}

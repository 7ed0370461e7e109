"""The values that pass between the core and a vendor's plugin. Plugins import them from ``multicdn.provider``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from types import UnionType

# Of the limits, those that are counted, with the least that each may be; and those that are measured.
_COUNTED = {"targets": 1, "bytes": 1, "envelope": 0, "target_bytes": 1, "parallel": 1}
_MEASURED = ("calls_per_second", "targets_per_second", "burst", "target_burst", "target_window")
_OPTIONAL = frozenset({"bytes", "target_bytes", *_MEASURED} - {"burst"})


class Limits(Struct, frozen=True, kw_only=True):
    """The limits of one method, by the vendor's word.

    Attributes:
        targets: at most this many targets a call.
        bytes: at most this many bytes of request body, ``envelope`` included; None where the vendor names no limit.
        envelope: bytes of the body around the targets.
        target_bytes: the longest single target.
        calls_per_second, targets_per_second: the pace for the whole account; None where the vendor names none.
        burst: calls that may follow each other at once after a quiet time.
        target_burst: the same for targets; by default one call of full size.
        target_window: length in seconds of the vendor's sliding window, within any of which it takes no more targets
            than the pace makes of them. None where it counts as a token bucket does.
        quota: name of a budget of the vendor's. All methods and instances whose limits name it share its pace of calls,
            and those with the same pace of targets share that too.
        parallel: calls that may be under way at once from one process.
        page: where the vendor says so; ``multicdn providers NAME`` shows it.
    """

    targets: int
    bytes: int | None = None
    envelope: int = 0
    target_bytes: int | None = None
    calls_per_second: float | None = None
    targets_per_second: float | None = None
    burst: float = 1
    target_burst: float | None = None
    target_window: float | None = None
    quota: str = ""
    parallel: int = 1
    page: str = ""

    def __post_init__(self) -> None:
        """Refuse what limits nothing, or everything: a pace of 0, or of no number, would pass for none at all.

        Raises:
            ValueError: the sentence is for the plugin's author.
        """
        for name, least in _COUNTED.items():
            if not self._allows(name, int, least):
                self._refuse(name, f"a whole number from {least} on")
        for name in _MEASURED:
            if not self._allows(name, int | float, math.ulp(0.0)):
                self._refuse(name, "a number above 0")
        if self.bytes is not None and self.bytes <= self.envelope:
            self._refuse("bytes", f"more than those of the envelope, {self.envelope}")
        if self.target_window and not self.targets_per_second:
            self._refuse("targets_per_second", "a number where there is a target_window")

    def _allows(self, name: str, kinds: type | UnionType, least: float) -> bool:
        value = getattr(self, name)
        if value is None:
            return name in _OPTIONAL
        is_number = isinstance(value, kinds) and not isinstance(value, bool)
        return is_number and least <= value < math.inf

    def _refuse(self, name: str, must_be: str) -> None:
        message = f"Limits.{name} must be {must_be}, and is {getattr(self, name)!r:.80}"
        raise ValueError(message)


class Call(Struct, frozen=True):
    """The circumstances of one call.

    Attributes:
        soft: mark stale rather than drop; only ever true for a provider that inherits ``SoftPurge``.
        reference: the same for a repetition of the same batch, different for any other.
        connect: seconds that the call may wait for the connection.
        read: seconds that the call may take, until the whole answer is there.
    """

    soft: bool = False
    reference: str = ""
    connect: float = 3.0
    read: float = 10.0


class Speed(Struct, frozen=True, kw_only=True):
    """How soon a purge is seen everywhere, by the vendor's own figures.

    Attributes:
        seconds: after the vendor has accepted it. Where it can't be asked, a purge counts as finished then.
        share: of how many purges that is said, such as ``95 %``; empty where the vendor doesn't say.
        page: where it is said.
    """

    seconds: float
    page: str
    share: str = ""


class Price(Struct, frozen=True, kw_only=True):
    """The price of purges, by the vendor's own list.

    Attributes:
        dollars: for one target, of whatever kind.
        free: targets a month of the whole account that cost nothing.
        page: where it is said.
    """

    dollars: float
    free: int
    page: str


class Confirmation(Struct, frozen=True, kw_only=True):
    """What a vendor said when it was asked for a request that it had accepted. Finished is not fresh.

    Attributes:
        done: whether it says that all of the request is done.
        failed: whether it gave up: the request won't be done, and its targets have to be purged again.
        reason: its own word for the state, such as ``InProgress``; empty where it gives none.

    Raises:
        ValueError: done and failed at once.
    """

    done: bool
    failed: bool = False
    reason: str = ""

    def __post_init__(self) -> None:
        """Refuse what says two things."""
        if self.done and self.failed:
            raise ValueError("a Confirmation is either done or failed")


class Seen(Struct, frozen=True, kw_only=True):
    """What an edge serves for a URL.

    Attributes:
        status: HTTP status; 0 where there is no answer.
        headers: of the response, names in lower case.
        md5: of the body without content coding, as 32 lower-case hex digits; empty where it isn't known.
        size: bytes of that body; None where it isn't known.
        pop: the vendor's name of the place; empty where it isn't known.
        reason: why there is no answer, or why something of it isn't known.
    """

    status: int = 0
    headers: Mapping[str, str] = {}
    md5: str = ""
    size: int | None = None
    pop: str = ""
    reason: str = ""

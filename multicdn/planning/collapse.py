"""Many URLs below one directory become that directory's prefix, where the route's policy says so. Pure.

A prefix costs a vendor's customer as much as one URL, and drops objects that have not changed as well: each of them is
fetched from the bucket once more. So nothing is collapsed unless a route asks for it, and then no further than it says:

- ``{over: N}``: a directory with more than N URLs to purge, the deepest such directory first;
- ``budget``: as few directories as bring the month's targets down to those that the vendor gives for nothing, those
  that drop the fewest unchanged objects for each URL saved first; ``{budget: N}`` says how many instead;
- ``harm``: unchanged objects that a prefix may drop for each changed one below it. What can't be counted is harm.

No directory is wider than the route's prefix, none is a whole host unless the route allows that by name, and there are
no more prefixes than one call to the vendor takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from multicdn.model import Action, Target, TargetKind
from multicdn.planning.directories import Directory, directories, located_urls, merged, spelled
from multicdn.provider import SoftPurge, capability
from multicdn.routing.demand import Demand, joined
from multicdn.routing.route import Collapse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from multicdn.provider import Provider

# How many objects below a prefix of a bucket have not changed lately, or None if that can't be found out. It need not
# count further than its third argument.
Count = Callable[[str, str, int], int | None]

_HARM_OF_BUDGET = 1.0

# Directories whose objects are counted for one demand. Each is a call to S3 or more, while purges wait.
_MOST_COUNTED = 60


class Decision(Struct, frozen=True):
    """What was decided about one demand, and why.

    Attributes:
        provider, bucket: of the demand.
        targets: that the vendor would have been asked to purge.
        left: that it is asked to purge now.
        directories: that are purged by prefix, as prefixes of keys.
        innocent: unchanged objects that these drop; None where nobody asked S3.
        dollars: saved, by the vendor's price; 0 where it has none.
        reason: one sentence.
    """

    provider: str
    bucket: str
    targets: int
    left: int
    directories: tuple[str, ...]
    innocent: int | None
    dollars: float
    reason: str


def collapse(
    demands: Sequence[Demand],
    providers: Mapping[str, Provider],
    count: Count,
    spent: dict[type[Provider], int] | None = None,
) -> tuple[list[Demand], list[Decision]]:
    """Collapse what the routes' policies allow.

    Args:
        demands: of one event.
        providers: instances by name.
        count: asked about directories only where that may decide something.
        spent: targets that each vendor was asked for earlier this month, as far as is known; those of this event are
            added to it. A vendor's price is for an account, so all its instances count together.

    Returns:
        The demands, in the same order, and a decision for each that a policy is about.
    """
    spent = {} if spent is None else spent
    for demand in demands:
        if demand.action is Action.PURGE and demand.route is None and demand.provider in providers:
            _spend(spent, providers[demand.provider], len(demand.wants))
    result, decisions = [], []
    for demand in demands:
        provider = providers.get(demand.provider)
        if demand.route is not None and provider is not None:
            collapsed, decision = _Collapsing(demand, provider, spent.get(type(provider), 0), count).result()
            _spend(spent, provider, decision.left)
            decisions.append(decision)
            result.append(collapsed)
        else:
            result.append(demand)
    return result, decisions


class _Collapsing:
    """One demand of one route on its way to fewer targets.

    Args:
        demand: with a route.
        provider: the instance.
        spent: targets of the month that come out of the same budget.
        count: see ``Count``.
    """

    def __init__(self, demand: Demand, provider: Provider, spent: int, count: Count) -> None:
        assert demand.route is not None
        self._demand, self._provider, self._route = demand, provider, demand.route
        self._spent, self._count = spent, count
        policy = self._route.collapse
        self._policy = policy if isinstance(policy, Collapse) else Collapse(budget=self._free())
        self._urls = located_urls(demand, provider)

    def result(self) -> tuple[Demand, Decision]:
        before = len(spelled(self._urls)) + len(self._demand.wants) - len(self._urls)
        chosen, reason = self._chosen(before)
        left = before - len(spelled(url for directory in chosen for url in directory.covered)) + _prefixes(chosen)
        counts = [directory.innocent for directory in chosen]
        innocent = None if None in counts else sum(count or 0 for count in counts)
        paths = tuple(directory.path for directory in chosen)
        names = self._demand.provider, self._demand.bucket
        return self._replaced(chosen), Decision(
            *names, before, left, paths, innocent, self._dollars(before) - self._dollars(left), reason
        )

    def _chosen(self, before: int) -> tuple[list[Directory], str]:
        if obstacle := self._obstacle():
            return [], obstacle
        if self._policy.over is not None:
            return self._over(self._policy.over)
        return self._within(self._policy.budget or 0, before)

    def _obstacle(self) -> str:
        name = type(self._provider).__name__
        if not capability(self._provider, Action.PURGE, TargetKind.PREFIX):
            return f"{name} has no purge by prefix"
        if self._demand.soft and not _softens_prefixes(self._provider):
            return f"{name} has no soft purge by prefix"
        if self._route.collapse == "budget" and self._provider.price is None:
            return f"{name} charges nothing for a target"
        return ""

    def _over(self, most: int) -> tuple[list[Directory], str]:
        chosen: list[Directory] = []
        # What directories leave to be purged by URL, until the one above them has been looked at.
        rests: list[tuple[int, set[Target]]] = []
        for directory in self._directories:
            rest = spelled(directory.own)
            while rests and rests[-1][0] >= directory.low:
                rest = merged(rest, rests.pop()[1])
            if len(rest) > most and (counted := self._harmless(directory)):
                while chosen and chosen[-1].low >= directory.low:
                    chosen.pop()
                chosen.append(counted)
                rest = set()
            rests.append((directory.low, rest))
        if not chosen:
            return [], f"no directory has more than {most} URLs to purge and few enough unchanged objects"
        kept = self._fitting(sorted(chosen, key=_most_saved))
        more = f"; {len(chosen) - len(kept)} others are more than the vendor takes at once" if kept != chosen else ""
        return kept, f"each directory has more than {most} URLs to purge{more}"

    def _within(self, budget: int, before: int) -> tuple[list[Directory], str]:
        room = max(0, budget - self._spent)
        if before <= room:
            return [], f"{before} targets are within the budget of {room}: collapsing would save nothing"
        chosen: list[Directory] = []
        for directory in self._least_harm_first():
            if before - _saved(chosen) <= room:
                break
            chosen = self._better(chosen, directory)
        if not chosen:
            return [], f"{before} targets are over the budget of {room}, and all directories have too much unchanged"
        left = before - _saved(chosen)
        return chosen, f"{before} targets are over the budget of {room}; {left} are left"

    def _better(self, chosen: list[Directory], directory: Directory) -> list[Directory]:
        """With a directory, in place of those below it, if that leaves fewer targets and the vendor's quota allows."""
        if any(directory.path.startswith(wider.path) for wider in chosen):
            return chosen
        better = [*(narrow for narrow in chosen if not narrow.path.startswith(directory.path)), directory]
        return better if _prefixes(better) <= self._quota and _saved(better) > _saved(chosen) else chosen

    def _least_harm_first(self) -> list[Directory]:
        # Small directories save little, and to count each of thousands would take longer than to purge.
        largest = sorted(self._directories, key=_most_saved)[:_MOST_COUNTED]
        counted = [harmless for directory in largest if (harmless := self._harmless(directory))]
        return sorted(counted, key=_least_harm)

    @property
    def _directories(self) -> list[Directory]:
        return directories(self._route, self._provider, self._urls)

    def _fitting(self, chosen: Iterable[Directory]) -> list[Directory]:
        """As many as the vendor's quota allows."""
        fitting: list[Directory] = []
        room = self._quota
        for directory in chosen:
            if len(directory.spelled) <= room:
                fitting.append(directory)
                room -= len(directory.spelled)
        return fitting

    @property
    def _quota(self) -> int:
        """Prefixes that one call takes. More would wait until these are done (CloudFront: 15 in progress)."""
        way = capability(self._provider, Action.PURGE, TargetKind.PREFIX)
        assert way is not None
        return way.limits_of(self._provider).targets

    def _harmless(self, directory: Directory) -> Directory | None:
        """The directory with its unchanged objects counted; None if there are too many, or nobody knows."""
        harm = self._policy.harm
        if harm is None:
            if self._policy.over is not None:
                return directory
            harm = _HARM_OF_BUDGET
        allowed = int(harm * directory.changed)
        innocent = self._count(self._demand.bucket, directory.path, allowed + 1)
        return None if innocent is None or innocent > allowed else structs.replace(directory, innocent=innocent)

    def _free(self) -> int:
        price = self._provider.price
        return price.free if price else 0

    def _dollars(self, targets: int) -> float:
        price = self._provider.price
        return max(0, targets - max(0, price.free - self._spent)) * price.dollars if price else 0.0

    def _replaced(self, chosen: Iterable[Directory]) -> Demand:
        demand = self._demand
        wants = dict(demand.wants)
        for directory in chosen:
            gone = [want for url in directory.covered if (want := wants.pop(url.target, None))]
            for prefix in directory.prefixes:
                wants[prefix] = joined([*gone, wants[prefix]] if prefix in wants else gone)
        return Demand(demand.provider, demand.action, demand.soft, demand.bucket, wants)


def _spend(spent: dict[type[Provider], int], provider: Provider, targets: int) -> None:
    spent[type(provider)] = spent.get(type(provider), 0) + targets


def _softens_prefixes(provider: Provider) -> bool:
    return isinstance(provider, SoftPurge) and TargetKind.PREFIX in provider.soft_kinds


def _most_saved(directory: Directory) -> tuple[int, int]:
    """Sort what saves most before the rest, and of the same the narrowest."""
    return -directory.saved, -len(directory.path)


def _least_harm(directory: Directory) -> tuple[float, int, int]:
    """Sort what drops the fewest unchanged objects for each target saved before the rest."""
    return (directory.innocent or 0) / directory.saved, *_most_saved(directory)


def _saved(chosen: Iterable[Directory]) -> int:
    return sum(directory.saved for directory in chosen)


def _prefixes(chosen: Iterable[Directory]) -> int:
    """How many targets the directories themselves are for the vendor."""
    return sum(len(directory.spelled) for directory in chosen)

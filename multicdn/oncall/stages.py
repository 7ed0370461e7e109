"""After a vendor has accepted: when a purge is finished, who looks whether it is fresh, and who acts next. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct, structs

from multicdn.provider import Confirm, Prove
from multicdn.routing.router import Router
from multicdn.routing.tiers import Tier

if TYPE_CHECKING:
    from collections.abc import Iterable

    from multicdn.config import Config
    from multicdn.model import Change
    from multicdn.routing.matcher import UrlHook
    from multicdn.routing.verify import Verify
    from multicdn.sequel import Sequel, Then

_UNREACHED = Tier()


class LookPlan(Struct, frozen=True):
    """How it is looked whether a provider serves new bytes.

    Attributes:
        through: where requests go: its ``via``; empty for wherever the site's name leads.
        pops: whether the vendor is asked what each of its POPs serves, as far as its rate allows.
        objects: how many are looked at.
        urls: theirs.
        within: as the config has it.
        identity: as the config has it.
    """

    through: str
    pops: bool
    objects: int
    urls: tuple[str, ...]
    within: str
    identity: str


class Stage(Struct, frozen=True):
    """When a provider acts for some changes, and what comes after it has accepted.

    Attributes:
        after: names of the providers that it waits for.
        until: what these must be by then; empty where it waits for none.
        at_most: how long it waits, as the config has it.
        finished: how that is known: the vendor is ``asked``, or its ``published`` time is over; empty for what is no
            purge.
        again: time after which it is purged a second time, as the config has it.
        look: how it is looked whether it is fresh; None where nobody looks.
        followed: whether anything comes after it is finished.
        turn: how many others act one after the other before it.
    """

    after: tuple[str, ...] = ()
    until: Literal["", "finished", "fresh"] = ""
    at_most: str = ""
    finished: Literal["", "asked", "published"] = ""
    again: str = ""
    look: LookPlan | None = None
    followed: bool = False
    turn: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether it is over once the vendor has accepted."""
        return not (self.after or self.again or self.look or self.followed)


Stages = dict[tuple[str, str], Stage]
"""By name of the instance, and action."""


def stages(config: Config, changes: Iterable[Change], url_hook: UrlHook | None = None) -> Stages:
    """The stages of all that some changes ask for, the first ones first. It is what the function's own router says."""
    tree = _Chart(config)
    router = Router(config.routes, config.providers, url_hook, config.places, config.tiers)
    demands, _ = router.demands(changes)
    for demand in demands:
        tree.note(demand.provider, demand.action)
        for want in demand.wants.values():
            if want.sequel:
                tree.add(demand.provider, want.sequel, router)
    return tree.made()


class _Chart:
    """The stages as they are found out."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._found: Stages = {}
        self._objects: dict[str, dict[tuple[str, str], str]] = {}
        self._verify: dict[str, Verify] = {}

    def note(self, name: str, action: str) -> None:
        if (name, str(action)) not in self._found:
            tier, purges = self._config.tiers.get(name, _UNREACHED), action == "purge"
            asked: Literal["asked", "published"] = "asked" if self._is(name, Confirm) else "published"
            self._found[name, str(action)] = Stage(
                finished=asked if purges else "", again=tier.again if purges else ""
            )  # fmt: skip

    def add(self, name: str, sequel: Sequel, router: Router) -> None:
        for subject in sequel.subjects:
            self._objects.setdefault(name, {})[subject.bucket, subject.key] = subject.url
            if verify := router.verify(subject.bucket, subject.key, name):
                self._verify.setdefault(name, verify)
        for then in sequel.then:
            self._follow(name, then, looked_at=bool(sequel.subjects))
            if then.sequel:
                self.add(then.provider, then.sequel, router)

    def _follow(self, name: str, then: Then, *, looked_at: bool) -> None:
        self.note(then.provider, then.action)
        before, after = (name, "purge"), (then.provider, then.action)
        self._found[before] = structs.replace(self._found[before], followed=True)
        stage, tier = self._found[after], self._config.tiers.get(then.provider, _UNREACHED)
        until: Literal["finished", "fresh"] = "fresh" if then.fresh and looked_at else "finished"
        waits = tuple(dict.fromkeys((*stage.after, name)))
        self._found[after] = structs.replace(stage, after=waits, until=stage.until or until, at_most=tier.wait_at_most)

    def made(self) -> Stages:
        done = {key: self._complete(key, stage) for key, stage in self._found.items()}
        return dict(sorted(done.items(), key=lambda pair: pair[1].turn))

    def _complete(self, key: tuple[str, str], stage: Stage) -> Stage:
        name, action = key
        stage = structs.replace(stage, turn=self._turn(key))
        objects, verify = self._objects.get(name), self._verify.get(name)
        if action != "purge" or not objects or verify is None:
            return stage
        look = LookPlan(
            through=self._config.tiers.get(name, _UNREACHED).via,
            pops=self._is(name, Prove),
            objects=len(objects),
            urls=tuple(dict.fromkeys(objects.values())),
            within=verify.within,
            identity=verify.identity,
        )
        return structs.replace(stage, look=look)

    def _turn(self, key: tuple[str, str]) -> int:
        """How many others act before it. The config check has refused loops."""
        return max((1 + self._turn((name, "purge")) for name in self._found[key].after), default=0)

    def _is(self, name: str, capability: type) -> bool:
        return isinstance(self._config.providers[name], capability)

"""What is wrong with how routes look at their objects after a purge. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from multicdn.config import capture_checks, template_checks, tier_checks
from multicdn.config.fault import Fault
from multicdn.config.settings import Trigger
from multicdn.model import ChangeKind, TargetKind
from multicdn.routing import placeholders
from multicdn.routing.durations import seconds
from multicdn.routing.tiers import Tier
from multicdn.routing.verify import Verify

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from multicdn.config.checked import Config
    from multicdn.routing.route import Route

_UNREACHED = Tier()


def faults(config: Config, places: Sequence[int]) -> Iterator[Fault]:
    """Find what is wrong with the ``verify`` of a file's routes; paths are those of the file.

    Args:
        config: each of its values is right by itself.
        places: of each route, its place in the file.
    """
    for route, place in zip(config.routes, places, strict=True):
        if route.verify:
            path = ("routes", place, "verify")
            found = (*_of_route(route, route.verify), *_beside(route.verify, config))
            yield from (fault._replace(path=(*path, *fault.path)) for fault in found)
    yield from _unreached(config)


def _of_route(route: Route, verify: Verify) -> Iterator[Fault]:
    if not route.purge:
        yield Fault((), "has nothing to wait for: no provider purges here")
    if not (route.urls or verify.urls):
        yield Fault((), "has nothing to look at: write `urls` below it, as clients ask for the objects")
    names = capture_checks.captures(route)
    if not verify.urls and route.urls and not any(_is_of_object(text, names) for text in route.urls):
        text = "has nothing to look at, unless a hook adds it: none of the route's `urls` is that of a single object"
        yield Fault((), f"{text}; write `urls` below it, as clients ask for the objects", warning=True)
    for place, text in enumerate(verify.urls):
        if fault := template_checks.fault(text, TargetKind.URL, names):
            yield Fault(("urls", place), fault)
        elif doubt := template_checks.doubt(text, TargetKind.URL, route.prefix):
            yield Fault(("urls", place), doubt, warning=True)
        elif "{" not in text and not route.match and not route.include:
            said = "is the same for all objects, and would be compared with each of them; write such as {key} into it"
            yield Fault(("urls", place), said, warning=True)
    if verify.removed_as and not {ChangeKind.REMOVED, ChangeKind.ACCESS}.intersection(route.on):
        yield Fault(("removed_as",), "does nothing: the route doesn't act on removed objects", warning=True)


def _is_of_object(text: str, captures: Collection[str]) -> bool:
    try:
        return placeholders.parse(text, captures).is_of_object
    except ValueError:
        return True  # it is told elsewhere


def _beside(verify: Verify, config: Config) -> Iterator[Fault]:
    """What the settings of the file leave no room for."""
    if config.install.trigger is Trigger.DIRECT:
        yield Fault((), tier_checks.NO_QUEUE)
    longest = config.delivery.give_up_after
    if verify.within != Verify().within and seconds(verify.within) > seconds(longest):
        text = f"is longer than `give_up_after` {longest}, at which what waits is given up"
        yield Fault(("within",), text, warning=True)


def _unreached(config: Config) -> Iterator[Fault]:
    """Providers of which nobody can tell whether it was they that answered."""
    told: set[str] = set()
    for route, at in zip(config.routes, config.places, strict=True):
        if route.verify is None or len(set(route.purge)) < 2:
            continue
        own = {urlsplit(url).hostname for url in route.verify.urls or route.urls}
        for name in dict.fromkeys(route.purge):
            via = config.tiers.get(name, _UNREACHED).via
            if name in config.types and name not in told and (text := _doubt_of_via(name, via, own, at)):
                told.add(name)
                yield Fault(("providers", name, *(("via",) if via else ())), text, warning=True)


def _doubt_of_via(name: str, via: str, own: set[str | None], at: str) -> str:
    if not via:
        return (
            f"has no `via`, and the route at {at} looks at several CDNs: the URL's own host is one CDN only; write "
            f"`via`, where {name} is reached"
        )
    if urlsplit(via if "://" in via else f"//{via}").hostname in own:
        return f"{via!r} is the site's own name, which leads to one CDN only: write where {name} itself is reached"
    return ""

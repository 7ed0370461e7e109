"""Where a CDN stands: how it is reached, and from which other CDNs it fetches. Pure."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

from msgspec import Meta, Struct

from multicdn.routing.durations import DURATION

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class Tier(Struct, frozen=True, kw_only=True):
    """The options that every provider has beside those of its type.

    The descriptions are those that the JSON schema shows.
    """

    via: Annotated[
        str,
        Meta(
            description="where this CDN itself is reached, whatever DNS says of the site's name: `host`, `host:port`, "
            "or `https://host:port`"
        ),
    ] = ""
    pulls_from: Annotated[
        tuple[str, ...],
        Meta(description="names of the providers that this CDN fetches from, and after which it is purged"),
    ] = ()
    wait_for: Annotated[
        Literal["finished", "fresh"],
        Meta(description="what those must be before this one is purged; `fresh` where the route has `verify`"),
    ] = "finished"
    wait_at_most: Annotated[
        str, Meta(pattern=DURATION, description="how long this one waits for them; then it is purged all the same")
    ] = "15m"
    again: Annotated[
        str,
        Meta(
            pattern=DURATION,
            description="a second purge so long after the first was accepted, for races behind a shield: `1s` to `15m`",
        ),
    ] = ""


PLAIN = Tier()


def sources(name: str, tiers: Mapping[str, Tier]) -> list[str]:
    """All that a provider fetches from, directly or not; the config check has refused loops."""
    found: dict[str, None] = {}
    open_ = list(tiers.get(name, PLAIN).pulls_from)
    while open_:
        each = open_.pop()
        if each not in found and each != name:
            found[each] = None
            open_ += tiers.get(each, PLAIN).pulls_from
    return list(found)


def nearest(name: str, among: Collection[str], tiers: Mapping[str, Tier]) -> tuple[str, ...]:
    """Of some providers those that one fetches from, without what another of them fetches from."""
    found = [each for each in sources(name, tiers) if each in among]
    return tuple(each for each in found if not any(each in sources(other, tiers) for other in found))


@cache
def written_options() -> Mapping[str, Any]:
    """The options of every provider as the config file has them, with their types."""
    return get_type_hints(Tier, include_extras=True)

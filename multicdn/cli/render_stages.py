"""What comes after a vendor has accepted, as text for people and as JSON for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multicdn.oncall.stages import LookPlan, Stage
    from multicdn.provider import Speed


def told(stage: Stage, speed: Speed | None) -> Iterator[str]:
    """Lines on a stage; none where it is over once the vendor has accepted.

    Args:
        stage: of a provider, for one action.
        speed: that the vendor publishes.
    """
    if stage.is_plain:
        return
    if stage.after:
        at_most = f", for {stage.at_most} at most" if stage.finished else ""
        yield f"    waits until {_listed(stage.after)} {stage.until}{at_most}"
    if stage.again:
        yield f"    purged again {stage.again} after it was accepted"
    if stage.finished:
        yield f"    finished {_finished(stage, speed)}"
    if stage.look:
        yield f"    fresh {_fresh(stage.look)}"


def as_json(stage: Stage | None) -> dict[str, Any]:
    """A stage as members of what a provider is asked."""
    if stage is None:
        return {"after": [], "until": None, "finished": None, "again": None, "fresh": None}
    return {
        "after": list(stage.after),
        "until": stage.until or None,
        "finished": stage.finished or None,
        "again": stage.again or None,
        "fresh": msgspec.to_builtins(stage.look),
    }


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]} are" if len(names) > 1 else f"{names[0]} is"


def _finished(stage: Stage, speed: Speed | None) -> str:
    if stage.finished == "asked":
        return f"when the vendor says so, asked after about {speed.seconds:g} s" if speed else "when the vendor says so"
    if speed is None:
        return "at once: the vendor can't be asked, and publishes no time"
    return f"after about {speed.seconds:g} s, which the vendor publishes: it can't be asked"


def _fresh(look: LookPlan) -> str:
    objects = "object" if look.objects == 1 else f"{look.objects:,} objects"
    through = look.through or "the site's own name"
    asked = f"at each POP, by the vendor's word, or through {through}" if look.pops else f"through {through}"
    return f"when the new bytes of the {objects} are seen {asked}; else purged again, for {look.within}"

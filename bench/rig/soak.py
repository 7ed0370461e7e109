"""A soak: thousands of uploads, vendors in trouble, workers that are killed; and in the end nothing may be lost.

Real are the workers, which are processes, and all they run: config, secrets, providers, queue. AWS and the vendors are
on loopback. Seeded, as far as the scheduling of processes allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rig.soak_world import SoakWorld

if TYPE_CHECKING:
    from collections.abc import Callable

    from multicdn.testing.loopback.aws import LoopbackAws
    from rig.soak_model import SoakReport, SoakSettings


def run(
    settings: SoakSettings, say: Callable[[str], None] = lambda _: None, aws: LoopbackAws | None = None
) -> SoakReport:
    """Run a soak and report on it.

    It ends early where something is wrong before the dead letters go back, unless that is to be expected.

    Args:
        settings: its load, faults and limits.
        say: told about its phases.
        aws: where its queues are made; without one it makes its own.

    Raises:
        TimeoutError: the queue was not empty in time.
    """
    with SoakWorld(settings, aws) as world:
        say(f"faults: {settings.uploads:,} uploads, {settings.down or 'nobody'} is out")
        world.upload_under_faults()
        say(f"recovery: {settings.down or 'nobody'} is still out")
        world.end_faults()
        world.drain()
        world.judge()
        report = world.report()
        if settings.broken or not report.signs:
            say(f"{settings.down or 'everybody'} is back: the dead letters go back")
            world.end_outage()
            world.drain()
            world.judge_the_end()
        return world.report()

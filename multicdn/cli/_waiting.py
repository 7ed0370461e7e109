"""``--wait``, whose duration may be left out: ``--wait s3://…`` and ``--wait 5m s3://…`` are both understood."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from multicdn.routing import durations

if TYPE_CHECKING:
    from collections.abc import Callable

    from multicdn.cli._options import CommonOptions

_DEFAULT = "2m"
_LONGEST = 86400.0


class Wait(NamedTuple):
    """What ``--wait`` says.

    Attributes:
        seconds: None where it isn't there.
        what: the word behind it, if that is none of its own but of what to purge.
    """

    seconds: float | None = None
    what: tuple[str, ...] = ()


def _read(context: click.Context, parameter: click.Parameter, value: str | None) -> Wait:
    del context, parameter
    if value is None:
        return Wait()
    if re.match(durations.DURATION, value):
        seconds = durations.seconds(value)
        if seconds > _LONGEST:
            raise click.BadParameter(f"{value} is too long to wait: at most a day")
        return Wait(seconds)
    if re.match(r"[0-9.]+\s*[a-z]*\Z", value) and not Path(value).exists():
        raise click.BadParameter(f"{value!r} is no time to wait: write it as 90s, 5m or 1h")
    return Wait(durations.seconds(_DEFAULT), (value,))


option: Callable[[Any], Any] = click.option(
    "--wait",
    is_flag=False,
    flag_value=_DEFAULT,
    default=None,
    metavar="[DURATION]",
    callback=_read,
    help="Wait until all has finished, and the edges are seen to be fresh: so long at most after all was accepted, "
    f"{_DEFAULT} unless said.",
)


def check(wait: Wait, settings: CommonOptions) -> None:
    """Refuse to wait for what the deployed function does.

    Raises:
        UsageError: it is to be sent there.
    """
    if wait.seconds is not None and (settings.queue_url or settings.stack):
        raise click.UsageError(
            "--wait follows what this machine calls, and what goes to the queue is followed by the function: leave out "
            "one of them (MULTICDN_QUEUE_URL counts as --queue)"
        )

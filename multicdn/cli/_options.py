"""The options that ``multicdn purge`` and ``multicdn preload`` have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource
from msgspec import Struct

from multicdn.cli import _stack, arguments, completion
from multicdn.cli._json import as_json_option
from multicdn.cli._person import reason_option
from multicdn.cli.terminal import say
from multicdn.queue.sender import QUEUE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    _Command = TypeVar("_Command", bound=Callable[..., Any])

_ALL: tuple[Callable[[Any], Any], ...] = (
    click.argument("what", nargs=-1, shell_complete=completion.files),
    arguments.config_option,
    click.option("--bucket", default="", metavar="NAME[/FOLDER]",
                 help="Where the keys of lists are that come without their bucket."),
    click.option("--recursive", is_flag=True, help="S3 URIs stand for all objects that begin with them; lists them."),
    click.option("--provider", "providers", multiple=True, metavar="NAME", shell_complete=completion.instances,
                 help="Only this one; may be repeated."),
    click.option("--dry-run", is_flag=True, help="Only show what would be done, as `multicdn explain` does."),
    click.option("--queue", "queue_url", envvar=QUEUE, default="", metavar="URL",
                 help=f"Let the deployed function do it: send the work to its queue. {QUEUE}."),
    click.option("--stack", default="", metavar="NAME", help="The same, to the queue of this stack."),
    click.option("--region", default="", help="Region of buckets, secrets and stack; wins over install.region."),
    click.option("--timeout", type=float, metavar="SECONDS", callback=arguments.seconds_or_none,
                 help="Give up what isn't done by then; by default after ten minutes, and what the vendors' own pace "
                      "takes beyond."),
    click.option("-v", "--verbose", is_flag=True, help="Show each answer of a vendor, with its id and milliseconds."),
    reason_option,
    as_json_option,
)  # fmt: skip


class CommonOptions(Struct, frozen=True):
    """The options that both commands have; named as those."""

    what: tuple[str, ...]
    config_path: Path | None
    bucket: str
    recursive: bool
    providers: tuple[str, ...]
    dry_run: bool
    queue_url: str
    stack: str
    region: str
    timeout: float | None
    verbose: bool
    reason: str
    as_json: bool

    def print(self, lines: Iterable[str]) -> None:
        """Print lines for people; programs get their answer at the end."""
        if not self.as_json:
            for line in lines:
                say(line)

    @property
    def installation(self) -> list[str]:
        """The options by which other commands find the same installation."""
        named = {"--config": self.config_path, "--stack": self.stack, "--region": self.region}
        return [word for option, value in named.items() if value for word in (option, str(value))]

    def queue(self) -> str:
        """URL of the queue to send the work to; empty where this machine calls the vendors."""
        if not self.stack:
            return self.queue_url
        if click.get_current_context().get_parameter_source("queue_url") is ParameterSource.COMMANDLINE:
            raise click.UsageError("--queue and --stack both say where to send the work; leave out one")
        found = _stack.find(self.stack, self.region, self.config_path, "--queue URL")
        return found.output("QueueUrl", ": with trigger: direct, the vendors are called from here")


def options(command: _Command) -> _Command:
    """Add what both commands take."""
    for option in reversed(_ALL):
        command = option(command)
    return command

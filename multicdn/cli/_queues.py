"""What ``multicdn queue`` and ``multicdn dlq`` have in common: which queue, which messages of it, and what to do."""

from __future__ import annotations

import contextlib
import functools
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click
from click.core import ParameterSource
from msgspec import Struct

from multicdn.cli import _letters, _stack, arguments, completion
from multicdn.cli._json import as_json_option, say_json
from multicdn.cli.progress import bar
from multicdn.cli.render import counted
from multicdn.cli.terminal import say
from multicdn.oncall import letters
from multicdn.routing import durations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from multicdn.installer.deployed.depth import Depth
    from multicdn.oncall.letters import Letter, ListEntry
    from multicdn.oncall.message_queue import MessageQueue
    from multicdn.oncall.ways_back import WayBack

    _Command = TypeVar("_Command", bound=Callable[..., Any])

_DURATION = re.compile(r"[0-9]{1,6}[smhd]")


class Kind(Struct, frozen=True):
    """One of the two queues.

    Attributes:
        noun, member: what its messages are called, by people and in JSON.
        option, variable, output: which say its URL.
        without: ends the sentence that an installation has none.
        otherwise: the reason of messages that have none.
        held: seconds for which messages are hidden while somebody is asked.
    """

    noun: str
    member: str
    option: str
    variable: str
    output: str
    without: str
    otherwise: str
    held: int


class Where(Struct, frozen=True):
    """The options that say which queue; named as those."""

    kind: Kind
    url: str
    stack: str
    region: str
    config_path: Path | None

    def named(self) -> str:
        """The URL that was given, or that the environment names where no stack was given; else empty."""
        source = click.get_current_context().get_parameter_source("url")
        return self.url if source is ParameterSource.COMMANDLINE or not self.stack else ""

    def queue(self) -> str:
        """Its URL: as given, or of the stack that is given, or as the environment says, or of the config's stack."""
        return self.named() or self.url_of(self.installed())

    def url_of(self, stack: _stack.Stack) -> str:
        """The URL of an installation's."""
        return stack.output(self.kind.output, self.kind.without)

    def installed(self, instead: str = "") -> _stack.Stack:
        """The installation."""
        url = f"{self.kind.option} URL or {self.kind.variable}"
        return _stack.find(self.stack, self.region, self.config_path, instead or url)


class Selection(Struct, frozen=True):
    """The options that say which messages."""

    provider: str | None = None
    reason: str = ""
    older_than: float = 0.0
    ids: tuple[str, ...] = ()

    def of(self, messages: list[Letter], now: float) -> list[Letter]:
        """The messages that it names.

        Raises:
            ClickException: an id names none, or several.
        """
        found = messages
        if self.ids:
            found, problems = letters.chosen(messages, self.ids)
            if problems:
                raise click.ClickException("\n".join([*problems, "nothing was done"]))
        return [letter for letter in found if self.takes(letter.entry(), now)]

    def takes(self, entry: ListEntry, now: float) -> bool:
        """Whether it is about an entry, whatever its id."""
        return (
            self.provider in (None, entry.provider)
            and self.reason.casefold() in entry.reason.casefold()
            and (not self.older_than or (entry.asked is not None and now - entry.asked >= self.older_than))
        )


def options(kind: Kind) -> Callable[[_Command], _Command]:
    """Add the options that say which queue."""
    what = "The dead-letter queue" if kind.option == "--dlq" else "The queue"

    def add(command: _Command) -> _Command:
        for option in (
            arguments.config_option,
            _stack.region_option,
            _stack.stack_option,
            click.option(kind.option, "url", envvar=kind.variable, default="", metavar="URL",
                         help=f"{what}; {kind.variable}. By default that of the stack."),
        ):  # fmt: skip
            command = option(command)
        return command

    return add


def filters(command: _Command) -> _Command:
    """Add the options that say which messages; the command gets them as its ``selection``."""

    @functools.wraps(command)
    def selecting(
        *args: Any, provider: str | None, reason: str, older_than: float, ids: tuple[str, ...] = (), **rest: Any
    ) -> Any:
        return command(*args, selection=Selection(provider, reason, older_than, ids), **rest)

    chosen: Any = selecting
    for option in (
        click.option("--older-than", default="", callback=_seconds, metavar="TIME",
                     help="Only what was asked for longer ago, such as 90m, 6h or 2d."),
        click.option("--reason", default="", metavar="TEXT", help="Only those whose reason has this text in it."),
        click.option("--provider", metavar="NAME", shell_complete=completion.instances,
                     help="Only the jobs of this provider instance."),
    ):  # fmt: skip
        chosen = option(chosen)
    return chosen  # type: ignore[no-any-return]


def asking(command: _Command) -> _Command:
    """Add what a command has that asks before it does something."""
    ids: Callable[[Any], Any] = click.argument("ids", nargs=-1, metavar="[ID]...")
    yes: Callable[[Any], Any] = click.option("--yes", is_flag=True, help="Don't ask.")
    return ids(filters(yes(as_json_option(command))))  # type: ignore[no-any-return]


class Looked(NamedTuple):
    """A queue that is open, and what was asked for of it."""

    queue: MessageQueue
    depth: Depth
    all: list[Letter]


@contextlib.contextmanager
def opened(kind: Kind, url: str, seconds: int | None = None) -> Iterator[Looked]:
    """Receive what can be received, and give back at the end what is left of it."""
    from multicdn.aws import sqs
    from multicdn.installer.deployed.depth import read_depth
    from multicdn.oncall.message_queue import LOOKED_AT, MessageQueue

    with told():
        client = sqs.client(url)
        depth = read_depth(client, url)
        queue = MessageQueue(client, url, depth.receives, kind.otherwise)
        with queue.opened(seconds or LOOKED_AT) as messages:
            yield Looked(queue, depth, messages)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Show what AWS refuses as the sentence that it is, without a trace."""
    from botocore.exceptions import BotoCoreError, ClientError

    from multicdn.installer.errors import is_no_queue
    from multicdn.oncall.message_queue import QueueError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        gone = isinstance(error, ClientError) and is_no_queue(error)
        remedy = "; `multicdn install status` names the queues of an installation" if gone else ""
        raise QueueError(f"{error}{remedy}") from None


def show(kind: Kind, url: str, details: Iterable[dict[str, Any]], *, as_json: bool) -> None:
    """Print everything of some messages."""
    found = list(details)
    if as_json:
        return say_json({"queue": url, kind.member: [_letters.one_as_json(each) for each in found]})
    now = time.time()
    for each in found:
        for line in _letters.one(each, now):
            say(line)
    return None


def cut(looked: Looked, kind: Kind) -> Iterator[str]:
    """A sentence on what one look didn't reach, if it didn't reach all."""
    if not looked.queue.complete:
        yield f"One look takes no more; of about {counted(looked.depth.total, kind.noun)} there are others: look again"


class Deed(Struct, frozen=True):
    """Something that is done to messages: its name, and what is said of it before, after, and of those it can't do."""

    name: str
    question: str
    done: str
    warning: str = ""
    stay: str = ""


REDRIVE = Deed(
    "redrive", "Send back", "sent back", stay="jobs, which the function takes from its queue alone, or no events"
)
DROP = Deed("drop", "Drop for good", "dropped", "What they name stays stale until it expires.")


def act(kind: Kind, url: str, selection: Selection, way_back: WayBack | None, *, yes: bool, as_json: bool) -> None:
    """Send the chosen messages back, or drop them, after asking; the others are shown to the world again.

    Args:
        kind: which of the two queues.
        url: of the queue.
        selection: which messages.
        way_back: where to; None drops them.
        yes: whether nobody is to be asked.
        as_json: for programs, which aren't asked.

    Raises:
        UsageError: a program has to say yes beforehand.
        ClickException: nobody said yes, or too late.
    """
    from multicdn.oncall.message_queue import QueueError

    if as_json and not yes:
        raise click.UsageError("--json asks nothing; add --yes")
    deed, done = (REDRIVE if way_back else DROP), 0

    try:
        until = time.monotonic() + kind.held
        with opened(kind, url, kind.held) as looked:
            chosen = selection.of(looked.all, time.time())
            able = [letter for letter in chosen if way_back is None or way_back.bodies(letter)]
            if able and not yes:
                _confirm(deed, counted(len(able), kind.noun), len(able), until)
            with bar(deed.done, len(able)) as advance:

                def progress(number: int) -> None:
                    nonlocal done
                    before, done = done, number
                    advance(number - before)

                if way_back is None:
                    looked.queue.drop(able, progress)
                else:
                    looked.queue.redrive(able, way_back, progress)
    except KeyboardInterrupt:
        say(f"{done:,} {deed.done} by then; all else is where it was, but perhaps for what was under way", err=True)
        raise
    except QueueError as error:
        raise QueueError(f"{error}; before that, {done:,} {deed.done}") from None
    if as_json:
        left = len(chosen) - len(able)
        return say_json({"queue": url, "action": deed.name, "done": done, "left": left})
    if stay := len(chosen) - len(able):
        say(f"{stay:,} {'stays' if stay == 1 else 'stay'}: {deed.stay}")
    for line in cut(looked, kind):
        say(line, err=True)
    say(f"{done:,} {deed.done}")
    return None


def _confirm(deed: Deed, what: str, number: int, until: float) -> None:
    """Have the number typed of what will be acted on."""
    if deed.warning:
        say(deed.warning)
    typed = click.prompt(f"{deed.question}: {what}. Type {number} to go on", default="", show_default=False)
    if str(typed).strip() != str(number):
        raise click.ClickException("not confirmed; nothing was done")
    if time.monotonic() > until:
        raise click.ClickException("the answer came when the messages had shown again to others; nothing was done")


def _seconds(context: click.Context, parameter: click.Parameter, value: str) -> float:
    """Read a length of time as the config writes it.

    Raises:
        BadParameter: it is none.
    """
    del context, parameter
    if not value:
        return 0.0
    if not _DURATION.fullmatch(value):
        raise click.BadParameter(f"{value} is no length of time: write such as 90m, 6h or 2d")
    return durations.seconds(value)

"""``multicdn queue``: what waits for another try, and what to do with it."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from multicdn.cli import _aws, _letters, _queues, _stack, _unknown, aws_region
from multicdn.cli._group import CommandGroup
from multicdn.cli._json import as_json_option, say_json
from multicdn.cli.render import counted
from multicdn.cli.terminal import say
from multicdn.oncall import letters
from multicdn.queue.sender import QUEUE

if TYPE_CHECKING:
    from multicdn.installer.deployed.depth import Depth
    from multicdn.oncall.delayed import Delayed
    from multicdn.oncall.letters import Letter

KIND = _queues.Kind(
    noun="message",
    member="messages",
    option="--queue",
    variable=QUEUE,
    output="QueueUrl",
    without=": with trigger: direct there is no queue; what Lambda gave up is in `multicdn dlq`",
    otherwise=letters.UNTRIED,
    held=60,
)

_Where = partial(_queues.Where, KIND)
_options = _queues.options(KIND)

_NO_LOG = "What is delayed is told by the function's log alone: name its installation with --stack"

# Seconds.
_READING = 20.0

# A record about several messages has the shortest of their delays.
_SILENT = (
    ": sent in the last seconds, by workers, below its level, or with a longer delay than others of one record; or "
    "accepted, and to be looked at once more"
)

_receive = click.option(
    "--receive", is_flag=True, help="Show what is visible too: receives it, and gives it back at once."
)


@click.group(cls=CommandGroup)
def queue() -> None:
    """Look at what waits in the queue, begin it anew, or drop it.

    What is delayed is told by the function's log, since SQS shows it to nobody; what is visible by receiving it, which
    counts as one of the receives after which SQS takes a message for a dead letter. A look never takes the last half of
    them: a message that has fewer left is put in again as it is.
    """
    # For URLs of queues that name no region.
    aws_region.use(_aws.at_hand().region)


class _Seen(NamedTuple):
    """What a look has shown: its numbers, what the log tells, what was received, and what else there is to know."""

    url: str
    depth: Depth
    delayed: list[Delayed]
    received: list[Letter]
    notes: list[str]


@queue.command("list")
@_options
@_receive
@_queues.filters
@as_json_option
def list_(*, selection: _queues.Selection, receive: bool, as_json: bool, **where: Any) -> None:
    """List what waits by provider and reason: how many, since when, how often tried, and when again."""
    now = time.time()
    _unknown.warn([selection.provider] if selection.provider else (), where["config_path"])
    seen = _look(_Where(**where), now, receive=receive)
    entries = [each.entry() for each in seen.delayed] + [each.entry() for each in seen.received]
    groups = letters.grouped(entry for entry in entries if selection.takes(entry, now))
    if as_json:
        depth = {"visible": seen.depth.visible, "in_flight": seen.depth.in_flight, "delayed": seen.depth.delayed}
        found = _letters.groups_as_json(groups, KIND.member, now)
        return say_json(
            {"queue": seen.url, KIND.member: seen.depth.total, **depth, "groups": found, "notes": seen.notes}
        )
    for line in _letters.listing(groups, "job", now):
        say(line)
    say(f"{counted(seen.depth.total, KIND.noun)} waiting: {seen.depth}")
    for note in seen.notes:
        say(note, err=True)
    return None


@queue.command()
@_options
@_receive
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@as_json_option
def show(ids: tuple[str, ...], *, receive: bool, as_json: bool, **where: Any) -> None:
    """Show everything of messages. ID is that of `list`, or of a message that asked for it, or its beginning."""
    seen = _look(_Where(**where), time.time(), receive=receive)
    found: list[dict[str, Any]] = []
    problems: list[str] = []
    for beginning in ids:
        of_log = [each for each in seen.delayed if any(name.startswith(beginning) for name in each.messages)]
        received, problem = letters.chosen(seen.received, [beginning])
        found += [each.details() for each in of_log] + list(map(letters.details, received))
        problems += [] if of_log else problem
    if problems:
        raise click.ClickException("\n".join([*problems, *seen.notes]))
    _queues.show(KIND, seen.url, found, as_json=as_json)


@queue.command()
@_options
@_queues.asking
def redrive(*, selection: _queues.Selection, yes: bool, as_json: bool, **where: Any) -> None:
    """Let what is visible begin anew, as if it had just been asked for. Asks first.

    What is delayed or in flight can't be reached; the function takes it when it is due.
    """
    from multicdn.aws import sqs
    from multicdn.oncall.ways_back import ToQueue

    url = _Where(**where).queue()
    with _queues.told():
        way_back = ToQueue(sqs.client(url), url)
    _queues.act(KIND, url, selection, way_back, yes=yes, as_json=as_json)


@queue.command()
@_options
@_queues.asking
def drop(*, selection: _queues.Selection, yes: bool, as_json: bool, **where: Any) -> None:
    """Delete what is visible for good. Asks first.

    What is delayed or in flight can't be reached: drop it when it is due, or once it is a dead letter.
    """
    _queues.act(KIND, _Where(**where).queue(), selection, None, yes=yes, as_json=as_json)


def _look(place: _queues.Where, now: float, *, receive: bool) -> _Seen:
    """Read the log where one is known, then the numbers, and receive what is visible if that is wanted."""
    from multicdn.aws import sqs
    from multicdn.installer.deployed.depth import read_depth

    named = place.named()
    stack = place.installed() if place.stack or not named else None
    url = named or place.url_of(stack or place.installed())
    with _queues.told():
        depth = read_depth(sqs.client(url), url)
    delayed, notes = _of_log(stack, depth, now)
    if not receive:
        if depth.visible:
            notes.append(f"--receive shows the {counted(depth.visible, 'visible message')} too")
        return _Seen(url, depth, delayed, [], notes)
    with _queues.opened(KIND, url) as looked:
        notes += _queues.cut(looked, KIND)
    return _Seen(url, depth, delayed, looked.all, notes)


def _of_log(stack: _stack.Stack | None, depth: Depth, now: float) -> tuple[list[Delayed], list[str]]:
    """What the log of an installation says of what is delayed, and what it can't say."""
    if stack is None:
        return [], [_NO_LOG] if depth.delayed else []
    from multicdn.logbook.group import LogGroup
    from multicdn.oncall import delayed as of_log
    from multicdn.oncall.message_queue import QueueError

    group = stack.output("LogGroupName", ", and so no log that tells what is delayed")
    log = LogGroup(stack.client("logs"), group)
    try:
        with _queues.told():
            lines = log.between(now - of_log.TOLD_IN, None, of_log.PATTERN, _READING)
            delayed = of_log.still_delayed(lines, now)
    except QueueError as error:
        return [], [f"What is delayed can't be told, since the log {group} can't be read: {error}"]
    if not log.complete:
        return delayed, [f"The log {group} was not read to its end, so more may be delayed than it tells of"]
    if depth.delayed and not delayed:
        return [], [f"Of {counted(depth.delayed, 'delayed message')} the log {group} tells nothing{_SILENT}"]
    return delayed, []

"""``multicdn dlq``: what could not be delivered in the end, and what to do with it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click
from click.core import ParameterSource
from msgspec import Struct

from multicdn.cli import _aws, _stack, arguments, aws_region, completion
from multicdn.cli._group import CommandGroup
from multicdn.cli._json import as_json_option, say_json
from multicdn.cli.render import counted
from multicdn.cli.terminal import say
from multicdn.model import described
from multicdn.oncall import dead_letters
from multicdn.queue.sender import DEAD_LETTERS, QUEUE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from multicdn.oncall.dead_letters import DeadLetters, DeadMessage, WayBack

_SHOWN = 3

_WAYS = f"--queue URL (or {QUEUE}), or --function NAME with trigger: direct"

_P = ParamSpec("_P")
_R = TypeVar("_R")


class _Where(Struct, frozen=True):
    """The options that say which dead-letter queue; named as those."""

    url: str
    stack: str
    region: str
    config_path: Path | None

    def queue(self) -> str:
        """Its URL: as given, or of the stack that is given, or as the environment says, or of the config's stack."""
        source = click.get_current_context().get_parameter_source("url")
        if self.url and (source is ParameterSource.COMMANDLINE or not self.stack):
            return self.url
        return self.installed().output("DeadLetterQueueUrl", "")

    def installed(self, instead: str = "--dlq URL") -> _stack.Stack:
        return _stack.find(self.stack, self.region, self.config_path, instead)


def _common(command: Callable[_P, _R]) -> Callable[_P, _R]:
    """Add the options that every command has."""
    url = f"The dead-letter queue; {DEAD_LETTERS}. By default that of the stack."
    for option in (
        click.option(
            "--provider",
            metavar="NAME",
            shell_complete=completion.instances,
            help="Only the jobs of this provider instance.",
        ),
        arguments.config_option,
        _stack.region_option,
        _stack.stack_option,
        click.option("--dlq", "url", envvar=DEAD_LETTERS, default="", metavar="URL", help=url),
    ):
        command = option(command)
    return command


@click.group(cls=CommandGroup)
def dlq() -> None:
    """Look at the dead letters, send them back, or drop them."""
    # For URLs of queues that name no region.
    aws_region.use(_aws.at_hand().region)


@dlq.command("list")
@_common
@as_json_option
def list_(provider: str | None, *, as_json: bool, **where: Any) -> None:
    """List the dead letters by provider and reason. Changes nothing."""
    url = _Where(**where).queue()
    with _told(), _queue(url).opened() as messages:
        chosen = _of(messages, provider)
    if as_json:
        groups = list(map(_plain, dead_letters.grouped(chosen)))
        return say_json({"queue": url, "dead_letters": len(chosen), "groups": groups})
    for line in listing(chosen):
        say(line)


@dlq.command()
@_common
@click.option("--queue", "queue_url", envvar=QUEUE, metavar="URL", help=f"Where to; {QUEUE}. By default the stack's.")
@click.option("--function", metavar="NAME", help="Where to with trigger: direct: name or ARN, with the alias if any.")
@click.pass_context
def redrive(
    context: click.Context, /, provider: str | None, queue_url: str | None, function: str | None, **where: Any
) -> None:
    """Send dead letters back to the queue or the function, to be tried as if they were new."""
    place = _Where(**where)
    named = context.get_parameter_source("queue_url") is ParameterSource.COMMANDLINE
    if function and named:
        raise click.UsageError(f"say where to: {_WAYS}")
    url = place.queue()
    with _told():
        if function:
            way_back = _to_function(url, function)
        elif queue_url and (named or not place.stack):
            way_back = _to_queue(queue_url)
        else:
            way_back = _installed(url, place.installed(_WAYS))

    def sent_back(queue: DeadLetters, chosen: list[DeadMessage]) -> int:
        able = [message for message in chosen if way_back.bodies(message)]
        number = queue.redrive(able, way_back, lambda _: None)
        if stay := len(chosen) - len(able):
            verb = "stays" if stay == 1 else "stay"
            say(f"{stay:,} {verb}: jobs, which the function takes from its queue alone, or no events")
        return number

    _act(url, provider, "sent back", sent_back)


@dlq.command()
@_common
@click.option("--yes", is_flag=True, help="Don't ask.")
def drop(provider: str | None, *, yes: bool, **where: Any) -> None:
    """Delete dead letters for good. Asks first."""

    def confirmed(queue: DeadLetters, chosen: list[DeadMessage]) -> int:
        if not yes and chosen:
            say("What they name stays stale until it expires.")
            click.confirm(f"Drop {counted(len(chosen), 'dead letter')} for good?", abort=True)
        return queue.drop(chosen)

    _act(_Where(**where).queue(), provider, "dropped", confirmed)


def _act(url: str, provider: str | None, done: str, act: Callable[[DeadLetters, list[DeadMessage]], int]) -> None:
    """Do something with the chosen messages; those that stay are shown to the world again, whatever happens."""
    with _told():
        queue = _queue(url)
        with queue.opened(dead_letters.HELD) as messages:
            number = act(queue, _of(messages, provider))
    say(f"{number:,} {done}")


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Show what AWS refuses as the sentence that it is, without a trace."""
    from botocore.exceptions import BotoCoreError, ClientError

    from multicdn.installer.errors import is_no_queue

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        gone = isinstance(error, ClientError) and is_no_queue(error)
        remedy = "; `multicdn install status` names the queues of an installation" if gone else ""
        raise dead_letters.QueueError(f"{error}{remedy}") from None


def _queue(url: str) -> DeadLetters:
    from multicdn.aws import sqs

    return dead_letters.DeadLetters(sqs.client(url), url)


def _to_queue(url: str) -> WayBack:
    from multicdn.aws import sqs

    return dead_letters.ToQueue(sqs.client(url), url)


def _to_function(dlq_url: str, function: str) -> WayBack:
    """A function is in the region that its ARN names, or else in that of the dead-letter queue."""
    import boto3

    from multicdn.aws import sqs

    region = function.split(":")[3] if function.startswith("arn:") else sqs.region_of(dlq_url)
    return dead_letters.ToFunction(boto3.session.Session().client("lambda", region_name=region), function)


def _installed(dlq_url: str, stack: _stack.Stack) -> WayBack:
    """The way back that an installation has: its queue, or with trigger: direct its function."""
    if "QueueUrl" in stack.outputs:
        return _to_queue(stack.outputs["QueueUrl"])
    return _to_function(dlq_url, stack.output("InvokedArn", f"; say where to: {_WAYS}"))


def _of(messages: list[DeadMessage], provider: str | None) -> list[DeadMessage]:
    return [message for message in messages if provider in (None, message.provider)]


def listing(messages: Sequence[DeadMessage]) -> Iterator[str]:
    """Lines on dead letters, by provider and reason."""
    for group in dead_letters.grouped(messages):
        yield from _lines(group)
    yield counted(len(messages), "dead letter")


def _plain(group: dead_letters.Group) -> dict[str, Any]:
    targets = [target for message in group.messages for target in message.targets]
    return {
        "provider": group.provider,
        "reason": group.reason,
        "dead_letters": len(group.messages),
        "targets": targets,
    }


def _lines(group: dead_letters.Group) -> list[str]:
    targets = [target for message in group.messages for target in message.targets]
    more = [f"    and {len(targets) - _SHOWN:,} more"] if len(targets) > _SHOWN else []
    shown = [f"    {described(target)}" for target in targets[:_SHOWN]]
    return [f"{group.provider}: {counted(len(group.messages), 'dead letter')}: {group.reason}", *shown, *more]

"""``multicdn dlq``: what could not be delivered in the end, and what to do with it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from multicdn.cli import _aws, aws_region
from multicdn.cli.render import counted
from multicdn.cli.terminal import say
from multicdn.model import described
from multicdn.oncall import dead_letters
from multicdn.queue.sender import DEAD_LETTERS, QUEUE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from multicdn.oncall.dead_letters import DeadLetters, DeadMessage, Group, WayBack

_SHOWN = 3

_dlq = click.option(
    "--dlq", "url", envvar=DEAD_LETTERS, required=True, metavar="URL", help=f"The dead-letter queue; {DEAD_LETTERS}."
)
_provider = click.option("--provider", metavar="NAME", help="Only the jobs of this provider instance.")


@click.group()
def dlq() -> None:
    """Look at the dead letters, send them back, or drop them."""
    # For URLs of queues that name no region.
    aws_region.use(_aws.at_hand().region)


@dlq.command("list")
@_dlq
@_provider
def list_(url: str, provider: str | None) -> None:
    """List the dead letters by provider and reason. Changes nothing."""
    with _told(), _queue(url).opened() as messages:
        chosen = _of(messages, provider)
    for group in dead_letters.grouped(chosen):
        for line in _lines(group):
            say(line)
    say(counted(len(chosen), "dead letter"))


@dlq.command()
@_dlq
@_provider
@click.option("--queue", "queue_url", envvar=QUEUE, metavar="URL", help=f"Where to; {QUEUE}.")
@click.option("--function", metavar="NAME", help="Where to with trigger: direct: name or ARN, with the alias if any.")
@click.pass_context
def redrive(
    context: click.Context, url: str, provider: str | None, queue_url: str | None, function: str | None
) -> None:
    """Send dead letters back to the queue or the function, to be tried as if they were new."""
    both = function and context.get_parameter_source("queue_url") is ParameterSource.COMMANDLINE
    if both or not (function or queue_url):
        raise click.UsageError(f"say where to: --queue URL (or {QUEUE}), or --function NAME with trigger: direct")
    with _told():
        way_back = _to_function(url, function) if function else _to_queue(queue_url or "")

    def sent_back(queue: DeadLetters, chosen: list[DeadMessage]) -> int:
        able = [message for message in chosen if way_back.bodies(message)]
        number = queue.redrive(able, way_back, lambda _: None)
        if len(able) < len(chosen):
            say(f"{len(chosen) - len(able)} stay: jobs, which the function takes from its queue alone, or no events")
        return number

    _act(url, provider, "sent back", sent_back)


@dlq.command()
@_dlq
@_provider
@click.option("--yes", is_flag=True, help="Don't ask.")
def drop(url: str, provider: str | None, yes: bool) -> None:  # noqa: FBT001 - click passes it by name
    """Delete dead letters for good. Asks first."""

    def confirmed(queue: DeadLetters, chosen: list[DeadMessage]) -> int:
        if not yes and chosen:
            click.confirm(
                f"Drop {counted(len(chosen), 'dead letter')} for good? What they name stays stale until it expires",
                abort=True,
            )
        return queue.drop(chosen)

    _act(url, provider, "dropped", confirmed)


def _act(url: str, provider: str | None, done: str, act: Callable[[DeadLetters, list[DeadMessage]], int]) -> None:
    """Do something with the chosen messages; those that stay are shown to the world again, whatever happens."""
    with _told():
        queue = _queue(url)
        with queue.opened(dead_letters.HELD) as messages:
            number = act(queue, _of(messages, provider))
    say(f"{number} {done}")


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Show what AWS refuses as the sentence that it is, without a trace."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise dead_letters.QueueError(str(error)) from None


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


def _of(messages: list[DeadMessage], provider: str | None) -> list[DeadMessage]:
    return [message for message in messages if provider in (None, message.provider)]


def _lines(group: Group) -> list[str]:
    targets = [target for message in group.messages for target in message.targets]
    more = [f"    and {len(targets) - _SHOWN:,} more"] if len(targets) > _SHOWN else []
    shown = [f"    {described(target)}" for target in targets[:_SHOWN]]
    return [f"{group.provider}: {counted(len(group.messages), 'dead letter')}: {group.reason}", *shown, *more]

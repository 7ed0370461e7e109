"""``multicdn dlq``: what could not be delivered in the end, and what to do with it."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from multicdn.cli import _aws, _letters, _queues, _stack, _unknown, aws_region
from multicdn.cli._group import CommandGroup
from multicdn.cli._json import as_json_option, say_json
from multicdn.cli.render import counted
from multicdn.cli.terminal import say
from multicdn.oncall import letters
from multicdn.queue.sender import DEAD_LETTERS, QUEUE

if TYPE_CHECKING:
    from multicdn.oncall.ways_back import WayBack

KIND = _queues.Kind(
    noun="dead letter",
    member="dead_letters",
    option="--dlq",
    variable=DEAD_LETTERS,
    output="DeadLetterQueueUrl",
    without="",
    otherwise=letters.TOO_OFTEN,
    held=600,
)

_WAYS = f"--queue URL (or {QUEUE}), or --function NAME with trigger: direct"

_Where = partial(_queues.Where, KIND)
_options = _queues.options(KIND)


@click.group(cls=CommandGroup)
def dlq() -> None:
    """Look at the dead letters, send them back, or drop them."""
    # For URLs of queues that name no region.
    aws_region.use(_aws.at_hand().region)


@dlq.command("list")
@_options
@_queues.filters
@as_json_option
def list_(*, selection: _queues.Selection, as_json: bool, **where: Any) -> None:
    """List the dead letters by provider and reason. Changes nothing."""
    url, now = _Where(**where).queue(), time.time()
    _unknown.warn([selection.provider] if selection.provider else (), where["config_path"])
    with _queues.opened(KIND, url) as looked:
        entries = [entry for letter in looked.all if selection.takes(entry := letter.entry(), now)]
    groups = letters.grouped(entries)
    if as_json:
        found = _letters.groups_as_json(groups, KIND.member, now)
        return say_json({"queue": url, KIND.member: len(entries), "groups": found})
    for line in _letters.listing(groups, KIND.noun, now):
        say(line)
    for line in _queues.cut(looked, KIND):
        say(line, err=True)
    say(counted(len(entries), KIND.noun))
    return None


@dlq.command()
@_options
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@as_json_option
def show(ids: tuple[str, ...], *, as_json: bool, **where: Any) -> None:
    """Show everything of dead letters. ID is that of `list`, or its beginning. Changes nothing."""
    url = _Where(**where).queue()
    with _queues.opened(KIND, url) as looked:
        chosen = _queues.Selection(ids=ids).of(looked.all, time.time())
    _queues.show(KIND, url, map(letters.details, chosen), as_json=as_json)


@dlq.command()
@_options
@click.option("--queue", "queue_url", envvar=QUEUE, metavar="URL", help=f"Where to; {QUEUE}. By default the stack's.")
@click.option("--function", metavar="NAME", help="Where to with trigger: direct: name or ARN, with the alias if any.")
@_queues.asking
@click.pass_context
def redrive(
    context: click.Context,
    /,
    queue_url: str | None,
    function: str | None,
    *,
    selection: _queues.Selection,
    yes: bool,
    as_json: bool,
    **where: Any,
) -> None:
    """Send dead letters back to the queue or the function, to be tried as if they were new. Asks first."""
    place = _Where(**where)
    named = context.get_parameter_source("queue_url") is ParameterSource.COMMANDLINE
    if function and named:
        raise click.UsageError(f"say where to: {_WAYS}")
    url = place.queue()
    with _queues.told():
        if function:
            way_back = _to_function(url, function)
        elif queue_url and (named or not place.stack):
            way_back = _to_queue(queue_url)
        else:
            way_back = _installed(url, place.installed(_WAYS))
    _queues.act(KIND, url, selection, way_back, yes=yes, as_json=as_json)


@dlq.command()
@_options
@_queues.asking
def drop(*, selection: _queues.Selection, yes: bool, as_json: bool, **where: Any) -> None:
    """Delete dead letters for good. Asks first."""
    _queues.act(KIND, _Where(**where).queue(), selection, None, yes=yes, as_json=as_json)


def _to_queue(url: str) -> WayBack:
    from multicdn.aws import sqs
    from multicdn.oncall.ways_back import ToQueue

    return ToQueue(sqs.client(url), url)


def _to_function(dlq_url: str, function: str) -> WayBack:
    """A function is in the region that its ARN names, or else in that of the dead-letter queue."""
    import boto3

    from multicdn.aws import sqs
    from multicdn.oncall.ways_back import ToFunction

    region = function.split(":")[3] if function.startswith("arn:") else sqs.region_of(dlq_url)
    return ToFunction(boto3.session.Session().client("lambda", region_name=region), function)


def _installed(dlq_url: str, stack: _stack.Stack) -> WayBack:
    """The way back that an installation has: its queue, or with trigger: direct its function."""
    if "QueueUrl" in stack.outputs:
        return _to_queue(stack.outputs["QueueUrl"])
    return _to_function(dlq_url, stack.output("InvokedArn", f"; say where to: {_WAYS}"))

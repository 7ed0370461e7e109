"""Where queues and log of an installation are: found by the name of its stack, so that nobody has to paste URLs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from multicdn import config as config_file
from multicdn.cli import aws_region
from multicdn.cli.terminal import say

if TYPE_CHECKING:
    from pathlib import Path

stack_option: Callable[[Any], Any] = click.option(
    "--stack", default="", metavar="NAME", help="Name of the stack; by default the config's install.stack."
)
region_option: Callable[[Any], Any] = click.option(
    "--region", default="", help="Its region; by default the config's install.region, or that of AWS_REGION."
)


class Stack(Struct, frozen=True):
    """What an installation says of itself.

    Attributes:
        name, region: of the stack.
        outputs: its outputs by name; the URLs of queues are among them.
        client: makes boto3's client of a service there, which waits for what passes.
    """

    name: str
    region: str
    outputs: Mapping[str, str]
    client: Callable[[str], Any]

    def output(self, name: str, otherwise: str) -> str:
        """One of its outputs.

        Args:
            name: such as ``QueueUrl``.
            otherwise: ends the sentence that says that it isn't there.

        Raises:
            ClickException: this installation has none of it.
        """
        if name not in self.outputs:
            raise click.ClickException(f"the stack {self.name!r} in {self.region} has no {name}{otherwise}")
        return self.outputs[name]


def find(name: str, region: str, config_path: Path | None, instead: str, what: str = "queue") -> Stack:
    """Ask AWS about a stack. What the command asks AWS for later is in its region.

    Args:
        name: of the stack; if empty, the config's.
        region: if empty, the config's, or that of the environment.
        config_path: if None, where commands look for it. It may be broken or missing.
        instead: options with which the command needs no stack.
        what: is wanted of it.

    Raises:
        UsageError: nothing says which stack.
        ClickException: there is none of this name.
        InstallError: AWS doesn't say.
    """
    from multicdn.installer import sessions, state

    path = config_path or config_file.locate()
    if not name and not path.exists():
        raise click.UsageError(
            f"say which {what}: {instead}, or --stack NAME, or --config FILE of the "
            f"installation; `multicdn install status` prints {'its URL' if what == 'queue' else 'what it has'}"
        )
    session = sessions.sign_in_to_look(path, partial(say, err=True), name, region)
    aws_region.use(session.account.region)
    stack = state.read_stack(session.account, session.settings.stack)
    if stack is None:
        where = f"{session.settings.stack!r} in {session.account.region}"
        raise click.ClickException(f"there is no stack {where}; name it with --stack and --region, or use {instead}")
    return Stack(stack.name, session.account.region, stack.outputs, session.account.client)

"""Who asks for something by hand, for the log of whoever does it."""

from __future__ import annotations

import getpass
import socket
import threading
from typing import Any

import click

from multicdn.provenance import LONGEST_TEXT
from multicdn.secrets import redact

# Seconds to wait for AWS's word: the purge is what matters.
_PATIENCE = 3.0


def at_this_machine() -> str:
    """``user@host``, as far as this machine knows."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"[:LONGEST_TEXT]


def of_aws(region: str) -> str:
    """The identity that AWS knows the credentials at hand by; ``user@host`` if it doesn't say so soon."""
    found: list[str] = []
    # The limits of a connection don't bound the look-up of its host's name, nor of the credentials.
    thread = threading.Thread(target=_ask, args=(region, found), daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return found[0][:LONGEST_TEXT] if found else at_this_machine()


def _ask(region: str, found: list[str]) -> None:
    try:
        import boto3
        from botocore.config import Config

        limits = Config(connect_timeout=_PATIENCE, read_timeout=_PATIENCE, retries={"total_max_attempts": 1})
        client = boto3.session.Session().client("sts", region_name=region, config=limits)
        found.append(str(client.get_caller_identity()["Arn"]))
    except Exception:  # noqa: BLE001 - whatever it is, the work itself meets it, too, and tells
        return


def reason(_: click.Context, __: click.Parameter, value: str) -> str:
    """The reason, if the log can hold it: in one line, and without what is known to be a secret.

    Raises:
        BadParameter: it is too long.
    """
    text = redact(" ".join(value.split()))
    if len(text) > LONGEST_TEXT:
        raise click.BadParameter(f"has {len(text):,} characters, and the log holds {LONGEST_TEXT}")
    return text


reason_option: Any = click.option(
    "--reason", default="", metavar="TEXT", callback=reason, help="Why, for the log of whoever does it."
)

"""``multicdn secret``: store what the config only refers to."""

from __future__ import annotations

import sys

import click

from multicdn.cli._group import CommandGroup
from multicdn.cli.terminal import say


@click.group(cls=CommandGroup)
def secret() -> None:
    """Store a secret where the function reads it."""


@secret.command()
@click.argument("reference")
@click.option("--region", default="", help="Region of the function; default: that of AWS_REGION.")
@click.option(
    "--kms-key", default="", help="ARN of the key to encrypt with: the config's install.kms_key, if it has one."
)
def put(reference: str, region: str, kms_key: str) -> None:
    """Store the secret that REFERENCE names: ssm:/path, secretsmanager:name or secretsmanager:name#key.

    The value is asked for, or read from standard input where that isn't a terminal. It is never shown, and never an
    argument, since arguments stand in the list of processes and in the shell's history.
    """
    from multicdn.installer import secret_store
    from multicdn.installer.account import connect

    scheme, name = secret_store.parse(reference)
    value = _asked(reference) if sys.stdin.isatty() else sys.stdin.read().rstrip("\r\n")
    account = connect(region, ())
    say(f"{secret_store.put(account.client, scheme, name, value, kms_key=kms_key)} in {account.region}")


def _asked(reference: str) -> str:
    return str(click.prompt(f"Value of {reference}", hide_input=True, confirmation_prompt=True))

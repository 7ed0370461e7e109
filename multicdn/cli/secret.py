"""``multicdn secret``: store what the config only refers to, see where it is, and whether it can be read."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
import msgspec

from multicdn import config as config_file
from multicdn.cli import _aws, aws_region
from multicdn.cli._group import CommandGroup
from multicdn.cli._json import as_json_option, say_json
from multicdn.cli.arguments import config_option
from multicdn.cli.render import counted
from multicdn.cli.terminal import say
from multicdn.errors import ConfigError, did_you_mean
from multicdn.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from multicdn.config import Config
    from multicdn.config.settings import Install
    from multicdn.installer.account import Account
    from multicdn.installer.secret_references import Reference

_region = click.option("--region", default="", help="Region of the function; default: install.region, or AWS_REGION.")


@click.group(cls=CommandGroup)
def secret() -> None:
    """Store secrets where the function reads them, list them, check them.

    Region, account and KMS key are those of the config's `install`, where there is one.
    """


@secret.command()
@click.argument("reference")
@config_option
@_region
@click.option("--kms-key", default="", help="ARN of the key to encrypt with; default: install.kms_key, or AWS's own.")
def put(reference: str, config_path: Path | None, region: str, kms_key: str) -> None:
    """Store the secret that REFERENCE names: ssm:/path, secretsmanager:name or secretsmanager:name#key.

    The value is asked for, or read from standard input where that isn't a terminal; so a file goes in by
    `multicdn secret put ssm:/path < FILE`. It is never shown, and never an argument, since arguments stand in the list
    of processes and in the shell's history.
    """
    from multicdn.installer import secret_store, secret_values
    from multicdn.installer.account import connect, refuse_other

    scheme, name = secret_store.parse(reference)
    settings, known = _at_hand(config_path), _known(config_path)
    used = next((found for found in known if (found.scheme, found.name) == (scheme, name)), None)
    file = used.file if used else ""
    if file and sys.stdin.isatty():
        raise click.UsageError(
            f"{reference} is the text of a file, which can't be typed here: multicdn secret put {reference} < {file}"
        )
    # First, so that nobody types a secret in vain.
    account = connect(region or settings.region, ())
    refuse_other(account, settings.account)
    value = _asked(reference) if sys.stdin.isatty() else _read()
    done = secret_store.put(account.client, scheme, name, value, kms_key=kms_key or settings.kms_key)
    say(f"{done} in {account.region}, account {account.id}")
    if not used and (likely := did_you_mean(f"{scheme}:{name}", (found.text[2:-1] for found in known))).startswith(";"):
        say(f"the config doesn't refer to {scheme}:{name}{likely} (warning)", err=True)
    # Whoever stores one member of a secret, or what no option names, may mean anything by it.
    if used and (flaw := secret_values.flaw(value, is_file=bool(file))):
        say(f"{', '.join(used.used_by)}: what was stored {flaw} (warning)", err=True)


@secret.command("list")
@config_option
@_region
@as_json_option
def list_(config_path: Path | None, region: str, *, as_json: bool) -> None:
    """List the references of the config: where each secret is, its version, since when. Reads no value.

    Exit status 1 if one isn't there.
    """
    from multicdn.installer import secret_places
    from multicdn.installer.secret_references import references

    loaded = config_file.load(config_path)
    wanted = references(loaded.providers)
    found = secret_places.places(wanted, _account(loaded, wanted, region))
    if as_json:
        say_json({"secrets": msgspec.to_builtins(found)})
    else:
        for line in secret_places.in_words(found):
            say(line)
        say(f"{counted(len(found), 'secret')}; `multicdn secret check` reads them")
    raise SystemExit(1 if any(place.exists is False for place in found) else 0)


@secret.command()
@config_option
@_region
@as_json_option
def check(config_path: Path | None, region: str, *, as_json: bool) -> None:
    """Resolve each reference of the config, as you and from here, and say which are missing, empty or odd.

    No value is shown, and no vendor is called. Exit status 1 if one can't be used.
    """
    from multicdn.installer import secret_values
    from multicdn.installer.secret_references import references

    loaded = config_file.load(config_path)
    account = _account(loaded, references(loaded.providers), region)
    aws_region.use(account.region if account else "")
    found = list(secret_values.check(loaded.providers))
    if as_json:
        say_json({"secrets": msgspec.to_builtins(found)})
    else:
        for checked in found:
            reference = checked.reference
            words = f"{reference.text} ({', '.join(reference.used_by)})"
            say(redact(f"wrong  {words}: {checked.fault}") if checked.fault else f"ok     {words}")
    raise SystemExit(1 if any(checked.fault for checked in found) else 0)


def _account(loaded: Config, wanted: Sequence[Reference], region: str) -> Account | None:
    """The account of the secrets; None where none of them is in AWS.

    Raises:
        InstallError: there are no credentials that AWS accepts, or they are of another account than the config says.
    """
    if not any(reference.in_aws for reference in wanted):
        return None
    from multicdn.installer.account import connect, refuse_other

    account = connect(region or loaded.install.region, ())
    refuse_other(account, loaded.install.account)
    return account


def _at_hand(config_path: Path | None) -> Install:
    """What the config says of the installation. There may be none yet, unless one is named."""
    if config_path is not None and not config_path.exists():
        raise ConfigError([f"{config_path}: no such file"])
    return _aws.at_hand(config_path)


def _known(config_path: Path | None) -> list[Reference]:
    """The references of the config, with what is known of them; none where it can't be read."""
    from multicdn.installer.secret_references import references

    try:
        return references(config_file.load(config_path).providers)
    except ConfigError:
        return []


def _read() -> str:
    """Standard input, of which no more is read than a store could take."""
    from multicdn.installer.secret_store import TOO_LONG

    data = sys.stdin.buffer.read(TOO_LONG)
    try:
        return data.decode(errors="ignore" if len(data) == TOO_LONG else "strict").rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.ClickException("standard input isn't text in UTF-8; nothing was stored") from None


def _asked(reference: str) -> str:
    return str(click.prompt(f"Value of {reference}", hide_input=True, confirmation_prompt=True))

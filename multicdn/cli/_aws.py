"""Where the commands ask AWS: in the region and the account of the config, else as the environment says."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from multicdn import config as config_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from multicdn.config.settings import Install

# boto3 overlooks the first, and other SDKs the second.
_REGION = ("AWS_REGION", "AWS_DEFAULT_REGION")


def at_hand(path: Path | None = None) -> Install:
    """What the config says of its installation; defaults where there is none, or it can't be read."""
    from multicdn.installer.settings_at_hand import settings

    return settings(path or config_file.locate())


def use_region(configured: str, otherwise: str = "") -> None:
    """Let all that asks AWS in this process do so in one region, until the command ends.

    Args:
        configured: by the config; it wins over the environment.
        otherwise: where neither the environment nor the profile names one.
    """
    region = configured or next(filter(None, map(os.environ.get, _REGION)), "") or (otherwise and _profiles(otherwise))
    if not region:
        return
    before = {name: os.environ.get(name) for name in _REGION}
    if (context := click.get_current_context(silent=True)) is not None:
        context.call_on_close(lambda: _restore(before))
    os.environ.update(dict.fromkeys(_REGION, region))


def refuse_other_account(settings: Install) -> None:
    """Ask AWS who we are, where the config says in which account that must be.

    Raises:
        InstallError: in another one, or there are no credentials.
    """
    if settings.account:
        from multicdn.installer.account import connect

        connect(settings.region, (), settings.account)


def _profiles(otherwise: str) -> str:
    import boto3

    return boto3.session.Session().region_name or otherwise


def _restore(before: Mapping[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value

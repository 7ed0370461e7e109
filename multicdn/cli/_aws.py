"""Where the commands ask AWS: in the region and the account of the config, else as the environment says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multicdn import config as config_file
from multicdn.region import of_environment

if TYPE_CHECKING:
    from pathlib import Path

    from multicdn.config.settings import Install


def at_hand(path: Path | None = None) -> Install:
    """What the config says of its installation; defaults where there is none, or it can't be read."""
    from multicdn.installer.settings_at_hand import settings

    return settings(path or config_file.locate())


def region_or(otherwise: str) -> str:
    """The region of the config at hand, else of the environment or the profile, else another one."""
    region = at_hand().region or of_environment()
    if region:
        return region
    import boto3

    return boto3.session.Session().region_name or otherwise


def refuse_other_account(settings: Install) -> None:
    """Ask AWS who we are, where the config says in which account that must be.

    Raises:
        InstallError: in another one, or there are no credentials.
    """
    if settings.account:
        from multicdn.installer.account import connect, refuse_other

        refuse_other(connect(settings.region, ()), settings.account)

"""Who installs what, and where: a config file, credentials, and the settings that count of both."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from multicdn.config import Config, load, text_file, yaml_source
from multicdn.config.settings import Install
from multicdn.errors import ConfigError
from multicdn.installer.account import Account, connect, refuse_other
from multicdn.installer.errors import InstallError
from multicdn.installer.organisation import kms_keys
from multicdn.installer.organisation.forwarding import own_buckets
from multicdn.installer.retries import PATIENCE, aloud
from multicdn.routing.route import listed

if TYPE_CHECKING:
    from collections.abc import Callable

    Say = Callable[[str], None]

# How the settings of the command line are written.
_SHAPES = {
    "stack": "letters, digits and hyphens, a letter first, at most 40",
    "region": "write one such as eu-west-1",
}


@dataclass(frozen=True)
class ConfigFile:
    """A config to install.

    Attributes:
        config: checked, with the settings of the command line put over its own.
        path: of its file.
        sha256: of its file.
    """

    config: Config
    path: Path
    sha256: str

    @property
    def buckets(self) -> tuple[str, ...]:
        """The buckets of routes whose notifications are ours to write."""
        return own_buckets(self.config)


@dataclass(frozen=True)
class Session:
    """The account, the settings and the config that a run works with.

    Attributes:
        account: where.
        settings: name of the stack and so on.
        buckets: all that routes name; none without a config.
        file: the config; None where there is none that is right, which is enough to look and to remove.
    """

    account: Account
    settings: Install
    buckets: tuple[str, ...]
    file: ConfigFile | None

    def __post_init__(self) -> None:
        """Refuse another account than the config's.

        Raises:
            InstallError: it is.
        """
        refuse_other(self.account, self.settings.account)


def read(path: Path, stack_name: str = "", region: str = "") -> ConfigFile:
    """Load a config for installing.

    Args:
        path: of its file.
        stack_name: from the command line; if empty, the config's own counts.
        region: the same.

    Raises:
        ConfigError: it isn't right.
    """
    loaded = load(path)
    settings = overridden(loaded.install, stack_name, region)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return ConfigFile(msgspec.structs.replace(loaded, install=settings), path, digest)


def overridden(settings: Install, stack_name: str, region: str) -> Install:
    """Settings in which the command line's word wins over the config's.

    Raises:
        InstallError: it isn't one that AWS takes.
    """
    given = {name: value for name, value in (("stack", stack_name), ("region", region)) if value}
    try:
        return msgspec.convert({**msgspec.to_builtins(settings), **given}, Install)
    except msgspec.ValidationError as error:
        member = str(error).rpartition("$.")[2].strip("`")
        raise InstallError(
            f"--{member}: {given.get(member, '')!r} can't be one: {_SHAPES.get(member, error)}"
        ) from error


def sign_in(file: ConfigFile, say: Say = aloud, patience: float = PATIENCE) -> Session:
    """Ask AWS who we are.

    Args:
        file: to install.
        say: told by every call to AWS what it waits for.
        patience: seconds that a call waits for what passes.

    Raises:
        InstallError: there are no credentials that AWS accepts.
    """
    settings = file.config.install
    return Session(connect(settings.region, file.buckets, say, patience), settings, file.buckets, file)


def with_key_arns(session: Session) -> Session:
    """The same, with every KMS key by its ARN.

    Raises:
        InstallError: a key isn't there, or can't be used.
    """
    file = config_file(session)
    settings = kms_keys.resolved(session.account, session.settings)
    named = dataclasses.replace(file, config=msgspec.structs.replace(file.config, install=settings))
    return dataclasses.replace(session, settings=settings, file=named)


def sign_in_to_look(path: Path, say: Say, stack_name: str = "", region: str = "") -> Session:
    """The same to look or to remove, for which the config may be broken, or missing.

    Args:
        path: of the config.
        say: told what is wrong with it, line by line, and what calls to AWS wait for.
        stack_name: from the command line.
        region: the same.

    Raises:
        ConfigError: it is broken, and nothing says what the stack's name is.
        InstallError: there are no credentials that AWS accepts.
    """
    settings, named = Install(), tuple[str, ...]()
    if path.exists():
        try:
            return sign_in(read(path, stack_name, region), say)
        except ConfigError as error:
            settings, named = _remains(path, error, stack_name)
            for line in (
                *error.problems,
                "Going on with what else it says: stack, region, buckets.",
            ):
                say(line)
    settings = overridden(settings, stack_name, region)
    return Session(connect(settings.region, named, say), settings, named, None)


def _remains(path: Path, error: ConfigError, stack_name: str) -> tuple[Install, tuple[str, ...]]:
    """What a broken config says of the stack, and the buckets of its routes."""
    try:
        data = yaml_source.parse(text_file.decoded(path.read_bytes()), path.name).data
        install = data.get("install") or {}
        kept = {name: install[name] for name in ("stack", "region", "account", "artifact_bucket") if name in install}
        settings = msgspec.convert(kept, Install)
        named = [listed(route["bucket"]) for route in data.get("routes") or () if route.get("bucket")]
        elsewhere = {one.get("bucket") for one in install.get("forwarded") or () if isinstance(one, dict)}
        mentioned = dict.fromkeys(map(str, chain.from_iterable(named)))
        return settings, tuple(bucket for bucket in mentioned if bucket not in elsewhere)
    except (ConfigError, OSError, text_file.NotTextError, msgspec.ValidationError, AttributeError, TypeError, KeyError):
        if not stack_name:
            raise ConfigError([*error.problems, "name the stack with --stack, and its region with --region"]) from None
        return Install(), ()


def config_file(session: Session) -> ConfigFile:
    """The config that a session must have.

    Raises:
        InstallError: it has none.
    """
    if session.file is None:
        raise InstallError("there is no config file; name one with --config, or write one with `multicdn init`")
    return session.file

"""One run of the installer: from a config file and credentials to a plan, and from a plan to the deed."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from multicdn import config as config_file
from multicdn.config import Config
from multicdn.config.settings import Install
from multicdn.installer import apply, cloudformation, destroy, permissions, plan, status
from multicdn.installer import state as observe
from multicdn.installer.account import Account, connect
from multicdn.installer.bundle import build
from multicdn.installer.errors import InstallError
from multicdn.installer.notifications.eventbridge_rules import listened
from multicdn.installer.notifications.prefixes import buckets
from multicdn.installer.template import role, stack

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from multicdn.installer.steps import Plan

    Say = Callable[[str], None]


@dataclass(frozen=True)
class Source:
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
        """All buckets that routes name."""
        return buckets(self.config.routes)


@dataclass(frozen=True)
class Session:
    """What a run works with.

    Attributes:
        account: where.
        settings: name of the stack and so on.
        source: the config; None where there is no file, which is enough to look and to remove.
    """

    account: Account
    settings: Install
    source: Source | None


def read(path: Path, stack_name: str = "", region: str = "") -> Source:
    """Load a config for installing.

    Args:
        path: of its file.
        stack_name: from the command line; if empty, the config's own counts.
        region: the same.

    Raises:
        ConfigError: it isn't right.
    """
    loaded = config_file.load(path)
    settings = overridden(loaded.install, stack_name, region)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Source(dataclasses.replace(loaded, install=settings), path, digest)


def overridden(settings: Install, stack_name: str, region: str) -> Install:
    """Put the command line's word over the config's.

    Raises:
        InstallError: it isn't one that AWS takes.
    """
    given = {name: value for name, value in (("stack", stack_name), ("region", region)) if value}
    try:
        return msgspec.convert({**msgspec.to_builtins(settings), **given}, Install)
    except msgspec.ValidationError as error:
        raise InstallError(f"--{'/--'.join(given)}: {error}") from error


def open_session(source: Source | None, stack_name: str = "", region: str = "") -> Session:
    """Sign in.

    Raises:
        InstallError: there are no credentials that AWS accepts.
    """
    settings = source.config.install if source else overridden(Install(), stack_name, region)
    account = connect(settings.region, source.buckets if source else ())
    return Session(account, settings, source)


def planned(session: Session, work: Path, begin: Say, *, check_permissions: bool = True) -> Plan:
    """Find out what has to be done. Changes nothing.

    Args:
        session: with a config.
        work: folder in which the bundle is built.
        begin: told of what is being done.
        check_permissions: whether IAM is asked beforehand.

    Raises:
        InstallError: it would not work; nothing was done.
    """
    source, account, settings = _source(session), session.account, session.settings
    begin("looking at what is there")
    _refuse_secrets(source)
    seen = observed(session, source)
    plan.refuse(source.config, seen)
    if check_permissions:
        begin("asking IAM what you may do")
        permissions.refuse_if_denied(account, settings, source.buckets, seen.artifacts.bucket)
    begin("building the code for Lambda")
    made = build.build(
        source.config, source.path, architecture=settings.architecture, python=settings.python, work=work
    )
    return plan.make(plan.Wish(source.config, source.sha256, made, metadata.version("multicdn")), seen)


def applied(session: Session, wanted: Plan, begin: Say, say: Say) -> None:
    """Carry out a plan. If the first installation fails, what there is of it is taken away again.

    Raises:
        InstallError: a step failed.
    """
    try:
        apply.apply(wanted, session.account, begin, say)
    except InstallError as error:
        if not wanted.fresh:
            raise InstallError(f"{error}\nWhat was done before stays; run it again to go on from there.") from error
        begin("taking away what there is of the failed installation")
        apply.apply(removal(session, drop_messages=False), session.account, begin, say)
        raise InstallError(f"{error}\nNothing of this installation is left.") from error


def settled(session: Session, say: Say) -> None:
    """Wait for what CloudFormation is doing to the stack, if anything."""
    cloudformation.settle(session.account, session.settings.stack, say)


def removal(session: Session, *, drop_messages: bool) -> Plan:
    """Plan to take everything of ours away.

    Raises:
        InstallError: something may not be looked at.
    """
    named = session.source.buckets if session.source else ()
    account, settings = session.account, session.settings
    seen, queues = destroy.observed(account, settings.stack, named, settings.artifact_bucket)
    return destroy.make(settings.stack, seen, queues, drop_messages=drop_messages)


def looked_at(session: Session) -> status.Status:
    """How the installation fares."""
    return status.read(session.account, session.settings.stack)


def template_of(source: Source) -> dict[str, Any]:
    """The template for people with a pipeline of their own. Needs neither AWS nor a bundle.

    Raises:
        InstallError: a secret can't be used in Lambda.
    """
    _refuse_secrets(source)
    config = source.config
    version = metadata.version("multicdn")
    state = stack.State(version, source.sha256, config.install.trigger, source.buckets)
    return stack.template(config, state, revision=version + source.sha256)


def observed(session: Session, source: Source) -> observe.Observed:
    """Read all that a plan is made from.

    Raises:
        InstallError: a bucket or the stack can't be used, or somebody is changing the stack.
    """
    account, settings = session.account, session.settings
    deployed = observe.stack(account, settings.stack)
    if deployed and cloudformation.is_busy(deployed.status):
        raise InstallError(
            f"the stack {settings.stack!r} is being changed ({deployed.status}); wait for the end of that"
        )
    old = deployed.state if deployed else stack.State()
    gone = observe.existing(account, (bucket for bucket in old.buckets if bucket not in source.buckets))
    return observe.Observed(
        account.id,
        account.region,
        deployed,
        observe.notifications(account, (*source.buckets, *gone)),
        observe.artifacts(account, settings.stack, settings.artifact_bucket),
        listened(account, settings.stack, old.eventbridge),
    )


def _refuse_secrets(source: Source) -> None:
    problems = role.secret_problems(source.config)
    if problems:
        raise InstallError("\n".join(problems))


def _source(session: Session) -> Source:
    if session.source is None:
        raise InstallError("there is no config file; name one with --config, or write one with `multicdn init`")
    return session.source

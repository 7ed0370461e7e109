"""One run of the installer: from a session to a plan, and from a plan to the deed."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

import msgspec

from multicdn.installer import (
    cloudformation,
    deployed_code,
    destroy,
    permissions,
    plan,
    quotas,
    secret_access,
    sessions,
    state,
)
from multicdn.installer.apply import execute
from multicdn.installer.bundle.build import Bundle, build
from multicdn.installer.errors import InstallError, PassingError
from multicdn.installer.hints import Hints
from multicdn.installer.notifications.destinations import find_vanished
from multicdn.installer.notifications.eventbridge_rules import find_listened
from multicdn.installer.organisation import own_role
from multicdn.installer.organisation.forwarding import without_forwarded
from multicdn.installer.status import InstallStatus, read_status
from multicdn.installer.template import role, stack
from multicdn.installer.template.tags import tagged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from multicdn.config import Config
    from multicdn.installer.account import Account
    from multicdn.installer.sessions import ConfigFile, Session
    from multicdn.installer.steps import InstallPlan

    Say = Callable[[str], None]

# Where none is named: policies are longest in regions with long names.
_LONG_REGION = "ap-southeast-1"


def make_plan(session: Session, work: Path, begin: Say, *, check_permissions: bool = True) -> InstallPlan:
    """Find out what has to be done. Changes nothing in the account.

    Args:
        session: with a config.
        work: folder for the bundle.
        begin: told of what is being done.
        check_permissions: whether IAM is asked beforehand, and the secrets are looked for.

    Raises:
        InstallError: it would not work; nothing was done.
    """
    begin("looking at what is there")
    session = sessions.with_key_arns(session)
    file, account, settings = sessions.config_file(session), session.account, session.settings
    _refuse_impossible(file, account.region)
    current = read_current(session)
    plan.refuse(file.config, current)
    noticed: tuple[str, ...] = ()
    if check_permissions:
        begin("asking IAM what you may do")
        permissions.refuse_if_denied(account, settings, file.buckets)
        if settings.role:
            hints = Hints()
            noticed = (*own_role.lacking(account, file.config, hints), *hints.doubts)
        begin("looking for the secrets")
        noticed += _look_for_secrets(account, file.config, current)
    begin("building the code for Lambda")
    desired = plan.Desired(file.config, file.sha256, bundle(file, work), metadata.version("multicdn"))
    made = plan.make(desired, current)
    return msgspec.structs.replace(made, warnings=(*made.warnings, *noticed))


def _look_for_secrets(account: Account, config: Config, current: state.Current) -> tuple[str, ...]:
    """What couldn't be found out about the secrets of a config.

    Raises:
        InstallError: the function couldn't read one.
    """
    deployed = current.deployed
    function = deployed.outputs.get("FunctionName", "") if deployed and deployed.exists else ""
    found = secret_access.look(account, config, function)
    if found.problems:
        skip = "Nothing was done. --no-permission-check installs all the same."
        raise InstallError("\n".join((*found.problems, skip)))
    return found.doubts


def bundle(file: ConfigFile, work: Path) -> Bundle:
    """Build the function's code into a folder.

    Raises:
        InstallError: a secret can't be used in Lambda, or the code can't be had.
    """
    _refuse_impossible(file)
    settings = file.config.install
    return build(file.config, file.path, architecture=settings.architecture, python=settings.python, work=work)


def apply(session: Session, wanted: InstallPlan, begin: Say, say: Say) -> None:
    """Carry out a plan.

    If the first installation fails for what won't pass by itself, what there is of it is taken away again.

    Raises:
        PassingError: a step failed, and may succeed later.
        InstallError: a step failed.
    """
    try:
        execute(wanted, session.account, begin, say)
    except PassingError as error:
        raise PassingError(f"{error}\nWhat was done before stays; run it again to go on from there.") from error
    except InstallError as error:
        if not wanted.fresh:
            raise InstallError(f"{error}\nWhat was done before stays; run it again to go on from there.") from error
        begin("taking away what there is of the failed installation")
        _take_back(session, error, begin, say)
        raise InstallError(f"{error}\nNothing of this installation is left.") from error


def _take_back(session: Session, why: InstallError, begin: Say, say: Say) -> None:
    try:
        execute(plan_removal(session, drop_messages=False), session.account, begin, say)
    except InstallError as error:
        remedy = "run `multicdn install destroy` once that is mended"
        raise InstallError(f"{why}\nTaking away what there is failed too; {remedy}: {error}") from error


def wait(session: Session, say: Say) -> None:
    """Wait for what CloudFormation is doing to the stack, if anything."""
    cloudformation.wait_until_idle(session.account, session.settings.stack, say)


def plan_removal(session: Session, *, drop_messages: bool) -> InstallPlan:
    """Plan to take everything of ours away.

    Raises:
        InstallError: something may not be looked at.
    """
    account, settings = session.account, session.settings
    current, queues = destroy.read_current(account, settings.stack, session.buckets, settings.artifact_bucket)
    return destroy.make(settings.stack, current, queues, drop_messages=drop_messages)


def status(session: Session) -> InstallStatus:
    """Read how the installation fares."""
    return read_status(session.account, session.settings.stack)


def template(file: ConfigFile) -> dict[str, Any]:
    """Make the template for people with a pipeline of their own. Needs neither AWS nor a bundle.

    Raises:
        InstallError: a secret can't be used in Lambda, or the function's role would need too long a policy.
    """
    return tagged(_refuse_impossible(file), file.config.install.tags)


def read_current(session: Session) -> state.Current:
    """Read all that a plan is made from.

    Raises:
        InstallError: a bucket or the stack can't be used, or somebody is changing the stack.
    """
    account, settings = session.account, session.settings
    deployed = state.read_stack(account, settings.stack)
    if deployed and cloudformation.is_busy(deployed.status):
        raise InstallError(
            f"the stack {settings.stack!r} is being changed ({deployed.status}); wait for the end of that"
        )
    old = deployed.state if deployed else stack.State()
    dropped = [bucket for bucket in without_forwarded(settings, old.buckets) if bucket not in session.buckets]
    remains, passed_over = state.read_remains(account, dropped)
    notifications = state.read_notifications(account, session.buckets) | remains
    hints = Hints()
    code, problem = deployed_code.read_if_there(account, deployed.parameters if deployed and deployed.exists else {})
    return state.Current(
        account.id,
        account.region,
        deployed,
        notifications,
        state.read_artifacts(account, settings.stack, settings.artifact_bucket),
        find_listened(account, settings.stack, old.eventbridge),
        find_vanished(account, notifications.values(), settings.stack, hints),
        code,
        problem,
        quotas.reservable(account, deployed.body if deployed and deployed.exists else {}, hints)
        if settings.reserved_concurrency is not None
        else None,
        tuple(passed_over),
        hints.doubts,
    )


def deployed_config(session: Session) -> bytes:
    """The config file that the deployed function has, byte by byte.

    Raises:
        InstallError: nothing is deployed, or its code can't be read.
    """
    deployed = state.read_stack(session.account, session.settings.stack)
    if deployed is None or not deployed.exists:
        where = f"in {session.account.region} of account {session.account.id}"
        raise InstallError(
            f"nothing is installed as {session.settings.stack!r} {where}; --stack and --region name another"
        )
    return deployed_code.read(session.account, deployed.parameters).config


def _refuse_impossible(file: ConfigFile, region: str = "") -> dict[str, Any]:
    """The template of a config, if AWS would take it, in this region or the configured one."""
    problems = role.secret_problems(file.config)
    version = metadata.version("multicdn")
    remembered = stack.State(version, file.sha256, file.config.install.trigger, file.buckets)
    body = stack.template(file.config, remembered, revision=version + file.sha256)
    problems += quotas.problems(file.config, body, region or file.config.install.region or _LONG_REGION)
    if problems:
        raise InstallError("\n".join(problems))
    return body

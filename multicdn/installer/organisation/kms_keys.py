"""KMS keys by the name that a person has for them: policies and Lambda want the key's ARN."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from multicdn.installer.errors import InstallError, code, translated

if TYPE_CHECKING:
    from multicdn.config.settings import Install
    from multicdn.installer.account import Account

_KEY_ARN = re.compile(r"arn:[^:]+:kms:[^:]+:[0-9]{12}:key/.+")


def unresolved(settings: Install) -> tuple[str, ...]:
    """The keys that are named by an alias or an id, each once."""
    named = (settings.kms_key, *settings.secret_keys, settings.artifact_key)
    return tuple(dict.fromkeys(key for key in named if key and not _KEY_ARN.fullmatch(key)))


def resolved(account: Account, settings: Install) -> Install:
    """Settings in which each key stands by its ARN. KMS is asked about those that don't.

    A policy that names an alias as its resource allows nothing on the key:
    docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html

    Raises:
        InstallError: there is no such key, it can't be used, or may not be asked about; all of these are named at once.
    """
    arns: dict[str, str] = {}
    problems = []
    for key in unresolved(settings):
        try:
            arns[key] = _arn(account, key)
        except InstallError as error:
            problems.append(str(error))
    if problems:
        raise InstallError("\n".join(problems))
    return msgspec.structs.replace(
        settings,
        kms_key=arns.get(settings.kms_key, settings.kms_key),
        secret_keys=tuple(arns.get(key, key) for key in settings.secret_keys),
        artifact_encryption=arns.get(settings.artifact_encryption, settings.artifact_encryption),
    )


def _arn(account: Account, key: str) -> str:
    from botocore.exceptions import ClientError

    with translated(f"looking for the KMS key {key}", "kms"):
        try:
            found = account.client("kms").describe_key(KeyId=key)["KeyMetadata"]
        except ClientError as error:
            if code(error) == "NotFoundException":
                raise InstallError(f"there is no KMS key {key!r} in {account.region}; correct the name") from error
            raise
    # docs.aws.amazon.com/kms/latest/developerguide/key-state.html
    if found.get("KeyState", "Enabled") != "Enabled":
        raise InstallError(f"the KMS key {key!r} can't be used: it is {found['KeyState']}")
    return str(found["Arn"])

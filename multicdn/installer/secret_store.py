"""Putting secrets where references of the config look for them. Values come in, and never out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from multicdn.installer.errors import InstallError, code, translated
from multicdn.installer.secret_references import stored_name
from multicdn.secrets import parse_reference

if TYPE_CHECKING:
    from collections.abc import Callable

    Client = Callable[[str], Any]

_SCHEMES = ("ssm", "secretsmanager")


def parse(text: str) -> tuple[str, str]:
    """Read ``ssm:/path``, ``secretsmanager:name#key``, or the same as it stands in a config: ``${ssm:/path}``.

    Returns:
        Scheme and name.

    Raises:
        InstallError: nothing can be stored there.
    """
    scheme, name = parse_reference(text if text.startswith("${") else f"${{{text}}}") or ("", "")
    if scheme not in _SCHEMES:
        raise InstallError(f"{text!r}: write ssm:/path, secretsmanager:name or secretsmanager:name#key")
    if scheme == "ssm" and "/" in name and not name.startswith(("/", "arn:")):
        raise InstallError(f"the name of a parameter with slashes begins with one: ssm:/{name}")
    if scheme == "ssm" and stored_name(name) != name:
        raise InstallError(f"{text!r}: a version or an ARN can't be stored; write ssm:{stored_name(name)}")
    return scheme, name


def put(client: Client, scheme: str, name: str, value: str, *, kms_key: str = "") -> str:
    """Store a secret, encrypted.

    Args:
        client: makes a boto3 client of a service.
        scheme: ``ssm`` or ``secretsmanager``.
        name: as in a reference.
        value: the secret.
        kms_key: ARN of the key to encrypt with; by default the account's own for the service.

    Returns:
        What was done, without the value.

    Raises:
        InstallError: it could not be stored.
    """
    if not value.strip():
        raise InstallError("the secret is empty; nothing was stored")
    return (_put_parameter if scheme == "ssm" else _put_secret)(client, name, value, kms_key)


def _put_parameter(client: Client, name: str, value: str, kms_key: str) -> str:
    key = {"KeyId": kms_key} if kms_key else {}
    with translated(f"storing the parameter {name}", "ssm"):
        answer = client("ssm").put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True, **key)
    return f"stored ${{ssm:{name}}}, version {answer['Version']}"


def _put_secret(client: Client, name: str, value: str, kms_key: str) -> str:
    secret_id, _, member = name.partition("#")
    secrets = client("secretsmanager")
    with translated(f"storing the secret {secret_id}", "secretsmanager"):
        before = _current(secrets, secret_id)
        text = _with_member(before, secret_id, member, value) if member else value
        if before is None:
            key = {"KmsKeyId": kms_key} if kms_key else {}
            secrets.create_secret(Name=secret_id, SecretString=text, **key)
        elif kms_key:
            secrets.update_secret(SecretId=secret_id, SecretString=text, KmsKeyId=kms_key)
        else:
            secrets.put_secret_value(SecretId=secret_id, SecretString=text)
    return f"{'made' if before is None else 'stored'} ${{secretsmanager:{name}}}"


def _current(secrets: Any, secret_id: str) -> str | None:
    """The value at present; None where there is no such secret."""
    from botocore.exceptions import ClientError

    try:
        return str(secrets.get_secret_value(SecretId=secret_id).get("SecretString", ""))
    except ClientError as error:
        if code(error) == "ResourceNotFoundException":
            return None
        raise


def _with_member(before: str | None, secret_id: str, member: str, value: str) -> str:
    """The JSON object with one member set, and all others as they are."""
    try:
        members = json.loads(before or "{}")
    except ValueError:
        members = None
    if not isinstance(members, dict):
        raise InstallError(f"the secret {secret_id!r} isn't a JSON object, so it has no member {member!r}")
    return json.dumps({**members, member: value})

"""Putting secrets where references of the config look for them. Values come in, and never out."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any

from multicdn.installer.errors import InstallError, code, is_denied, translated
from multicdn.installer.secret_references import STORES, stored_name
from multicdn.secrets import parse_reference

if TYPE_CHECKING:
    from collections.abc import Callable

    Client = Callable[[str], Any]

_SCHEMES = ("ssm", "secretsmanager")

# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html and
# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
_NAMES = {
    "ssm": re.compile(r"[A-Za-z0-9_./-]+"),
    "secretsmanager": re.compile(r"(arn:[^#]+|[A-Za-z0-9/_+=.@-]+)(#.+)?"),
}
_WAYS = "write ssm:/path, secretsmanager:name or secretsmanager:name#key"

# Characters of a parameter that costs nothing; whether a longer one is made, the account's default tier says:
# https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html
_STANDARD = 4096
_LONGEST = {"ssm": 8192, "secretsmanager": 65536}

_TIER = (
    "the secret has {:,} characters, and a parameter of the standard tier takes 4,096: put it into Secrets Manager, "
    "${{secretsmanager:NAME}} in the config, or make Intelligent-Tiering the account's default tier of Parameter Store"
)

#: Bytes of which no store takes the text, even if the last letter among them is cut.
TOO_LONG = max(_LONGEST.values()) + 4


def parse(text: str) -> tuple[str, str]:
    """Read ``ssm:/path``, ``secretsmanager:name#key``, or the same as it stands in a config: ``${ssm:/path}``.

    Returns:
        Scheme and name.

    Raises:
        InstallError: nothing can be stored there.
    """
    scheme, name = parse_reference(text if text.startswith("${") else f"${{{text}}}") or ("", "")
    if scheme not in _SCHEMES:
        raise InstallError(f"{text!r}: {_WAYS}")
    if scheme == "ssm" and "/" in name and not name.startswith(("/", "arn:")):
        raise InstallError(f"the name of a parameter with slashes begins with one: ssm:/{name}")
    if scheme == "ssm" and stored_name(name) != name:
        raise InstallError(f"{text!r}: a version or an ARN can't be stored; write ssm:{stored_name(name)}")
    if not _NAMES[scheme].fullmatch(name):
        raise InstallError(f"{text!r}: AWS takes no such name, which has letters, digits and few other signs; {_WAYS}")
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
    if len(value.encode()) > _LONGEST[scheme]:
        more = f"; Secrets Manager takes {_LONGEST['secretsmanager']:,}" if scheme == "ssm" else ""
        raise InstallError(f"the secret is too long: {STORES[scheme]} takes {_LONGEST[scheme]:,} bytes{more}")
    return (_put_parameter if scheme == "ssm" else _put_secret)(client, name, value, kms_key)


def _put_parameter(client: Client, name: str, value: str, kms_key: str) -> str:
    from botocore.exceptions import ClientError

    key = {"KeyId": kms_key} if kms_key else {}
    with translated(f"storing the parameter {name}", "ssm"):
        try:
            answer = client("ssm").put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True, **key)
        except ClientError as error:
            if len(value) > _STANDARD and code(error) == "ValidationException":
                raise InstallError(_TIER.format(len(value))) from error
            raise
    return f"stored ${{ssm:{name}}}, version {answer['Version']}"


def _put_secret(client: Client, name: str, value: str, kms_key: str) -> str:
    from botocore.exceptions import ClientError

    secret_id, _, member = name.partition("#")
    secrets = client("secretsmanager")
    with translated(f"storing the secret {secret_id}", "secretsmanager"):
        try:
            made = _write(secrets, secret_id, member, value, kms_key)
        except ClientError as error:
            if code(error) == "InvalidRequestException" and "delet" in str(error):
                restore = f"aws secretsmanager restore-secret --secret-id {secret_id}"
                raise InstallError(
                    f"the secret {secret_id!r} is to be deleted; bring it back first: {restore}"
                ) from error
            raise
    return f"{'made' if made else 'stored'} ${{secretsmanager:{name}}}"


def _write(secrets: Any, secret_id: str, member: str, value: str, kms_key: str) -> bool:
    """Write a secret, or one member of it; whether it had to be made."""
    from botocore.exceptions import ClientError

    before = _current(secrets, secret_id, needed=bool(member))
    text = _with_member(before, secret_id, member, value) if member else _instead_of(before, secret_id, value)
    key = {"KmsKeyId": kms_key} if kms_key else {}
    change = secrets.update_secret if kms_key else secrets.put_secret_value
    ways = [(partial(change, SecretId=secret_id), False), (partial(secrets.create_secret, Name=secret_id), True)]
    (first, made), (other, made_after_all) = reversed(ways) if before is None else ways
    try:
        first(SecretString=text, **key)
    except ClientError as error:
        # It may be there without a value, or be one that we mustn't read.
        if code(error) not in ("ResourceExistsException", "ResourceNotFoundException"):
            raise
        other(SecretString=text, **key)
        return made_after_all
    return made


def _current(secrets: Any, secret_id: str, *, needed: bool) -> str | None:
    """The value at present; None where there is none, empty where it may not be read and need not be.

    Raises:
        InstallError: it is no text.
    """
    from botocore.exceptions import ClientError

    try:
        answer = secrets.get_secret_value(SecretId=secret_id)
    except ClientError as error:
        if code(error) == "ResourceNotFoundException":
            return None
        if is_denied(error) and not needed:
            return ""
        raise
    if "SecretString" not in answer:
        raise InstallError(f"the secret {secret_id!r} is binary, and would be text instead; take another name")
    return str(answer["SecretString"])


def _instead_of(before: str | None, secret_id: str, value: str) -> str:
    """The whole value, unless it would take the place of an object that others' members may be in."""
    members, new = _object(before or ""), _object(value)
    if members and new is None:
        named = ", ".join(f"secretsmanager:{secret_id}#{name}" for name in [*members][:3])
        raise InstallError(
            f"the secret {secret_id!r} is a JSON object, which that would replace; name a member: {named}"
        )
    return value


def _with_member(before: str | None, secret_id: str, member: str, value: str) -> str:
    """The JSON object with one member set, and all others as they are."""
    members = _object(before or "{}")
    if members is None:
        raise InstallError(f"the secret {secret_id!r} isn't a JSON object, so it has no member {member!r}")
    return json.dumps({**members, member: value})


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None

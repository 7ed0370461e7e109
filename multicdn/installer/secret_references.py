"""The secrets that a config refers to: which reference is whose. Knows no value."""

from __future__ import annotations

import dataclasses
import re
import shlex
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.secrets import Secret, parse_reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multicdn.config.settings import Install
    from multicdn.provider import Provider

# The schemes whose stores are AWS's, as people know them.
STORES = {"ssm": "Parameter Store", "secretsmanager": "Secrets Manager"}

PARAMETER_ARN = re.compile(r"arn:[^:]+:ssm:(?P<region>[^:]*):(?P<account>\d*):parameter(?P<name>/[^:]+)(?::.+)?")


class Reference(Struct, frozen=True):
    """A reference, and who uses it.

    Attributes:
        text: as it stands in the config: ``${ssm:/a}``.
        scheme, name: the parts of it.
        used_by: ``INSTANCE.OPTION`` of each option that holds it.
        file: where people have the text, if it is that of a file.
    """

    text: str
    scheme: str
    name: str
    used_by: tuple[str, ...]
    file: str = ""

    @property
    def in_aws(self) -> bool:
        """Whether AWS keeps it."""
        return self.scheme in STORES


def references(providers: Mapping[str, Provider]) -> list[Reference]:
    """The references of all instances, each once, in their order."""
    found: dict[str, Reference] = {}
    for instance, provider in providers.items():
        for field in dataclasses.fields(provider):
            secret = getattr(provider, field.name)
            parsed = parse_reference(secret.reference) if isinstance(secret, Secret) else None
            if parsed is None:
                continue
            before = found.get(secret.reference)
            users = (*(before.used_by if before else ()), f"{instance}.{field.name}")
            file = field.metadata.get("file", "") or (before.file if before else "")
            found[secret.reference] = Reference(secret.reference, *parsed, users, file)
    return list(found.values())


def stored_name(name: str) -> str:
    """The name under which Parameter Store has what a reference names, without the ARN before it or a version after.

    Names without other slashes have no first one, either:
    https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html
    """
    match = PARAMETER_ARN.fullmatch(name)
    if match is None:
        return name.partition(":")[0]
    bare = match["name"].removeprefix("/")
    return match["name"] if "/" in bare else bare


def put_command(scheme: str, name: str, settings: Install, file: str = "") -> str:
    """The command that stores a secret, ready to be pasted into a shell."""
    words = ["multicdn", "secret", "put", f"{scheme}:{stored_name(name) if scheme == 'ssm' else name}"]
    words += ["--region", settings.region] if settings.region else []
    words += ["--kms-key", settings.kms_key] if settings.kms_key else []
    # The shell itself knows what ~ is.
    return shlex.join(words) + (f" < {file}" if file else "")

"""What a config says of its installation, for commands that need no more of it and work without one."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any

import msgspec

from multicdn.config import text_file, yaml_source
from multicdn.config.settings import Install
from multicdn.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

# What says where things are. The rest may depend on one another.
_MEMBERS = ("stack", "region", "account", "kms_key")


def settings(path: Path) -> Install:
    """Read where an installation is, each member by itself, however wrong the rest of the file is.

    Returns:
        Defaults for what can't be read, and where there is no such file.
    """
    try:
        data = yaml_source.parse(text_file.decoded(path.read_bytes()), path.name).data
    except (ConfigError, OSError, text_file.NotTextError):
        return Install()
    install = data.get("install") if isinstance(data, dict) else None
    return Install(**_right(install)) if isinstance(install, dict) else Install()


def _right(install: dict[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(Install, include_extras=True)
    found = {}
    for name in _MEMBERS:
        try:
            found[name] = msgspec.convert(install.get(name, ""), hints[name])
        except msgspec.ValidationError:
            continue
    return {name: value for name, value in found.items() if value}

"""The rights in AWS that a command is said to take, and those that it took."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kit.environments import ROOT

if TYPE_CHECKING:
    from kit.aws_answers import Answers


def rights(command: str) -> set[str]:
    """What docs/install.md says that a command takes."""
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    [row] = [line for line in page.splitlines() if line.startswith(f"| `{command}` |")]
    return set(re.findall(r"`(\w+:\w+)`", row.split("|")[2]))


def used(aws: Answers) -> set[str]:
    """The rights that the calls took."""
    names = {"ListObjectsV2": "ListBucket", "Invoke": "InvokeFunction"}
    return {f"{call.service}:{names.get(call.operation, call.operation)}" for call in aws.calls} - {
        "sts:GetCallerIdentity"
    }

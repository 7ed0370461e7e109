"""docs/install.md tells of every setting, with its default, and of every service that installing touches."""

from __future__ import annotations

import re
from pathlib import Path

from multicdn.config.settings import Install, Trigger
from multicdn.installer import permission_table

PAGE = (Path(__file__).parents[2] / "docs" / "install.md").read_text(encoding="utf-8")


def test_every_setting_is_documented_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", PAGE, re.MULTILINE))
    for name, value in zip(Install.__struct_fields__, Install.__struct_defaults__, strict=True):
        assert name in rows
        if isinstance(value, bool | int | str) and value:
            shown = str(value).lower() if isinstance(value, bool) else str(value)
            assert shown in rows[name].strip("`"), name


def test_every_service_is_named() -> None:
    services = {action.split(":")[0] for permission in permission_table.PERMISSIONS for action in permission.actions}
    assert [service for service in services if f"| `{service}` |" not in PAGE] == []


def test_every_trigger_is_explained() -> None:
    assert [trigger for trigger in Trigger if f"| `{trigger}` |" not in PAGE] == []

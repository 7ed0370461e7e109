"""Differences for people to read: of a template, of policies, of a bucket's notifications."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from multicdn.installer.notifications import merge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from multicdn.installer.notifications.merge import Configuration

_MISSING = object()
_WIDEST = 100

# What all ARNs of one account and region begin with.
_OWN_ARN = re.compile(r"arn:\$\{AWS::Partition\}:([a-z0-9-]+):(?:\$\{AWS::Region\})?:(?:\$\{AWS::AccountId\})?:")
_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")

# Too long for anybody to read; that they change is enough.
_OPAQUE = ("DashboardBody",)


def stack(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Lines for every resource of a template that comes, goes or changes: ``+``, ``-``, ``~``."""
    old, new = before.get("Resources", {}), after.get("Resources", {})
    for name in sorted({*old, *new}):
        if name not in old:
            yield f"+ {name} ({new[name]['Type']})"
            yield from _statements({}, new[name])
        elif name not in new:
            yield f"- {name} ({old[name]['Type']})"
        elif old[name] != new[name]:
            yield f"~ {name} ({new[name]['Type']})"
            yield from _properties(old[name], new[name])
            yield from _statements(old[name], new[name])


def values(before: Mapping[str, str], after: Mapping[str, str], what: str) -> Iterator[str]:
    """Lines for parameters or tags."""
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            old, new = (_DIGEST.sub(r"\1", side.get(name, "none")) for side in (before, after))
            yield f"~ {what} {name}: {old} -> {new}"


def notifications(before: Configuration, after: Configuration, owner: str) -> Iterator[str]:
    """Lines for our entries that come and go, and how many of others stay."""
    old = {entry["Id"]: merge.described(kind, entry) for kind, entry in merge.ours(before, owner)}
    new = {entry["Id"]: merge.described(kind, entry) for kind, entry in merge.ours(after, owner)}
    for identity in sorted({*old, *new}):
        if old.get(identity) != new.get(identity):
            yield from (f"- {old[identity]}" for _ in old.keys() & {identity})
            yield from (f"+ {new[identity]}" for _ in new.keys() & {identity})
    flags = [merge.EVENTBRIDGE in configuration for configuration in (before, after)]
    if flags[0] != flags[1]:
        yield f"{'+' if flags[1] else '-'} tell EventBridge of all events of the bucket"
    kept = merge.count(merge.foreign(before, owner))
    yield f"  {kept} of others, untouched"


def statement(value: Mapping[str, Any]) -> str:
    """One statement of a policy in a line."""
    actions = value["Action"] if isinstance(value["Action"], list) else [value["Action"]]
    return f"{value.get('Effect', 'Allow').lower()} {', '.join(actions)} on {short(value.get('Resource', '*'))}"


def short(value: Any) -> str:
    """A value in few words: references by the name that they lead to."""
    if isinstance(value, dict) and len(value) == 1:
        [(function, inner)] = value.items()
        if function == "Ref":
            return str(inner)
        if function == "Fn::GetAtt":
            return str(inner[0])
        if function == "Fn::Sub":
            return _OWN_ARN.sub(r"\1:", str(inner if isinstance(inner, str) else inner[0]))
    if isinstance(value, list):
        return ", ".join(map(short, value))
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= _WIDEST else f"{text[:_WIDEST]}…"


def _properties(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for path, old, new in _changes(before, after, ()):
        if path[:2] == ("Properties", "Policies"):
            continue  # in the words of _statements
        name = ".".join(part for part in path if part != "Properties")
        if path[-1] in _OPAQUE:
            yield f"    {name} changes"
        else:
            yield f"    {name}: {_shown(old)} -> {_shown(new)}"


def _changes(before: Any, after: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    if before == after:
        return
    opaque = bool(path) and path[-1] in _OPAQUE
    if (
        not (isinstance(before, dict) and isinstance(after, dict))
        or opaque
        or _is_function(before)
        or _is_function(after)
    ):
        yield path, before, after
        return
    for name in sorted({*before, *after}):
        yield from _changes(before.get(name, _MISSING), after.get(name, _MISSING), (*path, name))


def _is_function(value: Mapping[str, Any]) -> bool:
    return any(name == "Ref" or name.startswith("Fn::") for name in value)


def _shown(value: Any) -> str:
    return "none" if value is _MISSING else short(value)


def _statements(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    old, new = list(_all_statements(before)), list(_all_statements(after))
    yield from (f"    - {line}" for line in old if line not in new)
    yield from (f"    + {line}" for line in new if line not in old)


def _all_statements(resource: Mapping[str, Any]) -> Iterator[str]:
    for attached in resource.get("Properties", {}).get("Policies", ()):
        yield from map(statement, attached["PolicyDocument"]["Statement"])

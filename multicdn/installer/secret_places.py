"""Where the secrets of a config are: in which store, since when, under which key. Reads no value."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multicdn.installer.errors import code
from multicdn.installer.hints import Hints
from multicdn.installer.secret_references import PARAMETER_ARN, STORES, Reference, stored_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from multicdn.installer.account import Account

# Names of one call: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ParameterStringFilter.html
_MOST_NAMES = 50


class Place(Struct, frozen=True, kw_only=True):
    """Where a secret is.

    Attributes:
        reference: that leads to it.
        store: in words.
        exists: whether it is there; None where nobody may look.
        version, changed: of the newest value, ``changed`` in ISO 8601; empty where the store knows none.
        key: id, ARN or alias of the KMS key, as the store says; empty for a key of AWS's own, or none.
        encrypted: whether the store encrypts it.
        note: what is odd about it, or why nobody knows.
    """

    reference: Reference
    store: str
    exists: bool | None
    version: str = ""
    changed: str = ""
    key: str = ""
    encrypted: bool = True
    note: str = ""


def places(references: Sequence[Reference], account: Account | None, hints: Hints | None = None) -> list[Place]:
    """Look for each, in the order given.

    Args:
        references: each once.
        account: where those of AWS are; None where there are none of them.
        hints: of whoever asks for more than that.
    """
    hints = hints or Hints()
    found = {reference.text: _elsewhere(reference) for reference in references if not reference.in_aws}
    if account is not None:
        parameters = [reference for reference in references if reference.scheme == "ssm"]
        found |= {place.reference.text: place for place in _parameters(parameters, account, hints)}
        for reference in references:
            if reference.scheme == "secretsmanager":
                found[reference.text] = _secret(reference, account, hints)
    return [found[reference.text] for reference in references]


def _elsewhere(reference: Reference) -> Place:
    """One that isn't in AWS."""
    if reference.scheme == "env":
        return Place(reference=reference, store="environment", exists=reference.name in os.environ, encrypted=False)
    if reference.scheme == "file":
        try:
            changed = Path(reference.name).expanduser().stat().st_mtime
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            return Place(reference=reference, store="file", exists=False, encrypted=False, note=reason)
        when = _iso(datetime.fromtimestamp(changed, UTC))
        return Place(reference=reference, store="file", exists=True, changed=when, encrypted=False)
    return Place(reference=reference, store=f"plugin for {reference.scheme}", exists=None, note="only the plugin knows")


# Parameter Store


def _parameters(references: Sequence[Reference], account: Account, hints: Hints) -> Iterator[Place]:
    """Ask about all at once: each call tells of fifty."""
    store = f"{STORES['ssm']}, {account.region}"
    names: dict[str, Reference] = {}
    for reference in references:
        name, fault = _own_name(reference.name, account)
        if fault:
            yield Place(reference=reference, store=store, exists=None if name else False, note=fault)
        else:
            names[reference.text] = reference
    wanted = sorted({_own_name(reference.name, account)[0] for reference in names.values()})
    described = hints.ask("ssm", "looking for the parameters", lambda: _described(account.client("ssm"), wanted))
    for reference in names.values():
        name, pinned = _own_name(reference.name, account)[0], _pinned(reference.name)
        if described is None:
            yield Place(reference=reference, store=store, exists=None, note=hints.problem)
        elif name in described:
            yield _parameter(reference, store, described[name], pinned)
        else:
            yield Place(reference=reference, store=store, exists=False)


def _own_name(name: str, account: Account) -> tuple[str, str]:
    """The name that Parameter Store lists it under, and why it lists none such; the name is empty if there can't be."""
    match = PARAMETER_ARN.fullmatch(name)
    if match is None:
        return stored_name(name), ""
    if match["region"] != account.region:
        return "", f"is in {match['region']}, and the function asks in its own region alone, {account.region}"
    if match["account"] != account.id:
        return match["name"], f"account {match['account']} shares it; only `multicdn secret check` can tell"
    return stored_name(name), ""


def _pinned(name: str) -> str:
    """The version or the label that a reference names after a colon."""
    rest = name.rpartition("/")[2] if name.startswith("arn:") else name
    return rest.partition(":")[2]


def _described(ssm: Any, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What Parameter Store says of these names."""
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(names), _MOST_NAMES):
        by_name = {"Key": "Name", "Option": "Equals", "Values": list(names[start : start + _MOST_NAMES])}
        pages = ssm.get_paginator("describe_parameters").paginate(ParameterFilters=[by_name])
        found |= {item["Name"]: item for page in pages for item in page.get("Parameters", ())}
    return found


def _parameter(reference: Reference, store: str, described: dict[str, Any], pinned: str) -> Place:
    is_encrypted = described.get("Type") == "SecureString"
    newest = str(described.get("Version", ""))
    note = "" if is_encrypted else "isn't encrypted: its type is not SecureString; `multicdn secret put` makes it so"
    if pinned and pinned != newest:
        note = "; ".join(filter(None, (f"the reference names {pinned!r} of it", note)))
    return Place(
        reference=reference,
        store=store,
        exists=True,
        version=newest,
        changed=_iso(described.get("LastModifiedDate")),
        key=_own_key(described.get("KeyId", "") if is_encrypted else "", "ssm"),
        encrypted=is_encrypted,
        note=note,
    )


# Secrets Manager


def _secret(reference: Reference, account: Account, hints: Hints) -> Place:
    from botocore.exceptions import ClientError

    secret_id, store = reference.name.partition("#")[0], f"{STORES['secretsmanager']}, {account.region}"
    parts = secret_id.split(":")
    if len(parts) > 3 and parts[0] == "arn" and parts[3] != account.region:
        note = f"is in {parts[3]}, and the function asks in its own region alone, {account.region}"
        return Place(reference=reference, store=store, exists=False, note=note)

    def asked() -> dict[str, Any]:
        try:
            return dict(account.client("secretsmanager").describe_secret(SecretId=secret_id))
        except ClientError as error:
            if code(error) == "ResourceNotFoundException":
                return {}
            raise

    described = hints.ask("secretsmanager", f"looking for the secret {secret_id}", asked)
    if not described:
        return Place(reference=reference, store=store, exists=None if hints.problem else False, note=hints.problem)
    if gone := described.get("DeletedDate"):
        note = f"is to be deleted since {_iso(gone)}; bring it back: aws secretsmanager restore-secret --secret-id "
        return Place(reference=reference, store=store, exists=False, note=note + secret_id)
    stages: dict[str, list[str]] = described.get("VersionIdsToStages") or {}
    version = next((version for version, names in stages.items() if "AWSCURRENT" in names), "")
    return Place(
        reference=reference,
        store=store,
        exists=bool(version),
        version=version[:8],
        changed=_iso(described.get("LastChangedDate") or described.get("CreatedDate")),
        key=_own_key(described.get("KmsKeyId", ""), "secretsmanager"),
        note="" if version else "has no value yet",
    )


def _own_key(key: str, service: str) -> str:
    """A key of one's own; AWS's own serves everybody in the account who may read there."""
    return "" if key.endswith(f"alias/aws/{service}") else key


def _iso(when: datetime | None) -> str:
    return when.astimezone(UTC).isoformat(timespec="seconds") if when else ""


def in_words(found: Iterable[Place]) -> Iterator[str]:
    """Two lines for each, none of them long."""
    for place in found:
        yield f"{place.reference.text}  {', '.join(place.reference.used_by)}"
        there = {True: "", False: "MISSING", None: "not known"}[place.exists]
        parts = [there, f"version {place.version}" if place.version else ""]
        parts += [f"of {place.changed}" if place.changed else "", f"key {place.key}" if place.key else ""]
        yield f"  {place.store}: {', '.join(filter(None, parts)) or 'is there'}"
        if place.note:
            yield f"  {place.note}"

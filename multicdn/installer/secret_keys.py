"""The KMS keys of secrets: which they are, and whether the function's role may decrypt with them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multicdn.installer.errors import code
from multicdn.installer.key_policy import Decrypting, KeyVerdict, verdict

if TYPE_CHECKING:
    from multicdn.installer.account import Account
    from multicdn.installer.hints import Hints


class Key(Struct, frozen=True):
    """A KMS key: its ARN, if it may be looked at; whether AWS doesn't manage it; and why nobody can use it."""

    arn: str
    own: bool = True
    fault: str = ""


class Keys:
    """The keys of secrets, each asked about once.

    Args:
        role_arn: of the role that decrypts; empty where it isn't made yet, None where it isn't known.
    """

    def __init__(self, account: Account, role_arn: str | None, hints: Hints) -> None:
        self._account = account
        self._hints = hints
        self._role = role_arn
        self._found: dict[str, Key] = {}
        self._policies: dict[str, dict[str, Any] | None] = {}
        self._problems: dict[str, str] = {}

    def find(self, name: str) -> Key:
        """A key by its id, ARN or alias."""
        if name not in self._found:
            self._found[name] = self._described(name)
        return self._found[name]

    def verdict(self, key: Key, via: str) -> KeyVerdict | None:
        """What its policy and its grants say; None where they can't be read."""
        if key.arn not in self._policies:
            self._policies[key.arn] = self._policy(key.arn)
        policy = self._policies[key.arn]
        if policy is None:
            return None
        found = verdict(policy, Decrypting(self._account.id, self._role or "", via))
        return self._granted(key.arn) if found is KeyVerdict.NOBODY else found

    def problem(self, key: Key) -> str:
        """Why the policy of a key isn't known."""
        return self._problems.get(key.arn) or "nobody may look at it (kms:DescribeKey)"

    def _described(self, name: str) -> Key:
        from botocore.exceptions import ClientError

        def described() -> dict[str, Any]:
            try:
                return dict(self._account.client("kms").describe_key(KeyId=name)["KeyMetadata"])
            except ClientError as error:
                if code(error) == "NotFoundException":
                    return {}
                raise

        found = self._hints.ask(
            "kms", f"looking at the key {name}", described, "whether all keys of secrets are enabled"
        )
        if found is None:
            return Key(name if name.startswith("arn:") and ":key/" in name else "")
        if not found:
            return Key("", fault="which doesn't exist (any more)")
        state = str(found.get("KeyState") or "Enabled")
        fault = "" if state == "Enabled" else f"which nobody can use: it is {state}"
        return Key(str(found["Arn"]), own=found.get("KeyManager") != "AWS", fault=fault)

    def _policy(self, arn: str) -> dict[str, Any] | None:
        """None where it can't be read; that of another account's key never can."""
        if not arn:
            return None
        kms = self._account.client("kms")
        answer = self._hints.ask(
            "kms", f"reading the policy of the key {arn}", lambda: kms.get_key_policy(KeyId=arn, PolicyName="default")
        )
        self._problems[arn] = self._hints.problem
        policy = json.loads(answer["Policy"]) if answer else None
        return policy if isinstance(policy, dict) else None

    def _granted(self, arn: str) -> KeyVerdict:
        """What the grants say of a role that the policy leaves out; one that isn't made yet has none."""
        if not self._role:
            return KeyVerdict.PERHAPS if self._role is None else KeyVerdict.NOBODY
        paginator = self._account.client("kms").get_paginator("list_grants")
        pages = self._hints.ask(
            "kms", f"reading the grants of the key {arn}", lambda: list(paginator.paginate(KeyId=arn))
        )
        if pages is None:
            return KeyVerdict.PERHAPS
        grants = [grant for page in pages for grant in page["Grants"] if grant.get("GranteePrincipal") == self._role]
        return (
            KeyVerdict.HIMSELF
            if any("Decrypt" in grant.get("Operations", ()) for grant in grants)
            else KeyVerdict.NOBODY
        )

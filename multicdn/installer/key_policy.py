"""What the policy of a KMS key says about somebody who wants to decrypt. Pure, and no more sure than the policy is.

https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html
"""

from __future__ import annotations

import enum
import fnmatch
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

_DECRYPT = "kms:Decrypt"


class KeyVerdict(enum.Enum):
    """Whether a key may be used to decrypt, as far as its policy says."""

    HIMSELF = "the policy names the role, or everybody"
    ACCOUNT = "it leaves that to the account's own policies"
    PERHAPS = "it depends on what nobody knows before"
    NOBODY = "it says nothing of the role"
    DENIED = "it denies it"


class Decrypting(Struct, frozen=True):
    """Who would decrypt, and by way of what.

    Attributes:
        account: of the role.
        role: its ARN; empty where it isn't made yet.
        via: the service that decrypts for it: ``ssm.eu-west-1.amazonaws.com``.
    """

    account: str
    role: str
    via: str


def verdict(policy: Mapping[str, Any], who: Decrypting) -> KeyVerdict:
    """Read a key policy."""
    found = set()
    for statement in _listed(policy.get("Statement")):
        concerned = _concerned(statement, who)
        if concerned is None or not _is_about_decrypting(statement):
            continue
        holds = _holds(statement.get("Condition") or {}, who)
        if statement.get("Effect") == "Deny" and holds is not False:
            found.add(KeyVerdict.DENIED if holds and concerned is not KeyVerdict.PERHAPS else KeyVerdict.PERHAPS)
        elif statement.get("Effect") == "Allow" and holds is not False:
            found.add(concerned if holds else KeyVerdict.PERHAPS)
    order = (KeyVerdict.DENIED, KeyVerdict.HIMSELF, KeyVerdict.ACCOUNT, KeyVerdict.PERHAPS)
    return next((one for one in order if one in found), KeyVerdict.NOBODY)


def _concerned(statement: Mapping[str, Any], who: Decrypting) -> KeyVerdict | None:
    """How a statement means the role; None if it doesn't."""
    if "Principal" not in statement:
        return KeyVerdict.PERHAPS  # NotPrincipal
    principal = statement["Principal"]
    named = _listed(principal.get("AWS")) if isinstance(principal, Mapping) else _listed(principal)
    if "*" in named or (who.role and who.role in named):
        return KeyVerdict.HIMSELF
    roots = [name for name in named if name == who.account or str(name).endswith(f":iam::{who.account}:root")]
    if not roots:
        return None
    # A denial of the account is one of all that is in it; a permission still needs one of the role's own.
    return KeyVerdict.ACCOUNT


def _is_about_decrypting(statement: Mapping[str, Any]) -> bool:
    if "NotAction" in statement:
        return not any(map(_is_decrypt, _listed(statement["NotAction"])))
    return any(map(_is_decrypt, _listed(statement.get("Action"))))


def _is_decrypt(pattern: object) -> bool:
    return fnmatch.fnmatchcase(_DECRYPT.lower(), str(pattern).lower())


def _holds(condition: Mapping[str, Any], who: Decrypting) -> bool | None:
    """Whether conditions hold for the role; None where that isn't known."""
    known = {
        "kms:viaservice": who.via,
        "kms:calleraccount": who.account,
        "aws:principalaccount": who.account,
        **({"aws:principalarn": who.role} if who.role else {}),
    }
    answers = list(_answers(condition, known))
    if False in answers:
        return False
    return None if None in answers else True


def _answers(condition: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[bool | None]:
    for operator, tests in condition.items():
        negated = operator.lower() in ("stringnotequals", "stringnotlike", "arnnotequals", "arnnotlike")
        if not negated and operator.lower() not in ("stringequals", "stringlike", "arnequals", "arnlike"):
            yield None
            continue
        for key, wanted in tests.items():
            value = known.get(key.lower())
            if value is None:
                yield None
            else:
                yield any(fnmatch.fnmatchcase(value, str(pattern)) for pattern in _listed(wanted)) != negated


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]

"""Whether the secrets of a config are what they should be: resolved by whoever asks, and shown nowhere."""

from __future__ import annotations

import json
import re
import time
import unicodedata
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.errors import MulticdnError, bug
from multicdn.installer.secret_references import Reference, references
from multicdn.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from multicdn.provider import Provider
    from multicdn.secrets import Secret

# Seconds after which no further source is asked.
_LONGEST = 60.0

_SCHEME_OF_HEADER = re.compile(r"(bearer|basic|token|apikey)[ :]", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"\$?\{[^{}]*\}|<[^<>]*>")
_QUOTES = ("'", '"', "`")


class Checked(Struct, frozen=True):
    """A reference that was resolved.

    Attributes:
        reference: which.
        fault: why it can't be used, without its value; empty if it can.
    """

    reference: Reference
    fault: str = ""


def check(providers: Mapping[str, Provider], seconds: float = _LONGEST) -> Iterator[Checked]:
    """Resolve each reference, as the function would, and look at what comes.

    Args:
        providers: instances by name.
        seconds: in which the last one is begun; each source has some ten seconds to answer.
    """
    until = time.monotonic() + seconds
    secrets = _secrets(providers)
    for reference in references(providers):
        if time.monotonic() >= until:
            yield Checked(reference, "not asked for: the time was up")
        else:
            fault = _fault(reference, secrets[reference.text]) or _vendors_fault(reference, providers)
            yield Checked(reference, redact(fault))


def flaw(value: str, *, is_file: bool = False) -> str:
    """What is wrong with the shape of a secret, without showing any of it; empty if nothing is.

    Args:
        value: the secret.
        is_file: whether it is the text of a file, with as many lines as it likes.
    """
    bare = value.strip()
    if not bare:
        return "is empty"
    if is_file:
        return ""
    if value != bare:
        return "has blanks or line ends around it"
    if "\n" in value or "\r" in value:
        return "has several lines"
    if members := _members(value):
        return f"is a JSON object: name one of its members after a #: {', '.join(members)}"
    if value[0] in _QUOTES and value[-1] == value[0]:
        return "has quotes around it, which would be sent along"
    if _SCHEME_OF_HEADER.match(value):
        return "begins as a header does: store what comes after `Bearer`, `Basic` and the like"
    if _PLACEHOLDER.fullmatch(value):
        return "is a placeholder, or a reference to a secret in place of the secret"
    return "has characters that can't be seen" if any(map(_is_unseen, value)) else ""


def _members(value: str) -> list[str]:
    if not value.startswith("{"):
        return []
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return []
    return sorted(found) if isinstance(found, dict) else []


def _is_unseen(sign: str) -> bool:
    """Control characters, those of width zero, and blanks that aren't a space."""
    return sign != " " and unicodedata.category(sign) in {"Cc", "Cf", "Zs", "Zl", "Zp"}


def _secrets(providers: Mapping[str, Provider]) -> dict[str, Secret]:
    """By their reference; the first that resolves one speaks for the others."""
    return {secret.reference: secret for provider in providers.values() for secret in provider.secrets()}


def _fault(reference: Reference, secret: Secret) -> str:
    try:
        value = secret.reveal()
    except MulticdnError as error:
        return str(error).removeprefix(reference.text).removeprefix(":").strip()
    except Exception as error:  # noqa: BLE001 - a plugin's own store may raise anything
        return bug(error)
    return flaw(value, is_file=bool(reference.file))


def _vendors_fault(reference: Reference, providers: Mapping[str, Provider]) -> str:
    """What those who use it say of it, beside its other secrets."""
    for name in dict.fromkeys(user.rpartition(".")[0] for user in reference.used_by):
        try:
            providers[name].check_secrets()
        except MulticdnError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            return bug(error)
    return ""

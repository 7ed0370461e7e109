"""What is wrong with the templates of a route, each by itself. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from multicdn.config import capture_checks
from multicdn.model import TargetKind
from multicdn.routing import placeholders

if TYPE_CHECKING:
    from collections.abc import Collection

_ABSOLUTE = (TargetKind.URL, TargetKind.PREFIX)

# Signs that make somebody else's placeholder; what explains them is imported for these alone.
_ODD_IN_TEMPLATES = frozenset("$#%<")
_ODD_IN_URLS = frozenset("$%@*")


def doubt(text: str, kind: TargetKind, prefix: str) -> str:
    """What of a template is probably not meant; empty if nothing is.

    Args:
        text: the template, without a fault.
        kind: of the target that it gives.
        prefix: of the route.
    """
    if kind not in _ABSOLUTE or _is_plain_url(text):
        return ""
    from multicdn.config import foreign_templates, prefix_checks

    if text.endswith("*"):
        remedy = "leave it out" if kind is TargetKind.PREFIX else "put what is before it under `prefixes`"
        return f"{text!r} ends with a *, which stands for itself: {remedy}"
    if "*" in urlsplit(text).netloc:
        return f"{text!r} has a * in its host name, which stands for itself: write a template for each host"
    return foreign_templates.bare(text) or prefix_checks.doubt_of_join(prefix, text)


def _is_plain_url(text: str) -> bool:
    """Whether a template is as nearly all are, so that nobody is asked what else it may mean."""
    odd = "{dir}/" in text or ".{ext}" in text or not _ODD_IN_URLS.isdisjoint(text)
    return not odd and text.count("//") == 1 and text.count(":") == 1 and text.partition("{")[0].endswith("/")


def _is_plain_host(text: str) -> bool:
    return text.isascii() and text.replace(".", "").replace("-", "").isalnum()


def fault(text: str, kind: TargetKind | None = None, captures: Collection[str] = ()) -> str:
    """Say what is wrong with a template; empty if nothing is.

    Args:
        text: the template.
        kind: of the target that it gives; None for one of a key.
        captures: names of the groups in the route's pattern.
    """
    known = (*placeholders.PLACEHOLDERS, *captures)
    if "{{" in text or not _ODD_IN_TEMPLATES.isdisjoint(text):
        from multicdn.config import foreign_templates

        if foreign := foreign_templates.wrapped(text, known):
            return foreign
    try:
        placeholders.parse(text, captures)
        return _fault_of_target(kind, text, captures) if kind else ""
    except ValueError as error:
        from multicdn.config import foreign_templates

        return foreign_templates.unknown(text, known) or str(error)


def _fault_of_target(kind: TargetKind, text: str, captures: Collection[str]) -> str:
    """Say what is wrong with the template of a target; empty if nothing is."""
    if kind in _ABSOLUTE:
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            return f"{text!r} isn't an absolute URL; write it as the browser sees it: https://www.example.com/{{key}}"
        if not text.isascii() or re.search(r"[\x00-\x20\x7f]", text):
            return f"{text!r} holds characters that must be percent-encoded (hosts: punycode)"
        return capture_checks.fault_of_host(text, captures)
    if kind is TargetKind.HOST:
        if not _is_plain_host(capture_checks.without_placeholders(text)):
            from multicdn.config import foreign_templates

            return foreign_templates.not_a_host(text)
        return capture_checks.fault_of_host(text, captures, host=True)
    return "is empty" if kind is TargetKind.TAG and not text else ""

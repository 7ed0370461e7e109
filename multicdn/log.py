"""The log: one line of JSON for each thing that a person may have to look at."""

from __future__ import annotations

import json
import logging
import os
import re
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from multicdn.errors import is_lack, told
from multicdn.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Sequence

LEVEL = "MULTICDN_LOG_LEVEL"

_log = logging.getLogger("multicdn")

# What steers a terminal besides the control characters that JSON escapes: those of the second set, and what turns the
# direction of text. And halves of surrogates, for which a handler would drop the whole line.
# https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters
STEERING = "\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_STEERING = re.compile(f"[{STEERING}]")


class _Stamped(logging.Formatter):
    """Puts time and level before the members of a line, for where nobody else notes them."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        return f'{{"time": "{moment}", "level": "{record.levelname}", {super().format(record)[1:]}'


def configure(*, stamped: bool = False) -> None:
    """Set the level of multicdn's own logger, and of no other: some SDKs log signing keys at DEBUG.

    Args:
        stamped: whether each line is to have its time and level, which in Lambda is its runtime's business.

    Raises:
        ValueError: the environment names a level that doesn't exist.
    """
    level = os.environ.get(LEVEL, "INFO").upper()
    if level not in logging.getLevelNamesMapping():
        known = ", ".join(logging.getLevelNamesMapping())
        raise ValueError(f"{LEVEL}={level}: no such level (known: {known})")
    _log.setLevel(level)
    if not logging.getLogger().handlers and not _log.handlers:
        handler = logging.StreamHandler()
        if stamped:
            handler.setFormatter(_Stamped())
        _log.addHandler(handler)


def is_shown(level: int) -> bool:
    """Whether lines of a level are written, for those whose fields take time to put together."""
    return _log.isEnabledFor(level)


def emit(level: int, event: str, **fields: object) -> None:
    """Log one line of JSON, with secrets blacked out."""
    if is_shown(level):
        shown = {name: _shown(value) for name, value in fields.items()}
        line = json.dumps({"event": event, **shown}, ensure_ascii=False)
        _log.log(level, "%s", _STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", line))


def _shown(value: object) -> object:
    """A value as JSON takes it, with secrets blacked out of its texts."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {redact(str(name)): _shown(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    return redact(str(value))


def plugin_bug(provider: str, error: BaseException) -> None:
    """Log an exception that a plugin's author has to look at, with its trace; or which package is missing here."""
    if is_lack(error):
        return emit(logging.ERROR, "package-missing", provider=provider, error=told(error))
    trace = "".join(traceback.format_exception(error))
    emit(logging.ERROR, "plugin-bug", provider=provider, error=told(error), trace=trace)


def log_widened(provider: str, widened: Sequence[tuple[str, str]]) -> None:
    """Log that URLs are purged by prefixes, since the vendor has no other way; the first of them stands for all."""
    if widened:
        url, prefix = widened[0]
        emit(logging.INFO, "widened", provider=provider, targets=len(widened), first=url, by=prefix)

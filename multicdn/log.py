"""The log: one line of JSON for each thing that a person may have to look at."""

from __future__ import annotations

import json
import logging
import os
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from multicdn import aws_clients, secrets
from multicdn.errors import is_lack, told
from multicdn.secrets import redactor
from multicdn.steering import without_steering

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LEVEL = "MULTICDN_LOG_LEVEL"

_log = logging.getLogger("multicdn")

# Set by Lambda to what the function's LoggingConfig says.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
_FORMAT = "AWS_LAMBDA_LOG_FORMAT"

# What JSON takes as it is, and for an array. Python would make a union anew for each value.
_PLAIN, _SEVERAL = (bool, int, float), (list, tuple)

# Characters of one text in a line. Reasons and answers are bounded where they arise; a trace may be longer.
_LONGEST = 8192


class _Stamped(logging.Formatter):
    """Puts time and level before the members of a line, for where nobody else notes them."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        return f'{{"time": "{moment}", "level": "{record.levelname}", {super().format(record)[1:]}'


def configure(*, stamped: bool = False) -> None:
    """Set the level of multicdn's own logger, and of no other: some SDKs log signing keys at DEBUG.

    Args:
        stamped: whether each line is to have its time and level, which in Lambda is its runtime's business; at a
            terminal such lines are for a person to read.

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
            handler.setFormatter(_for_people() if handler.stream.isatty() else _Stamped())
        _log.addHandler(handler)


def is_shown(level: int) -> bool:
    """Whether lines of a level are written, for those whose fields take time to put together."""
    return _log.isEnabledFor(level)


def emit(level: int, event: str, **fields: object) -> None:
    """Log one record with its fields, as ``vocabulary`` names them: a line of JSON, with secrets blacked out.

    Lambda's JSON log gets them as members beside its own: it makes a member of each attribute of a record.
    """
    if not is_shown(level):
        return
    hide = redactor()
    said = {"event": event, **{name: shown(value, hide) for name, value in fields.items()}}
    if os.environ.get(_FORMAT, "").upper() == "JSON":
        _log.log(level, event, extra=_harmless(said))
    else:
        line = without_steering(json.dumps(said, ensure_ascii=False))
        _log.log(level, "%s", line, extra={"multicdn": said})


def _harmless(value: Any) -> Any:
    """A value of a line of which no text steers a terminal: who writes it escapes control characters alone."""
    if isinstance(value, str):
        return without_steering(value)
    if isinstance(value, dict):
        return {without_steering(name): _harmless(item) for name, item in value.items()}
    return [_harmless(item) for item in value] if isinstance(value, list) else value


def _for_people() -> logging.Formatter:
    from multicdn.readable import Readable

    return Readable()


secrets.warn = aws_clients.warn = partial(emit, logging.WARNING)


def shown(value: Any, hide: Callable[[str], str] | None = None) -> Any:
    """A value as JSON takes it, with secrets blacked out of its texts, by ``hide`` if it is given."""
    if value is None or isinstance(value, _PLAIN):
        return value
    hide = hide or redactor()
    if isinstance(value, str):
        return _short(value, hide)
    if isinstance(value, _SEVERAL):
        return [shown(item, hide) for item in value]
    if isinstance(value, Mapping):
        return {_short(name, hide): shown(item, hide) for name, item in value.items()}
    return _short(value, hide)


def _short(value: object, hide: Callable[[str], str]) -> str:
    text = hide(str(value))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"


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
        emit(logging.INFO, "widened", provider=provider, targets=len(widened), first=[url], prefix=prefix)

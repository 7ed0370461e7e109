"""The function that AWS Lambda calls: ``multicdn.handler.handler``."""

from __future__ import annotations

import gc
import logging
import os
import threading
from typing import TYPE_CHECKING, Any, Protocol

_IN_LAMBDA = "AWS_LAMBDA_RUNTIME_API" in os.environ
if _IN_LAMBDA:
    # While the function initialises nothing becomes garbage, and to look for some takes a tenth of the time.
    gc.disable()

from multicdn import code_archive
from multicdn.late import PUT_OFF, LateImports

code_archive.use(os.path.dirname(os.path.dirname(__file__)))  # noqa: PTH120 - pathlib comes out of the archive
_late_imports = LateImports(PUT_OFF)
if _IN_LAMBDA:
    _late_imports.begin()

from multicdn import log, snapshot
from multicdn.config import compiled
from multicdn.config.location import locate
from multicdn.dispatcher import Dispatcher
from multicdn.queue import sender

if TYPE_CHECKING:
    from multicdn.config import Config
    from multicdn.plugins.chosen import ChosenPlugins
    from multicdn.plugins.discovery import Plugins

# Seconds kept back from the function's time, to write the queue, the report and the reply; for much work more is.
RESERVE = 1.0

# For callers without a Lambda context.
_DEFAULT_SECONDS = 60.0


class Context(Protocol):
    """What we need of Lambda's context object."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda stops the function."""


_dispatcher: Dispatcher | None = None
_lock = threading.Lock()


def dispatcher() -> Dispatcher:
    """The dispatcher of this process, made on first use from the config that the environment names.

    Raises:
        ConfigError, PluginError: the config can't be used.
    """
    global _dispatcher  # noqa: PLW0603 - a Lambda environment is one process with one config
    with _lock:
        if _dispatcher is None:
            log.configure()
            loaded, plugins = _config()
            for warning in loaded.warnings:
                log.emit(logging.WARNING, "config", warning=warning)
            made = Dispatcher(
                loaded, plugins, retry_queue=sender.from_environment(), own_queue=os.environ.get(sender.QUEUE, "")
            )
            made.prepare()
            snapshot.prepare(loaded.providers)
            _dispatcher = made
        return _dispatcher


def _config() -> tuple[Config, Plugins | ChosenPlugins]:
    """The config that was compiled into the bundle; else the file, checked, with the plugins that are installed."""
    path = locate()
    try:
        if (found := compiled.load(path)) is not None:
            return found.config, found.plugins
    except compiled.OutdatedError as error:
        log.emit(logging.WARNING, "config", warning=f"{error}; {path.name} is read instead, which takes longer")
    from multicdn.config.checker import load
    from multicdn.plugins.discovery import Plugins

    plugins = Plugins()
    return load(path, plugins), plugins


def handler(event: object, context: Context | None = None) -> dict[str, Any]:
    """Purge and preload what an event from AWS asks for.

    Args:
        event: S3, SQS, SNS or EventBridge event.
        context: Lambda's context; without one, a minute is taken as the time that there is.

    Returns:
        See ``Dispatcher.dispatch``.

    Raises:
        Undelivered: something of a direct event stayed undelivered.
        ConfigError, PluginError: the config can't be used.
    """
    prepared = dispatcher()  # before the time is read: the first event may have to wait for the config
    seconds = context.get_remaining_time_in_millis() / 1000 if context is not None else _DEFAULT_SECONDS
    return prepared.dispatch(event, max(0.0, seconds - RESERVE), RESERVE)


if _IN_LAMBDA:
    # In the initialisation phase Lambda gives a burst of CPU, and its time isn't taken from the first event.
    try:
        dispatcher()
    finally:
        # What is there by now stays. No later collection shall walk through it.
        gc.freeze()
        gc.enable()
        _late_imports.end()

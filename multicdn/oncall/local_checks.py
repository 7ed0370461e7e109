"""What this machine alone can tell: the config file, and what plugins are installed here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multicdn import extras
from multicdn.config import load
from multicdn.diagnosis import Finding, failed, ok, warning
from multicdn.errors import ConfigError, PluginError
from multicdn.plugins.chosen import DISABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sized
    from pathlib import Path

    from multicdn.config import Config
    from multicdn.plugins.discovery import Plugins


def config(path: Path, plugins: Plugins) -> tuple[Config | None, list[Finding]]:
    """Check the file: what it is if it is right, and what is to be said of it."""
    try:
        loaded = load(path, plugins)
    except ConfigError as error:
        return None, [_split(failed, problem) for problem in error.problems]
    counts = f"{_counted(loaded.providers, 'provider')}, {_counted(loaded.routes, 'route')}"
    return loaded, [ok(f"{path}: {counts}"), *(_split(warning, text) for text in loaded.warnings), *_install(loaded)]


def plugins_of(found: Plugins, loaded: Config | None) -> Iterator[Finding]:
    """Which plugins are here, and whether each can be used: a broken one that nobody names only may matter."""
    used = set(loaded.types.values()) if loaded else set()
    for name in sorted(found.providers):
        if name in found.disabled:
            continue
        try:
            found.provider_class(name)
        except PluginError as error:
            yield _split(failed if name in used else warning, str(error))
    try:
        _ = found.hooks
    except PluginError as error:
        yield _split(failed, str(error))
    if found.disabled:
        yield warning(f"switched off: {', '.join(sorted(found.disabled))}", f"unset {DISABLE} if you don't mean it")
    here = [
        f"{name} ({plugin.distribution} {plugin.version})" for name, (plugin, *_) in sorted(found.providers.items())
    ]
    yield ok(f"installed: {', '.join(here)}")


def packages(found: Plugins, loaded: Config) -> Iterator[Finding]:
    """Whether what the config's vendors and secrets are reached with is installed here."""
    if lacks := extras.lacking(loaded, found):
        yield failed(extras.wanting(lacks), extras.command(lacks))
    else:
        yield ok("all that the config needs is installed here")


def _install(loaded: Config) -> Iterator[Finding]:
    settings = loaded.install
    if not settings.alarm_topic:
        yield warning(
            "install.alarm_topic is empty: the alarms tell nobody", "write the ARN of an SNS topic that somebody reads"
        )
    limit, shares = settings.concurrency, loaded.concurrency
    if limit is None or shares < limit:
        running = "any number of" if limit is None else limit
        yield warning(
            f"purges are paced for {shares} invocations at once, and {running} may run: vendors may throttle",
            "raise delivery.concurrency, or limit them: install.maximum_concurrency, install.reserved_concurrency",
        )


def _counted(things: Sized, word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"


def _split(make: object, text: str) -> Finding:
    """Our sentences end with what to do, behind a semicolon."""
    what, _, remedy = text.partition("; ")
    return make(what, remedy or "correct that")  # type: ignore[operator,no-any-return]

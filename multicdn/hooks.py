"""Hooks: where plugins add to what the core does, beside providing a vendor.

A hook plugin is a module (or object) with functions marked ``@hookimpl`` and named as below, announced by an entry
point in the group ``multicdn.hooks``. Each implementation is called by itself, so one that fails doesn't silence the
others.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pluggy

from multicdn.errors import PluginError, SecretError, told
from multicdn.model import is_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from multicdn.model import Change, Report

__all__ = ["HOOKS", "Hooks", "hookimpl"]

_PROJECT = "multicdn"
_spec = pluggy.HookspecMarker(_PROJECT)
hookimpl = pluggy.HookimplMarker(_PROJECT)

HOOKS = ("multicdn_urls", "multicdn_resolve_secret", "multicdn_read_event", "multicdn_report")


class _Specs:
    @_spec
    def multicdn_urls(self, change: Change, urls: Sequence[str]) -> Iterable[str] | None:
        """Return the URLs to use for a change instead of ``urls``, or None to leave them.

        Plugins are asked in turn, each with what the one before returned. An exception makes this change, and no other,
        undelivered. Must be pure: it runs for every changed object that a route with ``urls`` matches.
        """

    @_spec
    def multicdn_resolve_secret(self, scheme: str, name: str) -> str | None:
        """Return the value of ``${scheme:name}``, or None for a scheme that isn't this plugin's.

        Asked only for schemes that multicdn doesn't have itself; the first answer wins. Raise ``SecretError`` where the
        secret is missing, with ``passing=True`` where only its source is out. The result is kept for a quarter of an
        hour.
        """

    @_spec
    def multicdn_read_event(self, message: object) -> Sequence[Change] | None:
        """Return the changes that a message of an unknown shape tells of, or None if this plugin doesn't know it.

        ``message`` is parsed JSON, or text that isn't JSON. An empty list means "known, and nothing to do". Leave
        ``cause`` empty: the core fills it in. An exception makes the message fail, and no other.
        """

    @_spec
    def multicdn_report(self, report: Report) -> None:
        """Observe how an invocation ended, for metrics or messages. An exception is logged and changes nothing."""


class Hooks:
    """The installed hook implementations.

    Args:
        plugins: modules or objects with ``@hookimpl`` functions, by entry-point name.

    Raises:
        PluginError: a function is marked as a hook that doesn't exist, or asks for arguments that it doesn't have; or
            one of the plugins is a class, wraps others, or has no hook.
    """

    def __init__(self, plugins: Mapping[str, Any]) -> None:
        self._manager = pluggy.PluginManager(_PROJECT)
        self._manager.add_hookspecs(_Specs)
        # In one order wherever they run: what is installed is found in that of a file system.
        for name in sorted(plugins):
            self._register(name, plugins[name])

    def _register(self, name: str, plugin: Any) -> None:
        if isinstance(plugin, type):
            raise PluginError(f"hook plugin {name!r} is a class; announce a module, or an instance of the class")
        if other := self._manager.get_name(plugin):
            raise PluginError(f"hook plugins {other!r} and {name!r} are the same; announce it once")
        try:
            self._manager.register(plugin, name)
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(f"hook plugin {name!r}: {error}; known hooks: {', '.join(HOOKS)}") from None
        callers = self._manager.get_hookcallers(plugin)
        if not callers:
            raise PluginError(f"hook plugin {name!r} implements no hook; mark its functions with @hookimpl")
        if any(
            implementation.wrapper or implementation.hookwrapper
            for caller in callers
            for implementation in caller.get_hookimpls()
        ):
            raise PluginError(f"hook plugin {name!r} has a wrapper, and hooks are called one by one: nothing to wrap")

    def _answers(self, hook: str, read: Callable[[Any], Any], **known: object) -> Iterator[Any]:
        """Yield what each implementation returns, as read, None left out, in pluggy's order: last name first."""
        for ask in self._implementations(hook, read):
            answer = ask(**known)
            if answer is not None:
                yield answer

    def _implementations(self, hook: str, read: Callable[[Any], Any]) -> Iterator[Callable[..., Any]]:
        """Yield callers of one implementation each, which take it what it asks for of all that they are given."""
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            yield partial(_call, implementation, read)

    @property
    def rewrites_urls(self) -> bool:
        """Whether any of them may put other URLs in the place of the routes' ones."""
        return bool(self._manager.hook.multicdn_urls.get_hookimpls())

    def urls(self, change: Change, urls: Sequence[str]) -> Sequence[str]:
        """Ask the plugins in turn for the URLs of a change."""
        for ask in self._implementations("multicdn_urls", _texts):
            answer = ask(change=change, urls=tuple(urls))
            if answer is not None:
                urls = answer
        return urls

    def resolve_secret(self, scheme: str, name: str) -> str | None:
        """Return the first plugin's value for a reference, or None."""
        for answer in self._answers("multicdn_resolve_secret", _as_it_is, scheme=scheme, name=name):
            if not is_text(answer):  # the text of bytes would be sent, b and quotes included
                raise SecretError(f"${{{scheme}:{name}}}: a plugin gave it as {type(answer).__name__}, not as a text")
            return str(answer)
        return None

    def read_event(self, message: object) -> Sequence[Change] | None:
        """Return the first plugin's reading of a foreign message, or None."""
        for answer in self._answers("multicdn_read_event", tuple, message=message):
            return tuple(answer)
        return None

    def report(self, report: Report) -> Iterator[Exception]:
        """Show the report to every plugin, and yield what went wrong in any of them."""
        for show in self._implementations("multicdn_report", _as_it_is):
            try:
                show(report=report)
            except Exception as error:  # noqa: BLE001 - any plugin, any fault; the caller logs it
                yield error


def _call(implementation: pluggy.HookImpl, read: Callable[[Any], Any], **known: object) -> Any:
    """Call one implementation, and read its answer, which may be a generator that goes on.

    What would end a thread or the process, SystemExit or a crash in Rust, only fails it.
    """
    try:
        answer = implementation.function(*(known[name] for name in implementation.argnames))
        return None if answer is None else read(answer)
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise PluginError(f"hook plugin {implementation.plugin_name!r} raised {told(error)}") from error


def _as_it_is(answer: Any) -> Any:
    return answer


def _texts(answer: Iterable[str]) -> tuple[str, ...]:
    """The URLs that a plugin returned, without duplicates. A lone text would pass for a list of its letters."""
    texts = tuple(dict.fromkeys(answer))
    if isinstance(answer, str) or not all(map(is_text, texts)):
        raise TypeError(f"multicdn_urls must return a list of texts, not {answer!r:.80}")
    return texts

"""Groups of commands, as all of ours are: they know their misspelled commands, and end each error as a sentence."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from multicdn.cli import _signals, aws_region
from multicdn.cli.terminal import folded, say, visible_lines, width
from multicdn.errors import MulticdnError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Exit status after Ctrl-C: 128 and the number of SIGINT, as shells count.
INTERRUPTED = 130

#: In the ``meta`` of a context: what was typed after the name of the program.
WORDS = "multicdn.words"

_ERROR = len("Error: ")


# Stands for a hyphen while lines are broken: click breaks words, and options, at those.
_UNBROKEN = "\N{NON-BREAKING HYPHEN}"


class _Formatter(click.HelpFormatter):
    """Writes help whose lines end between words alone."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(_kept(prog), _kept(args), prefix)

    def write_text(self, text: str) -> None:
        super().write_text(_kept(text))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        super().write_dl([(_kept(term), _kept(text)) for term, text in rows], col_max, col_spacing)

    def getvalue(self) -> str:
        return super().getvalue().replace(_UNBROKEN, "-")


class _Context(click.Context):
    formatter_class = _Formatter


class CommandGroup(click.Group):
    """A group with ``-h``, ``help COMMAND``, suggestions for misspelled commands and help texts that aren't cut."""

    group_class = type
    context_class = _Context

    def __init__(self, *args: Any, **attributes: Any) -> None:
        attributes.setdefault("context_settings", {"help_option_names": ["-h", "--help"]})
        super().__init__(*args, **attributes)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the arguments of the group; what stands in the outermost is for all commands in it."""
        if parent is not None:
            return super().make_context(info_name, args, parent, **extra)
        words = tuple(args)  # click takes them out of their list
        if _is_colourless():
            extra.setdefault("color", False)
        with _ended_as_sentences():
            context = super().make_context(info_name, args, parent, **extra)
        context.meta[WORDS] = words
        return context

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take ``help COMMAND`` for ``COMMAND --help``."""
        if args[:1] == ["help"] and self.get_command(ctx, "help") is None:
            args = [*args[1:], "--help"]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, whose help will be as ours; of one that isn't there, say which is most like it."""
        name = args[0]
        if not ctx.resilient_parsing and not name.startswith("-") and self.get_command(ctx, name) is None:
            ctx.fail(f"no such command {name!r}{did_you_mean(name, self.list_commands(ctx))}")
        found, command, rest = super().resolve_command(ctx, args)
        if command is not None:
            command.context_class = _Context
        return found, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with the whole first sentence of each; click's own list cuts it at the edge."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, command.get_short_help_str(sys.maxsize)) for name, command in commands if command]
            )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. In the outermost group its errors become sentences, without a trace."""
        if ctx.parent is not None:
            return super().invoke(ctx)
        with aws_region.obeyed(), _ended_as_sentences(), _signals.obeyed(ctx):
            return super().invoke(ctx)


@contextlib.contextmanager
def _ended_as_sentences() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        # A new one, since click adds to the text of some of its own as it shows them.
        raise click.UsageError(_sentence(error.format_message()), error.ctx) from error
    except click.ClickException as error:
        # Final for type checkers; click has no other door to the text.
        error.message = _sentence(error.message)  # type: ignore[misc]
        raise
    except KeyboardInterrupt:
        _interrupted()
    except click.Abort as error:
        # So click's questions end, whether by Ctrl-C, by the end of the input, or by a no.
        if isinstance(error.__context__, KeyboardInterrupt):
            _interrupted()
        raise
    except Exception as error:
        told = _told(error)
        if told is None:
            raise
        raise click.ClickException(_sentence(told)) from error


def _told(error: Exception) -> str | None:
    """What an error says to whoever typed the command; None of a bug, and of what click knows how to end with."""
    if isinstance(error, MulticdnError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        from multicdn import extras

        return extras.of_import(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return f"AWS can't be asked: {error}" if _is_of_botocore(error) else None


def _kept(text: str) -> str:
    return text.replace("-", _UNBROKEN)


def _interrupted() -> None:
    say("Interrupted.", err=True)
    raise click.exceptions.Exit(_signals.status())


def _sentence(message: str) -> str:
    return "\n".join(
        folded(line, width(err=True), 0 if number else _ERROR)
        for number, line in enumerate(visible_lines(message).split("\n"))
    )


def _is_colourless() -> bool:
    """Whether the user wants no colours: https://no-color.org, and terminals that have none."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def _is_of_botocore(error: Exception) -> bool:
    """Whether an error is botocore's, which isn't imported for that: who raised it has done so."""
    exceptions = sys.modules.get("botocore.exceptions")
    return exceptions is not None and isinstance(error, (exceptions.BotoCoreError, exceptions.ClientError))

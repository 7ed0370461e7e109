"""``multicdn local``: your config with everything around it, on this machine alone, and a page that shows it."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from multicdn import config
from multicdn.cli._group import INTERRUPTED
from multicdn.cli.terminal import say, visible_lines

if TYPE_CHECKING:
    from multicdn.local.session import LocalSession


@click.command()
@click.option(
    "--config",
    "config_file",
    default=config.locate,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The config to run, by default that of MULTICDN_CONFIG or multicdn.config.yml; simulators answer for its "
    "providers.",
)
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the page; default: 8123, or a free one.")
@click.option(
    "--open/--no-open", "opens", default=None, help="Open the page in the browser; default: where there is a terminal."
)
def local(config_file: Path, port: int | None, opens: bool | None) -> None:  # noqa: FBT001 - a flag of click's
    """Run a config on this machine, without AWS, and watch it in the browser.

    Starts an AWS on loopback with the buckets, a queue, the handler, and for every provider of the config its API and a
    caching edge. The page shows what each edge has cached, and how each upload becomes fresh bytes; there you upload,
    fetch, and put vendors into trouble. Uploads of other programs are seen, too: the line to type is printed. Nothing
    leaves this machine. Ctrl-C ends it, and nothing of it stays.
    """
    from multicdn import extras
    from multicdn.plugins.discovery import Plugins

    plugins = Plugins()
    extras.refuse([*extras.lacking(config.load(config_file, plugins), plugins), *extras.lacking_extra("local")])
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)  # else nothing of what was started would be ended
    try:
        _run(config_file, port, opens=sys.stdout.isatty() if opens is None else opens)
    except KeyboardInterrupt:
        say("Ended; nothing of it is left.")
        raise click.exceptions.Exit(INTERRUPTED) from None


def _run(file: Path, port: int | None, *, opens: bool) -> None:
    from multicdn.local import app, server
    from multicdn.local.session import LocalSession
    from multicdn.testing.loopback import made
    from multicdn.testing.loopback.processes import StartError

    made.make_sure(say)
    closing = threading.Event()
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(server.listen(port))
        number = listener.getsockname()[1]
        say("Starting AWS on loopback, the buckets, the queue, the handler and the edges ...")
        try:
            session = stack.enter_context(LocalSession(file))
        except (FileNotFoundError, StartError, ValueError) as error:
            raise click.ClickException(visible_lines(str(error))) from None
        _greet(session, f"http://127.0.0.1:{number}/", opens=opens)
        server.serve(app.make(session, number, closing), listener, closing)


def _greet(session: LocalSession, page: str, *, opens: bool) -> None:
    for note in session.notes:
        say(f"Note: {note}.")
    say(f"Upload: {session.s3_line}")
    exports = " ".join(f"{name}={value}" for name, value in session.exports.items())
    say(f"For other commands, such as multicdn purge: export {exports}")
    say(f"The page is at {page} until Ctrl-C.")
    if opens:
        click.launch(page)


def _end(number: int, _: object) -> None:
    raise SystemExit(128 + number)

"""The command line: one file per command, imported when it is used."""

from __future__ import annotations

import importlib

import click

from multicdn.cli._group import CommandGroup

# Command -> the module below multicdn.cli that has a click command of the same name, dashes spelled as underscores.
_COMMANDS = {
    "config": "Check the config file, or print its JSON Schema.",
    "demo": "See an upload reach every CDN, on this machine alone.",
    "dlq": "Look at the dead letters, send them back, or drop them.",
    "doctor": "Look whether purges would work: config, AWS, secrets, vendors.",
    "explain": "Say what a change would purge, and why; calls nothing.",
    "fresh": "Say which CDN serves old bytes of an object.",
    "history": "Say what became of an object: who changed it, when, and how each vendor took it.",
    "init": "Write a config file, by questions or by flags.",
    "install": "Install in AWS, change, look, remove.",
    "local": "Run a config on this machine, and watch it in the browser.",
    "logs": "Show or follow the log of the deployed function, or of a worker.",
    "new-provider": "Write a plugin for another vendor, with its tests.",
    "preload": "Fetch objects or URLs into the caches by hand.",
    "providers": "List the installed providers, or describe one.",
    "purge": "Purge objects, URLs, tags, prefixes or everything by hand.",
    "queue": "Look at what waits in the queue, begin it anew, or drop it.",
    "secret": "Store secrets where the function reads them, list and check them.",
    "worker": "Run the handler on a queue, in a container instead of Lambda.",
}


class _Lazy(CommandGroup):
    """Imports a command when it is called, so that `multicdn --help` needs no AWS SDK."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        module = importlib.import_module(f"multicdn.cli.{name}")
        command: click.Command = getattr(module, name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


@click.command(cls=_Lazy)
@click.version_option(package_name="multicdn")
def main() -> None:
    """Tell every CDN in front of an S3 bucket what changed."""

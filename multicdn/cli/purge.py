"""``multicdn purge``: drop this from the caches now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from multicdn.cli import _asked, _ondemand, _options, _waiting, arguments
from multicdn.cli.terminal import say
from multicdn.model import Action, Target, TargetKind

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command()
@_options.options
@click.option("--tag", "tags", multiple=True, help="Purge all that carries this cache tag; may be repeated.")
@click.option(
    "--prefix", "prefixes", multiple=True, metavar="URL", help="Purge all that begins with this URL; repeats."
)
@click.option("--all", "everything", is_flag=True, help="Empty the whole zone, service or distribution of --provider.")
@click.option("--soft/--hard", default=None, help="Mark as stale, or drop; by default as routes and providers say.")
@_waiting.option
@click.option("--yes", is_flag=True, help="Don't ask before --all, or a prefix that is a whole host.")
def purge(
    tags: tuple[str, ...],
    prefixes: tuple[str, ...],
    soft: bool | None,  # noqa: FBT001 - click passes it by name
    *,
    everything: bool,
    wait: _waiting.Wait,
    yes: bool,
    **common: Any,
) -> None:
    """Purge by hand.

    WHAT is an S3 URI, purged at every CDN that the routes name for it; a public URL, purged at every CDN whose routes
    have URLs at its host; a file with a list of both, or as `aws s3 sync`, rclone, s5cmd and s3cmd print it; or - for a
    list on standard input.

    A CDN that `pulls_from` another one is purged when that one has finished, as after an upload.

    Exit status: 0 all was accepted; 1 nothing was; 3 only a part; 2 the command makes no sense. With --wait: 0 all is
    fresh, or finished where nothing can be looked at; 4 all was accepted, and something is stale, unknown, or not
    finished in time.
    """
    from multicdn.oncall.manual import ManualRequest
    from multicdn.routing.route import is_root

    common["what"] += wait.what
    settings = _options.CommonOptions(**common)
    _waiting.check(wait, settings)
    selected = (settings.what, tags, prefixes)
    if everything:
        _check_everything(settings, selected)
    elif not any(selected):
        raise click.UsageError("say what: S3 URIs, URLs, --tag, --prefix or --all")
    loaded = arguments.load(settings.config_path, settings.region)
    with _ondemand.calling_nobody():
        asked = _asked.read(settings)
    if asked.is_nothing and not (tags or prefixes):
        return _ondemand.tell_nothing(Action.PURGE, settings)
    targets = [*asked.targets, *(Target(TargetKind.TAG, tag) for tag in tags)]
    targets += [Target(TargetKind.PREFIX, prefix) for prefix in prefixes]
    if everything:
        targets.append(Target(TargetKind.EVERYTHING, ""))
    request = ManualRequest(
        id=_ondemand.new_id(),
        action=Action.PURGE,
        objects=asked.objects,
        targets=tuple(targets),
        providers=settings.providers,
        soft=soft,
    )
    whole = [prefix for prefix in prefixes if is_root(prefix)]
    if (everything or whole) and not (yes or settings.dry_run):
        _confirm(loaded, request, whole)
    raise SystemExit(_ondemand.run(loaded, request, settings, asked.left_out, wait.seconds))


def _check_everything(settings: _options.CommonOptions, selected: Sequence[tuple[str, ...]]) -> None:
    if any(selected):
        raise click.UsageError("--all goes without anything else to purge")
    if not settings.providers:
        raise click.UsageError("--all needs --provider: name what is to be emptied")


def _confirm(loaded: arguments.Loaded, request: Any, whole: Sequence[str]) -> None:
    """Have a name typed for what will be emptied, since an empty cache sends all visitors to the origin.

    That is the name of each provider, or the host of each prefix that is a whole one.
    """
    from multicdn.oncall import manual
    from multicdn.oncall.preview import where
    from multicdn.routing.router import Router

    config = loaded.config
    # What can't be done needn't be confirmed.
    with _ondemand.misuse():
        orders = manual.orders(config, Router(config.routes, config.providers), request)
    for prefix in whole:
        at = ", ".join(sorted({demand.provider for demand in orders.demands}))
        _typed(urlsplit(prefix).netloc, f"all of {prefix} will be purged at {at}")
    for name in request.providers if not whole else ():
        settings = ", ".join(f"{option} {value}" for option, value in where(config.providers[name]).items())
        _typed(name, f"{name} ({config.types[name]}: {settings}) will be emptied")


def _typed(name: str, what: str) -> None:
    say(f"{what}; all requests then go to the origin.")
    if click.prompt("Type its name to go on", default="", show_default=False) != name:
        raise click.ClickException("not confirmed; nothing was called")

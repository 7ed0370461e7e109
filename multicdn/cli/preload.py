"""``multicdn preload``: fetch this into the caches now."""

from __future__ import annotations

from typing import Any

import click

from multicdn.cli import _asked, _ondemand, _options, arguments
from multicdn.model import Action


@click.command()
@_options.options
def preload(**common: Any) -> None:
    """Preload by hand. Purges nothing: what is cached and not stale stays.

    WHAT is an S3 URI, preloaded at every CDN that the routes name under `preload` for it; a public URL, preloaded at
    every CDN that a route with URLs at its host names there; a file with a list of both, or as `aws s3 sync`, rclone,
    s5cmd and s3cmd print it; or - for a list on standard input. What a list says was removed isn't loaded.

    Exit status: 0 all was accepted; 1 nothing was; 3 only a part; 2 the command makes no sense.
    """
    from multicdn.oncall.manual import ManualRequest

    settings = _options.CommonOptions(**common)
    if not settings.what:
        raise click.UsageError("say what: S3 URIs or URLs")
    loaded = arguments.load(settings.config_path, settings.region)
    with _ondemand.calling_nobody():
        asked = _asked.read(settings)
    if asked.is_nothing:
        return _ondemand.tell_nothing(Action.PRELOAD, settings)
    request = ManualRequest(
        id=_ondemand.new_id(),
        action=Action.PRELOAD,
        objects=asked.objects,
        targets=asked.targets,
        providers=settings.providers,
    )
    raise SystemExit(_ondemand.run(loaded, request, settings, asked.left_out))

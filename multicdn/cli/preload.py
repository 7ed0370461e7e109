"""``multicdn preload``: fetch this into the caches now."""

from __future__ import annotations

from typing import Any

import click

from multicdn.cli import byhand, inputs
from multicdn.model import Action


@click.command()
@byhand.options
def preload(**common: Any) -> None:
    """Preload by hand. Purges nothing: what is cached and not stale stays.

    WHAT is an S3 URI, preloaded at every CDN that the routes name under `preload` for it; a public URL, preloaded at
    every CDN that a route with URLs at its host names there; or - for a list of both on standard input.

    Exit status: 0 all was accepted; 1 nothing was; 3 only a part; 2 the command makes no sense.
    """
    from multicdn.byhand import Request

    settings = byhand.Settings(**common)
    if not settings.what:
        raise click.UsageError("say what: S3 URIs or URLs")
    loaded = inputs.load(settings.config_path)
    objects, targets = byhand.read(settings)
    request = Request(
        id=byhand.new_id(),
        action=Action.PRELOAD,
        objects=tuple(objects),
        targets=tuple(targets),
        providers=settings.providers,
    )
    raise SystemExit(byhand.run(loaded, request, settings))

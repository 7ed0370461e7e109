"""What a request by hand does nothing for, and why that is: said before anything is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multicdn.cli import render
from multicdn.cli.terminal import say
from multicdn.model import Change, ChangeKind
from multicdn.secrets import redact

if TYPE_CHECKING:
    from multicdn.cli.arguments import Loaded
    from multicdn.oncall.manual import ManualRequest, Object, Orders
    from multicdn.routing.router import Router

_NAMED = 10


def waiting(loaded: Loaded, router: Router, request: ManualRequest) -> None:
    """Say of which routes the changes wait for whole deploys: what a person asks for doesn't."""
    asked = (router.matching(item.bucket, item.key) for item in request.objects)
    waiting = {id(route): route for routes in asked for route in routes if route.waits}
    for place, route in zip(loaded.config.places, loaded.config.routes, strict=True):
        if id(route) in waiting:
            say(f"{place} waits {route.waits_for}; by hand nothing waits", err=True)


def untargeted(router: Router, request: ManualRequest) -> None:
    """Name the objects for which a template of their route has nothing."""
    changes = (Change(item.bucket, item.key, kind) for item in request.objects for kind in ChangeKind)
    for (bucket, template), untargeted in router.untargeted(changes).items():
        (key, why), *others = dict.fromkeys(untargeted)
        more = f" and {render.counted(len(others), 'more object')}" if others else ""
        say(f"s3://{bucket}/{key}{more}: nothing for {template}: {why}", err=True)


def unmatched(loaded: Loaded, orders: Orders, request: ManualRequest) -> None:
    """Name the objects that nothing will be done for.

    Raises:
        RequestError: one was named by the user, who must not believe that it was done.
    """
    from multicdn.oncall.manual import RequestError

    named = [item for item in orders.unmatched if not item.listed]
    if named:
        raise RequestError("\n".join(_why(loaded, item, request) for item in named[:_NAMED]))
    if orders.unmatched:
        say(f"no route for {render.counted(len(orders.unmatched), 'object')}, left alone", err=True)
        for item in orders.unmatched[:_NAMED]:
            say(f"  s3://{item.bucket}/{item.key}", err=True)


def _why(loaded: Loaded, item: Object, request: ManualRequest) -> str:
    from multicdn.oncall.explain import Explainer

    explainer = Explainer(loaded.config, loaded.places, loaded.plugins.hooks.urls)
    misses = explainer.explain(Change(item.bucket, item.key), nearest=1).misses
    nearest = f" (nearest: {misses[0].at}, but {'; '.join(misses[0].reasons)})" if misses else ""
    chosen = f" at {', '.join(request.providers)}" if request.providers else ""
    return f"s3://{item.bucket}/{item.key}: no route has anything to {request.action}{chosen} for it{nearest}"


def failures(orders: Orders) -> None:
    """Name what could not be found out."""
    for name, reason in orders.failures:
        say(redact(f"{name}: {reason}"), err=True)

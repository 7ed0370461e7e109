"""What a POP of the simulated Fastly says when it is asked what it serves at a URL.

The members are those of the model Content in fastly/fastly-py; that a POP in trouble says nothing else is a guess.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from multicdn.simulators.kit.http_server import Headers, Request

if TYPE_CHECKING:
    from multicdn.simulators.fastly.edge import FastlyEdge
    from multicdn.simulators.kit.cache import Url

_RESPONSE_TIME, _TIMEOUT = 0.012, 10.0  # seconds


def checked(edge: FastlyEdge, url: Url, largest: int | None) -> dict[str, object]:
    """One POP's entry: it answers as it answers a client, and fetches what it lacks.

    Args:
        edge: at the POP.
        url: what is asked for.
        largest: bytes of the largest body that it takes a digest of; None for any.
    """
    name = edge.place.name
    sent = {"Host": url.host, "X-Forwarded-Proto": url.scheme}
    about: dict[str, object] = {"pop": name, "server": edge.server, "request": {"headers": sent}}
    if edge.place.hangs:
        nothing = {"status": 0, "headers": {}}
        return {**about, "hash": f"error-timeout-{name}", "response_time": _TIMEOUT, "response": nothing}
    answer = edge.handle(Request("GET", url.target, Headers(sent)))
    digest = hashlib.md5(answer.body, usedforsecurity=False).hexdigest()
    too_large = largest is not None and len(answer.body) > largest
    return {
        **about,
        "hash": f"warning-too-large-{name}" if too_large else digest,
        "response_time": _RESPONSE_TIME,
        "response": {"status": answer.status, "headers": dict(answer.headers)},
    }

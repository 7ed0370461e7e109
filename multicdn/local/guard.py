"""Who may ask: browsers on this machine, from our own page. Any site that they visit can send them to loopback.

A name of a stranger that resolves to 127.0.0.1 shows in Host, a page of a stranger in Origin and Sec-Fetch-Site:
https://fetch.spec.whatwg.org/#origin-header, https://www.w3.org/TR/fetch-metadata/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_NAMES = ("127.0.0.1", "localhost", "[::1]")
_HTTP_PORT = 80

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Refuses strangers, and says in every answer what browsers may do with it.

    Args:
        app: answers all others.
        port: that we listen on.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        ports = (f":{port}", "") if port == _HTTP_PORT else (f":{port}",)
        self._hosts = frozenset(f"{name}{end}" for name in _NAMES for end in ports)
        self._origins = frozenset(f"http://{host}" for host in self._hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        refusal = self._refusal(Headers(scope=scope))

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        answer = self._app if refusal is None else JSONResponse({"error": refusal}, 403)
        await answer(scope, receive, with_headers)

    def _refusal(self, headers: Headers) -> str | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return "this page has no such name: ask for it by the address that was printed"
        if any(origin.lower() not in self._origins for origin in headers.getlist("origin")):
            return "pages of other sites may not ask for this"
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return "other sites may not link to this"
        return None

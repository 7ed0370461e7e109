"""Cloudflare's API v4 through the vendor's SDK, which is imported when it is first needed."""

from __future__ import annotations

import re
import sys
import weakref
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from multicdn.provider import Call, CredentialsRefused, RetryLater, Secret
from multicdn.secrets import quiet, redact

from .errors import accepted_id, cause_of, result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import cloudflare
    import httpx


_PRINTABLE = re.compile(r"[!-~]+")


class ApiCredentials(NamedTuple):
    """A token, or an e-mail address and a key; those that aren't configured are None."""

    token: Secret | None
    email: str | None
    key: Secret | None


class ZoneApi:
    """The purges of one zone, or of one environment of it.

    Args:
        endpoint, zone, environment: as in the provider's options.
        credentials: the secrets among them are revealed anew for each call.
    """

    def __init__(self, endpoint: str, zone: str, environment: str | None, credentials: ApiCredentials) -> None:
        self._endpoint = endpoint
        self._zone = zone
        self._environment = environment
        self._credentials = credentials
        self._last: tuple[tuple[str | None, ...], cloudflare.Cloudflare | None] = (), None

    def purge(self, selector: Mapping[str, object], targets: Sequence[str], call: Call) -> str:
        """Purge what a selector names, and return the id of that.

        Raises:
            ProviderError: it was not accepted, or not answered.
        """
        request = self._request(call)
        answer = self._answer(self._purging(selector, call), request, call, self._client())
        return accepted_id(answer, request, targets, self._hide)

    def prepare(self, *softnesses: bool) -> None:
        """Load the SDK, and let it make a purge of each softness that goes nowhere: the first takes it far longer.

        It makes classes for answers, and compiles patterns, only then.
        """
        from .transport import rehearsing

        _ = self._connections
        with rehearsing() as connections:
            client = self._without_credentials(connections)
            client.api_token = "none"  # noqa: S105 - which nobody sees
            for soft in softnesses:
                call = Call(soft=soft)
                purging = self._purging({"files": ["https://www.example.com/"]}, call)
                answer = self._answer(purging, self._request(call), call, client)
                accepted_id(answer, self._request(call), (), self._hide)

    def _purging(
        self, selector: Mapping[str, object], call: Call
    ) -> Callable[[cloudflare.Cloudflare, httpx.Timeout], httpx.Response]:
        """Its method for it would load types for each answer, and make some anew each time: two thirds of a call."""

        def ask(client: cloudflare.Cloudflare, limits: httpx.Timeout) -> httpx.Response:
            import httpx

            return client.post(self._path(call), cast_to=httpx.Response, body=selector, options={"timeout": limits})

        return ask

    def look(self, path: str, call: Call) -> dict[str, Any]:
        """What the API has below a path: the result in its envelope. Changes nothing.

        Raises:
            ProviderError: it was refused, or not answered.
        """

        def ask(client: cloudflare.Cloudflare, limits: httpx.Timeout) -> httpx.Response:
            import httpx

            return client.get(path, cast_to=httpx.Response, options={"timeout": limits})

        request = f"GET {self._endpoint.rstrip('/')}{path}"
        return result_of(self._answer(ask, request, call, self._client()), request, (), self._hide)

    def _answer(
        self,
        ask: Callable[[cloudflare.Cloudflare, httpx.Timeout], httpx.Response],
        request: str,
        call: Call,
        client: cloudflare.Cloudflare,
    ) -> httpx.Response:
        """Return the answer, whatever its status.

        Raises:
            RetryLater: there was none.
        """
        import cloudflare
        import httpx

        from multicdn.bounds import bounded

        quiet("cloudflare", "httpx", "httpcore")
        limits = httpx.Timeout(call.read, connect=min(call.connect, call.read))
        try:
            with bounded(call.read):
                answer = ask(client, limits)
        except cloudflare.APIStatusError as error:
            return error.response
        except cloudflare.APIConnectionError as error:
            reason = f"{request}: {cause_of(error, call)}"
        else:
            return answer
        # Outside the handler: the SDK's exceptions hold the request and thus the credentials; none may be chained.
        raise RetryLater(reason)

    def _client(self) -> cloudflare.Cloudflare:
        """The SDK's client with the credentials as they are now; the last one where they haven't changed.

        The SDK takes what it isn't given from variables CLOUDFLARE_*, and an e-mail address or a key from there beats
        our token. So these three are set once more afterwards, to None where we have none.
        """
        token, email, key = self._credentials
        revealed = (
            None if token is None else _header("token", token.reveal()),
            email and _header("email", email),
            None if key is None else _header("key", key.reveal()),
        )
        known, client = self._last
        if client is None or known != revealed:
            client = self._without_credentials(self._connections)
            client.api_token, client.api_email, client.api_key = revealed
            self._last = revealed, client
        return client

    def _without_credentials(self, connections: httpx.Client) -> cloudflare.Cloudflare:
        import cloudflare

        client = cloudflare.Cloudflare(api_token="", base_url=self._endpoint, max_retries=0, http_client=connections)
        client._custom_headers = {}  # noqa: SLF001 - CLOUDFLARE_CUSTOM_HEADERS has no public switch
        if sys.platform == "linux":
            client._platform = "Linux"  # noqa: SLF001 - to find that out the SDK starts a process, uname
        return client

    @cached_property
    def _connections(self) -> httpx.Client:
        import httpx

        from .transport import BoundedTransport

        transport = BoundedTransport()
        try:
            transport.prepare(self._endpoint)
        except OSError as error:  # of what the environment says of authorities and proxies
            raise RetryLater(f"{self._endpoint}: {error}") from None
        client = httpx.Client(transport=transport, follow_redirects=False)
        weakref.finalize(self, client.close)
        return client

    def _hide(self, text: str) -> str:
        email = self._credentials.email
        return redact(text.replace(email, "[email]") if email else text)

    def _request(self, call: Call) -> str:
        return f"POST {self._endpoint.rstrip('/')}{self._path(call)}"

    def _path(self, call: Call) -> str:
        environment = f"/environments/{self._environment}" if self._environment else ""
        return f"/zones/{self._zone}{environment}/{'invalidate_cache' if call.soft else 'purge_cache'}"


def _header(name: str, value: str) -> str:
    """Return a credential that can stand in a header; the errors for others would show it."""
    if _PRINTABLE.fullmatch(value):
        return value
    message = f"the {name} is empty or has characters that no header takes; has it a line break at its end?"
    raise CredentialsRefused(message, about="account")

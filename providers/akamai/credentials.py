"""EdgeGrid credentials, the files that they come in, and the signature made with them."""

from __future__ import annotations

import configparser
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from multicdn.provider import CredentialsRefused, Secret
from multicdn.secrets import quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from requests import PreparedRequest

_TOKENS = ("client_token", "client_secret", "access_token")
_PRINTABLE = re.compile(r"[!-~]+")
_HOST = re.compile(r"[a-z0-9.-]+(:\d+)?")


class Credentials(NamedTuple):
    """The credentials of an API client, and its host; ``account_key`` may be empty."""

    host: str
    client_token: Secret
    client_secret: Secret
    access_token: Secret
    account_key: str = ""


class Signature:
    """Signs every request anew: the gateway takes a signature once, and for 30 seconds.

    Args:
        credentials: asked for every request, so that a rotated secret is used at once.
    """

    def __init__(self, credentials: Callable[[], Credentials]) -> None:
        from akamai.edgegrid import EdgeGridAuth

        self._credentials = credentials
        self._signer = EdgeGridAuth
        quiet("akamai")  # it logs the signing key and the body
        self._rehearse()

    def _rehearse(self) -> None:
        """Sign what nobody gets, with no secret: the first signature takes the longest."""
        from requests import Request

        token = "none"  # noqa: S105 - of nobody
        request = Request("POST", "https://signed.invalid/", data=b"{}").prepare()
        self._signer(client_token=token, client_secret=token, access_token=token)(request)

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign a request.

        Raises:
            CredentialsRefused: a value that no header can carry.
        """
        credentials = self._credentials()
        signer = self._signer(**{name: _printable(name, getattr(credentials, name)) for name in _TOKENS})
        # The signature covers Host, and http.client would write a default port or capitals otherwise than the URL.
        request.headers["Host"] = urlsplit(str(request.url)).netloc
        signer(request)
        # The library would sign for wherever a redirect points.
        request.hooks["response"].remove(signer.handle_redirect)
        return request


def read_edgerc(text: str, section: str) -> Credentials:
    """Read one section of an .edgerc.

    ``client-token`` is as good as ``client_token``. The vendor's own reader stumbles over a ``%``, and takes a missing
    file or name for an empty one.

    Raises:
        CredentialsRefused: not an .edgerc, no such section, or something missing in it. The text shows no values.
    """
    values = _section(text, section)
    missing = [name for name in ("host", *_TOKENS) if not values.get(name)]
    if missing:
        message = f"section [{section}] of the .edgerc lacks {', '.join(missing)}"
        raise CredentialsRefused(message)
    host = clean_host(values["host"])
    if not host:
        message = f"section [{section}] of the .edgerc has a host that isn't a host name"
        raise CredentialsRefused(message)
    client_token, client_secret, access_token = (Secret.literal(values[name]) for name in _TOKENS)
    return Credentials(host, client_token, client_secret, access_token, values.get("account_key", ""))


def clean_host(text: str) -> str:
    """A host name without the scheme and the slash that credential files may have; empty if it isn't one."""
    host = text.strip().lower().removeprefix("https://").rstrip("/")
    return host if _HOST.fullmatch(host) else ""


def _section(text: str, section: str) -> Mapping[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    fault = ""
    try:
        parser.read_string(text.removeprefix("\ufeff"))
    except configparser.Error as error:
        # Its text, and a chained exception, would show the line and so perhaps the secret in it.
        fault = type(error).__name__
    if fault:
        message = f"the .edgerc can't be read: {fault}"
        raise CredentialsRefused(message)
    if not parser.has_section(section):
        message = f"the .edgerc has no section [{section}], only {', '.join(parser.sections()) or 'none'}"
        raise CredentialsRefused(message)
    return {name.replace("-", "_"): value for name, value in parser.items(section)}


def _printable(name: str, secret: Secret) -> str:
    """Reveal a value if it can stand in a header; the error for one that can't would show it."""
    value = secret.reveal()
    if _PRINTABLE.fullmatch(value):
        return value
    message = f"the {name} is empty or has characters that no header takes; has it a blank or line break at its end?"
    raise CredentialsRefused(message)

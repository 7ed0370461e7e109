"""One HTTP exchange of a provider: a request goes out as it was written, an answer comes back within bounds."""

from __future__ import annotations

import json as jsonlib
import logging
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlencode, urlsplit

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as LibraryTimeout

from multicdn import __version__, _exact, bounds, tls
from multicdn.errors import CredentialsRefused, RetryLater
from multicdn.patterns import lazy_pattern
from multicdn.proxies import proxy_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import requests

    from multicdn.provider import Call

    #: Takes a request as it goes out, and returns it with a signature among its headers.
    Signer = Callable[[requests.PreparedRequest], requests.PreparedRequest]

_PIECE = 16 * 1024

# What goes out unless the API says otherwise, by name in small letters. Nobody asks for packed answers.
_USUAL = {
    name.lower(): (name, value)
    for name, value in (("Accept", "*/*"), ("Accept-Encoding", "identity"), ("User-Agent", f"multicdn/{__version__}"))
}
_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"

_HEADER = lazy_pattern(r"(?:\S[^\r\n]*)?")


class RequestDraft(NamedTuple):
    """A request: ``target`` goes out byte for byte, ``json`` or ``data`` are its body, ``largest`` is of its answer."""

    method: str
    target: str
    headers: Mapping[str, str]
    json: object = None
    data: Mapping[str, str] | None = None
    largest: int = bounds.LARGEST_ANSWER


class Exchanged(NamedTuple):
    """What came back, and the headers as they went out."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent: Mapping[str, str]


class _UnsendableHeader(Exception):
    """A header's value has a line break or a character that no header takes."""


class Connections:
    """Connections to one endpoint. Keeps no cookies, follows no redirect, looks into no file for credentials.

    Args:
        endpoint: base URL without a slash at its end.
        auth: signs each request; None sends what the headers say.
        parallel: how many connections to keep.
    """

    def __init__(self, endpoint: str, auth: Signer | None, parallel: int) -> None:
        self._endpoint = endpoint
        self._auth = auth
        self._parallel = parallel
        self._place = urlsplit(endpoint)

    def prepare(self) -> None:
        """Make what all exchanges share, without connecting.

        Raises:
            OSError: the authorities that the environment names can't be read.
        """
        _ = self._pool

    @cached_property
    def _proxy(self) -> str:
        return proxy_for(self._place.scheme, self._place.netloc.rpartition("@")[2])

    @cached_property
    def _base(self) -> str:
        """What stands before a target: the path of the endpoint; all of it for a proxy that reads requests."""
        return self._endpoint if self._proxy and self._place.scheme == "http" else self._place.path

    @cached_property
    def _pool(self) -> urllib3.HTTPConnectionPool:
        secure = self._place.scheme == "https"
        settings: dict[str, Any] = {"maxsize": self._parallel}
        if secure:
            settings["ssl_context"] = tls.context()
        if self._proxy:
            pool = _through(self._proxy, settings).connection_from_url(self._endpoint)
        else:
            kind = urllib3.HTTPSConnectionPool if secure else urllib3.HTTPConnectionPool
            pool = kind(self._place.hostname or "", self._place.port, **settings)
        pool.ConnectionCls = _exact.exact(pool.ConnectionCls)
        return pool

    def exchange(self, draft: RequestDraft, call: Call, shown: str) -> Exchanged:
        """Send a request and read the answer, whatever its status, within the time and the bytes that it may take.

        Args:
            draft: the request.
            call: ``read`` is for all of it, the connection included.
            shown: the request, for the text of an error.

        Raises:
            RetryLater: no answer, or none that can be read.
            CredentialsRefused: a header that can't be sent.
        """
        try:
            headers, body = self._written(draft)
            with bounds.bounded(call.read, draft.largest):
                return self._send(draft, headers, body, call)
        except (_UnsendableHeader, UnicodeError):
            reason = None
        except NewConnectionError as error:
            reason = f"{shown}: {_root_cause(error)}"
        except ConnectTimeoutError:
            reason = f"{shown}: no connection within {min(call.connect, call.read):.1f} s"
        except (LibraryTimeout, TimeoutError):
            reason = f"{shown}: no answer within {call.read:.1f} s"
        except (bounds.NotPacked, tls.AuthoritiesError) as error:
            reason = f"{shown}: {error}"
        except (HTTPError, OSError) as error:
            # The text of these exceptions repeats the URL, whose query may hold a secret: only the class is shown.
            reason = f"{shown}: {_root_cause(error)}"
        if reason is None:  # raised here rather than above: the error to be chained would show the header
            message = f"{shown}: a header can't be sent; has the secret in it a line break or a foreign character?"
            raise CredentialsRefused(message, about="account")
        raise RetryLater(reason)

    def _written(self, draft: RequestDraft) -> tuple[dict[str, str], bytes | None]:
        """Headers and body as they go out. JSON stays UTF-8: limits in bytes count that form."""
        usual, body = _USUAL, None
        if draft.json is not None:
            body = jsonlib.dumps(draft.json, ensure_ascii=False, separators=(",", ":")).encode()
            usual = {**usual, "content-type": ("Content-Type", _JSON)}
        elif draft.data:
            body = urlencode(draft.data).encode()
            usual = {**usual, "content-type": ("Content-Type", _FORM)}
        headers = dict({**usual, **{name.lower(): (name, value) for name, value in draft.headers.items()}}.values())
        if self._auth is not None:
            headers, body = _signed(self._auth, draft.method, self._endpoint + draft.target, headers, body)
        if not all(map(_is_sendable, headers.values())):
            raise _UnsendableHeader
        return headers, body

    def _send(self, draft: RequestDraft, headers: dict[str, str], body: bytes | None, call: Call) -> Exchanged:
        with _exact.target(self._place.path + draft.target):
            response = self._pool.urlopen(
                draft.method,
                self._base + draft.target,
                body=body,
                headers=headers,
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=urllib3.Timeout(connect=min(call.connect, call.read), read=call.read),
                preload_content=False,
                decode_content=False,
            )
        try:
            pieces = iter(lambda: response.read(_PIECE), b"")
            packed = bounds.cut(pieces, draft.largest)
            unpacked = bounds.unpacked(packed, response.headers.get("Content-Encoding", ""), draft.largest)
            return Exchanged(response.status, response.headers, unpacked, headers)
        finally:
            # What was read to its end has given its connection back; any other is of no more use.
            response.close()
            response.release_conn()


def _is_sendable(value: object) -> bool:
    """A plugin's header may be anything."""
    return isinstance(value, str) and _HEADER.fullmatch(value) is not None


def _through(proxy: str, settings: Mapping[str, Any]) -> urllib3.ProxyManager:
    """Gives connections through a proxy, to which its own credentials go, and nothing of ours."""
    place = urlsplit(proxy)
    credentials = f"{unquote(place.username or '')}:{unquote(place.password or '')}" if place.username else None
    headers = urllib3.make_headers(proxy_basic_auth=credentials) if credentials else None
    trusting = tls.context() if place.scheme == "https" else None
    address = place._replace(netloc=place.netloc.rpartition("@")[2]).geturl()
    return urllib3.ProxyManager(address, proxy_headers=headers, proxy_ssl_context=trusting, **settings)


def _signed(
    auth: Signer, method: str, url: str, headers: Mapping[str, str], body: bytes | None
) -> tuple[dict[str, str], bytes | None]:
    """Let an authentication object of ``requests`` sign what goes out. Only where there is one, that is imported.

    What it would do with answers (``register_hook``) isn't done: EdgeGrid's signs redirects, and none is followed.

    Raises:
        TypeError: it is one for HTTP digest, which takes an answer to make a signature.
    """
    import requests

    if isinstance(auth, requests.auth.HTTPDigestAuth):
        raise TypeError(f"{type(auth).__name__} has to see answers first, and only what signs requests is taken")
    prepared = requests.PreparedRequest()
    try:
        # By the bare host: prepare_url would spell the target anew.
        prepared.prepare(method, url=url.partition("://")[0] + "://signed.invalid/", headers=dict(headers), data=body)
        prepared.url = url
        prepared.prepare_auth(auth, url)
    except requests.exceptions.InvalidHeader:
        raise _UnsendableHeader from None
    signed = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
    return dict(prepared.headers), signed


def _root_cause(error: BaseException) -> str:
    """Name the innermost cause that isn't just a wrapper, without its text."""
    seen: BaseException = error
    while seen.__context__ is not None:
        seen = seen.__context__
    if isinstance(seen, OSError) and seen.strerror:
        return f"connection failed ({seen.strerror})"
    return f"connection failed ({type(seen).__name__})"


def _without_queries(record: logging.LogRecord) -> bool:
    """Cut the queries of URLs out of a log record of urllib3: it logs whole ones, in warnings as well."""
    if isinstance(record.args, tuple):
        record.args = tuple(arg.partition("?")[0] if isinstance(arg, str) else arg for arg in record.args)
    return True


for _logger in ("urllib3.connection", "urllib3.connectionpool"):
    logging.getLogger(_logger).addFilter(_without_queries)

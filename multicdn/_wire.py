"""One HTTP exchange of a provider: a request goes out as it was written, an answer comes back within bounds."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlencode, urlsplit

import urllib3
from msgspec import Struct
from urllib3.exceptions import ConnectTimeoutError, HTTPError, LocationValueError, NewConnectionError
from urllib3.exceptions import TimeoutError as LibraryTimeout

from multicdn import __version__, _exact, bounds, tls
from multicdn.errors import CredentialsRefused, RetryLater
from multicdn.patterns import lazy_pattern
from multicdn.proxies import ProxyUnusableError, proxy_for, proxy_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests

    from multicdn.provider import Call

    #: Takes a request as it goes out, and returns it with a signature among its headers.
    Signer = Callable[[requests.PreparedRequest], requests.PreparedRequest]

_PIECE = 64 * 1024

# The library would make one for each request.
_NO_RETRIES = urllib3.Retry(total=False, redirect=False)

# What goes out unless the API says otherwise, by name in small letters. Nobody asks for packed answers.
_USUAL = {
    "accept": ("Accept", "*/*"),
    "accept-encoding": ("Accept-Encoding", "identity"),
    "user-agent": ("User-Agent", f"multicdn/{__version__}"),
}
_WITH_JSON = {**_USUAL, "content-type": ("Content-Type", "application/json")}
_WITH_FORM = {**_USUAL, "content-type": ("Content-Type", "application/x-www-form-urlencoded")}

# Tokens of RFC 9110, 5.6.2, and its values, 5.5: Latin 1 at most, which http.client sends. Ranges: to exclude all other
# letters would take 5 ms to compile.
_NAME = lazy_pattern(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = lazy_pattern(r"(?:[!-~\xa1-\xff][\t -~\x80-\xff]*)?")


class RequestDraft(Struct, frozen=True):
    """A request: ``target`` goes out byte for byte, ``json`` or ``data`` are its body, ``largest`` is of its answer."""

    method: str
    target: str
    headers: Mapping[str, str]
    json: object = None
    data: Mapping[str, str] | None = None
    largest: int = bounds.LARGEST_ANSWER


class Exchanged(Struct, frozen=True):
    """What came back, and the headers as they went out."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent: Mapping[str, str]


class _UnsendableHeader(Exception):
    """A header has a line break or a character that no header takes."""


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

    def prepare(self) -> None:
        """Make what the first request needs but for its connection.

        Raises:
            AuthoritiesError, ProxyUnusableError: what the environment says of these can't be used.
        """
        _ = self._base, self._pool
        _exact.is_sendable(_merged(_USUAL, {"Accept": "*/*"})["Accept"])  # compiles what looks at targets and headers

    @cached_property
    def _place(self) -> SplitResult:
        try:
            place = urlsplit(self._endpoint)
            _ = place.port, _ascii(place.hostname)
        except ValueError:  # that of a host which DNS can't have is a UnicodeError, and would be taken for a header's
            raise LocationValueError("the endpoint is no URL") from None
        return place

    @cached_property
    def _proxy(self) -> str:
        return proxy_for(self._place.scheme, self._place.netloc.rpartition("@")[2])

    @cached_property
    def _base(self) -> str:
        """What stands before a target: the path of the endpoint; all of it for a proxy that reads requests."""
        return self._endpoint if self._proxy and self._place.scheme == "http" else self._place.path

    @cached_property
    def _pool(self) -> urllib3.HTTPConnectionPool:
        settings: dict[str, Any] = {"maxsize": self._parallel}
        if self._place.scheme == "https":
            settings["ssl_context"] = tls.context()
        manager = _through(self._proxy, settings) if self._proxy else urllib3.PoolManager(**settings)
        pool = manager.connection_from_host(_ascii(self._place.hostname), self._place.port, self._place.scheme)
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
            reason = f"{shown}: no answer within {max(0.0, call.read):.1f} s"
        except (bounds.NotPacked, tls.AuthoritiesError, ProxyUnusableError) as error:
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
        body = None
        usual = _USUAL
        if draft.json is not None:
            body = jsonlib.dumps(draft.json, ensure_ascii=False, separators=(",", ":")).encode()
            usual = _WITH_JSON
        elif draft.data:
            body = urlencode(draft.data).encode()
            usual = _WITH_FORM
        headers = _merged(usual, draft.headers)
        if self._auth is None:
            return headers, body
        signed, body = _signed(self._auth, draft.method, self._endpoint + draft.target, headers, body)
        return _merged({}, signed), body

    def _send(self, draft: RequestDraft, headers: dict[str, str], body: bytes | None, call: Call) -> Exchanged:
        read = bounds.time_left(call.read) or call.read  # none may be left by now
        target = self._base + draft.target
        # Where a target begins otherwise http.client would take a Host out of it.
        before = _exact.target.set(target if target.startswith(("/", self._endpoint)) else f"/{target}")
        try:
            # The library would spell a target anew, and log it with the secret that its query may be.
            response = self._pool.urlopen(
                draft.method,
                self._base or "/",
                body=body,
                headers=headers,
                retries=_NO_RETRIES,
                redirect=False,
                assert_same_host=False,
                timeout=urllib3.Timeout(connect=min(call.connect, read), read=read),
                preload_content=False,
                decode_content=False,
            )
        finally:
            _exact.target.reset(before)
        try:
            packed = bounds.cut(_pieces(response), draft.largest)
            unpacked = bounds.unpacked(packed, response.headers.get("Content-Encoding", ""), draft.largest)
            return Exchanged(response.status, response.headers, unpacked, headers)
        finally:
            # What was read to its end has given its connection back; any other is of no more use.
            response.close()
            response.release_conn()


def _ascii(host: str | None) -> str:
    """As DNS has it; the library would want a package for other scripts."""
    return host.encode("idna").decode() if host and not host.isascii() else host or ""


def _merged(usual: Mapping[str, tuple[str, str]], headers: Mapping[Any, Any]) -> dict[str, str]:
    """Both, once each, however they are written: the later one counts.

    Raises:
        _UnsendableHeader: one of them can't stand in a request.
    """
    merged = dict(usual)
    for name, value in headers.items():
        # A plugin's may be anything.
        if not (isinstance(name, str) and isinstance(value, str) and _NAME.fullmatch(name) and _VALUE.fullmatch(value)):
            raise _UnsendableHeader
        merged[name.lower()] = (name, value)
    return dict(merged.values())


def _pieces(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """The body as it comes: where its end is known, no read is made beyond it."""
    while not response.closed and (piece := response.read(_PIECE)):
        yield piece


def _through(proxy: str, settings: Mapping[str, Any]) -> urllib3.ProxyManager:
    """Gives connections through a proxy, to which its own credentials go, and nothing of ours."""
    trusting = tls.context() if urlsplit(proxy).scheme == "https" else None
    return urllib3.ProxyManager(proxy, proxy_headers=proxy_headers(proxy), proxy_ssl_context=trusting, **settings)


def _signed(
    auth: Signer, method: str, url: str, headers: Mapping[str, str], body: bytes | None
) -> tuple[Mapping[str, str], bytes | None]:
    """Let an authentication object of ``requests`` sign what goes out. Only where there is one, that is imported.

    Raises:
        TypeError: it does what can't be done here: respells the request, or has to see answers.
    """
    import requests

    prepared = requests.PreparedRequest()
    # By the bare host: prepare_url would spell the target anew.
    prepared.prepare(method, url=url.partition("://")[0] + "://signed.invalid/", headers=dict(headers), data=body)
    prepared.url = url
    prepared.prepare_auth(auth, url)
    if (prepared.method, prepared.url) != (method, url):
        raise TypeError(f"{type(auth).__name__} changes the method or the URL; those go out as they are written")
    # EdgeGrid's signs redirects, of which none is followed; others, such as those of digest, send requests anew.
    if any(getattr(hook, "__name__", "") != "handle_redirect" for hook in prepared.hooks["response"]):
        raise TypeError(f"{type(auth).__name__} has to see answers, and only what signs requests is taken")
    signed = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
    # requests takes values in bytes, too.
    given: Mapping[str, Any] = prepared.headers
    values = (value.decode("latin-1") if isinstance(value, bytes) else value for value in given.values())
    return dict(zip(given, values, strict=True)), signed


def _root_cause(error: BaseException) -> str:
    """Name the innermost cause that isn't just a wrapper, without its text."""
    seen: BaseException = error
    while seen.__context__ is not None:
        seen = seen.__context__
    if isinstance(seen, OSError) and seen.strerror:
        return f"connection failed ({seen.strerror})"
    return f"connection failed ({type(seen).__name__})"

"""One HTTP exchange of a provider: a request goes out as it was written, an answer comes back within bounds."""

from __future__ import annotations

import json as jsonlib
import logging
from functools import cached_property
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, NamedTuple

import requests
import urllib3

from multicdn import _exact, bounds
from multicdn.errors import CredentialsRefused, RetryLater

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multicdn.provider import Call

_PIECE = 16 * 1024


class RequestDraft(NamedTuple):
    """A request: ``target`` goes out byte for byte, ``json`` or ``data`` are its body, ``largest`` is of its answer."""

    method: str
    target: str
    headers: Mapping[str, str]
    json: object = None
    data: Mapping[str, str] | None = None
    largest: int = bounds.LARGEST_ANSWER


class Exchanged(NamedTuple):
    """What came back, and the request as it went out."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    request: requests.PreparedRequest


class Connections:
    """Connections to one endpoint. Keeps no cookies, follows no redirect.

    Args:
        endpoint: base URL without a slash at its end.
        auth: signs each request; None sends what the headers say.
        parallel: how many connections to keep.
    """

    def __init__(self, endpoint: str, auth: requests.auth.AuthBase | None, parallel: int) -> None:
        self._endpoint = endpoint
        self._session = _exact.ExactSession()
        # Without an auth of its own, requests would look the host up in ~/.netrc and overwrite our headers.
        self._session.auth = auth or _leave_alone
        # Cookies of a load balancer would send every retry to the node that is sick.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self._session.mount(endpoint, _exact.ExactAdapter(pool_connections=1, pool_maxsize=parallel))

    @cached_property
    def _surroundings(self) -> dict[str, Any]:
        """The proxy and the authorities that the environment names; requests would look for them twice a request."""
        return dict(self._session.merge_environment_settings(self._endpoint, {}, True, None, None))  # noqa: FBT003

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
            prepared = self._prepare(draft)
            with bounds.bounded(call.read, draft.largest):
                return self._send(prepared, call, draft.largest)
        except (requests.exceptions.InvalidHeader, UnicodeError):
            reason = None
        except requests.exceptions.ConnectTimeout:
            reason = f"{shown}: no connection within {min(call.connect, call.read):.1f} s"
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError):
            reason = f"{shown}: no answer within {call.read:.1f} s"
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            # The text of these exceptions repeats the URL, whose query may hold a secret: only the class is shown.
            reason = f"{shown}: {_root_cause(error)}"
        except bounds.NotPacked as error:
            reason = f"{shown}: {error}"
        if reason is None:  # raised here rather than above: the error to be chained would show the header
            message = f"{shown}: a header can't be sent; has the secret in it a line break or a foreign character?"
            raise CredentialsRefused(message, about="account")
        raise RetryLater(reason)

    def _prepare(self, draft: RequestDraft) -> requests.PreparedRequest:
        """Prepare with the URL as given: requests collapses ``..`` and re-encodes, and cache keys are byte-exact."""
        # The body is set by hand: requests would escape it to ASCII, and limits in bytes count the UTF-8 form.
        body = None
        headers = {"Accept-Encoding": "identity", **draft.headers}
        if draft.json is not None:
            body = jsonlib.dumps(draft.json, ensure_ascii=False, separators=(",", ":")).encode()
            headers = {"Content-Type": "application/json", **headers}
        request = requests.Request(draft.method, self._endpoint, headers=headers, data=body or draft.data)
        auth = self._session.auth
        request.auth = _leave_alone
        prepared = self._session.prepare_request(request)
        url = self._endpoint + draft.target
        prepared.url = url
        prepared.prepare_auth(auth, url)
        prepared.url = url
        return prepared

    def _send(self, prepared: requests.PreparedRequest, call: Call, largest: int) -> Exchanged:
        limits = (min(call.connect, call.read), call.read)
        with self._session.send(prepared, timeout=limits, allow_redirects=False, **self._surroundings) as response:
            pieces = iter(lambda: response.raw.read(_PIECE, decode_content=False), b"")
            packed = bounds.cut(pieces, largest)
            body = bounds.unpacked(packed, response.headers.get("Content-Encoding", ""), largest)
            return Exchanged(response.status_code, response.headers, body, prepared)


def _root_cause(error: BaseException) -> str:
    """Name the innermost cause that isn't just a wrapper, without its text."""
    seen: BaseException = error
    while seen.__context__ is not None:
        seen = seen.__context__
    if isinstance(seen, OSError) and seen.strerror:
        return f"connection failed ({seen.strerror})"
    return f"connection failed ({type(seen).__name__})"


def _leave_alone(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _without_queries(record: logging.LogRecord) -> bool:
    """Cut the queries of URLs out of a log record of urllib3: it logs whole ones, in warnings as well."""
    if isinstance(record.args, tuple):
        record.args = tuple(arg.partition("?")[0] if isinstance(arg, str) else arg for arg in record.args)
    return True


for _logger in ("urllib3.connection", "urllib3.connectionpool"):
    logging.getLogger(_logger).addFilter(_without_queries)

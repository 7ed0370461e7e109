"""Check EdgeGrid signatures (EG1-HMAC-SHA256) as Akamai's gateway does, before an API is reached.

Algorithm: techdocs.akamai.com/developer/docs/authenticate-with-edgegrid. Answers: reports in the issue trackers of
akamai/AkamaiOPEN-edgegrid-node (62, 234) and akamai/AkamaiOPEN-edgegrid-powershell (10).
"""

from __future__ import annotations

import base64
import calendar
import hashlib
import hmac
import itertools
import re
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from multicdn.simulators.kit.http_server import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAX_BODY = 131072  # bytes of a body that count for its hash
_WINDOW = 30.0  # seconds that a timestamp may be off
_TIMESTAMP = "%Y%m%dT%H:%M:%S+0000"
_AUTHORIZATION = re.compile(
    r"(EG1-HMAC-SHA256 client_token=([^;]+);access_token=([^;]+);timestamp=([^;]+);nonce=([^;]+);)signature=([^;]+)"
)


@dataclass(frozen=True, slots=True)
class ApiClient:
    """The credentials of one API client."""

    client_token: str
    client_secret: str = field(repr=False)
    access_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authorization:
    """The parts of an ``Authorization`` header; ``unsigned`` is the header up to its signature."""

    unsigned: str
    client_token: str
    access_token: str
    timestamp: str
    nonce: str
    signature: str

    @classmethod
    def parse(cls, header: str) -> Authorization:
        """Split a header.

        Raises:
            ValueError: it has another form.
        """
        match = _AUTHORIZATION.fullmatch(header)
        if match is None:
            message = "not an EG1-HMAC-SHA256 header"
            raise ValueError(message)
        return cls(*match.groups())


def data_to_sign(
    request: Request, unsigned: str, *, scheme: str, headers: Iterable[str] = (), max_body: int = MAX_BODY
) -> str:
    """Join the seven fields that are signed, with tabs between them.

    Args:
        request: the request, with a Host header.
        unsigned: the ``Authorization`` header up to its signature.
        scheme: http or https.
        headers: names of the headers that are signed too; those that are absent don't count.
        max_body: how many bytes of a POST body count.
    """
    signed = [f"{name.lower()}:{_canonical(request.headers[name])}" for name in headers if name in request.headers]
    content = _digest(request.body[:max_body]) if request.method == "POST" and request.body else ""
    fields = (request.method, scheme, request.headers["Host"], request.target, "\t".join(signed), content, unsigned)
    return "\t".join(fields)


def signing_key(secret: str, timestamp: str) -> str:
    """The key for all signatures with one timestamp."""
    return _hmac(timestamp, secret)


def signature(data: str, key: str) -> str:
    """Sign what ``data_to_sign`` gave with what ``signing_key`` gave."""
    return _hmac(data, key)


class Gateway:
    """Lets in what an API client has signed just now, and each signature once.

    Args:
        client: who is known; called for every request, since credentials change.
        clock: seconds since 1970.
        scheme: how the gateway is reached.
    """

    def __init__(self, client: Callable[[], ApiClient], clock: Callable[[], float], scheme: str = "http") -> None:
        self._client = client
        self._clock = clock
        self._scheme = scheme
        self._nonces: set[str] = set()
        self._ages: deque[tuple[float, str]] = deque()
        self._lock = threading.Lock()
        self._ids = itertools.count(0x1E14BE58)

    def refusal(self, request: Request) -> Response | None:
        """Answer a request that isn't let in; None for one that is."""
        try:
            given = Authorization.parse(request.headers.get("Authorization", ""))
            signed_at = calendar.timegm(time.strptime(given.timestamp, _TIMESTAMP))
        except ValueError:
            return self.problem(request, 400, "Bad request", "Invalid authorization header")
        if abs(signed_at - self._clock()) > _WINDOW:
            return self.problem(request, 400, "Bad request", "Invalid timestamp")
        client = self._client()
        if given.client_token != client.client_token:
            return self.problem(request, 401, "Not authorized", "Inactive client token")
        if given.access_token != client.access_token:
            return self.problem(request, 401, "Not authorized", "Invalid authorization access token")
        data = data_to_sign(request, given.unsigned, scheme=self._scheme)
        if not hmac.compare_digest(
            given.signature, signature(data, signing_key(client.client_secret, given.timestamp))
        ):
            return self.problem(request, 401, "Not authorized", "The signature does not match")
        if not self._is_new(given.nonce):  # the answer to this is a guess
            return self.problem(request, 401, "Not authorized", "Nonce has been used before")
        return None

    def problem(self, request: Request, status: int, title: str, detail: str) -> Response:
        """Make an error as the gateway does: with ``status`` rather than ``httpStatus``."""
        base = f"{self._scheme}://{request.headers.get('Host', '')}"
        value = {
            "type": f"{base}/-/pep-authn/{'request-error' if status == 400 else 'deny'}",
            "title": title,
            "status": status,
            "detail": detail,
            "instance": base + request.target,
            "method": request.method,
            "serverIp": "127.0.0.1",
            "clientIp": "127.0.0.1",
            "requestId": f"{next(self._ids):x}",
            "requestTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock())),
        }
        return Response.json(value, status, {"Content-Type": "application/problem+json"})

    def _is_new(self, nonce: str) -> bool:
        """Remember a nonce for as long as its timestamp could pass."""
        now = self._clock()
        with self._lock:
            while self._ages and self._ages[0][0] < now - 2 * _WINDOW:
                self._nonces.discard(self._ages.popleft()[1])
            if nonce in self._nonces:
                return False
            self._nonces.add(nonce)
            self._ages.append((now, nonce))
            return True


def _canonical(value: str) -> str:
    return re.sub(r"\s+", " ", value.strip())


def _digest(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def _hmac(data: str, key: str) -> str:
    return base64.b64encode(
        hmac.new(key.encode(), data.encode("utf-8", "surrogateescape"), hashlib.sha256).digest()
    ).decode()

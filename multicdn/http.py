"""HTTP for providers: exact request targets, no redirects, and answers turned into the errors of the contract."""

from __future__ import annotations

import email.utils
import json as jsonlib
import math
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from multicdn._exact import has_dot_segments, is_sendable
from multicdn._wire import Connections, RequestDraft
from multicdn._words import words
from multicdn.bounds import LARGEST_ANSWER
from multicdn.errors import CallRefused, CredentialsRefused, ProviderError, RetryLater, TargetsRefused
from multicdn.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multicdn._wire import Exchanged, Signer
    from multicdn.provider import Call, Target

__all__ = ["Answer", "Http", "refuse_dot_segments", "retry_after", "until_epoch"]

_MILLISECONDS = 1e11  # an epoch above this is in milliseconds: as seconds it would be the year 5138
# https://datatracker.ietf.org/doc/html/rfc6749#section-5.2
_NO_CODE = 100_000
_LOGIN_ERRORS = (
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
)

_MEANING: dict[int, type[ProviderError]] = {
    400: TargetsRefused,
    413: TargetsRefused,
    414: TargetsRefused,
    422: TargetsRefused,
    401: CredentialsRefused,
    403: CredentialsRefused,
    404: CallRefused,
    408: RetryLater,
    425: RetryLater,
    429: RetryLater,
}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that ``Retry-After`` asks for: a number, fractions included, or an HTTP date. None where absent."""
    value = headers.get("Retry-After", "").strip()
    if not value:
        return None
    seconds = _number(value)
    if seconds is not None:
        return max(0.0, seconds)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def until_epoch(header: str) -> Callable[[Mapping[str, str]], float | None]:
    """Make a reader of a header that holds the moment of the next try, in seconds or milliseconds since 1970."""

    def read(headers: Mapping[str, str]) -> float | None:
        moment = _number(headers.get(header, ""))
        if moment is None:
            return retry_after(headers)
        return max(0.0, (moment / 1000 if moment > _MILLISECONDS else moment) - time.time())

    return read


def _number(text: str) -> float | None:
    """A finite number, or None: nobody can wait for ``inf``, and ``nan`` compares with nothing."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def refuse_dot_segments(target: Target) -> None:
    """Refuse a target that can't stand in the path of a request. For ``locate``, where a vendor's API wants it there.

    Raises:
        TargetsRefused: its path has a segment ``.`` or ``..``, escaped or not.
    """
    if has_dot_segments(target.value):
        reason = "it has a segment . or .., which a proxy would resolve to another path of the API; no browser sends it"
        raise TargetsRefused(f"{target.value!r}: {reason}", [target.value])


class Answer:
    """A vendor's answer.

    Attributes:
        status: the HTTP status; 200 to 299 unless it is shown to a ``refusal``.
        headers: case-insensitive.
        body: the bytes.
    """

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        request: str,
        hide: Callable[[str], str] = redact,
        *,
        login: bool = False,
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self._request = request
        self._hide = hide
        self._login = login

    @property
    def words(self) -> str:
        """The body as one line of text, without secrets, for the text of an error; of a login next to nothing."""
        return _said_to_login(self.body) if self._login else words(self.body, self._hide)

    @property
    def reason(self) -> str:
        """One sentence for an error about this answer: the request, the status and what the vendor says."""
        return f"{self._request}: {self.status}: {self.words}"

    def json(self) -> dict[str, Any]:
        """Return the JSON object in the body.

        Raises:
            RetryLater: the body is something else. A success that can't be read isn't one: something between us
                and the vendor answered, or the vendor is in trouble.
        """
        try:
            value = jsonlib.loads(self.body)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            message = f"{self._request}: {self.status} with a body that is no JSON object: {self.words}"
            raise RetryLater(message)
        return value

    @property
    def problem(self) -> dict[str, Any]:
        """The JSON object in the body of an error; empty where it is something else, which hardly is the vendor's."""
        try:
            value = jsonlib.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def is_page(self) -> bool:
        """Whether the body is a page for people, which a gateway or a firewall wrote rather than an API."""
        return self.body.lstrip().startswith(b"<")

    def text(self, member: str) -> str:
        """Return one member of the JSON object as text; empty where it is absent.

        Raises:
            RetryLater: as in ``json``.
        """
        value = self.json().get(member)
        return "" if value is None else str(value)


class Http:
    """One vendor's HTTP API.

    Args:
        endpoint: base URL, without a trailing slash or with one.
        headers: called for every request, so that a rotated secret is used at once.
        auth: an authentication object of ``requests`` that signs each request, for vendors that need it: it is called
            with a ``PreparedRequest`` as it goes out, and sets headers or the body. One that changes method or URL, or
            has to see answers (a hook other than ``handle_redirect``, as HTTP digest, NTLM and Kerberos have), makes
            each call a TypeError. The plugin depends on ``requests``; multicdn doesn't.
        parallel: how many connections to keep.
        meaning: what a status means where this vendor differs from common usage.
        wait: reads the wait that a 429 or 5xx answer asks for from its headers.
        login: whether answers hold tokens that nobody has seen yet. None of their text is quoted anywhere then.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        headers: Callable[[], Mapping[str, str]] | None = None,
        auth: Signer | None = None,
        parallel: int = 1,
        meaning: Mapping[int, type[ProviderError]] | None = None,
        wait: Callable[[Mapping[str, str]], float | None] = retry_after,
        login: bool = False,
    ) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._headers = headers or dict
        self._meaning = {**_MEANING, **(meaning or {})}
        self._wait = wait
        self._login = login
        self._connections = Connections(self._endpoint, auth, parallel)

    def prepare(self) -> None:
        """Load and make what the first request needs but for its connection: for a provider's ``prepare``."""
        self._connections.prepare()

    def send(
        self,
        method: str,
        target: str,
        call: Call,
        *,
        json: object = None,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        largest: int = LARGEST_ANSWER,
        refusal: Callable[[Answer], ProviderError | None] | None = None,
    ) -> Answer:
        """Send one request and return its answer if it means success.

        Args:
            method: HTTP method.
            target: path and query below the endpoint, already encoded. It goes out byte for byte.
            call: whose limits of time to obey.
            json: the body, sent as JSON.
            data: the body, sent as a form.
            headers: for this request, beside those of the API.
            largest: bytes of the answer's body that are read; what comes beyond them is left.
            refusal: reads from an answer that isn't a success what its status alone doesn't tell, such as the targets
                that the vendor names; None leaves it to the status. Redirects never come here.

        Raises:
            ProviderError: RetryLater, TargetsRefused, CallRefused or CredentialsRefused, by status.
        """
        request = f"{method} {self._shown(target)}"
        if not is_sendable(target):
            raise TargetsRefused(f"{request}: holds characters that must be percent-encoded")
        draft = RequestDraft(method, target, {**self._headers(), **(headers or {})}, json, data, largest)
        answer = self._answer(self._connections.exchange(draft, call, request), request)
        if 200 <= answer.status < 300:
            return answer
        explained = refusal(answer) if refusal and answer.status >= 400 else None
        raise explained or self._error(answer, request)

    def _answer(self, came: Exchanged, request: str) -> Answer:
        return Answer(came.status, came.headers, came.body, request, _hiding(came.sent), login=self._login)

    def _error(self, answer: Answer, request: str) -> ProviderError:
        status = answer.status
        if 300 <= status < 400:
            where = _host(answer.headers.get("Location", ""))
            return RetryLater(f"{request}: {status} to {where}; redirects are never followed with credentials")
        meaning = self._meaning.get(status, RetryLater)
        if issubclass(meaning, RetryLater) or _is_foreign(answer):
            return RetryLater(answer.reason, after=self._wait(answer.headers))
        if issubclass(meaning, CallRefused) and status == 401:
            return meaning(answer.reason, about="account")
        return meaning(answer.reason)

    def _shown(self, target: str) -> str:
        """The URL of a request without its query: some vendors want their secret there."""
        return self._endpoint + target.partition("?")[0]


def _said_to_login(body: bytes) -> str:
    """Codes of the error, if there are any; anything else in such an answer may be a token."""
    try:
        members = jsonlib.loads(body)
    except (ValueError, RecursionError):
        members = None
    members = members if isinstance(members, dict) else {}
    said = [f"{code}: " for code in (members.get("code"),) if isinstance(code, int) and abs(code) < _NO_CODE]
    said += [f"{word}: " for word in _LOGIN_ERRORS if members.get("error") == word]
    return f"{''.join(said)}(the rest of a login's answer isn't shown, {len(body)} bytes)"


def _is_foreign(answer: Answer) -> bool:
    """Whether an answer is rather of something in between, be it a gateway or a firewall: pages, 404 without JSON."""
    if answer.status in (413, 414):
        return False  # too large is too large, whoever says so
    return answer.is_page or (answer.status == 404 and answer.body.lstrip()[:1] not in (b"{", b"["))


def _hiding(sent: Mapping[str, str]) -> Callable[[str], str]:
    """Make what blacks out secrets, and what was made of them for a header: Basic encodes user and password as one."""

    def hide(text: str) -> str:
        header = next((value for name, value in sent.items() if name.lower() == "authorization"), "")
        credentials = header.partition(" ")[2]
        return redact(text.replace(credentials, "[secret]") if credentials else text)

    return hide


def _host(location: str) -> str:
    try:
        return urlsplit(location).hostname or "nowhere"
    except ValueError:
        return "nowhere"

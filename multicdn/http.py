"""HTTP for providers: exact request targets, no redirects, and answers turned into the errors of the contract."""

from __future__ import annotations

import email.utils
import json as jsonlib
import logging
import math
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

from multicdn import _exact
from multicdn.errors import CallRefused, CredentialsRefused, ProviderError, RetryLater, TargetsRefused
from multicdn.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multicdn.provider import Call

__all__ = ["Answer", "Http", "retry_after", "until_epoch"]

_LONGEST_QUOTE = 300
_LONGEST_READ = 65536
_MILLISECONDS = 1e11  # an epoch above this is in milliseconds: as seconds it would be the year 5138
_MEMBERS_THAT_EXPLAIN = (
    "detail",
    "details",
    "message",
    "msg",
    "title",
    "error_description",
    "error",
    "errorMessage",
    "errors",
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


class Answer:
    """A vendor's answer.

    Attributes:
        status: the HTTP status; 200 to 299 unless it is shown to a ``refusal``.
        headers: case-insensitive.
        body: the bytes.
    """

    def __init__(
        self, status: int, headers: Mapping[str, str], body: bytes, request: str, hide: Callable[[str], str] = redact
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self._request = request
        self._hide = hide

    @property
    def words(self) -> str:
        """The body as one line of text, without secrets, for the text of an error."""
        return _shown_words(self.body, self._hide)

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
        auth: a ``requests`` authentication object that signs each request, for vendors that need it.
        parallel: how many connections to keep.
        meaning: what a status means where this vendor differs from common usage.
        wait: reads the wait that a 429 or 5xx answer asks for from its headers.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        headers: Callable[[], Mapping[str, str]] | None = None,
        auth: requests.auth.AuthBase | None = None,
        parallel: int = 1,
        meaning: Mapping[int, type[ProviderError]] | None = None,
        wait: Callable[[Mapping[str, str]], float | None] = retry_after,
    ) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._headers = headers or dict
        self._meaning = {**_MEANING, **(meaning or {})}
        self._wait = wait
        self._session = _exact.ExactSession()
        # Without an auth of its own, requests would look the host up in ~/.netrc and overwrite our headers.
        self._session.auth = auth or _leave_alone
        adapter = _exact.ExactAdapter(pool_connections=1, pool_maxsize=parallel)
        self._session.mount(self._endpoint, adapter)

    def send(
        self,
        method: str,
        target: str,
        call: Call,
        *,
        json: object = None,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
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
            refusal: reads from an answer that isn't a success what its status alone doesn't tell, such as the targets
                that the vendor names; None leaves it to the status. Redirects never come here.

        Raises:
            ProviderError: RetryLater, TargetsRefused, CallRefused or CredentialsRefused, by status.
        """
        request = f"{method} {self._shown(target)}"
        if not _exact.is_sendable(target):
            raise TargetsRefused(f"{request}: holds characters that must be percent-encoded")
        response = self._exchange(method, target, call, request, json=json, data=data, headers=headers)
        hide = _hiding(response.request)
        answer = Answer(response.status_code, response.headers, response.content, request, hide)
        if 200 <= answer.status < 300:
            return answer
        explained = refusal(answer) if refusal and answer.status >= 400 else None
        raise explained or self._error(response, request)

    def _exchange(
        self,
        method: str,
        target: str,
        call: Call,
        request: str,
        *,
        json: object,
        data: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
    ) -> requests.Response:
        url = self._endpoint + target
        session = self._session
        # The body is set by hand: requests would escape it to ASCII, and limits in bytes count the UTF-8 form.
        body = None if json is None else jsonlib.dumps(json, ensure_ascii=False, separators=(",", ":")).encode()
        kind = {} if json is None else {"Content-Type": "application/json"}
        draft = requests.Request(
            method, self._endpoint, headers={**kind, **self._headers(), **(headers or {})}, data=body or data
        )
        try:
            prepared = self._prepare(draft, url)
            settings: dict[str, Any] = dict(session.merge_environment_settings(url, {}, False, None, None))  # noqa: FBT003
            limits = (call.connect, call.read)
            return session.send(prepared, timeout=limits, allow_redirects=False, **settings)
        except (requests.exceptions.InvalidHeader, UnicodeError):
            reason = None
        except requests.exceptions.ConnectTimeout:
            reason = f"{request}: no connection within {call.connect:.1f} s"
        except requests.exceptions.Timeout:
            reason = f"{request}: no answer within {call.read:.1f} s"
        except requests.exceptions.RequestException as error:
            # The text of these exceptions repeats the URL, whose query may hold a secret: only the class is shown.
            reason = f"{request}: {_root_cause(error)}"
        if reason is None:  # raised here rather than above: the error to be chained would show the header
            message = f"{request}: a header can't be sent; has the secret in it a line break or a foreign character?"
            raise CredentialsRefused(message, about="account")
        raise RetryLater(reason)

    def _prepare(self, draft: requests.Request, url: str) -> requests.PreparedRequest:
        """Prepare with the URL as given: requests collapses ``..`` and re-encodes, and cache keys are byte-exact."""
        auth = self._session.auth
        draft.auth = _leave_alone
        prepared = self._session.prepare_request(draft)
        prepared.url = url
        prepared.prepare_auth(auth, url)
        prepared.url = url
        return prepared

    def _error(self, response: requests.Response, request: str) -> ProviderError:
        status = response.status_code
        reason = f"{request}: {status}: {_shown_words(response.content, _hiding(response.request))}"
        if 300 <= status < 400:
            where = _host(response.headers.get("Location", ""))
            return RetryLater(f"{request}: {status} to {where}; redirects are never followed with credentials")
        meaning = self._meaning.get(status, RetryLater)
        if issubclass(meaning, RetryLater) or _is_foreign(status, response.content):
            return RetryLater(reason, after=self._wait(response.headers))
        if issubclass(meaning, CallRefused) and status == 401:
            return meaning(reason, about="account")
        return meaning(reason)

    def _shown(self, target: str) -> str:
        """The URL of a request without its query: some vendors want their secret there."""
        return self._endpoint + target.partition("?")[0]


def words(body: bytes) -> str:
    """Put on one line what a body says: the member of a JSON error that explains, or the text without markup."""
    text = body[:_LONGEST_READ].decode("utf-8", "replace")
    try:
        explained = _explanation(jsonlib.loads(text))
    except (ValueError, RecursionError):
        explained = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    line = " ".join(explained.split())
    return (line[:_LONGEST_QUOTE] + "…" if len(line) > _LONGEST_QUOTE else line) or "(empty body)"


def _is_foreign(status: int, body: bytes) -> bool:
    """Whether an answer is rather of something in between, be it a gateway or a firewall: pages, 404 without JSON."""
    if status in (413, 414):
        return False  # too large is too large, whoever says so
    start = body.lstrip()[:1]
    return start == b"<" or (status == 404 and start not in (b"{", b"["))


def _shown_words(body: bytes, hide: Callable[[str], str]) -> str:
    """``words`` without secrets, since some vendors repeat the request: before it is cut, and after it is unescaped."""
    return hide(words(hide(body[:_LONGEST_READ].decode("utf-8", "replace")).encode()))


def _hiding(request: requests.PreparedRequest) -> Callable[[str], str]:
    """Make what blacks out secrets, and what was made of them for a header: Basic encodes user and password as one."""
    credentials = request.headers.get("Authorization", "").partition(" ")[2]
    return lambda text: redact(text.replace(credentials, "[secret]") if credentials else text)


def _explanation(value: object) -> str:
    """Walk a JSON error to its sentences: APIs disagree about where they put them."""
    if isinstance(value, dict):
        found = [_explanation(value[name]) for name in _MEMBERS_THAT_EXPLAIN if value.get(name)]
        code = value.get("code")
        sentence = "; ".join(dict.fromkeys(found)) or jsonlib.dumps(value)
        return f"{code}: {sentence}" if code and found else sentence
    if isinstance(value, list):
        return "; ".join(_explanation(item) for item in value)
    return str(value)


def _root_cause(error: BaseException) -> str:
    """Name the innermost cause that isn't just a wrapper, without its text."""
    seen: BaseException = error
    while seen.__context__ is not None:
        seen = seen.__context__
    if isinstance(seen, OSError) and seen.strerror:
        return f"connection failed ({seen.strerror})"
    return f"connection failed ({type(seen).__name__})"


def _host(location: str) -> str:
    try:
        return urlsplit(location).hostname or "nowhere"
    except ValueError:
        return "nowhere"


def _without_queries(record: logging.LogRecord) -> bool:
    """Cut the queries of URLs out of a log record of urllib3: it logs whole ones, in warnings as well."""
    if isinstance(record.args, tuple):
        record.args = tuple(arg.partition("?")[0] if isinstance(arg, str) else arg for arg in record.args)
    return True


for _logger in ("urllib3.connection", "urllib3.connectionpool"):
    logging.getLogger(_logger).addFilter(_without_queries)


def _leave_alone(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request

"""Highwinds' API: requests with a token, and the token itself where it has to be got by password."""

from __future__ import annotations

import re
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from multicdn.http import Answer, Http
from multicdn.provider import CredentialsRefused, RetryLater, Secret

if TYPE_CHECKING:
    from multicdn.provider import Call

# A token isn't used in the last seconds of its life: the call must still arrive.
_EARLY = 30.0

_SECONDS = re.compile(r"\bin (\d{1,9}) seconds?", re.IGNORECASE)


class _TokenRefused(CredentialsRefused):
    """A 401: with a token got by password, its life may be over."""


class HighwindsApi:
    """The API below an endpoint.

    Args:
        endpoint, application: as in the provider's options.
        token: one that lives long; else there is a login.
        login: gets tokens.
    """

    def __init__(self, endpoint: str, application: str, token: Secret | None, login: Login | None) -> None:
        self._token = token
        self._login = login
        self._http = Http(endpoint, headers=partial(_headers, application), meaning={401: _TokenRefused})

    def prepare(self) -> None:
        """Make what requests need but for their connections."""
        self._http.prepare()
        if self._login is not None:
            self._login.prepare()

    def send(self, method: str, target: str, call: Call, json: object = None) -> Answer:
        """Send with a token; with one that isn't taken and can be replaced, replace it and send once more.

        Raises:
            ProviderError: as in the purge methods.
        """
        token = self._bearer(call)
        try:
            return self._send_with(token, method, target, call, json)
        except _TokenRefused:
            if self._login is None:
                raise
            self._login.forget(token)
        return self._send_with(self._bearer(call), method, target, call, json)

    def _send_with(self, token: str, method: str, target: str, call: Call, json: object) -> Answer:
        headers = {"Authorization": f"Bearer {token}"}
        return self._http.send(method, target, call, json=json, headers=headers, refusal=_told_to_wait)

    def _bearer(self, call: Call) -> str:
        if self._login is not None:
            return self._login.token(call)
        assert self._token is not None, "the provider checks that there is one of the two"
        return self._token.reveal()


class Login:
    """A token got with user name and password, kept until shortly before its end.

    Args:
        endpoint, application, user, password: as in the provider's options.
    """

    def __init__(self, endpoint: str, application: str, user: str, password: Secret) -> None:
        self._api = Http(endpoint, headers=partial(_headers, application), login=True)
        self._user = user
        self._password = password
        self._token = ""
        self._good_until = 0.0
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Make what a login needs but for its connection."""
        self._api.prepare()

    def token(self, call: Call) -> str:
        """Return a token, logging in where there is none.

        Raises:
            ProviderError: CredentialsRefused if the password isn't accepted, otherwise as in the purge methods.
        """
        with self._lock:
            if not self._token or time.monotonic() >= self._good_until:
                self._log_in(call)
            return self._token

    def forget(self, token: str) -> None:
        """Log in anew at the next call, unless that has happened since."""
        with self._lock:
            if self._token == token:
                self._token = ""

    def _log_in(self, call: Call) -> None:
        form = {"grant_type": "password", "username": self._user, "password": self._password.reveal()}
        answer = self._api.send("POST", "/auth/token", call, data=form, refusal=_login_refused)
        self._token = answer.text("access_token")
        if not self._token:
            raise RetryLater(f"the answer has no access_token: {answer.reason}")
        Secret.literal(self._token).reveal()  # blacked out from now on
        life = answer.json().get("expires_in")
        life = float(life) if isinstance(life, int | float) else float("inf")
        self._good_until = time.monotonic() + life - min(_EARLY, life / 2)


def _headers(application: str) -> dict[str, str]:
    return {"Accept": "application/json", **({"X-Application-Id": application} if application else {})}


def _login_refused(answer: Answer) -> CredentialsRefused | None:
    """OAuth servers answer 400 to a wrong password as well; it is never the fault of a target."""
    if answer.status in (400, 401, 403, 413, 414, 422) and not answer.is_page:
        return CredentialsRefused(answer.reason, about="account")
    return None


def _told_to_wait(answer: Answer) -> RetryLater | None:
    """Read the wait from the words of a 429 that comes without ``Retry-After``."""
    if answer.status != 429 or answer.headers.get("Retry-After"):
        return None
    _, retry, advice = answer.words.lower().partition("retry")
    seconds = _SECONDS.search(advice) if retry else None
    return RetryLater(answer.reason, after=float(seconds[1])) if seconds else None

"""Highwinds StrikeTracker on loopback: login, accounts, purge and its progress, and the edge.

Facts are from support.highwinds.com, the vendor's client ``striketracker`` 0.5.2 and jquery/codeorigin.jquery.com,
unless a comment says that the behaviour is a guess. The service itself ended in 2023.
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

from multicdn.simulators.kit.cache import Entry, Url
from multicdn.simulators.kit.edge import Edge
from multicdn.simulators.kit.http_server import Headers, Request, Response
from multicdn.simulators.kit.jobs import Jobs
from multicdn.simulators.kit.rates import SlidingWindow
from multicdn.simulators.kit.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from multicdn.simulators.kit.calls import ApiCall

URIS_PER_WINDOW = 100
WINDOW_SECONDS = 60.0
BAD_CREDENTIALS = 203

_USER_ID = 4711
_ACCOUNT_ROUTE = re.compile(
    r"/api/v1/accounts/(?P<account>[^/?]+)/"
    r"(?:(?P<what>purge|subaccounts)|users/(?P<user>\d+)/(?P<tokens>tokens)|purge/(?P<id>[^/?]+))"
)
_SWITCHES = ("recursive", "purgeAllDynamic", "invalidateOnly")


@dataclass(frozen=True, slots=True)
class PurgeEntry:
    """One entry of a purge: what it covers, and how it is purged."""

    url: Url
    schemes: tuple[str, ...]
    recursive: bool
    all_dynamic: bool
    invalidate_only: bool

    @classmethod
    def parse(cls, value: Any) -> PurgeEntry:
        """Read an entry of ``list``.

        Raises:
            ValueError, KeyError, TypeError: it isn't as documented.
        """
        switches = [value.get(name, False) for name in _SWITCHES]
        if not all(isinstance(switch, bool) for switch in switches):
            message = f"{', '.join(_SWITCHES)} must be booleans"
            raise ValueError(message)
        if value.get("headers") or value.get("purgeSelector"):
            message = "headers and purgeSelector aren't simulated"
            raise ValueError(message)
        text = value["url"]
        both = text.startswith("//")
        url = Url.parse(f"http:{text}" if both else text)
        return cls(url, ("http", "https") if both else (url.scheme,), *switches)

    def covers(self, entry: Entry) -> bool:
        """Tell if a cached answer falls under this entry."""
        if entry.url.host != self.url.host or entry.url.scheme not in self.schemes:
            return False
        if self.recursive:
            # All below a directory, or all variations of a file. That a name isn't a prefix of names is a guess.
            path = self.url.path
            return entry.url.path == path or entry.url.path.startswith(path if path.endswith("/") else f"{path}/")
        return entry.url.path == self.url.path if self.all_dynamic else entry.url.target == self.url.target


class HighwindsEdge(Edge):
    """Highwinds' cache: each URL by itself, scheme and query included."""

    def named(self, headers: Headers) -> dict[str, str]:
        """``X-HW``: moment, node and POP."""
        del headers
        return {"X-HW": f"{int(self.clock())}.cds001.{self.place.name.lower()}1.c"}

    def purge(self, items: Iterable[PurgeEntry]) -> None:
        """Delete or expire what these entries cover."""
        for item in items:
            self.purge_where(item.covers, soft=item.invalidate_only)


class _Token(NamedTuple):
    value: str
    good_until: float


class HighwindsSimulator(Simulator):
    """One account with its sub-accounts, and one user.

    Args:
        origin: base URL of the origin.
        account: hash of the account.
        sub_accounts: hashes of its sub-accounts. Each has a limit of its own, which is a guess.
        token: a long-lived token.
        user, password: of the one user.
        expires_in: life of a token got by password, in seconds.
        seconds: how long a purge takes.
        polls: instead, how many questions about its progress it takes.
        clock, limits, api_port, edge_port: as in ``Simulator``.

    Attributes:
        jobs: the accepted purges.
        logins: how often somebody logged in.
    """

    vendor = "highwinds"
    edge: HighwindsEdge

    def __init__(
        self,
        origin: str,
        *,
        account: str = "a1b2c3d4",
        sub_accounts: Iterable[str] = (),
        token: str = "simulated-highwinds-token",  # noqa: S107 - opens nothing but this simulator
        user: str = "ops@acme.com",
        password: str = "simulated-password",  # noqa: S107
        expires_in: float = 3600,
        seconds: float = 0.0,
        polls: int = 0,
        clock: Callable[[], float] = time.time,
        limits: bool = True,
        api_port: int = 0,
        edge_port: int = 0,
    ) -> None:
        self.account = account
        self.accounts = (account, *sub_accounts)
        self.token = token
        self.user = user
        self.password = password
        self.expires_in = expires_in
        self.logins = 0
        self.jobs = Jobs(clock, seconds, polls, lambda: self.topology.longest_delay)
        self._tokens = [_Token(token, math.inf)]
        self._windows = {name: SlidingWindow(URIS_PER_WINDOW, WINDOW_SECONDS, clock) for name in self.accounts}
        super().__init__(origin, clock=clock, limits=limits, api_port=api_port, edge_port=edge_port)

    def make_edge(self, origin: str) -> HighwindsEdge:
        """Make the edge."""
        return HighwindsEdge(origin, clock=self.clock)

    def settle(self) -> None:
        """Do the requests that are due."""
        self.jobs.settle()

    def options(self) -> dict[str, object]:
        """Endpoint and account."""
        return {**super().options(), "account": self.account}

    def secrets(self) -> dict[str, str]:
        """The long-lived token."""
        return {"token": self.token}

    def other_secrets(self) -> dict[str, str]:
        """The password of the user."""
        return {"password": self.password}

    def items(self, request: Request) -> int:
        """Entries of a purge."""
        return len(request.json()["list"])

    def revoke_logins(self) -> None:
        """Withdraw all tokens that were got by password, before their time."""
        self._tokens = [token for token in self._tokens if token.good_until == math.inf]

    def api(self, request: Request) -> Response:
        """Answer one call of the API. Statuses are guesses but for 200, for 401 at the login, and for 429."""
        if (request.method, request.target) == ("POST", "/auth/token"):
            return self._log_in(request)
        if not self._is_authorized(request):
            return _error(401, "the access token is missing, unknown or expired")
        if (request.method, request.target) == ("GET", "/api/v1/users/me"):
            return Response.json({"accountHash": self.account, "id": _USER_ID})
        route = _ACCOUNT_ROUTE.fullmatch(request.target)
        if route is None or route["account"] not in self.accounts:
            return _error(404, "no such account or resource")
        return self._answer_account(request, route)

    def _masked(self, request: Request, items: int) -> ApiCall:
        """Bodies that may hold the password aren't recorded."""
        call = super()._masked(request, items)
        return replace(call, body=b"***") if request.target.endswith(("/auth/token", "/tokens")) else call

    def _answer_account(self, request: Request, route: re.Match[str]) -> Response:
        match request.method, route["what"] or route["tokens"] or "progress":
            case "POST", "purge":
                return self._purge(request, route["account"])
            case "GET", "progress":
                return self._progress(route["id"])
            case "GET", "subaccounts":
                subs = [{"accountHash": name} for name in self.accounts[1:]] if route["account"] == self.account else []
                return Response.json({"list": subs})
            case "POST", "tokens":
                return self._new_token(request, int(route["user"]))
        return _error(405, "this method isn't allowed here")

    def _log_in(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs(request.body.decode("utf-8", "replace")).items()}
        if form.get("grant_type") != "password":
            return _error(400, "unknown grant_type")
        if (form.get("username"), form.get("password")) != (self.user, self.password):
            return _error(401, "the user credentials were incorrect", code=BAD_CREDENTIALS)
        self.logins += 1
        token = _Token(f"login-{self.logins}-{self.user}", self.clock() + self.expires_in)
        self._tokens.append(token)
        life = {"token_type": "bearer", "expires_in": self.expires_in, "refresh_token": f"refresh-{self.logins}"}
        return Response.json({"access_token": token.value, **life})

    def _is_authorized(self, request: Request) -> bool:
        given = request.headers.get("Authorization", "")
        now = self.clock()
        return any(given == f"Bearer {token.value}" and now < token.good_until for token in self._tokens)

    def _new_token(self, request: Request, user: int) -> Response:
        body = _object(request)
        if user != _USER_ID or body.get("password") != self.password:
            return _error(401, "the password is incorrect", code=BAD_CREDENTIALS)
        if not body.get("application"):
            return _error(400, "application is missing")
        token = _Token(f"{self.token}-{len(self._tokens)}", math.inf)
        self._tokens.append(token)
        return Response.json({"token": token.value})

    def _purge(self, request: Request, account: str) -> Response:
        try:
            entries = _object(request)["list"]
            items = [PurgeEntry.parse(entry) for entry in entries]
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            return _error(400, f"not as documented: {problem}")
        if not items:
            return _error(400, "list is empty")
        wait = self._windows[account].take(len(items)) if self.limits else 0.0
        if wait:
            seconds = math.ceil(wait)
            words = f"more than {URIS_PER_WINDOW} URLs in less than 60 seconds; you may retry this in {seconds} seconds"
            return _error(429, words, headers={"Retry-After": str(seconds)})
        work = self.jobs.submit("purge", [entry["url"] for entry in entries], lambda: self.edge.purge(items))
        return Response.json({"id": work.id})

    def _progress(self, number: str) -> Response:
        work = self.jobs.find("purge", number)
        return _error(404, "no such purge") if work is None else Response.json({"progress": self.jobs.progress(work)})


def _object(request: Request) -> dict[str, Any]:
    """The JSON object in a body; empty if it is anything else."""
    try:
        value = request.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _error(status: int, words: str, code: int | None = None, headers: dict[str, str] | None = None) -> Response:
    return Response.json({"error": words, "code": status if code is None else code}, status, headers)

"""What is done to botocore: data for the calls that a bundle makes and no others, and trust that is read only once.

Where botocore is inside other than it was, its clients are left as they are, and only cost more.
"""

from __future__ import annotations

import functools
import json
import os
import ssl
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore
from botocore.credentials import RefreshableCredentials
from botocore.endpoint_provider import RuleSetStandardLibrary
from botocore.exceptions import ConnectionError as NoConnectionError
from botocore.httpsession import URLLib3Session, create_urllib3_context, get_cert_path
from botocore.loaders import Loader
from botocore.session import Session

from multicdn import tls
from multicdn.bounds import bounded, obey_botocore, time_left
from multicdn.errors import told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The folder of a bundle, beside the packages: a file for each service, and one for what botocore reads for all.
FOLDER, COMMON = "multicdn_aws", "common"

# Members of a service's file: names of botocore's own files, and the functions that its rules for endpoints call.
MODEL, RULES, PAGES, FUNCTIONS = "service-2", "endpoint-rule-set-1", "paginators-1", "functions"

# Of so many environments, each with the bundle's data or without.
_SESSIONS = 4

# Seconds for a client with its credentials, and for which others wait while one is made: what gives the credentials, a
# service or a program, may hang.
_LONGEST, _LONGEST_OF_OTHERS = 10.0, 4.0

# What names such a source: docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
_SOURCES = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_PROFILE")


# Credentials that are renewed now and then; others stand in the environment.
_given: deque[RefreshableCredentials] = deque(maxlen=_SESSIONS)


class NotMadeError(NoConnectionError):
    """A client wasn't made in time. Whoever handles what botocore raises knows it as trouble that passes."""

    fmt = "the AWS {what} wasn't made within {seconds:.1f} s: does the source of its credentials hang{named}?"


def client(service: str, unfit: Callable[[str], object], **settings: Any) -> Any:
    """Make a client from the bundle's data where that has the service and will do, and else from botocore's own.

    Args:
        service: as botocore calls it.
        unfit: hears why the bundle's data will not do.
        settings: as for botocore.

    Raises:
        NotMadeError: it takes too long, or one that another thread makes does.
    """
    obey_botocore()
    made, trouble = _turns.take(f"client of {service}", functools.partial(_best, service, settings))
    if trouble:
        unfit(trouble)
    return made


def region() -> str | None:
    """The region of whoever names none."""
    found: str | None = _turns.take(
        "region", lambda: _session(_surroundings(), lean=True).get_config_variable("region")
    )
    return found


class _Turns:
    """Lets one thread after the other use a session: it isn't made for several, while its clients are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began = 0.0

    def take(self, what: str, use: Callable[[], Any]) -> Any:
        """Use a session within the bounds of this thread, or leave that behind, so that it ends while nobody waits.

        Raises:
            NotMadeError: it takes too long, or that of another thread does.
        """
        began = time.monotonic()
        until = began + (time_left(_LONGEST) or 0.0)
        if self._is_mine(until):
            self._began = time.monotonic()
            turn = _Turn(use, self._lock)
            try:
                turn.start()
            except RuntimeError:  # the process has no thread left
                turn.run()
            else:
                turn.join(max(0.0, until - time.monotonic()))
            if not turn.is_alive():
                return turn.result()
        named = ", ".join(name for name in _SOURCES if os.environ.get(name))
        raise NotMadeError(what=what, seconds=time.monotonic() - began, named=named and f" ({named})")

    def _is_mine(self, until: float) -> bool:
        """Wait for the turn of this thread. One that hangs keeps it, and nobody waits for that anew."""
        while True:
            left = min(until, self._began + _LONGEST_OF_OTHERS) - time.monotonic()
            if self._lock.acquire(timeout=max(0.0, left)):
                return True
            if left <= 0:
                return False


_turns = _Turns()


class _Turn(threading.Thread):
    """Uses a session, in a thread since nothing else can be left behind, and ends the turn of whoever started it."""

    def __init__(self, use: Callable[[], Any], lock: threading.Lock) -> None:
        super().__init__(name="multicdn-aws", daemon=True)
        self._use = use
        self._lock = lock
        self._error: BaseException | None = None
        self._made: Any = None

    def run(self) -> None:
        """Do it."""
        try:
            with bounded(_LONGEST):
                self._made = self._use()
        except BaseException as error:  # noqa: BLE001 - raised where somebody waits for it
            self._error = error
        finally:
            self._lock.release()

    def result(self) -> Any:
        """What was made; raises what making it raised."""
        if self._error is not None:
            raise self._error
        return self._made


def _best(service: str, settings: dict[str, Any]) -> tuple[Any, str]:
    """A client, and why the bundle's data will not do for it."""
    whole = functools.partial(_made, service, settings, lean=False)
    data = _session(_surroundings(), lean=True).get_component("data_loader")
    if not isinstance(data, LeanData):
        return whole(), ""
    try:
        if not data.has(service):
            return whole(), ""
        data.refuse_unfit(service)
        made = _made(service, settings, lean=True)
    except Exception as error:  # noqa: BLE001 - of data and code that don't match; or it isn't the data's fault
        made = whole()
        data.drop(service)
        return made, told(error)
    _add_the_rest(made, functools.cache(functools.partial(_turns.take, f"client of {service}", whole)))
    return made, ""


def _made(service: str, settings: dict[str, Any], *, lean: bool) -> Any:
    session = _session(_surroundings(), lean=lean)
    made = session.create_client(service, **settings)
    _share_trust(made)
    given = session.get_credentials()
    if isinstance(given, RefreshableCredentials) and given not in _given:
        _given.append(given)
    return made


def given_credentials() -> Iterator[str]:
    """What must not be shown of credentials that a service or a program has given, as it is now."""
    for each in tuple(_given):
        # Whoever asks for them by their names has them renewed.
        yield from filter(None, (getattr(each, "_secret_key", None), getattr(each, "_token", None)))


def _surroundings() -> frozenset[tuple[str, str]]:
    """What a session reads of the environment, once: credentials, profile, files."""
    return frozenset(item for item in os.environ.items() if item[0].startswith("AWS_") or item[0] == "HOME")


@functools.lru_cache(maxsize=_SESSIONS)
def _session(surroundings: frozenset[tuple[str, str]], *, lean: bool) -> Session:
    del surroundings
    session = Session()
    folder = Path(__file__).parents[1] / FOLDER
    # Models that somebody has put there are meant to be used.
    named = session.get_config_variable("data_path") or Path(Loader.CUSTOMER_DATA_PATH).is_dir()
    if lean and not named and folder.is_dir():
        session.register_component("data_loader", LeanData(folder))
    return session


class LeanData(Loader):
    """Data of a bundle; what it lacks comes from botocore's own.

    botocore itself would look through the folders of all services for the newest version of one, and read the endpoints
    of all.

    Args:
        folder: of the bundle.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._services: dict[str, dict[str, Any]] = {}

    def has(self, service: str) -> bool:
        """Whether there is data of a service."""
        return MODEL in self._members(service)

    def refuse_unfit(self, service: str) -> None:
        """See that botocore knows what the rules of a service call: it would fail with the first call, not before.

        Raises:
            LookupError: it is older than its data.
        """
        library = RuleSetStandardLibrary({})
        called = self._members(service).get(FUNCTIONS, ())
        if unknown := [name for name in called if not hasattr(library, library.convert_func_name(name))]:
            message = f"botocore {botocore.__version__} is older than its data: no {', '.join(unknown)}"
            raise LookupError(message)

    def drop(self, service: str) -> None:
        """Have nothing of a service from now on."""
        self._services[service] = {}

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        """See botocore."""
        members = self._members(service_name) if api_version is None else {}
        if type_name in members:
            return members[type_name]
        return super().load_service_model(service_name, type_name, api_version)

    def load_data_with_path(self, name: str) -> Any:
        """See botocore."""
        common = self._members(COMMON)
        if name in common:
            return common[name], str(Path(self.BUILTIN_DATA_PATH, name))  # from where it was taken
        return super().load_data_with_path(name)

    def _members(self, name: str) -> dict[str, Any]:
        if name not in self._services:
            self._services[name] = self._read(name)
        return self._services[name]

    def _read(self, name: str) -> dict[str, Any]:
        try:
            members: dict[str, Any] = json.loads((self._folder / f"{name}.json").read_bytes())
        except FileNotFoundError:
            return {}
        return members


def _add_the_rest(made: Any, whole: Callable[[], Any]) -> None:
    """Let calls that a bundle's data lacks be made by a client of all data: plugins may make more than they say."""

    def rest(event_name: str, **_: object) -> Any:
        name = event_name.rpartition(".")[2]
        return None if name.startswith("_") else getattr(whole(), name, None)

    made.meta.events.register(f"getattr.{made.meta.service_model.service_id.hyphenize()}", rest)


class _Trusting(URLLib3Session):
    """Connections by a context that knows its authorities: botocore would have them read again for each."""

    _verify: Any
    _cert_file: Any
    _proxy_config: Any
    _manager: Any
    _trusts = False

    def trust(self, url: str) -> None:
        """Use the context of this process for a service, or where other authorities are named one of theirs.

        Left alone are clients with proxies or certificates of their own, and those that are told to trust anybody.

        Raises:
            OSError: there are no authorities where they should be. Each call says so.
        """
        plain = self._cert_file is None and self._proxy_config.proxy_url_for(url) is None
        if plain and self._verify and url.startswith("https:"):
            self._manager.connection_pool_kw["ssl_context"] = _context_of(self._verify)
            self._trusts = True

    def _setup_ssl_cert(self, conn: Any, url: str, verify: Any) -> None:
        if self._trusts:
            conn.cert_reqs = "CERT_REQUIRED"
        else:
            if isinstance(verify, str):
                _context_of_file(verify)  # raises what is wrong with it, with its name, where there is something
            super()._setup_ssl_cert(conn, url, verify)  # type: ignore[misc]  # the stubs have what is public


def _share_trust(client: Any) -> None:
    with suppress(AttributeError, OSError):  # of a botocore that is another inside, and see above
        session: Any = client._endpoint.http_session  # noqa: SLF001 - nothing public leads there
        is_botocores = type(session) is URLLib3Session
        if is_botocores:
            session.__class__ = _Trusting
            session.trust(client.meta.endpoint_url)


def _context_of(verify: Any) -> ssl.SSLContext:
    # What ``multicdn.tls`` trusts; of the variables that it reads botocore asks only one.
    named = tls.named_authorities()
    if verify == (True if named is None else named.only):
        context = tls.context()
        # From 3.13 on it wants more of authorities than botocore does, and those of a company may not have it.
        if verify is True or not context.verify_flags & ssl.VERIFY_X509_STRICT:
            return context
    return _context_of_file(get_cert_path(verify))


@functools.cache
def _context_of_file(path: str) -> ssl.SSLContext:
    context: ssl.SSLContext = create_urllib3_context()
    try:
        context.load_verify_locations(path)
    except OSError as error:
        variables = (name for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE") if os.environ.get(name) == path)
        source = next(variables, "ca_bundle of the profile")
        raise tls.AuthoritiesError(f"{source} names {path}: {error.strerror or error}") from None
    return context

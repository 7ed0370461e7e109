"""AWS on this machine, for tests and the demo: S3 with its events, SQS, SNS, EventBridge, Lambda, IAM, CloudFront.

The work is done by ministack (https://pypi.org/project/ministack/), which pins its own botocore and therefore lives in
an environment of its own: ``made.py`` makes one, ``make aws-sim`` another. Nothing here ever talks to the real AWS.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from multicdn.installer.bundle.cache import default_folder, digest
from multicdn.testing.loopback.processes import LOOPBACK, Process, StartError, free_port

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

PROGRAM_VARIABLE = "MULTICDN_AWS_SIM"

# The versions that it was tried with; the Makefile installs the same.
MINISTACK = ("ministack==1.5.33", "boto3==1.43.106")

# What is put into its process.
_AMENDED = Path(__file__).parent / "amended"

REGION = "us-east-1"

PROGRAM = Path("bin/ministack")
_DEFAULT_PROGRAM = Path(".aws-sim") / PROGRAM
_DIGITS = 12
_SECRET = "loopback-only"  # noqa: S105 - both ends of a loopback connection agree on it; it opens nothing else
_PORT_TAKEN = "already in use"
_ATTEMPTS = 5
_START_TIMEOUT = 30.0

# It waits three seconds for open long polls to end; there is no state to save, so they are cut sooner.
_GRACE = 0.5


class LoopbackAws:
    """A whole AWS account on a free port of 127.0.0.1. A context manager; all state is lost at its end.

    Args:
        program: path of ministack; by default see ``find_program``.
        auth: whether the signatures of users and roles are checked, and their policies enforced, as on AWS. The
            account's root, whom ``client`` and ``environment`` speak for, may do anything either way.
        account: the account's twelve digits. Clients with another number see other queues, functions and topics.
        region: the account's region.

    Raises:
        FileNotFoundError: on entry, if there is no ministack; the text says how to get it.
        StartError: on entry, if it doesn't come up; the text ends with its log.
    """

    def __init__(
        self,
        program: str | Path | None = None,
        *,
        auth: bool = True,
        account: str = "123456789012",
        region: str = REGION,
    ) -> None:
        self.program = find_program(program)
        self.account = account
        self.region = region
        self._auth = auth
        self._port = 0
        self._process: Process | None = None
        self._session: Any = None
        self._clients: dict[str, Any] = {}

    def __enter__(self) -> Self:
        if not os.access(self.program, os.X_OK):
            message = (
                f"no AWS simulator at {self.program}: `multicdn demo` makes one, in a clone `make aws-sim` does, "
                f"or let {PROGRAM_VARIABLE} name one"
            )
            raise FileNotFoundError(message)
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def endpoint(self) -> str:
        """Base URL of every service; objects of public buckets are at ``{endpoint}/{bucket}/{key}``."""
        return f"http://{LOOPBACK}:{self._port}"

    def log(self) -> str:
        """The end of the server's log: its warnings and errors."""
        return self._process.tail() if self._process is not None else ""

    def environment(self) -> dict[str, str]:
        """Variables that turn any AWS SDK to this account. Put them over ``os.environ`` of a subprocess."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.account,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_SESSION_TOKEN": "",
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": LOOPBACK,
        }

    def client(self, service: str) -> Any:
        """The boto3 client of a service, signed in as the account's root. It is made once, for all threads."""
        if service not in self._clients:
            self._clients[service] = self._make_client(service)
        return self._clients[service]

    def messages(self, queue_url: str) -> list[dict[str, Any]]:
        """All messages of a queue, hidden and delayed ones, too. They are only looked at: none counts as received.

        Their members are those of ministack: ``MessageId``, ``Body``, ``SentTimestamp`` and ``VisibleAt`` in seconds,
        ``IsVisible``, ``ReceiveCount``, ``MessageAttributes``.

        Raises:
            OSError, ValueError: no answer, or none that can be read.
        """
        status, answer = self._ask("GET", f"/_ministack/sqs/messages?{urlencode({'QueueUrl': queue_url})}", timeout=5)
        if status != http.client.OK:
            message = f"the messages of {queue_url}: status {status}"
            raise OSError(message)
        regions = json.loads(answer)["messages"].values()
        return [
            message for region in regions for queues in region.values() for held in queues.values() for message in held
        ]

    def reset(self) -> None:
        """Delete all there is, in every account."""
        status, answer = self._ask("POST", "/_ministack/reset", timeout=10)
        if status != http.client.OK:
            message = f"reset: {status}: {answer.decode(errors='replace')}"
            raise RuntimeError(message)

    def _make_client(self, service: str) -> Any:
        import boto3
        from botocore.config import Config
        from botocore.session import Session

        if self._session is None:
            unread = dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
            core = Session(session_vars={**unread, "profile": (None, None, None, None)})
            self._session = boto3.session.Session(self.account, _SECRET, region_name=self.region, botocore_session=core)
        # No proxies: a developer's HTTP_PROXY isn't meant for this machine.
        config = Config(s3={"addressing_style": "path"}, proxies={}, retries={"total_max_attempts": 1})
        return self._session.client(service, endpoint_url=self.endpoint, config=config)

    def _start(self) -> None:
        for attempt in range(_ATTEMPTS):
            self._port = free_port()
            folder = Path(tempfile.mkdtemp(prefix="multicdn-aws-"))
            environment = self._server_environment(folder)
            self._process = Process([str(self.program)], env=environment, folder=folder, grace=_GRACE)
            try:
                self._process.wait_until(self._healthy, _START_TIMEOUT)
            except StartError as error:
                if _PORT_TAKEN not in str(error) or attempt == _ATTEMPTS - 1:
                    raise
                self._process.stop()
            else:
                return

    def _stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _healthy(self) -> bool:
        try:
            status, _ = self._ask("GET", "/_ministack/health", timeout=1)
        except OSError:
            return False
        return status == http.client.OK

    def _ask(self, method: str, path: str, timeout: float) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=timeout)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _server_environment(self, folder: Path) -> dict[str, str]:
        """Nothing of ours but the search path: functions inherit all of this, and must not see our AWS settings."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(_AMENDED),
            "GATEWAY_PORT": str(self._port),
            "BIND_HOST": LOOPBACK,  # its default is every interface
            "MINISTACK_HOST": LOOPBACK,
            "MINISTACK_ACCOUNT_ID": self.account,
            "MINISTACK_REGION": self.region,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AUTH": str(self._auth).lower(),
            "LOG_LEVEL": "WARNING",
            # These two would listen on fixed ports, the first of them on every interface.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            # A daemon's socket would be asked to remove containers of other ministacks.
            "DOCKER_HOST": f"unix://{folder}/no-docker.sock",
        }


def find_program(program: str | Path | None = None) -> Path:
    """Locate ministack: as named, else by ``$MULTICDN_AWS_SIM``, else below the current directory, else the user's own.

    The user's own is in the cache directory. Where there is none at all, its path says where one can be made.
    """
    named = program or os.environ.get(PROGRAM_VARIABLE)
    if named:
        return Path(named).absolute()
    here = _DEFAULT_PROGRAM.absolute()
    return here if here.exists() else own_folder() / PROGRAM


def own_folder() -> Path:
    """The folder of the user's own environment of ministack, made or not: another one for other versions of it."""
    place = digest(MINISTACK, sys.version_info[:2], sys.base_prefix)
    return default_folder("aws") / place[:_DIGITS]

"""Everything around the handler, on this machine: AWS, a bucket that tells a queue, and a simulated edge per provider.

The demo and the end-to-end tests run in it. The handler, the config and the secrets are the real ones: the environment
only adds the ``endpoint`` of each simulator to a copy of the config, and stores the simulators' secrets where the
config's references look for them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from multicdn import config as config_file
from multicdn import secrets
from multicdn.model import Action, Change, TargetKind
from multicdn.queue.sender import DEAD_LETTERS, QUEUE
from multicdn.routing.route import listed
from multicdn.routing.router import Router
from multicdn.testing.loopback.aws import LoopbackAws
from multicdn.testing.loopback.resources import make_public_bucket, make_queue, notify_queue, queue_depth
from multicdn.testing.loopback.simulators import SimulatorSettings, simulator_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from multicdn.simulators import Simulator

_TIMEOUT = 30.0
_POLL_INTERVAL = 0.02


class LocalEnvironment:
    """A context manager; everything in it is gone at its end.

    Args:
        config: the config file to run.
        auth: whether AWS on loopback checks signatures and policies.

    Attributes:
        aws: the AWS on loopback.
        edges: the simulator of each provider instance.
        queue: receives the buckets' notifications.
        buckets: names of the buckets in the config.
    """

    def __init__(self, config: Path, *, auth: bool = True) -> None:
        self.aws = LoopbackAws(auth=auth)
        self.edges: dict[str, Simulator] = {}
        self._config: dict[str, Any] = yaml.load(config.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - texts only
        self.buckets = list(
            dict.fromkeys(bucket for route in self._config["routes"] for bucket in listed(route["bucket"]))
        )
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="multicdn-local-")))
            stack.enter_context(self.aws)
            self.queue = make_queue(self.aws, "multicdn")
            origins = {bucket: self._make_bucket(bucket) for bucket in self.buckets}
            for name, options in self._config["providers"].items():
                self.edges[name] = stack.enter_context(self._make_edge(name, options, origins))
                options["endpoint"] = self.edges[name].endpoint
            self.config_path = self._folder / "multicdn.config.yml"
            self.config_path.write_text(yaml.safe_dump(self._config, sort_keys=False), encoding="utf-8")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def put(self, bucket: str, key: str, body: bytes, **settings: Any) -> None:
        """Upload an object."""
        self.aws.client("s3").put_object(Bucket=bucket, Key=key, Body=body, CacheControl="max-age=3600", **settings)

    def urls(self, bucket: str, keys: Iterable[str]) -> dict[str, dict[str, str]]:
        """Resolve the URL of each object at each edge, by the config's own routes.

        Returns:
            For each provider instance that purges by URL, the plainest URL of every key that it is told about.
        """
        config = config_file.load(self.config_path)
        router = Router(config.routes, config.providers)
        urls: dict[str, dict[str, str]] = {name: {} for name in self.edges}
        for key in keys:
            for demand in router.demands([Change(bucket, key)])[0]:
                targets = [target.value for target in demand.wants if target.kind is TargetKind.URL]
                if demand.action is Action.PURGE and targets:
                    urls[demand.provider].setdefault(key, self.edges[demand.provider].client_url(targets[0]))
        return urls

    def environment(self) -> dict[str, str]:
        """Variables for a process that runs the handler here."""
        queues = {QUEUE: self.queue.url, DEAD_LETTERS: self.queue.dead_letter_url}
        return {**os.environ, **self.aws.environment(), "MULTICDN_CONFIG": str(self.config_path), **queues}

    @contextlib.contextmanager
    def worker(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run ``multicdn worker`` on the queue until the end of the ``with`` statement.

        Args:
            arguments: further ones for the command.
        """
        command = [sys.executable, "-m", "multicdn", "worker", "--queue", self.queue.url, *arguments]
        log = self._folder / "worker.log"
        with log.open("ab") as output:
            process = subprocess.Popen(command, env=self.environment(), stdout=output, stderr=output)  # noqa: S603
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def worker_log(self) -> str:
        """Return the output of the workers so far."""
        log = self._folder / "worker.log"
        return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""

    def wait_until_quiet(self, seconds: float = _TIMEOUT) -> bool:
        """Wait until the queue holds no message, hidden ones included. False if it still does after so many seconds."""
        end = time.monotonic() + seconds
        while self.waiting():
            if time.monotonic() > end:
                return False
            time.sleep(_POLL_INTERVAL)
        return True

    def waiting(self) -> int:
        """Count the messages in the queue: visible, hidden and delayed ones."""
        return queue_depth(self.aws.client("sqs"), self.queue.url)

    def _make_bucket(self, name: str) -> str:
        url = make_public_bucket(self.aws, name)
        notify_queue(self.aws, name, self.queue)
        return url

    def _make_edge(self, name: str, options: dict[str, str], origins: Mapping[str, str]) -> Simulator:
        """Make the simulator that an instance's own options describe, and store its secrets."""
        routes = [
            route for route in self._config["routes"] if name in (*route.get("purge", ()), *route.get("preload", ()))
        ]
        bucket = listed(routes[0]["bucket"])[0] if routes else self.buckets[0]
        urls = [url for route in routes for url in route.get("urls", ())]
        settings = SimulatorSettings(origins[bucket], bucket, options, urls, self.aws.environment())
        simulator = simulator_for(options.get("type", name), settings)
        for option, value in simulator.secrets().items():
            if option in options:
                self._store(options[option], value)
        return simulator

    def _store(self, reference: str, value: str) -> None:
        """Put a secret where a reference of the config looks for it."""
        scheme, name = secrets.parse_reference(reference) or ("", "")
        if scheme != "ssm":
            raise ValueError(f"the environment stores secrets for ${{ssm:...}} references, not for {reference}")
        self.aws.client("ssm").put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)

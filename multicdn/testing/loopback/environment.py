"""Everything around the handler, on this machine: AWS, a bucket that tells a queue, and a simulated edge per provider.

``multicdn local``, the demo and the end-to-end tests run in it. The handler and the config are the real ones: a copy of
the config has the ``endpoint`` of each simulator, and the simulators' secrets are stored where it looks for them.
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

from multicdn import config as config_file
from multicdn.model import Action, Change, TargetKind
from multicdn.queue.sender import DEAD_LETTERS, QUEUE
from multicdn.routing.router import Router
from multicdn.simulators import SimulatorSettings, Topology
from multicdn.testing.loopback.aws import REGION, LoopbackAws
from multicdn.testing.loopback.config_copy import ConfigCopy
from multicdn.testing.loopback.resources import make_public_bucket, make_queue, notify_queue, queue_depth
from multicdn.testing.loopback.simulators import NoSimulator, simulator_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from multicdn.simulators import Simulator

_TIMEOUT = 30.0
_POLL_INTERVAL = 0.02


def _first(origins: Mapping[str, str]) -> str:
    return next(iter(origins.values()))


class LocalEnvironment:
    """A context manager; everything in it is gone at its end.

    Args:
        config: the config file to run; it is known to be right.
        auth: whether AWS on loopback checks signatures and policies.
        hasty: whether jobs wait in the queue for seconds alone, unless the config says how long they wait.
        site: makes the origin of an instance's edge of the URLs of its buckets, by their names; by default it is the
            first of them.
        topologies: places of CDNs by the names of their instances. The edge of one with ``pulls_from`` has that
            instance's edge for its origin in any case.

    Attributes:
        aws: the AWS on loopback.
        edges: the simulator of each provider instance.
        queue: receives the buckets' notifications.
        buckets: names of the buckets in the config.
        left_out: why there is no simulator for an instance, which the copy of the config does without.
        hastened: whether it was made hasty.
    """

    def __init__(
        self,
        config: Path,
        *,
        auth: bool = True,
        hasty: bool = False,
        site: Callable[[Mapping[str, str]], str] = _first,
        topologies: Mapping[str, Topology] | None = None,
    ) -> None:
        self._copy = ConfigCopy(config)
        self.aws = LoopbackAws(auth=auth, region=self._copy.region or REGION)
        self.edges: dict[str, Simulator] = {}
        self.buckets = self._copy.buckets
        self.left_out: dict[str, str] = {}
        self.hastened = hasty and self._copy.hasten()
        self._site = site
        self._topologies = dict(topologies or {})
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="multicdn-local-")))
            stack.enter_context(self.aws)
            self.queue = make_queue(self.aws, "multicdn")
            origins = {bucket: self._make_bucket(bucket) for bucket in self.buckets}
            self._make_edges(stack, origins)
            self.config_path = self._folder / "multicdn.config.yml"
            self._copy.write(self.config_path)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def put(self, bucket: str, key: str, body: bytes, **settings: Any) -> None:
        """Upload an object."""
        self.aws.client("s3").put_object(Bucket=bucket, Key=key, Body=body, CacheControl="max-age=3600", **settings)

    def has(self, bucket: str, key: str) -> bool:
        """Whether there is an object."""
        from botocore.exceptions import ClientError

        try:
            self.aws.client("s3").head_object(Bucket=bucket, Key=key)
        except ClientError:
            return False
        return True

    def router(self) -> Router:
        """Knows the config's routes."""
        config = config_file.load(self.config_path)
        return Router(config.routes, config.providers)

    def urls(self, bucket: str, keys: Iterable[str]) -> dict[str, dict[str, str]]:
        """Resolve the URL of each object at each edge, by the config's own routes.

        Returns:
            For each provider instance that purges by URL, the plainest URL of every key that it is told about.
        """
        router = self.router()
        urls: dict[str, dict[str, str]] = {name: {} for name in self.edges}
        for key in keys:
            for demand in router.demands([Change(bucket, key)])[0]:
                targets = [target.value for target in demand.wants if target.kind is TargetKind.URL]
                if demand.action is Action.PURGE and targets:
                    urls[demand.provider].setdefault(key, self.edges[demand.provider].client_url(targets[0]))
        return urls

    def looked_at(self, bucket: str, keys: Iterable[str]) -> dict[str, frozenset[str]]:
        """The keys of the objects whose new bytes the handler looks for, by the instances at whose edge it does."""
        router = self.router()
        found = {name: frozenset(key for key in keys if router.verify(bucket, key, name)) for name in self.edges}
        return {name: looked_at for name, looked_at in found.items() if looked_at}

    @property
    def tiers(self) -> list[tuple[str, str]]:
        """Pairs of instances of which the first fetches from the second."""
        return [(name, inner) for name in self.edges for inner in self._copy.inner_of(name) if inner in self.edges]

    def forget_messages(self) -> None:
        """Let nobody hear of what happened to the buckets so far, nor go on with what waits."""
        self.aws.client("sqs").purge_queue(QueueUrl=self.queue.url)

    def environment(self) -> dict[str, str]:
        """Variables for a process that runs the handler here."""
        queues = {QUEUE: self.queue.url, DEAD_LETTERS: self.queue.dead_letter_url}
        # Whatever the user's own settings say, nothing may go to the real AWS.
        others = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        files = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        return {**others, **files, **self.aws.environment(), "MULTICDN_CONFIG": str(self.config_path), **queues}

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

    def wait_for_worker(self, seconds: float = _TIMEOUT) -> bool:
        """Wait until a worker has done with a batch. False if none has after so many seconds."""
        end = time.monotonic() + seconds
        while '"invocation"' not in self.worker_log():
            if time.monotonic() > end:
                return False
            time.sleep(_POLL_INTERVAL)
        return True

    def wait_until_quiet(self, seconds: float = _TIMEOUT) -> bool:
        """Wait until the queue holds no message, hidden ones included. False if it still does after so many seconds.

        What is delayed waits for its time: a preload, for one, until its purge is done by the vendor's estimate.
        """
        end = time.monotonic() + seconds
        while queue_depth(self.aws.client("sqs"), self.queue.url, delayed=False):
            if time.monotonic() > end:
                return False
            time.sleep(_POLL_INTERVAL)
        return True

    def _make_bucket(self, name: str) -> str:
        url = make_public_bucket(self.aws, name)
        notify_queue(self.aws, name, self.queue)
        return url

    def _make_edges(self, stack: contextlib.ExitStack, origins: Mapping[str, str]) -> None:
        for name in self._copy.names:
            try:
                edge = self._make_edge(name, origins)
            except NoSimulator as error:
                self.left_out[name] = str(error)
                continue
            self.edges[name] = stack.enter_context(edge)
            secrets = {**edge.other_secrets(), **edge.secrets()}
            self._store(secrets, self._copy.simulate(name, edge.endpoint, secrets, via=edge.edge_url))
        self.edges = {name: self.edges[name] for name in self._copy.providers if name in self.edges}
        if not self.edges:
            raise ValueError(f"nothing to simulate: {'; '.join(self.left_out.values())}")
        for name in self.left_out:
            self._copy.leave_out(name)

    def _make_edge(self, name: str, origins: Mapping[str, str]) -> Simulator:
        """Make the simulator that an instance's own options describe."""
        buckets = self._copy.buckets_of(name)
        topology = self._topologies.get(name)
        inner = next((self.edges[each] for each in self._copy.inner_of(name) if each in self.edges), None)
        if inner is None:
            origin = self._site({bucket: origins[bucket] for bucket in buckets})
        else:
            origin, topology = inner.edge_url, topology or Topology()
            topology.forwards_host = True
        options, urls = self._copy.providers[name], self._copy.urls_of(name)
        environment = self.aws.environment()
        settings = SimulatorSettings(
            origin, buckets[0], options, urls, environment, others=buckets[1:], topology=topology
        )
        return simulator_for(self._copy.type_of(name), settings)

    def _store(self, values: Mapping[str, str], parameters: Mapping[str, str]) -> None:
        """Put secrets where the copy looks for them; any text will do for those that a simulator doesn't ask for."""
        for option, parameter in parameters.items():
            value = values.get(option) or "simulated"
            self.aws.client("ssm").put_parameter(Name=parameter, Value=value, Type="SecureString", Overwrite=True)

"""How long uploads wait for the vendors that are well: through the deployed stack, and through the worker.

AWS is on loopback. The installed function and the worker are the real ones, with the default settings.
"""

from __future__ import annotations

import contextlib
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from multicdn.testing.loopback.environment import LocalEnvironment
from multicdn.testing.loopback.resources import queue_depth

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from rig.sick_vendor import SickVendor

ROOT = Path(__file__).parents[2]

# Those of which the lag is measured. With them in a route is one that may be sick, or is paced.
WELL = ("fastly", "akamai")
SITE, PACED = "acme-site", "acme-paced"

_URLS = ["https://www.acme.com/{key}"]

# Uploads by which two processes load what the paced vendor needs.
_WARM = 2

_INTERVAL = 0.05
_PATIENCE = 90.0


class IsolationWorld:
    """AWS, vendors, and the function or the worker between them. A context manager.

    Args:
        sick: the vendor that may be sick.
        deployed: whether the installed function reads the queue, and not a worker.
        delivery: further settings of the config.
    """

    def __init__(self, sick: SickVendor, *, deployed: bool, delivery: Mapping[str, str] | None = None) -> None:
        self._sick = sick
        self._deployed = deployed
        self._uploads = 0
        self._delivery = dict(delivery or {})
        self._stack = contextlib.ExitStack()
        self._worker = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="multicdn-isolation-")))
            file = folder / "multicdn.config.yml"
            file.write_text(yaml.safe_dump(self._config()), encoding="utf-8")
            # Without authentication: the one on loopback wants rights for sending in batches that AWS doesn't have.
            self._stage = stack.enter_context(LocalEnvironment(file, auth=False))
            stack.push(self._worker)
            config = yaml.safe_load(self._stage.config_path.read_text(encoding="utf-8"))
            config["providers"]["sick"]["endpoint"] = self._sick.url
            self._stage.config_path.write_text(yaml.safe_dump(config), encoding="utf-8")
            self._sqs = self._stage.aws.client("sqs")
            self._queue = self._stage.queue.url
            if self._deployed:
                self._install()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def lags(self, state: str, uploads: int, every: float, *, renew: bool = True) -> dict[str, list[float]]:
        """Seconds from each upload until each vendor but the sick one is called for it.

        Args:
            state: of the vendor that may be sick; or ``paced``, where it is CloudFront's turn.
            uploads: how many.
            every: seconds from one to the next.
            renew: whether to begin with other processes, and not with those of the state before.

        Returns:
            By vendor. Infinite where no call came in time.
        """
        bucket, names = (PACED, (*WELL, "site")) if state == "paced" else (SITE, WELL)
        if renew:
            self._renew()
        self._sick.become("well" if state == "paced" else state)
        began = time.monotonic()
        sent: dict[str, float] = {}
        for number in range(uploads):
            time.sleep(max(0.0, began + number * every - time.monotonic()))
            key = self._key()
            sent[key] = time.time()
            self._stage.put(bucket, key, b"x")
        return {name: self._wait(name, sent) for name in names}

    def _key(self) -> str:
        self._uploads += 1
        return f"upload-{self._uploads:06}.css"

    def _wait(self, name: str, sent: Mapping[str, float]) -> list[float]:
        end = time.monotonic() + _PATIENCE
        while True:
            called = self._called(name)
            if all(key in called for key in sent) or time.monotonic() > end:
                return [called.get(key, math.inf) - at for key, at in sent.items()]
            time.sleep(_INTERVAL)

    def _called(self, name: str) -> dict[str, float]:
        """When a vendor was first called for each key."""
        called: dict[str, float] = {}
        for call in self._stage.edges[name].calls:
            for key in re.findall(r"upload-\d+\.css", f"{call.target} {call.body.decode()}"):
                called.setdefault(key, call.at)
        return called

    def _renew(self) -> None:
        """Begin with an empty queue and with processes that know of nothing, but are warm."""
        self._worker.close()
        self._sick.become("well")
        time.sleep(1.0)
        self._sqs.purge_queue(QueueUrl=self._queue)
        if self._deployed:
            client = self._stage.aws.client("lambda")
            client.update_function_configuration(FunctionName=self._function, Description=f"run {self._uploads}")
        else:
            self._worker.enter_context(self._stage.worker())
        self._sick.become("drowsy")
        for number, pause in enumerate((0.5, 0.5, 3.0, 0.5, 0.5, 0.0)):  # two invocations have to be under way at once
            self._stage.put(SITE, self._key(), b"x")
            if number < _WARM:  # more of them would wait for their pace
                self._stage.put(PACED, self._key(), b"x")
            time.sleep(pause)
        self._sick.become("well")
        end = time.monotonic() + _PATIENCE
        while queue_depth(self._sqs, self._queue) and time.monotonic() < end:
            time.sleep(_INTERVAL)

    def _install(self) -> None:
        """Install with the default settings but for what this machine forces, and let the worker's queue be."""
        for bucket in self._stage.buckets:
            none: dict[str, Any] = {}
            self._stage.aws.client("s3").put_bucket_notification_configuration(
                Bucket=bucket, NotificationConfiguration=none
            )
        command = [sys.executable, str(ROOT / "install.py"), "apply", "--yes", "--json"]
        environment = {**os.environ, **self._stage.aws.environment()}
        subprocess.run(  # noqa: S603 - our own
            [*command, "--config", str(self._stage.config_path)], env=environment, stdout=subprocess.DEVNULL, check=True
        )
        self._queue = next(
            url for url in self._sqs.list_queues()["QueueUrls"] if re.search(r"/multicdn-(?!.*(dlq|dead))", url.lower())
        )
        functions = self._stage.aws.client("lambda").list_functions()["Functions"]
        [self._function] = [function["FunctionName"] for function in functions]

    def _config(self) -> dict[str, Any]:
        example = yaml.load((ROOT / "multicdn.config.yml").read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - texts only
        providers = {name: example["providers"][name] for name in (*WELL, "site")}
        for options in providers.values():
            options.pop("pulls_from", None)  # what waits for another by its config isn't what is measured
        providers["sick"] = {**providers["fastly"], "type": "fastly"}
        machine = {"aarch64": "arm64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())
        return {
            "version": 1,
            "providers": providers,
            "routes": [
                {"bucket": SITE, "urls": _URLS, "purge": ["sick", *WELL]},
                {"bucket": PACED, "urls": _URLS, "purge": ["site", *WELL]},
            ],
            "install": {"architecture": machine, "python": _python(self._aws_python())},
            **({"delivery": self._delivery} if self._delivery else {}),
        }

    def _aws_python(self) -> Path:
        from multicdn.testing.loopback.aws import find_program

        return find_program().with_name("python")


def _python(program: Path) -> str:
    """Version of the Python that runs functions on loopback."""
    answer = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    found = re.search(r"3\.\d+", answer.stdout)
    assert found, answer.stdout
    return found[0]


def percentile(values: list[float], share: float) -> float:
    """The smallest value that so many are no larger than."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


@contextlib.contextmanager
def worlds(modes: list[str], **settings: Any) -> Iterator[dict[str, tuple[IsolationWorld, SickVendor]]]:
    """A world for each of ``deployed`` and ``worker``, with a sick vendor of its own."""
    from rig.sick_vendor import SickVendor

    with contextlib.ExitStack() as stack:
        made = {}
        for mode in modes:
            sick = stack.enter_context(SickVendor())
            made[mode] = (stack.enter_context(IsolationWorld(sick, deployed=mode == "deployed", **settings)), sick)
        yield made

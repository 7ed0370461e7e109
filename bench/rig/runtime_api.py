"""One process under Lambda's Runtime API: docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
import uuid
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from multicdn.simulators.kit.http_server import Request, Response, Server
from rig.processor_share import ProcessorShare, processor_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

_API = "/2018-06-01/runtime"

# docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: request and response, each.
MOST_BYTES = 6 * 1024 * 1024

# Seconds to read what a killed process had written.
_DRAIN_SECONDS = 5.0


class InvocationEvent(NamedTuple):
    """An event for a handler: id of the request, JSON, and the deadline in seconds since 1970."""

    id: str
    body: bytes
    deadline: float


class RuntimeSignal(NamedTuple):
    """A sign of life, or of its end, of a process.

    Attributes:
        kind: ``ready``, ``response``, ``error``, ``init`` (failed, or a restore did), ``exit``, ``snapshot`` (it may be
            taken), or ``timeout`` where none came.
        body: of a response or error.
        status: of an exit.
    """

    kind: str
    body: bytes = b""
    status: int = 0


class RuntimeProcess:
    """One process and a Runtime API of its own: a killed process may still hang in a poll, and must not steal events.

    Args:
        command: starts the runtime client.
        folder: of the code.
        variables: the whole environment.
        log: takes what the process writes.
        arn: of the function.
    """

    def __init__(
        self, command: list[str], folder: Path, variables: Mapping[str, str], log: list[str], arn: str
    ) -> None:
        self._arn = arn
        self._events: SimpleQueue[InvocationEvent | None] = SimpleQueue()
        self._signals: SimpleQueue[RuntimeSignal] = SimpleQueue()
        self._restored = threading.Event()
        self._current = ""
        self._memory = 0
        self._cpu = 0.0
        self._share = ExitStack()
        self._server = Server(self._answer).start()
        address = self._server.url.removeprefix("http://")
        self._process = subprocess.Popen(  # noqa: S603 - tests say what to run
            command,
            cwd=folder,
            env={**variables, "AWS_LAMBDA_RUNTIME_API": address},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._watcher = threading.Thread(target=self._watch, args=(log,), daemon=True)
        self._watcher.start()

    def wait_until_ready(self, seconds: float) -> RuntimeSignal:
        """Wait for the next poll. Any other signal, ``timeout`` included, means that the process must be replaced."""
        return self._wait_for_signal(time.monotonic() + seconds)

    def restore(self) -> None:
        """Let a process go on that waits to be a snapshot."""
        self._restored.set()

    def give(self, event: InvocationEvent) -> RuntimeSignal:
        """Hand over an event and wait for the answer, until the event's deadline."""
        self._current = event.id
        until = time.monotonic() + event.deadline - time.time()
        self._events.put(event)
        return self._wait_for_signal(until)

    def memory(self) -> int:
        """Read the most bytes that the process has had in memory.

        Its own high-water mark: the one that ``wait4`` gives also counts our memory, from which it was forked.
        """
        with suppress(OSError):
            for line in Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii").splitlines():
                if line.startswith("VmHWM:"):
                    self._memory = int(line.split()[1]) * 1024
        return self._memory

    def cpu(self) -> float:
        """Read the processor's seconds that the process has had."""
        with suppress(OSError):
            self._cpu = processor_seconds(self._process.pid)
        return self._cpu

    def throttle(self, share: float) -> None:
        """Leave it a share of a processor from now on."""
        self._share.enter_context(ProcessorShare(self._process, share))

    def stop(self) -> None:
        """Kill the process and all that it started, and close its API."""
        self._share.close()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._watcher.join(_DRAIN_SECONDS)
        self._restored.set()
        self._events.put(None)
        self._server.stop()

    def _wait_for_signal(self, until: float) -> RuntimeSignal:
        try:
            return self._signals.get(timeout=max(0.0, until - time.monotonic()))
        except Empty:
            return RuntimeSignal("timeout")

    def _watch(self, log: list[str]) -> None:
        assert self._process.stdout is not None, "it was started with a pipe"
        with self._process.stdout as written:
            for line in written:
                # The client writes \r within one log record, which ends with \n.
                log.append(line.decode(errors="replace").rstrip().replace("\r", "\n"))  # noqa: PERF401 - read meanwhile
        self._signals.put(RuntimeSignal("exit", status=self._process.wait()))

    def _answer(self, request: Request) -> Response:
        path = request.path.removeprefix(_API)
        if (request.method, path) == ("GET", "/invocation/next"):
            return self._next()
        if (request.method, path) == ("GET", "/restore/next"):
            self._signals.put(RuntimeSignal("snapshot"))
            self._restored.wait()
            return Response(200)
        if (request.method, path) in (("POST", "/init/error"), ("POST", "/restore/error")):
            return self._take(RuntimeSignal("init", request.body))
        _, _, request_id, kind = f"{path}///".split("/")[:4]
        if request.method != "POST" or kind not in ("response", "error"):
            return Response(404)
        if request_id != self._current:
            return _error(400, "InvalidRequestID", "the request has ended, or never was")
        if len(request.body) > MOST_BYTES:
            too_large = {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": f"{len(request.body)} bytes"}
            self._take(RuntimeSignal("error", json.dumps(too_large).encode()))
            return _error(413, "RequestEntityTooLarge", "the response exceeds 6 MB")
        return self._take(RuntimeSignal(kind, request.body))

    def _next(self) -> Response:
        self._signals.put(RuntimeSignal("ready"))
        event = self._events.get()
        if event is None:
            return Response(500)
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": event.id,
            "Lambda-Runtime-Deadline-Ms": str(int(event.deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": self._arn,
            "Lambda-Runtime-Trace-Id": f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Sampled=0",
        }
        return Response(200, headers, event.body)

    def _take(self, reported: RuntimeSignal) -> Response:
        self._current = ""
        self._signals.put(reported)
        return Response.json({"status": "OK"}, 202)


def _error(status: int, kind: str, text: str) -> Response:
    return Response.json({"errorType": kind, "errorMessage": text}, status)

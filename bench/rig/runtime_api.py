"""One process under Lambda's Runtime API: docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from multicdn.simulators.kit.http_server import Request, Response, Server

if TYPE_CHECKING:
    from collections.abc import Mapping

_API = "/2018-06-01/runtime"

# docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: request and response, each.
MOST_BYTES = 6 * 1024 * 1024

# Seconds to read what a killed process had written.
_LAST_WORDS = 5.0


class Event(NamedTuple):
    """What a handler gets: id of the request, JSON, and the moment at which its time ends, in seconds since 1970."""

    id: str
    body: bytes
    deadline: float


class Heard(NamedTuple):
    """What a process did: ``ready``, ``response``, ``error``, ``init`` (failed), or ``exit`` with its status."""

    what: str
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
        self._events: SimpleQueue[Event | None] = SimpleQueue()
        self._heard: SimpleQueue[Heard] = SimpleQueue()
        self._current = ""
        self._memory = 0
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

    def wait_until_ready(self, seconds: float) -> Heard:
        """Wait for the next poll; what else comes, ``timeout`` included, means that the process is no good any more."""
        return self._hear(time.monotonic() + seconds)

    def give(self, event: Event) -> Heard:
        """Hand over an event and wait for the answer, until the event's deadline."""
        self._current = event.id
        until = time.monotonic() + event.deadline - time.time()
        self._events.put(event)
        return self._hear(until)

    def memory(self) -> int:
        """The most bytes that the process has had in memory.

        Its own high-water mark: the one that ``wait4`` gives also counts our memory, from which it was forked.
        """
        with suppress(OSError):
            for line in Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii").splitlines():
                if line.startswith("VmHWM:"):
                    self._memory = int(line.split()[1]) * 1024
        return self._memory

    def stop(self) -> None:
        """Kill the process and all that it started, and close its API."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._watcher.join(_LAST_WORDS)
        self._events.put(None)
        self._server.stop()

    def _hear(self, until: float) -> Heard:
        try:
            return self._heard.get(timeout=max(0.0, until - time.monotonic()))
        except Empty:
            return Heard("timeout")

    def _watch(self, log: list[str]) -> None:
        assert self._process.stdout is not None, "it was started with a pipe"
        with self._process.stdout as written:
            for line in written:
                # The client writes \r within one log record, which ends with \n.
                log.append(line.decode(errors="replace").rstrip().replace("\r", "\n"))  # noqa: PERF401 - read meanwhile
        self._heard.put(Heard("exit", status=self._process.wait()))

    def _answer(self, request: Request) -> Response:
        path = request.path.removeprefix(_API)
        if (request.method, path) == ("GET", "/invocation/next"):
            return self._next()
        if (request.method, path) == ("POST", "/init/error"):
            return self._take(Heard("init", request.body))
        _, _, name, what = f"{path}///".split("/")[:4]
        if request.method != "POST" or what not in ("response", "error"):
            return Response(404)
        if name != self._current:
            return _refusal(400, "InvalidRequestID", "the request has ended, or never was")
        if len(request.body) > MOST_BYTES:
            too_large = {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": f"{len(request.body)} bytes"}
            self._take(Heard("error", json.dumps(too_large).encode()))
            return _refusal(413, "RequestEntityTooLarge", "the response exceeds 6 MB")
        return self._take(Heard(what, request.body))

    def _next(self) -> Response:
        self._heard.put(Heard("ready"))
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

    def _take(self, heard: Heard) -> Response:
        self._current = ""
        self._heard.put(heard)
        return Response.json({"status": "OK"}, 202)


def _refusal(status: int, kind: str, text: str) -> Response:
    return Response.json({"errorType": kind, "errorMessage": text}, status)

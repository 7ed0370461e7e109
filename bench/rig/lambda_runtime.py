"""Lambda on loopback: one function, run by AWS's own runtime client (awslambdaric) as Lambda runs it.

    with LambdaFunction(Path("bundle.zip"), environment={"AWS_REGION": "eu-west-1"}) as function:
        answer = function.invoke(event)

The function's process sees its own code, what Lambda's runtime brings, the standard library, and nothing else that is
installed here. The API is docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html. Not there: a limit of memory,
freezing between invocations, concurrency (make two functions), extensions, streaming. Of SnapStart there are its hooks;
the process that was to be copied goes on itself.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import uuid
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multicdn.installer.bundle.sources import link
from rig.runtime_api import MOST_BYTES, InvocationEvent, RuntimeProcess, RuntimeSignal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

# docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html: what the init phase may take.
_INIT_SECONDS = 10.0
# docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html: what the hooks after a restore may take.
_RESTORE_SECONDS = 10.0
# After its answer a process asks for the next event. Lambda counts that time too, but it is next to nothing.
_RETURN_SECONDS = 5.0

# Distributions that Lambda's runtime brings beside Python.
CLIENT = ("awslambdaric", "simplejson", "snapshot-restore-py")
SDK = ("boto3", "botocore", "jmespath", "s3transfer", "python-dateutil", "six", "urllib3")

_ACCOUNT = "123456789012"


@dataclass(frozen=True)
class InvocationFailure:
    """The cause of a failed invocation.

    Attributes:
        type: name of the exception, or Lambda's own word, such as ``Sandbox.Timedout``.
        message: as the caller of the function sees it.
        trace: lines of the traceback, if there is one.
    """

    type: str
    message: str
    trace: tuple[str, ...] = ()


@dataclass(frozen=True)
class Invocation:
    """The result of one event.

    Attributes:
        id: of the request.
        payload: what the handler returned, or None if it failed.
        failure: why it failed, or None.
        seconds: from the event to the answer, without the start of the process.
        init_seconds: from the start of the process, or its restore, until it was ready for the first event; None if it
            ran already.
        memory: the most bytes that the process has had in memory so far.
        cpu: seconds of the processor that the process has had so far.
    """

    id: str
    payload: Any
    failure: InvocationFailure | None
    seconds: float
    init_seconds: float | None
    memory: int
    cpu: float


class LambdaFunction:
    """A deployed function. A context manager; its process starts with the first event, as on Lambda.

    Args:
        code: the bundle: an archive, or the folder that it was unpacked to.
        handler: as Lambda's setting of that name.
        environment: the function's variables, credentials for AWS among them: those of this process aren't passed on.
        timeout: seconds that an invocation may take.
        memory: megabytes that the function is told it has.
        sdk: whether there is a boto3 beside the code, as in Lambda's own runtime: the one that is installed here.
        runtime: a folder that ``rig.packages`` has filled; else what is installed here is linked, compiled or not.
        share: of a processor, once the process has started: Lambda lets that be quick.
        name: of the function.

    Attributes:
        log: lines that the function has written so far.
    """

    def __init__(
        self,
        code: Path,
        *,
        handler: str = "multicdn.handler.handler",
        environment: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        memory: int = 512,
        sdk: bool = True,
        runtime: Path | None = None,
        share: float | None = None,
        name: str = "multicdn",
    ) -> None:
        self.log: list[str] = []
        self._code = code
        self._handler = handler
        self._given = dict(environment or {})
        self._timeout = timeout
        self._memory = memory
        self._sdk = sdk
        self._given_runtime = runtime
        self._share = share
        self._name = name
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._running: RuntimeProcess | None = None
        self._is_snapshot = False

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="multicdn-lambda-")
        self._home = self._folder.name
        self._task = Path(self._home, "task")
        self._runtime = self._given_runtime or Path(self._home, "runtime")
        if self._code.is_dir():
            self._task = self._code.absolute()
        else:
            with zipfile.ZipFile(self._code) as archive:
                archive.extractall(self._task)
        if self._given_runtime is None:
            self._runtime.mkdir()
            link((*CLIENT, *(SDK if self._sdk else ())), self._runtime)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._folder is not None:
            self._folder.cleanup()

    def stop(self) -> None:
        """End the process, as Lambda does after some idle minutes. The next event starts another."""
        if self._running is not None:
            self._running.stop()
            self._running, self._is_snapshot = None, False

    def snapshot(self) -> None:
        """Start a process as SnapStart does, and let it rest where it would be copied. The next event restores it.

        Raises:
            RuntimeError: it doesn't come so far.
        """
        self.stop()
        signal = self._start("snap-start")
        if signal.kind != "snapshot":
            raise RuntimeError(f"{signal}\n" + "\n".join(self.log))
        self._is_snapshot = True

    def invoke(self, event: object) -> Invocation:
        """Hand an event to the function, starting its process if need be, and return what came of it.

        Raises:
            ValueError: the event is larger than Lambda takes.
        """
        body = json.dumps(event).encode()
        if len(body) > MOST_BYTES:
            raise ValueError(f"the event has {len(body)} bytes, and Lambda takes {MOST_BYTES}")
        request, init_seconds = str(uuid.uuid4()), None
        if self._running is None or self._is_snapshot:
            began = time.perf_counter()
            signal = self._restore() if self._is_snapshot else self._start()
            init_seconds = time.perf_counter() - began
            if signal.kind != "ready":
                return self._ended(request, signal, init_seconds=init_seconds, limit=_INIT_SECONDS)
        assert self._running is not None, "it has just been started"
        began = time.perf_counter()
        signal = self._running.give(InvocationEvent(request, body, time.time() + self._timeout))
        seconds = time.perf_counter() - began
        return self._ended(request, signal, seconds=seconds, init_seconds=init_seconds, limit=self._timeout)

    def _restore(self) -> RuntimeSignal:
        assert self._running is not None, "it was started to be a snapshot"
        self._is_snapshot = False
        self._running.restore()
        return self._running.wait_until_ready(_RESTORE_SECONDS)

    def _start(self, kind: str = "on-demand") -> RuntimeSignal:
        # -S: the packages installed here are no part of Lambda.
        command = [sys.executable, "-S", "-s", "-m", "awslambdaric", self._handler]
        arn = f"arn:aws:lambda:{self._variables()['AWS_REGION']}:{_ACCOUNT}:function:{self._name}"
        variables = {**self._variables(), "AWS_LAMBDA_INITIALIZATION_TYPE": kind}
        self._running = RuntimeProcess(command, self._task, variables, self.log, arn)
        signal = self._running.wait_until_ready(_INIT_SECONDS)
        self._running.memory()  # in case that it doesn't live long enough to be asked again
        if signal.kind == "ready" and self._share is not None:
            self._running.throttle(self._share)
        return signal

    def _variables(self) -> dict[str, str]:
        """The whole environment, after lambda/latest/dg/configuration-envvars.html; nothing of this process."""
        region = self._given.get("AWS_REGION", "us-east-1")
        return {
            "PATH": os.defpath,
            "HOME": self._home,  # where there is no .aws
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PYTHONPATH": f"{self._task}{os.pathsep}{self._runtime}",
            "PYTHONDONTWRITEBYTECODE": "1",  # Lambda can't: the code's folder is read-only there
            "LAMBDA_TASK_ROOT": str(self._task),
            "LAMBDA_RUNTIME_DIR": str(self._runtime),
            "_HANDLER": self._handler,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_LAMBDA_FUNCTION_NAME": self._name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self._memory),
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{self._name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "loopback",
            "AWS_EC2_METADATA_DISABLED": "true",
            **self._given,
        }

    def _ended(
        self, request: str, signal: RuntimeSignal, *, limit: float, init_seconds: float | None, seconds: float = 0.0
    ) -> Invocation:
        """Turn a signal into the result, and leave the process ready for the next event, or gone."""
        assert self._running is not None, "it gave a signal"
        memory, cpu = self._running.memory(), self._running.cpu()
        is_sound = signal.kind in ("response", "error")
        if not is_sound or self._running.wait_until_ready(_RETURN_SECONDS).kind != "ready":
            self.stop()
        failure = None if signal.kind == "response" else _failure(request, signal, limit)
        payload = json.loads(signal.body) if failure is None else None
        return Invocation(request, payload, failure, seconds, init_seconds, memory, cpu)


def _failure(request: str, signal: RuntimeSignal, limit: float) -> InvocationFailure:
    """Word the failure for the caller of the function; ``limit`` is the time that it had."""
    if signal.kind == "timeout":
        return InvocationFailure(
            "Sandbox.Timedout", f"RequestId: {request} Error: Task timed out after {limit:.2f} seconds"
        )
    if signal.kind == "exit":
        how = f"signal: {-signal.status}" if signal.status < 0 else f"exit status {signal.status}"
        return InvocationFailure("Runtime.ExitError", f"RequestId: {request} Error: Runtime exited with error: {how}")
    error = json.loads(signal.body)
    return InvocationFailure(error["errorType"], error["errorMessage"], tuple(error.get("stackTrace") or ()))

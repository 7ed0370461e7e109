"""A real Varnish as a caching edge that takes Fastly's purge calls: the proof that what our plugin sends purges.

The API's and the edge's host are one port. See edge.vcl, and ``INSTALL`` for what is needed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from multicdn.simulators.kit.client import Client
from multicdn.simulators.kit.http_server import Request, Response, Server
from multicdn.testing.loopback.processes import LOOPBACK, Process

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

INSTALL = "apt-get install -y --no-install-recommends varnish varnish-modules"

TOKEN = "loopback-fastly-token"
SERVICE = "SU1Z0isxPaozGVKXdv0eY"

_VCL = Path(__file__).with_name("edge.vcl")
_START_TIMEOUT = 30.0

# A batch of 256 keys of 1 KB each must fit into one header line between the reader and Varnish.
_PARAMETERS = {
    "http_resp_hdr_len": "300k",
    "http_resp_size": "400k",
    "workspace_backend": "1m",
    "workspace_client": "1m",
}


def missing() -> str:
    """Say how to get what isn't there: varnishd or the module that knows surrogate keys. Empty if all is there."""
    modules = Path("/usr/lib").glob("*/varnish/vmods/libvmod_xkey.so")
    return "" if _program("varnishd") and any(modules) else f"no Varnish with xkey here: {INSTALL}"


class Varnish:
    """A caching edge in front of an origin. A context manager.

    Args:
        origin: port of the origin on this machine.
        token: what it takes as ``Fastly-Key``.
        service: the only service that it knows.
    """

    def __init__(self, origin: int, *, token: str, service: str) -> None:
        self._fields = {"ORIGIN": str(origin), "TOKEN": token, "SERVICE": service}
        self._reader = Server(_read_keys)
        self._process: Process | None = None

    def __enter__(self) -> Self:
        self._reader.start()
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.stop()
        self._reader.stop()

    @property
    def endpoint(self) -> str:
        """Base URL of the purge API."""
        return f"http://{LOOPBACK}:{self._port}"

    def get(self, url: str) -> Response:
        """Ask the edge for ``http://host/path``. ``X-Cache`` is MISS, HIT or STALE."""
        parts = urlsplit(url)
        client = Client(self.endpoint)
        try:
            return client.send("GET", url.partition(parts.netloc)[2] or "/", {"Host": parts.netloc})
        finally:
            client.close()

    def _start(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="multicdn-varnish-"))
        vcl = _VCL.read_text(encoding="utf-8")
        fields = {**self._fields, "READER": self._reader.url.rpartition(":")[2]}
        (folder / "edge.vcl").write_text(re.sub("@([A-Z]+)@", lambda match: fields[match[1]], vcl), encoding="utf-8")
        # No jail: it runs as whoever we are. Port 0: Varnish takes a free one, and is asked which.
        command = [_program("varnishd"), "-F", "-j", "none", "-n", f"{folder}/work", "-a", f"{LOOPBACK}:0"]
        command += ["-f", f"{folder}/edge.vcl", "-s", "malloc,64m"]
        for name, value in _PARAMETERS.items():
            command += ["-p", f"{name}={value}"]
        environment = {"PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin", "HOME": str(folder)}
        self._process = Process(command, env=environment, folder=folder)
        self._work, self._port = folder / "work", 0
        self._process.wait_until(self._listening, _START_TIMEOUT)

    def _listening(self) -> bool:
        """Whether the worker process runs; notes its port."""
        command = [_program("varnishadm"), "-n", str(self._work), "debug.listen_address"]
        asked = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        found = re.search(rf"^\S+ {re.escape(LOOPBACK)} (\d+)$", asked.stdout, re.MULTILINE)
        self._port = int(found[1]) if found else 0
        return self._port > 0


def _program(name: str) -> str:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin:/sbin") or ""


def _read_keys(request: Request) -> Response:
    """Answer a batch as Fastly does, with a flat map, and hand its keys to the VCL in a header that stays inside."""
    keys = _keys(request)
    if not keys or len(keys) > 256 or max(len(key.encode()) for key in keys) > 1024:
        return Response.json({"msg": "Bad request"}, 400)
    moment = int(time.time())
    ids = {key: f"4151-{moment}-{zlib.crc32(key.encode())}" for key in keys}
    return Response.json(ids, headers={"Surrogate-Key": " ".join(keys)})


def _keys(request: Request) -> list[str]:
    """The keys in the body or, without one, in the header: Fastly takes either."""
    try:
        body: Any = request.json() if request.body else {"surrogate_keys": request.headers["Surrogate-Key"].split()}
        return [str(key) for key in body["surrogate_keys"]]
    except (ValueError, KeyError, TypeError):
        return []

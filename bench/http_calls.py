"""What a call of ``multicdn.http`` takes of the processor, on a kept connection and on a new one.

    python bench/http_calls.py [--quick]

The floor of a call is urllib3's own pool with the plugin's headers, limits of time and no retries. A new connection
over TLS stands beside urllib3's pool with a context that is there already, and beside one that is given the file of
the authorities, which it reads for each connection. The server is another process.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import certifi
import urllib3
from rig import report
from rig.certificates import certificate
from rig.figures import compared_times, interleaved, timed
from rig.loopback_server import LoopbackServer

from multicdn import tls
from multicdn.http import Http
from multicdn.installer.bundle import authorities
from multicdn.provider import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rig.figures import Figure, Spent

TITLE = "Calls to vendors, without what the vendors take"

ROWS = (
    "CPU, a call",
    "CPU, a call with JSON",
    "CPU, a new TLS connection",
    "CPU, a new TLS connection, of reading the authorities",
    "CPU, the authorities of a start",
)

# At most: of urllib3's pool; of one that reads the authorities for each connection, which is 2 ms where that took 17.
_MOST_OF_POOL, _MOST_OF_NAIVE = 1.3, 0.12
# Of reading all authorities, as a start did.
_MOST_OF_ALL = 0.1

_CALL = Call(connect=2.0, read=5.0)
_HEADERS = {"Fastly-Key": "x" * 32, "Accept": "application/json"}
_TARGET = "/purge/www.acme.com/assets/stylesheets/2026/style-00001.css"
_PURGE = {"urls": [f"https://www.acme.com/assets/style-{number:05}.css" for number in range(30)]}

# At once: few, so that what else the machine does hits all cases alike.
_CALLS, _CONNECTIONS = 50, 5


def figures(*, quick: bool) -> Iterator[Figure]:
    """Measure calls, then connections."""
    rounds = 20 if quick else 100
    with LoopbackServer() as server:
        api = Http(f"http://127.0.0.1:{server.port}", headers=lambda: _HEADERS)
        pool = urllib3.HTTPConnectionPool("127.0.0.1", server.port)
        body = json.dumps(_PURGE, separators=(",", ":")).encode()
        plain = _measure(lambda: api.send("POST", _TARGET, _CALL), lambda: _bare(pool), rounds)
        yield compared_times(ROWS[0], *plain, unit="µs", each=_CALLS, limit=_MOST_OF_POOL, note="urllib3's pool")
        told = _measure(lambda: api.send("POST", _TARGET, _CALL, json=_PURGE), lambda: _bare(pool, body), rounds)
        note = "the pool, its body made before"
        yield compared_times(ROWS[1], *told, unit="µs", each=_CALLS, limit=_MOST_OF_POOL, note=note)
    yield from _connections(rounds // 4)
    yield _authorities(rounds // 4)


def _measure(ours: Callable[[], object], floor: Callable[[], object], rounds: int) -> tuple[list[Spent], list[Spent]]:
    found = interleaved({"ours": _repeated(ours, _CALLS), "floor": _repeated(floor, _CALLS)}, rounds)
    return found["ours"], found["floor"]


def _repeated(work: Callable[[], object], times: int) -> Callable[[], Spent]:
    return lambda: timed(lambda: [work() for _ in range(times)], 0)


def _bare(pool: urllib3.HTTPConnectionPool, body: bytes | None = None) -> bytes:
    headers: Mapping[str, str] = _HEADERS if body is None else {**_HEADERS, "Content-Type": "application/json"}
    limits = urllib3.Timeout(connect=_CALL.connect, read=_CALL.read)
    return pool.urlopen("POST", _TARGET, body=body, headers=headers, timeout=limits, retries=False).data


def _connections(rounds: int) -> Iterator[Figure]:
    """Against a server that takes one request a connection, whose authority stands among all others."""
    with tempfile.TemporaryDirectory() as folder:
        of_server, trusted = Path(folder, "server.pem"), Path(folder, "trusted.pem")
        of_server.write_bytes(certificate("localhost"))
        trusted.write_bytes(Path(certifi.where()).read_bytes() + of_server.read_bytes())
        os.environ["REQUESTS_CA_BUNDLE"] = str(trusted)
        tls.context.cache_clear()
        with LoopbackServer(of_server, keeps=False) as server:
            api = Http(f"https://localhost:{server.port}", headers=lambda: _HEADERS)
            shared = urllib3.HTTPSConnectionPool("localhost", server.port, ssl_context=tls.context())
            naive = urllib3.HTTPSConnectionPool("localhost", server.port, ca_certs=str(trusted))
            works: dict[str, Callable[[], object]] = {
                "ours": lambda: api.send("POST", _TARGET, _CALL),
                "shared": lambda: _bare(shared),
                "naive": lambda: _bare(naive),
            }
            found = interleaved({name: _repeated(work, _CONNECTIONS) for name, work in works.items()}, rounds)
    ours = found["ours"]
    yield compared_times(
        ROWS[2], ours, found["shared"], limit=_MOST_OF_POOL, note="urllib3's, one context", each=_CONNECTIONS
    )
    yield compared_times(
        ROWS[3], ours, found["naive"], limit=_MOST_OF_NAIVE, note="the file for each", each=_CONNECTIONS
    )


def _authorities(rounds: int) -> Figure:
    """What certifi trusts, in a folder as a bundle has it, and in its one file."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "certifi").mkdir()
        shutil.copy(certifi.where(), Path(folder, "certifi"))
        authorities.add(Path(folder))
        named = {"ours": str(Path(folder, tls.HASHED)), "floor": certifi.where()}
        works = {name: _repeated(functools.partial(_context_of, named[name]), _CONNECTIONS) for name in named}
        found = interleaved(works, rounds)
    note = "the file with all of them"
    return compared_times(ROWS[4], found["ours"], found["floor"], limit=_MOST_OF_ALL, note=note, each=_CONNECTIONS)


def _context_of(named: str) -> object:
    os.environ["REQUESTS_CA_BUNDLE"] = named
    tls.context.cache_clear()
    return tls.context()


if __name__ == "__main__":
    sys.exit(report.main(sys.modules[__name__], __doc__))

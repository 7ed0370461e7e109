"""Everything that speaks TLS to vendors and edges: one context a process, and whom it trusts."""

from __future__ import annotations

import base64
import hashlib
import shutil
import socket
import ssl
import sys
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import requests
import urllib3
from akamai.edgegrid import EdgeGridAuth
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, SSLError
from kit.http_calls import CALL
from multicdn_providers.cloudflare import Cloudflare
from multicdn_providers.cloudflare.transport import BoundedTransport
from requests.adapters import HTTPAdapter
from rig.certificates import certificate

from multicdn import aws_clients, through, tls
from multicdn.errors import RetryLater
from multicdn.http import Http
from multicdn.provider import Call, Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Ask = Callable[[str], bytes]

pytestmark = pytest.mark.slow

NEW_CONNECTIONS = 4


class _Answers(BaseHTTPRequestHandler):
    """Answers, and closes: each request takes a new connection."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        pass


class _Site(ThreadingHTTPServer):
    """Says nothing of clients that refuse its certificate."""

    def handle_error(self, *_: Any) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server of ``localhost``, and the file of the authority that signed its certificate."""
    with serving(tmp_path / "site.pem", certificate("localhost")) as url:
        yield url, tmp_path / "site.pem"


@contextmanager
def serving(file: Path, shown: bytes) -> Iterator[str]:
    """A server that shows a certificate, which is written into a file."""
    file.write_bytes(shown)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server = _Site(("127.0.0.1", 0), _Answers)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"https://localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture(autouse=True)
def _anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (
        "AWS_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
        "NO_PROXY",
        "no_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
    tls.context.cache_clear()
    yield
    tls.context.cache_clear()


def by_http(url: str) -> bytes:
    return Http(url).send("GET", "/", CALL).body


def by_through(url: str) -> bytes:
    with through.answering(through.locate(url, ""), 5.0, {}) as answer:
        return answer.read()


def by_cloudflare(url: str) -> bytes:
    with httpx.Client(transport=BoundedTransport()) as client:
        return client.get(url).content


def by_aws(url: str) -> bytes:
    config = Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    s3 = aws_clients.client("s3", region="us-east-1", endpoint_url=url, config=config)
    answer: bytes = s3.get_object(Bucket="b", Key="k")["Body"].read()
    return answer


def by_edgegrid(url: str) -> bytes:
    api = Http(url, auth=EdgeGridAuth("client", "only-for-tests", "access"))
    return api.send("GET", "/", CALL).body


ALL = [by_http, by_through, by_cloudflare, by_aws, by_edgegrid]
CLIENTS = pytest.mark.parametrize("ask", ALL)


def test_all_clients_of_a_process_read_the_authorities_once(
    site: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, authority = site
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    read: list[tuple[object, ...]] = []
    real = ssl.SSLContext.load_verify_locations
    monkeypatch.setattr(
        ssl.SSLContext, "load_verify_locations", lambda *given, **named: (read.append(given), real(*given, **named))[1]
    )
    api = Http(url)
    for _ in range(NEW_CONNECTIONS):
        assert {api.send("GET", "/", CALL).body, *(ask(url) for ask in ALL)} == {b"ok"}
    # Botocore's clients ask less of authorities than the shared context does from Python 3.13 on.
    assert [given[1] for given in read] == [str(authority)] * (1 if sys.version_info < (3, 13) else 2)


@CLIENTS
def test_an_unknown_authority_is_refused(site: tuple[str, Path], ask: Ask) -> None:
    with pytest.raises(Exception, match=r"(?i)certificate_?verif"):
        ask(site[0])


@CLIENTS
def test_a_certificate_for_another_host_is_refused(
    site: tuple[str, Path], ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(site[1]))
    with pytest.raises(Exception, match=r"(?i)certificate_?verif|doesn't match"):
        ask(site[0].replace("localhost", "127.0.0.1"))


@CLIENTS
@pytest.mark.parametrize(("begins", "ends"), [(-2, -1), (1, 2)], ids=["expired", "not yet valid"])
def test_a_certificate_of_another_time_is_refused(
    begins: int, ends: int, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "site.pem"))
    with (
        serving(tmp_path / "site.pem", certificate("localhost", begins, ends)) as url,
        pytest.raises(Exception, match=r"(?i)certificate_?verif"),
    ):
        ask(url)


# What libraries, and recipes for servers of old, do to a context that they are handed.
LOOSENING: dict[str, Callable[[ssl.SSLContext], object]] = {
    "trusts anybody": lambda context: setattr(context, "verify_mode", ssl.CERT_NONE),
    "takes any name": lambda context: setattr(context, "check_hostname", False),
    "checks less": lambda context: setattr(context, "verify_flags", ssl.VERIFY_DEFAULT),
    "speaks old TLS": lambda context: setattr(context, "minimum_version", ssl.TLSVersion.TLSv1),
    "speaks no new TLS": lambda context: setattr(context, "maximum_version", ssl.TLSVersion.TLSv1_2),
    "takes servers of old": lambda context: setattr(context, "options", 4),
    "takes weak ciphers": lambda context: context.set_ciphers("ALL:@SECLEVEL=0"),
    "writes keys down": lambda context: setattr(context, "keylog_filename", "keys.log"),
    "trusts the system": lambda context: context.set_default_verify_paths(),
    "trusts the usual": lambda context: context.load_default_certs(),
    "trusts the site": lambda context: context.load_verify_locations("site.pem"),
    "offers HTTP/2": lambda context: context.set_alpn_protocols(["h2"]),
}


@pytest.mark.parametrize("what", LOOSENING)
def test_what_one_library_sets_holds_for_nobody_else(
    what: str, site: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").write_bytes(certificate("other"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(site[1]))  # as OpenSSL reads it
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other"))
    before = strictness(tls.context())
    with suppress(ValueError, ssl.SSLError):
        LOOSENING[what](tls.context())
    assert strictness(tls.context()) == before
    for ask in (by_http, by_through, by_cloudflare):
        with pytest.raises(Exception, match=r"(?i)certificate_?verif"):
            ask(site[0])
    assert not (tmp_path / "keys.log").exists()


def strictness(context: ssl.SSLContext) -> list[object]:
    names = ("verify_mode", "check_hostname", "verify_flags", "minimum_version", "maximum_version", "options")
    ciphers = [each["name"] for each in context.get_ciphers()]
    return [*(getattr(context, name) for name in names), ciphers, context.get_ca_certs(), context.keylog_filename]


def test_a_host_that_does_not_shake_hands_is_given_the_time_for_a_connection() -> None:
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(RetryLater, match="no answer"):
        Http(f"https://127.0.0.1:{silent.getsockname()[1]}").send("GET", "/", Call(connect=0.1, read=25.0))
    assert time.monotonic() - began < 20


# botocore doesn't know the last one.
@pytest.mark.parametrize(
    ("ask", "variable"),
    [
        *((ask, variable) for variable in ("HTTPS_PROXY", "https_proxy") for ask in ALL),
        *((ask, "ALL_PROXY") for ask in ALL if ask is not by_aws),
    ],
)
def test_tls_goes_through_the_proxy_of_the_environment(
    site: tuple[str, Path], ask: Ask, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if ask is by_aws and variable == "ALL_PROXY":
        pytest.skip("botocore doesn't ask for it")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(site[1]))
    with tunnel() as (proxy, asked):
        monkeypatch.setenv(variable, proxy)
        assert ask(site[0]) == b"ok"
    assert [head[0] for head in asked] == [f"CONNECT {site[0].removeprefix('https://')} HTTP/1.1"]
    assert not [line for line in asked[0] if line.lower().startswith("proxy-authorization:")]


@CLIENTS
def test_the_proxy_gets_its_credentials(site: tuple[str, Path], ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(site[1]))
    with tunnel() as (proxy, asked):
        monkeypatch.setenv("HTTPS_PROXY", proxy.replace("://", "://us%40er:pa%3Ass@"))
        assert ask(site[0]) == b"ok"
    [sent] = [line.partition(": ")[2] for line in asked[0] if line.lower().startswith("proxy-authorization:")]
    assert base64.b64decode(sent.removeprefix("Basic ")) == b"us@er:pa:ss"


@pytest.mark.parametrize("ask", [by_http, by_cloudflare, by_through])
def test_a_proxy_that_speaks_tls_is_trusted_as_vendors_are(
    site: tuple[str, Path], ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(site[1]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(site[1])
    with tunnel(context) as (proxy, asked):
        monkeypatch.setenv("HTTPS_PROXY", proxy.replace("http://127.0.0.1", "https://us:pw@localhost"))
        assert ask(site[0]) == b"ok"
    assert asked[0][0] == f"CONNECT {site[0].removeprefix('https://')} HTTP/1.1"


@CLIENTS
@pytest.mark.parametrize("excepted", ["localhost", "localhost:{port}"])
def test_a_host_that_is_excepted_is_asked_itself(
    excepted: str, site: tuple[str, Path], ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(site[1]))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", f"other.example,{excepted.format(port=site[0].rpartition(':')[2])}")
    assert ask(site[0]) == b"ok"


@pytest.mark.parametrize(
    "others", [{}, {"REQUESTS_CA_BUNDLE": "other"}, {"CURL_CA_BUNDLE": "other"}, {"SSL_CERT_FILE": "other"}]
)
def test_aws_has_authorities_of_its_own_where_they_are_named(
    site: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, others: dict[str, str]
) -> None:
    (tmp_path / "other").write_bytes(certificate("other"))
    for name, file in others.items():
        monkeypatch.setenv(name, str(tmp_path / file))
    with pytest.raises(SSLError):
        by_aws(site[0])
    monkeypatch.setenv("AWS_CA_BUNDLE", str(site[1]))
    assert by_aws(site[0]) == b"ok"
    for ask in (by_http, by_through):
        with pytest.raises(Exception, match=r"(?i)certificate_?verif"):
            ask(site[0])


# Which authorities


@pytest.fixture
def named(tmp_path: Path) -> dict[str, str]:
    """Authorities by name: two files, a folder with the first of them as OpenSSL looks for it, an empty folder."""
    for name in ("first", "second"):
        (tmp_path / name).write_bytes(certificate(f"{name}.test"))
    for name in ("folder", "empty"):
        (tmp_path / name).mkdir()
    return {name: str(tmp_path / name) for name in ("first", "second", "folder", "empty", "none")}


def trusted() -> set[str]:
    return {dict(part[0] for part in one["subject"])["commonName"] for one in tls.context().get_ca_certs()}  # type: ignore[misc,union-attr,index]


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({"REQUESTS_CA_BUNDLE": "first", "CURL_CA_BUNDLE": "none", "SSL_CERT_FILE": "none"}, {"first.test"}),
        ({"CURL_CA_BUNDLE": "first", "SSL_CERT_FILE": "none", "SSL_CERT_DIR": "none"}, {"first.test"}),
        ({"SSL_CERT_FILE": "second"}, {"second.test"}),
        ({"SSL_CERT_FILE": "second", "SSL_CERT_DIR": "empty:folder"}, {"second.test"}),
        ({"SSL_CERT_DIR": "folder"}, set()),  # its files are read when they are needed
        ({"REQUESTS_CA_BUNDLE": "folder", "SSL_CERT_FILE": "none"}, set()),
    ],
)
def test_the_environment_names_the_authorities(
    variables: dict[str, str], wanted: set[str], named: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, names in variables.items():
        monkeypatch.setenv(variable, ":".join(named[name] for name in names.split(":")))
    assert trusted() == wanted


@pytest.mark.parametrize("ask", ALL[:3])
def test_a_folder_of_authorities_is_looked_through(
    site: tuple[str, Path], ask: Ask, named: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(site[1], Path(named["folder"], f"{name_hash(b'localhost')}.0"))
    monkeypatch.setenv("SSL_CERT_DIR", f"{named['empty']}:{named['folder']}")
    assert ask(site[0]) == b"ok"


def name_hash(common_name: bytes) -> str:
    """How OpenSSL calls the file of an authority: X509_NAME_hash."""
    attribute = b"\x06\x03\x55\x04\x03\x0c" + bytes([len(common_name)]) + common_name
    sequence = b"\x30" + bytes([len(attribute)]) + attribute
    digest = hashlib.sha1(b"\x31" + bytes([len(sequence)]) + sequence, usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}"


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize("proxy", ["", "http://127.0.0.1:1"], ids=["direct", "by proxy"])
def test_aws_too_names_authorities_that_are_not_there(
    variable: str, proxy: str, site: tuple[str, Path], named: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
    Path(named["empty"], "text").write_text("no certificate")
    for name, reason in (("none", "No such file"), ("empty/text", r"(?:\[X509|no certificate)")):
        monkeypatch.setenv(variable, str(Path(named["none"]).parent / name))
        with pytest.raises(BotoCoreError, match=f"{variable} names /.*/{name}: {reason}"):
            by_aws(site[0])


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"SSL_CERT_FILE": "none"}, "SSL_CERT_FILE names /.*/none: No such file"),
        ({"SSL_CERT_DIR": "none"}, "SSL_CERT_DIR names /.*/none: no such folder"),
        ({"SSL_CERT_FILE": "first", "SSL_CERT_DIR": "empty:none"}, "SSL_CERT_FILE or SSL_CERT_DIR names /.*/none"),
        ({"REQUESTS_CA_BUNDLE": "none", "SSL_CERT_FILE": "first"}, "REQUESTS_CA_BUNDLE names /.*/none: No such file"),
    ],
)
def test_authorities_that_are_not_there_are_named_and_vendors_asked_later(
    variables: dict[str, str], reason: str, named: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, names in variables.items():
        monkeypatch.setenv(variable, ":".join(named[name] for name in names.split(":")))
    configured = Cloudflare(zone="023e105f4ecef8ad9ca31a8372d0c353", token=Secret.literal("hunter3-token"))
    with pytest.raises(RetryLater, match=reason):
        configured.purge_everything(CALL)
    with pytest.raises(RetryLater, match=reason):
        by_http("https://localhost:9")


def test_no_library_takes_checks_from_what_all_share(site: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """urllib3 checks names itself where pyOpenSSL is injected, and has the context leave it."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(site[1]))
    monkeypatch.setattr(urllib3.util.ssl_, "IS_PYOPENSSL", True)
    assert by_http(site[0]) == b"ok"
    for ask in (by_through, by_cloudflare):
        with pytest.raises(Exception, match=r"(?i)certificate_?verif"):
            ask(site[0].replace("localhost", "127.0.0.1"))
    with pytest.raises(ValueError, match="CERT_NONE"):
        tls.context().verify_mode = ssl.CERT_NONE


def test_no_library_speaks_or_trusts_for_all_others(
    site: tuple[str, Path], named: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plugin's httpx would have edges speak HTTP/2 to us, its requests would trust certifi for all."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", named["first"])
    shared = tls.context()
    adapter = HTTPAdapter()
    adapter.init_poolmanager(1, 1, ssl_context=shared)
    with requests.Session() as session:
        session.mount("https://", adapter)
        with pytest.raises(requests.exceptions.SSLError):
            session.get(site[0], verify=str(site[1]), timeout=5)
    shared.load_default_certs()
    assert trusted() == {"first.test"}
    with pytest.raises(ValueError, match="of your own"):
        shared.load_cert_chain(named["first"])
    shared.set_alpn_protocols(["h2", "http/1.1"])
    assert offered(shared) == ["http/1.1"]


def offered(client: ssl.SSLContext) -> list[str]:
    """What a client offers to speak, as it is in its first message."""
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        client.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="first.test").do_handshake()
    hello = outgoing.read()
    return [name for name in ("h2", "http/1.1") if bytes([len(name)]) + name.encode() in hello]


@contextmanager
def tunnel(tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[list[str]]]]:
    """A proxy for one connection, with TLS if need be, and the lines of what it was asked."""
    asked: list[list[str]] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            client = tls.wrap_socket(client, server_side=True) if tls else client
            came = ""
            while "\r\n\r\n" not in came:
                came += client.recv(65536).decode("latin-1")
            asked.append(came.replace("HTTP/1.0", "HTTP/1.1").splitlines())
            host, _, port = came.split(" ")[1].rpartition(":")
            with client, socket.create_connection((host.replace("localhost", "127.0.0.1"), int(port))) as server:
                client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                back = threading.Thread(target=pump, args=(server, client), daemon=True)
                back.start()
                pump(client, server)
                back.join(5)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
        thread.join(5)


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while piece := source.recv(65536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass

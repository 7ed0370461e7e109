"""An edge is asked where the config says, under the name of the site, within bounds, and for nothing that is secret."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
from contextlib import contextmanager
from hashlib import md5
from typing import TYPE_CHECKING

import pytest
from rig.certificates import certificate

from multicdn import through
from multicdn import tls as shared
from multicdn.proof import fetch as fetching
from multicdn.proof.fetch import fetch
from multicdn.terms import Seen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

BODY = b"body {}" * 99


@contextmanager
def edge(
    answer: bytes, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> Iterator[tuple[str, list[bytes]]]:
    """A server that reads one request and answers with the same bytes to each, then closes. Yields host:port."""
    asked: list[bytes] = []
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listening:

        def serve() -> None:
            while True:
                try:
                    taken, _ = listening.accept()
                    with tls.wrap_socket(taken, server_side=True) if tls else taken as connection:
                        head = b""
                        while b"\r\n\r\n" not in head:
                            head += connection.recv(65536) or b"\r\n\r\n"
                        asked.append(head)
                        connection.sendall(answer)
                except ssl.SSLError:
                    continue
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = listening.getsockname()[1]
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}", asked
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def ok(body: bytes = BODY, **headers: str) -> bytes:
    lines = {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return b"HTTP/1.1 200 OK\r\n" + head.encode() + b"\r\n" + body


def asked_as(url: str, via: str = "{}", answer: bytes = b"", *, want_md5: bool = False) -> tuple[Seen, str]:
    with edge(answer or ok()) as (place, asked):
        return fetch(url, via.format(place), 5.0, want_md5=want_md5), (asked or [b""])[0].decode()


def test_a_site_is_asked_for_at_the_place_of_a_cdn() -> None:
    seen, request = asked_as("http://www.example.org/%5bid%5D/../a?b=%2f&c#d", answer=ok(ETag='"e"', X_Cache="HIT"))
    assert seen == Seen(
        status=200, headers={"content-length": "693", "etag": '"e"', "x-cache": "HIT"}, size=693,
    )  # fmt: skip
    lines = request.split("\r\n")
    assert lines[:2] == ["GET /%5bid%5D/../a?b=%2f&c HTTP/1.1", "Host: www.example.org"]
    assert "Accept-Encoding: gzip" in lines
    assert not [line for line in lines if line.lower().startswith(("cookie", "authorization"))]


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        ("http://www.example.org:8080/a", "www.example.org:8080", "/a"),
        ("http://www.example.org:80/", "www.example.org", "/"),
        ("http://www.example.org", "www.example.org", "/"),
        ("http://user:secret@www.example.org/a", "www.example.org", "/a"),
        ("http://bücher.example/ü", "xn--bcher-kva.example", "/%C3%BC"),
        ("http://[2001:db8::1]/a", "[2001:db8::1]", "/a"),
        ("HTTP://WWW.Example.org/A b", "www.example.org", "/A%20b"),
    ],
)
def test_what_a_url_becomes_in_a_request(url: str, host: str, target: str) -> None:
    _, request = asked_as(url)
    assert request.split("\r\n")[:2] == [f"GET {target} HTTP/1.1", f"Host: {host}"]


@pytest.mark.parametrize(
    ("url", "via", "scheme", "host", "port"),
    [
        ("https://www.e.org/", "", "https", "www.e.org", 443),
        ("https://www.e.org:8443/", "d1.cdn.example", "https", "d1.cdn.example", 8443),
        ("https://www.e.org/", "d1.cdn.example:444", "https", "d1.cdn.example", 444),
        ("https://www.e.org/", "http://127.0.0.1:81", "http", "127.0.0.1", 81),
        ("https://www.e.org:8443/", "http://d1.cdn.example/", "http", "d1.cdn.example", 80),
        ("http://www.e.org/", "https://d1.cdn.example", "https", "d1.cdn.example", 443),
        ("https://www.e.org/", "[2001:db8::1]:444", "https", "2001:db8::1", 444),
        ("https://www.e.org/", "2001:db8::1", "https", "2001:db8::1", 443),
    ],
)
def test_where_via_leads(url: str, via: str, scheme: str, host: str, port: int) -> None:
    place = through.locate(url, via)
    assert (place.scheme, place.host, place.port, place.name) == (scheme, host, port, "www.e.org")


@pytest.mark.parametrize(
    ("url", "via"),
    [
        ("ftp://e.org/a", ""),
        ("/a", ""),
        ("http://", ""),
        ("http://e.org:99999/", ""),
        ("http://e.org/?token=x", "ftp://x"),
        ("http://e.org/", "x/path"),
        ("http://e.org/", "user@x"),
        ("http://e.org/", "a b"),
        ("http://e\r\n.org/", ""),
        (f"http://{'ü' * 99}.org/", ""),
    ],
)
def test_what_cannot_be_asked_for_is_said(url: str, via: str) -> None:
    seen = fetch(url, via, 1.0, want_md5=False)
    assert (seen.status, "token" in seen.reason) == (0, False)
    assert "can't be asked for" in seen.reason or "no answer" in seen.reason


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
PACKED = gzip.compress(BODY, mtime=0)


@pytest.mark.parametrize(
    ("answer", "digest", "size", "reason"),
    [
        (ok(), md5(BODY), 693, ""),
        (ok(b""), md5(b""), 0, ""),
        (CHUNKED, md5(b"body"), 4, ""),
        (ok(PACKED, Content_Encoding="gzip"), md5(BODY), 693, ""),
        (ok(PACKED[:-9], Content_Encoding="gzip"), None, None, "it broke off"),
        (ok(BODY, Content_Encoding="gzip"), None, None, "isn't packed as gzip"),
        (ok(BODY, Content_Encoding="br"), None, None, "its coding is br"),
        (ok()[:-5], None, 693, "it broke off"),
        (CHUNKED[:-9], None, None, "IncompleteRead"),
        (b"HTTP/1.0 200 OK\r\n\r\nbody", None, None, "nothing says where it ends"),
        (ok().replace(b"200 OK", b"404 No"), None, 693, ""),
    ],
)
def test_a_body_is_read_without_its_coding(answer: bytes, digest: object, size: int | None, reason: str) -> None:
    seen, _ = asked_as("http://e.org/a", answer=answer, want_md5=True)
    assert (seen.md5, seen.size) == (digest.hexdigest() if digest else "", size)  # type: ignore[attr-defined]
    assert reason in seen.reason
    assert bool(reason) == bool(seen.reason)


def test_several_packed_parts_are_one_body() -> None:
    """As of logs that were packed in turn, and of bgzip: what follows the first part counts, too."""
    packed = gzip.compress(BODY[:100]) + gzip.compress(BODY[100:])
    seen, _ = asked_as("http://e.org/a", answer=ok(packed, Content_Encoding="gzip"), want_md5=True)
    assert seen.md5 == md5(BODY).hexdigest()


def test_a_part_of_a_body_has_no_md5() -> None:
    answer = ok().replace(b"200 OK", b"206 Partial Content")
    seen, _ = asked_as("http://e.org/a", answer=answer, want_md5=True)
    assert (seen.status, seen.md5) == (206, "")


def test_a_body_is_bounded_however_it_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "LARGEST_BODY", 100_000)
    seen, _ = asked_as(
        "http://e.org/a", answer=ok(gzip.compress(bytes(10_000_000)), Content_Encoding="gzip"), want_md5=True
    )
    assert (seen.status, seen.md5) == (200, "")
    assert "more than 100000 bytes" in seen.reason
    seen, _ = asked_as("http://e.org/a", answer=ok(bytes(300_000)), want_md5=True)
    assert (seen.status, seen.md5) == (200, "")


def test_cookies_are_not_kept_and_headers_are_bounded() -> None:
    answer = ok(Set_Cookie="session=secret", X_Long="y" * 5000, Location="/b").replace(b"200 OK", b"302 Found")
    seen, _ = asked_as("http://e.org/a", answer=answer)
    assert (seen.status, seen.headers["set-cookie"], len(seen.headers["x-long"])) == (302, "(not shown)", 1024)


@pytest.mark.parametrize(
    ("headers", "pop"),
    [
        ({"X_Amz_Cf_Pop": "FRA56-P1"}, "FRA56-P1"),
        ({"CF_Ray": "8a1b2c3d4e5f6071-VIE"}, "VIE"),
        ({"X_Served_By": "cache-iad-kiad7000-IAD, cache-fra-etou8220-FRA"}, "cache-fra-etou8220-FRA"),
        ({"Server": "BunnyCDN-DE1-756"}, "DE1-756"),
        ({"Server": "nginx"}, ""),
    ],
)
def test_the_place_of_an_edge(headers: dict[str, str], pop: str) -> None:
    assert fetching.pop({name.lower().replace("_", "-"): value for name, value in headers.items()}) == pop


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000])
def test_what_is_no_answer(answer: bytes) -> None:
    with edge(answer) as (place, _):
        seen = fetch("http://e.org/a?token=x", place, 5.0, want_md5=False)
    assert seen.status == 0
    assert seen.reason.endswith(f"(asked {place})")


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    seen = fetch("http://e.org/a", f"127.0.0.1:{port}", 5.0, want_md5=False)
    assert seen.reason == f"no answer: Connection refused (asked 127.0.0.1:{port})"
    assert fetch("http://e.org/a", "", 0.0, want_md5=False).reason == "no time was left to ask for it"


def test_an_edge_that_never_ends_costs_its_time_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        seen = fetch("http://e.org/a", f"127.0.0.1:{silent.getsockname()[1]}", 0.1, want_md5=False)
    assert "no answer within" in seen.reason


def test_ipv6() -> None:
    try:
        with edge(ok(), host="::1") as (place, _):
            assert fetch("http://e.org/a", place, 5.0, want_md5=False).status == 200
    except OSError:
        pytest.skip("this machine has no IPv6")


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ssl.SSLContext, list[str | None]]]:
    """The site's side of TLS, and the names it was asked for; its authority is one that this machine trusts."""
    file = tmp_path / "site.pem"
    file.write_bytes(certificate("www.example.org"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    names: list[str | None] = []
    context.sni_callback = lambda _, name, __: names.append(name)
    shared.context.cache_clear()
    yield context, names
    shared.context.cache_clear()


def test_tls_is_spoken_with_the_site_at_the_place_of_the_cdn(tls: tuple[ssl.SSLContext, list[str | None]]) -> None:
    with edge(ok(), tls[0]) as (place, asked):
        assert fetch("https://www.example.org/a", place, 5.0, want_md5=True).md5 == md5(BODY).hexdigest()
        refused = fetch("https://shop.example.org/a", place, 5.0, want_md5=False)
    assert tls[1] == ["www.example.org", "shop.example.org"]
    assert b"Host: www.example.org\r\n" in asked[0]
    assert refused.status == 0
    assert refused.reason.startswith("its certificate isn't one for shop.example.org: ")


def test_a_certificate_of_nobody_is_refused(
    tls: tuple[ssl.SSLContext, list[str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with edge(ok(), tls[0]) as (place, asked):
        seen = fetch("https://www.example.org/a", place, 5.0, want_md5=False)
    assert (seen.status, asked) == (0, [])
    assert "self-signed certificate" in seen.reason


def test_a_proxy_of_the_environment_is_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    with edge(b"HTTP/1.1 407 Login\r\n\r\n") as (place, asked):
        monkeypatch.setenv("https_proxy", f"http://{place}")
        monkeypatch.setenv("no_proxy", "")
        seen = fetch("https://www.example.org/a", "d1.cdn.example", 5.0, want_md5=False)
    assert asked[0].startswith(b"CONNECT d1.cdn.example:443 ")
    assert seen.status == 0

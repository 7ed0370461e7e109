"""The HTTP layer of the simulators: nothing of a request may be changed on its way."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from urllib.parse import urlsplit

import pytest

from multicdn.simulators.kit.client import Client
from multicdn.simulators.kit.http_server import ConnectionDropped, Headers, Request, Response, Server


def echo(request: Request) -> Response:
    return Response.json(
        {
            "method": request.method,
            "target": request.target,
            "headers": dict(request.headers),
            "body": request.body.decode(),
        }
    )


def ask(server: Server, raw: bytes) -> bytes:
    """Send bytes and return all that comes until the server closes."""
    where = urlsplit(server.url)
    with socket.create_connection((where.hostname, where.port or 0), timeout=5) as connection:
        connection.sendall(raw)
        with contextlib.suppress(OSError):  # ENOTCONN: the server has already reset the connection; recv tells
            connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


TARGETS = [
    "//double//slash",
    "/a/../b/./c",
    "/a%2fb%2Fc",
    "/purge/https://www.acme.com/a%20b?x=%2f&x=2",
    "/plus+and%2Bplus",
    "/quote'()*!~;@",
    "/?",
    "*",
]


@pytest.mark.parametrize("target", TARGETS)
def test_target_arrives_byte_for_byte(target: str) -> None:
    seen: list[str] = []

    def record(request: Request) -> Response:
        seen.append(request.target)
        return Response()

    with Server(record) as server:
        ask(server, f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert seen == [target]


@pytest.mark.parametrize("target", TARGETS)
def test_client_sends_target_byte_for_byte(target: str) -> None:
    with Server(echo) as server:
        client = Client(server.url)
        answer = client.send("GET", target, {})
        client.close()
    assert f'"target": "{target}"' in answer.body.decode()


def test_client_puts_path_of_base_url_before_target() -> None:
    with Server(echo) as server:
        client = Client(server.url + "/bucket/")
        answer = client.send("GET", "/a//b", {})
        client.close()
    assert b'"target": "/bucket/a//b"' in answer.body


def test_headers_and_body_arrive() -> None:
    with Server(echo) as server:
        got = ask(server, b"POST / HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nX-ONE: 2\r\nContent-Length: 4\r\n\r\nbody")
    assert b'"X-One": "1, 2"' in got
    assert b'"body": "body"' in got


def test_headers_ignore_case_and_carry_utf8() -> None:
    with Server(lambda request: Response(headers={"X-Back": request.headers["x-NAME"]})) as server:
        client = Client(server.url)
        answer = client.send("GET", "/", {"X-Name": "键 é"})
        client.close()
    assert Headers(answer.headers)["x-back"] == "键 é"


def test_connection_is_kept_for_further_requests() -> None:
    with Server(echo) as server:
        got = ask(server, b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert got.count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize("head", [b"GET /1 HTTP/1.1\r\nConnection: close\r\n\r\n", b"GET /1 HTTP/1.0\r\n\r\n"])
def test_connection_is_closed_on_request(head: bytes) -> None:
    with Server(echo) as server:
        got = ask(server, head + b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert got.count(b"HTTP/1.1 200 OK") == 1


def test_head_has_length_but_no_body() -> None:
    with Server(lambda _request: Response(body=b"12345")) as server:
        got = ask(server, b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert got.endswith(b"Content-Length: 5\r\n\r\n")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /a b HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
    ],
)
def test_malformed_request_is_answered_and_closed(raw: bytes, status: bytes) -> None:
    with Server(echo) as server:
        assert ask(server, raw).startswith(b"HTTP/1.1 " + status)


def test_expect_continue_is_answered_before_the_body() -> None:
    with Server(echo) as server:
        raw = b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok"
        assert ask(server, raw).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


def test_dropped_connection_is_a_reset_for_the_client() -> None:
    def drop(_request: Request) -> Response:
        raise ConnectionDropped

    with Server(drop) as server, pytest.raises(ConnectionResetError):
        ask(server, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")


def test_defect_of_a_handler_closes_the_connection_and_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", reported.append)

    def defective(_request: Request) -> Response:
        raise KeyError("defect")

    others = set(threading.enumerate())
    with Server(defective) as server:
        assert ask(server, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") == b""
        join_connections(others)
    assert [type(seen.exc_value) for seen in reported] == [KeyError]


def join_connections(others: set[threading.Thread]) -> None:
    for thread in set(threading.enumerate()) - others:
        if thread.name != "simulator":
            thread.join(timeout=1)


def test_stop_closes_open_connections_and_frees_the_port() -> None:
    server = Server(echo).start()
    client = http.client.HTTPConnection("127.0.0.1", urlsplit(server.url).port, timeout=5)
    client.request("GET", "/")
    client.getresponse().read()
    port = urlsplit(server.url).port or 0
    server.stop()
    server.stop()
    assert client.sock.recv(1) == b""
    client.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_server_that_does_not_run_has_no_url() -> None:
    with pytest.raises(RuntimeError, match="isn't running"):
        _ = Server(echo).url


def test_client_survives_a_server_that_closed_its_kept_connection() -> None:
    with Server(echo) as first:
        port = urlsplit(first.url).port
        client = Client(first.url)
        client.send("GET", "/1", {})
    with Server(echo, port=port or 0):
        assert client.send("GET", "/2", {}).status == 200
        client.close()

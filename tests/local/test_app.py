"""What the page asks for, and who may ask."""

from __future__ import annotations

import json
import threading
from typing import Any

import anyio
import httpx
import pytest

from multicdn.local import app
from multicdn.local.edges import EdgeAnswer
from multicdn.local.session import ActionError
from multicdn.local.state import CachedUrl, LocalState, ProviderState, QueueState

PORT = 8123
OURS = f"http://127.0.0.1:{PORT}"


class Desk:
    """Notes what it is asked to do."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.age = 1
        self.calls = 0

    def state(self) -> LocalState:
        edge = (CachedUrl("https://www.acme.com/a", "a", "fresh", 1, self.age),)
        fastly = ProviderState("fastly", "fastly", ("outage",), "none", "closed", self.calls, 0, "", edge)
        return LocalState("c.yml", "aws ...", 1.0, ("acme-site",), (), (fastly,), (), QueueState(), ())

    def upload(self, *what: Any) -> int:
        self.asked.append(("upload", *what))
        return 7

    def remove(self, *what: Any) -> None:
        self.asked.append(("remove", *what))

    def fetch(self, *what: Any) -> EdgeAnswer:
        self.asked.append(("fetch", *what))
        return EdgeAnswer(200, "HIT", 3, "stale", "version 1\n")

    def fault(self, provider: str, fault: str) -> None:
        if provider == "nobody":
            raise ActionError("no simulated provider 'nobody'; there are fastly")
        if provider == "bug":
            raise RuntimeError("of ours")
        self.asked.append(("fault", provider, fault))


@pytest.fixture
def desk() -> Desk:
    return Desk()


class Page:
    """The application, asked without a server."""

    def __init__(self, desk: Desk) -> None:
        self._app = app.make(desk, PORT, threading.Event())

    def get(self, path: str, **settings: Any) -> httpx.Response:
        return anyio.run(self._ask, "GET", path, settings)

    def post(self, path: str, **settings: Any) -> httpx.Response:
        return anyio.run(self._ask, "POST", path, settings)

    async def _ask(self, method: str, path: str, settings: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=OURS) as client:
            return await client.request(method, path, **settings)


@pytest.fixture
def page(desk: Desk) -> Page:
    return Page(desk)


def test_the_state_is_json_for_nobody_to_keep(page: Page) -> None:
    answer = page.get("/api/state")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["providers"][0]["edge"] == [
        {"url": "https://www.acme.com/a", "key": "a", "cache": "fresh", "version": 1, "age": 1}
    ]


def test_everything_that_can_be_done_is_done(page: Page, desk: Desk) -> None:
    assert page.post("/api/upload", json={"key": "a b"}).json() == {"version": 7}
    assert page.post("/api/upload", json={"key": "a", "bucket": "other", "body": ""}).json() == {"version": 7}
    assert page.post("/api/remove", json={"key": "a"}).json() == {}
    fetched = page.post("/api/fetch", json={"provider": "fastly", "url": "https://www.acme.com/a"}).json()
    assert fetched == {"status": 200, "cache": "HIT", "age": 3, "verdict": "stale", "body": "version 1\n"}
    assert page.post("/api/fault", json={"provider": "fastly", "fault": "outage"}).json() == {}
    assert desk.asked == [
        ("upload", "", "a b", None),
        ("upload", "other", "a", ""),
        ("remove", "", "a"),
        ("fetch", "fastly", "https://www.acme.com/a"),
        ("fault", "fastly", "outage"),
    ]


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/api/upload", b"{", 400, "can't be read"),
        ("/api/upload", b"{}", 400, "`key`"),
        ("/api/upload", b'{"key": ""}', 400, "length >= 1"),
        ("/api/upload", b'{"key": 5}', 400, "Expected `str`"),
        ("/api/upload", b'{"key": "a", "acl": "public"}', 400, "unknown field `acl`"),
        ("/api/upload", json.dumps({"key": "k" * 1025}).encode(), 400, "length <= 1024"),
        ("/api/upload", b'{"key": "a", "body": "' + b"x" * (1 << 20) + b'"}', 413, "1,048,576 bytes"),
        ("/api/fetch", b'["fastly"]', 400, "Expected `object`"),
        ("/api/fetch", b"\xff", 400, "can't be read"),
        ("/api/fault", b'{"provider": "nobody", "fault": "outage"}', 400, "there are fastly"),
        ("/api/fault", b'{"provider": "bug", "fault": "outage"}', 500, "RuntimeError: of ours"),
        ("/api/nothing", b"{}", 405, "Method Not Allowed"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    page: Page, desk: Desk, path: str, body: bytes, status: int, said: str
) -> None:
    answer = page.post(path, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json().keys()) == (status, {"error"})
    assert said in answer.json()["error"]
    assert desk.asked == []


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_a_form_of_another_page_could_not_send_json(page: Page, desk: Desk, kind: str) -> None:
    answer = page.post("/api/upload", content=b'{"key": "a"}', headers={"Content-Type": kind})
    assert (answer.status_code, desk.asked) == (415, [])


@pytest.mark.parametrize("path", ["/", "/api/state", "/api/events", "/app.js"])
@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:80", f"127.0.0.1.evil.example:{PORT}", "",
             f"localhost:{PORT}@evil.example", f"169.254.169.254:{PORT}", f"0.0.0.0:{PORT}"],
)  # fmt: skip
def test_a_strangers_name_that_leads_here_gets_nothing(page: Page, host: str, path: str) -> None:
    """DNS rebinding: the browser believes that it talks to the stranger, and sends the stranger's name."""
    answer = page.get(path, headers={"Host": host})
    assert answer.status_code == 403
    assert "acme" not in answer.text


@pytest.mark.parametrize("host", [f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"LOCALHOST:{PORT}", f"[::1]:{PORT}"])
def test_all_names_of_this_machine_do(page: Page, host: str) -> None:
    assert page.get("/api/state", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": f"https://127.0.0.1:{PORT}"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "http://localhost"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": OURS},
    ],
    ids=str,
)
def test_a_page_of_another_site_can_do_and_see_nothing(page: Page, desk: Desk, headers: dict[str, str]) -> None:
    assert page.post("/api/upload", json={"key": "a"}, headers=headers).status_code == 403
    assert page.get("/api/state", headers=headers).status_code == 403
    assert desk.asked == []


def test_our_own_page_may(page: Page, desk: Desk) -> None:
    headers = {"Origin": f"http://localhost:{PORT}", "Sec-Fetch-Site": "same-origin"}
    assert page.post("/api/upload", json={"key": "a"}, headers=headers).status_code == 200
    assert len(desk.asked) == 1


@pytest.mark.parametrize("path", ["/api/state", "/", "/nothing", "/api/upload"])
def test_every_answer_says_what_browsers_may_do_with_it(page: Page, path: str) -> None:
    headers = page.get(path).headers
    policy = dict(each.strip().split(" ", 1) for each in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")
    assert not any(name.lower().startswith("access-control-") for name in headers), "no CORS"


@pytest.mark.parametrize(
    "path",
    ["/app.py",
        "/static/index.html",
        "/../app.py", "/..%2fapp.py", "/%2e%2e/app.py", "/static/../../app.py", "//etc/passwd", "/%2fetc%2fpasswd",
     "/..%5capp.py", "/%00", "/.env", "/index.html/../../__init__.py"],
)  # fmt: skip
def test_no_file_outside_of_the_page_can_be_had(desk: Desk, path: str) -> None:
    """httpx would resolve the dots: the request is made as a program may send it."""
    made = app.make(desk, PORT, threading.Event())
    status, body = anyio.run(_asked, made, path)
    assert status in (400, 404), body
    assert b"import" not in body
    assert b"root:" not in body


async def _asked(made: Any, path: str) -> tuple[int, bytes]:
    from urllib.parse import unquote

    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "method": "GET",
        "path": unquote(path),
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", f"127.0.0.1:{PORT}".encode())],
        "server": ("127.0.0.1", PORT),
    }
    await made(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


def test_events_come_with_a_change_and_end_with_the_server(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "_PAUSE", 0.001)
    closing = threading.Event()
    pages = app._Pages(desk, closing)

    async def read() -> list[bytes]:
        got = []
        stream = pages._stream()
        got.append(await anext(stream))
        desk.calls = 5
        got.append(await anext(stream))
        assert pages._streams == 1
        closing.set()
        got += [chunk async for chunk in stream]
        return got

    first, second = anyio.run(read)
    assert first.startswith(b"event: state\ndata: {")
    assert first.endswith(b"}\n\n")
    assert json.loads(second.split(b"data: ")[1])["providers"][0]["calls"] == 5
    assert pages._streams == 0


def test_that_things_grow_older_is_told_now_and_then(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(app, "_PAUSE", 0.0)
    monkeypatch.setattr(app.time, "monotonic", lambda: now[0])
    pages = app._Pages(desk, threading.Event())

    async def read() -> list[bytes]:
        stream = pages._stream()
        got = [await anext(stream)]
        desk.age = 2
        now[0] += app._AGEING
        got.append(await anext(stream))
        now[0] += app._HEARTBEAT
        got.append(await anext(stream))
        await stream.aclose()
        return got

    _, aged, heartbeat = anyio.run(read)
    assert b'"age":2' in aged
    assert heartbeat.startswith(b":")
    assert heartbeat.endswith(b"\n\n")


def test_there_are_only_so_many_streams(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "_MOST_STREAMS", 0)
    answer = page.get("/api/events")
    assert answer.status_code == 503
    assert "close one" in answer.json()["error"]


def test_streams_that_were_let_in_at_the_same_moment_are_no_more(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "_MOST_STREAMS", 1)
    pages = app._Pages(desk, threading.Event())

    async def read() -> list[bytes]:
        first, second = pages._stream(), pages._stream()
        await anext(first)
        return [chunk async for chunk in second]

    assert anyio.run(read) == []

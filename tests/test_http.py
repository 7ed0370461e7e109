"""Requests to vendors, as a real server on loopback receives them."""

from __future__ import annotations

import base64
import json
import re
import socket
import subprocess
import sys
import threading
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import requests
import urllib3
from kit.hostile_server import OK, HostileServer, endless
from kit.http_calls import CALL, failure

from multicdn import __version__, tls
from multicdn.errors import CredentialsRefused, RetryLater, TargetsRefused
from multicdn.http import Http
from multicdn.provider import Call
from multicdn.testing.recording import RecordingVendor, Request, Response, faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture
def vendor() -> Iterator[RecordingVendor]:
    with RecordingVendor(Response.json({"id": "1"})) as running:
        yield running


# What goes out


@pytest.mark.parametrize("base", ["", "/client/v4"])
@pytest.mark.parametrize(
    "target",
    [
        "/a/../b",
        "/a/./b",
        "/..",
        "//a///b",
        "/a%2fb",
        "/a%2Fb",
        "/%7e/%7E/~",
        "/a?",
        "/a??",
        "/a?x=%2f&y=../..//z",
        "/a?b?c",
        "/100%",
        "/a%zz",
        "/purge/https://www.acme.com//a/../b%2f?q=%20",
        "/!$&'()*+,;=:@-._~",
        '/[a]|b^c`{d}"<e>\\',
        "/" + "a" * 8000,
    ],
)
def test_a_target_goes_out_byte_for_byte(vendor: RecordingVendor, base: str, target: str) -> None:
    Http(vendor.endpoint + base).send("POST", target, CALL)
    assert [request.target for request in vendor.calls] == [base + target]


@pytest.mark.parametrize(("endpoint", "target", "sent"), [("", "", "/"), ("/", "/a", "/a"), ("/v1/", "/a", "/v1/a")])
def test_an_endpoint_may_end_in_a_slash_or_not(vendor: RecordingVendor, endpoint: str, target: str, sent: str) -> None:
    Http(vendor.endpoint + endpoint).send("GET", target, CALL)
    assert [request.target for request in vendor.calls] == [sent]


@pytest.mark.parametrize("target", ["/é", "/a b", "/a#b", "/a\r\nHost: evil", "/a\tb", "/\x7f", "/中"])
def test_what_must_be_encoded_is_refused_and_not_sent(vendor: RecordingVendor, target: str) -> None:
    with pytest.raises(TargetsRefused, match="percent-encoded"):
        Http(vendor.endpoint).send("POST", target, CALL)
    assert vendor.calls == []


def test_json_goes_out_compact_and_in_utf_8(vendor: RecordingVendor) -> None:
    Http(vendor.endpoint).send("POST", "/purge", CALL, json={"urls": ["https://www.acme.com/中", "b"]})
    [request] = vendor.calls
    assert request.body == '{"urls":["https://www.acme.com/中","b"]}'.encode()
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Content-Length"] == str(len(request.body))


@pytest.mark.parametrize("value", [{}, [], "", 0, False])
def test_an_empty_json_value_is_a_body_too(vendor: RecordingVendor, value: object) -> None:
    Http(vendor.endpoint).send("POST", "/purge", CALL, json=value)
    assert vendor.calls[0].body == json.dumps(value).encode()


def test_a_form_goes_out_as_one(vendor: RecordingVendor) -> None:
    Http(vendor.endpoint).send("POST", "/login", CALL, data={"user": "a&b", "password": "ü c"})
    [request] = vendor.calls
    assert request.body == b"user=a%26b&password=%C3%BC+c"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"


def test_a_request_without_a_body_has_no_content_type(vendor: RecordingVendor) -> None:
    Http(vendor.endpoint).send("POST", "/purge", CALL)
    [request] = vendor.calls
    assert (request.body, request.headers.get("Content-Type")) == (b"", None)


def test_headers_are_asked_for_each_request_so_that_a_rotated_secret_is_used_at_once(vendor: RecordingVendor) -> None:
    tokens = iter(["old", "new"])
    api = Http(vendor.endpoint, headers=lambda: {"Api-Key": next(tokens), "Accept": "application/json"})
    api.send("POST", "/1", CALL, headers={"Soft": "1"})
    api.send("POST", "/2", CALL)
    assert [(request.headers["Api-Key"], request.headers.get("Soft")) for request in vendor.calls] == [
        ("old", "1"),
        ("new", None),
    ]


def test_connections_are_kept() -> None:
    connections = set()
    lock = threading.Lock()

    def reply(request: Request) -> Response:
        with lock:
            connections.add(threading.get_ident())  # the server has one thread a connection
        return Response.json({})

    with RecordingVendor(reply) as vendor:
        api = Http(vendor.endpoint)
        for _ in range(5):
            api.send("POST", "/purge", CALL)
    assert len(connections) == 1


def test_as_many_connections_are_kept_as_calls_are_made_at_once() -> None:
    together = threading.Barrier(4)
    connections = set()

    def reply(request: Request) -> Response:
        together.wait(10)
        connections.add(threading.get_ident())
        return Response.json({})

    with RecordingVendor(reply) as vendor:
        api = Http(vendor.endpoint, parallel=4)
        for _ in range(3):
            threads = [threading.Thread(target=api.send, args=("POST", "/purge", CALL)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert len(vendor.calls) == 12
    assert len(connections) == 4


# Credentials stay where they belong


@pytest.fixture
def other() -> Iterator[RecordingVendor]:
    """Somebody else, who must not learn our credentials."""
    with RecordingVendor(Response.json({"id": "1"})) as running:
        yield running


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(vendor: RecordingVendor, other: RecordingVendor, status: int) -> None:
    error = failure(
        vendor,
        faults.status(status, {"Location": f"{other.endpoint}/elsewhere?token=hunter2-token"}),
        headers=lambda: {"Fastly-Key": "hunter2-token"},
    )
    assert type(error) is RetryLater
    assert str(error).endswith(f"{status} to 127.0.0.1; redirects are never followed with credentials")
    assert other.calls == []
    assert len(vendor.calls) == 1
    assert "hunter2" not in str(error)


@pytest.mark.parametrize(
    "location", ["http://[::1", "//", "", "\x01", "http://" + "a" * 300 + "/", "http://%zz\udc80/"]
)
def test_a_redirect_to_garbage_is_an_answer_of_somebody_else(vendor: RecordingVendor, location: str) -> None:
    assert type(failure(vendor, faults.status(302, {"Location": location}))) is RetryLater


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user has credentials of another kind for the host."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1\nlogin mallory\npassword wrong\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)


def test_the_test_of_netrc_would_notice_it(vendor: RecordingVendor, netrc: None) -> None:
    requests.post(vendor.endpoint, headers={"Authorization": "Bearer right"}, timeout=5).close()
    assert vendor.calls[0].headers["Authorization"].startswith("Basic ")


def test_netrc_does_not_replace_our_authorization(vendor: RecordingVendor, netrc: None) -> None:
    Http(vendor.endpoint, headers=lambda: {"Authorization": "Bearer right"}).send("POST", "/purge", CALL)
    assert vendor.calls[0].headers["Authorization"] == "Bearer right"


def test_netrc_adds_no_authorization_where_we_send_none(vendor: RecordingVendor, netrc: None) -> None:
    Http(vendor.endpoint).send("POST", "/purge", CALL)
    assert "Authorization" not in vendor.calls[0].headers


def test_netrc_does_not_replace_a_signature(vendor: RecordingVendor, netrc: None) -> None:
    class Signature(requests.auth.AuthBase):
        def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers["Authorization"] = "EG1-HMAC-SHA256 signed"
            return request

    Http(vendor.endpoint, auth=Signature()).send("POST", "/purge", CALL)
    assert vendor.calls[0].headers["Authorization"] == "EG1-HMAC-SHA256 signed"


def test_the_proxy_of_the_environment_is_used_unless_the_host_is_excepted(
    vendor: RecordingVendor, other: RecordingVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, other.endpoint)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    api = Http(vendor.endpoint)
    api.send("POST", "/through/../a%2f?", CALL)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    api.send("POST", "/as-before", CALL)  # the environment is looked at once an endpoint
    Http(vendor.endpoint).send("POST", "/direct", CALL)
    through = [request.target for request in other.calls]
    assert through == [f"{vendor.endpoint}/through/../a%2f?", f"{vendor.endpoint}/as-before"]
    assert other.calls[0].headers["Host"] == vendor.endpoint.removeprefix("http://")
    assert [request.target for request in vendor.calls] == ["/direct"]


def test_an_object_that_signs_gets_the_exact_url_and_the_body(vendor: RecordingVendor) -> None:
    class Signature(requests.auth.AuthBase):
        def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers["Signed-Url"] = str(request.url)
            assert isinstance(request.body, bytes)
            request.headers["Signed-Body"] = request.body.decode()
            return request

    api = Http(vendor.endpoint + "/ccu", auth=Signature())
    api.send("POST", "/v3/a%2f/../b?x=%2f", CALL, json={"objects": ["a"]}, headers={"Host": "akab.luna.test"})
    [request] = vendor.calls
    assert request.headers["Signed-Url"] == f"{vendor.endpoint}/ccu/v3/a%2f/../b?x=%2f"
    assert request.headers["Signed-Body"].encode() == request.body
    assert request.headers["Host"] == "akab.luna.test"


def test_edgegrid_signs_what_goes_out(vendor: RecordingVendor) -> None:
    """The library's own arithmetic over the target that came, with the time and the nonce that came."""
    from akamai.edgegrid import EdgeGridAuth

    auth = EdgeGridAuth("client-token", "client-secret", "access-token")
    Http(vendor.endpoint, auth=auth).send("POST", "/ccu/v3/a%2fb/../c?x=%2f", CALL, json={"objects": ["a"]})
    [request] = vendor.calls
    sent = request.headers["Authorization"]
    stamp, nonce = re.findall("(?:timestamp|nonce)=([^;]+)", sent)
    came = SimpleNamespace(method="POST", url=vendor.endpoint + request.target, headers={}, body=request.body)
    assert auth.ah.make_auth_header(came, stamp, nonce) == sent


class RespellingAuth(requests.auth.AuthBase):
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.url = f"{request.url}&signature=1"
        return request


class ListeningAuth(requests.auth.AuthBase):
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.register_hook("response", lambda answer, **_: answer)
        return request


@pytest.mark.parametrize(
    ("auth", "why"),
    [
        (requests.auth.HTTPDigestAuth("ops", "right"), "HTTPDigestAuth has to see answers"),
        (ListeningAuth(), "ListeningAuth has to see answers"),
        (RespellingAuth(), "RespellingAuth changes the method or the URL"),
    ],
)
def test_an_object_that_does_more_than_sign_is_refused_aloud(
    vendor: RecordingVendor, auth: requests.auth.AuthBase, why: str
) -> None:
    with pytest.raises(TypeError, match=why):
        Http(vendor.endpoint, auth=auth).send("POST", "/purge?a", CALL)
    assert vendor.calls == []


def test_basic_auth_of_requests_signs_and_is_not_shown(vendor: RecordingVendor) -> None:
    vendor.faults.once(faults.status(500, {}, b"no user b3BzOmh1bnRlcjI="))
    api = Http(vendor.endpoint, auth=requests.auth.HTTPBasicAuth("ops", "hunter2"))
    with pytest.raises(RetryLater, match=r"no user \[secret\]"):
        api.send("POST", "/purge", CALL)
    assert vendor.calls[0].headers["Authorization"] == "Basic b3BzOmh1bnRlcjI="


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("Api-Key", value)
            for value in ("a\r\nEvil: 1", "a\nb", "a\rb", "a\n b", "a\x00b", " a", "\xa0a", "中", "a中", 7, None)
        ),
        *((name, "a") for name in ("Api Key", "Api\r\nEvil", "Api:", "", "Ключ")),
    ],
)
def test_a_header_that_cannot_be_sent_is_not_shown(
    vendor: RecordingVendor, name: str, value: str, signed: bool
) -> None:
    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers[name] = value
        return request

    headers = {} if signed else {name: value}
    with pytest.raises(CredentialsRefused, match="a header can't be sent") as caught:
        Http(vendor.endpoint, headers=lambda: headers, auth=sign if signed else None).send("POST", "/purge", CALL)
    assert caught.value.__context__ is None
    assert vendor.calls == []


def test_a_header_may_have_the_letters_of_latin_1(vendor: RecordingVendor) -> None:
    Http(vendor.endpoint, headers=lambda: {"Who": "Zoë", "Empty": ""}).send("POST", "/purge", CALL)
    assert vendor.calls[0].headers["Who"].encode("ascii", "surrogateescape") == "Zoë".encode("latin-1")
    assert vendor.calls[0].headers["Empty"] == ""


def test_a_header_of_a_call_replaces_the_same_one_however_it_is_written(vendor: RecordingVendor) -> None:
    api = Http(vendor.endpoint, headers=lambda: {"accept": "text/plain", "API-KEY": "old"})
    api.send("POST", "/purge", CALL, json={}, headers={"Api-Key": "new", "content-type": "application/x-ours"})
    sent = [(name.lower(), value) for name, value in vendor.calls[0].headers.items()]
    assert [value for name, value in sent if name == "api-key"] == ["new"]
    assert [value for name, value in sent if name == "content-type"] == ["application/x-ours"]
    assert [value for name, value in sent if name == "accept"] == ["text/plain"]
    assert [value for name, value in sent if name == "user-agent"] == [f"multicdn/{__version__}"]


def test_a_proxy_gets_its_credentials_and_none_of_another_place(
    vendor: RecordingVendor, other: RecordingVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", other.endpoint.replace("://", "://us%40er:pass@"))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    Http(vendor.endpoint).send("POST", "/through", CALL)
    [request] = other.calls
    assert base64.b64decode(request.headers["Proxy-Authorization"].removeprefix("Basic ")) == b"us@er:pass"
    assert "us%40er" not in request.target


def test_authorities_that_cannot_be_read_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nothing.pem"))
    tls.context.cache_clear()
    with pytest.raises(RetryLater, match=r"REQUESTS_CA_BUNDLE names .*nothing\.pem: No such file"):
        Http("https://no-such-host.invalid").send("POST", "/purge", CALL)
    tls.context.cache_clear()


def test_what_is_prepared_is_not_made_again_and_is_no_connection(
    vendor: RecordingVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Http(vendor.endpoint)
    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "connect", lambda *_: pytest.fail("it connects"))
        api.prepare()
    monkeypatch.setattr(urllib3, "PoolManager", lambda **_: pytest.fail("it is made again"))
    assert api.send("POST", "/purge", CALL).text("id") == "1"


def operations(work: Callable[[], object]) -> int:
    """How many functions are called, those in C too."""
    events: Counter[str] = Counter()
    sys.setprofile(lambda _frame, event, _what: events.update((event,)))
    try:
        work()
    finally:
        sys.setprofile(None)
    return events["call"] + events["c_call"]


def test_a_call_does_little_beside_what_the_pool_of_the_library_does(vendor: RecordingVendor) -> None:
    api, headers = Http(vendor.endpoint, headers=lambda: {"Api-Key": "a"}), {"Api-Key": "a"}
    pool = urllib3.PoolManager().connection_from_url(vendor.endpoint)
    ours, floor = (lambda: api.send("POST", "/a", CALL)), (lambda: pool.urlopen("POST", "/a", headers=headers))
    ours(), floor()
    assert operations(ours) <= 1.3 * operations(floor)


def test_the_name_of_a_host_needs_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def look_up(host: str, *_: object, **__: object) -> list[object]:
        asked.append(host)
        raise socket.gaierror(8, "not known")

    monkeypatch.setitem(sys.modules, "idna", None)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(RetryLater, match="not known"):
        Http("http://bücher.example").send("POST", "/purge", CALL)
    assert asked == ["xn--bcher-kva.example"]


def test_a_process_that_only_calls_loads_no_more_than_it_needs(vendor: RecordingVendor) -> None:
    program = (
        "import sys\nfrom multicdn.http import Http\nfrom multicdn.provider import Call\n"
        "Http(sys.argv[1]).send('POST', '/purge', Call(connect=2, read=5), json={})\n"
        "unneeded = {'requests', 'charset_normalizer', 'idna', 'http.cookiejar', 'urllib.request', 'certifi'}\n"
        "print(*sorted(unneeded & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program, vendor.endpoint], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
    assert [request.body for request in vendor.calls] == [b"{}"]


def test_hints_before_an_answer_are_no_answer_and_each_request_gets_its_own() -> None:
    def hinted(over: threading.Event) -> Iterator[bytes]:
        number = len(vendor.heads)
        yield b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
        over.wait(0.05)
        yield OK + b'Content-Length: 8\r\n\r\n{"n": %d}' % number

    with HostileServer(hinted) as vendor:
        api = Http(vendor.url)
        assert [api.send("POST", f"/{number}", CALL).json()["n"] for number in (1, 2, 3)] == [1, 2, 3]


def test_hints_without_end_end_at_the_bounds_of_the_call() -> None:
    with HostileServer(endless(b"", b"HTTP/1.1 103 Early Hints\r\nX-Odd: 1\r\n\r\n" * 1000)) as vendor:
        with pytest.raises(RetryLater):
            Http(vendor.url).send("POST", "/", CALL)
        assert vendor.sent < 64 << 20


@pytest.mark.parametrize(
    "endpoint", ["https://[::1", "https://127.0.0.1:99999", f"https://{'ä' * 70}.test", "https://"]
)
def test_an_endpoint_that_is_no_url_is_neither_a_plugins_bug_nor_a_matter_of_credentials(endpoint: str) -> None:
    with pytest.raises(RetryLater, match="connection failed"):
        Http(endpoint).send("POST", "/", CALL)


@pytest.mark.parametrize("target", ["http://other.test/a", "purge", "?all", ""])
def test_a_target_is_never_another_host(vendor: RecordingVendor, target: str) -> None:
    Http(vendor.endpoint).send("POST", target, CALL)
    [call] = vendor.calls
    assert (call.target, call.headers["Host"]) == (f"/{target}", vendor.endpoint.removeprefix("http://"))


def test_what_signs_may_set_a_header_in_bytes(vendor: RecordingVendor) -> None:
    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = b"Signed it"  # type: ignore[assignment]
        return request

    Http(vendor.endpoint, auth=sign).send("POST", "/", CALL)
    assert vendor.calls[0].headers["Authorization"] == "Signed it"


@pytest.mark.parametrize("left", [0.0, -0.5])
def test_a_call_without_time_is_no_bug_of_a_plugin(vendor: RecordingVendor, left: float) -> None:
    with pytest.raises(RetryLater, match=r"no answer within 0\.0 s"):
        Http(vendor.endpoint).send("POST", "/", Call(connect=left, read=left))
    assert not vendor.calls

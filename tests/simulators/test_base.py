"""The base of all simulators, by the smallest vendor there can be."""

from __future__ import annotations

import http.client
import subprocess
import sys
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

import multicdn.simulators
from multicdn.simulators import ManualClock, Origin, Request, Response, Simulator, Url
from multicdn.simulators.kit import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Acme(Simulator):
    vendor = "acme"
    api_path = "/v1"
    credential_headers = ("Acme-Key",)

    def api(self, request: Request) -> Response:
        urls = request.json()["urls"]
        for url in urls:
            self.edge.cache.drop(self.edge.cache_key(Url.parse(url)))
        return Response.json({"purged": len(urls)})

    def items(self, request: Request) -> int:
        return len(request.json()["urls"])

    def secrets(self) -> dict[str, str]:
        return {"token": "s3cret-value", "unused": ""}


@pytest.fixture
def acme(origin: Origin) -> Iterator[Acme]:
    with Acme(origin.url, clock=ManualClock(1000.0)) as running:
        yield running


def post(acme: Acme, body: str, target: str = "/v1/purge", headers: dict[str, str] | None = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(acme.endpoint).port or 0, timeout=5)
    try:
        connection.request("POST", target, body, headers or {})
        return connection.getresponse().status
    finally:
        connection.close()


def test_api_purges_what_the_edge_serves(origin: Origin, acme: Acme) -> None:
    origin.put("a b", "old")
    assert acme.fetch("https://www.acme.com/a%20b").cache == "MISS"
    origin.put("a b", "new")
    stale = acme.fetch("https://www.acme.com/a%20b")
    assert (stale.status, stale.body, stale.cache, stale.age) == (200, b"old", "HIT", 0)
    assert post(acme, '{"urls": ["https://www.acme.com/a%20b"]}') == 200
    assert acme.fetch("https://www.acme.com/a%20b").body == b"new"


def test_options_name_the_type_and_the_endpoint_with_its_path(acme: Acme) -> None:
    assert acme.options() == {"type": "acme", "endpoint": acme.endpoint}
    assert acme.endpoint.endswith("/v1")
    assert acme.edge_url != acme.endpoint.removesuffix("/v1")


def test_calls_are_recorded_in_order_with_status_time_and_items(acme: Acme) -> None:
    acme.faults.once(faults.status(503), when=lambda request: request.target == "/v1/two")
    for target in ("/v1/one", "/v1/two"):
        post(acme, '{"urls": ["https://a/1", "https://a/2"]}', target)
    seen = [(call.method, call.target, call.status, call.at, call.items) for call in acme.calls]
    assert seen == [("POST", "/v1/one", 200, 1000.0, 2), ("POST", "/v1/two", 503, 1000.0, 2)]
    acme.forget_calls()
    assert acme.calls == []


def test_dropped_call_is_recorded_without_a_status_and_unreadable_one_without_items(acme: Acme) -> None:
    acme.faults.once(faults.reset())
    with pytest.raises(ConnectionResetError):
        post(acme, "not json")
    assert [(call.status, call.items) for call in acme.calls] == [(0, 0)]


def test_recorded_calls_hold_no_credentials(acme: Acme) -> None:
    headers = {"Acme-Key": "some other key", "X-Also": "Bearer s3cret-value"}
    post(acme, '{"urls": [], "token": "s3cret-value"}', "/v1/purge?token=s3cret-value", headers)
    [call] = acme.calls
    assert (call.target, call.headers["Acme-Key"], call.headers["X-Also"]) == (
        "/v1/purge?token=***",
        "***",
        "Bearer ***",
    )
    assert b"s3cret" not in call.body
    assert "s3cret" not in repr(acme.calls)


def test_fetch_keeps_the_target_raw_and_names_the_site(origin: Origin, acme: Acme) -> None:
    acme.fetch("http://www.acme.com//a/../b%2fc?q=%2F#fragment")
    assert origin.requests[-1].target == "//a/../b%2fc?q=%2F"
    assert acme.edge.cache.entries[0].url == Url("http", "www.acme.com", "//a/../b%2fc?q=%2F")


def test_fetch_needs_a_running_simulator(origin: Origin) -> None:
    with pytest.raises(RuntimeError, match="isn't running"):
        Acme(origin.url).fetch("https://a/b")


def telling(event: threading.Event) -> Callable[[Request], bool]:
    """Make a condition that is always true, and sets an event when it is asked."""

    def condition(_request: Request) -> bool:
        event.set()
        return True

    return condition


def test_stop_releases_what_hangs_and_may_be_repeated(origin: Origin) -> None:
    acme = Acme(origin.url).start()
    arrived = threading.Event()
    acme.faults.always(faults.hang(60), when=telling(arrived))
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(acme.endpoint).port or 0, timeout=5)
    connection.request("POST", "/v1", "{}")
    assert arrived.wait(5)
    acme.stop()
    acme.stop()
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        connection.getresponse()
    connection.close()


@pytest.mark.parametrize("name", sorted({*multicdn.simulators.__all__} - {"VENDORS", "load"}))
def test_public_name_can_be_imported(name: str) -> None:
    assert isinstance(getattr(multicdn.simulators, name), type)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = multicdn.simulators.Nonsense


@pytest.mark.parametrize("vendor", multicdn.simulators.VENDORS)
def test_vendor_is_loaded_by_its_type(vendor: str) -> None:
    found = multicdn.simulators.load(vendor)
    assert (found.vendor, getattr(multicdn.simulators, found.__name__)) == (vendor, found)


def test_unknown_vendor_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        multicdn.simulators.load("acme")


def test_importing_the_package_costs_nothing_and_its_base_needs_the_standard_library_only() -> None:
    program = (
        "import sys, multicdn.simulators as s; light = 'http.client' not in sys.modules;"
        "[getattr(s, n) for n in s.__all__]; [s.load(v) for v in s.VENDORS];"
        "heavy = {'requests', 'boto3', 'yaml', 'msgspec', 'cloudflare'} & set(sys.modules); print(light, heavy)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "True set()\n"

"""The proxy that the environment names: one that can't be used is complained of without its password."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kit.http_calls import CALL
from multicdn_providers.cloudflare import Cloudflare

from multicdn import through
from multicdn.errors import RetryLater
from multicdn.http import Http
from multicdn.provider import Secret
from multicdn.proxies import ProxyUnusableError, proxy_for

if TYPE_CHECKING:
    from collections.abc import Callable


def by_http() -> None:
    Http("https://api.vendor.test").send("GET", "/", CALL)


def by_cloudflare() -> None:
    Cloudflare(zone="023e105f4ecef8ad9ca31a8372d0c353", token=Secret.literal("hunter3-token")).purge_everything(CALL)


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("ask", [by_http, by_cloudflare])
@pytest.mark.parametrize(
    ("proxy", "reason"),
    [
        ("http://us:hunter2#more@proxy.test:3128", "it is no URL"),
        ("us:hunter2/more@proxy.test:3128", "it is no URL"),
        ("http://us:12?hunter2@proxy.test:3128", "it is no URL"),
        ("http://us[er:hunter2]@proxy.test:3128", "it is no URL"),
        ("http://us:hunter2@proxy.test:port", "it is no URL"),
        ("socks5://us:hunter2@proxy.test:1080", "socks5 rather than HTTP"),
    ],
)
def test_a_proxy_that_cannot_be_used_keeps_its_password(
    ask: Callable[[], None], proxy: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(RetryLater, match=reason) as caught:
        ask()
    assert not [part for part in ("hunter", "12") if part in repr(caught.value)]


def test_a_look_at_an_edge_says_so_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://us:hunter2#more@proxy.test:3128")
    address = through.locate("https://www.acme.test/", "")
    with pytest.raises(ProxyUnusableError) as caught, through.answering(address, 1.0, {}):
        pass
    said = through.told(caught.value, address, 1.0)
    assert "no URL" in said
    assert "hunter" not in said


@pytest.mark.parametrize(
    "proxy", ["http://proxy.test:3128", "HTTP://us%23er:a%40b@proxy.test", "https://[::1]:3128/", "proxy.test:3128"]
)
def test_one_that_can_be_used_is_given_as_it_is(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert proxy_for("https", "api.vendor.test").removeprefix("http://") == proxy.removeprefix("http://")

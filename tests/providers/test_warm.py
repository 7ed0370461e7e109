"""Type `warm`: plain requests through a CDN's own host, as a browser sends them, at the pace of the origin."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest
from kit.hostile_server import OK, HostileServer, drip, whole
from multicdn_providers.warm import Warm

from multicdn import config, through
from multicdn.delivery.rate_limit import RateLimits
from multicdn.diagnosis import Health, Usage
from multicdn.errors import CallRefused, ConfigError, RetryLater, TargetsRefused
from multicdn.plugins.discovery import Plugins
from multicdn.provider import Call, ProviderError, capabilities
from multicdn.testing.recording import RecordingVendor, Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterator

URL = "http://www.acme.com/a%20b.css?v=1"
CALL = Call(connect=1.0, read=2.0)


@pytest.fixture(scope="module")
def edge() -> Iterator[RecordingVendor]:
    """An edge that answers with the status that the path names."""

    def answer(request: Request) -> Response:
        status = int(request.target.removeprefix("/")) if request.target.removeprefix("/").isdigit() else 200
        return Response(status, {"Location": "http://127.0.0.1:1/", "Retry-After": "7"}, b"x")

    with RecordingVendor(answer) as running:
        yield running


def load(edge: RecordingVendor, url: str = URL) -> str:
    return Warm(via=edge.endpoint).preload_urls([url], CALL).note


@pytest.mark.slow
def test_it_asks_as_a_browser_does_but_where_the_cdn_is(edge: RecordingVendor) -> None:
    assert load(edge) == "the answer was 200"
    sent = edge.calls[-1]
    assert (sent.method, sent.target, sent.headers["Host"]) == ("GET", "/a%20b.css?v=1", "www.acme.com")
    assert sent.headers["Accept-Encoding"] == "gzip, deflate, br, zstd"
    assert not {"Cookie", "Authorization", "Cache-Control", "Pragma"} & set(sent.headers)


@pytest.mark.slow
@pytest.mark.parametrize("status", [200, 204, 206, 301, 302, 304, 307, 404, 410])
def test_answers_that_are_kept(edge: RecordingVendor, status: int) -> None:
    before = len(edge.calls)
    assert load(edge, f"http://www.acme.com/{status}") == f"the answer was {status}"
    assert len(edge.calls) == before + 1  # and no redirect is followed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (401, TargetsRefused, "the site wants a login there"),
        (403, TargetsRefused, "the site wants a login there"),
        (400, TargetsRefused, "400"),
        (405, TargetsRefused, "405"),
        (416, TargetsRefused, "416"),
        (451, TargetsRefused, "451"),
        (408, RetryLater, "408"),
        (425, RetryLater, "425"),
        (429, RetryLater, "429"),
        (500, RetryLater, "500"),
        (504, RetryLater, "504"),
    ],
)
def test_answers_that_are_not(edge: RecordingVendor, status: int, error: type[ProviderError], said: str) -> None:
    with pytest.raises(error, match=said) as caught:
        load(edge, f"http://www.acme.com/{status}")
    assert str(caught.value).startswith(f"GET http://www.acme.com/{status}: {status}")
    assert getattr(caught.value, "after", 7.0) == 7.0
    assert getattr(caught.value, "targets", ()) in ((), (f"http://www.acme.com/{status}",))


@pytest.mark.slow
def test_a_long_answer_is_left_when_its_time_is_over() -> None:
    with HostileServer(drip(OK + b"Content-Length: 1000000\r\n\r\n")) as server:
        receipt = Warm(via=server.url).preload_urls([URL], Call(connect=1.0, read=0.2))
    assert receipt.note == "the answer was 200, whose end wasn't waited for"


@pytest.mark.slow
def test_a_long_answer_is_left_when_it_is_longer_than_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multicdn_providers.warm._LARGEST_BODY", 1 << 17)
    with HostileServer(whole(OK, bytes(1 << 20))) as server:
        receipt = Warm(via=server.url).preload_urls([URL], CALL)
    assert receipt.note == "the answer was 200, whose end wasn't waited for"


@pytest.mark.slow
def test_an_answer_that_breaks_off_is_asked_for_again() -> None:
    cut = Response(200, {"Content-Length": "9"}, b"x", cut_after=1 << 20)
    with RecordingVendor(cut) as server, pytest.raises(RetryLater, match="no answer: IncompleteRead"):
        Warm(via=server.endpoint).preload_urls([URL], CALL)


def test_what_the_url_hides_is_not_shown() -> None:
    with pytest.raises(RetryLater) as caught:
        Warm(via="http://127.0.0.1:1").preload_urls(["http://www.acme.com/a?token=hidden"], CALL)
    assert str(caught.value) == "GET http://www.acme.com/a: no answer: Connection refused (asked 127.0.0.1:1)"
    with pytest.raises(TargetsRefused, match=r"^ftp://a/b: it is no absolute http or https URL$"):
        Warm(via="a.example").preload_urls(["ftp://a/b"], CALL)


def test_a_certificate_of_another_site_is_told_to_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ssl.SSLCertVerificationError(1, "certificate verify failed")

    monkeypatch.setattr(through._Secure, "connect", refuse)
    with pytest.raises(CallRefused, match=r"its certificate isn't one for www\.acme\.com"):
        Warm(via="d1.cloudfront.net").preload_urls(["https://www.acme.com/"], CALL)
    usage = Usage(hosts=("www.acme.com",))
    failed, unknown = Warm(via="d1.cloudfront.net").diagnose(usage, CALL)
    assert (failed.state, unknown.state) == (Health.FAILED, Health.UNKNOWN)
    assert failed.remedy.startswith("write in `via` the host under which the CDN serves this site")


def test_instances_before_one_origin_share_its_pace() -> None:
    shop, blog = Warm(via="a.example", origin="bucket"), Warm(via="b.example", origin="bucket")
    alone = Warm(via="c.example", origin="other")
    rates = RateLimits()

    def turn(name: str, provider: Warm) -> float:
        return rates.book(name, "preload_urls", provider.preload_limits, 1, 0.0, 99.0)

    turns = [turn("shop", shop), turn("blog", blog), turn("shop", shop), turn("alone", alone)]
    assert turns == [0.0, 0.2, 0.4, 0.0]
    assert Warm(via="a.example").preload_limits.quota == Warm(via="b.example").preload_limits.quota == "warm"


def test_it_only_preloads() -> None:
    assert [what.method for what in capabilities(Warm)] == ["preload_urls"]
    assert Warm(via="a.example").preload_limits.targets == 1


@pytest.mark.parametrize("pace", [0, -1, 1001, float("nan"), float("inf")])
def test_a_pace_that_is_none(pace: float) -> None:
    with pytest.raises(ValueError, match=r"^requests_per_second .* must be above 0, and no more than 1000$"):
        Warm(via="a.example", requests_per_second=pace)


@pytest.mark.slow
def test_the_doctor_connects_and_asks_for_nothing(edge: RecordingVendor) -> None:
    before = len(edge.calls)
    fine, unknown = Warm(via=edge.endpoint).diagnose(Usage(hosts=("www.acme.com",)), CALL)
    assert (fine.state, unknown.state, len(edge.calls)) == (Health.OK, Health.UNKNOWN, before)
    assert fine.text == f"{edge.endpoint.removeprefix('http://')} takes connections"
    assert list(Warm(via=edge.endpoint).diagnose(Usage(hosts=("www.acme.com",)), None)) == []


# In the config

FILE = """\
version: 1
providers:
  fastly: {token: "${env:T}", service: SU1Z0isxPaozGVKXdv0eY}
  images: {type: pixboost, secret: "${env:P}"}
  filler: {type: warm, WARM}
routes:
  - {bucket: acme-site, urls: ["https://www.acme.com/{key}"], purge: [PURGE], preload: [filler]}
"""


def parse(options: str, purge: str = "fastly") -> Any:
    return config.parse(FILE.replace("WARM", options).replace("PURGE", purge), "c.yml", Plugins())


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("of: fastly", "c.yml:5: providers.filler: warm needs the option 'via'"),
        ("via: a.example, of: fasty",
         "c.yml:5: providers.filler.of: no provider is called 'fasty'; did you mean 'fastly'?"),
        ("via: a.example, of: filler",
         "c.yml:5: providers.filler.of: filler (warm) can't purge, so there is nothing to follow"),
        ("via: a.example/x", "c.yml:5: providers.filler.via: 'a.example/x' is where to connect, and takes no path or "
         "query: write 'a.example'"),
        ("via: a.example, again: 5s", "c.yml:5: providers.filler.again: does nothing: filler (warm) can't purge"),
    ],
)  # fmt: skip
def test_what_is_refused_in_the_config(options: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(options)
    assert list(caught.value.problems) == [problem]


def test_it_fills_what_is_purged() -> None:
    unused = "c.yml:4: providers.images: no route uses it"
    loaded = parse("via: a.example, of: fastly")
    assert (loaded.warnings, loaded.tiers["filler"].via) == ((unused,), "a.example")
    [warning, *_] = parse("via: a.example, of: fastly", "images").warnings
    assert warning == (
        "c.yml:7: routes[0].preload[0]: filler fills the cache of fastly, which nobody purges for these keys: what is "
        "kept there stays; name fastly under `purge`, too"
    )

"""Answers that take any time or any size, read by vendors' real plugins: a call ends at its limit, whatever comes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from kit.environments import ROOT
from kit.hostile_server import ANSWERS, OK, HostileServer, drip, whole
from kit.real_plugins import NAMES, plugin
from kit.scripted_provider import Scripted, Seen, accept, delivery, demand
from multicdn_providers.highwinds import Highwinds

from multicdn.aws.s3 import Objects
from multicdn.bounds import NotPacked, bounded, cut, time_left, unpacked
from multicdn.delivery.clock import Clock
from multicdn.delivery.delivery import Delivery
from multicdn.errors import ProviderError, RetryLater
from multicdn.model import Receipt, Status, Target, TargetKind
from multicdn.provider import Call, Limits, Secret
from multicdn.testing.recording import RecordingVendor, Request, Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multicdn.provider import Provider

pytestmark = pytest.mark.slow

URL = "https://www.acme.com/a.css"

# A call's limit in these tests, and how late a busy machine may be. Without a limit for the whole it would be minutes.
LIMIT, LATE = 0.25, 6.0

# Bytes: the largest answer that any call may have, and what fits into the sockets of both sides.
MOST_SENT = 16 << 20


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-a-simulator")


def purge(provider: Provider, read: float = LIMIT) -> ProviderError:
    """The error of one call."""
    [target] = provider.locate(Target(TargetKind.URL, URL), "purge")  # type: ignore[arg-type]
    with pytest.raises(ProviderError) as caught:
        provider.purge_urls([target.value], Call(connect=2.0, read=read))  # type: ignore[attr-defined]
    return caught.value


# One call


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("answer", [name for name in ANSWERS if "drip" in name or "continue" in name])
def test_a_call_ends_at_its_limit_whatever_drips(name: str, answer: str) -> None:
    with HostileServer(ANSWERS[answer]) as vendor:
        provider = plugin(name, vendor.url)
        began = time.monotonic()
        error = purge(provider)
        assert time.monotonic() - began < LIMIT + LATE
        assert isinstance(error, RetryLater)
        assert vendor.settled(), "the connection is closed, not left to the other side"


@pytest.mark.parametrize("name", NAMES)
def test_the_limit_holds_for_a_connection_that_is_kept_as_well(name: str) -> None:
    with HostileServer(whole(OK, b"{}")) as vendor:
        provider = plugin(name, vendor.url)
        purge(provider, 5.0)
        vendor.answer = drip(b"")
        began = time.monotonic()
        error = purge(provider)
        assert time.monotonic() - began < LIMIT + LATE
        assert isinstance(error, RetryLater)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("answer", [name for name in ANSWERS if "endless" in name and "continue" not in name])
def test_no_more_is_read_than_an_answer_may_have(name: str, answer: str) -> None:
    with HostileServer(ANSWERS[answer]) as vendor:
        error = purge(plugin(name, vendor.url), 20.0)
        assert isinstance(error, RetryLater)
        assert vendor.settled()
        # What lies in the buffers of both sockets was sent as well.
        assert vendor.sent < MOST_SENT


@pytest.mark.parametrize("name", NAMES)
def test_the_status_of_an_error_counts_however_long_its_page_is(name: str) -> None:
    page = b"<" * 65536
    head = b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n"
    with HostileServer(whole(head, page)) as vendor:
        error = purge(plugin(name, vendor.url), 10.0)
    assert isinstance(error, RetryLater)
    if name != "cloudfront":  # botocore's answer to a page that is no XML names no header
        assert error.after == 7.0
        assert "503" in error.reason


@pytest.mark.parametrize("name", NAMES)
def test_a_packed_answer_is_read_though_nobody_asked_for_it(name: str) -> None:
    if name == "cloudfront":
        pytest.skip("AWS signs what we accept, and botocore unpacks nothing")
    import gzip

    packed = gzip.compress(b'{"errors": [{"message": "so it is"}], "detail": "so it is"}')
    with HostileServer(whole(b"HTTP/1.1 500 No\r\nContent-Encoding: gzip\r\n", packed)) as vendor:
        error = purge(plugin(name, vendor.url), 10.0)
        assert "so it is" in error.reason
        assert b"accept-encoding: identity" in vendor.heads[0].lower()


@pytest.mark.parametrize("name", NAMES)
def test_cookies_are_neither_kept_nor_sent(name: str) -> None:
    with HostileServer(whole(b"HTTP/1.1 503 Busy\r\nSet-Cookie: AWSALB=node-7; Path=/\r\n", b"")) as vendor:
        provider = plugin(name, vendor.url)
        for _ in range(3):
            purge(provider, 5.0)
        assert len(vendor.heads) == 3
        assert not [head for head in vendor.heads if b"node-7" in head or b"\r\ncookie:" in head.lower()]


# Many invocations


def test_one_thread_of_each_and_no_connection_is_left_after_many_invocations() -> None:
    others = set(threading.enumerate())  # of tests before this one
    with HostileServer(ANSWERS["drip in the body"]) as vendor:
        delivery = Delivery({name: plugin(name, vendor.url) for name in NAMES})
        numbers = []
        for number in range(4):
            began = time.monotonic()
            report = delivery.deliver([demand([f"{URL}?{number}"], name) for name in NAMES], 1.0)
            assert time.monotonic() - began < 1.0 + LATE
            assert [outcome.status for outcome in report.outcomes] == [Status.RETRY] * len(NAMES)
            assert vendor.settled()
            until = time.monotonic() + 5
            while len(_own_threads() - others) > len(NAMES) and time.monotonic() < until:
                time.sleep(0.02)
            numbers.append(len(_own_threads() - others))
        assert numbers == [len(NAMES)] * 4


def _own_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("multicdn-")}


# Memory of a process

INVOCATION = """
import json, sys
from kit.real_plugins import plugin
from multicdn.delivery.clock import Clock
from multicdn.delivery.delivery import Delivery
from kit.scripted_provider import demand
from multicdn.provider import Call
name, *endpoints = sys.argv[1:]
try:
    plugin(name, endpoints[0]).purge_urls(["/a"], Call(read=60.0))  # all that has to be imported is
except Exception:
    pass
wanted = demand([f"https://www.acme.com/{n}" for n in range(20)], name)
found = []
for endpoint in endpoints:
    report = Delivery({name: plugin(name, endpoint)}).deliver([wanted], 0.5)
    [peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
    found.append((int(peak), report.outcomes[0].reason))
print(json.dumps(found))
"""
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}


def peaks(name: str, vendors: Sequence[HostileServer]) -> list[tuple[int, str]]:
    """KB that a process took at most, after an invocation with each vendor in turn, and why each refused."""
    done = subprocess.run(
        [sys.executable, "-c", INVOCATION, name, *(vendor.url for vendor in vendors)],
        env={**os.environ, **CREDENTIALS, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [(peak, reason) for peak, reason in json.loads(done.stdout.splitlines()[-1])]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
@pytest.mark.parametrize("name", ["fastly", "cloudflare", "cloudfront"])
def test_peak_memory_under_a_bomb_and_an_endless_body_is_nearly_the_normal_one(name: str) -> None:
    normal = whole(b"HTTP/1.1 503 Busy\r\nContent-Type: text/html\r\n", b"<html>Busy</html>")
    hostile = ("gzip bomb", "endless body", "endless head")
    with ExitStack() as stack:
        usual = stack.enter_context(HostileServer(normal))
        vendors = [stack.enter_context(HostileServer(ANSWERS[answer])) for answer in hostile]
        # Each client that is made keeps some megabytes: as many normal ones as hostile ones.
        [*_, (normally, busy)], then = (found := peaks(name, [usual] * 3 + vendors))[:3], found[3:]
    assert "redentials" not in busy, "no vendor was asked at all"
    assert max(peak for peak, _ in then) <= 1.2 * normally, dict(zip(hostile, then, strict=True))


# The parts


def test_a_call_of_several_exchanges_ends_at_the_limit_of_one() -> None:
    """A login and what it is for: each had all of the time, and the call outlived the function."""

    def answer(request: Request) -> Response:
        time.sleep(0.3)
        said = {"access_token": "t", "expires_in": 3600} if "/auth/" in request.target else {"id": "1"}
        return Response.json(said)

    with RecordingVendor(answer) as api:
        vendor = Highwinds(endpoint=api.endpoint, account="a", user="u", password=Secret.literal("correct horse"))
        report = delivery(vendor, clock=Clock(), read=0.5, tries=1).deliver([demand(["https://a/1"])], 10)
        assert "no answer within" in report.undelivered[0].reason


def test_outside_of_bounds_a_library_keeps_its_own_limit() -> None:
    assert time_left() is None
    assert time_left(7.0) == 7.0
    with bounded(100.0):
        assert time_left(7.0) == 7.0
        assert 90.0 < (time_left() or 0.0) <= 100.0
    assert time_left(7.0) == 7.0


def test_when_the_time_is_over_no_read_begins() -> None:
    with bounded(0.0), pytest.raises(TimeoutError):
        time_left(7.0)


def test_a_body_is_cut_without_asking_for_more() -> None:
    asked = []

    def pieces(number: int) -> bytes:
        asked.append(number)
        return b"abcd"

    assert cut(map(pieces, range(1000)), 10) == b"abcdabcdab"
    assert asked == [0, 1, 2]


def test_unpacking_ends_where_it_may() -> None:
    import gzip
    import zlib

    text = b"a" * 5_000_000
    assert unpacked(gzip.compress(text), "gzip", 1000) == b"a" * 1000
    assert unpacked(zlib.compress(text), " Deflate ", 1000) == b"a" * 1000
    assert unpacked(text, "identity", 1000) == text
    with pytest.raises(NotPacked):
        unpacked(b"nope", "gzip")


# Others


def test_a_listing_of_s3_ends_in_its_time_whatever_drips(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes before any purge, and only the wait between two reads was limited."""
    complaints: list[Exception] = []
    with HostileServer(drip(OK + b"Content-Length: 100000\r\n\r\n<")) as store:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", store.url)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        objects = Objects()
        assert objects.counter(complaints.append, 1.0)("b", "d/", 10) is None
        assert complaints
        assert store.settled()


def test_the_words_of_cloudfront_are_looked_at_no_further_than_they_are_shown() -> None:
    """Four megabytes took seconds in which no other thread had a turn."""
    for number in range(6):
        Secret.literal(f"secret-token-{number}+/abc").reveal()
    said = (
        b"<ErrorResponse><Error><Code>Odd</Code><Message>" + b"%41" * 1_200_000 + b"</Message></Error></ErrorResponse>"
    )
    with HostileServer(whole(b"HTTP/1.1 400 Bad Request\r\n", said)) as vendor:
        provider = plugin("cloudfront", vendor.url)
        purge(provider, 20.0)  # imports the SDK
        began = time.thread_time()
        error = purge(provider, 20.0)
        assert time.thread_time() - began < 0.6
        assert len(error.reason) < 400


def test_a_page_made_to_be_slow_costs_another_vendor_no_call() -> None:
    """A regular expression that took four seconds for it let no other thread have a turn."""
    page = whole(b"HTTP/1.1 503 Busy\r\nContent-Type: text/html\r\n", b"<" * 65536)
    with HostileServer(page) as vendor:
        well = Scripted(limits=Limits(targets=1), answer=_in_a_moment)
        delivery = Delivery({"fastly": plugin("fastly", vendor.url), "well": well})
        wanted = [demand([f"{URL}?{number}" for number in range(20)], name) for name in ("fastly", "well")]
        began = time.monotonic()
        report = delivery.deliver(wanted, 2.5)
        assert time.monotonic() - began < 2.5 + LATE
    accepted = [outcome for outcome in report.outcomes if outcome.status is Status.ACCEPTED]
    assert {outcome.job.provider for outcome in accepted} == {"well"}
    assert len(accepted) == 20


def _in_a_moment(seen: Seen) -> Receipt:
    time.sleep(0.05)
    return accept(seen)

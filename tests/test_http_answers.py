"""Answers of vendors, and troubles on the way to them, and the errors that they become."""

from __future__ import annotations

import email.utils
import json
import socket
import threading
import time
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from kit.http_calls import CALL, failure

from multicdn.errors import CallRefused, CredentialsRefused, ProviderError, RetryLater, TargetsRefused
from multicdn.http import Answer, Http, retry_after, until_epoch
from multicdn.provider import Call
from multicdn.secrets import Secret
from multicdn.testing.recording import RecordingVendor, Response, faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.simulators.kit.faults import Fault


@pytest.fixture
def vendor() -> Iterator[RecordingVendor]:
    with RecordingVendor(Response.json({"id": "1"})) as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_status_of_the_two_hundreds_is_a_success(vendor: RecordingVendor, status: int) -> None:
    vendor.faults.once(faults.status(status, {"X-Id": "7"}, b"" if status == 204 else b'{"id": 12}'))
    answer = Http(vendor.endpoint).send("POST", "/purge", CALL)
    assert (answer.status, answer.headers["x-id"]) == (status, "7")
    if status != 204:
        assert (answer.json(), answer.text("id"), answer.text("name")) == ({"id": 12}, "12", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, TargetsRefused),
        (401, CredentialsRefused),
        (402, RetryLater),
        (403, CredentialsRefused),
        (404, CallRefused),
        (405, RetryLater),
        (408, RetryLater),
        (409, RetryLater),
        (410, RetryLater),
        (413, TargetsRefused),
        (414, TargetsRefused),
        (418, RetryLater),
        (422, TargetsRefused),
        (425, RetryLater),
        (429, RetryLater),
        (500, RetryLater),
        (501, RetryLater),
        (502, RetryLater),
        (503, RetryLater),
        (504, RetryLater),
        (522, RetryLater),
        (599, RetryLater),
        (300, RetryLater),
        (304, RetryLater),
    ],
)
def test_each_status_becomes_the_error_that_says_what_to_do(
    vendor: RecordingVendor, status: int, error: type[ProviderError]
) -> None:
    found = failure(vendor, faults.status(status, body=b'{"msg": "so it is"}'))
    assert type(found) is error
    assert str(status) in found.reason


@pytest.mark.slow
def test_a_vendor_may_mean_something_else_by_a_status(vendor: RecordingVendor) -> None:
    meaning = {405: TargetsRefused, 403: RetryLater}
    assert type(failure(vendor, faults.status(405), meaning=meaning)) is TargetsRefused
    error = failure(vendor, faults.status(403, {"Retry-After": "7"}), meaning=meaning)
    assert isinstance(error, RetryLater)
    assert error.after == 7.0
    assert type(failure(vendor, faults.status(404, body="{}"), meaning=meaning)) is CallRefused


@pytest.mark.slow
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 421, 422, 423, 424, 431])
def test_a_page_is_no_answer_of_the_vendor_and_never_final(vendor: RecordingVendor, status: int) -> None:
    page = " <!DOCTYPE html><html><h1>Not here</h1></html>"
    found = failure(vendor, faults.status(status, {"Retry-After": "7"}, page), meaning={405: TargetsRefused})
    assert isinstance(found, RetryLater)
    assert found.after == 7.0


@pytest.mark.slow
@pytest.mark.parametrize("body", ["", "404 page not found", "<html>"])
def test_a_404_without_json_is_a_gateways(vendor: RecordingVendor, body: str) -> None:
    assert type(failure(vendor, faults.status(404, body=body))) is RetryLater


@pytest.mark.slow
@pytest.mark.parametrize(("status", "about"), [(401, "account"), (403, None), (404, None)])
def test_a_status_alone_says_that_a_refusal_is_for_the_credentials_at_401_only(
    vendor: RecordingVendor, status: int, about: str | None
) -> None:
    found = failure(vendor, faults.status(status, body="{}"))
    assert isinstance(found, CallRefused)
    assert found.about == about


@pytest.mark.slow
def test_details_are_quoted_too(vendor: RecordingVendor) -> None:
    body = '{"msg":"Record not found","details":"Cannot find service"}'
    assert "Record not found" in (reason := failure(vendor, faults.status(404, body=body)).reason)
    assert "Cannot find service" in reason


@pytest.mark.slow
def test_the_reason_names_request_status_and_the_vendors_words(vendor: RecordingVendor) -> None:
    error = failure(vendor, faults.status(400, body=b'{"msg": "Malformed purge request"}'), target="/purge/x?token=y")
    assert error.reason == f"POST {vendor.endpoint}/purge/x: 400: Malformed purge request"


@pytest.mark.slow
@pytest.mark.parametrize("body", [b"", b"<html>It works!</html>", b"[]", b"null", b'{"id": ', b"\xff\xfe", b"[" * 9999])
def test_a_success_that_is_no_json_object_is_tried_again(vendor: RecordingVendor, body: bytes) -> None:
    vendor.faults.once(faults.status(200, body=body))
    answer = Http(vendor.endpoint).send("POST", "/purge", CALL)
    for read in (answer.json, lambda: answer.text("id")):
        with pytest.raises(RetryLater, match="no JSON object"):
            read()


# How long to wait


@pytest.mark.slow
@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_the_wait_that_an_answer_asks_for_is_in_the_error(vendor: RecordingVendor, status: int) -> None:
    error = failure(vendor, faults.status(status, {"Retry-After": "13"}))
    assert isinstance(error, RetryLater)
    assert error.after == 13.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        ("2.5", 2.5),
        (" 4 ", 4.0),
        ("0", 0.0),
        ("-5", 0.0),
        ("", None),
        ("soon", None),
        ("inf", None),
        ("nan", None),
        ("1e999", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 32 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 99999 07:28:00 GMT", None),
        ("12 seconds", None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(value: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": value}) == seconds


def test_retry_after_may_be_a_date() -> None:
    in_a_minute = email.utils.formatdate(time.time() + 60, usegmt=True)
    assert retry_after({"Retry-After": in_a_minute}) == pytest.approx(60, abs=3)


def test_without_retry_after_the_vendor_asks_for_nothing() -> None:
    assert retry_after({}) is None


@pytest.mark.parametrize("unit", [1, 1000], ids=["seconds", "milliseconds"])
@pytest.mark.parametrize(("ahead", "seconds"), [(90, 90), (0.5, 0.5), (-90, 0)])
def test_a_moment_becomes_the_seconds_until_then(unit: int, ahead: float, seconds: float | None) -> None:
    headers = {"Reset": str((time.time() + ahead) * unit)}
    assert until_epoch("Reset")(headers) == pytest.approx(seconds, abs=2)


@pytest.mark.parametrize("value", ["", "soon", "nan", "inf", "-inf"])
def test_without_a_moment_retry_after_counts(value: str) -> None:
    assert until_epoch("Reset")({"Reset": value, "Retry-After": "7"}) == 7.0
    assert until_epoch("Reset")({"Reset": value}) is None
    assert until_epoch("Reset")({"Retry-After": "7"}) == 7.0


@pytest.mark.slow
def test_a_vendor_may_have_a_header_of_its_own_for_the_wait(vendor: RecordingVendor) -> None:
    moment = str(int(time.time() + 120))
    error = failure(vendor, faults.status(429, {"X-Reset": moment}), wait=until_epoch("X-Reset"))
    assert isinstance(error, RetryLater)
    assert error.after == pytest.approx(120, abs=3)


# Connections that fail


@pytest.mark.slow
def test_a_vendor_that_says_nothing_is_tried_again(vendor: RecordingVendor) -> None:
    error = failure(vendor, faults.hang(), call=Call(connect=2.0, read=0.06))
    assert type(error) is RetryLater
    assert error.reason == f"POST {vendor.endpoint}/purge: no answer within 0.1 s"


@pytest.mark.slow
def test_a_vendor_whose_answer_breaks_off_is_tried_again(vendor: RecordingVendor) -> None:
    error = failure(vendor, lambda *_: Response(200, {}, b"x" * 1000, cut_after=200))
    assert type(error) is RetryLater
    assert "connection failed" in error.reason


@pytest.mark.slow
def test_a_reset_connection_is_tried_again(vendor: RecordingVendor) -> None:
    error = failure(vendor, faults.reset())
    assert type(error) is RetryLater
    assert "connection failed" in error.reason


@pytest.mark.slow
def test_a_vendor_that_refuses_connections_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(RetryLater, match="Connection refused"):
        Http(f"http://127.0.0.1:{port}").send("POST", "/purge", CALL)


@pytest.mark.slow
def test_a_vendor_that_accepts_no_connection_is_tried_again() -> None:
    """A listener whose backlog is full doesn't answer the handshake."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            fillers.append(filler)
        with pytest.raises(RetryLater, match="no connection within"):
            Http(f"http://127.0.0.1:{address[1]}").send("POST", "/purge", Call(connect=0.05, read=5.0))
        for filler in fillers:
            filler.close()


def test_an_unknown_host_is_tried_again() -> None:
    with pytest.raises(RetryLater, match="connection failed"):
        Http("https://no-such-host.invalid").send("POST", "/purge", CALL)


@contextmanager
def speaking(raw: bytes) -> Iterator[str]:
    """A server that says the same to everybody, HTTP or not."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(raw)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"",
        b"HTTP/1.1 999999 What\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
    ],
)
def test_an_answer_that_is_no_http_is_tried_again(raw: bytes) -> None:
    with speaking(raw) as url, pytest.raises(RetryLater):
        Http(url).send("POST", "/purge", CALL)


# Secrets

SECRET = "tok/en+with=odd&signs"
IN_QUERY = "stands-in-the-query"


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        faults.status(400, body=b"bad"),
        faults.status(401),
        faults.status(503, {"Retry-After": "1"}),
        faults.status(302, {"Location": f"https://elsewhere.test/?auth={IN_QUERY}"}),
        faults.status(200, body=b"garbage"),
        faults.reset(),
    ],
)
def test_what_stands_in_the_query_is_in_no_message_and_no_trace(vendor: RecordingVendor, fault: Fault) -> None:
    vendor.faults.once(fault)
    target = f"/purge?auth={IN_QUERY}"
    with pytest.raises(ProviderError) as caught:
        Http(vendor.endpoint).send("POST", target, CALL).json()
    assert vendor.calls[0].query == f"auth={IN_QUERY}"
    assert IN_QUERY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.slow
def test_a_secret_that_the_vendor_repeats_is_blacked_out(vendor: RecordingVendor) -> None:
    token = Secret.literal(SECRET)
    headers = {"Authorization": f"Bearer {token.reveal()}"}
    body = json.dumps({"detail": f"the token {SECRET} is wrong"}).encode()
    error = failure(vendor, faults.status(403, body=body), headers=lambda: headers)
    assert error.reason.endswith("403: the token [secret] is wrong")


@pytest.mark.slow
@pytest.mark.parametrize("value", ["line\nbreak-in-token", "carriage\rreturn-token", "größer-token-中"])
def test_a_secret_that_no_header_can_hold_is_refused_and_not_shown(vendor: RecordingVendor, value: str) -> None:
    with pytest.raises(CredentialsRefused, match="line break or a foreign character") as caught:
        Http(vendor.endpoint, headers=lambda: {"Api-Key": value}).send("POST", "/purge", CALL)
    shown = "".join(traceback.format_exception(caught.value))
    assert value not in shown
    assert repr(value)[1:-1] not in shown
    assert vendor.calls == []


# What a provider reads from a refusal itself


@pytest.mark.slow
def test_a_provider_may_read_the_refused_targets_from_an_answer(vendor: RecordingVendor) -> None:
    vendor.faults.once(faults.status(403, body=b'{"detail": "https://a/1"}'))

    def refusal(answer: Answer) -> ProviderError | None:
        return TargetsRefused(answer.reason, [answer.json()["detail"]]) if answer.status == 403 else None

    with pytest.raises(TargetsRefused) as caught:
        Http(vendor.endpoint).send("POST", "/purge", CALL, refusal=refusal)
    assert caught.value.targets == ("https://a/1",)
    vendor.faults.once(faults.status(401))
    with pytest.raises(CredentialsRefused):
        Http(vendor.endpoint).send("POST", "/purge", CALL, refusal=refusal)

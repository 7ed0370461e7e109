"""Fastly's edge check, as its documentation shows the answer: what each POP serves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from multicdn_providers.fastly import Fastly

from multicdn.errors import CredentialsRefused, ProviderError, RetryLater, TargetsRefused
from multicdn.provider import Call, Secret, Seen
from multicdn.testing.recording import RecordingVendor, Response, faults

if TYPE_CHECKING:
    from collections.abc import Iterator

CALL = Call(connect=1, read=5)
URL = "https://www.acme.com/a%20b.css?v=1&w=%2F"
MD5 = "8b1a9953c4611296a827abf8c47804d7"


def entry(pop: str = "AMS", **changed: Any) -> dict[str, Any]:
    headers = {"ETag": f'"{MD5}"', "Age": "12", "Content-Length": "5", "X-Served-By": "cache-ams1-AMS"}
    plain = {
        "pop": pop,
        "server": "cache-ams1",
        "hash": MD5,
        "request": {"headers": {"Host": "www.acme.com"}, "method": "GET", "url": URL},
        "response": {"headers": headers, "status": 200},
        "response_time": 0.042,
    }
    return {**plain, **changed}


@pytest.fixture(scope="module")
def lasting() -> Iterator[RecordingVendor]:
    with RecordingVendor(Response.json({})) as api:
        yield api


@pytest.fixture
def api(lasting: RecordingVendor) -> RecordingVendor:
    lasting.faults.clear()
    lasting.forget_calls()
    return lasting


def fastly(api: RecordingVendor, **options: Any) -> Fastly:
    return Fastly(token=Secret.literal("only-for-these-tests"), service="SU1Z", endpoint=api.endpoint, **options)


def prove(api: RecordingVendor, *entries: object) -> tuple[Seen, ...]:
    api.faults.once(faults.status(200, body=json.dumps(entries)))
    return fastly(api).prove(URL, CALL)


def test_each_pop_is_told_with_its_headers_and_the_hash(api: RecordingVendor) -> None:
    found = prove(api, entry("AMS"), entry("BWI", hash="0" * 32))
    assert [(one.pop, one.status, one.md5, one.size, one.reason) for one in found] == [
        ("AMS", 200, MD5, 5, ""),
        ("BWI", 200, "0" * 32, 5, ""),
    ]
    assert found[0].headers["etag"] == f'"{MD5}"'
    [call] = api.calls
    assert (call.method, urlsplit(call.target).path) == ("GET", "/content/edge_check")
    assert parse_qs(urlsplit(call.target).query) == {"url": [URL]}
    assert call.headers["Fastly-Key"] == "only-for-these-tests"


@pytest.mark.parametrize(
    ("instead", "words"),
    [
        ("error-timeout-AMS", "too long"),
        ("warning-too-large-AMS", "too large"),
        ("", "no hash"),
        (None, "no hash"),
        ("who knows", "no hash"),
    ],
)
def test_without_a_hash_the_headers_still_tell(api: RecordingVendor, instead: str | None, words: str) -> None:
    [one] = prove(api, entry(hash=instead))
    assert (one.status, one.md5, one.headers["age"]) == (200, "", "12")
    assert words in one.reason


@pytest.mark.parametrize(("coding", "known"), [("gzip", False), ("br", False), ("identity", True), ("Identity", True)])
def test_the_hash_of_a_compressed_answer_says_nothing(api: RecordingVendor, coding: str, known: bool) -> None:
    headers = {"Content-Encoding": coding, "content-length": "5"}
    [one] = prove(api, entry(response={"status": 200, "headers": headers}))
    assert (one.md5, one.size) == ((MD5, 5) if known else ("", None))
    assert ("compressed" in one.reason) is not known


@pytest.mark.parametrize(
    ("response", "status", "headers", "size"),
    [
        ({"status": 404, "headers": {"Vary": ["Origin", "Accept"]}}, 404, {"vary": "Origin, Accept"}, None),
        ({"status": 200, "headers": {"Content-Length": "²"}}, 200, {"content-length": "²"}, None),
        ({"status": True, "headers": None}, 0, {}, None),
        ({"status": "200", "headers": []}, 0, {}, None),
        (None, 0, {}, None),
    ],
)
def test_odd_entries_are_read_as_far_as_they_go(
    api: RecordingVendor, response: object, status: int, headers: dict[str, str], size: int | None
) -> None:
    [one] = prove(api, entry(response=response))
    assert (one.status, one.headers, one.size) == (status, headers, size)


def test_a_pop_that_gave_no_answer_has_a_reason(api: RecordingVendor) -> None:
    [one] = prove(api, {"pop": "AMS", "hash": "error-timeout-AMS"})
    assert one == Seen(pop="AMS", reason="the content took too long to download")
    [one] = prove(api, {"pop": "AMS", "hash": MD5})
    assert (one.status, one.reason) == (0, "the POP gave no answer")


@pytest.mark.parametrize("body", ["[]", "{}", "null", "", "[1]", '[{"server": "x"}]', "<html>", "[" * 100_000])
def test_what_is_no_list_of_pops_is_asked_for_later(api: RecordingVendor, body: str) -> None:
    api.faults.once(faults.status(200, body=body))
    with pytest.raises(RetryLater):
        fastly(api).prove(URL, CALL)


@pytest.mark.parametrize(
    ("status", "body", "error", "about"),
    [
        (403, '{"msg":"You are not authorized to perform this action"}', CredentialsRefused, "kind"),
        (401, '{"msg":"Provided credentials are missing or invalid"}', CredentialsRefused, "account"),
        (404, '{"msg":"Record not found"}', TargetsRefused, None),
        (404, "no Route matched", RetryLater, None),
        (400, '{"msg":"Bad request"}', TargetsRefused, None),
        (429, "", RetryLater, None),
        (503, "", RetryLater, None),
    ],
)
def test_a_refusal_is_about_the_check_alone(
    api: RecordingVendor, status: int, body: str, error: type[ProviderError], about: str | None
) -> None:
    api.faults.once(faults.status(status, body=body))
    with pytest.raises(error) as caught:
        fastly(api).prove(URL, CALL)
    assert getattr(caught.value, "about", None) == about
    assert "engineer" in caught.value.reason or status != 403
    assert len(api.calls) == 1


def test_staging_is_not_looked_at(api: RecordingVendor) -> None:
    with pytest.raises(TargetsRefused, match="production"):
        fastly(api, environment="staging").prove(URL, CALL)
    assert not api.calls


def test_no_more_than_200_in_any_hour() -> None:
    limits = Fastly.prove_limits
    assert limits.targets_per_second is not None
    assert limits.target_window is not None
    assert round(limits.targets_per_second * limits.target_window) == 200

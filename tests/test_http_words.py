"""What the body of an error says, in the shapes that vendors give it."""

from __future__ import annotations

import json

import pytest

from multicdn.http import words

_CLOUDFLARE = {
    "success": False,
    "errors": [{"code": 1016, "message": "Unable to purge"}, {"code": 10000, "message": "Authentication error"}],
    "messages": [],
    "result": None,
}
_PROBLEM = {
    "type": "https://x",
    "title": "unauthorized arl",
    "httpStatus": 403,
    "detail": "https://a/b",
    "supportId": 1,
}
_PEP = {
    "type": "/pep-authn/deny",
    "title": "Bad request",
    "status": 400,
    "detail": "Invalid timestamp",
    "instance": "x",
}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"errors": [{"title": "Too many", "detail": "rate limit exceeded"}]}, "rate limit exceeded; Too many"),
        ({"title": "Not found", "detail": "Cannot load service", "status": 404}, "Cannot load service; Not found"),
        ({"msg": "Malformed purge request"}, "Malformed purge request"),
        ({"msg": "Bad request", "detail": "256 keys at most"}, "256 keys at most; Bad request"),
        ({"msg": "the same", "detail": "the same"}, "the same"),
        (_CLOUDFLARE, "1016: Unable to purge; 10000: Authentication error"),
        (_PROBLEM, "https://a/b; unauthorized arl"),
        (_PEP, "Invalid timestamp; Bad request"),
        ({"error": "invalid credentials", "code": 203}, "203: invalid credentials"),
        ({"error": {"code": "Forbidden", "message": "no role"}}, "Forbidden: no role"),
        ({"errors": {"zone": ["is unknown"]}}, '{"zone": ["is unknown"]}'),
        ({"errors": [], "detail": "d"}, "d"),
        ({"status": "failed"}, '{"status": "failed"}'),
        ([{"message": "a"}, {"message": "b"}], "a; b"),
        ("just text", "just text"),
        (None, "None"),
    ],
)  # fmt: skip
def test_the_sentences_of_a_json_error_are_found(body: object, said: str) -> None:
    assert words(json.dumps(body).encode()) == said


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "(empty body)"),
        (b" \r\n\t", "(empty body)"),
        (b"plain\n  text", "plain text"),
        (b"<html><head><style>p {}</style><title>503</title></head><body><p>Guru</p></body></html>", "503 Guru"),
        (b"<script>alert(1)</script>upstream", "upstream"),
        (b"a <b", "a <b"),
        (b"\xff\xfe\x00", "\ufffd\ufffd\x00"),
        ('{"msg": "größer"}'.encode(), "größer"),
        (b'{"msg": "cut of', '{"msg": "cut of'),
    ],
)
def test_other_bodies_are_reduced_to_their_text(body: bytes, said: str) -> None:
    assert words(body) == said


@pytest.mark.parametrize("body", [b"x" * 5000, json.dumps({"detail": "y" * 5000}).encode(), b"<p>z" * 100_000])
def test_long_bodies_are_cut(body: bytes) -> None:
    said = words(body)
    assert len(said) == 301
    assert said.endswith("…")


@pytest.mark.usefixtures("whole_stack")
@pytest.mark.parametrize("body", [b"[" * 60_000, b'{"error":' * 7_000, b"[" * 900 + b"]" * 900])
def test_a_body_made_to_exhaust_the_stack_is_quoted_all_the_same(body: bytes) -> None:
    assert 0 < len(words(body)) <= 301

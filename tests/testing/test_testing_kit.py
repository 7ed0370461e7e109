"""What the conformance suite is made of: a recording server, and eyes for what code does beside its work."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
import time
import types
from time import sleep as pause
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
import requests

from multicdn.errors import CredentialsRefused
from multicdn.http import Http
from multicdn.provider import Call, Secret
from multicdn.simulators.kit.http_server import Headers
from multicdn.testing._conformance import side_effects
from multicdn.testing._conformance.base import Wire
from multicdn.testing._conformance.failure_cases import echo
from multicdn.testing.conformance import Expected, ProviderConformance
from multicdn.testing.recording import RecordingVendor, Request, Response, faults

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

URL = "https://www.example.com/a%20b//c.css"
CALL = Call(connect=1, read=5)


# The recording server


@pytest.mark.slow
def test_it_remembers_requests_byte_for_byte() -> None:
    with RecordingVendor(Response.json({"id": "1"})) as api:
        answer = Http(api.endpoint).send("POST", "/purge//a/../%2f?x=%20", CALL, json={"urls": [URL]})
    [call] = api.calls
    assert (call.method, call.target, call.json()) == ("POST", "/purge//a/../%2f?x=%20", {"urls": [URL]})
    assert answer.text("id") == "1"


@pytest.mark.slow
def test_it_plays_an_api_by_a_function_and_shows_faults() -> None:
    with RecordingVendor(lambda request: Response.json({"heard": request.target})) as api:
        api.faults.once(faults.status(503))
        assert requests.get(f"{api.endpoint}/a", timeout=5).status_code == 503
        assert requests.get(f"{api.endpoint}/b", timeout=5).json() == {"heard": "/b"}
        api.forget_calls()
        assert api.calls == []


@pytest.mark.slow
def test_a_mistake_in_that_function_is_told_to_the_caller() -> None:
    with RecordingVendor(lambda request: Response.json({"n": request.json()["urls"]})) as api:
        answer = requests.post(f"{api.endpoint}/a", json={"tags": []}, timeout=5)
    assert answer.status_code == 500
    assert answer.json() == {"message": "the function that plays this API failed: KeyError('urls')"}


# Looking for targets in requests


def sent(target: str = "/purge", body: str = "", headers: Mapping[str, str] | None = None) -> Wire:
    return Wire([Request("POST", target, Headers(headers or {}), body.encode())])


@pytest.mark.parametrize(
    ("wire", "found"),
    [
        (sent(f"/purge/{URL}"), True),
        (sent(f"/purge/{quote(URL, safe='')}"), True),
        (sent(f"/purge?url={quote(URL, safe='')}"), True),
        (sent(body=json.dumps({"objects": [{"url": URL}]})), True),
        (sent(body=f"<Items><Path>{URL}</Path></Items>"), True),
        (sent(body=f"url={quote(URL, safe='')}&soft=1"), True),
        (sent(headers={"Purge-Urls": f"https://x, {URL}"}), True),
        (sent(f"/purge/{URL.replace('%', '%25')}"), False),  # encoded twice
        (sent(f"/purge/{URL.replace('%20', ' ')}"), False),
        (sent(f"/purge/{URL.replace('m//', 'm/').replace('b//', 'b/')}"), False),
        (sent(f"/purge?url={quote(quote(URL, safe=''), safe='')}"), False),
        (sent(body=json.dumps({"urls": [URL.upper()]})), False),
    ],
)
def test_a_target_is_found_in_any_place_but_only_as_it_is(wire: Wire, found: bool) -> None:
    assert (URL in wire) is found
    assert wire.lacks([URL]) == ([] if found else [URL])


# Sleep, work outside, imports


def sleeps() -> None:
    time.sleep(1)


def sleeps_by_another_name() -> None:
    pause(1)


def sleeps_asynchronously() -> None:
    asyncio.run(asyncio.sleep(1))


@pytest.mark.parametrize("act", [sleeps, sleeps_by_another_name, sleeps_asynchronously])
def test_sleeping_is_noticed_by_whatever_name(act: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    side_effects.forbid_sleep(monkeypatch, __name__)
    with pytest.raises(side_effects.Slept, match="1 seconds"):
        act()


def test_sleeping_is_allowed_again_afterwards() -> None:
    with pytest.MonkeyPatch.context() as patch:
        side_effects.forbid_sleep(patch, __name__)
    time.sleep(0)
    pause(0)


def test_work_outside_of_the_process_is_noticed(tmp_path: Path) -> None:
    with side_effects.outside_work() as seen:
        (tmp_path / "a").write_text("x")
        requests.utils.quote("x")
    with pytest.raises(requests.ConnectionError), side_effects.outside_work() as called:
        requests.get("http://127.0.0.1:1", timeout=1)
    (tmp_path / "b").write_text("x")
    assert [event.partition("(")[0] for event in seen] == ["open"]
    assert any(event.startswith("socket.") for event in called)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "packages", "outside"),
    [
        ("import json, urllib3\nfrom multicdn.http import Http", set(), ()),
        ("import pytest", {"pytest", "_pytest"}, ()),
        ("import socket\nsocket.getaddrinfo('127.0.0.1', 80)", set(), ("socket.getaddrinfo",)),
    ],
)
def test_an_import_is_looked_at_in_a_new_process(
    program: str, packages: set[str], outside: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_plugin.py").write_text(program)
    monkeypatch.syspath_prepend(tmp_path)
    done = side_effects.import_afresh("a_plugin")
    assert not done.error
    assert packages <= done.packages
    assert bool(packages) is bool(done.packages)
    assert done.outside == outside
    assert "a_plugin" not in sys.modules


@pytest.mark.slow
def test_an_import_that_fails_says_why() -> None:
    assert "ModuleNotFoundError: No module named 'no_such_plugin'" in side_effects.import_afresh("no_such_plugin").error


# Secrets


@pytest.mark.parametrize("text", ['pass "word"/€', 'pass \\"word\\"/\\u20ac', "pass%20%22word%22%2F%E2%82%AC"])
def test_a_secret_is_recognised_in_every_spelling(text: str) -> None:
    assert side_effects.shown_in(f"-- {text} --", ['pass "word"/€'])
    assert not side_effects.shown_in("-- pass word --", ['pass "word"/€'])


@pytest.mark.slow
def test_credentials_that_are_made_of_a_secret_are_hidden_as_well() -> None:
    """Basic authentication encodes user and password together, so neither the password nor its base64 is in there."""
    password = Secret.literal("correct horse battery")
    basic = requests.auth.HTTPBasicAuth("ops", password.reveal())
    heard: set[str] = set()
    with RecordingVendor(Response.json({})) as api:
        api.faults.always(echo(401, heard))
        with pytest.raises(CredentialsRefused) as caught:
            Http(api.endpoint, auth=basic).send("POST", "/purge", CALL)
    [credentials] = heard
    assert credentials not in side_effects.everything_said(caught.value)
    assert "Basic [secret]" in caught.value.reason


# Exceptions that a test class makes


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"expected": {"402": Expected(CredentialsRefused, "unpaid")}}, "nothing is called 402"),
        ({"refused_urls": {"blank": "no blanks"}}, "nothing is called blank"),
        ({"expected": {"401": Expected(CredentialsRefused, " ")}}, "give each exception its reason"),
        ({"further_calls": {"purge_urls": ""}}, "give each exception its reason"),
    ],
)
def test_an_exception_needs_a_name_that_exists_and_a_reason(attributes: dict[str, object], words: str) -> None:
    made = types.new_class("Made", (ProviderConformance,), exec_body=lambda body: body.update(attributes))
    with pytest.raises(AssertionError, match=words):
        made.test_what_differs_is_explained(made)


@pytest.mark.slow
def test_a_class_without_a_plugin_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        textwrap.dedent(
            """
            from multicdn.testing.conformance import ProviderConformance

            class TestIt(ProviderConformance):
                def vendor(self): ...
            """
        )
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode != 0
    assert "TestIt: set `plugin` to the class of your provider" in run.stdout + run.stderr

"""With the root logger at DEBUG, as Lambda's log level sets it, no library shows a secret, whatever goes wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from base64 import b64encode

import pytest
from kit.canaries import MARK
from kit.environments import ROOT


@pytest.fixture(scope="module")
def said() -> str:
    """All that a process logged and raised, in which every secret is a canary."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MULTICDN_"))}
    done = subprocess.run(
        [sys.executable, "-m", "kit.canaries"],
        env={**inherited, "PYTHONPATH": str(ROOT / "tests"), "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    )
    return done.stdout + done.stderr


def marks() -> list[str]:
    """The beginning of each canary in every encoding."""
    in_base64 = [b64encode(bytes(before) + MARK.encode()).decode() for before in range(3)]
    inner = [text[(8 * before + 5) // 6 : 8 * (before + len(MARK)) // 6] for before, text in enumerate(in_base64)]
    letters = ["".join(form.format(ord(letter)) for letter in MARK) for form in ("&#{};", "\\u{:04x}", "%{:02X}")]
    return [MARK, *inner, *letters]


def test_no_secret_is_shown(said: str) -> None:
    shown = [
        said[max(0, found.start() - 300) : found.end() + 20]
        for mark in marks()
        for found in re.finditer(re.escape(mark), said)
    ]
    assert shown == []


def test_the_function_did_meet_what_would_show_them(said: str) -> None:
    """Vendors were called, repeated our secrets and were quoted; the stores of secrets were out."""
    assert said.count("[secret]") > 100
    for provider in (
        "fastly",
        "akamai",
        "edgerc",
        "cloudflare",
        "keyed",
        "cloudfront",
        "edgecast",
        "highwinds",
        "login",
    ):
        assert re.search(rf'"provider": "{provider}".*"reason": ".*\[secret\]', said), provider
    assert '"event": "secret-stale"' in said
    assert '"principal": "[secret]"' in said
    assert '"by": "[secret]", "why": "it is [secret]"' in said
    assert "urllib3.connectionpool DEBUG" in said, "the root logger is at DEBUG"

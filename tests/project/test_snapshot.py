"""SnapStart: what a process holds after INIT, and what a copy of it does much later. In AWS's own runtime client."""

from __future__ import annotations

import sys
import sysconfig
from typing import TYPE_CHECKING, Any

import pytest

from multicdn.simulators import Origin
from multicdn.simulators.fastly.api import FastlySimulator

if sys.platform != "linux":
    pytest.skip("awslambdaric runs on Linux", allow_module_level=True)

from rig.lambda_runtime import LambdaFunction

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

# Every process begins with the same chance, as copies of one snapshot do, and may find its clock moved.
APP = """
import os, random, site, time
site.addsitedir({packages!r})
from snapshot_restore_py import register_after_restore, register_before_snapshot

seen, ahead, monotonic = {{}}, 1e7, time.monotonic
time.monotonic = lambda: monotonic() + ahead

def look():
    open_files = [os.path.realpath(f"/proc/self/fd/{{each}}") for each in os.listdir("/proc/self/fd")]
    seen["sockets"] = [file for file in open_files if "socket:" in file]
    random.seed(1)

def move():
    global ahead
    ahead += float(open("moved").read())

register_before_snapshot(look)
register_after_restore(move)  # before multicdn's own, which is registered by the import
from multicdn import handler as module

def handler(event, context):
    if event == "look":
        return {{**seen, "chance": random.random()}}
    return module.handler(event, context)
"""

CONFIG = """\
version: 1
providers:
  fastly: {{endpoint: "{endpoint}", service: SU1Z0isxPaozGVKXdv0eY, token: "${{file:{token}}}"}}
routes:
  - bucket: acme-site
    urls: ["https://www.acme.com/{{key}}"]
    purge: [fastly]
"""

ACCEPTED = {"providers": {"fastly": {"calls": 1, "accepted": 1}}}


def upload(key: str) -> dict[str, Any]:
    s3 = {"bucket": {"name": "acme-site"}, "object": {"key": key}}
    return {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3}]}


@pytest.fixture
def cdn() -> Iterator[FastlySimulator]:
    with Origin() as origin, FastlySimulator(origin.url) as running:
        yield running


@pytest.fixture
def code(cdn: FastlySimulator, tmp_path: Path) -> Path:
    """A function that runs this working copy. The file of its secret isn't there."""
    (tmp_path / "app.py").write_text(APP.format(packages=sysconfig.get_path("purelib")), encoding="utf-8")
    config = CONFIG.format(endpoint=cdn.endpoint, token=tmp_path / "token")
    (tmp_path / "multicdn.config.yml").write_text(config, encoding="utf-8")
    (tmp_path / "moved").write_text("0", encoding="utf-8")
    return tmp_path


def test_copies_go_on_with_what_is_there_by_then_and_with_chances_of_their_own(
    cdn: FastlySimulator, code: Path
) -> None:
    """One goes on three months later, by its clock; the other one where that began anew, as it does with a machine."""
    chances = []
    for months in (3, -3):
        (code / "token").unlink(missing_ok=True)
        with LambdaFunction(code, handler="app.handler") as function:
            function.snapshot()
            (code / "token").write_text(cdn.token, encoding="utf-8")
            (code / "moved").write_text(str(months * 30 * 86400), encoding="utf-8")
            answers = [function.invoke(upload(key)) for key in ("a.css", "b.css")]
            seen = function.invoke("look").payload
        assert [answer.payload for answer in answers] == [ACCEPTED] * 2, "\n".join(function.log)
        assert seen["sockets"] == []
        chances.append(seen["chance"])
    assert len(cdn.calls) == 4
    assert chances[0] != chances[1]

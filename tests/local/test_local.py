"""``multicdn local`` as it is used: a process, its page's requests, and nothing left of it in the end."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from multicdn.cli import main
from multicdn.local import server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

URL = "https://www.acme.com/docs/a.html"
# One with an SDK of its own is enough elsewhere. Half of what a person waits for is too long here.
CONFIG = """\
version: 1
providers:
  www: {type: fastly, service: SU1Z0isxPaozGVKXdv0eY, token: "${env:NOT_SET_ANYWHERE}"}
  img: {type: fastly, service: SU1Z0isxPaozGVKXdv0eY, token: "${secretsmanager:real#token}"}
  acme: {type: acme, endpoint: "https://api.acme.example", zone: www, token: "${ssm:/acme/token}"}
routes:
  - {bucket: [acme-site, other-site], prefix: site/, urls: ["https://www.acme.com/{path}"], purge: [www, img, acme]}
delivery: {first_delay: 1s, longest_delay: 1s}
install: {region: eu-west-1}
"""
PLUGIN = """\
from dataclasses import dataclass
from multicdn.provider import Call, Limits, PurgeUrls, Receipt, Secret, option


@dataclass(frozen=True, kw_only=True)
class Acme(PurgeUrls):
    url_limits = Limits(targets=100)
    zone: str = option(help="zone")
    token: Secret = option(help="token")

    def purge_urls(self, urls: list[str], call: Call) -> Receipt:
        raise AssertionError("the real vendor must never be called")
"""
_LONGEST = 40.0


class Local:
    """A running ``multicdn local``."""

    def __init__(self, process: subprocess.Popen[str], lines: list[str]) -> None:
        self.process = process
        self.lines = lines
        [page] = [line for line in lines if line.startswith("The page is at ")]
        self.page = page.split()[4]

    def post(self, path: str, **body: str) -> Any:
        headers = {"Content-Type": "application/json"}
        with urllib.request.urlopen(
            urllib.request.Request(self.page + path, json.dumps(body).encode(), headers), timeout=10
        ) as answer:
            return json.load(answer)

    def state(self) -> dict[str, Any]:
        with urllib.request.urlopen(self.page + "api/state", timeout=10) as answer:
            return json.load(answer)

    def fetch(self, provider: str) -> dict[str, Any]:
        return self.post("api/fetch", provider=provider, url=URL)

    def upload(self) -> int:
        return self.post("api/upload", key="site/docs/a.html")["version"]

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first state for which something holds."""
        end = time.monotonic() + _LONGEST
        while not holds(state := self.state()):
            assert time.monotonic() < end, json.dumps(state, indent=1)
            time.sleep(0.05)
        return state


def progress(state: dict[str, Any], provider: str, version: int) -> dict[str, Any]:
    [upload] = [each for each in state["uploads"] if each["version"] == version]
    return upload["providers"][provider]


def cached(state: dict[str, Any], provider: str) -> list[tuple[str, Any]]:
    [found] = [each for each in state["providers"] if each["name"] == provider]
    return [(each["cache"], each["version"]) for each in found["edge"]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the config, and a plugin for whose vendor there is no simulator."""
    (tmp_path / "c.yml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "acme_plugin.py").write_text(PLUGIN, encoding="utf-8")
    about = tmp_path / "acme-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n", encoding="utf-8")
    entry = "[multicdn.providers]\nacme = acme_plugin:Acme\n"
    (about / "entry_points.txt").write_text(entry, encoding="utf-8")
    (tmp_path / "tmp").mkdir()
    return tmp_path


@contextlib.contextmanager
def running(folder: Path, program: Path) -> Iterator[Local]:
    """The command, in the environment of somebody who has another AWS, until the end of the ``with`` statement."""
    command = [sys.executable, "-m", "multicdn", "local", "--config", "c.yml", "--port", "0", "--no-open"]
    environment = {
        **os.environ,
        "MULTICDN_AWS_SIM": str(program),
        "PYTHONPATH": str(folder),
        "TMPDIR": str(folder / "tmp"),
        "AWS_PROFILE": "production",
        "AWS_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    }
    # A shell that starts it beside other things would have it ignore Ctrl-C.
    with subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "until Ctrl-C" in line:
                break
        try:
            assert lines[-1].endswith("until Ctrl-C.\n"), "".join(lines)
            yield Local(process, lines)
        finally:
            process.kill()


def test_an_upload_becomes_stale_then_fresh_and_an_outage_is_watched_until_it_is_over(
    folder: Path, aws_program: Path
) -> None:
    with running(folder, aws_program) as local:
        said = "".join(local.lines)
        assert "acme is left out: no simulator of 'acme': its plugin can name one" in said
        assert local.state()["notes"] == [line.strip() for line in _notes(said)]
        assert [each["name"] for each in local.state()["providers"]] == ["www", "img"]

        first = local.upload()
        local.until(lambda state: progress(state, "www", first)["state"] == "fresh")
        assert [local.fetch("www")["cache"] for _ in range(2)] == ["MISS", "HIT"]
        assert local.fetch("img")["body"] == f"version {first}\n"
        assert cached(local.state(), "www") == [("fresh", first)]

        # A place that purges don't reach, and a vendor that is down.
        local.post("api/fault", provider="img", fault="ignore")
        local.post("api/fault", provider="www", fault="outage")
        second = local.upload()
        state = local.until(
            lambda state: progress(state, "www", second)["state"] == "requeued"
            and progress(state, "img", second)["state"] == "stale"
            and any(job["provider"] == "www" for job in state["queue"]["jobs"])
        )
        assert "503" in progress(state, "www", second)["reason"]
        assert cached(state, "www") == cached(state, "img") == [("stale", first)]
        assert local.fetch("www")["verdict"] == "stale"
        [job] = [job for job in state["queue"]["jobs"] if job["provider"] == "www"]
        assert (job["action"], job["targets"], job["first"]) == ("purge", 1, URL)
        assert any("503" in line["text"] for line in state["log"])

        local.post("api/fault", provider="www", fault="none")
        state = local.until(lambda state: progress(state, "www", second)["state"] == "fresh")
        assert progress(state, "www", second)["attempts"] > 1
        assert progress(state, "img", second)["state"] == "stale", "what was ignored is lost"
        answer = local.fetch("www")
        assert (answer["body"], answer["verdict"]) == (f"version {second}\n", "fresh")
        assert state["queue"]["dead"] == 0

        assert local.post("api/upload", bucket="other-site", key="site/b ü.html")["version"] == 1
        answer = local.post("api/fetch", provider="www", url="https://www.acme.com/b ü.html")
        assert (answer["body"], answer["verdict"]) == ("version 1\n", "fresh")

        with pytest.raises(urllib.error.HTTPError, match="400"):
            local.post("api/remove", key="never.html")  # of which no event would come: it would wait for ever

        # Somebody else's upload, by the line that was printed.
        _put_as_printed(state["s3"], local.lines)
        state = local.until(lambda state: len(state["uploads"]) == 4)
        assert (state["uploads"][0]["key"], state["uploads"][0]["providers"]) == ("index.html", {})

        local.process.send_signal(signal.SIGINT)
        rest, _ = local.process.communicate(timeout=_LONGEST)
        assert (local.process.returncode, rest) == (130, "Ended; nothing of it is left.\n")
    assert list((folder / "tmp").iterdir()) == []


def _notes(said: str) -> list[str]:
    return [line.removeprefix("Note: ").removesuffix(".") for line in said.splitlines() if line.startswith("Note: ")]


def _put_as_printed(line: str, printed: list[str]) -> None:
    """Do what the line does, without the program that it names."""
    import boto3

    assert any(line in each for each in printed)
    words = line.split()
    options = dict(itertools.pairwise(words))
    variables = dict(word.split("=", 1) for word in words[: words.index("aws")])
    s3 = boto3.session.Session(
        variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"], region_name=options["--region"]
    ).client("s3", endpoint_url=options["--endpoint-url"])
    assert words[-3:] == ["cp", "index.html", "s3://acme-site/"]
    s3.put_object(Bucket="acme-site", Key="index.html", Body=b"by another program")


def test_a_port_that_is_taken_is_named_and_the_usual_one_given_up_for_another() -> None:
    with server.listen(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(server.PortError, match=rf"port {port} can't be had: another program listens on it"):
            server.listen(port)
        assert taken.getsockname()[0] == "127.0.0.1"


def test_a_config_that_is_wrong_or_missing_is_a_sentence(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["local", "--config", str(tmp_path / "none.yml"), "--no-open"])
    assert done.exit_code == 1
    assert "none.yml: no such file" in done.stderr

"""``multicdn new-provider``: what it writes passes its own tests, installs beside the wheel, and is routed to."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from kit.environments import PIP, ROOT, run

from multicdn.cli import main
from multicdn.cli.new_provider import Names
from multicdn.testing.recording import RecordingVendor, Request, Response

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Shared

EVENT = ROOT / "tests" / "data" / "s3-put-odd-key.json"
OFFLINE = ("--no-deps", "--no-build-isolation", "--no-index")
TOKEN = "token-of-the-clean-environment"
URL = "https://www.example.com/ordner/ein%20bild%2B100%25/gr%C3%B6%C3%9Fe%20%E4%B8%AD%E6%96%87.jpg"
HANDLE = "import json, sys; from multicdn.handler import handler; print(json.dumps(handler(json.load(sys.stdin))))"


def new_provider(name: str, into: Path) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["new-provider", name, "--into", str(into)])
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("acme", Names("acme", "multicdn-acme", "multicdn_acme", "Acme")),
        ("big_cdn-2", Names("big-cdn-2", "multicdn-big-cdn-2", "multicdn_big_cdn_2", "BigCdn2")),
        ("none", Names("none", "multicdn-none", "multicdn_none", "NoneCdn")),  # None is a keyword
        ("call", Names("call", "multicdn-call", "multicdn_call", "CallCdn")),  # Call is part of the contract
    ],
)
def test_names_are_derived_from_one(name: str, names: Names) -> None:
    assert Names.of(name) == names


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Acme", "lower-case letters"),
        ("2fast", "a letter first"),
        ("acme-", "can't be a name"),
        ("acme__x", "can't be a name"),
        ("../acme", "can't be a name"),
        ("multicdn-acme", "leave out the prefix: acme"),
        ("fastly", "there is a provider 'fastly' (multicdn_providers.fastly:Fastly from multicdn "),
        ("providers", "there is a module multicdn_providers already"),
    ],
)
def test_a_name_that_would_break_something_is_refused(name: str, words: str, tmp_path: Path) -> None:
    code, text = new_provider(name, tmp_path)
    assert code == 2
    assert words in text
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    kept = tmp_path / "multicdn-acme" / "notes.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    code, text = new_provider("acme", tmp_path)
    assert code == 1
    assert "is there already, and not empty" in text
    assert list(kept.parent.iterdir()) == [kept]


def test_no_trace_of_acme_is_left(tmp_path: Path) -> None:
    assert new_provider("big_cdn-2", tmp_path)[0] == 0
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 6
    texts = [f"{path.relative_to(tmp_path)} {path.read_text(encoding='utf-8')}" for path in files]
    assert not [found for text in texts for found in re.findall("acme|@[A-Z]+@", text, re.IGNORECASE)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "tools"), [("big_cdn-2", ("pytest", "mypy")), ("call", ("pytest",))])
def test_it_passes_its_own_tests_and_strict_types_at_once(
    name: str, tools: tuple[str, ...], workshop: Path, mypy_cache: dict[str, str], tmp_path: Path
) -> None:
    assert new_provider(name, tmp_path)[0] == 0
    [folder] = tmp_path.glob("multicdn-*")
    run(*PIP, "install", *OFFLINE, "--target", tmp_path / "site", folder)
    variables = {**os.environ, **mypy_cache, "PYTHONPATH": str(tmp_path / "site")}
    for tool in tools:
        done = subprocess.run([workshop, "-m", tool], cwd=folder, env=variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


class Installed:
    """A new plugin for acme beside the wheel, and nothing else that they don't depend on.

    Attributes:
        folder: where the plugin was written.
    """

    def __init__(self, python: Path, folder: Path) -> None:
        self._python = python
        self.folder = folder

    def run(self, *arguments: object, stdin: str = "", **environment: str) -> str:
        """Run Python in the environment of both, and return what it wrote."""
        done = subprocess.run(
            [self._python, *map(str, arguments)],
            env={"PYTHONPATH": str(self.folder / "site"), **environment},
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def acme(shared: Shared, python: Path) -> Installed:
    def fill(folder: Path) -> None:
        assert new_provider("acme", folder)[0] == 0
        run(*PIP, "install", *OFFLINE, "--target", folder / "site", folder / "multicdn-acme")

    return Installed(python, shared("acme", fill))


def test_it_is_listed_with_its_distribution_and_version(acme: Installed) -> None:
    listed = acme.run("-m", "multicdn", "providers")
    [row] = [line for line in listed.splitlines() if "acme" in line]
    assert re.split(" {2,}", row) == [
        "acme", "alive", "url", "no", "no", "30 a call", "multicdn-acme 0.1.0",
    ]  # fmt: skip


def test_the_config_in_its_readme_passes_the_check(acme: Installed, tmp_path: Path) -> None:
    readme = (acme.folder / "multicdn-acme" / "README.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^```yaml\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    (tmp_path / "readme.yml").write_text(block)
    checked = acme.run("-m", "multicdn", "config", "check", tmp_path / "readme.yml")
    assert checked == "readme.yml: ok: 1 provider, 1 route\n"


def test_the_handler_routes_to_it(acme: Installed, tmp_path: Path) -> None:
    event = EVENT.read_text(encoding="utf-8")
    bucket = json.loads(event)["Records"][0]["s3"]["bucket"]["name"]

    def api(request: Request) -> Response:
        known = request.headers.get("Authorization") == f"Bearer {TOKEN}"
        return Response.json({"id": "1"}) if known else Response.json({"message": "unknown token"}, 401)

    with RecordingVendor(api) as vendor:
        config = tmp_path / "multicdn.config.yml"
        config.write_text(f"""
version: 1
providers:
  acme: {{zone: www, token: "${{env:ACME_TOKEN}}", endpoint: "{vendor.endpoint}"}}
routes:
  - bucket: {bucket}
    urls: ["https://www.example.com/{{key}}"]
    purge: [acme]
""")
        said = acme.run("-c", HANDLE, stdin=event, MULTICDN_CONFIG=str(config), ACME_TOKEN=TOKEN)
    [call] = vendor.calls
    urls = call.json()["urls"]
    assert (call.method, call.target) == ("POST", "/zones/www/purge")
    assert URL in urls  # beside other spellings that browsers may use for the same key
    assert json.loads(said) == {"providers": {"acme": {"calls": 1, "accepted": len(urls)}}}

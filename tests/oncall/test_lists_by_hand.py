"""Lists, files and folders as the on-call commands take them: what `aws s3 sync` printed, or something else."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from multicdn.cli import main

DATA = Path(__file__).parents[1] / "data"
CONFIG = """\
version: 1
providers:
  site: {type: fastly, service: SU1Z0isxPaozGVKXdv0eY, token: "${env:NOBODY_SETS_THIS}", soft: true}
  shop: {type: fastly, service: SU1Z0isxPaozGVKXdv0eY, token: "${env:NOBODY_SETS_THIS}"}
  images: {type: pixboost, domain: images.acme.com, secret: "${env:NOBODY_SETS_THIS}"}
routes:
  - {bucket: shop-web, urls: ["https://shop.example.org/{key}"], purge: [site]}
  - {bucket: media, on: [created], urls: ["https://media.example.org/{key}"], purge: [shop], preload: [images]}
"""
SYNC = """\
upload: out/index.html to s3://shop-web/index.html
delete: s3://shop-web/old/page.html
copy: s3://build-42/app.js to s3://shop-web/app.js
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "multicdn.config.yml").write_text(CONFIG, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in ("MULTICDN_CONFIG", "MULTICDN_QUEUE_URL", "LAMBDA_TASK_ROOT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def run(*arguments: str, stdin: str | bytes = "", code: int = 0) -> Result:
    result = CliRunner().invoke(main, arguments, input=stdin)
    assert result.exit_code == code, result.output
    return result


def explained(*arguments: str, stdin: str | bytes = "", code: int = 0) -> list[tuple[str, str]]:
    """Key and kind of each object."""
    answer: dict[str, Any] = json.loads(run("explain", *arguments, "--json", stdin=stdin, code=code).stdout)
    return [(each["key"], each["kind"]) for each in answer["objects"]]


EXPECTED = [("index.html", "created"), ("old/page.html", "removed"), ("app.js", "created")]

pytestmark = pytest.mark.usefixtures("folder")


@pytest.mark.parametrize("dry", ["", "(dryrun) "])
def test_a_sync_is_explained_from_a_pipe_and_from_a_file(folder: Path, dry: str) -> None:
    """Case 13, as a pipe, and as a file: it was refused as an event that isn't JSON."""
    text = "".join(f"{dry}{line}\n" for line in SYNC.splitlines())
    (folder / "sync.txt").write_text(text)
    assert explained("-", stdin=text) == explained("sync.txt") == EXPECTED


def test_what_a_sync_removed_is_dropped_where_the_rest_is_marked_stale() -> None:
    shown = run("purge", "-", "--dry-run", stdin=SYNC).stdout
    soft, hard = shown.split("  purge by url: 1 target")
    assert "soft purge by url: 2 targets" in soft
    assert "https://shop.example.org/app.js" in soft
    assert "    https://shop.example.org/old/page.html\n" in hard
    assert "to s3" not in shown


def test_what_no_route_hears_of_as_removed_is_purged_all_the_same() -> None:
    shown = run("purge", "-", "--dry-run", stdin="delete: s3://media/a.jpg\n").stdout
    assert "purge by url: 1 target in 1 call\n    https://media.example.org/a.jpg\n" in shown


def test_what_is_gone_is_never_loaded() -> None:
    shown = run("preload", "-", "--dry-run", stdin="upload: a to s3://media/a\ndelete: s3://media/b\n").stdout
    assert "preload by url: 1 target in 1 call\n    https://media.example.org/a\n" in shown
    run("preload", "-", "--dry-run", stdin="delete: s3://media/b\n", code=1)


@pytest.mark.parametrize("command", ["purge", "preload"])
@pytest.mark.parametrize("text", ["", "# nothing new\n", "download: s3://shop-web/a to in/a\n", "= same.html\n"])
def test_a_deploy_that_changes_nothing_is_no_failure(command: str, text: str) -> None:
    shown = run(command, "-", "--bucket", "shop-web", stdin=text).stdout
    assert shown == "the list names nothing; no vendor was called\n"


def test_keys_alone_are_in_the_bucket_that_is_named(folder: Path) -> None:
    listing = "2026-10-02 07:15:04       1234  leading blank.jpg\n2026-10-02 07:15:04          0 docs/\n"
    assert explained("-", "--bucket", "shop-web", stdin=listing) == [
        (" leading blank.jpg", "created"), ("docs/", "created"),
    ]  # fmt: skip
    assert explained("-", "--bucket", "s3://shop-web/v2/", "--removed", stdin="[id].js\n") == [
        ("v2/[id].js", "removed")
    ]
    for named in ("shop-web/v2", "s3://shop-web/v2/"):
        assert explained("-", "--bucket", named, "--prefix", "x/", stdin="a.js\n") == [("v2/x/a.js", "created")]
    (folder / "keys.txt").write_text("a.js\nb c.js\n")
    shown = run("purge", "keys.txt", "--bucket", "shop-web/v2/", "--dry-run").stdout
    assert "https://shop.example.org/v2/a.js" in shown
    assert "https://shop.example.org/v2/b%20c.js" in shown
    shown = run("purge", "-", "--bucket", "shop-web", "--dry-run", stdin=listing).stdout
    assert "    https://shop.example.org/docs/\n" in shown


def test_a_uri_that_stands_for_many_still_needs_recursive() -> None:
    assert "add --recursive" in run("purge", "-", stdin="s3://shop-web/docs/\n", code=2).stderr


@pytest.mark.parametrize("command", ["explain", "purge", "preload"])
def test_a_line_that_means_nothing_is_named_and_nothing_is_done(folder: Path, command: str) -> None:
    text = f"# deploy 42\n{SYNC}oops\n"
    (folder / "sync.txt").write_text(text)
    reason = ":5: 'oops' is neither an S3 URI nor a URL, nor a line of a tool that is known; keys need --bucket"
    assert f"sync.txt{reason}" in run(command, "sync.txt", code=2).stderr
    assert f"standard input{reason}" in run(command, "-", stdin=text, code=2).stderr


def test_two_uris_in_one_argument_are_no_key() -> None:
    for command in ("explain", "purge"):
        error = run(command, "s3://build-42/app.js to s3://shop-web/app.js", code=2).stderr
        assert "holds two S3 URIs; write one, or pipe the line of the tool as it is into -" in error


@pytest.mark.parametrize("command", ["explain", "purge"])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (SYNC.encode("utf-16"), ":1: is UTF-16, as PowerShell's > writes it: save it as UTF-8"),
        (gzip.compress(SYNC.encode()), ":1: is packed (gzip): unpack it first"),
        (b"upload: a\0 to s3://b/a\n", ":1: holds zero bytes, so it is no text"),
    ],
)
def test_what_is_no_text_is_told_so(folder: Path, command: str, content: bytes, sentence: str) -> None:
    (folder / "sync.txt").write_bytes(content)
    assert f"sync.txt{sentence}" in run(command, "sync.txt", code=2).stderr
    assert f"standard input{sentence}" in run(command, "-", stdin=content, code=2).stderr


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ((DATA / "s3-put.json").read_text(encoding="utf-8")[:200], "breaks off at line "),
        ('{"Records": [\n', "breaks off at line 2: was it cut?"),
        ('{"a": 1,\n oops}', "isn't JSON at line 2, column 2 (Expecting property name"),
        ("[" * 100_000, "is nested too deep"),
    ],
)
def test_an_event_that_is_broken_says_where(folder: Path, text: str, sentence: str) -> None:
    (folder / "event.json").write_text(text)
    error = run("explain", "event.json", code=2).stderr
    assert "event.json is no event: it" in error
    assert sentence in error


def test_a_purge_of_an_event_names_the_door() -> None:
    error = run("purge", str(DATA / "s3-put.json"), code=2).stderr
    assert "holds JSON: `multicdn explain` reads events, and this takes lists" in error


def test_a_byte_order_mark_is_no_part_of_a_list() -> None:
    assert explained("-", stdin=b"\xef\xbb\xbf" + SYNC.encode()) == EXPECTED


def test_a_name_that_is_not_utf_8_costs_that_name_alone() -> None:
    text = b"upload: caf\xe9 to s3://shop-web/caf\xe9\n" + SYNC.encode()
    assert explained("-", stdin=text, code=1) == EXPECTED
    result = run("purge", "-", "--dry-run", stdin=text)
    assert "standard input:1: left out: 'upload: caf\\udce9 to s3://shop-web/caf\\udce9': the name isn't UTF-8" in (
        result.stderr
    )
    assert "https://shop.example.org/app.js" in result.stdout


def test_a_folder_with_a_name_that_is_not_utf_8_costs_that_name_alone(folder: Path) -> None:
    below = folder / "public"
    below.mkdir()
    (below / "a.html").touch()
    try:
        Path(os.fsdecode(os.fsencode(below) + b"/caf\xe9.html")).touch()
    except OSError:
        pytest.skip("this file system has UTF-8 alone")
    assert explained("public", "--bucket", "shop-web", code=1) == [("a.html", "created")]
    error = run("explain", "public", "--bucket", "shop-web", code=1).stderr
    assert "'caf\\udce9.html' can't be read: its name isn't UTF-8, and keys in S3 are" in error


def test_a_word_that_is_nothing_names_what_it_may_be() -> None:
    assert "is neither an S3 URI nor a URL nor a file with a list of them" in run("purge", "oops", code=2).stderr
    assert "is no S3 URI, URL, file or folder" in run("explain", "oops", code=2).stderr

"""``multicdn init`` writes a config that passes the check, by flags and by questions."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from multicdn import config as config_file
from multicdn.authoring import starter
from multicdn.cli import main
from multicdn.config import bucket_names
from multicdn.plugins.discovery import Plugins
from multicdn.secrets import parse_reference

if TYPE_CHECKING:
    from pathlib import Path

    from multicdn.testing.loopback.aws import LoopbackAws

BASE = ("--bucket", "acme-site", "--domain", "www.acme.com")
PLUGINS = Plugins()
FASTLY = ("--vendor", "fastly", "--set", "fastly.service=SU1Z0isxPaozGVKXdv0eY")


def init(folder: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["init", "--output", str(folder / "c.yml"), *arguments], input="")
    return result.exit_code, result.output


def test_flags_alone_make_a_config_that_passes(tmp_path: Path) -> None:
    cloudfront = ("--vendor", "cloudfront", "--set", "cloudfront.distribution=auto")
    code, said = init(tmp_path, *BASE, *FASTLY, *cloudfront, "--prefix", "a b/", "--region", "eu-west-1")
    assert code == 0, said
    assert "multicdn secret put ssm:/multicdn/fastly/token" in said
    loaded = config_file.load(tmp_path / "c.yml")
    assert list(loaded.providers) == ["fastly", "cloudfront"]
    [route] = loaded.routes
    assert (route.bucket, route.prefix, route.index) == ("acme-site", "a b/", "index.html")
    assert route.urls == ("https://www.acme.com/{path}",)
    assert loaded.install.region == "eu-west-1"
    assert (tmp_path / "c.yml").read_text().startswith("# ")


@pytest.mark.parametrize(
    "vendor", sorted(name for name in Plugins().providers if name != "warm")
)  # which purges nothing
def test_every_vendor_can_be_chosen(vendor: str, tmp_path: Path) -> None:
    settings = [f"--set={vendor}.{name}={value}" for name, value in _answers(vendor).items()]
    code, said = init(tmp_path, *BASE, "--vendor", vendor, *settings)
    assert code == 0, said
    for name in starter.references(Plugins(), vendor):
        assert parse_reference(f"${{ssm:/multicdn/{vendor}/{name}}}")


def _answers(vendor: str) -> dict[str, str]:
    """What somebody would answer: the example, or something of the right shape."""
    known = {"endpoint": "https://api.example.net", "distribution": "auto", "zone": "023e105f4ecef8ad9ca31a8372d0c353"}
    asked = starter.questions(Plugins(), vendor)
    return {name: example or known.get(name, "x1") for name, example in asked.items()}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((*BASE,), "--vendor is missing"),
        (("--domain", "x", *FASTLY), "--bucket is missing"),
        ((*BASE, "--vendor", "fastly"), "fastly needs the option 'service': --set fastly.service="),
        ((*BASE, *FASTLY, "--set", "fastly.servise=x"), "fastly has no option 'servise'"),
        ((*BASE, *FASTLY, "--set", "nonsense"), "write VENDOR.OPTION=VALUE"),
        ((*BASE, *FASTLY, "--set", "akamai.host=x"), "there is no --vendor akamai"),
        ((*BASE, "--vendor", "fasty"), "did you mean 'fastly'?"),
        (("--bucket", "b", "--domain", "www acme", *FASTLY), "--domain: 'www acme' is more than one name"),
        (("--bucket", "b", "--domain", "a{b}.example", *FASTLY), "--domain: "),
        ((*BASE, *FASTLY, "--region", "x"), "--region: "),
        ((*BASE, *FASTLY, "--prefix", "\udcff"), "--prefix: '\\udcff' isn't text in UTF-8"),
        ((*BASE, *FASTLY, "--set", "fastly.environment=prod"), "--set fastly.environment: unknown value 'prod'"),
        ((*BASE, "--vendor", "cloudflare", "--set", "cloudflare.zone=a/b"), "--vendor cloudflare: zone 'a/b' is no id"),
    ],
)
def test_what_is_missing_or_wrong_is_said_and_nothing_is_written(
    tmp_path: Path, arguments: tuple[str, ...], word: str
) -> None:
    code, said = init(tmp_path, *arguments)
    assert code != 0
    assert word in said
    assert "c.yml" not in said
    assert not re.search(r":\d+:", said), "a line of a file that isn't there"
    assert not (tmp_path / "c.yml").exists()


@pytest.mark.parametrize(
    "text",
    [
        "{tenant}/",
        "null",
        "~",
        "yes",
        "1",
        "a: b",
        "# x",
        "a # x",
        "'x'",
        '"x"',
        "[x",
        "&x",
        "-",
        "ü 😀",
        "a\tb",
        " a ",
    ],
)
def test_an_odd_answer_is_written_as_it_is(tmp_path: Path, text: str) -> None:
    code, said = init(tmp_path, *BASE, "--prefix", text, "--vendor", "fastly", "--set", f"fastly.service={text}")
    assert code == 0, said
    loaded = config_file.load(tmp_path / "c.yml")
    assert loaded.routes[0].prefix == text
    assert loaded.providers["fastly"].service == text


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)
# No prefix may be longer than a key, and no bucket's name may be anything.
BUCKETS = st.text(st.sampled_from("aey0no1.-_X"), min_size=1, max_size=63).filter(
    lambda name: (flaw := bucket_names.flaw(name)) is None or flaw.warning
)


@given(bucket=BUCKETS, prefix=TEXTS, service=TEXTS)
def test_whatever_is_answered_is_written_as_it_is(bucket: str, prefix: str, service: str) -> None:
    options = {"fastly": {"service": service}}
    draft = starter.Draft(bucket=bucket, domain="a.example", vendors=("fastly",), options=options, prefix=prefix)
    loaded = config_file.parse(starter.written(draft, PLUGINS), "c.yml", PLUGINS)
    assert (loaded.routes[0].bucket, loaded.routes[0].prefix) == (bucket, prefix)
    assert loaded.providers["fastly"].service == service


def test_the_address_of_the_site_is_taken_as_its_host_name(tmp_path: Path) -> None:
    code, said = init(tmp_path, "--bucket", "b", "--domain", "https://www.acme.com/", *FASTLY)
    assert code == 0, said
    assert config_file.load(tmp_path / "c.yml").routes[0].urls == ("https://www.acme.com/{key}",)


def test_a_file_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_text("mine")
    code, said = init(tmp_path, *BASE, *FASTLY)
    assert code == 1
    assert "--force" in said
    assert (tmp_path / "c.yml").read_text() == "mine"
    assert init(tmp_path, *BASE, *FASTLY, "--force")[0] == 0


def test_questions_list_what_the_account_has(account: LoopbackAws, tmp_path: Path) -> None:
    answers = ["acme-site", "www.acme.com", "cloudfront, fastly", "auto", "SU1Z0isxPaozGVKXdv0eY"]
    said = _at_a_terminal(
        [sys.executable, "-m", "multicdn", "init", "--output", str(tmp_path / "c.yml")], answers, account
    )
    assert "   1  acme-site" in said
    assert "   3  cloudfront" in said
    assert "multicdn secret put ssm:/multicdn/fastly/token --region us-east-1\r\n" in said
    loaded = config_file.load(tmp_path / "c.yml")
    assert loaded.types == {"cloudfront": "cloudfront", "fastly": "fastly"}
    assert (loaded.install.region, loaded.install.account) == ("us-east-1", account.account)


def test_the_commands_for_the_secrets_are_ready_to_be_pasted(tmp_path: Path) -> None:
    key = "arn:aws:kms:eu-west-1:123456789012:key/k"
    where = ("--region", "eu-west-1", "--account", "123456789012", "--kms-key", key)
    code, said = init(tmp_path, *BASE, "--vendor", "akamai", *where)
    assert code == 0, said
    command = f"multicdn secret put ssm:/multicdn/akamai/edgerc --region eu-west-1 --kms-key {key} < ~/.edgerc"
    assert f"Store a secret:  {command}\n" in said
    assert f"multicdn install plan --config {tmp_path / 'c.yml'}\n" in said
    assert config_file.load(tmp_path / "c.yml").install.kms_key == key


@pytest.mark.parametrize(
    ("path", "words"),
    [("no-folder/c.yml", "there is no folder"), ("a-file/c.yml", "there is no folder"), (".", "is a directory")],
)
def test_a_file_that_cannot_be_written_is_a_sentence(tmp_path: Path, path: str, words: str) -> None:
    (tmp_path / "a-file").touch()
    result = CliRunner().invoke(main, ["init", "--output", str(tmp_path / path), *BASE, *FASTLY])
    assert result.exit_code in (1, 2)
    assert words in result.output
    assert isinstance(result.exception, SystemExit)


def test_where_writing_fails_the_answers_are_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    code, said = init(tmp_path, *BASE, *FASTLY)
    assert code == 1
    assert "c.yml can't be written: No space left on device" in said
    assert "multicdn init --bucket acme-site --domain www.acme.com --vendor fastly --set fastly.service=" in said


def _at_a_terminal(command: list[str], answers: list[str], aws: LoopbackAws) -> str:
    """Run a command that believes to be at a terminal, and type the answers."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, **aws.environment(), "COVERAGE_PROCESS_START": ""}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, close_fds=True)
    os.close(theirs)
    os.write(ours, "".join(f"{answer}\n" for answer in answers).encode())
    said = b""
    try:
        while chunk := os.read(ours, 4096):
            said += chunk
    except OSError:
        pass  # the other end of the terminal was closed
    finally:
        os.close(ours)
    assert process.wait(30) == 0, said.decode()
    return said.decode()

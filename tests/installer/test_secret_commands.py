"""``multicdn secret put | list | check``: where the config says, what is there, and never a value."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from kit.memory_aws import MemoryAws
from kit.memory_cloudformation import ACCOUNT, REGION
from kit.memory_secrets import WHEN

from multicdn import secrets
from multicdn.cli import main
from multicdn.errors import SecretError
from multicdn.installer import secret_values
from multicdn.installer.settings_at_hand import settings

if TYPE_CHECKING:
    from pathlib import Path

VALUE = "s3cr3t-v4lue"
KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/k"
CONFIG = """\
version: 1
providers:
  www: {{type: fastly, service: a, token: "${{ssm:/multicdn/fastly/token}}"}}
  shop: {{type: fastly, service: b, token: "${{ssm:/multicdn/fastly/token}}"}}
  zone: {{type: cloudflare, zone: 023e105f4ecef8ad9ca31a8372d0c353, token: "${{secretsmanager:multicdn#cloudflare}}"}}
  edge: {{type: akamai, edgerc: "${{ssm:/multicdn/akamai}}"}}
  old: {{type: pixboost, domain: i.example.com, secret: "${{env:PIXBOOST}}"}}
routes:
  - {{bucket: b, urls: ["https://a.example/{{key}}"], purge: [www, shop, zone, edge, old]}}
install: {{{install}}}
"""
ONE = """\
version: 1
providers: {{fastly: {{service: a, token: "${{ssm:/multicdn/fastly/token}}"}}}}
routes: [{{bucket: b, urls: ["https://a.example/{{key}}"], purge: [fastly]}}]
install: {{{install}}}
"""
EDGERC = "[default]\nhost = akab-x.luna.akamaiapis.net\nclient_token = a\nclient_secret = b\naccess_token = c\n"


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MemoryAws:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MULTICDN_CONFIG", raising=False)
    aws = MemoryAws()
    aws.answer(monkeypatch)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    return aws


def write(folder: Path, install: str = "", text: str = CONFIG) -> None:
    (folder / "multicdn.config.yml").write_text(text.format(install=install))


def run(*arguments: str, code: int = 0, value: str = VALUE) -> str:
    result = CliRunner().invoke(main, ["secret", *arguments], input=value)
    assert result.exit_code == code, (result.output, result.exception)
    assert VALUE not in result.output
    return result.output


# put


def test_region_account_and_key_are_those_of_the_config(wire: MemoryAws, tmp_path: Path) -> None:
    write(tmp_path, f"region: eu-central-1, account: '{ACCOUNT}', kms_key: '{KEY}'")
    said = run("put", "ssm:/multicdn/fastly/token")
    assert said == f"stored ${{ssm:/multicdn/fastly/token}}, version 1 in eu-central-1, account {ACCOUNT}\n"
    assert wire.parameters["/multicdn/fastly/token"]["KeyId"] == KEY
    assert {region for region, _ in wire.seen} == {"eu-central-1"}
    run("put", "secretsmanager:multicdn#cloudflare")
    assert wire.secrets["multicdn"]["KmsKeyId"] == KEY
    run("put", "secretsmanager:multicdn#other", "--region", "us-west-2", "--kms-key", f"{KEY}2")
    assert wire.secrets["multicdn"]["KmsKeyId"] == f"{KEY}2"
    assert wire.seen[-1] == ("us-west-2", "UpdateSecret")


def test_a_config_that_is_wrong_elsewhere_says_where_all_the_same(wire: MemoryAws, tmp_path: Path) -> None:
    write(tmp_path, "region: eu-central-1, memory: none, stack: '?'", CONFIG.replace("routes:", "rutes:"))
    run("put", "ssm:/x")
    assert wire.seen[-1] == ("eu-central-1", "PutParameter")


def test_without_a_config_the_environment_says_where(wire: MemoryAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "ap-south-1")
    run("put", "ssm:/x")
    assert wire.seen[-1] == ("ap-south-1", "PutParameter")
    assert "nowhere.yml: no such file" in run("put", "ssm:/x", "--config", "nowhere.yml", code=1)


def test_another_account_is_refused_before_anything_is_stored(wire: MemoryAws, tmp_path: Path) -> None:
    write(tmp_path, "account: '999999999999'")
    for command in (("put", "ssm:/x"), ("list",), ("check",)):
        said = run(*command, code=1)
        assert f"the credentials are of account {ACCOUNT} " in said
        assert "install.account of the config is 999999999999; sign in there (AWS_PROFILE)" in said
    assert {operation for _, operation in wire.seen} == {"GetCallerIdentity"}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (f" {VALUE}\n", "www.token, shop.token: what was stored has blanks or line ends around it (warning)"),
        (f"Bearer {VALUE}", "what was stored begins as a header does"),
        (VALUE, ""),
    ],
)
def test_what_looks_odd_is_stored_and_told(wire: MemoryAws, tmp_path: Path, value: str, said: str) -> None:
    write(tmp_path)
    told = run("put", "ssm:/multicdn/fastly/token", value=value)
    assert (said in told) if said else ("warning" not in told)
    assert wire.parameters["/multicdn/fastly/token"]["Value"] == value.rstrip("\n")


def test_a_file_goes_in_whole_and_is_not_typed(
    wire: MemoryAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    assert "warning" not in run("put", "ssm:/multicdn/akamai", value=EDGERC)
    assert wire.parameters["/multicdn/akamai"]["Value"] == EDGERC.rstrip("\n")
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True)
    said = run("put", "ssm:/multicdn/akamai", code=2)
    assert "can't be typed here: multicdn secret put ssm:/multicdn/akamai < ~/.edgerc" in " ".join(said.split())


@pytest.mark.parametrize(
    ("reference", "value", "said"),
    [
        ("ssm:/x", "a" * 8193, "too long: Parameter Store takes 8,192 bytes; Secrets Manager takes 65,536"),
        ("ssm:/x", "a" * 4097, "has 4,097 characters, and a parameter of the standard tier takes 4,096: put it into"),
        ("secretsmanager:x", "a" * 65_537, "too long: Secrets Manager takes 65,536 bytes"),
        ("secretsmanager:x", "\u00e9" * 50_000, "too long: Secrets Manager takes 65,536 bytes"),
        ("secretsmanager:x", b"\xff\xfe", "isn't text in UTF-8; nothing was stored"),
        ("secretsmanager:x#", VALUE, "write ssm:/path, secretsmanager:name or secretsmanager:name#key"),
        ("ssm:/a b", VALUE, "AWS takes no such name"),
    ],
)
def test_what_no_store_takes_is_refused(wire: MemoryAws, reference: str, value: str | bytes, said: str) -> None:
    result = CliRunner().invoke(main, ["secret", "put", reference], input=value)
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert said in result.output
    assert (wire.parameters, wire.secrets) == ({}, {})


def test_no_more_is_read_than_a_store_takes(wire: MemoryAws) -> None:
    stream = io.BytesIO(b"a" * 1_000_000)
    assert CliRunner().invoke(main, ["secret", "put", "ssm:/x"], input=stream).exit_code == 1
    assert stream.tell() < 66_000
    run("put", "secretsmanager:x", value="a" * 65_536)
    assert wire.secrets["x"]["SecretString"] == "a" * 65_536


def test_members_of_others_are_not_written_over_by_a_whole_value(wire: MemoryAws) -> None:
    wire.secret("x", '{"a": "1", "b": "2"}')
    said = run("put", "secretsmanager:x", code=1)
    assert "is a JSON object, which that would replace; name a member: secretsmanager:x#a, secretsmanager:x#b" in said
    run("put", "secretsmanager:x", value='{"a": "3"}')
    assert wire.secrets["x"]["SecretString"] == '{"a": "3"}'


def test_what_is_binary_stays_so(wire: MemoryAws) -> None:
    wire.secret("x", "")
    del wire.secrets["x"]["SecretString"]
    wire.secrets["x"]["SecretBinary"] = "AAAA"
    for reference in ("secretsmanager:x", "secretsmanager:x#a"):
        assert "'x' is binary, and would be text instead" in run("put", reference, code=1)
    assert "SecretString" not in wire.secrets["x"]


@pytest.mark.parametrize("exists", [True, False])
def test_whoever_may_not_read_may_store_all_the_same(wire: MemoryAws, *, exists: bool) -> None:
    wire.denied.add("GetSecretValue")
    if exists:
        wire.secret("x", "old")
    assert run("put", "secretsmanager:x").startswith("stored " if exists else "made ")
    assert wire.secrets["x"]["SecretString"] == VALUE
    assert "not allowed: secretsmanager:GetSecretValue" in run("put", "secretsmanager:x#a", code=1)


def test_a_secret_that_has_no_value_yet_gets_one(wire: MemoryAws) -> None:
    wire.secret("x", "")
    wire.refusals["GetSecretValue"] = ("ResourceNotFoundException", "no value for staging label: AWSCURRENT")
    assert run("put", "secretsmanager:x#a").startswith("stored ")
    assert wire.secrets["x"]["SecretString"] == json.dumps({"a": VALUE})


def test_a_secret_that_is_to_be_deleted_says_how_to_bring_it_back(wire: MemoryAws) -> None:
    wire.refusals["GetSecretValue"] = (
        "InvalidRequestException",
        "You can't perform this operation on the secret because it was marked for deletion.",
    )
    said = run("put", "secretsmanager:x", code=1)
    assert "'x' is to be deleted; bring it back first: aws secretsmanager restore-secret --secret-id x" in said


def test_a_reference_that_is_nearly_one_of_the_config_is_told(wire: MemoryAws, tmp_path: Path) -> None:
    write(tmp_path)
    said = run("put", "ssm:/multicdn/fastly/tokn")
    assert "refer to ssm:/multicdn/fastly/tokn; did you mean 'ssm:/multicdn/fastly/token'? (warning)" in said
    assert "warning" not in run("put", "ssm:/another/team")
    assert wire.parameters.keys() == {"/multicdn/fastly/tokn", "/another/team"}


def test_nobody_types_a_secret_in_vain(wire: MemoryAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True)
    wire.refusals["GetCallerIdentity"] = ("ExpiredToken", "The security token included in the request is expired")
    said = run("put", "ssm:/x", code=1)
    assert "Value of" not in said
    assert "the AWS credentials have expired; sign in again" in said


def test_where_nothing_names_a_region_list_and_check_ask_in_the_same(
    wire: MemoryAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    write(tmp_path, text=ONE)
    wire.parameter("/multicdn/fastly/token", VALUE)
    run("list")
    run("check")
    assert {region for region, operation in wire.seen if "Parameter" in operation} == {"us-east-1"}


@pytest.mark.parametrize(
    ("unset", "profile", "remedy"),
    [
        (["AWS_DEFAULT_REGION"], "", "You must specify a region.; set AWS_REGION, or `region` under `install`"),
        (["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], "", "Unable to locate credentials; sign in"),
        ([], "nosuch", "profile (nosuch) could not be found; AWS_PROFILE names it"),
    ],
)
@pytest.mark.usefixtures("wire")
def test_what_keeps_a_secret_from_being_read_says_what_to_do(
    unset: list[str], profile: str, remedy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    for name in unset:
        monkeypatch.delenv(name)
    if profile:
        monkeypatch.setenv("AWS_PROFILE", profile)
        assert "AWS_PROFILE names it; `aws configure list-profiles` lists" in run("put", "ssm:/x", code=1)
    with pytest.raises(SecretError) as caught:
        secrets.resolve("ssm", "/x")
    assert remedy in str(caught.value)


def test_whoever_embeds_the_handler_needs_no_more_than_aws_region(
    wire: MemoryAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """boto3 itself knows AWS_DEFAULT_REGION alone."""
    monkeypatch.setenv("AWS_REGION", "ap-south-1")
    wire.parameter("/x", VALUE)
    assert secrets.resolve("ssm", "/x") == VALUE
    assert wire.seen == [("ap-south-1", "GetParameter")]


def test_a_key_that_may_not_be_used_is_told_with_the_remedy(wire: MemoryAws) -> None:
    said = "Access to KMS is not allowed"
    wire.refusals = {"GetParameter": ("AccessDeniedException", said)}
    with pytest.raises(SecretError, match=rf"{said}; whoever reads it needs kms:Decrypt on its key: name that key as"):
        secrets.resolve("ssm", "/x")


# list and check


@pytest.fixture
def stored(wire: MemoryAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryAws:
    write(tmp_path, "region: eu-central-1")
    monkeypatch.setenv("PIXBOOST", VALUE)
    wire.parameter("/multicdn/fastly/token", VALUE, Version=3)
    wire.parameter("/multicdn/akamai", EDGERC, Type="String")
    wire.secret("multicdn", json.dumps({"cloudflare": VALUE}), KmsKeyId=KEY)
    return wire


def test_the_list_says_where_each_is(stored: MemoryAws) -> None:
    assert run("list").splitlines() == [
        "${ssm:/multicdn/fastly/token}  www.token, shop.token",
        "  Parameter Store, eu-central-1: version 3, of 2026-09-21T14:13:20+00:00",
        "${secretsmanager:multicdn#cloudflare}  zone.token",
        f"  Secrets Manager, eu-central-1: version abcdef12, of 2026-09-21T14:13:20+00:00, key {KEY}",
        "${ssm:/multicdn/akamai}  edge.edgerc",
        "  Parameter Store, eu-central-1: version 1, of 2026-09-21T14:13:20+00:00",
        "  isn't encrypted: its type is not SecureString; `multicdn secret put` makes it so",
        "${env:PIXBOOST}  old.secret",
        "  environment: is there",
        "4 secrets; `multicdn secret check` reads them",
    ]
    assert {operation for _, operation in stored.seen}.isdisjoint({"GetParameter", "GetSecretValue"})


def test_what_is_missing_is_the_exit_status(stored: MemoryAws, monkeypatch: pytest.MonkeyPatch) -> None:
    del stored.parameters["/multicdn/akamai"]
    stored.secrets["multicdn"]["DeletedDate"] = WHEN
    monkeypatch.delenv("PIXBOOST")
    [fastly, zone, edge, old] = json.loads(run("list", "--json", code=1))["secrets"]
    assert [one["exists"] for one in (fastly, zone, edge, old)] == [True, False, False, False]
    assert fastly["reference"]["used_by"] == ["www.token", "shop.token"]
    assert "restore-secret --secret-id multicdn" in zone["note"]


def test_check_reads_each_in_the_region_of_the_config(stored: MemoryAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert run("check").splitlines() == [
        "ok     ${ssm:/multicdn/fastly/token} (www.token, shop.token)",
        "ok     ${secretsmanager:multicdn#cloudflare} (zone.token)",
        "ok     ${ssm:/multicdn/akamai} (edge.edgerc)",
        "ok     ${env:PIXBOOST} (old.secret)",
    ]
    assert {region for region, operation in stored.seen if operation.startswith("Get")} == {"eu-central-1"}


def test_check_says_what_cannot_be_used(stored: MemoryAws, monkeypatch: pytest.MonkeyPatch) -> None:
    del stored.parameters["/multicdn/fastly/token"]
    stored.secret("multicdn", json.dumps({"cloudflare": f"'{VALUE}'"}))
    stored.parameter("/multicdn/akamai", EDGERC.replace("client_secret", "client_sekret"))
    monkeypatch.setenv("PIXBOOST", "")
    assert run("check", code=1).splitlines() == [
        "wrong  ${ssm:/multicdn/fastly/token} (www.token, shop.token): ParameterNotFound; there is none in "
        "eu-central-1: `multicdn secret put` stores it",
        "wrong  ${secretsmanager:multicdn#cloudflare} (zone.token): has quotes around it, which would be sent along",
        "wrong  ${ssm:/multicdn/akamai} (edge.edgerc): section [default] of the .edgerc lacks client_secret",
        "wrong  ${env:PIXBOOST} (old.secret): is empty",
    ]
    stored.denied = {"GetParameter"}
    assert "AccessDeniedException: not authorized" in json.loads(run("check", "--json", code=1))["secrets"][0]["fault"]


def test_a_config_without_secrets_of_aws_asks_nobody(wire: MemoryAws, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{VALUE}\n")
    text = 'version: 1\nproviders:\n  fastly: {service: a, token: "${file:token}"}\nroutes:\n'
    text += '  - {bucket: b, urls: ["https://a.example/{key}"], purge: [fastly]}\n'
    (tmp_path / "multicdn.config.yml").write_text(text)
    assert "  file: of 20" in run("list")
    assert run("check") == "ok     ${file:token} (fastly.token)\n"
    assert wire.seen == []


# Other commands that ask AWS


def other(*arguments: str, code: int) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, (result.output, result.exception)
    assert isinstance(result.exception, SystemExit)
    return " ".join(result.output.split())


PURGE = ("purge", "https://a.example/x", "--provider", "www", "--timeout", "5")
NO_REGION = "http://127.0.0.1:9/123456789012/q"


def test_a_purge_by_hand_reads_secrets_where_the_config_says(
    stored: MemoryAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    del stored.parameters["/multicdn/fastly/token"]
    assert "ParameterNotFound; there is none in eu-central-1" in other(*PURGE, code=1)
    assert {region for region, _ in stored.seen} == {"eu-central-1"}
    assert (os.environ["AWS_REGION"], os.environ["AWS_DEFAULT_REGION"]) == ("us-west-2", "eu-west-1"), "put back"


def test_without_a_region_in_the_config_aws_region_is_obeyed(
    stored: MemoryAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    del stored.parameters["/multicdn/fastly/token"]
    assert "there is none in us-west-2" in other(*PURGE, code=1)


def test_a_purge_by_hand_in_another_account_is_refused(stored: MemoryAws, tmp_path: Path) -> None:
    write(tmp_path, "account: '999999999999'")
    assert "install.account of the config is 999999999999" in other(*PURGE, code=1)
    assert {operation for _, operation in stored.seen} == {"GetCallerIdentity"}


def test_dead_letters_are_where_the_config_says_if_their_url_does_not(stored: MemoryAws) -> None:
    stored.denied = {"GetQueueAttributes", "ReceiveMessage"}
    assert "AccessDeniedException" in other("dlq", "list", "--dlq", NO_REGION, code=1)
    other("dlq", "list", "--dlq", "https://sqs.us-west-1.amazonaws.com/123456789012/q", code=1)
    assert [region for region, _ in stored.seen] == ["eu-central-1", "us-west-1"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("secret", "check"),
        ("install", "status"),
        (*PURGE, "--queue", NO_REGION),
        ("dlq", "redrive", "--dlq", NO_REGION, "--queue", NO_REGION),
        ("worker", "--queue", NO_REGION),
    ],
    ids=" ".join,
)
def test_a_profile_that_is_not_there_is_a_sentence(
    stored: MemoryAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    write(tmp_path)
    monkeypatch.setenv("AWS_PROFILE", "nope")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    assert "The config profile (nope) could not be found" in other(*arguments, code=1)


# Shapes


@pytest.mark.parametrize(
    ("value", "flaw"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("x\n", "has blanks or line ends around it"),
        ("x\ty z", "has characters that can't be seen"),
        ("x\u200by", "has characters that can't be seen"),
        ("x\u00a0y", "has characters that can't be seen"),
        ("\ufeffx", "has characters that can't be seen"),
        ("x\ny", "has several lines"),
        ('{"b": 1, "a": 2}', "is a JSON object: name one of its members after a #: a, b"),
        ("'x'", "has quotes around it"),
        ("Bearer x", "begins as a header does"),
        ("Token: x", "begins as a header does"),
        ("<your token>", "is a placeholder"),
        ("${ssm:/a}", "is a placeholder"),
        ("{x", ""),
        ("tokenize", ""),
        ("p\u00e4ss w\u00f6rd\u20ac", ""),
        ("it's", ""),
    ],
)
def test_the_shape_of_a_secret(value: str, flaw: str) -> None:
    assert secret_values.flaw(value).startswith(flaw)
    assert bool(secret_values.flaw(value)) == bool(flaw)
    assert secret_values.flaw(value, is_file=True) == ("" if value.strip() else "is empty")


def test_what_a_config_says_of_its_place_is_read_member_by_member(tmp_path: Path) -> None:
    path = tmp_path / "c.yml"
    for text, expected in (
        ("install: {region: eu-west-1, account: 12, kms_key: [x]}", ("eu-west-1", "", "")),
        ("install: [x]", ("", "", "")),
        ("- x", ("", "", "")),
        ("install: {region: eu-west-1", ("", "", "")),
        ("\x00", ("", "", "")),
    ):
        path.write_text(text)
        found = settings(path)
        assert (found.region, found.account, found.kms_key) == expected
    assert settings(tmp_path / "none").region == ""

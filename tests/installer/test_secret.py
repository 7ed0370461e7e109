"""``multicdn secret put``: in from standard input or a prompt, out through the reference, shown nowhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from multicdn import secrets
from multicdn.cli import main
from multicdn.cli.secret import secret
from multicdn.installer import secret_store
from multicdn.installer.errors import InstallError

if TYPE_CHECKING:
    from multicdn.testing.loopback.aws import LoopbackAws

VALUE = "s3cr3t-v4lue"


def put(reference: str, value: str = VALUE) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["secret", "put", reference], input=value)
    return result.exit_code, result.output


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    "reference",
    ["ssm:/multicdn/fastly/token", "${ssm:/multicdn/x}", "secretsmanager:multicdn/a", "secretsmanager:b#token"],
)
def test_what_is_stored_is_what_the_function_reads(reference: str) -> None:
    code, said = put(reference, f"{VALUE}\n")
    assert code == 0, said
    assert VALUE not in said
    scheme, name = secret_store.parse(reference)
    assert secrets.resolve(scheme, name) == VALUE


def test_a_parameter_is_encrypted(account: LoopbackAws) -> None:
    put("ssm:/multicdn/x")
    assert account.client("ssm").get_parameter(Name="/multicdn/x")["Parameter"]["Type"] == "SecureString"


@pytest.mark.usefixtures("account")
def test_a_second_value_replaces_the_first() -> None:
    for reference in ("ssm:/multicdn/x", "secretsmanager:x"):
        put(reference, "first-value")
        put(reference, "second-value")
        assert secrets.resolve(*secret_store.parse(reference)) == "second-value"


def test_other_members_of_a_secret_stay(account: LoopbackAws) -> None:
    account.client("secretsmanager").create_secret(Name="x", SecretString=json.dumps({"a": "1", "b": "2"}))
    put("secretsmanager:x#b", "3")
    found = account.client("secretsmanager").get_secret_value(SecretId="x")["SecretString"]
    assert json.loads(found) == {"a": "1", "b": "3"}


def test_a_secret_that_is_no_object_is_not_written_over(account: LoopbackAws) -> None:
    account.client("secretsmanager").create_secret(Name="x", SecretString="plain-old-text")
    code, said = put("secretsmanager:x#b")
    assert code == 1
    assert "isn't a JSON object" in said
    assert "plain-old-text" not in said
    assert account.client("secretsmanager").get_secret_value(SecretId="x")["SecretString"] == "plain-old-text"


@pytest.mark.parametrize(
    ("reference", "word"),
    [
        ("env:TOKEN", "write ssm:/path"),
        ("/multicdn/token", "write ssm:/path"),
        ("ssm:multicdn/token", "begins with one: ssm:/multicdn/token"),
        ("${file:/x}", "write ssm:/path"),
        ("", "write ssm:/path"),
        ("ssm:/a/b:3", "can't be stored; write ssm:/a/b"),
        ("ssm:arn:aws:ssm:eu-west-1:1:parameter/a", "can't be stored; write ssm:a"),
    ],
)
def test_references_that_cannot_be_stored_are_refused(reference: str, word: str) -> None:
    with pytest.raises(InstallError, match=word):
        secret_store.parse(reference)


@pytest.mark.usefixtures("account")
def test_nothing_is_no_secret() -> None:
    code, said = put("ssm:/multicdn/x", "\n")
    assert code == 1
    assert "is empty; nothing was stored" in said


def test_the_value_is_never_an_argument() -> None:
    assert [parameter.name for parameter in secret.commands["put"].params] == [
        "reference",
        "config_path",
        "region",
        "kms_key",
    ]  # type: ignore[attr-defined]
    assert CliRunner().invoke(main, ["secret", "put", "ssm:/x", VALUE]).exit_code == 2

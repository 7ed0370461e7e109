"""Secrets: where their values come from, how long they are kept, and that nothing ever shows them."""

from __future__ import annotations

import copy
import dataclasses
import html
import json
import logging
import pickle
import re
import sys
import threading
import time
from base64 import b64encode, urlsafe_b64encode
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import boto3
import msgspec
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import Stubber
from kit.sample_plugins import Full, installed
from moto import mock_aws

from multicdn import aws_clients, config, secrets
from multicdn.errors import SecretError
from multicdn.secrets import LIFETIME, Secret, parse_reference, redact, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("as_bundled")

VALUE = "s3cr3t-value-of-a-token"


@pytest.fixture(autouse=True)
def nothing_revealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redact only what the test itself reveals."""
    monkeypatch.setattr(secrets, "_revealed", {})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """The time that secrets see: move ``now``."""
    fake = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(secrets, "time", SimpleNamespace(monotonic=lambda: fake.now))
    return fake


class Store:
    """A place that a secret is read from, and that counts how often."""

    def __init__(self, *values: str) -> None:
        self.values = list(values)
        self.reads = 0

    def __call__(self) -> str:
        self.reads += 1
        return self.values[min(self.reads, len(self.values)) - 1]


# References


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("${env:NAME}", ("env", "NAME")),
        (" ${ssm:/a/b:3}\n", ("ssm", "/a/b:3")),
        ("${secretsmanager:name#key}", ("secretsmanager", "name#key")),
        ("${file:/run/secrets/a b}", ("file", "/run/secrets/a b")),
        ("${vault2:x}", ("vault2", "x")),
        ("${env:}", None),
        ("${:NAME}", None),
        ("${ENV:NAME}", None),
        ("$env:NAME", None),
        ("${env:A}${env:B}", None),
        ("x${env:A}", None),
        ("${env:{A}}", None),
        ("", None),
    ],
)
def test_reference_is_split_into_scheme_and_name(text: str, parts: tuple[str, str] | None) -> None:
    assert parse_reference(text) == parts


def problem(scheme: str, name: str) -> str:
    with pytest.raises(SecretError) as caught:
        resolve(scheme, name)
    # What a log shows of it: the chain of causes included.
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


def test_unknown_scheme_names_the_known_ones() -> None:
    known = "env, file, secretsmanager, ssm"
    assert problem("vault", "a/b") == f"${{vault:a/b}}: unknown scheme 'vault'; known: {known}"


def test_env(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", VALUE)
    assert resolve("env", "A_TOKEN") == VALUE
    monkeypatch.setenv("A_TOKEN", "")
    assert problem("env", "A_TOKEN") == "${env:A_TOKEN} is empty"
    monkeypatch.delenv("A_TOKEN")
    assert problem("env", "A_TOKEN") == "${env:A_TOKEN}: the environment has no variable A_TOKEN"


@pytest.mark.parametrize("text", [VALUE, f"{VALUE}\n", f"{VALUE}\r\n", f"{VALUE}\n\n"])
def test_file_without_its_line_ends(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_bytes(text.encode())
    assert resolve("file", f"{tmp_path}/token") == VALUE


def test_file_below_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "token").write_text(VALUE)
    assert resolve("file", "~/token") == VALUE


def test_file_that_can_not_be_read(tmp_path: Path) -> None:
    assert problem("file", f"{tmp_path}/no") == f"${{file:{tmp_path}/no}}: No such file or directory"
    assert problem("file", str(tmp_path)) == f"${{file:{tmp_path}}}: Is a directory"
    (tmp_path / "empty").write_text("\n")
    assert problem("file", f"{tmp_path}/empty") == f"${{file:{tmp_path}/empty}} is empty"
    (tmp_path / "binary").write_bytes(b"\xff" + VALUE.encode())
    assert problem("file", f"{tmp_path}/binary") == f"${{file:{tmp_path}/binary}} isn't text in UTF-8"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        yield


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("kind", ["String", "SecureString"])
def test_ssm_parameter(kind: Any) -> None:
    client = boto3.client("ssm")
    client.put_parameter(Name="/multicdn/token", Value=VALUE, Type=kind)
    assert resolve("ssm", "/multicdn/token") == VALUE
    client.put_parameter(Name="/multicdn/token", Value="second-value", Type=kind, Overwrite=True)
    assert resolve("ssm", "/multicdn/token") == "second-value"
    assert resolve("ssm", "/multicdn/token:1") == VALUE


@pytest.mark.usefixtures("aws")
def test_ssm_parameter_that_is_missing() -> None:
    text = problem("ssm", "/no/such")
    assert text.startswith("${ssm:/no/such}: ParameterNotFound: ")


def store(name: str, **content: Any) -> str:
    return str(boto3.client("secretsmanager").create_secret(Name=name, **content)["ARN"])


def test_what_is_denied_is_told_from_what_is_missing_or_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """And whatever answers in the place of AWS, its words are few, and are no advice."""
    client = boto3.client("ssm", "eu-west-1", aws_access_key_id="A", aws_secret_access_key="only-for-tests")
    answers = {
        ("AccessDeniedException", "no identity-based policy allows it; ask"): (True, False, "no identity-based policy"),
        ("ParameterNotFound", ""): (False, False, "`multicdn secret put` stores it"),
        ("ThrottlingException", "slow down"): (False, True, "slow down"),
        ("401", "x" * 9_000 + "; do as I say\nAuthorization: simulated"): (False, False, "401: " + "x" * 300),
    }
    monkeypatch.setattr(aws_clients, "client", lambda *_, **__: client)
    for (code, message), (denied, passing, words) in answers.items():
        with Stubber(client) as aws:
            aws.add_client_error("get_parameter", code, message)
            with pytest.raises(SecretError) as caught:
                resolve("ssm", "/t")
        assert (caught.value.denied, caught.value.passing) == (denied, passing)
        assert words in str(caught.value)
        assert len(str(caught.value)) < 400
        assert "; ask" not in str(caught.value)
    with Stubber(client) as aws:
        aws.add_response("get_parameter", {})
        with pytest.raises(SecretError, match="something between us and AWS") as caught:
            resolve("ssm", "/t")
    assert caught.value.passing


@pytest.mark.usefixtures("aws")
def test_secretsmanager_secret_whole_and_by_key() -> None:
    arn = store("cdn", SecretString=json.dumps({"token": VALUE, "account": 42, "odd#key": "odd"}))
    assert resolve("secretsmanager", "cdn#token") == VALUE
    assert resolve("secretsmanager", f"{arn}#token") == VALUE
    assert resolve("secretsmanager", "cdn#account") == "42"
    assert resolve("secretsmanager", "cdn#odd#key") == "odd"
    assert json.loads(resolve("secretsmanager", "cdn"))["token"] == VALUE
    store("plain", SecretString=VALUE)
    assert resolve("secretsmanager", "plain") == VALUE


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("content", "key", "message"),
    [
        ('{"b": "hidden-1", "a": "hidden-2"}', "c", "the secret has no member 'c', only a, b"),
        ("{}", "c", "the secret has no member 'c', only none"),
        ("hidden-1", "c", "the secret isn't a JSON object; leave out #c to use it whole"),
        ('["hidden-1"]', "c", "the secret isn't a JSON object; leave out #c to use it whole"),
        ('{"c": null}', "c", "the member 'c' isn't a text"),
        ('{"c": true}', "c", "the member 'c' isn't a text"),
        ('{"c": {"d": "hidden-1"}}', "c", "the member 'c' isn't a text"),
        ('{"c": ["hidden-1"]}', "c", "the member 'c' isn't a text"),
    ],
)
def test_secretsmanager_key_that_is_no_text(content: str, key: str, message: str) -> None:
    store("cdn", SecretString=content)
    assert problem("secretsmanager", f"cdn#{key}") == f"${{secretsmanager:cdn#{key}}}: {message}"


@pytest.mark.usefixtures("aws")
def test_secretsmanager_secret_that_can_not_be_used() -> None:
    assert problem("secretsmanager", "no#k").startswith("${secretsmanager:no#k}: ResourceNotFoundException: ")
    store("binary", SecretBinary=b"x")
    assert problem("secretsmanager", "binary") == "${secretsmanager:binary} is binary; store it as text"
    store("blank", SecretString='{"k": ""}')
    assert problem("secretsmanager", "blank#k") == "${secretsmanager:blank#k} is empty"


@pytest.mark.parametrize(
    ("code", "status", "passing"),
    [
        ("ThrottlingException", 400, True),
        ("InternalServerError", 500, True),
        ("503", 503, True),
        ("ParameterNotFound", 400, False),
        ("AccessDeniedException", 400, False),
    ],
)
def test_a_source_that_is_out_is_told_from_one_that_refuses(
    code: str, status: int, *, passing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}

    def refuse(**_: object) -> None:
        raise ClientError(said, "GetParameter")  # type: ignore[arg-type]

    region = SimpleNamespace(region_name="eu-west-1")
    monkeypatch.setattr(aws_clients, "client", lambda *_, **__: SimpleNamespace(get_parameter=refuse, meta=region))
    with pytest.raises(SecretError) as caught:
        resolve("ssm", "/a")
    assert caught.value.passing is passing


def test_a_source_that_can_not_be_reached_is_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://ssm.eu-west-1.amazonaws.com")

    monkeypatch.setattr(aws_clients, "client", lambda *_, **__: SimpleNamespace(get_parameter=refuse))
    with pytest.raises(SecretError) as caught:
        resolve("ssm", "/a")
    assert caught.value.passing


@pytest.mark.parametrize("scheme", ["ssm", "secretsmanager"])
def test_aws_without_a_region_is_a_secret_error(scheme: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    assert problem(scheme, "/a").startswith(f"${{{scheme}:/a}}: You must specify a region.; set AWS_REGION")


@pytest.mark.parametrize("scheme", ["ssm", "secretsmanager"])
def test_aws_without_botocore_names_the_extra(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.config", None)
    assert problem(scheme, "/a") == f"${{{scheme}:/a}} needs botocore; pip install 'multicdn[aws]'"


# How long a value is kept


def test_value_is_read_on_first_use_and_kept() -> None:
    read = Store(VALUE)
    secret = Secret("${env:A}", read)
    assert read.reads == 0
    assert [secret.reveal(), secret.reveal()] == [VALUE, VALUE]
    assert read.reads == 1


def test_value_is_read_anew_when_it_is_old(clock: SimpleNamespace) -> None:
    secret = Secret("${env:A}", Store("first-value", "second-value"))
    assert secret.reveal() == "first-value"
    clock.now += LIFETIME / 2
    assert secret.reveal() == "first-value"
    clock.now += LIFETIME / 2 + 1
    assert secret.reveal() == "second-value"
    clock.now += LIFETIME / 2
    assert secret.reveal() == "second-value"


def test_processes_do_not_all_ask_again_at_the_same_moment(clock: SimpleNamespace) -> None:
    """A source that throttles would else refuse all functions every quarter of an hour."""
    lives = set()
    for _ in range(20):
        read = Store("value-of-it")
        secret = Secret("${env:A}", read)
        secret.reveal()
        begun = clock.now
        while read.reads == 1:
            clock.now += 5
            secret.reveal()
        lives.add(clock.now - begun)
    assert len(lives) > 5
    assert max(lives) <= LIFETIME + 5


# While the source is out


class Outage(Store):
    """A source that can be switched off."""

    out = False

    def __call__(self) -> str:
        value = super().__call__()
        if self.out:
            raise SecretError("${ssm:/a}: ThrottlingException: Rate exceeded")
        return value


def test_a_value_is_used_on_while_its_source_is_out_and_the_log_says_so_once(
    clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    read = Outage(VALUE)
    secret = Secret("${ssm:/a}", read)
    secret.reveal()
    read.out = True
    clock.now += 901
    for _ in range(30):
        clock.now += 20
        assert secret.reveal() == VALUE
    assert 8 <= read.reads <= 12, "asked about once a minute"
    [line] = [json.loads(record.message) for record in caplog.records if record.name == "multicdn"]
    assert line == {
        "event": "secret-stale",
        "secret": "${ssm:/a}",
        "reason": "SecretError: ${ssm:/a}: ThrottlingException: Rate exceeded",
    }

    read.out, read.values = False, ["rotated-value"]
    clock.now += 61
    assert secret.reveal() == "rotated-value"
    read.out = True
    clock.now += 901
    assert secret.reveal() == "rotated-value"
    assert len([record for record in caplog.records if record.name == "multicdn"]) == 2, "another outage"


def test_a_refused_value_is_used_on_if_the_source_is_out(clock: SimpleNamespace) -> None:
    """A vendor's hiccup with 401 during an outage of the source must not end in no calls at all."""
    read = Outage(VALUE)
    secret = Secret("${ssm:/a}", read)
    secret.reveal()
    read.out = True
    secret.forget()
    assert secret.reveal() == VALUE


def test_without_a_value_an_outage_is_an_error() -> None:
    read = Outage(VALUE)
    read.out = True
    with pytest.raises(SecretError, match="Rate exceeded"):
        Secret("${ssm:/a}", read).reveal()


def test_a_source_that_hangs_costs_nobody_who_knows_a_value_a_wait_and_is_asked_anew(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A plugin's, without a limit: all threads of all invocations stood behind the first one, for ever."""
    monkeypatch.setattr(secrets, "_LONGEST_ASKING", 0.05)
    hanging, over, values = threading.Event(), threading.Event(), iter(["first", "late", "third"])

    def read() -> str:
        if hanging.is_set():
            hanging.clear()
            over.wait(30)
        return next(values)

    def ask_and_hang() -> threading.Thread:
        hanging.set()
        thread = threading.Thread(target=secret.reveal, daemon=True)
        thread.start()
        while hanging.is_set():
            time.sleep(0.001)
        return thread

    secret = Secret("${vault:a}", read)
    threads = [ask_and_hang()]
    with pytest.raises(SecretError, match="has not answered") as caught:
        secret.reveal()
    assert caught.value.passing
    assert secret.reveal() == "first"
    secret.forget()
    threads.append(ask_and_hang())
    secret.forget()
    assert secret.reveal() == "first"
    assert "secret-stale" in caplog.text
    over.set()
    for thread in threads:
        thread.join(5)


def test_what_a_source_says_when_it_is_out_shows_no_secret(
    clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    replies: Iterator[str | Exception] = iter([VALUE, RuntimeError(f"no more {VALUE}")])

    def read() -> str:
        reply = next(replies)
        if isinstance(reply, Exception):
            raise reply
        return reply

    secret = Secret("${vault:a}", read)
    secret.reveal()
    clock.now += 901
    assert secret.reveal() == VALUE
    assert "no more [secret]" in caplog.text
    assert VALUE not in caplog.text


def test_forgotten_value_is_read_anew_at_once() -> None:
    secret = Secret("${env:A}", Store("first-value", "second-value"))
    secret.reveal()
    secret.forget()
    assert secret.reveal() == "second-value"


def test_failure_is_not_kept() -> None:
    outcomes: Iterator[SecretError | str] = iter([SecretError("down"), VALUE])

    def read() -> str:
        outcome = next(outcomes)
        if isinstance(outcome, SecretError):
            raise outcome
        return outcome

    secret = Secret("${env:A}", read)
    with pytest.raises(SecretError, match="down"):
        secret.reveal()
    assert secret.reveal() == VALUE


def test_many_threads_read_a_value_once() -> None:
    read = Store(VALUE)
    secret = Secret("${env:A}", read)
    start = threading.Barrier(8)
    seen: list[str] = []

    def reveal() -> None:
        start.wait()
        seen.append(secret.reveal())

    threads = [threading.Thread(target=reveal) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (seen, read.reads) == ([VALUE] * 8, 1)


# Never shown


SHOWN: dict[str, Callable[[Secret], object]] = {
    "repr": repr,
    "str": str,
    "format": format,
    "f-string": lambda secret: f"{secret}",
    "f-string with repr": lambda secret: f"{secret!r}",
    "f-string with a width": lambda secret: f"{secret:>60}",
    "percent": lambda secret: "%s %r" % (secret, secret),  # noqa: UP031
    "in a list": lambda secret: str([secret]),
    "in a provider": lambda secret: str(Full(token=secret, service="s")),
    "in an exception": lambda secret: str(ValueError(secret)),
    "JSON with a default": lambda secret: json.dumps({"token": secret}, default=str),
}


@pytest.mark.parametrize("show", SHOWN.values(), ids=SHOWN)
@pytest.mark.parametrize("revealed", [False, True])
def test_value_is_never_in_a_text(show: Callable[[Secret], object], revealed: bool) -> None:
    secret = Secret("${env:A}", lambda: VALUE)
    if revealed:
        secret.reveal()
    text = str(show(secret))
    assert VALUE not in text
    assert "${env:A}" in text or "Full(" in text


REFUSED: dict[str, Callable[[Secret], object]] = {
    **{f"pickle {number}": lambda secret, n=number: pickle.dumps(secret, n) for number in range(6)},  # type: ignore[misc]
    "copy": copy.copy,
    "deep copy": copy.deepcopy,
    "JSON": json.dumps,
    "msgspec": msgspec.json.encode,
    "asdict": lambda secret: dataclasses.asdict(Full(token=secret, service="s")),
    "pickled provider": lambda secret: pickle.dumps(Full(token=secret, service="s")),
    "vars": vars,
}


@pytest.mark.parametrize("take", REFUSED.values(), ids=REFUSED)
def test_secret_can_not_be_taken_out_of_the_process(take: Callable[[Secret], object]) -> None:
    secret = Secret("${env:A}", lambda: VALUE)
    secret.reveal()
    with pytest.raises(TypeError) as caught:
        take(secret)
    assert VALUE not in str(caught.value)


def test_log_record_of_a_secret_does_not_show_it(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret("${env:A}", lambda: VALUE)
    secret.reveal()
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("token %s in %r", secret, {"token": secret})
    assert caplog.text.count("<secret ${env:A}>") == 2
    assert VALUE not in caplog.text


def test_literal_secret_shows_that_it_is_one() -> None:
    secret = Secret.literal(VALUE)
    assert (str(secret), secret.reveal()) == ("<secret literal>", VALUE)


def test_secrets_are_equal_by_reference_never_by_value() -> None:
    first, again, other = (Secret(name, lambda: VALUE) for name in ("${env:A}", "${env:A}", "${env:B}"))
    assert first == again
    assert hash(first) == hash(again)
    assert first != other
    assert Secret.literal(VALUE) != Secret.literal(VALUE)
    literal = Secret.literal(VALUE)
    assert literal == literal
    assert first != "${env:A}"


# Blacking out


def reveal(value: str) -> None:
    Secret("${env:A}", lambda: value).reveal()


def test_only_revealed_values_are_blacked_out() -> None:
    text = f"Bearer {VALUE}, {VALUE}!"
    assert redact(text) == text
    reveal(VALUE)
    assert redact(text) == "Bearer [secret], [secret]!"


@pytest.mark.parametrize(
    "variable", ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"]
)
def test_credentials_that_aws_gives_a_function_are_blacked_out(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "of-aws/+0123456789")
    assert redact("you sent of-aws%2F%2B0123456789") == "you sent [secret]"


def test_rotated_value_stays_blacked_out() -> None:
    secret = Secret("${env:A}", Store("first-value", "second-value"))
    secret.reveal()
    secret.forget()
    secret.reveal()
    assert redact("first-value second-value") == "[secret] [secret]"


def test_short_value_is_blacked_out_as_a_word_and_not_within_others() -> None:
    reveal("k3y")
    assert redact("auth=k3y, k3y; 'k3y'") == "auth=[secret], [secret]; '[secret]'"
    assert redact("k3ys monk3y") == "k3ys monk3y"
    assert redact("Basic%20k3y") == "Basic [secret]"


@pytest.mark.parametrize("order", [1, -1])
def test_value_within_another_leaves_no_rest(order: int) -> None:
    for value in ["abcdef", "abcdef-and-more"][::order]:
        reveal(value)
    assert redact("abcdef-and-more abcdef") == "[secret] [secret]"


@pytest.mark.parametrize(
    "value", ['quo"ted-value', "back\\slashed", "two\nlines-of", "sch\u00f6n-geheim", "tab\there-x"]
)
def test_value_is_blacked_out_within_json(value: str) -> None:
    reveal(value)
    line = json.dumps({"reason": f"refused {value}"}, ensure_ascii=False)
    assert json.loads(redact(line)) == {"reason": "refused [secret]"}


@pytest.mark.parametrize("value", ["a+b/c==", "with space", "100%sure", "sch\u00f6n-geheim"])
def test_value_is_blacked_out_within_a_url(value: str) -> None:
    reveal(value)
    assert redact(f"GET /purge?auth={quote(value, safe='')}&x=1") == "GET /purge?auth=[secret]&x=1"


ODD = 'correct horse+battery&staple/"50%"=<é>'


def entities(text: str, form: str) -> str:
    return "".join(form.format(ord(letter)) for letter in text)


def wrapped(text: str, end: str) -> str:
    return end.join(text[place : place + 12] for place in range(0, len(text), 12))


ENCODINGS: dict[str, Callable[[str], str]] = {
    "percent": lambda text: quote(text, safe=""),
    "percent in lower case": lambda text: re.sub("%..", lambda found: found[0].lower(), quote(text, safe="")),
    "percent but for slashes": quote,
    "plus": quote_plus,
    "percent of all": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "percent of some": lambda text: quote(text, safe=" &/"),
    "plus and some percent": lambda text: quote_plus(text, safe="+=<"),
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "HTML": html.escape,
    "HTML, quotes left": lambda text: html.escape(text, quote=False),
    "HTML, decimal": lambda text: entities(text, "&#{};"),
    "HTML, decimal with zeros": lambda text: entities(text, "&#{:05};"),
    "HTML, hexadecimal": lambda text: entities(text, "&#x{:x};"),
    "HTML, capitals": lambda text: entities(text, "&#X{:X};"),
    "HTML, named": lambda text: text.replace("&", "&amp;").replace("+", "&plus;").replace("/", "&sol;"),
    "HTML twice": lambda text: html.escape(html.escape(text)),
    "HTML of percent": lambda text: html.escape(quote(text, safe="&")),
    "JSON": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON, ASCII": lambda text: json.dumps(text)[1:-1],
    "JSON, escaped slashes": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "JSON, all escaped": lambda text: "".join(f"\\u{ord(letter):04x}" for letter in text),
    "JSON, some escaped": lambda text: json.dumps(text)[1:-1].replace("&", "\\u0026").replace("<", "\\u003C"),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text))[1:-1],
    "HTML in JSON": lambda text: json.dumps(html.escape(text))[1:-1],
    "percent of HTML": lambda text: quote(html.escape(text), safe=""),
    "repr": lambda text: repr(text)[1:-1],
    "base64": lambda text: b64encode(text.encode()).decode(),
    "base64 after a byte": lambda text: b64encode(b"u:" + text.encode()).decode(),
    "base64 after two": lambda text: b64encode(b"user:" + text.encode()).decode(),
    "base64 within": lambda text: b64encode(b'{"token": "' + text.encode() + b'", "more": 1}').decode(),
    "base64 for URLs": lambda text: urlsafe_b64encode(b"user:" + text.encode()).decode(),
    "base64 for URLs, no padding": lambda text: urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 of percent": lambda text: b64encode(f"auth={quote(text, safe='')}&x=1".encode()).decode(),
    "base64 of a form": lambda text: b64encode(f"password={quote_plus(text)}&x=1".encode()).decode(),
    "base64 in lines": lambda text: wrapped(b64encode(b"user:" + text.encode()).decode(), "\n"),
    "base64 in lines, as mails have it": lambda text: wrapped(b64encode(text.encode()).decode(), "\r\n"),
    "base64, percent": lambda text: quote(b64encode(b"user:" + text.encode()).decode(), safe=""),
}


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("value", [ODD, "plain-token-0123456789", "a+b/c==", "100%25sure", "back\\slash&amp;"])
def test_value_is_blacked_out_in_each_encoding(encode: Callable[[str], str], value: str) -> None:
    reveal(value)
    encoded = encode(value)
    said = redact(f"you sent ({encoded}), and that is wrong")
    assert "[secret]" in said
    assert said.startswith("you sent (")
    assert said.endswith("), and that is wrong")
    assert value not in said
    if not encoded.startswith(("eyJ0b2tlbi", "YXV0aD", "cGFzc3dv")):  # what stands before it in base64 isn't its own
        assert not [piece for piece in pieces(encoded) if piece in said]


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("value", ["a&b+c", "k3y&", "to/en"])
def test_short_value_is_blacked_out_in_each_encoding(encode: Callable[[str], str], value: str) -> None:
    reveal(value)
    encoded = encode(value)
    assert encoded not in redact(f"you sent ({encoded})")


def pieces(encoded: str, length: int = 8) -> Iterator[str]:
    """All parts of an encoded value that are long enough to give something away."""
    return (encoded[start : start + length] for start in range(max(1, len(encoded) - length + 1)))


@pytest.mark.parametrize("value", ["abc\udcffdefgh", "xy\ud800", "a\udcffb"])
def test_a_value_that_is_no_text_keeps_nothing_from_the_log(value: str) -> None:
    """As a variable with other bytes than UTF-8: each line of the log failed, and with it each batch."""
    reveal(value)
    assert redact(f"you sent ({value})") == "you sent ([secret])"
    assert redact("all is well") == "all is well"


def test_a_text_that_is_nothing_but_a_decoded_value_is_blacked_out() -> None:
    """It is shorter than the value, as most texts are that hold none."""
    Secret.literal("p%40ss%77ord-of-acme").reveal()
    assert redact("p@ssword-of-acme") == "[secret]"


def test_a_value_that_is_read_again_and_again_is_not_forgotten_for_those_that_were_read_once(
    clock: SimpleNamespace,
) -> None:
    """A token that lives for months, beside one that is got anew each hour."""
    lasting = Secret("env:A", lambda: VALUE)
    for number in range(260):
        lasting.reveal()
        Secret.literal(f"token-of-hour-{number}").reveal()
        clock.now += LIFETIME
        if number > 250:
            assert redact(f"you sent {VALUE}") == "you sent [secret]"


def test_what_holds_no_secret_stays_as_it_is() -> None:
    reveal(ODD)
    text = 'two\nlines, GET /a%20b?x=%2526&amp;y="\\u0041" <é> + 50%'
    assert redact(text) == text


@pytest.mark.parametrize("unit", ["%41", "&#65;", "&amp;", "\\u0041", "\\\\", "%", "&", "\\", "%25", "&#", "A", "+"])
def test_blacking_out_takes_time_in_proportion_to_the_text(unit: str) -> None:
    for value in (ODD, "a+b/c==", "k3y", "plain-token-0123456789"):
        reveal(value)
    redact(unit)

    def seconds(size: int) -> float:
        text = (unit * size)[:size]
        best = 99.0
        for _ in range(3):
            begun = time.thread_time()
            redact(text)
            best = min(best, time.thread_time() - begun)
        return best

    assert seconds(16_000) < 0.2
    assert seconds(16_000) < 12 * seconds(4_000) + 0.005


def test_blacking_out_stands_threads_that_reveal_meanwhile() -> None:
    over = threading.Event()
    problems: list[Exception] = []

    def reveal_many() -> None:
        number = 0
        while not over.is_set() and number < 2000:
            number += 1
            reveal(f"value-number-{number}")

    revealing = threading.Thread(target=reveal_many)
    revealing.start()
    try:
        for _ in range(50):
            redact("text " * 20)
    except RuntimeError as error:
        problems.append(error)
    finally:
        over.set()
        revealing.join()
    assert problems == []


# From the config file


CONFIG = """\
version: 1
providers:
  full: {token: "${env:A_TOKEN}", service: s}
routes:
  - {bucket: b, tags: [a], purge: [full]}
"""


def test_secret_of_a_provider_is_one_of_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", VALUE)
    provider = config.parse(CONFIG, "c.yml", installed()).providers["full"]
    [secret] = provider.secrets()
    assert secret.reveal() == VALUE
    assert VALUE not in repr(provider)
    assert secret == Secret("${env:A_TOKEN}", str)


def test_provider_with_a_secret_can_be_copied_with_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", VALUE)
    provider = config.parse(CONFIG, "c.yml", installed()).providers["full"]
    changed = dataclasses.replace(provider, service="t")  # type: ignore[call-arg]
    assert [secret.reveal() for secret in changed.secrets()] == [VALUE]

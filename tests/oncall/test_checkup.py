"""Many checks at once: what one does, raises or hangs at costs the others nothing, and shows no secret."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from kit.installs import config

from multicdn.diagnosis import Finding, Health, ok
from multicdn.errors import CallRefused, ConfigError, CredentialsRefused, PluginError, RetryLater, SecretError
from multicdn.model import Action, TargetKind
from multicdn.oncall import checkup, local_checks, vendor_checks
from multicdn.plugins.discovery import Plugins
from multicdn.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def raising(error: BaseException) -> Any:
    def look() -> Iterator[Finding]:
        yield ok("found before")
        raise error

    return look


def test_all_are_looked_at_in_order_whatever_becomes_of_one() -> None:
    late, ended = threading.Event(), threading.Event()

    def hanging() -> Iterator[Finding]:
        yield ok("begun")
        late.wait(10)
        ended.set()

    checks = {"hangs": hanging, "dies": raising(SystemExit(3)), "well": lambda: [ok("fine")], "empty": list}
    lines = checkup.examine(checks, 0.2)
    late.set()
    assert [(line.check, line.state, line.text) for line in lines] == [
        ("hangs", Health.OK, "begun"),
        ("hangs", Health.FAILED, "no answer within 0.2 s"),
        ("dies", Health.OK, "found before"),
        ("dies", Health.FAILED, "this check failed: SystemExit: 3"),
        ("well", Health.OK, "fine"),
    ]
    assert ended.wait(5)


@pytest.mark.parametrize(
    ("error", "text", "remedy"),
    [
        (CredentialsRefused("401"), "the credentials aren't accepted: 401", "store credentials that are good"),
        (RetryLater("503"), "it can't be asked: 503", "run it again"),
        (CallRefused("404"), "404", "correct what the config says"),
        (SecretError("${env:A}: no variable A; set it"), "${env:A}: no variable A", "set it"),
        (ConfigError(["c.yml:1: wrong; write it right"]), "c.yml:1: wrong", "write it right"),
        (PluginError("it is broken"), "it is broken", "see the text"),
        (ModuleNotFoundError("No module", name="boto3"), "boto3 isn't installed here", "pip install 'multicdn[all]'"),
        (KeyError("x"), "this check failed: KeyError: 'x'", "no fault of your config"),
    ],
)
def test_each_error_is_a_sentence_with_a_remedy(error: BaseException, text: str, remedy: str) -> None:
    line = checkup.examine({"it": raising(error)}, 5)[-1]
    assert (line.state, line.text) == (Health.FAILED, text)
    assert remedy in line.remedy


def test_what_is_read_by_one_check_is_hidden_in_all() -> None:
    """Also in one that was done before: a vendor may quote a token that this process reads later."""
    secret = "simulated-secret-of-the-doctor"
    first = threading.Event()

    def quoting() -> Iterator[Finding]:
        yield Finding(Health.FAILED, f"bad token {secret}", f"look at {secret}")
        first.set()

    def reading() -> Iterator[Finding]:
        first.wait(5)
        Secret.literal(secret).reveal()
        yield ok("read")

    assert secret not in repr(checkup.examine({"quotes": quoting, "reads": reading}, 5))


def test_a_plugin_is_held_to_findings_and_to_some_of_them() -> None:
    def endless() -> Iterator[Any]:
        while True:
            yield "no finding"

    lines = checkup.examine({"odd": endless, "long": lambda: [ok("x" * 10_000)]}, 10)
    assert len(lines) == 1_001
    assert lines[0].text == "`diagnose` yields a str, which is no Finding"
    assert len(lines[-1].text) == 2_001


def test_more_checks_than_threads_are_all_looked_at() -> None:
    checks = {str(number): (lambda number=number: [ok(f"{number}")]) for number in range(100)}
    assert [line.text for line in checkup.examine(checks, 10)] == [str(number) for number in range(100)]


# What the providers are used for


def test_a_provider_is_told_what_the_routes_have_it_do() -> None:
    routes = """
  - {bucket: acme-site, urls: ["https://WWW.acme.com:443/{key}"], hosts: [img.acme.com], tags_from: cache-tag,
     purge: [edge]}
  - {bucket: acme-img, urls: ["https://{first}.acme.com/{key}"], allowed_hosts: ["*.acme.com"], purge: [site],
     preload: [px], collapse: budget}
  - {bucket: acme-all, everything: true, purge: [edge]}
"""
    providers = """
  site: {type: cloudfront, distribution: auto}
  edge: {type: cloudflare, zone: z, token: "${env:T}"}
  px: {type: pixboost, secret: "${env:P}"}
  idle: {type: fastly, token: "${env:T}", service: S}
"""
    loaded = config(routes=routes, providers=providers)
    edge, site, px, idle = (vendor_checks.use_of(loaded, name) for name in ("edge", "site", "px", "idle"))
    assert {kind for _, kind in edge.asks} == {TargetKind.URL, TargetKind.TAG, TargetKind.HOST, TargetKind.EVERYTHING}
    assert (edge.hosts, edge.buckets) == (("www.acme.com", "img.acme.com"), ("acme-site", "acme-all"))
    assert site.asks == {(Action.PURGE, TargetKind.URL), (Action.PURGE, TargetKind.PREFIX)}
    assert (site.hosts, site.buckets) == ((), ("acme-img",))
    assert px.asks == {(Action.PRELOAD, TargetKind.URL)}
    assert idle.asks == frozenset()
    lines = checkup.examine(vendor_checks.offline(loaded), 10)
    assert [line.check for line in lines if line.text == "no route names it"] == ["vendor idle"]
    paced = [line.text for line in lines if line.check == "vendor edge" and "everything" in line.text]
    assert paced == [
        "purge by everything: 1 a call, at most 2.5 calls a minute, "
        "a share of 1/2 of the vendor's limit for each invocation"
    ]


def test_each_secret_is_read_once_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference that two providers share is one line; one that can't be read says who can't be called."""
    monkeypatch.setenv("T", "simulated-value-that-nobody-sees")
    monkeypatch.delenv("GONE", raising=False)
    providers = """
  one: {type: fastly, token: "${env:T}", service: S}
  two: {type: pixboost, secret: "${env:T}"}
  three: {type: pixboost, secret: "${env:GONE}"}
  four: {type: pixboost, secret: "${file:/nosuch/file}"}
"""
    routes = '\n  - {bucket: b1b, urls: ["https://a.example/{key}"], purge: [one, two, three, four]}\n'
    looks = vendor_checks.online(config(routes=routes, providers=providers))
    lines = checkup.examine({name: look for name, look in looks.items() if name.startswith("secret")}, 10)
    assert [(line.check, line.state, line.text.partition("; ")[0]) for line in lines] == [
        ("secret ${env:T}", Health.OK, "it can be read from here, for one, two"),
        ("secret ${env:GONE}", Health.FAILED, "${env:GONE}: the environment has no variable GONE"),
        ("secret ${file:/nosuch/file}", Health.FAILED, "${file:/nosuch/file}: No such file or directory"),
    ]
    assert lines[1].remedy == "set the variable GONE where this runs"
    assert "simulated-value" not in repr(lines)


# This machine


def test_a_wrong_file_is_told_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "c.yml"
    path.write_text("version: 2\nproviders: {}\n")
    loaded, said = local_checks.config(path, Plugins())
    assert loaded is None
    assert {one.state for one in said} == {Health.FAILED}
    assert all(one.remedy for one in said)
    assert any(one.text.startswith("c.yml:1: ") for one in said)


@pytest.mark.parametrize(
    ("install", "words"),
    [
        ("", ["install.alarm_topic is empty"]),
        ("alarm_topic: 'arn:aws:sns:us-east-1:1:t'", []),
        (
            "trigger: direct, alarm_topic: 'arn:aws:sns:us-east-1:1:t'",
            ["paced for 1 invocations at once, and any number"],
        ),
        ("trigger: direct, reserved_concurrency: 1, alarm_topic: 'arn:aws:sns:us-east-1:1:t'", []),
    ],
)
def test_settings_that_work_and_are_hardly_meant_are_told(install: str, words: list[str], tmp_path: Path) -> None:
    from kit.installs import text

    path = tmp_path / "c.yml"
    path.write_text(text(install))
    _, said = local_checks.config(path, Plugins())
    warnings = [one.text for one in said if one.state is Health.WARNING]
    assert len(warnings) == len(words)
    assert all(word in warning for word, warning in zip(words, warnings, strict=True))


def test_a_plugin_that_is_switched_off_or_broken_is_told() -> None:
    from importlib.metadata import EntryPoint

    broken = EntryPoint("broken", "nosuch.module:X", "multicdn.providers")
    hook = EntryPoint("hook", "nosuch.module", "multicdn.hooks")
    found = [*local_checks.plugins_of(Plugins([broken, hook], disabled=("fastly",)), None)]
    assert [one.state for one in found] == [Health.WARNING, Health.FAILED, Health.WARNING, Health.OK]
    assert "nosuch" in found[0].text
    assert found[2].text == "switched off: fastly"


def test_a_missing_extra_is_told_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    def version(name: str) -> str:
        if name in ("cloudflare", "boto3"):
            raise metadata.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(metadata, "version", version)
    providers = '\n  edge: {type: cloudflare, zone: z, token: "${ssm:/t}"}\n'
    routes = '\n  - {bucket: b1b, urls: ["https://a.example/{key}"], purge: [edge]}\n'
    found = [*local_checks.packages(Plugins(), config(routes=routes, providers=providers))]
    [one] = found
    assert one.text == "edge and ${ssm:...} need cloudflare and boto3, which aren't installed here"
    assert one.remedy.endswith("pip install 'multicdn[aws,cloudflare]'")

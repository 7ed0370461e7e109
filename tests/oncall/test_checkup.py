"""Many checks at once: what one does, raises or hangs at costs the others nothing, and shows no secret."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from kit.installs import config

from multicdn import secrets
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
        (
            ModuleNotFoundError("No module named 'x'"),
            "a package isn't installed here: No module named 'x'",
            "page names",
        ),
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
    assert len(lines) == 1_002
    assert lines[0].text == "`diagnose` yields a str, which is no Finding"
    assert (lines[1_000].state, lines[1_000].text[:25]) == (Health.UNKNOWN, "it says more than 1,000 t")
    assert len(lines[-1].text) == 2_001


class Unspeakable:
    def __str__(self) -> str:
        raise ValueError("not even a text")


@pytest.mark.parametrize(
    "finding",
    [
        Finding("ok", "a state as a text"),  # type: ignore[arg-type]
        Finding(None, "no state"),  # type: ignore[arg-type]
        Finding(Health.OK, None),  # type: ignore[arg-type]
        Finding(Health.OK, Unspeakable()),  # type: ignore[arg-type]
        Finding(Health.FAILED, "x", b"bytes"),  # type: ignore[arg-type]
    ],
)
def test_a_finding_of_odd_members_is_told_and_breaks_nothing(finding: Finding) -> None:
    first, second = checkup.examine({"odd": lambda: [finding, ok("fine")]}, 5)
    assert first.text == "`diagnose` yields a Finding of other members than a Health and two texts"
    assert (first.state, second.text) == (Health.FAILED, "fine")


@pytest.mark.parametrize("nonsense", [None, 5, Unspeakable()])
def test_what_is_no_list_of_findings_is_a_line(nonsense: Any) -> None:
    [line] = checkup.examine({"odd": lambda: nonsense}, 5)
    assert line.text.startswith("this check failed: TypeError")
    assert "whoever wrote the check" in line.remedy


def test_a_plugin_that_says_nothing_at_all_has_no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare ``return`` where no network is to be used is natural, and no fault."""
    loaded = config()
    monkeypatch.setattr(type(loaded.providers["fastly"]), "diagnose", lambda *_: None)
    offline, online = (
        vendor_checks.offline(loaded)["vendor fastly"],
        vendor_checks.online(loaded)["vendor fastly online"],
    )
    lines = checkup.examine({"offline": offline, "online": online}, 5)
    assert {line.state for line in lines if line.check == "offline"} == {Health.OK}
    assert lines[-1].text == "the plugin fastly has no check: not provable without purging"


def test_nothing_is_bad_without_a_remedy() -> None:
    lines = checkup.examine({"it": lambda: [Finding(Health.FAILED, "x"), Finding(Health.WARNING, "y", " ")]}, 5)
    assert {line.remedy for line in lines} == {"its plugin doesn't say what to do: see the vendor's documentation"}


def test_a_text_without_end_costs_no_time_and_shows_no_part_of_a_secret() -> None:
    """A secret that stands across the end of what is looked at is cut off with it."""
    secret = "simulated-secret-across-the-end"
    Secret.literal(secret).reveal()
    for before in (1_990, 8_185, 20_000_000):
        [line] = checkup.examine({"it": lambda before=before: [ok("x" * before + secret * 50)]}, 10)
        assert len(line.text) <= 2_001
        assert "simulated" not in line.text


def test_what_could_not_even_be_begun_is_not_said_to_have_no_answer() -> None:
    """There are so many threads; what hangs keeps its own, and stops nothing else."""
    late = threading.Event()
    hanging = {f"hangs {number}": lambda: late.wait(10) or [] for number in range(32)}
    lines = {line.check: line for line in checkup.examine({**hanging, "well": lambda: [ok("fine")]}, 0.1)}
    late.set()
    assert lines["hangs 31"].text == "no answer within 0.1 s"
    assert (lines["well"].state, lines["well"].text) == (Health.UNKNOWN, "not looked at: others took all of 0.1 s")


def test_what_a_check_prints_is_no_part_of_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    late, printed = threading.Event(), threading.Event()

    def chatty() -> Iterator[Finding]:
        print("token: simulated-secret-that-is-printed")
        sys.stderr.write("simulated-secret-that-is-printed")
        yield ok("said")
        late.wait(10)
        print("simulated-secret-that-is-printed", flush=True)
        printed.set()

    with checkup.silenced():
        lines = checkup.examine({"it": chatty}, 0.1)
        late.set()
        assert printed.wait(5)
        print("the report", flush=True)
    assert lines[0].text == "said"
    assert capsys.readouterr() == ("the report\n", "")


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


@pytest.mark.parametrize(
    ("error", "state", "remedy"),
    [
        (SecretError("${ssm:/t}: AccessDeniedException: no", denied=True), Health.UNKNOWN, "ask for the right"),
        (SecretError("${ssm:/t}: Throttling", passing=True), Health.FAILED, "its source is out"),
        (SecretError("${ssm:/t}: gone; `multicdn secret put` stores it"), Health.FAILED, "`multicdn secret put`"),
        (SecretError("${ssm:/t}: Unable to locate credentials"), Health.FAILED, "or sign in to the account"),
    ],
)
def test_a_secret_that_cannot_be_read_is_told_once(error: SecretError, state: Health, remedy: str) -> None:
    """Its own line says why and what to do; the vendor couldn't be asked, of which nothing follows."""

    def fail(_: str) -> str:
        raise error

    loaded = config(
        routes='\n  - {bucket: b1b, urls: ["https://a.example/{key}"], purge: [edge]}\n',
        providers='\n  edge: {type: fastly, token: "${ssm:/t}", service: S}\n',
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(secrets.BUILT_IN, "ssm", fail)
        first, vendor = checkup.examine(vendor_checks.online(loaded), 10)
    assert (first.check, first.state) == ("secret ${ssm:/t}", state)
    assert first.remedy.startswith(remedy) or remedy in first.remedy
    assert (vendor.state, vendor.remedy) == (Health.UNKNOWN, "see the line of that secret")
    assert vendor.text.startswith("not asked: ${ssm:/t}: ")


def raising_at_once(error: BaseException) -> Any:
    def diagnose(*_: object) -> Any:
        raise error

    return diagnose


def test_credentials_are_of_the_config_or_of_whoever_asks() -> None:
    loaded = config()
    for name, remedy in (("site", "sign in again (`aws sso login`, AWS_PROFILE), with: cloudfront:CreateInv"),
                         ("fastly", "store credentials with: purge_select")):  # fmt: skip
        cls = type(loaded.providers[name])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cls, "diagnose", raising_at_once(CredentialsRefused("401")))
            [line] = checkup.examine({"it": vendor_checks.online(loaded)[f"vendor {name} online"]}, 5)
        assert remedy in line.remedy


@pytest.mark.parametrize(
    ("one", "two", "told"),
    [
        ("{type: cloudflare, zone: z1, token: T}", "{type: cloudflare, zone: z2, token: T}", True),
        ("{type: akamai, edgerc: T}", "{type: akamai, edgerc: T, network: staging}", True),
        # One budget of the account, by the plugin's word; and no rate at all.
        ("{type: cloudfront, distribution: E1}", "{type: cloudfront, distribution: E2}", False),
        ("{type: fastly, token: T, service: A}", "{type: fastly, token: T, service: B}", False),
        ("{type: cloudflare, zone: z1, token: T}", "{type: akamai, edgerc: T}", False),
    ],
)
def test_instances_that_may_share_an_account_are_told(one: str, two: str, told: bool) -> None:
    """Each is paced for all that the vendor gives an account, and nobody knows here which account that is."""
    both = f"\n  one: {one}\n  two: {two}\n".replace(": T", ': "${env:T}"')
    routes = '\n  - {bucket: b1b, urls: ["https://a.example/{key}"], purge: [one, two]}\n'
    lines = checkup.examine(vendor_checks.offline(config(routes=routes, providers=both)), 10)
    found = [(line.check, line.remedy) for line in lines if "of one account" in line.text]
    assert found == [("vendor one", "if they are, have them share that: delivery.concurrency: 4")] * told


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

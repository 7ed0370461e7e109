"""The config file: what it decodes to, and every way in which it is refused."""

from __future__ import annotations

import os
from textwrap import dedent, indent
from typing import TYPE_CHECKING

import pytest
from kit.sample_plugins import Chosen, Full, Imagined, Network, Plain, installed

from multicdn import config
from multicdn.errors import ConfigError, PluginError
from multicdn.model import ChangeKind
from multicdn.plugins.discovery import Plugins
from multicdn.provider import Limits
from multicdn.routing.route import Route
from multicdn.secrets import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from multicdn.config import Config

WHOLE = """\
version: 1
providers:
  site:
    type: plain
  full:
    token: ${env:FULL_TOKEN}
    service: 12E4
    soft: true
  warmer:
routes:
  - bucket: acme-site
    prefix: assets/
    on: [created]
    exclude: ["*.map"]
    index: index.html
    urls: ["https://www.acme.com/{key}"]
    purge: [site, full]
    preload: [warmer]
    soft: false
  - bucket: off
    tags: ["{name}"]
    purge: [full]
"""

# The providers of most tests below, on lines 2 to 9.
HEAD = """\
version: 1
providers:
  plain:
  full:
    token: ${env:T}
    service: s
  warmer:
  softly: {type: full, token: "${env:T}", service: s, soft: true}
  imagined: {soft: true}
routes:
"""


def parse(text: str, plugins: Plugins | None = None) -> Config:
    return config.parse(text, "c.yml", plugins or installed())


def problems(text: str, plugins: Plugins | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, plugins)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return list(caught.value.problems)


def route_file(route: str) -> str:
    """A file whose only route begins on line 11."""
    return HEAD + "  - " + indent(dedent(route), "    ").lstrip()


def provider_file(block: str, name: str = "chosen") -> str:
    """A file whose only provider begins on line 3, its options on line 4."""
    options = indent(dedent(block), "    ")
    route = f'  - {{bucket: b, urls: ["https://a.example/{{key}}"], purge: ["{name}"]}}\n'
    return f"version: 1\nproviders:\n  {name}:\n{options}\nroutes:\n{route}"


# What is right


def test_whole_file_becomes_providers_and_routes() -> None:
    loaded = parse(WHOLE)
    assert loaded.name == "c.yml"
    assert loaded.providers == {
        "site": Plain(),
        "full": Full(token=Secret("${env:FULL_TOKEN}", str), service="12E4", soft=True),
        "warmer": installed().provider_class("warmer")(),
    }
    assert loaded.types == {"site": "plain", "full": "full", "warmer": "warmer"}
    assert loaded.routes == (
        Route(
            bucket="acme-site",
            prefix="assets/",
            on=(ChangeKind.CREATED,),
            exclude=("*.map",),
            index="index.html",
            urls=("https://www.acme.com/{key}",),
            purge=("site", "full"),
            preload=("warmer",),
            soft=False,
        ),
        Route(bucket="off", tags=("{name}",), purge=("full",)),
    )
    assert loaded.warnings == ()


def test_on_is_a_word_and_both_kinds_by_default() -> None:
    first, second = parse(WHOLE).routes
    assert first.on == (ChangeKind.CREATED,)
    assert second.on == (ChangeKind.CREATED, ChangeKind.REMOVED)


def test_secret_is_resolved_on_use_not_on_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FULL_TOKEN", raising=False)
    provider = parse(WHOLE).providers["full"]
    monkeypatch.setenv("FULL_TOKEN", "value-of-the-token")
    assert [secret.reveal() for secret in provider.secrets()] == ["value-of-the-token"]


@pytest.mark.parametrize(
    "text", ["12E4", "0o17", "017", "no", "on", "true", "1.50", "1_000", "2026-11-22", "0x1F", "''"]
)
def test_text_option_stays_as_written(text: str) -> None:
    loaded = parse(provider_file(f"account: {text}"))
    assert isinstance(loaded.providers["chosen"], Chosen)
    assert loaded.providers["chosen"].account == text.strip("'")


@pytest.mark.parametrize(
    ("block", "name", "value"),
    [
        ("count: 12", "count", 12),
        ("count: '12'", "count", 12),
        ("ratio: 0.5", "ratio", 0.5),
        ("ratio: 12E4", "ratio", 120000.0),
        ("ratio: 2", "ratio", 2.0),
        ("loud: true", "loud", True),
        ("loud: false", "loud", False),
        ("loud: True", "loud", True),
        ("network: staging", "network", Network.STAGING),
        ("platform: small", "platform", "small"),
        ("names: [a, no, 12]", "names", ("a", "no", "12")),
        ("names: []", "names", ()),
        ("password:", "password", None),
        ("password: ${file:/run/x}", "password", Secret("${file:/run/x}", str)),
        ("password: ' ${ssm:/a/b} '", "password", Secret("${ssm:/a/b}", str)),
    ],
)
def test_option_becomes_the_type_of_its_field(block: str, name: str, value: object) -> None:
    assert getattr(parse(provider_file(block)).providers["chosen"], name) == value


def test_one_plugin_may_have_several_instances() -> None:
    text = WHOLE.replace("  warmer:\n", "  warmer:\n  site-2:\n    type: plain\n    endpoint: http://127.0.0.1:8080\n")
    loaded = parse(text)
    assert loaded.providers["site"] == Plain()
    assert loaded.providers["site-2"] == Plain(endpoint="http://127.0.0.1:8080")
    assert loaded.warnings == ("c.yml:10: providers.site-2: no route uses it",)


@pytest.mark.parametrize(
    ("route", "texts"),
    [
        ("bucket: b\nhosts: [www.acme.com]\npurge: [full]", {"hosts": ("www.acme.com",)}),
        ("bucket: b\neverything: true\npurge: [full]", {"everything": ("",)}),
        ("bucket: b\neverything: false\ntags: [a]\npurge: [full]", {"everything": (), "tags": ("a",)}),
        ('bucket: b\nprefixes: ["https://a.example/{dir}"]\npurge: [full]', {"prefixes": ("https://a.example/{dir}",)}),
        ('bucket: b\nurls: ["https://{bucket}.example/{key}"]\npurge: [plain]', {"urls": ("https://{bucket}.example/{key}",)}),
        ('bucket: b\nurls: ["http://a.example:8080/x?v={name}"]\npreload: [warmer]', {"urls": ("http://a.example:8080/x?v={name}",)}),
    ],
)  # fmt: skip
def test_targets_of_a_route(route: str, texts: dict[str, tuple[str, ...]]) -> None:
    [loaded] = parse(route_file(route)).routes
    assert {member: loaded.texts(member) for member in texts} == texts


# Files


@pytest.mark.parametrize("text", ["", "# all commented out\n", "~"])
def test_empty_file(text: str) -> None:
    assert problems(text) == ["c.yml:1: is empty: `multicdn init` writes a first config"]


@pytest.mark.parametrize(("text", "kind"), [("- a", "a list"), ("hello", "a text"), ("12", "a text")])
def test_file_that_is_no_mapping(text: str, kind: str) -> None:
    assert problems(text)[0] == f"c.yml:1: must be a mapping of names to values, not {kind}"


def test_missing_file_names_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "other.yml"
    with pytest.raises(ConfigError) as caught:
        config.load(path, installed())
    remedy = "set MULTICDN_CONFIG to the path of yours, or write one with `multicdn init`"
    assert str(caught.value) == f"{path}: no such file; {remedy}"


def test_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r": can't be read: .*Is a directory"):
        config.load(tmp_path, installed())


def test_broken_yaml_is_a_config_error() -> None:
    [problem] = problems("version: 1\nproviders: [a\nroutes: b\n")
    assert problem.startswith("c.yml:3: not valid YAML: ")


def test_duplicate_key_is_refused_with_both_lines() -> None:
    assert problems("version: 1\nproviders:\n  a:\n  a:\n") == ["c.yml:4: 'a' stands twice; first on line 3"]


def test_alias_loop_is_refused() -> None:
    assert problems("version: 1\nproviders: &p\n  a: *p\n") == ["c.yml:3: an alias refers to itself"]


def test_windows_line_ends_and_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "c.yml"
    path.write_bytes(b"\xef\xbb\xbf" + WHOLE.replace("\n", "\r\n").encode())
    assert config.load(path, installed()).routes == parse(WHOLE).routes


# Where the file is


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder to be in, with neither variable set."""
    for name in ("MULTICDN_CONFIG", "LAMBDA_TASK_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({}, "multicdn.config.yml"),
        ({"MULTICDN_CONFIG": ""}, "multicdn.config.yml"),
        ({"MULTICDN_CONFIG": "conf/my.yml"}, "conf/my.yml"),
        ({"MULTICDN_CONFIG": "/etc/my.yml"}, "/etc/my.yml"),
        ({"LAMBDA_TASK_ROOT": "/var/task"}, "/var/task/multicdn.config.yml"),
        ({"LAMBDA_TASK_ROOT": "/var/task", "MULTICDN_CONFIG": "my.yml"}, "/var/task/my.yml"),
        ({"LAMBDA_TASK_ROOT": "/var/task", "MULTICDN_CONFIG": "/opt/my.yml"}, "/opt/my.yml"),
    ],
)
@pytest.mark.usefixtures("nowhere")
def test_location_of_the_file(environment: dict[str, str], path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert os.fspath(config.locate()) == path


def test_load_without_a_path_reads_the_located_file(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (nowhere / "task").mkdir()
    (nowhere / "task" / "multicdn.config.yml").write_text(WHOLE)
    monkeypatch.setenv("LAMBDA_TASK_ROOT", os.fspath(nowhere / "task"))
    loaded = config.load(plugins=installed())
    assert (loaded.name, len(loaded.routes)) == ("multicdn.config.yml", 2)


# Members and versions


@pytest.mark.parametrize("version", ["2", "1.0", "one", "[1]", "", "true"])
def test_unknown_version(version: str) -> None:
    text = WHOLE.replace("version: 1", f"version: {version}")
    assert problems(text) == ["c.yml:1: version: write `version: 1`, the only version that there is"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("provider: {}", "provider: unknown member 'provider'; did you mean 'providers'?"),
        ("on: x", "on: unknown member 'on' (known: version, providers, routes, delivery, publish, install)"),
        ("'<<': {a: 1}", "<<: unknown member '<<' (known: version, providers, routes, delivery, publish, install)"),
    ],
)
def test_unknown_member_of_the_file(line: str, message: str) -> None:
    assert problems(f"{line}\n{WHOLE}") == [f"c.yml:1: {message}"]


@pytest.mark.parametrize(("text", "kind"), [("[a]", "a list"), ("plain", "a text"), ("{}", None)])
def test_providers_must_be_a_mapping(text: str, kind: str | None) -> None:
    found = problems(f"version: 1\nproviders: {text}\nroutes: [{{bucket: b, tags: [a], purge: [plain]}}]\n")
    expected = f"c.yml:2: providers: must be a mapping of names to values, not {kind}"
    assert (expected in found) is (kind is not None)
    assert "c.yml:3: routes[0].purge[0]: no provider is called 'plain'" in found


@pytest.mark.parametrize("text", ["", "[]", "{}", "plain"])
def test_routes_must_be_a_list(text: str) -> None:
    head = WHOLE[: WHOLE.index("routes:")]
    assert problems(f"{head}routes: {text}\n") == ["c.yml:10: routes: must be a list with at least one route"]


# Providers


STRAY = "is a reference, and this option is no secret: write its value"
STAGES = "; where stages differ in it, write a file for each"
KNOWN_OPTIONS = (
    "endpoint, account, count, ratio, loud, network, platform, names, password, via, pulls_from, wait_for, "
    "wait_at_most, again"
)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("acount: 1", "acount: unknown option 'acount'; did you mean 'account'?"),
        ("zzz: 1", f"zzz: unknown option 'zzz' (known: type, {KNOWN_OPTIONS})"),
        ("soft: true", f"soft: unknown option 'soft' (known: type, {KNOWN_OPTIONS})"),
        ("on: true", f"on: unknown option 'on' (known: type, {KNOWN_OPTIONS})"),
        ("count: twelve", "count: expected a whole number, got a text"),
        ("count: 12E4x", "count: expected a whole number, got a text"),
        ("count: 1.5", "count: expected a whole number, got a text"),
        ("count: 0o17", "count: expected a whole number, got a text"),
        ("count: [1]", "count: expected a whole number, got a list"),
        ("count:", "count: expected a whole number, got nothing"),
        ("count: -1", "count -1 is negative"),
        ("ratio: half", "ratio: expected a number, got a text"),
        ("loud: yes", "loud: expected true or false, got a text"),
        ("loud: on", "loud: expected true or false, got a text"),
        ("loud: {}", "loud: expected true or false, got a mapping"),
        ("account:", "account: expected a text, got nothing"),
        ("account: [a]", "account: expected a text, got a list"),
        ("names: a", "names: expected a list, got a text"),
        ("names: [a, [b]]", "names[1]: expected a text, got a list"),
        ("network: stage", "network: unknown value 'stage'; did you mean 'staging'?"),
        ("network: x", "network: unknown value 'x' (known: production, staging)"),
        ("platform: lage", "platform: unknown value 'lage'; did you mean 'large'?"),
        (
            "endpoint: http://api.chosen.example",
            "endpoint 'http://api.chosen.example' would send credentials in clear; "
            "use https (http is only for this machine)",
        ),
        (
            "endpoint: api.chosen.example",
            "endpoint 'api.chosen.example' is not an absolute URL; write https://host or https://host/path",
        ),
        ("endpoint: 'https://[::1'", "Invalid IPv6 URL"),
        ("account: ${env:A}", f"account: ${{env:A}} {STRAY}{STAGES}"),
        ("account: a-${env:A}", f"account: ${{env:A}} {STRAY}{STAGES}"),
        ("names: [a, '${ssm:/n}']", f"names[1]: ${{ssm:/n}} {STRAY}"),
        (
            "type: chosenn",
            "type: no provider plugin named 'chosenn'; did you mean 'chosen'?",
        ),
    ],
)  # fmt: skip
def test_wrong_option(block: str, message: str) -> None:
    dot = "" if message.startswith(("count -1", "endpoint '", "Invalid")) else "."
    line = 3 if not dot else 4
    found = problems(provider_file(block))
    assert found == [f"c.yml:{line}: providers.chosen{dot or ': '}{message}"]


@pytest.mark.parametrize(("block", "kind"), [("- a", "a list"), ("text", "a text")])
def test_provider_that_is_no_mapping(block: str, kind: str) -> None:
    [problem] = problems(provider_file(block))
    assert problem == f"c.yml:3: providers.chosen: must be a mapping of names to values, not {kind}"


def test_missing_options_are_all_named_in_a_fixed_order() -> None:
    assert problems(provider_file("soft: true", "full")) == [
        "c.yml:3: providers.full: full needs the option 'service'",
        "c.yml:3: providers.full: full needs the option 'token'",
    ]


@pytest.mark.parametrize("name", ["a b", "a/b", "ü", "a:b"])
def test_name_of_a_provider_is_restricted(name: str) -> None:
    text = WHOLE.replace("site:", f'"{name}":').replace("[site, full]", f'["{name}", full]')
    assert problems(text) == [f"c.yml:3: providers.{name}: a provider's name may hold letters, digits and . _ -"]


def test_type_that_is_not_installed() -> None:
    assert problems(provider_file("service: s", "fastly")) == [
        "c.yml:3: providers.fastly.type: no provider plugin named 'fastly' "
        "(known: chosen, ended, full, imagined, plain, warmer)"
    ]


def test_nothing_is_installed() -> None:
    assert problems(provider_file("service: s", "fastly"), Plugins([], disabled=())) == [
        "c.yml:3: providers.fastly.type: no provider plugin named 'fastly' "
        "(installed: none - is the .dist-info folder in the bundle?)"
    ]


def test_plugin_that_does_not_import() -> None:
    [problem] = problems(provider_file("service: s", "gone"), installed(gone="no_such_module:Gone"))
    assert problem.startswith(
        "c.yml:3: providers.gone.type: plugin 'gone' (no_such_module:Gone from unknown ?) does not import: "
        "ModuleNotFoundError: "
    )


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (
            property(lambda _: Limits(targets=0)),
            ": ValueError: Limits.targets must be a whole number from 1 on, and is 0",
        ),
        (None, " is None, and no Limits"),
    ],
)
def test_limits_that_cannot_be_kept_are_told_of_the_provider_that_has_them(
    odd: object, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may depend on its options."""
    monkeypatch.setattr(Imagined, "url_limits", odd)
    assert problems(provider_file("soft: true", "imagined")) == [
        f"c.yml:3: providers.imagined: bug in the plugin 'imagined': url_limits{message}"
    ]


# Secrets


LITERAL = "sk-live-4242424242424242"


@pytest.mark.parametrize(
    "value",
    [
        LITERAL,
        f"'{LITERAL}'",
        f"[{LITERAL}]",
        f"{{value: {LITERAL}}}",
        f"|\n      {LITERAL}\n",
        f"Bearer ${{env:A}} {LITERAL}",
        f"${{ENV:{LITERAL}}}",
        f"${{:{LITERAL}}}",
        f"${LITERAL}",
    ],
)
def test_literal_secret_is_refused_and_not_repeated(value: str) -> None:
    [problem] = problems(WHOLE.replace("${env:FULL_TOKEN}", value))
    reason = "is a secret: write a reference such as ${env:NAME} or ${ssm:/path}, never the value"
    assert problem == f"c.yml:6: providers.full.token: {reason}"


@pytest.mark.parametrize("value", ["", "~", "''", "[]", "${env:}"])
def test_empty_secret_is_refused(value: str) -> None:
    [problem] = problems(WHOLE.replace("${env:FULL_TOKEN}", value))
    assert problem.startswith("c.yml:6: providers.full.token: is a secret: write a reference")


def test_literal_under_a_misspelt_name_is_not_repeated_either() -> None:
    found = problems(WHOLE.replace("token: ${env:FULL_TOKEN}", f"tokn: {LITERAL}"))
    assert found == [
        "c.yml:5: providers.full: full needs the option 'token'",
        "c.yml:6: providers.full.tokn: unknown option 'tokn'; did you mean 'token'?",
    ]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("${ssn:/a}", "unknown secret scheme 'ssn'; did you mean 'ssm'?"),
        ("${vault:a}", "unknown secret scheme 'vault' (known: env, file, ssm, secretsmanager)"),
    ],
)
def test_unknown_scheme(reference: str, message: str) -> None:
    assert problems(WHOLE.replace("${env:FULL_TOKEN}", reference)) == [f"c.yml:6: providers.full.token: {message}"]


# Routes


@pytest.mark.parametrize(
    ("route", "message"),
    [
        ('urls: ["https://a.example/{key}"]\npurge: [plain]', "11: routes[0]: needs a `bucket`"),
        ("bucket: ''\ntags: [a]\npurge: [full]", "11: routes[0].bucket: is empty"),
        ("bucket:\ntags: [a]\npurge: [full]", "11: routes[0].bucket: expected a text or a list, got nothing"),
        ("bucket: b\npurges: [full]", "12: routes[0].purges: unknown member 'purges'; did you mean 'purge'?"),
        ("bucket: b\ntags: [a]", "11: routes[0]: does nothing: name providers under `purge` or `preload`"),
        ("bucket: b\non: []\ntags: [a]\npurge: [full]",
         "12: routes[0].on: is empty: write created, removed or access, or leave it out for the first two"),
        ("bucket: b\non: created\ntags: [a]\npurge: [full]", "12: routes[0].on: expected a list, got a text"),
        ("bucket: b\non: [created, delete]\ntags: [a]\npurge: [full]",
         "12: routes[0].on[1]: unknown value 'delete'; write 'removed'"),
        ("bucket: b\npurge: [full]",
         "12: routes[0].purge: has nothing to purge: write `urls` (or prefixes, tags, hosts)"),
        ("bucket: b\ntags: []\npurge: [full]",
         "13: routes[0].purge: has nothing to purge: write `urls` (or prefixes, tags, hosts)"),
        ("bucket: b\ntags: [a]\npreload: [full]", "13: routes[0].preload: has nothing to load: write `urls`"),
        ("bucket: b\ntags: [a]\nspellings: [browser]\npurge: [full]",
         "13: routes[0].spellings: has nothing to spell: write `urls` or `prefixes`"),
        ("bucket: b\nurls: ['https://a/{key}']\nspellings: [browser, browsr]\npurge: [full]",
         "13: routes[0].spellings[1]: unknown value 'browsr'; did you mean 'browser'?"),
        ("bucket: b\ntags: [a]\npurge: full", "13: routes[0].purge: expected a list, got a text"),
        ("bucket: b\ntags: [a]\npurge: [ful]",
         "13: routes[0].purge[0]: no provider is called 'ful'; did you mean 'full'?"),
        ("bucket: b\ntags: [a]\npurge: [x]",
         "13: routes[0].purge[0]: no provider is called 'x' (known: plain, full, warmer, softly, imagined)"),
        ("bucket: b\neverything: yes\npurge: [full]", "12: routes[0].everything: expected true or false, got a text"),
        ("bucket: b\nsoft: maybe\ntags: [a]\npurge: [full]",
         "12: routes[0].soft: expected true or false or nothing, got a text"),
        ("bucket: b-${env:STAGE}\ntags: [a]\npurge: [full]",
         f"11: routes[0].bucket: ${{env:STAGE}} {STRAY}{STAGES}"),
        ("bucket: b\nexclude: ['${env:X}']\ntags: [a]\npurge: [full]",
         f"12: routes[0].exclude[0]: ${{env:X}} {STRAY}{STAGES}"),
        ("bucket: b\nindex: /index.html\ntags: [a]\npurge: [full]",
         "12: routes[0].index: is the name of a file, without slashes, such as index.html"),
    ],
)  # fmt: skip
def test_wrong_route(route: str, message: str) -> None:
    assert problems(route_file(route)) == [f"c.yml:{message}"]


ALL_PLACEHOLDERS = "{key}, {path}, {dir}, {name}, {stem}, {ext}, {bucket}, {first}, {rest}, {segment1} to {segment9}"


@pytest.mark.parametrize(
    ("member", "text", "message"),
    [
        *(
            ("urls", text, f"{text!r} isn't an absolute URL; write it as the browser sees it: https://www.example.com/{{key}}")
            for text in ("", "/{key}", "www.acme.com/{key}", "//www.acme.com/{key}", "s3://b/{key}", "https:///{key}")
        ),
        ("prefixes", "{dir}", "'{dir}' isn't an absolute URL; write it as the browser sees it: https://www.example.com/{key}"),
        *(
            ("urls", text, f"{text!r} holds characters that must be percent-encoded (hosts: punycode)")
            for text in ("https://größe.example/{key}", "https://a.example/größe", "https://a.example/a b", " https://a.example/{key}")
        ),
        *(
            ("urls", text, f"{text!r} has {field} in its host name, which no host can hold: is the slash before it "
             "missing? Else write {first} for the first folder, or a group of `match`")
            for text, field in (("https://www.acme.com{key}", "{key}"), ("https://{name}/a", "{name}"),
                                ("https://a.example{bucket}{key}", "{key}"),
                                ("https://{dir}.preview.example.org/{name}", "{dir}"))
        ),
        ("urls", "https://[www.acme.com/{key}", "Invalid IPv6 URL"),
        ("urls", "https://a.example/{size}", f"unknown placeholder {{size}}; known: {ALL_PLACEHOLDERS}"),
        ("urls", "https://a.example/{}", f"unknown placeholder {{}}; known: {ALL_PLACEHOLDERS}"),
        ("urls", "https://a.example/{Key}", "unknown placeholder {Key}: write {key}"),
        ("urls", "https://a.example/{key!r}", f"unknown placeholder {{key!r}}; known: {ALL_PLACEHOLDERS}"),
        ("urls", "https://a.example/{key", "a brace without its partner"),
        ("urls", "https://a.example/key}", "a brace without its partner"),
        ("urls", "https://a.example/{{key}}", "{{key}} is no placeholder here: write {key}"),
        ("tags", "", "is empty"),
        ("tags", "{tag}", f"unknown placeholder {{tag}}; known: {ALL_PLACEHOLDERS}"),
        ("hosts", "", "'' isn't a host name; write www.example.com"),
        ("hosts", "https://www.acme.com", "'https://www.acme.com' is a URL: write www.acme.com"),
        ("hosts", "www.acme.com:443", "'www.acme.com:443' is more than a host name: write www.acme.com"),
        ("hosts", "www.acme.com/", "'www.acme.com/' is more than a host name: write www.acme.com"),
    ],
)  # fmt: skip
def test_wrong_template(member: str, text: str, message: str) -> None:
    route = f'bucket: b\npurge: [full]\n{member}:\n  - {"x" if member == "tags" else "www.x.example"}\n  - "{text}"'
    if member in ("urls", "prefixes"):
        route = route.replace("- www.x.example", "- https://www.x.example/{key}")
    assert problems(route_file(route)) == [f"c.yml:15: routes[0].{member}[1]: {message}"]


URLS = 'urls: ["https://a.example/{key}"]'


@pytest.mark.parametrize(
    ("route", "message"),
    [
        ("tags: [a]\npurge: [plain]",
         "13: routes[0].purge[0]: plain (plain) can't purge by `tags`; it can purge by url; "
         "give it a route of its own with what it can do"),
        (f"{URLS}\nprefixes: ['https://a.example/']\npurge: [full, plain]",
         "14: routes[0].purge[1]: plain (plain) can't purge by `prefixes`; it can purge by url; "
         "give it a route of its own with what it can do"),
        ("hosts: [a.example]\npurge: [plain]",
         "13: routes[0].purge[0]: plain (plain) can't purge by `hosts`; it can purge by url; "
         "give it a route of its own with what it can do"),
        ("everything: true\npurge: [plain]",
         "13: routes[0].purge[0]: plain (plain) can't purge by `everything`; it can purge by url; "
         "give it a route of its own with what it can do"),
        (f"{URLS}\npurge: [warmer]",
         "13: routes[0].purge[0]: warmer (warmer) can't purge by `urls`; it can preload by url; "
         "give it a route of its own with what it can do"),
        (f"{URLS}\npreload: [plain]",
         "13: routes[0].preload[0]: plain (plain) can't preload; it can purge by url"),
        (f"{URLS}\nsoft: true\npurge: [plain]",
         "14: routes[0].purge[0]: plain (plain) has no soft purge; leave out `soft` to drop objects at once"),
        (f"{URLS}\nsoft: true\npurge: [imagined]",
         "14: routes[0].purge[0]: imagined (imagined) has no soft purge; leave out `soft` to drop objects at once"),
        ("hosts: [a.example]\nsoft: true\npurge: [full]",
         "14: routes[0].purge[0]: full (full) has no soft purge by `hosts`; set `soft: false` on this route"),
        ("everything: true\npurge: [softly]",
         "13: routes[0].purge[0]: softly (full) has no soft purge by `everything`; set `soft: false` on this route"),
    ],
)  # fmt: skip
def test_provider_that_cannot_do_what_a_route_asks(route: str, message: str) -> None:
    assert problems(route_file(f"bucket: b\n{route}")) == [f"c.yml:{message}"]


@pytest.mark.parametrize(
    "route",
    [
        f"{URLS}\ntags: [a]\nsoft: true\npurge: [full, softly]",
        f"{URLS}\nsoft: false\npurge: [plain, full, softly, imagined]",
        f"{URLS}\npurge: [plain, imagined, softly]",
        "hosts: [a.example]\nsoft: false\npurge: [softly]",
        "everything: true\npurge: [full]",
        f"{URLS}\nsoft: true\npreload: [warmer]",
    ],
)
def test_route_that_every_provider_can_serve(route: str) -> None:
    assert len(parse(route_file(f"bucket: b\n{route}")).routes) == 1


def test_all_problems_are_reported_at_once_in_the_order_of_the_file() -> None:
    text = """\
version: 3
providers:
  full:
    tokn: x
    service: [s]
  other:
    type: nowhere
extra: 1
routes:
  - bucket: b
    urls: [www.acme.com]
    purge: [ful]
  - prefix: x
    on: [changed]
  - text
"""
    assert problems(text) == [
        "c.yml:1: version: write `version: 1`, the only version that there is",
        "c.yml:3: providers.full: full needs the option 'token'",
        "c.yml:4: providers.full.tokn: unknown option 'tokn'; did you mean 'token'?",
        "c.yml:5: providers.full.service: expected a text, got a list",
        "c.yml:7: providers.other.type: no provider plugin named 'nowhere' "
        "(known: chosen, ended, full, imagined, plain, warmer)",
        "c.yml:8: extra: unknown member 'extra' (known: version, providers, routes, delivery, publish, install)",
        "c.yml:11: routes[0].urls[0]: 'www.acme.com' isn't an absolute URL; "
        "write it as the browser sees it: https://www.example.com/{key}",
        "c.yml:12: routes[0].purge[0]: no provider is called 'ful'; did you mean 'full'?",
        "c.yml:13: routes[1]: needs a `bucket`",
        "c.yml:14: routes[1].on[0]: unknown value 'changed'; there is none: leave `on` out, and all changes count",
        "c.yml:15: routes[2]: must be a mapping of names to values, not a text",
        "c.yml:15: routes[2]: needs a `bucket`",
    ]


def test_route_to_a_broken_provider_does_not_add_a_second_problem() -> None:
    text = WHOLE.replace("service: 12E4", "srvice: 12E4")
    assert problems(text) == [
        "c.yml:5: providers.full: full needs the option 'service'",
        "c.yml:7: providers.full.srvice: unknown option 'srvice'; did you mean 'service'?",
    ]


# Warnings


@pytest.mark.parametrize(
    ("route", "message"),
    [
        ("prefix: /assets/", "12: routes[0].prefix: begins with a slash, and keys in S3 rarely do"),
        ("prefix: assets/*",
         "12: routes[0].prefix: holds a *, which stands for itself: leave it out to match all that follows"),
    ],
)  # fmt: skip
def test_suspicious_prefix_is_a_warning(route: str, message: str) -> None:
    found = parse(
        route_file(f"bucket: acme\n{route}\n{URLS}\npurge: [plain, full, softly, imagined]\npreload: [warmer]")
    )
    assert found.warnings == (f"c.yml:{message}",)


def test_unused_and_retired_providers_are_warnings() -> None:
    text = WHOLE.replace("  warmer:\n", "  warmer:\n  old: {type: ended}\n  spare:\n    type: plain\n")
    assert parse(text).warnings == (
        "c.yml:10: providers.old: ended is retired: the service ended on 2025-01-15",
        "c.yml:10: providers.old: no route uses it",
        "c.yml:11: providers.spare: no route uses it",
    )


# Options of plugins that are written oddly


def test_type_that_no_config_file_can_hold_is_a_problem_of_the_option() -> None:
    [problem] = problems(provider_file("pattern: a", "odd"), installed(odd="odd_plugins:Odd"))
    assert problem == ("c.yml:4: providers.odd.pattern: can't be written in a config file (it wants a Pattern)")


def test_annotation_that_is_imported_for_type_checkers_only_is_named() -> None:
    [problem] = problems(provider_file("where: a", "odd"), installed(odd="odd_plugins:Unevaluated"))
    assert problem == (
        "c.yml:3: providers.odd.type: Unevaluated.where: name 'Path' is not defined; import it outside TYPE_CHECKING"
    )


@pytest.fixture(autouse=True)
def odd_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of plugins with options that can't be configured."""
    text = """\
        from __future__ import annotations
        import re
        from dataclasses import dataclass
        from typing import TYPE_CHECKING
        from kit.sample_plugins import Plain
        if TYPE_CHECKING:
            from pathlib import Path

        @dataclass(frozen=True, kw_only=True)
        class Odd(Plain):
            pattern: re.Pattern[str] | None = None

        @dataclass(frozen=True, kw_only=True)
        class Unevaluated(Plain):
            where: Path | None = None
        """
    (tmp_path / "odd_plugins.py").write_text(dedent(text))
    monkeypatch.syspath_prepend(tmp_path)


def test_broken_hook_plugin_is_a_plugin_error() -> None:
    from importlib.metadata import EntryPoint

    plugins = Plugins(
        [
            EntryPoint("full", "kit.sample_plugins:Full", "multicdn.providers"),
            EntryPoint("vault", "no_such_module", "multicdn.hooks"),
        ],
        disabled=(),
    )
    with pytest.raises(PluginError, match="plugin 'vault' "):
        parse(provider_file("token: ${vault:a}\nservice: s", "full"), plugins)

"""A checked config as a module: it makes the same config, of the same file alone, and holds no secret."""

from __future__ import annotations

import enum
import importlib
import math
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multicdn.config import compiled
from multicdn.config.checker import parse
from multicdn.plugins.chosen import DISABLE
from multicdn.plugins.discovery import Plugins
from multicdn.provider import Call, Limits, PurgeUrls, Receipt, option
from multicdn.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from multicdn.config import Config

FULL = """
version: 1
providers:
  site: {type: cloudfront, distribution: E8F6HK73EP0LT}
  www: {type: fastly, token: "${ssm:/multicdn/fastly}", service: SU1Z0isxPaozGVKXdv0eY, pulls_from: [site], again: 2s}
  zone:
    type: cloudflare
    token: "${secretsmanager:multicdn/cloudflare#token}"
    zone: 023e105f4ecef8ad9ca31a8372d0c353
    plan: enterprise
    variants: [{}, {accept-language: de, x-it's: "a \\"quoted\\" {key}"}]
  pictures: {type: pixboost, secret: "${env:PIXBOOST}", domain: images.acme.com}
  edge: {type: akamai, edgerc: "${file:/etc/edgerc}", cp_codes: [1, 2]}
routes:
  - bucket: [acme-site, acme-other]
    prefix: "it's\\\\/"
    on: [created]
    suffix: .html
    include: ["*.html"]
    index: index.html
    urls: ["https://www.acme.com/{key}", "https://{first}.acme.com/{key}"]
    allowed_hosts: ["*.acme.com"]
    also: [{keys: ["*.png"], as: ["{dir}{stem}@2x{ext}"]}]
    spellings: [browser]
    purge: [site, www, zone]
    collapse: {over: 10, harm: 1.5}
    verify: {within: 90s, sample: all, identity: metadata:write}
    settle: {quiet: 5s, most: 1m}
  - bucket: acme-site
    match: '(?P<picture>[^/]+)\\.jpe?g'
    urls: ["https://images.acme.com/{picture}"]
    tags: ["t-{picture}"]
    soft: true
    purge: [edge]
    after: done.txt
delivery: {grace: 2s, give_up_after: 6h}
publish: {to: ["arn:aws:sns:eu-west-1:123456789012:purges"], states: [dead, fresh]}
install:
  {memory: 256, trigger: eventbridge, tags: {team: "web @ co"}, forwarded: [{bucket: b, account: "123456789012"}]}
"""


@pytest.fixture(autouse=True)
def _module() -> Any:
    sys.modules.pop(compiled.MODULE, None)
    yield
    sys.modules.pop(compiled.MODULE, None)


def put(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch, plugins: Plugins | None = None) -> Config:
    """Compile a config beside its file, as it lies in a bundle."""
    (folder / "my.yml").write_text(text)
    config = parse(text, "my.yml", plugins or Plugins())
    (folder / f"{compiled.MODULE}.py").write_bytes(compiled.source(config, text.encode(), {}))
    monkeypatch.syspath_prepend(folder)
    return config


def load(folder: Path) -> compiled.CompiledConfig:
    loaded = compiled.load(folder / "my.yml")
    assert loaded is not None
    return loaded


def test_a_config_with_everything_reads_as_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = put(tmp_path, FULL, monkeypatch)
    assert load(tmp_path).config == config
    assert len(config.routes) == 3
    assert config.tiers["www"].again == "2s"


@pytest.mark.parametrize("name", sorted(Plugins().providers))
def test_each_installed_vendor_reads_as_itself(name: str) -> None:
    cls = Plugins().provider_class(name)
    options = {option: f'"{value}"' for option, value in cls.example.items()}
    given = ", ".join(f"{option}: {value}" for option, value in options.items())
    action = "preload" if name == "warm" else "purge"
    text = (
        f"version: 1\nproviders: {{fastly: {{token: '${{env:T}}', service: abc}}, it: {{type: {name}, {given}}}}}\n"
        f"routes: [{{bucket: b, urls: ['https://a.test/{{key}}'], purge: [fastly], {action}: [it]}}]\n"
    )
    text = text.replace("purge: [fastly], purge: [it]", "purge: [it, fastly]")
    assert compiled.source(parse(text, "a.yml", Plugins()), b"", {})


def test_it_is_the_same_each_time_and_shows_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXBOOST", "hunter2-secret")
    config = put(tmp_path, FULL, monkeypatch)
    assert config.providers["pictures"].secret.reveal() == "hunter2-secret"  # type: ignore[attr-defined]
    made = compiled.source(config, FULL.encode(), {"b": "x:y", "a": "z"})
    assert made == compiled.source(parse(FULL, "my.yml", Plugins()), FULL.encode(), {"a": "z", "b": "x:y"})
    assert b"hunter2" not in made
    assert load(tmp_path).config.providers["pictures"].secret.reveal() == "hunter2-secret"  # type: ignore[attr-defined]


# Values of plugins


class Level(enum.Enum):
    LOW = 1
    HIGH = "it's"


class Part(msgspec.Struct, frozen=True):
    name: str
    weights: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Odd(PurgeUrls):
    """A vendor whose options are of all kinds."""

    value: Any = option(default=None, help="anything")
    endpoint: str = option(default="https://api.odd.example", help="base URL")
    url_limits = Limits(targets=1)

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        del urls, call
        return Receipt()


def written(value: object, cls: type[Odd] = Odd) -> object:
    """A value as the module makes it."""
    config = parse(FULL, "my.yml", Plugins())
    msgspec.structs.force_setattr(config, "providers", {**config.providers, "odd": cls(value=value)})
    made: dict[str, Any] = {}
    exec(compiled.source(config, b"", {}), made)
    config = made["make"](lambda scheme, name: Secret(f"${{{scheme}:{name}}}", str))
    return config.providers["odd"].value  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "value",
    [
        (),
        (1,),
        [1, "2", None],
        {"a": {"b": (True, -0.5)}, "": b"\x00"},
        frozenset({"b", "a"}),
        set(),
        math.inf,
        -math.inf,
        1e300,
        Level.HIGH,
        Part("it's", (0.1, 2.0)),
        {Level.LOW: [Part("a"), Part("b")]},
        Secret("${env:TOKEN}", str),
        re.escape("\\N{x}'\"\n\r\u2028\ud800"),
    ],
)
def test_values_of_all_kinds_read_as_themselves(value: object) -> None:
    made = written(value)
    assert made == value
    assert type(made) is type(value)


@dataclass(frozen=True)
class Kept:
    """Part of an option whose comparison leaves something out."""

    name: str = "a"
    weights: tuple[object, ...] = (True, 0.0)
    hidden: int = field(default=1, compare=False)


@dataclass(frozen=True, kw_only=True)
class Odder(Odd):
    """A vendor with a default that equals other values."""

    value: Any = option(default=(True, 0.0, Kept()), help="anything")


@pytest.mark.parametrize(
    "value",
    [
        (1, 0.0, Kept()),
        (True, -0.0, Kept()),
        (True, 0.0, Kept(weights=(1, 0.0))),
        (True, 0.0, Kept(hidden=2)),
        (True, 0.0, Kept()),
    ],
)
def test_what_equals_the_default_and_is_another_is_kept(value: object) -> None:
    assert repr(written(value, Odder)) == repr(value)


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
nested = st.recursive(
    plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.lists(inner).map(tuple), max_leaves=9
)


@given(value=nested)
def test_nested_values_read_as_themselves(value: object) -> None:
    assert eval(compiled._Writer()._value(value)) == value


@pytest.mark.parametrize("value", [object(), math.nan, Secret.literal("hunter2-secret"), re.compile("a"), str.lower])
def test_what_cannot_be_written_is_refused_and_not_shown(value: object) -> None:
    with pytest.raises(compiled.NotCompilableError) as caught:
        written(value)
    assert "hunter2" not in str(caught.value)


def test_a_provider_of_nowhere_is_refused() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Hidden(Odd):
        """Within a function."""

    config = parse(FULL, "my.yml", Plugins())
    msgspec.structs.force_setattr(config, "providers", {**config.providers, "odd": Hidden()})
    with pytest.raises(compiled.NotCompilableError, match="within a function"):
        compiled.source(config, b"", {})


def test_a_provider_whose_name_is_that_of_another_is_refused() -> None:
    class Same(Odd):
        """Another class by the name of the first."""

    Same.__qualname__ = Same.__name__ = "Odd"
    config = parse(FULL, "my.yml", Plugins())
    msgspec.structs.force_setattr(config, "providers", {**config.providers, "odd": Same()})
    with pytest.raises(compiled.NotCompilableError, match="odd: its type isn't found"):
        compiled.source(config, b"", {})


# What it is of


def test_without_it_there_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "my.yml").write_text(FULL)
    assert compiled.load(tmp_path / "my.yml") is None


def test_where_plugins_are_switched_off_the_file_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, FULL, monkeypatch)
    monkeypatch.setenv(DISABLE, "some")
    assert compiled.load(tmp_path / "my.yml") is None


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("FORMAT = 1", "FORMAT = 99", "was made by multicdn"),
        ("VERSION = '", "VERSION = '9.", "was made by multicdn 9."),
        ("HOOKS", "hooks", "has no attribute 'HOOKS'"),
        ("def make", "def make(", "can't be used"),
        ("return m0", "m0", "can't be used: it makes no config"),
        ("fastly as", "slowly as", "No module named 'multicdn_providers.slowly'"),
    ],
)
def test_what_is_of_another_multicdn_or_broken_is_not_used(
    before: str, after: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, FULL, monkeypatch)
    module = tmp_path / f"{compiled.MODULE}.py"
    text = module.read_text()
    assert before in text
    module.write_text(text.replace(before, after))
    with pytest.raises(compiled.OutdatedError, match=re.escape(reason)):
        compiled.load(tmp_path / "my.yml")


def test_a_part_of_it_is_not_used_wherever_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, FULL, monkeypatch)
    module = tmp_path / f"{compiled.MODULE}.py"
    lines = module.read_bytes().splitlines(keepends=True)
    for count in range(len(lines)):
        module.write_bytes(b"".join(lines[:count]))
        monkeypatch.delitem(sys.modules, compiled.MODULE, raising=False)
        importlib.invalidate_caches()
        with pytest.raises(compiled.OutdatedError):
            compiled.load(tmp_path / "my.yml")


def test_a_config_file_that_was_changed_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, FULL, monkeypatch)
    (tmp_path / "my.yml").write_text(FULL + "\n")
    with pytest.raises(compiled.OutdatedError, match=r"another my\.yml"):
        compiled.load(tmp_path / "my.yml")


def test_hooks_and_their_secrets_come_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = FULL.replace("${env:PIXBOOST}", "${vault:pixboost}")
    plugins = vaulted(tmp_path, monkeypatch)
    made = compiled.source(parse(text, "my.yml", plugins), text.encode(), {"vault": "a_vault"})
    (tmp_path / f"{compiled.MODULE}.py").write_bytes(made)
    (tmp_path / "my.yml").write_text(text)
    loaded = load(tmp_path)
    assert loaded.config.providers["pictures"].secret.reveal() == "of the vault: pixboost"  # type: ignore[attr-defined]


def vaulted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Plugins:
    """A hook plugin that knows secrets of another scheme."""
    (folder / "a_vault.py").write_text(
        "from multicdn.hooks import hookimpl\n\n\n@hookimpl\ndef multicdn_resolve_secret(scheme, name):\n"
        "    return f'of the {scheme}: {name}'\n"
    )
    monkeypatch.syspath_prepend(folder)
    return installed_with("vault", "a_vault")


def installed_with(name: str, source: str) -> Plugins:
    from importlib import metadata

    from multicdn.plugins.discovery import HOOK_GROUP, PROVIDER_GROUP

    entries = [*metadata.entry_points(group=PROVIDER_GROUP), metadata.EntryPoint(name, source, HOOK_GROUP)]
    return Plugins(entries)

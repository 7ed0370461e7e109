"""What is missing here is told in one sentence, with the one command that installs all of it."""

from __future__ import annotations

import json
import os
import shlex
import sys
from importlib import metadata
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from multicdn import config, extras
from multicdn.cli import main
from multicdn.errors import bug
from multicdn.log import plugin_bug
from multicdn.plugins.discovery import PROVIDER_GROUP, Plugins

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PLAIN = """
version: 1
providers:
  www: {type: cloudflare, token: "${env:T}", zone: 023e105f4ecef8ad9ca31a8372d0c353}
  img: {type: cloudflare, token: "${env:T}", zone: 023e105f4ecef8ad9ca31a8372d0c354}
  fastly: {token: "${env:T}", service: S}
routes:
  - {bucket: acme-site, urls: ["https://www.acme.com/{key}"], purge: [www, img, fastly]}
"""
PIP = f"{shlex.quote(sys.executable)} -m pip install "


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The `pip` on the path is that of another Python, or there is none."""
    monkeypatch.setenv("PATH", "/nowhere")


def have(monkeypatch: pytest.MonkeyPatch, versions: Mapping[str, str | None]) -> None:
    """Let packages be installed in other versions, or not at all."""
    genuine = metadata.version

    def version(name: str) -> str:
        found = versions.get(name, "")
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found or genuine(name)

    monkeypatch.setattr(metadata, "version", version)


def told(text: str = PLAIN, plugins: Plugins | None = None, **settings: set[str]) -> str:
    plugins = plugins or Plugins()
    lacks = extras.lacking(config.parse(text, "c.yml", plugins), plugins, **settings)
    return extras.told(lacks) if lacks else ""


def test_nothing_is_said_where_nothing_is_missing() -> None:
    assert told() == ""


def test_one_package_that_two_need_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    have(monkeypatch, {"cloudflare": None})
    assert told() == f"www and img need cloudflare, which isn't installed here: {PIP}'multicdn[cloudflare]'"
    assert told(providers={"img"}).startswith("img needs cloudflare, ")
    assert told(providers={"fastly"}) == ""


def test_one_that_is_too_old_is_named_with_what_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    have(monkeypatch, {"cloudflare": "4.3.1"})
    assert told(providers={"www"}).startswith("www needs cloudflare>=5.9 (not 4.3.1), which isn't installed here: ")
    have(monkeypatch, {"cloudflare": "6.0.0rc1"})
    assert told() == ""


@pytest.mark.parametrize("scheme", ["ssm:/t", "secretsmanager:t#k"])
def test_secrets_of_aws_need_its_sdk_too(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    have(monkeypatch, {"boto3": None})
    text = PLAIN.replace('fastly: {token: "${env:T}"', f'fastly: {{token: "${{{scheme}}}"')
    kind = scheme.partition(":")[0]
    assert told(text) == f"${{{kind}:...}} needs boto3, which isn't installed here: {PIP}'multicdn[aws]'"


def test_several_are_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    have(monkeypatch, {"boto3": None, "cloudflare": "1.0"})
    site = PLAIN.replace("routes:", "  site: {type: cloudfront, distribution: auto}\nroutes:")
    assert told(site.replace("${env:T}", "${ssm:/t}")) == (
        "www, ${ssm:...}, img and site need cloudflare>=5.9 (not 1.0) and boto3, which aren't installed here: "
        f"{PIP}'multicdn[aws,cloudflare,cloudfront]'"
    )


def test_the_pip_on_the_path_is_enough_where_it_is_our_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    have(monkeypatch, {"cloudflare": None})
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    (tmp_path / "pip").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)  # as by uvx, for this process alone
    assert told().endswith(f": {tmp_path}/python -m pip install 'multicdn[cloudflare]'")
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path.parent))
    assert told().endswith(": pip install 'multicdn[cloudflare]'")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "a b" / "python"))
    assert told().endswith(f": '{tmp_path}/a b/python' -m pip install 'multicdn[cloudflare]'")


def foreign(folder: Path, *requires: str) -> Plugins:
    """The plugin of another distribution, for Fastly's class, with an extra of its name."""
    info = folder / "multicdn_acme-2.dist-info"
    info.mkdir(exist_ok=True)
    lines = ["Metadata-Version: 2.1", "Name: multicdn-acme", "Version: 2", "Provides-Extra: acme"]
    (info / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {line}" for line in requires)]) + "\n")
    (info / "entry_points.txt").write_text(f"[{PROVIDER_GROUP}]\nacme = multicdn_providers.fastly:Fastly\n")
    ours = (found[0].entry_point for found in Plugins().providers.values())
    return Plugins([*ours, *metadata.PathDistribution(info).entry_points], disabled=())


ACME = PLAIN.replace("fastly: {", "shop: {type: acme, ").replace("img, fastly]", "img, shop]")


def test_plugins_of_others_are_looked_up_in_what_they_declare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    have(monkeypatch, {"cloudflare": None})
    sdk = "acme-sdk[fast]>=2; extra == 'acme'"
    unasked = (
        "never-there; python_version < '3' and extra == 'acme'",
        "nor-this; extra == 'other'",
        "of-all; python_version > '3'",
    )
    plugins = foreign(tmp_path, sdk, *unasked)
    assert told(ACME, plugins, providers={"shop"}) == (
        f"shop needs acme-sdk, which isn't installed here: {PIP}'multicdn-acme[acme]'"
    )
    assert told(ACME, plugins).endswith(f": {PIP}'multicdn[cloudflare]' 'multicdn-acme[acme]'")


def test_a_plugin_without_such_an_extra_needs_nothing_more(tmp_path: Path) -> None:
    assert told(ACME, foreign(tmp_path, "nor-this; extra == 'other'")) == ""


@pytest.mark.parametrize("module", ["boto3", "botocore.config", "cloudflare", "akamai.edgegrid"])
def test_a_module_that_does_not_import_leads_to_its_extra(module: str) -> None:
    """Also where the package seems to be installed, and isn't whole."""
    told = extras.of_import(ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert told is not None
    assert told.startswith("this command needs ")
    assert told.endswith("]'")


@pytest.mark.parametrize("error", [ModuleNotFoundError("x", name="multicdn.nosuch"), ImportError("x")])
def test_any_other_module_is_a_bug_and_nothing_to_install(error: ImportError) -> None:
    assert extras.of_import(error) is None


def test_config_check_warns_and_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It may run where nothing is purged: in pre-commit's own environment, in CI."""
    have(monkeypatch, {"cloudflare": None})
    (tmp_path / "c.yml").write_text(PLAIN)
    (tmp_path / "wrong.yml").write_text("version: 2")
    good = CliRunner().invoke(main, ["config", "check", str(tmp_path / "c.yml")])
    assert good.exit_code == 0
    assert good.stderr == f"c.yml: {told()} (warning)\n"
    both = CliRunner().invoke(main, ["config", "check", str(tmp_path / "wrong.yml"), str(tmp_path / "c.yml")])
    assert (both.exit_code, both.stdout) == (1, good.stdout)
    assert "wrong.yml:1: version" in both.stderr
    facts = CliRunner().invoke(main, ["config", "check", "--json", str(tmp_path / "c.yml")])
    assert json.loads(facts.stdout)["warnings"][0]["message"] == f"c.yml: {told()}"
    several = ["config", "check", "--json", str(tmp_path / "c.yml"), str(tmp_path / "c.yml")]
    assert CliRunner().invoke(main, several).exit_code == 2


def test_what_lambda_lacks_is_no_bug_of_the_plugin(caplog: pytest.LogCaptureFixture) -> None:
    error = ModuleNotFoundError("No module named 'acme_sdk'", name="acme_sdk")
    reason = "a package that the plugin needs isn't installed where this runs: No module named 'acme_sdk'"
    assert bug(error) == reason
    assert bug(ImportError("cannot import name 'x'")).startswith("bug in the plugin: ")
    plugin_bug("shop", error)
    line = json.loads(caplog.messages[0])
    assert {name: line[name] for name in ("event", "provider", "error")} == {
        "event": "package-missing",
        "provider": "shop",
        "error": "ModuleNotFoundError: No module named 'acme_sdk'",
    }
    assert "trace" not in line
    assert os.sep not in caplog.messages[0]

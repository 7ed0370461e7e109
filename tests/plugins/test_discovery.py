"""Finding and loading plugins: every silent failure made loud. The plugins here are real distributions on disk."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from importlib.metadata import EntryPoint, MetadataPathFinder, PathDistribution
from itertools import count
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from multicdn.errors import PluginError
from multicdn.plugins.chosen import DISABLE
from multicdn.plugins.discovery import HOOK_GROUP, PROVIDER_GROUP, Plugins
from multicdn.plugins.no_hooks import NoHooks
from multicdn.provider import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEAD = """\
from __future__ import annotations
from dataclasses import dataclass, field
from multicdn.provider import Limits, Provider, PurgeTags, PurgeUrls, Receipt, option

"""
GOOD = '''
@dataclass(frozen=True, kw_only=True)
class {name}(PurgeUrls):
    """A vendor."""
    endpoint: str = "https://api.acme.example"
    url_limits = Limits(targets=1)

    def purge_urls(self, urls, call):
        return Receipt(id="1")
'''

_numbers = count()


class Site:
    """A folder on Python's path, where distributions can be installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, distribution: str, entry_points: str, version: str = "1.0", extras: str = "") -> None:
        """Write a ``.dist-info`` as pip does."""
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        extra = "".join(f"Provides-Extra: {name}\n" for name in extras.split())
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n{extra}")
        (info / "entry_points.txt").write_text(dedent(entry_points))

    def module(self, source: str, head: str = HEAD) -> str:
        """Write a module under a new name, and return that."""
        name = f"plugin_under_test_{next(_numbers)}"
        (self.folder / f"{name}.py").write_text(head + dedent(source))
        importlib.invalidate_caches()
        return name

    def provider(self, name: str, body: str, distribution: str = "multicdn-acme", extras: str = "") -> None:
        """Install a module whose class ``Acme`` is the provider of a name."""
        module = self.module(body)
        self.install(distribution, f"[{PROVIDER_GROUP}]\n{name} = {module}:Acme\n", extras=extras)

    def plugins(self, *disabled: str) -> Plugins:
        """What is installed in this folder, and nothing else."""
        found = MetadataPathFinder.find_distributions(MetadataPathFinder.Context(path=[str(self.folder)]))
        return Plugins([entry for distribution in found for entry in distribution.entry_points], disabled)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.syspath_prepend(tmp_path)
    return Site(tmp_path)


def refusal(action: Callable[[], object]) -> str:
    with pytest.raises(PluginError) as caught:
        action()
    return str(caught.value)


def class_refusal(site: Site, name: str = "acme") -> str:
    return refusal(lambda: site.plugins().provider_class(name))


# What works


def test_installed_provider_is_found_by_name_and_imported(site: Site) -> None:
    site.provider("acme", GOOD.format(name="Acme"))
    cls = site.plugins().provider_class("acme")
    assert cls.__name__ == "Acme"
    assert cls().endpoint == "https://api.acme.example"


def test_plugin_knows_its_distribution_and_version(site: Site) -> None:
    site.provider("acme", GOOD.format(name="Acme"))
    [plugin] = site.plugins().providers["acme"]
    module = plugin.value.partition(":")[0]
    assert plugin == ("acme", f"{module}:Acme", "multicdn-acme", "1.0", plugin.entry_point)
    assert str(plugin) == f"'acme' ({module}:Acme from multicdn-acme 1.0)"


def test_finding_imports_nothing_and_loading_imports_one(site: Site) -> None:
    good, other = site.module(GOOD.format(name="Acme")), site.module("raise RuntimeError('imported')")
    site.install("two", f"[{PROVIDER_GROUP}]\nacme = {good}:Acme\nother = {other}:Other\n")
    plugins = site.plugins()
    assert sorted(plugins.providers) == ["acme", "other"]
    assert good not in sys.modules
    plugins.provider_class("acme")
    assert good in sys.modules
    assert other not in sys.modules


def test_own_vendors_come_through_the_same_door() -> None:
    plugins = Plugins(disabled=())
    assert {"cloudflare", "cloudfront", "fastly"} <= set(plugins.providers)
    for name, found in plugins.providers.items():
        assert [plugin.distribution for plugin in found] == ["multicdn"]
        assert plugins.provider_class(name).api_version == API_VERSION


def test_distribution_that_is_on_the_path_twice_does_not_fight_itself(site: Site, tmp_path: Path) -> None:
    site.provider("acme", GOOD.format(name="Acme"))
    entries = list(PathDistribution(tmp_path / "multicdn_acme-1.0.dist-info").entry_points)
    assert Plugins([*entries, *entries], ()).provider_class("acme").__name__ == "Acme"


# Rows of silent failures


def test_import_that_fails_names_plugin_and_cause_and_spares_the_others(site: Site) -> None:
    broken, good = site.module("import no_such_sdk"), site.module(GOOD.format(name="Acme"))
    site.install("multicdn-noop", f"[{PROVIDER_GROUP}]\nnoop = {broken}:Noop\n", version="0.1")
    site.install("multicdn-acme", f"[{PROVIDER_GROUP}]\nacme = {good}:Acme\n")
    plugins = site.plugins()
    assert refusal(lambda: plugins.provider_class("noop")) == (
        f"plugin 'noop' ({broken}:Noop from multicdn-noop 0.1) does not import: "
        "ModuleNotFoundError: No module named 'no_such_sdk'"
        "; mend or uninstall multicdn-noop, or do without it: MULTICDN_DISABLE_PLUGINS=noop"
    )
    assert plugins.provider_class("acme").__name__ == "Acme"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def f(:", "SyntaxError: "),
        ("Other = 1", "AttributeError: module "),
    ],
)
def test_module_that_breaks_while_importing_is_named(site: Site, source: str, words: str) -> None:
    site.provider("acme", source)
    text = class_refusal(site)
    assert text.startswith("plugin 'acme' (plugin_under_test_")
    assert f":Acme from multicdn-acme 1.0) does not import: {words}" in text


def test_a_number_that_can_be_no_limit_is_named(site: Site) -> None:
    site.provider("acme", GOOD.format(name="Acme").replace("targets=1", "targets=1, calls_per_second=0"))
    assert "does not import: ValueError: Limits.calls_per_second must be a number above 0, and is 0" in class_refusal(
        site
    )


def test_missing_extra_is_named_as_the_remedy(site: Site) -> None:
    site.provider("acme", "import no_such_sdk", extras="acme other")
    assert class_refusal(site).endswith("No module named 'no_such_sdk'; pip install 'multicdn-acme[acme]'")


def test_extra_is_no_remedy_for_other_faults_nor_for_other_plugins(site: Site) -> None:
    site.provider("acme", "1 / 0", extras="acme")
    assert "pip install" not in class_refusal(site)
    site.provider("other", "import no_such_sdk", distribution="multicdn-other", extras="acme")
    assert "pip install" not in class_refusal(site, "other")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "cloudfalre",
            "no provider plugin named 'cloudfalre'; did you mean 'cloudflare'?",
        ),
        ("zzz", "no provider plugin named 'zzz' (known: acme, cloudflare)"),
        ("Acme", "no provider plugin named 'Acme'; did you mean 'acme'?"),
        ("", "no provider plugin named '' (known: acme, cloudflare)"),
    ],
)
def test_unknown_name_is_refused_with_the_nearest_and_all_others(site: Site, name: str, message: str) -> None:
    site.install("x", f"[{PROVIDER_GROUP}]\nacme = a:A\ncloudflare = c:C\n[console_scripts]\nzzz = z:z\n")
    assert class_refusal(site, name) == message


def test_two_distributions_that_claim_one_name_are_both_named(site: Site) -> None:
    site.provider("cloudflare", GOOD.format(name="Acme"), distribution="multicdn-cloudflare")
    site.provider("cloudflare", GOOD.format(name="Acme"), distribution="evil-noop")
    assert class_refusal(site, "cloudflare") == (
        "provider plugin 'cloudflare' is claimed by evil-noop 1.0, multicdn-cloudflare 1.0; uninstall all but one"
    )
    assert len(site.plugins().providers["cloudflare"]) == 2


def test_claim_on_one_name_does_not_touch_another(site: Site) -> None:
    for distribution in ("one", "two"):
        site.provider("fought-over", GOOD.format(name="Acme"), distribution=distribution)
    site.provider("acme", GOOD.format(name="Acme"))
    assert site.plugins().provider_class("acme").__name__ == "Acme"


def test_bundle_without_dist_info_is_recognised(site: Site) -> None:
    site.module(GOOD.format(name="Acme"))
    assert class_refusal(site) == (
        "no provider plugin named 'acme' (installed: none - is the .dist-info folder in the bundle?)"
    )


# Classes that would go wrong later


METHOD = "url_limits = Limits(targets=1)\n    def purge_urls(self, urls, call):\n        return Receipt()"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("Acme = 1", "is no provider: it must be a class that inherits from multicdn.provider"),
        ("class Acme:\n    pass", "is no provider: it must be a class that inherits from multicdn.provider"),
        ("def Acme():\n    pass", "is no provider: it must be a class that inherits from multicdn.provider"),
        (
            GOOD.format(name="Cls") + "Acme = Cls()",
            "is no provider: it must be a class that inherits from multicdn.provider",
        ),
        (
            GOOD.format(name="Acme") + "    api_version = 0\n",
            f"was written for version 0 of the provider contract, and this is version {API_VERSION}; "
            "upgrade multicdn-acme or multicdn",
        ),
        (
            f"@dataclass(frozen=True, kw_only=True)\nclass Acme(PurgeUrls):\n    api_version = {API_VERSION + 1}\n",
            f"was written for version {API_VERSION + 1} of the provider contract, and this is version {API_VERSION}; "
            "upgrade multicdn-acme or multicdn",
        ),
        (
            "@dataclass(frozen=True, kw_only=True)\nclass Acme(PurgeUrls, PurgeTags):\n    endpoint: str = 'x'\n",
            "is incomplete: it lacks purge_tags, purge_urls, tag_limits, url_limits",
        ),
        (
            "@dataclass(frozen=True, kw_only=True)\nclass Acme(PurgeUrls):\n    url_limits = Limits(targets=1)\n"
            "    def purge_url(self, urls, call):\n        return Receipt()\n",
            "is incomplete: it lacks purge_urls",
        ),
        (
            "@dataclass(frozen=True, kw_only=True)\nclass Acme(Provider):\n    endpoint: str = 'x'\n",
            "can do nothing: inherit from PurgeUrls or another capability",
        ),
        (f"class Acme(PurgeUrls):\n    {METHOD}\n", "must be decorated with @dataclass(frozen=True, kw_only=True)"),
        (
            f"{GOOD.format(name='Base')}\nclass Acme(Base):\n    endpoint: str = 'https://b.example'\n",
            "must be decorated with @dataclass(frozen=True, kw_only=True)",
        ),
        (
            f"@dataclass(kw_only=True)\nclass Acme(PurgeUrls):\n    {METHOD}\n",
            "does not import: TypeError: cannot inherit non-frozen dataclass from a frozen one"
            "; mend or uninstall multicdn-acme, or do without it: MULTICDN_DISABLE_PLUGINS=acme",
        ),
        (
            f"@dataclass(frozen=True, kw_only=True)\nclass Acme(PurgeUrls):\n    __token: str = 'x'\n    {METHOD}\n",
            "its option '_Acme__token' can't begin with an underscore",
        ),
        (
            f"@dataclass(frozen=True, kw_only=True)\nclass Acme(PurgeUrls):\n    _token: str = 'x'\n    {METHOD}\n",
            "its option '_token' can't begin with an underscore",
        ),
    ],
)
def test_class_that_is_no_usable_provider_is_refused(site: Site, source: str, message: str) -> None:
    site.provider("acme", source)
    text = class_refusal(site)
    assert text.startswith("plugin 'acme' (plugin_under_test_")
    assert text.endswith(message)


@pytest.mark.parametrize("settings", ["init=False, default=1", "default=1, metadata={'internal': True}"])
def test_field_that_is_no_option_may_begin_with_an_underscore(site: Site, settings: str) -> None:
    site.provider("acme", GOOD.format(name="Acme") + f"    _count: int = field({settings})\n")
    assert site.plugins().provider_class("acme").__name__ == "Acme"


# Switching off


def test_disabled_plugin_is_refused_by_name_and_the_others_are_not(site: Site) -> None:
    site.provider("acme", GOOD.format(name="Acme"))
    site.provider("other", GOOD.format(name="Acme"), distribution="other")
    plugins = site.plugins("acme")
    assert refusal(lambda: plugins.provider_class("acme")) == (
        "provider plugin 'acme' is switched off by MULTICDN_DISABLE_PLUGINS"
    )
    assert plugins.provider_class("other").__name__ == "Acme"


@pytest.mark.parametrize(
    ("value", "disabled"),
    [("", set()), ("a", {"a"}), (" a , b,", {"a", "b"}), (",,", set())],
)
def test_environment_names_the_disabled_plugins(
    value: str, disabled: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DISABLE, value)
    assert Plugins([]).disabled == disabled
    monkeypatch.delenv(DISABLE)
    assert Plugins([]).disabled == frozenset()


def test_disabled_plugin_that_is_fought_over_or_broken_harms_nobody(site: Site) -> None:
    site.install("broken-hooks", f"[{HOOK_GROUP}]\nbroken = no_such_module\n")
    assert isinstance(site.plugins("broken").hooks, NoHooks)
    assert refusal(lambda: site.plugins().hooks).startswith(
        "plugin 'broken' (no_such_module from broken-hooks 1.0) does"
    )


def test_hook_name_that_is_claimed_twice_is_refused(site: Site) -> None:
    for name in ("one", "two"):
        site.install(name, f"[{HOOK_GROUP}]\naudit = {name}_module\n")
    assert refusal(lambda: site.plugins().hooks) == (
        "hook plugin 'audit' is claimed by one 1.0, two 1.0; uninstall all but one"
    )


# In a fresh process


def fresh(code: str, *paths: Path) -> str:
    """What a new Python prints for some code; whatever it fails with becomes a failure of the test."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONWARNINGS": "error"}
    environment.pop(DISABLE, None)
    done = subprocess.run(
        [sys.executable, "-c", dedent(code)], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


LOADED = """
import sys
from multicdn.plugins.discovery import Plugins
plugins = Plugins()
plugins.provider_class("fastly")
print(type(plugins.hooks).__name__, *sorted({"pluggy", "boto3", "botocore", "cloudflare", "akamai"} & set(sys.modules)))
"""


@pytest.mark.slow
def test_without_hook_plugins_neither_pluggy_nor_a_foreign_sdk_is_imported() -> None:
    assert fresh(LOADED) == "NoHooks"


@pytest.mark.slow
def test_pluggy_is_imported_for_the_first_hook_plugin(site: Site, tmp_path: Path) -> None:
    module = site.module(
        """
        from multicdn.hooks import hookimpl

        @hookimpl
        def multicdn_urls(urls):
            return [*urls, "https://a.example/more"]
        """,
        head="",
    )
    site.install("multicdn-more", f"[{HOOK_GROUP}]\nmore = {module}\n")
    assert fresh(LOADED, tmp_path) == "Hooks pluggy"


@pytest.mark.slow
def test_installed_third_party_is_found_beside_our_own(site: Site, tmp_path: Path) -> None:
    site.provider("acme", GOOD.format(name="Acme"))
    code = """
    from multicdn.plugins.discovery import Plugins
    plugins = Plugins()
    print(plugins.provider_class("acme").__name__, plugins.provider_class("fastly").__name__)
    """
    assert fresh(code, tmp_path) == "Acme Fastly"


@pytest.mark.slow
def test_third_party_that_claims_the_name_of_ours_never_wins_silently(site: Site, tmp_path: Path) -> None:
    site.provider("fastly", GOOD.format(name="Acme"), distribution="evil-noop")
    code = """
    from multicdn.errors import PluginError
    from multicdn.plugins.discovery import Plugins
    try:
        Plugins().provider_class("fastly")
    except PluginError as error:
        print(error)
    """
    text = fresh(code, tmp_path)
    assert text.startswith("provider plugin 'fastly' is claimed by evil-noop 1.0, multicdn ")
    assert text.endswith("; uninstall all but one")


def test_entry_point_without_a_distribution_is_shown_as_such() -> None:
    plugins = Plugins([EntryPoint("acme", "no_such_module:Acme", PROVIDER_GROUP)], ())
    text = refusal(lambda: plugins.provider_class("acme"))
    assert text.startswith("plugin 'acme' (no_such_module:Acme from unknown ?) does not import: ModuleNotFoundError")

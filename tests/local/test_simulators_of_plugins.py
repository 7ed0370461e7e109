"""Simulators by provider type: ours know all secrets that a config may have; plugins bring theirs by entry points."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from multicdn.authoring import catalog
from multicdn.plugins.discovery import Plugins
from multicdn.provider import Call, PurgeUrls, Secret
from multicdn.simulators import Simulator, SimulatorSettings
from multicdn.simulators.kit.client import Client
from multicdn.testing.loopback.simulators import NoSimulator, simulator_for

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = SimulatorSettings("http://127.0.0.1:9", "acme-site", {"zone": "www"}, ["https://www.acme.com/{key}"], {})
MODULE = """\
from multicdn.simulators import Response, Simulator


class Acme(Simulator):
    vendor = "acme"

    def api(self, request):
        return Response()


def build(settings):
    made = Acme(settings.origin)
    made.seen = settings
    return made


def fail(settings):
    return settings.options["nothing"]


nobody = print
"""


def install(folder: Path, target: str, name: str = "acme") -> None:
    (folder / "acme_for_tests.py").write_text(MODULE, encoding="utf-8")
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(f"[multicdn.simulators]\nacme = {target}\n", encoding="utf-8")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_plugin_brings_its_simulator(path: Path) -> None:
    install(path, "acme_for_tests:build")
    made = simulator_for("acme", SETTINGS)
    assert isinstance(made, Simulator)
    assert made.vendor == "acme"
    assert made.seen == SETTINGS  # type: ignore[attr-defined]
    assert SETTINGS.hosts == ["www.acme.com"]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("acme_for_tests:fail", "the simulator of 'acme' can't be made: KeyError: 'nothing'"),
        ("acme_for_tests:nobody", "the simulator of 'acme' is no multicdn.simulators.Simulator"),
        (
            "acme_for_tests:missing",
            r"the simulator of 'acme' \(acme_for_tests:missing\) does not import: AttributeError",
        ),
        ("not_there_at_all:build", r"does not import: ModuleNotFoundError: No module named 'not_there_at_all'"),
    ],
)
def test_one_that_does_not_work_is_named(path: Path, target: str, said: str) -> None:
    install(path, target)
    with pytest.raises(NoSimulator, match=said):
        simulator_for("acme", SETTINGS)


def test_two_that_claim_one_vendor_are_named(path: Path) -> None:
    install(path, "acme_for_tests:build")
    install(path, "acme_for_tests:fail", "other")
    with pytest.raises(NoSimulator, match=r"claimed by acme_for_tests:build and acme_for_tests:fail: uninstall one"):
        simulator_for("acme", SETTINGS)


def test_none_at_all_says_how_to_bring_one() -> None:
    with pytest.raises(NoSimulator, match=r"no simulator of 'acme': .* entry points multicdn\.simulators"):
        simulator_for("acme", SETTINGS)


LOGINS = [
    ("akamai", {"edgerc": "", "section": "ccu"}),
    ("akamai", {"edgerc": "", "account_key": "1-5C0YLB:1-8BYUX"}),
    ("highwinds", {"account": "a1b2", "user": "me@acme.com", "password": ""}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("vendor", "options"), LOGINS)
def test_a_login_of_any_form_opens_the_simulator(vendor: str, options: dict[str, str]) -> None:
    made = simulator_for(vendor, SimulatorSettings("http://127.0.0.1:9", "b", options, ["https://acme.com/{key}"], {}))
    with made:
        secrets = {name: Secret.literal(made.other_secrets()[name]) for name, value in options.items() if not value}
        provider = Plugins().provider_class(vendor)(**{**options, **secrets, "endpoint": made.endpoint})
        assert isinstance(provider, PurgeUrls)
        provider.purge_urls(["https://acme.com/a"], Call())
    assert made.tally[1] == 1


@pytest.mark.slow
def test_a_global_key_opens_cloudflares() -> None:
    options = {"zone": "023e105f4ecef8ad9ca31a8372d0c353", "email": "me@acme.com"}
    with simulator_for("cloudflare", SimulatorSettings("http://127.0.0.1:9", "b", options, [], {})) as made:
        login = {"X-Auth-Email": options["email"], "X-Auth-Key": made.other_secrets()["key"]}
        with contextlib.closing(Client(made.endpoint)) as client:
            assert client.send("GET", f"/zones/{options['zone']}", login).status == 200


def test_every_secret_of_ours_is_known_to_its_simulator() -> None:
    options = {"zone": "z" * 32, "account": "a", "service": "s"}
    environment = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"}
    settings = SimulatorSettings("http://127.0.0.1:9", "b", options, ["https://acme.com/{key}"], environment)
    for vendor in ("akamai", "cloudflare", "cloudfront", "edgecast", "fastly", "highwinds", "pixboost"):
        made = simulator_for(vendor, settings)
        wanted = {each.name for each in catalog.options(Plugins().provider_class(vendor)) if each.secret}
        assert wanted == {*made.secrets(), *made.other_secrets()}, vendor

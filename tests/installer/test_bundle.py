"""What is in a bundle, and what keeps one from being built."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec
import pytest
from kit import bundles
from kit.bundles import ELSEWHERE, FASTLY, HERE, PYTHON, build, fastly_bundle

from multicdn import config
from multicdn.code_archive import OWN, PACKAGES, CodeArchive
from multicdn.errors import PluginError
from multicdn.installer.bundle import check
from multicdn.installer.bundle.archive import pack, prune, refuse_if_too_large
from multicdn.installer.bundle.build import MANIFEST, Bundle
from multicdn.installer.bundle.build import build as build_bundle
from multicdn.installer.bundle.runtime import Runtime
from multicdn.installer.bundle.sources import is_pure, link
from multicdn.installer.errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Callable

# pip is asked often, and some machines are slow.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ACME = {"type": "acme"}

# Lambda's default, and never this Python on this machine.
FOREIGN = Runtime(ELSEWHERE, "3.13")


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """The Fastly bundle, unpacked, to be tampered with."""
    with zipfile.ZipFile(fastly_bundle().path) as archive:
        archive.extractall(tmp_path / "unpacked")
    return tmp_path / "unpacked"


def packages(built: Bundle) -> set[str]:
    return {package.partition("==")[0] for package in built.packages}


def manifest(built: Bundle) -> dict[str, object]:
    with zipfile.ZipFile(built.path) as archive:
        content: dict[str, object] = json.loads(archive.read(MANIFEST))
    return content


# What is in it


def test_holds_what_the_configured_provider_needs_and_no_more() -> None:
    needed = {"multicdn", "msgspec", "pyyaml", "certifi", "urllib3"}
    assert packages(fastly_bundle()) == needed
    tops = {name.partition("/")[0] for name in fastly_bundle().files}
    assert not tops & {
        "boto3",
        "botocore",
        "cloudflare",
        "akamai",
        "click",
        "rich",
        "pluggy",
        "packaging",
        "installer",
        "bin",
    }


def test_takes_the_versions_that_are_installed_here() -> None:
    assert set(fastly_bundle().packages) == {f"{name}=={metadata.version(name)}" for name in packages(fastly_bundle())}


def test_a_provider_brings_its_extra(tmp_path: Path) -> None:
    akamai = {"type": "akamai", "edgerc": "${ssm:/multicdn/akamai}"}
    built = build(tmp_path, {"akamai": akamai})
    signing = {"edgegrid-python", "requests-toolbelt", "requests", "charset-normalizer", "idna"}
    assert packages(built) == packages(fastly_bundle()) | signing
    assert built.providers == ("akamai",)
    # Its wheel carries its own tests, and scripts of its CI as top-level packages.
    assert [name for name in built.files if name.startswith(("ci/", "examples/")) or "/test/" in name] == []


def test_the_config_goes_in_under_its_usual_name() -> None:
    with zipfile.ZipFile(fastly_bundle().path) as archive:
        assert b"SU1Z0isxPaozGVKXdv0eY" in archive.read("multicdn.config.yml")


def test_the_command_line_and_what_tests_need_stay_out() -> None:
    ours = [name for name in fastly_bundle().files if name.startswith("multicdn/")]
    assert "multicdn/handler.py" in ours
    assert not [
        name
        for name in ours
        if name.split("/")[1] in ("cli", "installer", "local", "simulators", "testing", "__main__.py")
    ]


def test_nothing_in_it_needs_what_stayed_out(unpacked: Path) -> None:
    files = (PurePosixPath(name) for name in fastly_bundle().files if name.endswith(".py"))
    ours = [file.with_suffix("") for file in files if file.parts[0] in ("multicdn", "multicdn_providers")]
    # pluggy comes with a hook plugin, botocore with Lambda, and the other SDKs with their providers.
    without = (
        "multicdn._botocore",
        "multicdn.hooks",
        "multicdn_providers.akamai",
        "multicdn_providers.cloudflare.transport",
        "multicdn_providers.cloudfront.rehearsal",
    )
    modules = [".".join(file.parts).removesuffix(".__init__") for file in ours]
    imports = "; ".join(f"import {module}" for module in sorted(modules) if not module.startswith(without))
    subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = [{str(unpacked)!r}]; {imports}"], check=True
    )
    assert len(modules) > 40


def test_no_notes_of_installers_no_tests_no_hidden_files() -> None:
    names = [PurePosixPath(name) for name in fastly_bundle().files]
    assert not [name for name in names if name.name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")]
    assert not [name for name in names if name.name.startswith((".", "test_", "conftest"))]
    assert not [name for name in names if name.suffix in (".pth", ".pyi")]


def test_the_readme_stays_out(unpacked: Path) -> None:
    [ours] = unpacked.glob("multicdn-*.dist-info/METADATA")
    text = ours.read_text(encoding="utf-8")
    assert text.startswith("Metadata-Version:")
    assert "Requires-Dist: msgspec" in text
    assert "# multicdn" not in text


def test_licences_stay_with_the_code() -> None:
    [ours] = [name for name in fastly_bundle().files if name.startswith("multicdn-") and name.endswith("/LICENSE")]
    assert "licenses" in ours


def test_the_manifest_says_what_is_in_it() -> None:
    assert manifest(fastly_bundle()) == {
        "architecture": HERE,
        "python": PYTHON,
        "byte_code": True,
        "providers": ["fastly"],
        "hooks": [],
        "packages": list(fastly_bundle().packages),
        "from_the_runtime": ["boto3", "botocore", "jmespath", "s3transfer"],
        "uncompiled": "",
    }


def test_it_has_what_clients_of_aws_are_made_from() -> None:
    data = [name for name in fastly_bundle().files if name.startswith("multicdn_aws/")]
    assert data == [f"multicdn_aws/{name}.json" for name in ("common", "s3", "sqs")]


def test_sizes_are_those_of_the_archive() -> None:
    built = fastly_bundle()
    with zipfile.ZipFile(built.path) as archive:
        assert built.unpacked == sum(entry.file_size for entry in archive.infolist())
    assert built.size == built.path.stat().st_size < built.unpacked < 20_000_000
    assert built.size <= 3_000_000  # a cold start fetches it; docs/performance.md has the limit


# The same inputs, the same bytes (built twice: test_bundle_cache.py)


def test_entries_are_sorted_and_have_one_date_and_one_mode() -> None:
    with zipfile.ZipFile(fastly_bundle().path) as archive:
        entries = archive.infolist()
    assert tuple(entry.filename for entry in entries) == fastly_bundle().files == tuple(sorted(fastly_bundle().files))
    assert {(entry.date_time, entry.external_attr >> 16, entry.create_system) for entry in entries} == {
        ((1980, 1, 1, 0, 0, 0), 0o100644, 3)
    }


# For Lambda's platform, whatever this one is


def test_compiled_extensions_are_for_the_functions_processor(tmp_path: Path) -> None:
    built = fastly_bundle(FOREIGN.architecture, FOREIGN.python)
    with zipfile.ZipFile(built.path) as archive:
        archive.extractall(tmp_path)
    compiled = [tmp_path / name for name in built.files if name.endswith(".so")]
    assert {file.parent.name for file in compiled} >= {"msgspec", "yaml"}
    assert {check.elf_machine(file) for file in compiled} == {FOREIGN.elf_machine}
    assert all(f"cpython-313-{FOREIGN.machine}" in file.name or "abi3" in file.name for file in compiled)


def test_wheel_tags_are_for_the_functions_processor_and_python() -> None:
    built = fastly_bundle(FOREIGN.architecture, FOREIGN.python)
    tags = set()
    with zipfile.ZipFile(built.path) as archive:
        for name in (name for name in built.files if name.endswith(".dist-info/WHEEL")):
            lines = archive.read(name).decode().splitlines()
            tags |= {line.removeprefix("Tag: ") for line in lines if line.startswith("Tag: ")}
    compiled = {tag for tag in tags if not tag.endswith("-any")}
    assert compiled
    assert {tag.rpartition("-")[2] for tag in compiled} <= {*FOREIGN.platforms, f"linux_{FOREIGN.machine}"}
    assert all(tag.startswith(("cp313-", "cp3")) for tag in compiled)


@pytest.mark.parametrize(
    ("runtime", "first", "last", "refused"),
    [
        (Runtime("x86_64", "3.11"), "manylinux_2_26_x86_64", "manylinux_2_5_x86_64", "manylinux_2_27_x86_64"),
        (Runtime("arm64", "3.11"), "manylinux_2_26_aarch64", "manylinux_2_17_aarch64", "manylinux_2_28_aarch64"),
        (Runtime("x86_64", "3.12"), "manylinux_2_34_x86_64", "manylinux_2_5_x86_64", "manylinux_2_35_x86_64"),
        (Runtime("arm64", "3.13"), "manylinux_2_34_aarch64", "manylinux_2_17_aarch64", "manylinux_2_35_aarch64"),
    ],
)
def test_wheels_may_ask_for_the_runtimes_c_library(runtime: Runtime, first: str, last: str, refused: str) -> None:
    assert runtime.platforms[0] == first
    assert runtime.platforms[-2:] == (last, f"manylinux2014_{runtime.machine}")
    assert refused not in runtime.platforms


def test_byte_code_is_that_of_the_functions_python(unpacked: Path) -> None:
    tag = sys.implementation.cache_tag
    code = {name for name in fastly_bundle().files if name.endswith(".pyc")}
    assert fastly_bundle().compiled
    assert code == {f"multicdn/__pycache__/{name}.{tag}.pyc" for name in ("__init__", "code_archive", "handler")}
    content = (unpacked / f"multicdn/__pycache__/handler.{tag}.pyc").read_bytes()
    assert content[4:8] == b"\1\0\0\0"  # by hash, and unchecked: PEP 552
    assert b"/var/task/multicdn/handler.py" in content


def test_the_byte_code_of_all_else_lies_in_two_files(unpacked: Path) -> None:
    finders = [CodeArchive.opened(str(unpacked), name) for name in (PACKAGES, OWN)]
    without = set()
    for name in fastly_bundle().files:
        if name.endswith(".py") and not name.startswith("multicdn_aws/"):
            module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            [spec] = [found for finder in finders if finder and (found := finder.find_spec(module))] or [None]
            if spec is None:
                without.add(module)
            else:
                assert spec.origin == str(unpacked / name)
                assert f"/var/task/{name}" in spec.loader.get_code(module).co_filename  # type: ignore[union-attr]
    assert without == {"multicdn", "multicdn.code_archive", "multicdn.handler"}


def test_without_a_python_of_that_version_there_is_no_byte_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    other = "3.12" if PYTHON != "3.12" else "3.13"
    built = build(tmp_path, {"fastly": FASTLY}, python=other)
    assert not built.compiled
    assert not [name for name in built.files if name.endswith((".pyc", ".code"))]
    assert manifest(built)["byte_code"] is False


def test_a_script_that_only_pretends_to_be_that_python_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "3.12" if PYTHON != "3.12" else "3.13"
    shim = tmp_path / f"python{other}"
    shim.write_text("#!/bin/sh\necho 'command not found' >&2\nexit 127\n", encoding="utf-8")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Runtime(HERE, other).interpreter() is None


# Plugins of others


def test_a_foreign_provider_comes_with_its_requirements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundles.install_plugin(tmp_path, monkeypatch, requires=("multicdn", "sniffio>=1.3"))
    built = build(tmp_path, {"acme": ACME})
    assert packages(built) == packages(fastly_bundle()) | {"multicdn-acme", "sniffio"}
    assert "multicdn_acme/__init__.py" in built.files
    assert built.providers == ("acme",)


def test_requirements_are_those_of_the_target_not_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    markers = {
        "arm64": ("sniffio", "platform_machine == 'aarch64'"),
        "x86_64": ("distro", "platform_machine == 'x86_64'"),
    }
    requires = tuple(f"{name}; {marker}" for name, marker in markers.values())
    bundles.install_plugin(tmp_path, monkeypatch, requires=requires)
    built = build(tmp_path, {"acme": ACME}, architecture=ELSEWHERE, python="3.13")
    assert packages(built) == packages(fastly_bundle()) | {"multicdn-acme", markers[ELSEWHERE][0]}


def test_hook_plugins_that_are_installed_come_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The config doesn't name them, and what it does here it must do there."""
    hook = "from multicdn.hooks import hookimpl\n\n@hookimpl\ndef multicdn_report(report):\n    pass\n"
    bundles.install_plugin(tmp_path, monkeypatch, files={"watch.py": hook}, hooks="watch = multicdn_acme.watch")
    built = build(tmp_path, {"fastly": FASTLY})
    assert packages(built) == packages(fastly_bundle()) | {"multicdn-acme", "pluggy"}
    assert built.hooks == ("watch",)


def test_a_hook_plugin_that_does_not_import_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {"watch.py": "import nothing_of_that_name\n"}
    bundles.install_plugin(tmp_path, monkeypatch, files=broken, hooks="watch = multicdn_acme.watch")
    with pytest.raises(
        PluginError, match=r"plugin 'watch' \(multicdn_acme\.watch from multicdn-acme 1\.2\) does not import"
    ):
        build(tmp_path, {"fastly": FASTLY})


def test_a_switched_off_hook_plugin_stays_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundles.install_plugin(tmp_path, monkeypatch, hooks="watch = multicdn_acme.watch")
    monkeypatch.setenv("MULTICDN_DISABLE_PLUGINS", "watch")
    assert packages(build(tmp_path, {"fastly": FASTLY})) == packages(fastly_bundle())


def test_a_working_copy_is_taken_from_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundles.install_working_copy(tmp_path, monkeypatch)
    built = build(tmp_path, {"acme": ACME})
    found = {name for name in built.files if name.startswith("multicdn_acme") and not name.endswith(".pyc")}
    assert found == {
        "multicdn_acme/__init__.py",
        "multicdn_acme/words.txt",
        "multicdn_acme-1.2.dist-info/METADATA",
        "multicdn_acme-1.2.dist-info/entry_points.txt",
    }


# What keeps a bundle from being built


@pytest.mark.parametrize("name", [".env", ".env.production", ".edgerc", ".aws/config", "id_rsa", "Store.P12"])
def test_credentials_in_a_working_copy_are_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = bundles.install_working_copy(tmp_path, monkeypatch)
    (package / name).parent.mkdir(exist_ok=True)
    (package / name).write_text("client_secret = hunter2", encoding="utf-8")
    with pytest.raises(InstallError, match=r"multicdn-acme would carry credentials") as refused:
        build(tmp_path, {"acme": ACME})
    assert str(package / name) in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert not list(tmp_path.glob("work/*"))


def test_credentials_in_a_wheel_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundles.install_plugin(tmp_path, monkeypatch, files={".edgerc": "client_secret = hunter2"})
    with pytest.raises(InstallError, match=r"credentials into the bundle: .*multicdn_acme/\.edgerc; move them out"):
        build(tmp_path, {"acme": ACME})


def test_credentials_that_a_dependency_brings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "sdk").mkdir()
    (tmp_path / "sdk" / ".netrc").write_text("", encoding="utf-8")
    with pytest.raises(InstallError, match=r"sdk/\.netrc would carry credentials"):
        prune(tmp_path)


def test_a_folder_of_tests_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    """Cloudflare's SDK has an API that is called tests."""
    for name in ("sdk/tests/tests.py", "sdk/tests/unique_devices.py", "sdk/core/tests/test_core.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("", encoding="utf-8")
    prune(tmp_path)
    assert (tmp_path / "sdk/tests/tests.py").exists()
    assert not (tmp_path / "sdk/core/tests").exists()


def test_a_provider_that_is_not_installed_is_named(tmp_path: Path) -> None:
    file = bundles.write_config(tmp_path, {"fastly": FASTLY})
    other = msgspec.structs.replace(config.load(file), types={"fastly": "fastlyy"})
    with pytest.raises(PluginError, match="no provider plugin named 'fastlyy'; did you mean 'fastly'"):
        build_bundle(other, file, architecture="arm64", python="3.13", work=tmp_path / "work")


def test_dependents_that_contradict_each_other_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundles.install_plugin(tmp_path, monkeypatch, requires=("multicdn>=99",))
    with pytest.raises(InstallError, match=r"a plugin needs multicdn>=99, and .* is installed"):
        build(tmp_path, {"acme": ACME})


def test_pip_is_quoted_where_it_has_no_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundles.install_plugin(tmp_path, monkeypatch, requires=("sniffio>9000",))
    with pytest.raises(InstallError, match=r"pip download failed: .*No matching distribution found for sniffio>9000"):
        build(tmp_path, {"acme": ACME})


def test_more_than_lambda_takes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, archive = tmp_path / "folder", tmp_path / "archive.zip"
    (folder / "sdk").mkdir(parents=True)
    (folder / "sdk" / "data.bin").write_bytes(b"x" * 3_000_000)
    (folder / "small.py").write_bytes(b"x" * 10)
    pack(folder, archive)
    refuse_if_too_large(archive)
    monkeypatch.setattr("multicdn.installer.bundle.archive.LARGEST", 2_000_000)
    with pytest.raises(
        InstallError, match=r"the bundle has 3 MB, and Lambda takes 2; largest: sdk 3 MB, small\.py 0 MB"
    ):
        refuse_if_too_large(archive)


# What the check of the finished bundle finds


def _without_entry_points(folder: Path) -> None:
    for file in folder.glob("*.dist-info/entry_points.txt"):
        file.unlink()


def _without_metadata(folder: Path) -> None:
    for file in folder.glob("*.dist-info/*"):
        if file.is_file():
            file.unlink()


def _without_byte_code(folder: Path) -> None:
    for file in folder.glob("*.code"):
        file.unlink()


def _without_module(folder: Path) -> None:
    (folder / "multicdn_providers/fastly.py").unlink()


def _with_a_fault(folder: Path) -> None:
    (folder / "multicdn_providers/fastly.py").write_text("import nothing_of_that_name", encoding="utf-8")
    _without_byte_code(folder)


def _without_core(folder: Path) -> None:
    (folder / "multicdn/routing/router.py").unlink()
    _without_byte_code(folder)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_without_entry_points, r"no entry point 'fastly' in multicdn\.providers; .* \.dist-info"),
        (_without_metadata, r"no entry point 'fastly' in multicdn\.providers; .* \.dist-info"),
        (_without_module, "entry point 'fastly', but not its module multicdn_providers.fastly"),
        (_with_a_fault, "does not import: .*No module named 'nothing_of_that_name'"),
        (_without_core, "No module named 'multicdn.routing.router'|cannot import name 'router'"),
    ],
)
def test_a_damaged_bundle_is_refused(damage: Callable[[Path], None], said: str, unpacked: Path, tmp_path: Path) -> None:
    damage(unpacked)
    with pytest.raises(PluginError, match=said):
        check.check(unpacked, ("fastly",), (), {}, Runtime(HERE, PYTHON))


@pytest.mark.parametrize("damage", [_without_entry_points, _without_module])
def test_a_damaged_bundle_for_another_machine_is_refused(damage: Callable[[Path], None], tmp_path: Path) -> None:
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(fastly_bundle(FOREIGN.architecture, FOREIGN.python).path) as archive:
        archive.extractall(folder)
    damage(folder)
    with pytest.raises(PluginError, match="'fastly'"):
        check.check(folder, ("fastly",), (), {}, FOREIGN)


def test_a_large_sdk_that_does_not_run_in_part_is_noticed(unpacked: Path) -> None:
    with pytest.raises(PluginError, match=r"(?s)doesn't run: .*No module named 'yaml\.other'"):
        check.check(unpacked, ("fastly",), (), {"yaml": ["nodes", "other"]}, Runtime(HERE, PYTHON))


def test_extensions_for_another_processor_are_refused(unpacked: Path, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=rf"is for {ELSEWHERE}, but these aren't: .*msgspec/_core"):
        check.check(unpacked, ("fastly",), (), {}, Runtime(ELSEWHERE, PYTHON))


def test_the_name_of_a_provider_that_is_missing_stands_beside_those_that_are_there(
    unpacked: Path, tmp_path: Path
) -> None:
    with pytest.raises(PluginError, match=r"no entry point 'acme' in multicdn\.providers; it has .*cloudflare.*fastly"):
        check.check(unpacked, ("acme",), (), {}, Runtime(HERE, PYTHON))


# Where files come from


def test_multicdn_itself_is_copied_and_a_compiled_dependency_is_not() -> None:
    assert is_pure(metadata.distribution("multicdn"))
    assert not is_pure(metadata.distribution("msgspec"))


def test_links_are_of_the_named_distributions_alone(tmp_path: Path) -> None:
    link(("pluggy", "no-such-distribution-here"), tmp_path)
    assert sorted(link.name.partition("-")[0] for link in tmp_path.iterdir()) == ["pluggy", "pluggy"]
    assert [each.name for each in metadata.distributions(path=[str(tmp_path)])] == ["pluggy"]

"""What a function of a built bundle does before its first event: budgets of imports, of reads and of patterns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from kit.bundles import fastly_bundle

from multicdn.config import compiled

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

# The bundle has these; a function of Fastly's needs no other of them.
PACKAGES = {"multicdn", "multicdn_compiled", "multicdn_providers", "msgspec", "urllib3", "certifi"}

# Whatever reads or checks the config file, looks for plugins, or is for people.
NEVER = {
    "yaml", "requests", "inspect", "importlib.metadata", "locale", "ipaddress", "mimetypes",
    "pluggy", "difflib", "boto3", "botocore",
    "multicdn.config.checker", "multicdn.config.yaml_source",
    "multicdn.plugins.discovery", "multicdn.hooks", "multicdn.proof", "multicdn.publishing", "multicdn.diagnosis",
    "multicdn.planning.deploys", "multicdn.delivery.observer",
}  # fmt: skip

# Modules of ours, patterns that they compile, and files that are read other than modules.
MOST_MODULES, MOST_PATTERNS = 105, 12
FILES = ["multicdn.code", "packages.code", "multicdn.config.yml"]

PROBE = """
import gc, json, logging, os, re, sys, threading, typing  # as Lambda's runtime client does
sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
opened, patterns, compile_pattern = [], [], re._compiler.compile
sys.addaudithook(lambda event, given: opened.append(str(given[0])) if event == "open" else None)

def compile_and_count(pattern, flags=0):
    frame = sys._getframe(1)
    while frame.f_globals.get("__name__", "").startswith("re"):
        frame = frame.f_back
    if frame.f_globals.get("__name__", "").startswith("multicdn"):
        patterns.append(str(pattern))
    return compile_pattern(pattern, flags)

re._compiler.compile = compile_and_count
gc.collect()
collected = []
gc.callbacks.append(lambda phase, told: collected.append(gc.get_freeze_count()))
from multicdn import handler
collections = collected.count(0)
files = [os.path.basename(name) for name in opened if not name.endswith((".pyc", ".py", ".so"))]
ready = handler._dispatcher is not None
from multicdn import tls
found = {"ready": ready, "modules": sorted(sys.modules), "files": files, "patterns": patterns}
found |= {"collections": collections, "collects": gc.isenabled(), "frozen": gc.get_freeze_count()}
print(json.dumps(found | {"authorities": len(tls.context().get_ca_certs())}))
"""


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("task")
    with zipfile.ZipFile(fastly_bundle().path) as archive:
        archive.extractall(folder)
    return folder


def start(task: Path, **environment: str) -> tuple[dict[str, Any], str]:
    """What the initialisation has done, and what it has logged."""
    variables = {"PATH": os.defpath, "LAMBDA_TASK_ROOT": str(task), "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001"}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-W", "error", "-c", PROBE],
        env={**variables, **environment},
        cwd=task,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def test_a_start_keeps_to_its_budgets(task: Path) -> None:
    found, said = start(task)
    assert (found["ready"], said) == (True, "")
    modules = set(found["modules"])
    assert NEVER & modules == set()
    packages = {path.name.removesuffix(".py") for path in task.iterdir()} & {name.partition(".")[0] for name in modules}
    assert packages <= PACKAGES
    assert {"multicdn_compiled", "multicdn_providers.fastly", "urllib3"} <= modules
    assert found["files"] == FILES
    assert found["authorities"] == 0, "all are read at each start"
    assert found["collections"] == 0, "the collector looked at what is there to stay"
    assert found["collects"]
    assert found["frozen"] > 1000
    ours = [name for name in modules if name.startswith("multicdn")]
    assert len(ours) <= MOST_MODULES, sorted(ours)
    assert len(found["patterns"]) <= MOST_PATTERNS, found["patterns"]


def test_where_the_config_file_was_changed_it_is_read_and_the_log_says_so(task: Path, tmp_path: Path) -> None:
    changed = tmp_path / "multicdn.config.yml"
    changed.write_text((task / "multicdn.config.yml").read_text() + "\n# by hand\n")
    found, said = start(task, MULTICDN_CONFIG=str(changed))
    assert found["ready"]
    assert "multicdn.config.checker" in found["modules"]
    [line] = map(json.loads, said.splitlines())
    assert line["event"] == "config"
    assert line["warning"].startswith(f"{compiled.MODULE} is of another multicdn.config.yml")


def test_where_a_plugin_is_switched_off_what_is_installed_is_looked_at(task: Path) -> None:
    found, said = start(task, MULTICDN_DISABLE_PLUGINS="another")
    assert (found["ready"], said) == (True, "")
    assert "multicdn.plugins.discovery" in found["modules"]

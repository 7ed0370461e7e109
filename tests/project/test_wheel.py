"""The wheel, not only the tree, works."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from kit.environments import PIP, run

ROOT = Path(__file__).parents[2]


CONFIG = ROOT / "multicdn.config.yml"
QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/multicdn-dlq"
OBJECT = "s3://acme-site/index.html"

# Runs commands one after the other in one process; they are told by standard input, and what they said by output.
RUN = """
import json, sys
from click.testing import CliRunner
from multicdn.cli import main
results = [CliRunner().invoke(main, words) for words in json.load(sys.stdin)]
print(json.dumps([(result.exit_code, result.stdout, result.stderr) for result in results]))
"""

# All that can't do without a package that only an extra brings.
LACKING = (
    *(("install", name, "--config", str(CONFIG)) for name in ("plan", "apply", "status", "destroy")),
    ("install", "template", "--policy", "--config", str(CONFIG)),
    ("secret", "put", "ssm:/multicdn/fastly/token"),
    ("dlq", "list", "--dlq", QUEUE),
    ("queue", "list", "--queue", QUEUE),
    ("dlq", "drop", "--dlq", QUEUE),
    ("dlq", "redrive", "--dlq", QUEUE, "--queue", QUEUE),
    ("dlq", "redrive", "--dlq", QUEUE, "--function", "multicdn"),
    ("worker", "--queue", QUEUE),
    ("purge", OBJECT),
    ("purge", OBJECT, "--provider", "cloudflare"),
    ("purge", OBJECT, "--provider", "fastly"),
    ("purge", OBJECT, "--queue", QUEUE),
    ("purge", "--tag", "news", "--provider", "akamai"),
    ("purge", "s3://acme-site/img/", "--recursive"),
    ("preload", "s3://acme-site/img/a.png"),
    ("explain", OBJECT, "--online"),
    ("config", "check", "--online", str(CONFIG)),
    ("demo", "--config", str(CONFIG)),
    ("local", "--config", str(CONFIG)),
)
INIT = ("init", "--bucket", "b-1", "--domain", "a.example", "--vendor", "fastly", "--set", "fastly.service=a")
# What can, all the same.
ABLE = (
    ("providers", "--markdown"),
    ("config", "check", str(CONFIG)),
    ("explain", OBJECT),
    ("purge", OBJECT, "--dry-run"),
    ("install", "template", "--config", str(CONFIG)),
    INIT,
)

Said = dict[tuple[str, ...], tuple[int, str, str]]


@pytest.fixture(scope="module")
def said(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Said:
    """What commands say in an environment with the wheel and no extras."""
    folder = tmp_path_factory.mktemp("empty")
    environment = {**os.environ, "MULTICDN_CONFIG": str(CONFIG), "AWS_EC2_METADATA_DISABLED": "true"}
    commands = (*LACKING, *ABLE)
    asked = json.dumps(commands)
    done = subprocess.run(
        [python, "-c", RUN], input=asked, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(commands, map(tuple, json.loads(done.stdout)), strict=True))


@pytest.mark.parametrize("command", LACKING, ids=lambda command: " ".join(map(str, command[:2])))
def test_a_missing_extra_is_one_sentence_with_the_command_that_mends_it(command: tuple[str, ...], said: Said) -> None:
    code, printed, error = said[command]
    [sentence] = [line for line in error.splitlines() if not line.endswith("(warning)")]
    assert (code, printed) == (1, "")
    remedy = re.fullmatch(r"Error: .* needs? .* -m pip install '?multicdn\[([\w,]+)\]'?", sentence)
    assert remedy, sentence
    assert set(remedy[1].split(",")) <= {"akamai", "aws", "cloudflare", "cloudfront", "local"}


def test_the_command_names_the_python_that_lacks_it(python: Path, said: Said) -> None:
    """Where multicdn is a command of its own, as with pipx, the `pip` on the path installs elsewhere."""
    sentence = said["dlq", "list", "--dlq", QUEUE][2]
    remedy = f"{python} -m pip install 'multicdn[aws]'"
    assert sentence == f"Error: this command needs boto3, which isn't installed here: {remedy}\n"


def test_only_what_is_asked_for_counts(said: Said) -> None:
    assert "multicdn[aws,cloudflare]'" in said["purge", OBJECT, "--provider", "cloudflare"][2]
    assert "'multicdn[aws]'" in said["purge", OBJECT, "--provider", "fastly"][2]
    assert "multicdn[akamai,aws]'" in said["purge", "--tag", "news", "--provider", "akamai"][2]


def test_what_calls_nothing_works_and_warns(said: Said) -> None:
    assert [code for command, (code, *_) in said.items() if command in ABLE] == [0] * len(ABLE)
    assert "${ssm:...} needs boto3, which isn't installed here: " in said[INIT][2]
    listed = said["providers", "--markdown"][1]
    assert all(f"| `{name}` | alive |" in listed for name in ("cloudflare", "cloudfront", "fastly"))
    checked = said["config", "check", str(CONFIG)]
    assert checked[1].startswith("multicdn.config.yml: ok")
    [warning] = [line for line in checked[2].splitlines() if "pip install" in line]
    assert warning.startswith("multicdn.config.yml: site, ")
    assert warning.endswith(" -m pip install 'multicdn[akamai,aws,cloudflare,cloudfront]' (warning)")
    assert warning.removeprefix("multicdn.config.yml: ") in said["explain", OBJECT][2]


def test_needs_nothing_that_it_does_not_declare(python: Path) -> None:
    """The environment was made of what the wheel declares."""
    run(*PIP, "--python", python, "check")


def test_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"multicdn", "multicdn_providers", next(top for top in tops if top.endswith(".dist-info"))}
    assert {"multicdn/py.typed", "multicdn_providers/py.typed"} <= set(names)


def test_holds_every_module_of_every_room(wheel: Path) -> None:
    """The rooms are listed by name in pyproject.toml, where a new one is soon forgotten."""
    modules = {
        str(path.relative_to(ROOT)) for folder in ("multicdn", "providers") for path in (ROOT / folder).rglob("*.py")
    }
    expected = {re.sub("^providers/", "multicdn_providers/", name) for name in modules}
    assert expected - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_holds_the_files_that_new_provider_writes(wheel: Path) -> None:
    folder = ROOT / "multicdn" / "cli" / "new_provider" / "template"
    written = {str(path.relative_to(ROOT)) for path in folder.rglob("*-tpl")}
    assert written
    assert written <= set(zipfile.ZipFile(wheel).namelist())


def test_holds_the_page_of_local(wheel: Path) -> None:
    folder = ROOT / "multicdn" / "local" / "static"
    files = {str(path.relative_to(ROOT)) for path in folder.iterdir()}
    assert "multicdn/local/static/index.html" in files
    assert files <= set(zipfile.ZipFile(wheel).namelist())


@pytest.mark.slow
def test_the_folder_cannot_be_imported_under_its_own_name(tmp_path: Path) -> None:
    """From the tree, `import providers` would make a second set of the same classes."""
    done = subprocess.run(
        [sys.executable, "-c", "import providers"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "multicdn_providers" in done.stderr

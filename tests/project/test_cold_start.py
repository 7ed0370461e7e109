"""The function in a process of its own: what it imports, and when it reads its config."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from multicdn.simulators import Origin
from multicdn.simulators.fastly.api import FastlySimulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = """\
version: 1
providers:
  fastly: {{endpoint: "{endpoint}", service: SU1Z0isxPaozGVKXdv0eY, token: "${{env:FASTLY_TOKEN}}"}}
routes:
  - bucket: acme-site
    urls: ["https://www.acme.com/{{key}}"]
    purge: [fastly]
"""

EVENT = {
    "Records": [
        {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "acme-site"}, "object": {"key": "100%25.css"}},
        }
    ]
}

# What a function that only talks to Fastly must never import: SDKs of others, and what only people need.
HEAVY = ("boto3", "botocore", "cloudflare", "akamai", "pluggy", "click", "rich", "httpx", "pydantic", "cryptography")

ASK = """
import json, sys
from multicdn import handler
prepared = handler._dispatcher is not None
reply = handler.handler(json.loads(sys.argv[1])) if len(sys.argv) > 1 else None
imported = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"prepared": prepared, "reply": reply, "imported": imported, "modules": sorted(sys.modules)}))
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def cdn() -> Iterator[FastlySimulator]:
    with Origin() as origin, FastlySimulator(origin.url) as running:
        yield running


def run(cdn: FastlySimulator, folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = folder / "multicdn.config.yml"
    if not path.exists():
        path.write_text(CONFIG.format(endpoint=cdn.endpoint))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MULTICDN_"))}
    settings = {"LAMBDA_TASK_ROOT": str(folder), "FASTLY_TOKEN": cdn.token, **environment}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", ASK, *arguments],
        env={**inherited, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_function_that_only_talks_to_fastly_imports_no_sdk(cdn: FastlySimulator, tmp_path: Path) -> None:
    found = answer(run(cdn, tmp_path, json.dumps(EVENT)))
    assert found["reply"] == {"providers": {"fastly": {"calls": 1, "accepted": 1}}}
    assert [call.target for call in cdn.calls] == ["/purge/https://www.acme.com/100%25.css"]
    assert sorted(set(HEAVY) & set(found["imported"])) == []
    assert [name for name in found["modules"] if name.startswith("multicdn_providers.")] == [
        "multicdn_providers.fastly"
    ]
    assert "multicdn.delivery.observer" not in found["modules"]  # nobody watches a function
    assert [name for name in found["modules"] if name.startswith("multicdn.proof")] == []  # nothing follows a purge


def test_a_batch_from_sqs_imports_no_sdk_either(cdn: FastlySimulator, tmp_path: Path) -> None:
    event = {"Records": [{"messageId": "m1", "eventSource": "aws:sqs", "body": json.dumps(EVENT)}]}
    found = answer(run(cdn, tmp_path, json.dumps(event)))
    assert found["reply"] == {"batchItemFailures": []}
    assert sorted(set(HEAVY) & set(found["imported"])) == []


def test_in_lambda_the_config_is_read_while_the_function_starts(cdn: FastlySimulator, tmp_path: Path) -> None:
    assert answer(run(cdn, tmp_path, AWS_LAMBDA_RUNTIME_API="127.0.0.1:9001"))["prepared"]


def test_elsewhere_an_import_reads_nothing(cdn: FastlySimulator, tmp_path: Path) -> None:
    (tmp_path / "multicdn.config.yml").write_text("broken: [")
    assert not answer(run(cdn, tmp_path))["prepared"]


def test_in_lambda_a_broken_config_keeps_the_function_from_starting_and_says_why(
    cdn: FastlySimulator, tmp_path: Path
) -> None:
    (tmp_path / "multicdn.config.yml").write_text("version: 1\nproviders:\n  fastyl: {}\nroutes: []\n")
    done = run(cdn, tmp_path, AWS_LAMBDA_RUNTIME_API="127.0.0.1:9001")
    assert done.returncode != 0
    assert "multicdn.config.yml:3: providers.fastyl" in done.stderr
    assert "did you mean 'fastly'?" in done.stderr


def test_the_secret_is_not_needed_to_start(cdn: FastlySimulator, tmp_path: Path) -> None:
    """Secrets are read on first use: a store that is down mustn't keep the function from starting."""
    found = answer(run(cdn, tmp_path, AWS_LAMBDA_RUNTIME_API="127.0.0.1:9001", FASTLY_TOKEN=""))
    assert found["prepared"]


def test_logs_are_lines_of_json_on_standard_error(cdn: FastlySimulator, tmp_path: Path) -> None:
    done = run(cdn, tmp_path, json.dumps(EVENT))
    logged = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in logged] == ["accepted", "invocation"]


QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012/work"


def test_the_way_to_the_queue_is_made_while_the_function_starts(cdn: FastlySimulator, tmp_path: Path) -> None:
    """To load botocore takes longer than the end of an invocation has."""
    found = answer(run(cdn, tmp_path, AWS_LAMBDA_RUNTIME_API="127.0.0.1:9001", MULTICDN_QUEUE_URL=QUEUE))
    assert found["prepared"]
    assert "botocore" in found["imported"]
    assert "boto3" not in found["imported"]


def test_what_looks_at_the_site_is_loaded_while_the_function_starts(cdn: FastlySimulator, tmp_path: Path) -> None:
    """And what waits for whole deploys, where a route has it, and there is a queue to wait in."""
    follow = CONFIG.format(endpoint=cdn.endpoint) + "    verify: true\n    settle: {quiet: 20s}\n"
    (tmp_path / "multicdn.config.yml").write_text(follow)
    wanted = {"multicdn.proof.following", "multicdn.planning.deploys", "multicdn.aws.uploads"}
    environment = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001", "AWS_DEFAULT_REGION": "us-east-1"}
    done = run(cdn, tmp_path, **environment, MULTICDN_QUEUE_URL=QUEUE)
    assert wanted <= set(answer(done)["modules"])
    assert "not-prepared" not in done.stderr


def test_a_queue_that_no_client_can_be_made_for_keeps_no_purge_back(cdn: FastlySimulator, tmp_path: Path) -> None:
    url = "http://queue.example/123456789012/work"
    done = run(cdn, tmp_path, json.dumps(EVENT), AWS_LAMBDA_RUNTIME_API="127.0.0.1:9001", MULTICDN_QUEUE_URL=url)
    assert answer(done)["reply"] == {"providers": {"fastly": {"calls": 1, "accepted": 1}}}
    assert '"requeue-failed"' in done.stderr

"""`multicdn purge` of objects for which a route has no target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from multicdn.cli import main

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
version: 1
providers:
  fastly: {token: "${env:FASTLY_TOKEN}", service: SU1Z0isxPaozGVKXdv0eY}
routes:
  - bucket: previews
    on: [ON]
    urls: ["https://{first}.preview.example.org/{rest}"]
    allowed_hosts: ["*.preview.example.org"]
    purge: [fastly]
"""
TEMPLATE = "https://{first}.preview.example.org/{rest}"
WHY = f"nothing for {TEMPLATE}: the key has no folder 1 below the route's prefix, for {{first}}"


@pytest.mark.parametrize("on", ["created", "removed", "created, removed"])
def test_an_object_without_a_target_is_told_with_the_reason(tmp_path: Path, on: str) -> None:
    path = tmp_path / "multicdn.config.yml"
    path.write_text(CONFIG.replace("ON", on), encoding="utf-8")

    def purge(*objects: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["purge", *objects, "--dry-run", "--config", str(path)])
        return result.exit_code, result.output

    code, said = purge("s3://previews/robots.txt")
    assert code == 1
    assert f"s3://previews/robots.txt: {WHY}\n" in said
    code, said = purge("s3://previews/robots.txt", "s3://previews/pr1/a.css", "s3://previews/humans.txt")
    assert code == 0
    assert f"s3://previews/robots.txt and 1 more object: {WHY}\n" in said
    assert "https://pr1.preview.example.org/a.css" in said


def test_a_url_at_a_host_that_keys_may_make_finds_its_providers(tmp_path: Path) -> None:
    path = tmp_path / "multicdn.config.yml"
    path.write_text(CONFIG.replace("ON", "created"), encoding="utf-8")

    def purge(url: str) -> str:
        return CliRunner().invoke(main, ["purge", url, "--dry-run", "--config", str(path)]).output

    assert "fastly (fastly: service" in purge("https://pr9.preview.example.org/x")
    refused = "no route has providers to purge evil.org (known: *.preview.example.org)"
    assert refused in purge("https://evil.org/x")
    assert "no route has providers" in purge("https://a.b.preview.example.org/x")

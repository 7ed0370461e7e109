"""What commands say of routes that wait for whole deploys."""

from __future__ import annotations

import json
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
  - {bucket: acme-site, prefix: www/, urls: ["https://www.acme.com/{path}"], purge: [fastly], settle: {quiet: 20s}}
  - {bucket: acme-site, prefix: www/, urls: ["https://img.acme.com/{path}"], purge: [fastly]}
  - {bucket: acme-shop, urls: ["https://shop.acme.com/{key}"], purge: [fastly], after: deploy/done.json}
"""
SETTLES = "waits until no change came for 20s, 15m after the first at most"
AFTER = "waits until s3://acme-shop/deploy/done.json is uploaded after it"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "multicdn.config.yml"
    found.write_text(CONFIG, encoding="utf-8")
    return found


def run(path: Path, *arguments: str) -> str:
    result = CliRunner().invoke(main, [*arguments, "--config", str(path)])
    assert result.exit_code == 0, result.output
    return result.output


def test_an_explanation_says_for_what_a_route_waits(path: Path) -> None:
    said = run(path, "explain", "s3://acme-site/www/a.html", "s3://acme-shop/a.html").splitlines()
    assert said[1:4] == [
        "  multicdn.config.yml:5 applies: purge at fastly",
        f"    but {SETTLES}",
        "  multicdn.config.yml:6 applies: purge at fastly",
    ]
    assert f"    but {AFTER}" in said
    answer = json.loads(run(path, "explain", "s3://acme-site/www/a.html", "s3://acme-shop/a.html", "--json"))
    site, shop = answer["objects"]
    assert site["waits"] == [f"multicdn.config.yml:5 {SETTLES}"]
    assert shop["waits"] == [f"multicdn.config.yml:7 {AFTER}"]


def test_by_hand_nothing_waits_and_it_says_so(path: Path) -> None:
    said = run(path, "purge", "s3://acme-site/www/a.html", "s3://acme-site/www/b.html", "--dry-run")
    assert said.count("by hand nothing waits") == 1
    assert f"multicdn.config.yml:5 {SETTLES}; by hand nothing waits" in said
    assert "https://www.acme.com/a.html" in said
    assert "by hand" not in run(path, "purge", "https://www.acme.com/a.html", "--dry-run")

"""Staging and production as docs/config.md has them: a file each, by option or by variable."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from multicdn import config
from multicdn.cli import main
from multicdn.installer import run, sessions

DOCS = Path(__file__).parents[2] / "docs" / "config.md"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The file of the documentation, and the same for production."""
    found = re.search(r"^## Stages\n.*?```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found
    texts = {"staging": found[1], "production": found[1].replace("-staging", "").replace("staging", "www")}
    paths = {name: tmp_path / f"multicdn.{name}.yml" for name in texts}
    for name, path in paths.items():
        path.write_text(texts[name], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(config.CONFIG, raising=False)
    return paths


def test_each_command_takes_the_file_that_is_named(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, host in (("staging", "staging.example.org"), ("production", "www.example.org")):
        bucket = "shop-web-staging" if name == "staging" else "shop-web"
        words = ["explain", f"s3://{bucket}/a.css"]
        by_option = CliRunner().invoke(main, [*words, "--config", files[name].name])
        assert f"https://{host}/a.css" in by_option.output
        monkeypatch.setenv(config.CONFIG, files[name].name)
        assert CliRunner().invoke(main, words).output == by_option.output
        assert CliRunner().invoke(main, ["config", "check"]).output.startswith(f"multicdn.{name}.yml: ok")
        assert [route.bucket for route in config.load().routes] == [bucket]


def test_neither_touches_what_is_the_others(files: dict[str, Path]) -> None:
    staging, production = (sessions.read(files[name]) for name in ("staging", "production"))
    assert staging.config.install.stack != production.config.install.stack
    assert not set(staging.buckets) & set(production.buckets)
    secrets = [str(run.template(file)) for file in (staging, production)]
    assert ["parameter/multicdn/staging/fastly" in text for text in secrets] == [True, False]


def test_whoever_writes_one_file_for_both_is_told(files: dict[str, Path]) -> None:
    both = files["staging"].read_text(encoding="utf-8").replace("shop-web-staging", '"shop-web-${env:STAGE}"')
    files["staging"].write_text(both, encoding="utf-8")
    result = CliRunner().invoke(main, ["config", "check", files["staging"].name])
    assert result.exit_code == 1
    assert "${env:STAGE} is a reference, and this option is no secret" in result.output
    assert "where stages differ in it, write a file for each" in result.output

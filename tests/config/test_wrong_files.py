"""Files that are no config: one sentence with the line and what to do, never a codec's."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from kit.sample_plugins import installed

from multicdn import config
from multicdn.config import foreign_files, text_file
from multicdn.errors import ConfigError

DATA = Path(__file__).parents[1] / "data"
GOOD = """\
version: 1
providers: {full: {token: "${env:T}", service: s}}
routes:
  - {bucket: acme-site, prefix: größe/, tags: [a], purge: [full]}
"""
WIDE = "as PowerShell's > writes it: save it as UTF-8 (Out-File -Encoding utf8)"


def problem(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "c.yml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        config.load(path, installed())
    [found] = caught.value.problems
    return str(found).replace("\n", " / ")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (GOOD.encode("utf-16"), f"1: is UTF-16, {WIDE}"),
        (b"\xfe\xff" + GOOD.encode("utf-16-be"), f"1: is UTF-16, {WIDE}"),
        (GOOD.encode("utf-32"), f"1: is UTF-32, {WIDE}"),
        (GOOD.encode("utf-16-le"), "1: is UTF-16: save it as UTF-8"),
        (GOOD.encode("utf-16-be"), "1: is UTF-16: save it as UTF-8"),
        (GOOD.encode("latin-1"), "4: the byte 0xf6 isn't UTF-8 (in Latin-1 it is ö): save the file as UTF-8"),
        (b"version: 1\n# \x80 5\n", "2: the byte 0x80 isn't UTF-8 (in Latin-1 it is €): save the file as UTF-8"),
        (b"version: 1\n# \x81\n", "2: the byte 0x81 isn't UTF-8: save the file as UTF-8"),
        (gzip.compress(GOOD.encode()), "1: is packed (gzip): unpack it first"),
        (b"PK\x03\x04\x14\x00", "1: is packed (ZIP): unpack it first"),
        (b"version: 1\n\0", "1: holds zero bytes, so it is no text"),
        (b"\x7fELF\x02\x01\x01\0\0", "1: holds zero bytes, so it is no text"),
        (b"x\x9c\xab\n", "1: the byte 0x9c isn't UTF-8 (in Latin-1 it is œ): save the file as UTF-8"),
    ],
)
def test_what_is_no_text_in_utf_8(tmp_path: Path, content: bytes, sentence: str) -> None:
    assert problem(tmp_path, content) == f"c.yml:{sentence}"


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "c.yml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    [route] = config.load(path, installed()).routes
    assert route.prefix == "größe/"


def test_what_cannot_be_opened_is_told_without_a_number_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(tmp_path, installed())
    assert str(caught.value) == f"{tmp_path}: can't be read: Is a directory"


@pytest.mark.parametrize("content", ["", "\ufeff", "\n\n", "# all of it\n  # commented out\n", "---\n...\n", "~", "{}"])
def test_an_empty_file(tmp_path: Path, content: str) -> None:
    assert problem(tmp_path, content.encode()) == "c.yml:1: is empty: `multicdn init` writes a first config"


WHICH = "and no config of multicdn; which file is meant?"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("AWSTemplateFormatVersion: '2010-09-09'\nResources:\n  B: {Type: AWS::S3::Bucket, Name: !Sub x}\n",
         f"1: is a CloudFormation template, {WHICH}"),
        ("Description: x\nResources:\n  F: !Ref G\n", f"2: is a CloudFormation template, {WHICH}"),
        ('{"Resources": {}}', f"1: is a CloudFormation template, {WHICH}"),
        ("Transform: AWS::Serverless-2016-10-31\nGlobals: {}\n", f"1: is a template of AWS SAM, {WHICH}"),
        ("service: x\nprovider: {name: aws}\nfunctions: {}\n", f"1: is a serverless.yml, {WHICH}"),
        ("apiVersion: v1\nkind: ConfigMap\n", f"1: is a Kubernetes manifest, {WHICH}"),
        ("services:\n  web: {image: x}\n", f"1: is a Compose file, {WHICH}"),
        ("name: x\non: push\njobs: {}\n", f"2: is a GitHub workflow, {WHICH}"),
        ("cdnDomains:\n  akamai: {}\n",
         "1: is of GlobalDots' s3-trigger-purge-cdn: `multicdn config convert c.yml` makes ours of it"),
        ('{"name": "site", "dependencies": {}}', f"1: is a package.json, {WHICH}"),
        ("<!DOCTYPE html>\n<html>", "1: is HTML or XML, and the config is YAML"),
        ("# x\n[providers.fastly]\ntoken = 1\n", "2: is TOML or INI, and the config is YAML"),
    ],
)  # fmt: skip
def test_a_file_of_another_tool(tmp_path: Path, content: str, sentence: str) -> None:
    assert problem(tmp_path, content.encode()) == f"c.yml:{sentence}"


@pytest.mark.parametrize("event", ["s3-put.json", "eventbridge-created.json", "sqs-put.json", "sns-put.json"])
def test_an_event(tmp_path: Path, event: str) -> None:
    found = problem(tmp_path, (DATA / event).read_bytes())
    assert found.endswith(": is an event, and no config: `multicdn explain c.yml` says what it would purge")


def test_the_schema_of_the_config(tmp_path: Path) -> None:
    from multicdn.authoring.schema import schema

    text = json.dumps(schema(installed()), indent=2)
    assert problem(tmp_path, text.encode()) == (
        "c.yml:2: is the JSON Schema that editors read; the config is another file"
    )


@pytest.mark.parametrize("text", ["routes:\n  - {Resources: x}\nservices: x\n", "providers: {}\nResources: x\n"])
def test_a_config_with_faults_is_told_its_own(text: str) -> None:
    assert foreign_files.told(text, "c.yml") == ""


@pytest.mark.parametrize("unit", [" ", "a: ", "{", ",", '{"a":', "[", "[a]\n", "#", "\n", "\t\n ", '"'])
def test_any_text_is_looked_through_at_once(unit: str) -> None:
    import time

    begun = time.thread_time()
    foreign_files.told(unit * (200_000 // len(unit)), "c.yml")
    assert time.thread_time() - begun < 1


def test_single_bytes_may_be_kept_where_names_are_listed() -> None:
    assert text_file.decoded(b"caf\xe9.html", "surrogateescape") == "caf\udce9.html"

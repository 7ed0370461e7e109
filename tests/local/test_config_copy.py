"""The copy of a config that simulators answer for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from multicdn.config import yaml_source
from multicdn.testing.loopback.config_copy import ConfigCopy

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
version: 1
providers:
  www: {type: fastly, service: "12E4", token: "${ssm:/acme/token}"}
  img: {type: fastly, service: s2, token: "${env:TOKEN}"}
  old: {type: fastly, service: s3, token: "${ssm:arn:aws:ssm:eu-west-1:123456789012:parameter/acme}"}
  akamai:
routes:
  - &site {bucket: [site-eu, site-us], urls: ["https://www.acme.com/{key}"], purge: [www, akamai]}
  - {<<: *site, bucket: shop, on: [created], purge: img, preload: [akamai]}
  - {bucket: shop, urls: "https://old.acme.com/{key}", purge: old}
install: {region: eu-west-1}
"""


def copied(folder: Path, text: str = CONFIG) -> ConfigCopy:
    file = folder / "c.yml"
    file.write_text(text, encoding="utf-8")
    return ConfigCopy(file)


def written(copy: ConfigCopy, folder: Path) -> Any:
    copy.write(folder / "copy.yml")
    return yaml_source.parse((folder / "copy.yml").read_text(encoding="utf-8"), "copy.yml").data


def test_what_it_says_is_read_as_the_config_is(tmp_path: Path) -> None:
    copy = copied(tmp_path)
    assert (copy.buckets, copy.region) == (["site-eu", "site-us", "shop"], "eu-west-1")
    assert (copy.type_of("www"), copy.type_of("akamai"), copy.providers["akamai"]) == ("fastly", "akamai", {})
    assert copy.buckets_of("akamai") == ["site-eu", "site-us", "shop"]
    assert copy.buckets_of("img") == ["shop"]
    assert copy.urls_of("old") == ["https://old.acme.com/{key}"]


def test_what_nobody_changes_stays_as_it_is(tmp_path: Path) -> None:
    data = written(copied(tmp_path), tmp_path)
    assert data == yaml_source.parse(CONFIG, "c.yml").data
    assert data["providers"]["www"]["service"] == "12E4"
    assert data["routes"][1]["urls"] == ["https://www.acme.com/{key}"], "merge keys stand for what they name"


@pytest.mark.parametrize(
    ("name", "parameter"),
    [("www", "/acme/token"), ("img", "/multicdn-local/img/token"), ("old", "/multicdn-local/old/token")],
)
def test_secrets_are_looked_for_on_loopback_alone(tmp_path: Path, name: str, parameter: str) -> None:
    copy = copied(tmp_path)
    assert copy.simulate(name, "http://127.0.0.1:9", {"token": ""}) == {"token": parameter}
    options = written(copy, tmp_path)["providers"][name]
    assert (options["endpoint"], options["token"]) == ("http://127.0.0.1:9", f"${{ssm:{parameter}}}")


def test_a_secret_that_stands_in_the_file_or_that_no_simulator_knows_is_replaced_too(tmp_path: Path) -> None:
    text = CONFIG.replace('"${env:TOKEN}"', 'plain, extra: "${vault:team/secret}"')
    copy = copied(tmp_path, text)
    parameters = copy.simulate("img", "http://127.0.0.1:9", {"token": ""})
    assert parameters == {"token": "/multicdn-local/img/token", "extra": "/multicdn-local/img/extra"}
    assert "plain" not in str(written(copy, tmp_path))
    assert "vault" not in str(written(copy, tmp_path))


def test_a_provider_that_is_left_out_takes_its_own_routes_along(tmp_path: Path) -> None:
    copy = copied(tmp_path)
    copy.leave_out("old")
    copy.leave_out("akamai")
    data = written(copy, tmp_path)
    assert list(data["providers"]) == ["www", "img"]
    assert [(route["bucket"], route["purge"], "preload" in route) for route in data["routes"]] == [
        (["site-eu", "site-us"], ["www"], False),
        ("shop", ["img"], False),
    ]


@pytest.mark.parametrize(
    ("delivery", "hastened"),
    [("", True), ("delivery: {grace: 2s}", True), ("delivery: {first_delay: 1m}", False),
     ("delivery: {longest_delay: 1m}", False)],
)  # fmt: skip
def test_waits_are_short_unless_the_config_says_how_long_they_are(
    tmp_path: Path, delivery: str, hastened: bool
) -> None:
    copy = copied(tmp_path, CONFIG + delivery)
    assert copy.hasten() is hastened
    read = written(copy, tmp_path).get("delivery") or {}
    assert ({"first_delay": "2s", "longest_delay": "5s"}.items() <= read.items()) is hastened
    assert read.get("grace") == ("2s" if "grace" in delivery else None)


TIERS = """\
version: 1
providers:
  outer: {type: fastly, service: s1, token: "${env:TOKEN}", pulls_from: [middle, other], via: outer.acme.com}
  middle: {type: fastly, service: s2, token: "${env:TOKEN}", pulls_from: inner}
  inner: {type: fastly, service: s3, token: "${env:TOKEN}"}
  other: {type: elsewhere}
routes:
  - {bucket: shop, urls: "https://www.acme.com/{key}", purge: [outer, middle, inner, other]}
"""


def test_inner_cdns_come_before_those_that_pull_from_them(tmp_path: Path) -> None:
    assert copied(tmp_path, TIERS).names == ["inner", "middle", "other", "outer"]
    assert copied(tmp_path).names == ["www", "img", "old", "akamai"]


def test_a_loop_of_tiers_ends_anywhere(tmp_path: Path) -> None:
    loop = TIERS.replace("service: s3,", "service: s3, pulls_from: outer,")
    assert sorted(copied(tmp_path, loop).names) == ["inner", "middle", "other", "outer"]


def test_nobody_pulls_from_what_is_left_out(tmp_path: Path) -> None:
    copy = copied(tmp_path, TIERS)
    copy.leave_out("other")
    copy.leave_out("inner")
    providers = written(copy, tmp_path)["providers"]
    assert (providers["outer"]["pulls_from"], "pulls_from" in providers["middle"]) == (["middle"], False)


@pytest.mark.parametrize(
    ("verify", "name", "via"),
    [
        ("", "inner", None),
        ("", "outer", "http://127.0.0.1:8"),
        ("verify: true, ", "inner", "http://127.0.0.1:8"),
        ("verify: {within: 1m}, ", "inner", "http://127.0.0.1:8"),
        ("verify: false, ", "inner", None),
        ("verify: , ", "inner", None),
    ],
)
def test_who_looks_at_an_edge_looks_at_the_simulated_one(
    tmp_path: Path, verify: str, name: str, via: str | None
) -> None:
    copy = copied(tmp_path, TIERS.replace("{bucket", f"{{{verify}bucket"))
    copy.simulate(name, "http://127.0.0.1:9", {"token": ""}, via="http://127.0.0.1:8")
    assert written(copy, tmp_path)["providers"][name].get("via") == via

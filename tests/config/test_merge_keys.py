"""What a config shares between its parts: merge keys, and members of the author's own, with both loaders."""

from __future__ import annotations

import time
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from kit.sample_plugins import installed

from multicdn import config
from multicdn.config import yaml_source
from multicdn.errors import ConfigError

if TYPE_CHECKING:
    from multicdn.config import Config

LOADERS = [loader for loader in (getattr(yaml, "CSafeLoader", None), yaml.SafeLoader) if loader]


@pytest.fixture(autouse=True, params=LOADERS, ids=lambda loader: loader.__name__)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(yaml_source, "_Loader", request.param)
    return request.param


def parse(text: str) -> Config:
    return config.parse(dedent(text), "c.yml", installed())


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return list(caught.value.problems)


SITES = """\
version: 1
x-defaults: &site
  index: index.html
  purge: [full]
providers:
  full: {token: "${env:FASTLY_TOKEN}", service: SU1Z0isxPaozGVKXdv0eY}
routes:
  - {<<: *site, bucket: shop-web-eu, urls: ["https://eu.example.org/{key}"]}
  - {<<: *site, bucket: shop-web-us, urls: ["https://us.example.org/{key}"], index: default.htm}
"""


def test_routes_take_in_what_they_share_and_their_own_members_win() -> None:
    first, second = parse(SITES).routes
    assert (first.bucket, first.index, first.purge) == ("shop-web-eu", "index.html", ("full",))
    assert (second.bucket, second.index, second.purge) == ("shop-web-us", "default.htm", ("full",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Own members win, wherever the merge key stands.
        ("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}", {"x": "3", "y": "2"}),
        ("a: &a {x: 1, y: 2}\nb: {x: 3, <<: *a}", {"x": "3", "y": "2"}),
        # Of several the first wins.
        ("a: &a {x: 1}\nc: &c {x: 2, y: 2}\nb: {<<: [*a, *c]}", {"x": "1", "y": "2"}),
        ("a: &a {x: 1}\nc: &c {x: 2, y: 2}\nb: {<<: [*c, *a]}", {"x": "2", "y": "2"}),
        # Over several levels, and written out in the place.
        ("a: &a {x: 1, y: 1}\nc: &c {<<: *a, y: 2}\nb: {<<: *c, z: 3}", {"x": "1", "y": "2", "z": "3"}),
        ("b: {<<: {x: 1}, y: 2}", {"x": "1", "y": "2"}),
        ("a: &a {x: 1}\nb: {<<: []}", {}),
        # What is merged is the value as a whole, not what is in it.
        ("a: &a {x: {p: 1}}\nb: {<<: *a, x: {q: 2}}", {"x": {"q": "2"}}),
        ("a: &a {x: [1, 2]}\nb:\n  <<: *a\n  x: [3]", {"x": ["3"]}),
        # In quotes it is a name like any other.
        ("b: {'<<': {x: 1}}", {"<<": {"x": "1"}}),
    ],
)
def test_merging(text: str, expected: dict[str, Any]) -> None:
    assert yaml_source.parse(text, "f.yml").data["b"] == expected


@pytest.mark.parametrize("text", [SITES, "b: &b {x: [1], y: {z: 2}}\nc: {<<: [{y: 1}, *b], x: 2}\nd: &d {<<: *b}\n"])
def test_other_readers_of_yaml_see_the_same_members(text: str) -> None:
    def texts(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: texts(item) for name, item in value.items()}
        return [texts(item) for item in value] if isinstance(value, list) else str(value)

    assert yaml_source.parse(text, "f.yml").data == texts(yaml.safe_load(text))


def test_lines_stay_those_where_a_member_is_written() -> None:
    text = "a: &a\n  x: 1\n  y: 2\nb:\n  <<: *a\n  y: 3\n"
    source = yaml_source.parse(text, "f.yml")
    assert [source.at(("b", *path)) for path in ((), ("x",), ("y",), ("gone",))] == [
        "f.yml:4", "f.yml:2", "f.yml:6", "f.yml:4",
    ]  # fmt: skip


def test_providers_and_tags_take_in_what_they_share() -> None:
    found = parse("""\
        version: 1
        x-account: &account {type: full, token: "${env:T}"}
        x-tags: &tags {team: web, cost: "12"}
        providers:
          www: {<<: *account, service: one}
          shop: {<<: *account, service: two, soft: true}
        routes: [{bucket: b, urls: ["https://a/{key}"], purge: [www, shop]}]
        install: {tags: {<<: *tags, team: shop}}
        """)
    assert {name: getattr(provider, "service", "") for name, provider in found.providers.items()} == {
        "www": "one", "shop": "two",
    }  # fmt: skip
    assert found.install.tags == {"team": "shop", "cost": "12"}


def test_a_fault_in_what_is_shared_is_told_with_its_own_line() -> None:
    text = SITES.replace("index: index.html", "indx: index.html")
    assert problems(text) == [
        "c.yml:3: routes[0].indx: unknown member 'indx'; did you mean 'index'?",
        "c.yml:3: routes[1].indx: unknown member 'indx'; did you mean 'index'?",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: &a [1]\nb: {<<: *a}",
         "2: << merges a mapping, or a list of some: write an alias of one, such as <<: *site"),
        ("b: {<<: x}", "1: << merges a mapping, or a list of some: write an alias of one, such as <<: *site"),
        ("b:\n  <<:\n", "2: << merges a mapping, or a list of some: write an alias of one, such as <<: *site"),
        ("a: &a [{x: 1}]\nb: {<<: [*a]}", "2: << merges a mapping, or a list of some: write an alias of one, "
         "such as <<: *site"),
        ("b:\n  <<: {x: 1}\n  <<: {y: 1}", "3: '<<' stands twice; first on line 2; write one, with a list: "
         "<<: [*one, *other]"),
        ("a: &a\n  x: 1\n  x: 2\nb: {<<: *a}", "3: 'x' stands twice; first on line 2"),
        ("a: &a\n  <<: *a\n", "2: an alias refers to itself"),
        ("a: &a {x: &x {<<: *a}}", "1: an alias refers to itself"),
    ],
)  # fmt: skip
def test_what_cannot_be_merged_is_told_once_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        yaml_source.parse(text, "f.yml")
    assert caught.value.problems == (f"f.yml:{problem}",)


@pytest.mark.parametrize("first", ["{}", "{a: 1}", "{a: 1, b: 2, c: 3, d: 4, e: 5}"])
def test_merges_that_multiply_are_refused_before_they_take_long(first: str) -> None:
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 12)]
    begun = time.thread_time()
    with pytest.raises(ConfigError, match="its aliases multiply to far more than the file holds"):
        yaml_source.parse("\n".join(lines), "f.yml")
    assert time.thread_time() - begun < 5, "without a bound it takes hours"


# The author's own members


@pytest.mark.parametrize("name", ["x-other", "x-", "x-compose.thing", '"x-a b"'])
def test_members_of_the_authors_own_are_left_alone(name: str) -> None:
    assert len(parse(f"{name}: {{anything: [1, {{goes: here}}]}}\n{SITES}").routes) == 2


@pytest.mark.parametrize("name", ["xdefaults", "X-defaults", "y-defaults", "defaults"])
def test_other_members_are_not(name: str) -> None:
    [problem] = problems(f"{name}: 1\n{SITES}")
    assert problem.startswith(f"c.yml:1: {name}: unknown member {name!r}")


def test_within_a_route_they_are_a_mistake() -> None:
    [problem] = problems(SITES.replace("{<<: *site, bucket: shop-web-eu", "{<<: *site, x-note: 1, bucket: shop-web-eu"))
    assert problem.startswith("c.yml:8: routes[0].x-note: unknown member 'x-note'")

"""Under which URLs a changed object may be cached, and that a route purges these and no others.

Numbers in brackets are those of the known mistakes of purge tools that a row guards against: [7] keys encoded twice or
not at all, [8] index documents and directories, [9] URLs that the site rewrites, [10] prefixes, [11] hosts that share
a list, [12] variants, [13] nothing that comes to mean everything, [4] a created object whose 404 is cached.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.sample_plugins import Full

from multicdn import config
from multicdn.errors import ConfigError
from multicdn.model import Change, ChangeKind, TargetKind
from multicdn.plugins.discovery import Plugins
from multicdn.routing.route import Also, Route
from multicdn.routing.router import Router
from multicdn.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

CREATED, REMOVED = ChangeKind.CREATED, ChangeKind.REMOVED
A = "https://a.example"
B = "https://b.example"
KEY = (f"{A}/{{key}}",)
PATH = (f"{A}/{{path}}",)
SITE: dict[str, Any] = {"urls": KEY, "index": "index.html", "bare": True, "strip": (".html",)}
# Enough to see blanks and pluses; test_spellings.py has all.
SPELLINGS = ("s3", "plus", "encode-uri")
PICTURES = Also(keys=("*.png", "*.jpg"), as_=("{dir}{stem}@2x{ext}", "{dir}{stem}-thumb.webp"))


def purged(key: str, kind: ChangeKind = CREATED, **members: Any) -> dict[TargetKind, set[str]]:
    """All that is purged for a key under a route, by kind, in few spellings."""
    provider = Full(token=Secret.literal("x"), service="s")
    route = Route(**{"bucket": "b", "urls": KEY, "purge": ("cdn",), "spellings": SPELLINGS, **members})
    demands, failures = Router([route], {"cdn": provider}).demands([Change("b", key, kind)])
    assert failures == []
    found: dict[TargetKind, set[str]] = {}
    for demand in demands:
        for target in demand.wants:
            found.setdefault(target.kind, set()).add(target.value)
    return found


def urls(key: str, **members: Any) -> set[str]:
    return purged(key, **members).get(TargetKind.URL, set())


# key, members of the route, paths below https://a.example/ (or whole URLs)
ROWS: list[tuple[str, dict[str, Any], list[str]]] = [
    # [7] Decoded once, encoded once.
    ("a.css", {}, ["a.css"]),
    ("a b.css", {}, ["a%20b.css", "a+b.css"]),
    ("a+b.css", {}, ["a%2Bb.css", "a+b.css"]),
    ("a+b c.css", {}, ["a%2Bb%20c.css", "a+b%20c.css", "a%2Bb+c.css"]),
    ("100%.css", {}, ["100%25.css"]),
    ("a%20b.css", {}, ["a%2520b.css"]),
    ("%2B", {}, ["%252B"]),
    ("größe.css", {}, ["gr%C3%B6%C3%9Fe.css"]),
    ("中文/图.png", {}, ["%E4%B8%AD%E6%96%87/%E5%9B%BE.png"]),
    ("~user/a.css", {}, ["~user/a.css"]),
    ("it's.css", {}, ["it's.css"]),
    ("a*", {}, ["a*"]),
    ("a*b.css", {}, ["a*b.css"]),
    ("#tag", {}, ["%23tag"]),
    ("a?b=c", {}, ["a%3Fb=c"]),
    ("a&b;c=d,e@f:g", {}, ["a&b;c=d,e@f:g"]),
    ("//a//b", {}, ["//a//b"]),
    ("../a", {}, ["../a"]),
    ("{key}", {}, ["%7Bkey%7D"]),
    # [8] Index documents.
    ("index.html", {"index": "index.html"}, ["index.html", ""]),
    ("d/index.html", {"index": "index.html"}, ["d/index.html", "d/"]),
    ("d/index.html", {}, ["d/index.html"]),
    ("d/e/default.htm", {"index": "default.htm"}, ["d/e/default.htm", "d/e/"]),
    ("d/myindex.html", {"index": "index.html"}, ["d/myindex.html"]),
    ("d/index.html/x", {"index": "index.html"}, ["d/index.html/x"]),
    ("d/", {"index": "index.html"}, ["d/"]),
    ("a b/index.html", {"index": "index.html"}, ["a%20b/index.html", "a+b/index.html", "a%20b/", "a+b/"]),
    # [8] The directory without its slash.
    ("d/index.html", {"index": "index.html", "bare": True}, ["d/index.html", "d/", "d"]),
    ("d/e/index.html", {"index": "index.html", "bare": True}, ["d/e/index.html", "d/e/", "d/e"]),
    ("index.html", {"index": "index.html", "bare": True}, ["index.html", ""]),
    ("d/a.css", {"index": "index.html", "bare": True}, ["d/a.css"]),
    ("a+b/index.html", {"index": "index.html", "bare": True},
     ["a%2Bb/index.html", "a+b/index.html", "a%2Bb/", "a+b/", "a%2Bb", "a+b"]),
    ("d/index.html", {"index": "index.html", "bare": True, "urls": (f"{A}/{{key}}?v=1",)},
     ["d/index.html?v=1", "d/?v=1", "d?v=1"]),
    ("s/index.html", {"index": "index.html", "bare": True, "prefix": "s/", "urls": (f"{A}/docs/{{path}}",)},
     ["docs/index.html", "docs/", "docs"]),
    ("s/index.html", {"index": "index.html", "bare": True, "prefix": "s/", "urls": PATH}, ["index.html", ""]),
    ("d/index.html", {"index": "index.html", "bare": True, "urls": (f"{A}/{{dir}}{{stem}}.amp",)}, ["d/index.amp"]),
    ("d/index.html", {"index": "index.html", "bare": True, "urls": (f"{A}/{{dir}}{{name}}",)},
     ["d/index.html", "d/", "d"]),
    # [8] [9] Clean URLs.
    ("about.html", {"strip": (".html",)}, ["about.html", "about"]),
    ("d/about.html", {"strip": (".html",)}, ["d/about.html", "d/about"]),
    ("about.htm", {"strip": (".html",)}, ["about.htm"]),
    ("about.htm", {"strip": (".html", ".htm")}, ["about.htm", "about"]),
    ("a.html.html", {"strip": (".html",)}, ["a.html.html", "a.html"]),
    (".html", {"strip": (".html",)}, [".html"]),
    ("d/.html", {"strip": (".html",)}, ["d/.html"]),
    ("about.html", {"strip": (".html",), "urls": (f"{A}/{{key}}?lang=de",)}, ["about.html?lang=de", "about?lang=de"]),
    ("a.b.html", {"strip": (".html",), "urls": (f"{A}/{{stem}}.webp",)}, ["a.b.webp"]),
    ("a b.html", {"strip": (".html",)}, ["a%20b.html", "a+b.html", "a%20b", "a+b"]),
    ("d/index.html", SITE, ["d/index.html", "d/", "d", "d/index"]),
    ("index.html", SITE, ["index.html", "", "index"]),
    ("about.html", {"also": (Also(keys=("*.html",), as_=("{dir}{stem}/",)),)}, ["about.html", "about/"]),
    # [9] Both sides of a rewrite.
    ("v2/a.css", {"prefix": "v2/", "urls": (*KEY, *PATH)}, ["v2/a.css", "a.css"]),
    # [10] The route's prefix taken off.
    ("site/a.css", {"prefix": "site/", "urls": PATH}, ["a.css"]),
    ("site/a.css", {"prefix": "site/", "urls": KEY}, ["site/a.css"]),
    ("site/a.css", {"prefix": "site", "urls": (f"{A}{{path}}",)}, ["a.css"]),
    ("größe/a b", {"prefix": "größe/", "urls": PATH}, ["a%20b", "a+b"]),
    ("a b/c", {"prefix": "a b/", "urls": PATH}, ["c"]),
    ("site/index.html", {"prefix": "site/ind", "urls": PATH, "index": "index.html"}, ["ex.html"]),
    # [11] Several hosts, both schemes.
    ("a.css", {"urls": (*KEY, f"{B}/{{key}}")}, ["a.css", f"{B}/a.css"]),
    ("a.css", {"urls": (*KEY, "http://a.example/{key}")}, ["a.css", "http://a.example/a.css"]),
    ("d/index.html", {**SITE, "urls": (*KEY, f"{B}/x/{{key}}")},
     ["d/index.html", "d/", "d", "d/index", f"{B}/x/d/index.html", f"{B}/x/d/", f"{B}/x/d", f"{B}/x/d/index"]),
    ("a.css", {"urls": ("https://{bucket}.example/{key}",)}, ["https://b.example/a.css"]),
    # [12] Variants: queries, resized pictures, other formats.
    ("a.png", {"urls": (*KEY, f"{A}/{{key}}?w=200", f"{A}/{{key}}?w=400")}, ["a.png", "a.png?w=200", "a.png?w=400"]),
    ("d/a.png", {"urls": (*KEY, f"{A}/{{dir}}{{stem}}.webp")}, ["d/a.png", "d/a.webp"]),
    ("d/logo.png", {"also": (PICTURES,)}, ["d/logo.png", "d/logo@2x.png", "d/logo-thumb.webp"]),
    ("logo.jpg", {"also": (PICTURES,)}, ["logo.jpg", "logo@2x.jpg", "logo-thumb.webp"]),
    ("logo.gif", {"also": (PICTURES,)}, ["logo.gif"]),
    ("a b.png", {"also": (PICTURES,)},
     ["a%20b.png", "a+b.png", "a%20b@2x.png", "a+b@2x.png", "a%20b-thumb.webp", "a+b-thumb.webp"]),
    ("100%.png", {"also": (PICTURES,)}, ["100%25.png", "100%25@2x.png", "100%25-thumb.webp"]),
    ("s/a.png", {"also": (PICTURES,), "prefix": "s/", "urls": PATH}, ["a.png", "a@2x.png", "a-thumb.webp"]),
    ("s/a.png", {"also": (Also(keys=("*",), as_=("thumbs/{path}",)),), "prefix": "s/"}, ["s/a.png", "thumbs/a.png"]),
    ("a.md", {**SITE, "also": (Also(keys=("*.md",), as_=("{dir}{stem}/index.html",)),)},
     ["a.md", "a/index.html", "a/", "a", "a/index"]),
    ("a.png", {"also": (PICTURES, Also(keys=("a*",), as_=("{key}",)))}, ["a.png", "a@2x.png", "a-thumb.webp"]),
]  # fmt: skip


@pytest.mark.parametrize(("key", "members", "paths"), ROWS)
def test_urls_of_a_key(key: str, members: dict[str, Any], paths: list[str]) -> None:
    assert urls(key, **members) == {path if "://" in path else f"{A}/{path}" for path in paths}


@pytest.mark.parametrize(("key", "members", "paths"), ROWS[:30])
def test_created_object_frees_a_cached_404_under_every_url_that_its_removal_drops(
    key: str, members: dict[str, Any], paths: list[str]
) -> None:  # [4]
    assert purged(key, CREATED, **members) == purged(key, REMOVED, **members)


# [13] Prefixes, tags and hosts

ROOT_ROWS: list[tuple[str, dict[str, Any], dict[TargetKind, set[str]]]] = [
    ("d/a", {"prefixes": (f"{A}/{{dir}}",)}, {TargetKind.PREFIX: {f"{A}/d/"}}),
    ("a", {"prefixes": (f"{A}/{{dir}}",)}, {TargetKind.URL: {f"{A}/a"}}),
    # Vendors merge slashes, and resolve segments of dots: each of these is a whole host to some.
    ("/a", {"prefixes": (f"{A}/{{dir}}",)}, {TargetKind.URL: {f"{A}//a"}}),
    ("//a", {"prefixes": (f"{A}/{{dir}}",)}, {TargetKind.URL: {f"{A}///a"}}),
    ("./a", {"prefixes": (f"{A}/{{dir}}",)}, {TargetKind.URL: {f"{A}/./a"}}),
    ("d/../a", {"prefixes": (f"{A}/{{dir}}",)}, {TargetKind.URL: {f"{A}/d/../a"}}),
    ("\\/a", {"prefixes": (f"{A}/{{dir}}",), "spellings": ("raw",)}, {TargetKind.URL: {f"{A}/\\/a"}}),
    ("s//", {"prefixes": (f"{A}/{{path}}",), "prefix": "s"}, {TargetKind.URL: {f"{A}///"}}),
    ("/", {"prefixes": (f"{A}/{{dir}}{{stem}}",)}, {TargetKind.URL: {f"{A}//"}}),
    ("/d/a", {"prefixes": (f"{A}/{{dir}}",)}, {TargetKind.PREFIX: {f"{A}//d/"}}),
    ("d/../e/a", {"prefixes": (f"{A}/{{dir}}",)}, {TargetKind.PREFIX: {f"{A}/d/../e/"}}),
    (".d/a", {"prefixes": (f"{A}/{{dir}}",)}, {TargetKind.PREFIX: {f"{A}/.d/"}}),
    ("/a", {"prefixes": (f"{A}/{{dir}}",), "allow_root": True}, {TargetKind.PREFIX: {f"{A}//"}}),
    ("a", {"prefixes": (f"{A}/{{dir}}",), "allow_root": True}, {TargetKind.PREFIX: {f"{A}/"}}),
    ("a", {"prefixes": (f"{A}/",)}, {TargetKind.PREFIX: {f"{A}/"}}),
    ("a", {"prefixes": (f"{A}/x/{{dir}}",)}, {TargetKind.PREFIX: {f"{A}/x/"}}),
    ("a b", {"prefixes": (f"{A}/{{dir}}",)}, {TargetKind.URL: {f"{A}/a%20b", f"{A}/a+b"}}),
    ("index.html", {"prefixes": (f"{A}/{{dir}}",), "index": "index.html"},
     {TargetKind.URL: {f"{A}/index.html", f"{A}/"}}),
    ("s/a", {"prefixes": (f"{A}/{{path}}",), "prefix": "s/"}, {TargetKind.PREFIX: {f"{A}/a"}}),
    ("s/", {"prefixes": (f"{A}/{{path}}",), "prefix": "s/"}, {TargetKind.URL: {f"{A}/"}}),
    # A page's other URLs are no prefixes: "dir/" would be all of the directory.
    ("d/index.html", {"prefixes": (f"{A}/{{key}}",), "index": "index.html", "bare": True, "strip": (".html",)},
     {TargetKind.PREFIX: {f"{A}/d/index.html"}}),
    ("d/index.html", {"tags": ("{key}",), "index": "index.html"}, {TargetKind.TAG: {"d/index.html"}}),
    ("a", {"tags": ("{dir}",)}, {}),
    ("a.png", {"tags": ("{key}",), "also": (PICTURES,)}, {TargetKind.TAG: {"a.png", "a@2x.png", "a-thumb.webp"}}),
]  # fmt: skip


@pytest.mark.parametrize(("key", "members", "expected"), ROOT_ROWS)
def test_prefixes_and_tags_of_a_key(key: str, members: dict[str, Any], expected: dict[TargetKind, set[str]]) -> None:
    assert purged(key, **{"urls": (), **members}) == expected


# What the config refuses


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ("bare: true", "bare: needs `index`"),
        ("strip: ['']", "strip[0]: is the end of a file's name"),
        ("strip: [a/b]", "strip[0]: is the end of a file's name"),
        ("also: [{keys: ['*'], as: ['{no}']}]", "also[0].as[0]: unknown placeholder {no}"),
        ("also: [{keys: ['*']}]", "also[0]: "),
        ("also: [{keys: [], as: ['a']}]", "also[0].keys: "),
        ("also: [{key: ['*'], as: ['a']}]", "also[0].key: unknown member 'key'; did you mean 'keys'?"),
        ("prefix: s/\n    also: [{keys: ['*'], as: ['t/{path}']}]", "may leave the prefix 's/'"),
        ("prefix: s\n    also: [{keys: ['*'], as: ['{dir}t']}]", "may leave the prefix 's'"),
        ("collapse: sometimes", "collapse: "),
        ("collapse: {over: 0}", "collapse.over: "),
        ("collapse: {over: 5, budget: 5}", "collapse: write either over or budget"),
        ("collapse: {harm: 1}", "collapse: write either over or budget"),
        ("tags_from: cache-tag", "can't purge by `tags`"),
    ],
)
def test_wrong_route_is_refused_where_it_is_wrong(members: str, message: str) -> None:
    text = f"""
version: 1
providers:
  px: {{type: pixboost, secret: "${{env:PX}}", domain: images.acme.com}}
routes:
  - bucket: b
    urls: ["{A}/{{path}}"]
    purge: [px]
    {members}
"""
    with pytest.raises(ConfigError) as caught:
        config.parse(text, "c.yml", Plugins())
    assert any(message in problem for problem in caught.value.problems), caught.value.problems


def test_prefixes_that_may_become_urls_need_a_provider_that_purges_these() -> None:
    text = f"""
version: 1
providers: {{site: {{type: cloudfront, distribution: E1}}}}
routes:
  - {{bucket: b, prefixes: ["{A}/{{dir}}"], purge: [site]}}
"""
    assert config.parse(text, "c.yml", Plugins()).routes[0].prefixes == (f"{A}/{{dir}}",)


# Every form and nothing else: against a model of a web site, which goes the other way, from a request to the object.


class Site:
    """What a web server does with a request: which keys' objects may be the answer.

    Args:
        hosts: with what stands before the path of the key, such as ``a.example/docs/``.
        prefix: of the keys, which the URLs lack if ``relative``.
    """

    def __init__(self, hosts: list[str], prefix: str, index: str, bare: bool, strip: list[str], relative: bool) -> None:
        self.hosts, self.prefix, self.index, self.bare, self.strip = hosts, prefix, index, bare, strip
        self.relative = relative

    def answers(self, url: str) -> set[str]:
        """Keys whose objects may be the answer to a request."""
        found: set[str] = set()
        for host in self.hosts:
            for name in self._names(url, f"https://{host}"):
                found |= {(self.prefix if self.relative else "") + path for path in self._paths(name)}
        return {key for key in found if key.startswith(self.prefix)}

    def _names(self, url: str, base: str) -> Iterator[str]:
        if url.startswith(base):
            path = url.removeprefix(base)
            assert not urlsplit(url).query
            yield unquote(path)
            yield unquote(path.replace("+", " "))  # S3 reads it so
        elif self.bare and self.index and url + "/" == base:
            yield ""

    def _paths(self, name: str) -> Iterator[str]:
        yield name
        if self.index and (name.endswith("/") or not name):
            yield name + self.index
        if self.index and self.bare and name and not name.endswith("/"):
            yield f"{name}/{self.index}"
        yield from (name + ending for ending in self.strip if name and not name.endswith("/"))

    def requests(self, key: str) -> Iterator[str]:
        """URLs that browsers may ask for a key by: how pages link to it, escaped as browsers do."""
        name = key.removeprefix(self.prefix) if self.relative else key
        names = {name}
        if self.index and re.fullmatch(rf"(.*/)?{re.escape(self.index)}", name, re.DOTALL):
            folder = name[: -len(self.index)]
            names |= {folder, folder[:-1]} if self.bare and len(folder) > 1 and folder[-2] != "/" else {folder}
        for ending in self.strip:
            if name.endswith(ending) and re.search(r"[^/]$", name.removesuffix(ending)):
                names.add(name.removesuffix(ending))
        for host in self.hosts:
            for each in names:
                escaped = "".join(map(_browser, each))
                yield f"https://{host}{escaped}"  # an origin that reads a plus as itself
                safe = escaped.replace("+", "%2B")
                yield f"https://{host}{safe}"
                yield f"https://{host}{safe.replace('%20', '+')}"  # S3, which reads it as a blank


def _browser(character: str) -> str:
    """Escape a character of a path as browsers do: WHATWG URL standard, path percent-encode set; and "%" itself."""
    if character in '"#<>?`{}%^ ' or not "!" <= character <= "~":
        return "".join(f"%{byte:02X}" for byte in character.encode())
    return character


NAMES = st.text(st.sampled_from("ab. +~é'*%"), min_size=1, max_size=5)
FOLDERS = st.lists(NAMES, max_size=2).map(lambda names: "".join(f"{name}/" for name in names))
LASTS = st.one_of(NAMES, st.just("index.html"), NAMES.map(lambda name: f"{name}.html"))
HOSTS = st.lists(
    st.sampled_from(["a.example/", "b.example/", "a.example/docs/", "a.example/docs/v2/"]),
    min_size=1, max_size=3, unique=True,
)  # fmt: skip
SITES = st.builds(
    Site,
    hosts=HOSTS,
    prefix=st.sampled_from(["", "p/", "p/q r/", "p+q/"]),
    index=st.sampled_from(["", "index.html"]),
    bare=st.booleans(),
    strip=st.lists(st.sampled_from([".html", "html", ".a"]), max_size=2, unique=True),
    relative=st.booleans(),
)


def of_site(site: Site) -> dict[str, Any]:
    """The members of a route for a site."""
    placeholder = "{path}" if site.relative else "{key}"
    return {
        "prefix": site.prefix,
        "index": site.index,
        "bare": site.bare,
        "strip": tuple(site.strip),
        "urls": tuple(f"https://{host}{placeholder}" for host in site.hosts),
    }


@given(SITES, FOLDERS, LASTS)
def test_every_url_that_the_site_answers_with_the_object_is_purged(site: Site, folder: str, last: str) -> None:
    key = site.prefix + folder + last
    assert set(site.requests(key)) <= urls(key, **of_site(site))


@given(SITES, FOLDERS, LASTS)
def test_no_url_is_purged_that_the_site_answers_with_something_else(site: Site, folder: str, last: str) -> None:
    key = site.prefix + folder + last
    for url in urls(key, **of_site(site)):
        assert key in site.answers(url), url


@given(SITES, FOLDERS, LASTS)
def test_alternate_keys_are_purged_as_if_they_had_changed(site: Site, folder: str, last: str) -> None:
    key = site.prefix + folder + last
    members = of_site(site)
    other = Also(keys=("*",), as_=("{key}.gz", "{dir}small-{name}"))
    directory = key[: key.rfind("/") + 1]
    expected = urls(key, **members) | urls(f"{key}.gz", **members)
    expected |= urls(f"{directory}small-{key.removeprefix(directory)}", **members)
    assert urls(key, **members, also=(other,)) == expected

"""From a key to the URLs that caches know it by."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multicdn.routing import placeholders, spellings, url_templates

KEY = "https://a.example/{key}"
PATH = "https://a.example/{path}"
PIECES = "https://a.example/{dir}|{name}|{stem}|{ext}"
BASE = "https://a.example/"


def expand(key: str, *texts: str, prefix: str = "", index: str = "", bucket: str = "acme-site") -> list[str]:
    forms = url_templates.forms(index)
    return url_templates.expand([placeholders.parse(text) for text in texts], bucket, key, prefix, forms)


# key, prefix, index, templates, expected
Row = tuple[str, str, str, tuple[str, ...], list[str]]

ROWS: list[Row] = [
    # Plain keys.
    ("a.css", "", "", (KEY,), [f"{BASE}a.css"]),
    ("dir/sub/a.css", "", "", (KEY,), [f"{BASE}dir/sub/a.css"]),
    ("a.css", "", "", (KEY, "https://b.example/x/{key}?v=1"), [f"{BASE}a.css", "https://b.example/x/a.css?v=1"]),
    ("a.css", "", "", (KEY, KEY), [f"{BASE}a.css"]),
    ("a.css", "", "", (), []),
    ("a.css", "", "", ("https://a.example/sitemap.xml",), [f"{BASE}sitemap.xml"]),
    ("a.css", "", "", ("https://{bucket}.s3.example/{key}",), ["https://acme-site.s3.example/a.css"]),
    ("a", "", "", ("{key}-{key}",), ["a-a"]),
    # Prefixes.
    ("assets/a.css", "assets/", "", (PATH,), [f"{BASE}a.css"]),
    ("assets/a.css", "assets/", "", (KEY,), [f"{BASE}assets/a.css"]),
    ("assets/a.css", "", "", (PATH,), [f"{BASE}assets/a.css"]),
    ("assets/a.css", "assets", "", (PATH,), [f"{BASE}/a.css"]),
    ("assets/a.css", "ass", "", (PATH,), [f"{BASE}ets/a.css"]),
    ("assets/", "assets/", "", (PATH,), [BASE]),
    ("größe/a.css", "größe/", "", (PATH,), [f"{BASE}a.css"]),
    ("a b/c d", "a b/", "", (PATH,), [f"{BASE}c%20d", f"{BASE}c+d"]),
    ("a b/c", "a b/", "", (PATH,), [f"{BASE}c"]),
    ("a+b/c+d", "a+b/", "", (PATH,), [f"{BASE}c%2Bd", f"{BASE}c+d"]),
    # Index documents.
    ("index.html", "", "index.html", (KEY,), [f"{BASE}index.html", BASE]),
    ("dir/index.html", "", "index.html", (KEY,), [f"{BASE}dir/index.html", f"{BASE}dir/"]),
    ("dir/index.html", "dir/", "index.html", (PATH,), [f"{BASE}index.html", BASE]),
    ("dir/index.html", "", "", (KEY,), [f"{BASE}dir/index.html"]),
    ("dir/my-index.html", "", "index.html", (KEY,), [f"{BASE}dir/my-index.html"]),
    ("my-index.html", "", "index.html", (KEY,), [f"{BASE}my-index.html"]),
    ("dir/index.html/a", "", "index.html", (KEY,), [f"{BASE}dir/index.html/a"]),
    ("dir/default.htm", "", "default.htm", (KEY,), [f"{BASE}dir/default.htm", f"{BASE}dir/"]),
    ("a b/index.html", "", "index.html", (KEY,),
     [f"{BASE}a%20b/index.html", f"{BASE}a+b/index.html", f"{BASE}a%20b/", f"{BASE}a+b/"]),
    ("d/index.html", "", "index.html", (KEY, "https://b.example/{key}"),
     [f"{BASE}d/index.html", "https://b.example/d/index.html", f"{BASE}d/", "https://b.example/d/"]),
    ("d/index.html", "", "index.html", ("https://a.example/fixed",), [f"{BASE}fixed"]),
    # Pieces.
    ("dir/a.tar.gz", "", "", (PIECES,), [f"{BASE}dir/|a.tar.gz|a.tar|.gz"]),
    ("a.css", "", "", (PIECES,), [f"{BASE}|a.css|a|.css"]),
    ("dir/README", "", "", (PIECES,), [f"{BASE}dir/|README|README|"]),
    ("dir/.htaccess", "", "", (PIECES,), [f"{BASE}dir/|.htaccess|.htaccess|"]),
    ("dir.d/README", "", "", (PIECES,), [f"{BASE}dir.d/|README|README|"]),
    ("a.", "", "", (PIECES,), [f"{BASE}|a.|a|."]),
    ("dir/", "", "", (PIECES,), [f"{BASE}dir/|||"]),
    ("/", "", "", (PIECES,), [f"{BASE}/|||"]),
    ("/a", "", "", (PIECES,), [f"{BASE}/|a|a|"]),
    ("//a//b.c", "", "", (PIECES,), [f"{BASE}//a//|b.c|b|.c"]),
    ("..", "", "", (PIECES,), [f"{BASE}|..|.|."]),
    ("a/b.html", "", "", ("https://a.example/{dir}{stem}",), [f"{BASE}a/b"]),
    ("root.html", "", "", ("{dir}",), [""]),
    # Blanks and pluses: S3 reads "+" as a blank, other origins as itself.
    ("a b", "", "", (KEY,), [f"{BASE}a%20b", f"{BASE}a+b"]),
    ("a+b", "", "", (KEY,), [f"{BASE}a%2Bb", f"{BASE}a+b"]),
    ("a b+c", "", "", (KEY,), [f"{BASE}a%20b%2Bc", f"{BASE}a+b%2Bc", f"{BASE}a%20b+c"]),
    ("a  b", "", "", (KEY,), [f"{BASE}a%20%20b", f"{BASE}a++b"]),
    ("a b/c", "", "", ("https://a.example/{name}",), [f"{BASE}c"]),
]  # fmt: skip


# The likeliest spelling of odd keys; test_spellings.py has the others.
ODD: list[tuple[str, str]] = [
    # Every page may write these as they are.
    ("~!*()@:,$;='&", f"{BASE}~!*()@:,$;='&"),
    ("-._09azAZ", f"{BASE}-._09azAZ"),
    # And these it must escape.
    ('[]{}|^`"<>\\', f"{BASE}%5B%5D%7B%7D%7C%5E%60%22%3C%3E%5C"),
    ("q?a=1&b=2#c;d", f"{BASE}q%3Fa=1&b=2%23c;d"),
    ("100%", f"{BASE}100%25"),
    ("%25", f"{BASE}%2525"),
    ("%2Fnot", f"{BASE}%252Fnot"),
    ("%20", f"{BASE}%2520"),
    ("%2B", f"{BASE}%252B"),
    ("größe/中文/😀", f"{BASE}gr%C3%B6%C3%9Fe/%E4%B8%AD%E6%96%87/%F0%9F%98%80"),
    ("tab\tline\nnul\x00", f"{BASE}tab%09line%0Anul%00"),
    ("../up/./here", f"{BASE}../up/./here"),
    ("//double//slash", f"{BASE}//double//slash"),
    ("{key}", f"{BASE}%7Bkey%7D"),
    ("{0}", f"{BASE}%7B0%7D"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "prefix", "index", "texts", "expected"), ROWS)
def test_texts_of_a_key(key: str, prefix: str, index: str, texts: tuple[str, ...], expected: list[str]) -> None:
    assert expand(key, *texts, prefix=prefix, index=index) == expected


@pytest.mark.parametrize(("key", "expected"), ODD)
def test_likeliest_text_of_an_odd_key(key: str, expected: str) -> None:
    assert expand(key, KEY)[0] == expected
    assert expand(key, PATH)[0] == expected


def test_longest_key_of_s3() -> None:
    assert expand("é" * 512, KEY) == [BASE + "%C3%A9" * 512, BASE + "%c3%a9" * 512]


def test_bucket_is_encoded_like_a_host() -> None:
    assert expand("k", "{bucket}", bucket="a/b c") == ["a%2Fb%20c"]


@pytest.mark.parametrize("name", placeholders.PLACEHOLDERS)
def test_template_knows_its_placeholders(name: str) -> None:
    parsed = placeholders.parse(f"a{{{name}}}b{{key}}")
    assert parsed.fields == {name, "key"}
    assert parsed.text == f"a{{{name}}}b{{key}}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "{}",
            "unknown placeholder {}; known: {key}, {path}, {dir}, {name}, {stem}, {ext}, {bucket}, {first}, {rest}, "
            "{segment1} to {segment9}",
        ),
        ("{0}", "unknown placeholder {0}; known: "),
        ("{key:>9}", "unknown placeholder {key:>9}; known: "),
        ("{key.__class__}", "unknown placeholder {key.__class__}; known: "),
        ("{ key }", "unknown placeholder { key }; known: "),
        ("{", "a brace without its partner"),
        ("a}", "a brace without its partner"),
        ("{key}}", "a brace without its partner"),
        ("{{key}}", "a brace without its partner"),
        ("}key{", "a brace without its partner"),
    ],
)
def test_wrong_template_is_a_value_error(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        placeholders.parse(text)
    assert str(caught.value).startswith(message)


KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
KEYS_WITH_SIGNS = st.text(st.sampled_from("ab/.+ %2BF0?#ü"), min_size=1, max_size=12)


@given(KEYS | KEYS_WITH_SIGNS)
def test_pieces_add_up(key: str) -> None:
    [directory] = expand(key, "{dir}")[:1]
    [name] = expand(key, "{name}")[:1]
    [stem] = expand(key, "{stem}")[:1]
    [ext] = expand(key, "{ext}")[:1]
    [whole] = expand(key, "{key}")[:1]
    assert directory + name == whole
    assert stem + ext == name
    assert directory == "" or directory.endswith("/")
    assert "/" not in name


@given(KEYS | KEYS_WITH_SIGNS)
def test_first_url_decodes_to_the_key(key: str) -> None:
    first, *others = expand(key, KEY)
    assert unquote(first.removeprefix(BASE)) == key
    assert first.isascii()
    assert not set(' ?#"<>\\^`{|}') & set(first)
    # The other spellings decode to it as well, but for what S3 reads as a blank.
    assert {unquote(other.removeprefix(BASE)).replace("+", " ") for other in others} <= {key.replace("+", " ")}
    assert len({first, *others}) == 1 + len(others) <= spellings.MOST


@given(KEYS_WITH_SIGNS, KEYS_WITH_SIGNS)
def test_path_is_the_key_without_its_prefix_in_every_spelling(prefix: str, rest: str) -> None:
    assert set(expand(prefix + rest, "{path}", prefix=prefix)) == set(expand(rest, "{key}"))


@given(KEYS_WITH_SIGNS, KEYS_WITH_SIGNS)
def test_each_path_completes_its_prefix(prefix: str, rest: str) -> None:
    keys = expand(prefix + rest, "{key}", prefix=prefix)
    [first] = expand(prefix + rest, "{path}", prefix=prefix)[:1]
    assert keys[0] == quote(prefix, safe="/!$&'()*,;=:@~") + first


@given(KEYS_WITH_SIGNS)
def test_index_document_adds_its_folder_and_nothing_else(folder: str) -> None:
    key = f"{folder}/index.html"
    found = expand(key, KEY, index="index.html")
    assert set(found) == {*expand(key, KEY), *expand(f"{folder}/", KEY)}

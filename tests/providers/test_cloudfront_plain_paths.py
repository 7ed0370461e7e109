"""The quick way to a CloudFront path gives what the careful one gives, wherever it gives anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multicdn_providers.cloudfront.paths import item, path_of, plain_path_of, spellings

from multicdn.errors import TargetsRefused
from multicdn.model import Target, TargetKind

URLS = st.builds(
    lambda scheme, host, path: f"{scheme}://{host}{path}",
    st.sampled_from(["https", "http", "HTTPS", "ftp", ""]),
    st.sampled_from(["www.acme.com", "a:8080", ""]),
    st.lists(st.sampled_from("/ab.-_~*+%2B7Eé ?#'@") | st.integers(0, 255).map("%{:02X}".format), max_size=8).map(
        lambda parts: "/" + "".join(parts)
    )
    | st.just(""),
)


def carefully(url: str) -> list[Target] | None:
    try:
        return [item(path, wild=False) for path in spellings(path_of(url))]
    except TargetsRefused:
        return None


@given(URLS)
def test_plain_path_is_the_only_spelling(url: str) -> None:
    path = plain_path_of(url)
    if path:
        assert carefully(url) == [Target(TargetKind.URL, path)]


@pytest.mark.parametrize("escape", [form % code for code in range(256) for form in ("%%%02X", "%%%02x")])
def test_plain_escapes_are_those_that_have_one_spelling(escape: str) -> None:
    path = f"/a{escape}b"
    careful = carefully(f"https://www.acme.com{path}")
    assert (plain_path_of(f"https://www.acme.com{path}") == path) == (careful == [Target(TargetKind.URL, path)])


@pytest.mark.parametrize("path", ["/", "/a.css", "/a/b-c_d.e/", "//a", "/../a", "/a+b", "/a%20b", "/it's", "/%c3%A9"])
def test_usual_paths_take_the_quick_way(path: str) -> None:
    assert plain_path_of(f"https://www.acme.com{path}") == path


@pytest.mark.parametrize("path", ["", "/a~", "/a%7e", "/a*", "/a%2Bb", "/a%", "/é", "/\u017f", "/a?b", "/a#b", "/a\n"])
def test_others_do_not(path: str) -> None:
    assert plain_path_of(f"https://www.acme.com{path}") == ""

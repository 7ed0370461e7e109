"""The documentation site is built once, strictly, and looked at: links, what it loads from elsewhere, what is in it."""

from __future__ import annotations

import re
import subprocess
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest
import website
from kit.environments import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


class Page(HTMLParser):
    """What a page of the site names: places in it, links, and what a browser loads at once."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given["id"]} if "id" in given else set()
        self.links += [given["href"]] if tag == "a" and "href" in given else []
        loaded = given.get("href" if tag == "link" else "src", "") if tag in {"link", "script", "img", "iframe"} else ""
        self.loaded += [loaded] if loaded and given.get("rel") != "canonical" else []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return website.build(tmp_path_factory.mktemp("website"))


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html") if path.name != "404.html"}


def test_every_page_is_there_and_in_the_order(pages: dict[Path, Page], site: Path) -> None:
    names = {str(path.relative_to(site).with_suffix("")) for path in pages}
    written = {str(path.relative_to(ROOT / "docs").with_suffix("")) for path in (ROOT / "docs").rglob("*.md")}
    assert names == written | set(website.BESIDE)
    home = pages[site / "index.html"]
    assert {link.partition("#")[0].removeprefix("./") for link in home.links} >= {f"{name}.html" for name in names}


def test_every_link_leads_somewhere(pages: dict[Path, Page]) -> None:
    lost = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            there = target.exists() and (not parts.fragment or unquote(parts.fragment) in pages[target].ids | {""})
            lost += [] if there else [(path.name, link)]
    assert lost == []


def test_nothing_is_loaded_from_elsewhere(pages: dict[Path, Page], site: Path) -> None:
    for path, page in pages.items():
        for address in page.loaded:
            assert not urlsplit(address).netloc, (path.name, address)
            assert (path.parent / unquote(urlsplit(address).path)).exists(), (path.name, address)
        # By which the theme's own code would ask a forge for facts about the repository.
        assert 'data-md-component="source"' not in path.read_text(encoding="utf-8"), path.name
    for style in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import\s*)[\"']?(?:https?:)?//", style.read_text(encoding="utf-8")) == [], style


def test_pictures_are_drawn_by_what_is_there(pages: dict[Path, Page]) -> None:
    """Without it, the theme fetches Mermaid from elsewhere."""
    drawn = [path for path in pages if 'class="mermaid"' in path.read_text(encoding="utf-8")]
    assert [path.stem for path in drawn] == ["architecture"]
    for path in drawn:
        [script] = [address for address in pages[path].loaded if "mermaid" in address]
        assert (path.parent / script).read_text(encoding="utf-8").count("flowchart") > 20


def test_the_search_knows_every_page(site: Path, pages: dict[Path, Page]) -> None:
    index = (site / "search.json").read_text(encoding="utf-8")
    assert [path for path in pages if str(path.relative_to(site)) not in index] == []
    assert (site / "search.js").exists()  # for pages that are opened from disk


def test_the_list_for_programs_has_a_sentence_of_every_page(site: Path, pages: dict[Path, Page]) -> None:
    text = (site / "llms.txt").read_text(encoding="utf-8")
    lines = re.findall(r"^- \[(.+?)\]\((.+?\.md)\): (.+)$", text, re.MULTILINE)
    assert {name for _, name, _ in lines} == {str(path.relative_to(site).with_suffix(".md")) for path in pages}
    for title, name, sentence in lines:
        assert len(sentence) > 15, name
        assert (site / name).read_text(encoding="utf-8").count(f"# {title}\n"), name
    whole = (site / "llms-full.txt").read_text(encoding="utf-8")
    assert all((site / name).read_text(encoding="utf-8") in whole for _, name, _ in lines)


def test_nothing_of_the_site_is_kept_by_git_or_in_the_package() -> None:
    ignored = subprocess.run(["git", "check-ignore", "build/website"], cwd=ROOT, capture_output=True, check=False)
    assert ignored.returncode == 0
    assert "zensical" not in re.findall(r"(?s)dependencies = \[.*?\]", (ROOT / "pyproject.toml").read_text("utf-8"))[0]


def test_no_word_of_a_page_is_lost_on_the_site() -> None:
    """Links are written anew on the way; nothing else may go."""
    for name, text in website.pages().items():
        file = ROOT / website.BESIDE.get(name, f"docs/{name}.md")
        words = re.sub(r"\[[^\]]*\]\([^)]*\)|^\[.*\]: .*$", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        # What is in brackets, and defined at the end of a page, is written anew, too.
        lost = [word for word in words.split() if word not in text and not {*"[]"} & {*word}]
        assert [word for word in lost if re.search(r"\w", word)] == [], name


def test_links_of_a_page_are_those_of_the_site() -> None:
    pages = website.pages()
    assert "[Installing](install.md#secrets)" in pages["config"]
    assert "[The config file](config.md)" in pages["index"]
    assert "](https://github.com/multicdn/multicdn/blob/main/docs" not in "".join(pages.values())
    assert "](../config.md#secrets)" in pages["vendors/fastly"]

"""Build the documentation site: ``python docs/website.py [FOLDER]``. Strict, and without a network.

The pages of docs/ are the site's. What is added on the way: the README as first page, the project's own pages, the
order of all, Mermaid where a page has pictures, and llms.txt (https://llmstxt.org).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SETTINGS = ROOT / "zensical.toml"
HOME = "https://github.com/multicdn/multicdn/blob/main"

#: What readers come for, in the order in which they do. Pages that stand nowhere here are part of the reference.
SECTIONS = {
    "Start": ("index", "install", "local"),
    "How to": ("on-call", "doctor", "deploys", "ci", "pipelines", "migrate", "plugins"),
    "Reference": ("config", "vendors/*", "commands", "options", "logs", "alarms", "publish", "cost"),
    "How it works": ("delivery", "proof", "performance", "architecture", "contributing", "security", "changelog"),
}
_REST = "Reference"

#: Pages of the site -> files beside docs/.
BESIDE = {
    "index": "README.md",
    "contributing": "CONTRIBUTING.md",
    "security": "SECURITY.md",
    "changelog": "CHANGELOG.md",
}

#: The same the other way round.
BESIDE_NAMES = {ROOT / file: f"{name}.md" for name, file in BESIDE.items()}

_LINK = re.compile(r"(\]\(|^\[[^\]]+\]: )([^)\s#]+)", re.MULTILINE)
_NAMED_BY_FILE = re.compile(r"\[(?:docs/)?[\w-]+\.md\]\(([\w/.-]+\.md)([^)\s]*)\)")
_DEFINED = re.compile(r"^\[([^\]]+)\]: (\S+)\n", re.MULTILINE)
_PICTURE = re.compile(r"^```mermaid\n(\w+).*?^```$", re.DOTALL | re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_NOT_SHOWN = shutil.ignore_patterns("*.py", "*.md", "__pycache__")
_MERMAID = "assets/mermaid.min.js"


def pages() -> dict[str, str]:
    """The Markdown of each page of the site, by its name: a path below docs/ without the ending."""
    files = {str(path.relative_to(DOCS).with_suffix("")): path for path in sorted(DOCS.rglob("*.md"))}
    files |= {name: ROOT / file for name, file in BESIDE.items()}
    titles = {path: title(path.read_text(encoding="utf-8")) for path in files.values()}
    return {name: _page(name, file, titles) for name, file in files.items()}


def _page(name: str, file: Path, titles: Mapping[Path, str]) -> str:
    text = file.read_text(encoding="utf-8")
    # Files are called by their titles here, and what the end of a page defines stands where it is used.
    addresses = dict(_DEFINED.findall(text))
    text = _DEFINED.sub("", text)
    for label, address in addresses.items():
        text = re.sub(rf"\[{re.escape(label)}\](?![(\[])", lambda _, link=f"[{label}]({address})": link, text)
    text = _LINK.sub(lambda link: link[1] + _on_the_site(link[2], name, file), text)
    by_page = {f"{BESIDE_NAMES.get(path) or path.relative_to(DOCS)}": words for path, words in titles.items()}
    text = _NAMED_BY_FILE.sub(
        lambda link: f"[{by_page.get(link[1].replace('../', ''), link[1])}]({link[1]}{link[2]})", text
    )
    if _PICTURE.search(text):
        text = _PICTURE.sub(lambda found: f'<div class="{found[1]}" markdown>\n\n{found[0]}\n\n</div>', text)
        text += f'\n<script src="{"../" * name.count("/")}{_MERMAID}"></script>\n'
    return text


def _on_the_site(link: str, name: str, file: Path) -> str:
    """Where a link of a file leads on the site; to what isn't on it, the project's address."""
    own = link.startswith(f"{HOME}/")
    if not own and "://" in link:
        return link
    target = (ROOT / link.removeprefix(f"{HOME}/") if own else file.parent / link).resolve()
    up = "../" * name.count("/")
    for page, beside in BESIDE.items():
        if target == ROOT / beside:
            return f"{up}{page}.md"
    inside = target.is_relative_to(DOCS) and target.suffix != ".py"
    return f"{up}{target.relative_to(DOCS)}" if inside else f"{HOME}/{target.relative_to(ROOT)}"


def sections(names: list[str]) -> dict[str, list[str]]:
    """The names of all pages in the order in which the site has them."""
    found: dict[str, list[str]] = {title: [] for title in SECTIONS}
    for title, patterns in SECTIONS.items():
        for pattern in patterns:
            found[title] += [name for name in names if Path(name).match(pattern)]
    placed = {name for section in found.values() for name in section}
    found[_REST] += [name for name in names if name not in placed]
    return found


def title(text: str) -> str:
    """The title of a page: its first heading."""
    return re.findall(r"^# (.+)$", text, re.MULTILINE)[0]


def summary(text: str) -> str:
    """The first sentence of a page."""
    paragraph = re.findall(r"^(?![#<|!\[\s-]).+(?:\n.+)*", _FENCE.sub("", text), re.MULTILINE)[0]
    sentence = re.match(r".+?(?:\.(?=\s|\*\*|$)|:$)", paragraph.replace("\n", " "))
    return re.sub(r"\[([^\]]+)\](?:\([^)]*\)|\[[^\]]*\])?", r"\1", (sentence or [paragraph])[0]).strip("*").rstrip(".:")


def llms(texts: dict[str, str]) -> str:
    """An index of the pages for programs that read: a line for each, with the first sentence of it."""
    lines = ["# multicdn", "", f"> {summary(texts['index'])}.", ""]
    for heading, names in sections(list(texts)).items():
        lines += [f"## {heading}", ""]
        lines += [f"- [{title(texts[name])}]({name}.md): {summary(texts[name])}." for name in names]
        lines += [""]
    return "\n".join(lines)


def llms_full(texts: dict[str, str]) -> str:
    """All pages, one after the other."""
    return "\n".join(texts[name] for names in sections(list(texts)).values() for name in names)


def build(folder: Path) -> Path:
    """Build the site in an empty folder, and return where it is.

    Raises:
        subprocess.CalledProcessError: a link leads nowhere, or anything else that the builder warns of; it said what.
    """
    texts = pages()
    _write({f"{name}.md": text for name, text in texts.items()}, folder / "pages")
    shutil.copytree(DOCS, folder / "pages", ignore=_NOT_SHOWN, dirs_exist_ok=True)
    (folder / "pages" / _MERMAID).write_bytes(resources.files("mermaidx").joinpath("assets/mermaid.js").read_bytes())
    (folder / SETTINGS.name).write_text(_settings(texts), encoding="utf-8")
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", SETTINGS.name]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    site = folder / tomllib.loads(SETTINGS.read_text(encoding="utf-8"))["project"]["site_dir"]
    # Programs read the Markdown itself, which stands beside each page.
    _write({f"{name}.md": text for name, text in texts.items()}, site)
    _write({"llms.txt": llms(texts), "llms-full.txt": llms_full(texts)}, site)
    return site


def _settings(texts: dict[str, str]) -> str:
    """The settings with the order of the pages in them."""
    nav = ", ".join(
        f"{{ {json.dumps(heading)} = {_listed(names)} }}" for heading, names in sections(list(texts)).items()
    )
    return SETTINGS.read_text(encoding="utf-8").replace("[project]\n", f"[project]\nnav = [{nav}]\n", 1)


def _listed(names: list[str]) -> str:
    """A list as TOML has it. Pages of one folder stand below its name."""
    entries: dict[str, str] = {}
    for name in names:
        folder = name.rpartition("/")[0]
        below = _listed_plainly([each for each in names if each.startswith(f"{folder}/")])
        entries[folder or name] = (
            f"{{ {json.dumps(folder.title())} = {below} }}" if folder else json.dumps(f"{name}.md")
        )
    return f"[{', '.join(entries.values())}]"


def _listed_plainly(names: list[str]) -> str:
    return json.dumps([f"{name}.md" for name in names])


def _write(files: dict[str, str], folder: Path) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def main() -> None:
    """Build it anew in build/website, or in the folder that is named."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "website"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        site = build(folder)
    except subprocess.CalledProcessError as error:
        said = click.unstyle(error.stdout + error.stderr).partition("Traceback")[0]
        sys.exit(f"{said}the site was not built: see docs/website.py")
    print(f"{site / 'index.html'}")


if __name__ == "__main__":
    main()

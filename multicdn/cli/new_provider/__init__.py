"""``multicdn new-provider``: a distribution with a plugin for another vendor, tests and all."""

from __future__ import annotations

import importlib.util
import keyword
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

import multicdn
from multicdn.cli.terminal import say
from multicdn.plugins.discovery import Plugins

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a distribution consists of. Each text is in template/ as it is for a vendor called acme, under its path with -tpl
# at the end, lest pip compile it and tools check it.
_FILES = (
    "pyproject.toml",
    "README.md",
    ".gitignore",
    "src/multicdn_acme/__init__.py",
    "src/multicdn_acme/py.typed",
    "tests/test_acme.py",
)

_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
_SPELLINGS = re.compile(r"multicdn_acme|test_acme|acme_api|ACME|Acme|acme|@VERSION@")


class Names(NamedTuple):
    """The names of a new plugin.

    Attributes:
        plugin: in config files.
        distribution: by pip.
        module: by ``import``.
        cls: the provider class.
    """

    plugin: str
    distribution: str
    module: str
    cls: str

    @classmethod
    def of(cls, name: str) -> Names:
        """Derive all from what the vendor is called.

        Raises:
            ValueError: it can't be a name; the sentence says what can.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} can't be a name: write lower-case letters, digits and dashes, a letter first")
        if re.match(r"multicdn[-_]", name):
            raise ValueError(f"leave out the prefix: {name[len('multicdn-') :]}")
        words = re.split("[-_]", name)
        made = "".join(word.capitalize() for word in words)
        return cls("-".join(words), "-".join(("multicdn", *words)), "_".join(("multicdn", *words)), _class_name(made))

    def spell(self, text: str) -> str:
        """Put these names in the place of acme's."""
        snake = self.module.removeprefix("multicdn_")
        spelled = {
            "multicdn_acme": self.module,
            "test_acme": f"test_{snake}",
            "acme_api": f"{snake}_api",
            "ACME": snake.upper(),
            "Acme": self.cls,
            "acme": self.plugin,
            "@VERSION@": multicdn.__version__,
        }
        return _SPELLINGS.sub(lambda found: spelled[found[0]], text)


def files(names: Names) -> Mapping[str, str]:
    """The texts of all files of a distribution by their paths in it."""
    return {names.spell(path): names.spell(text) for path, text in _templates().items()}


@cache
def _templates() -> Mapping[str, str]:
    folder = Path(__file__).with_name("template")
    return {path: (folder / f"{path}-tpl").read_text(encoding="utf-8") for path in _FILES}


@click.command("new-provider")
@click.argument("name")
@click.option(
    "--into",
    default=".",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where to make the folder multicdn-NAME; default: here.",
)
def new_provider(name: str, into: Path) -> None:
    """Write a plugin for the vendor called NAME, as a distribution of its own.

    It is complete: the provider, its tests with the conformance suite, pyproject.toml, README. All passes as it is, for
    a vendor with a plain JSON API. Then put in what your vendor's documentation says.
    """
    try:
        names = Names.of(name)
        _refuse_clash(names)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from None
    folder = into / names.distribution
    if folder.exists() and any(folder.iterdir()):
        raise click.ClickException(f"{folder} is there already, and not empty")
    for path, text in files(names).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
        say(f"wrote {folder / path}")
    say(f"next: cd {folder} && pip install -e '.[test]' && pytest && mypy")


def _class_name(made: str) -> str:
    """A class name that Python takes, and that the files don't use for something else."""
    used = made != "Acme" and any(re.search(rf"\b{made}\b", text) for text in _templates().values())
    return f"{made}Cdn" if used or keyword.iskeyword(made) else made


def _refuse_clash(names: Names) -> None:
    """Refuse what two distributions would fight over.

    Raises:
        ValueError: the name is taken here.
    """
    found = Plugins().providers.get(names.plugin)
    if found:
        raise ValueError(f"there is a provider {found[0]} already")
    if importlib.util.find_spec(names.module):
        raise ValueError(f"there is a module {names.module} already")

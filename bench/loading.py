"""What it takes to read and check a config of 10,000 routes.

    python bench/loading.py [--quick]

The floor is what any loader of the same file does first: PyYAML's own in C, to texts, without a check. A bundle has the
config compiled; its floor is to read the same routes as JSON.
"""

from __future__ import annotations

import json
import py_compile
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from rig import report
from rig.events import BUCKET
from rig.figures import compared_times, interleaved, timed

from multicdn import config
from multicdn.config import compiled
from multicdn.config.checker import FILE_NAME
from multicdn.plugins.discovery import Plugins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rig.figures import Figure

TITLE = "Loading a config of 10,000 routes"
ROWS = ("from YAML", "compiled, as in a bundle")

ROUTES = 10_000

# Of the floors: a second where PyYAML takes 0.6, and 50 ms where JSON takes 10.
_MOST, _MOST_COMPILED = 1.65, 5.0


def content(routes: int = ROUTES) -> dict[str, Any]:
    """Such a config: a route for the prefix of each tenant."""
    return {
        "version": "1",
        "providers": {"site": {"type": "cloudfront", "distribution": "E8F6HK73EP0LT"}},
        "routes": [
            {
                "bucket": BUCKET,
                "prefix": f"tenant-{tenant:05}/",
                "urls": [f"https://tenant-{tenant:05}.acme.com/{{path}}"],
                "purge": ["site"],
            }
            for tenant in range(routes)
        ],
    }


def figures(*, quick: bool) -> Iterator[Figure]:
    """Measure, in a process that has loaded smaller ones before."""
    with tempfile.TemporaryDirectory(prefix="multicdn-bench-") as folder:
        file = Path(folder, FILE_NAME)
        _write(file, 10)
        config.load(file, Plugins())
        text = _write(file, ROUTES)
        _compile(file)
        sys.path.insert(0, folder)
        as_json = json.dumps(content())
        cases: dict[str, Callable[[], object]] = {
            "yaml": lambda: config.load(file, Plugins()),
            "PyYAML": lambda: yaml.load(text, Loader=yaml.CBaseLoader),  # noqa: S506 - texts only
            "compiled": lambda: _load(file),
            "json": lambda: json.loads(as_json),
        }
        works = {name: lambda work=work: timed(work, 0) for name, work in cases.items()}
        found = interleaved(works, 1 if quick else 5, warm_up=not quick)
    yield compared_times(ROWS[0], found["yaml"], found["PyYAML"], limit=_MOST)
    yield compared_times(ROWS[1], found["compiled"], found["json"], limit=_MOST_COMPILED)


def _write(file: Path, routes: int) -> str:
    text = yaml.dump(content(routes), Dumper=yaml.CSafeDumper, sort_keys=False)
    file.write_text(text, encoding="utf-8")
    return text


def _compile(file: Path) -> None:
    """As it is done where a bundle is built."""
    module = file.with_name(f"{compiled.MODULE}.py")
    module.write_bytes(compiled.source(config.load(file, Plugins()), file.read_bytes(), {}))
    py_compile.compile(str(module), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)


def _load(file: Path) -> None:
    """As a process does that has just started."""
    sys.modules.pop(compiled.MODULE, None)
    assert compiled.load(file) is not None


if __name__ == "__main__":
    sys.exit(report.main(sys.modules[__name__], __doc__))

"""What it takes to read and check a config of 10,000 routes.

    python bench/loading.py [--quick]

The floor is what any loader of the same file does first: PyYAML's own in C, to texts, without a check.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from rig import report
from rig.events import BUCKET
from rig.figures import compared_times, interleaved, timed

from multicdn import config
from multicdn.plugins.discovery import Plugins

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rig.figures import Figure

TITLE = "Loading a config of 10,000 routes"
ROWS = ("from YAML",)

ROUTES = 10_000

# Of the floor: a second where that is 0.6.
_MOST = 1.65


def text(routes: int = ROUTES) -> str:
    """Such a config: a route for the prefix of each tenant."""
    made = {
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
    return yaml.dump(made, Dumper=yaml.CSafeDumper, sort_keys=False)


def figures(*, quick: bool) -> Iterator[Figure]:
    """Measure, in a process that has loaded smaller ones before."""
    with tempfile.TemporaryDirectory(prefix="multicdn-bench-") as folder:
        file, small = Path(folder, "multicdn.config.yml"), Path(folder, "small.yml")
        file.write_text(text(), encoding="utf-8")
        small.write_text(text(10), encoding="utf-8")
        config.load(small, Plugins())
        written = file.read_text(encoding="utf-8")
        cases = {
            "yaml": lambda: timed(lambda: config.load(file, Plugins())),
            "floor": lambda: timed(lambda: yaml.load(written, Loader=yaml.CBaseLoader)),  # noqa: S506 - texts only
        }
        found = interleaved(cases, 1 if quick else 5, warm_up=not quick)
    yield compared_times(ROWS[0], found["yaml"], found["floor"], limit=_MOST)


if __name__ == "__main__":
    sys.exit(report.main(sys.modules[__name__], __doc__))

"""Built bundles as functions on loopback, each beside a floor: a handler that imports the vendor's library alone."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from multicdn import config
from multicdn.installer.bundle.build import build
from multicdn.simulators import VENDORS, Origin, load
from multicdn.testing.loopback.simulator_config import config_for
from rig.events import BUCKET, uploads
from rig.lambda_runtime import CLIENT, SDK, LambdaFunction
from rig.packages import RUNTIME, copy, fill_runtime, needed_by

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from multicdn.simulators import Simulator
    from rig.lambda_runtime import Invocation

ALL = "all seven"

# What a vendor's provider would talk through in the simplest of all functions.
_LIBRARIES = {
    **dict.fromkeys(("fastly", "edgecast", "highwinds", "pixboost"), "import requests"),
    "akamai": "from akamai.edgegrid import EdgeGridAuth; import requests",
    "cloudfront": "import boto3",
    "cloudflare": "import cloudflare",
}
LIBRARIES = {**_LIBRARIES, ALL: "; ".join(dict.fromkeys(_LIBRARIES.values()))}

_HANDLERS = """\
def empty(event, context):
    return None

def late(event, context):
    {library}
"""

# May have left the bundle; the floor has it all the same.
_HTTP = ("requests", "edgegrid-python")


class ColdFunction(NamedTuple):
    """A function that can be started again and again.

    Attributes:
        task: its code, unpacked.
        floors: the same for its floors.
        runtime: what Lambda's runtime brings.
        environment: its variables.
        megabytes: of the archive.
    """

    task: Path
    floors: Path
    runtime: Path
    environment: Mapping[str, str]
    megabytes: float

    def start(self, *, handler: str = "", share: float | None = None, events: int = 1) -> list[Invocation]:
        """Start a process and hand it uploads, one after the other.

        Args:
            handler: of the floors; ours if empty.
            share: of a processor, once it has started.
            events: how many.

        Raises:
            RuntimeError: an invocation failed; the text is the function's log.
        """
        function = LambdaFunction(
            self.floors if handler else self.task,
            handler=handler or "multicdn.handler.handler",
            environment=self.environment,
            runtime=self.runtime,
            share=share,
        )
        with function:
            invocations = [function.invoke(uploads([f"img/{number}.png"])) for number in range(events)]
        if any(invocation.failure for invocation in invocations):
            raise RuntimeError(f"{[invocation.failure for invocation in invocations]}\n" + "\n".join(function.log))
        return invocations


@contextmanager
def cold_functions(names: Sequence[str]) -> Iterator[dict[str, ColdFunction]]:
    """Build the functions of these vendors, or of ``ALL``, against simulators in this process."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="multicdn-bench-")))
        origin = stack.enter_context(Origin())
        vendors = VENDORS if ALL in names else names
        simulators = {name: stack.enter_context(load(name)(origin.url, limits=False)) for name in vendors}
        runtime, http = folder / "runtime", folder / "http"
        fill_runtime(runtime)
        copy(needed_by(*_HTTP), http)

        def built(name: str) -> ColdFunction:
            some = simulators if name == ALL else {name: simulators[name]}
            return _built(folder / name, LIBRARIES[name], some, runtime, http)

        with ThreadPoolExecutor(os.cpu_count()) as pool:  # a build waits for processes most of the time
            made = dict(zip(names, pool.map(built, names), strict=True))
        yield made


def _built(folder: Path, library: str, simulators: Mapping[str, Simulator], runtime: Path, http: Path) -> ColdFunction:
    folder.mkdir()
    described = config_for(simulators)
    route = {"bucket": BUCKET, "urls": ["https://www.acme.com/{key}"], "purge": list(simulators)}
    file = folder / "bench.yml"  # JSON is YAML
    file.write_text(json.dumps({"version": 1, "providers": described.providers, "routes": [route]}), encoding="utf-8")
    made = build(config.load(file), file, architecture=RUNTIME.architecture, python=RUNTIME.python, work=folder)
    task = folder / "task"
    with zipfile.ZipFile(made.path) as archive:
        archive.extractall(task)
    floors = _floors(folder / "floors", library, (http, task))
    return ColdFunction(task, floors, runtime, described.environment, made.size / 1e6)


def _floors(folder: Path, library: str, sources: Sequence[Path]) -> Path:
    """Handlers beside the libraries of the bundle, and none of our own code."""
    folder.mkdir()
    handlers = _HANDLERS.format(library=library)
    (folder / "bare.py").write_text(handlers, encoding="utf-8")
    (folder / "library.py").write_text(f"{library}\n{handlers}", encoding="utf-8")
    brought = {name.replace("-", "_") for name in (*CLIENT, *SDK)}
    for source in sources:
        for path in source.iterdir():
            is_taken = path.name.startswith("multicdn") or path.stem in brought or (folder / path.name).exists()
            if not is_taken:
                (folder / path.name).symlink_to(path)
    return folder

"""Built bundles as functions on loopback, each beside a floor: a handler that imports the vendor's library alone."""

from __future__ import annotations

import atexit
import functools
import json
import marshal
import os
import shutil
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from multicdn import config
from multicdn.code_archive import PACKAGES, CodeArchive
from multicdn.installer.bundle.build import build
from multicdn.simulators import VENDORS, Origin, load
from multicdn.testing.loopback.simulator_config import config_for
from rig.events import BUCKET, uploads
from rig.lambda_runtime import CLIENT, SDK, LambdaFunction
from rig.packages import RUNTIME, copy, fill_runtime, needed_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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


class _Stage:
    """Simulators, and what all functions share; until this process ends, since building takes its time."""

    def __init__(self) -> None:
        stack = ExitStack()
        atexit.register(stack.close)
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="multicdn-bench-")))
        origin = stack.enter_context(Origin())
        self.simulators = {name: stack.enter_context(load(name)(origin.url, limits=False)) for name in VENDORS}
        self.runtime, self.http = self.folder / "runtime", self.folder / "http"
        fill_runtime(self.runtime)
        copy(needed_by(*_HTTP), self.http)

    @functools.cache  # noqa: B019 - there is one
    def function(self, name: str) -> ColdFunction:
        simulators = self.simulators if name == ALL else {name: self.simulators[name]}
        return _built(self, self.folder / name, LIBRARIES[name], simulators)


@functools.cache
def _stage() -> _Stage:
    return _Stage()


def cold_functions(names: Iterable[str] = tuple(LIBRARIES)) -> dict[str, ColdFunction]:
    """The functions of these vendors, or of ``ALL``, against simulators in this process; built once."""
    stage, names = _stage(), tuple(names)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # a build waits for processes most of the time
        return dict(zip(names, pool.map(stage.function, names), strict=True))


def _built(stage: _Stage, folder: Path, library: str, simulators: Mapping[str, Simulator]) -> ColdFunction:
    folder.mkdir()
    described = config_for(simulators)
    route = {"bucket": BUCKET, "urls": ["https://www.acme.com/{key}"], "purge": list(simulators)}
    file = folder / "bench.yml"  # JSON is YAML
    # Alone, so that the pace of a vendor isn't parted among functions: what is to be measured isn't to wait for it.
    settings = {"delivery": {"concurrency": 1}, "routes": [route]}
    file.write_text(json.dumps({"version": 1, "providers": described.providers, **settings}), encoding="utf-8")
    made = build(config.load(file), file, architecture=RUNTIME.architecture, python=RUNTIME.python, work=folder)
    task = folder / "task"
    with zipfile.ZipFile(made.path) as archive:
        archive.extractall(task)
    floors = _floors(folder / "floors", library, (stage.http, task))
    return ColdFunction(task, floors, stage.runtime, described.environment, made.size / 1e6)


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
                (shutil.copytree if path.is_dir() else shutil.copy)(path, folder / path.name)
        _write_byte_code(source, folder)
    return folder


def _write_byte_code(task: Path, folder: Path) -> None:
    """Give libraries that were copied their byte code, which a bundle has in one file, as Python has it by itself."""
    archive = CodeArchive.opened(str(task), PACKAGES)
    for module in archive.modules() if archive else ():
        parent = task.joinpath(*module.split(".")[:-1])
        spec = archive.find_spec(module, [str(parent)]) if archive else None
        assert spec is not None, module
        assert spec.origin is not None, module
        source = folder / Path(spec.origin).relative_to(task)
        if source.is_file():
            file = Path(cache_from_source(str(source)))
            file.parent.mkdir(exist_ok=True)
            code = spec.loader.get_code(module)  # type: ignore[union-attr]
            # peps.python.org/pep-0552: a flag says that nobody compares the hash that follows.
            file.write_bytes(MAGIC_NUMBER + b"\1\0\0\0" + bytes(8) + marshal.dumps(code))

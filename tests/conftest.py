"""What any test may ask for: an origin, an AWS on loopback, the wheel, and environments to install it in.

Most of it is costly: a worker process of a test run makes each server once, and the workers share what is built.
Real parts that this machine lacks are skipped, saying what to install; on CI their absence is a failure.
"""

from __future__ import annotations

import functools
import gc
import logging
import os
import signal
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from kit import fewer_reports, read_once, tracing, vocabulary
from kit.environments import ROOT, build, install, locked, unavailable
from kit.stage import Stage

from multicdn.simulators import ManualClock, Origin
from multicdn.simulators.fastly.api import FastlySimulator
from multicdn.testing.loopback.aws import PROGRAM_VARIABLE, LoopbackAws, find_program

# What a quick run leaves out: tests that ask for one of these, and all of these folders. Others are marked by hand, and
# a quick run fails those that need it.
COSTLY = {"acme", "aws", "aws_program", "edge", "origin", "python", "running_aws", "shared", "wheel", "workshop"}
COSTLY_FOLDERS = {"providers", "rig", "simulators", "system"}

# Tests of the core and the providers, which coverage counts (pyproject.toml): these folders, and the files beside them.
# Tracing takes more than half as much time again.
TRACED_FOLDERS = {
    "config", "delivery", "events", "planning", "plugins", "proof", "providers", "queue", "routing", "worker",
}  # fmt: skip
# What goes the same ways once more, and takes long.
UNTRACED_FILES = {
    "test_bounds.py",
    "test_collapse.py",
    "test_delivery.py",
    "test_ledger.py",
    "test_merge_keys.py",
    "test_message.py",
    "test_names.py",
    "test_planner.py",
    "test_refusals_in_traffic.py",
    "test_retry.py",
    "test_sender.py",
    "test_url_templates.py",
    "test_worlds.py",
    "test_worlds_busy.py",
    "test_yaml_source.py",
}

# Files that take longest come before others, and those that take minutes before these: a worker takes a file at a time,
# and shall not be left alone with one.
MINUTES = {"test_e2e.py", "test_soak.py"}
LONGEST = {
    "test_bench_economy.py",
    "test_bounds.py",
    "test_bundle.py",
    "test_bundle_cache.py",
    "test_bundle_lock.py",
    "test_bundle_runs.py",
    "test_bundle_wheels.py",
    "test_canaries.py",
    "test_cold_start.py",
    "test_conformance.py",
    "test_conformance_catches.py",
    "test_dead_letters.py",
    "test_demo.py",
    "test_docs_plugins.py",
    "test_hanging.py",
    "test_in_time.py",
    "test_isolation.py",
    "test_loopback.py",
    "test_loopback_aws.py",
    "test_page.py",
    "test_new_provider.py",
    "test_purge_by_hand.py",
    "test_purge_command.py",
    "test_regular_expressions.py",
    "test_seven_vendors.py",
    "test_template.py",
    "test_wheel.py",
    "test_worlds.py",
    "test_worlds_busy.py",
}

# Audit events of a process that is started, and of a socket that will listen.
OUTSIDE = {"os.exec", "os.fork", "os.posix_spawn", "os.system", "socket.bind", "subprocess.Popen"}
#: Those of the test that runs, of a quick run.
OUTSIDE_SEEN: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="leave out what starts a server or a process")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or not config.getoption("numprocesses"):
        _unignore_signals()
    # Machines are noisy: how long an example takes says nothing.
    settings.register_profile("multicdn", deadline=None, max_examples=15)
    settings.load_profile("multicdn")
    config.addinivalue_line(
        "markers", "slow: starts a server or a process, or takes seconds; mostly added by conftest.py"
    )


def _unignore_signals() -> None:
    """Whoever tests in the background or by nohup has signals ignored, and so has every program that a test starts.

    A hangup still ends no test; a handler, other than that it is ignored, isn't inherited.
    """
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, lambda *_: None)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is slow, and begin with what is traced, then with what takes longest; a quick run goes without both."""
    items.sort(key=_turn)
    for item in items:
        if _room(item.path) in COSTLY_FOLDERS or COSTLY & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")
    if config.getoption("--quick"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]


def _turn(item: pytest.Item) -> tuple[bool, bool, bool, int]:
    return _turn_of_file(item.path)


@functools.cache
def _turn_of_file(file: Path) -> tuple[bool, bool, bool, int]:
    """Files of a folder are alike: some fold their hands, others use the processor. So they are mixed."""
    mixed = zlib.crc32(str(file.relative_to(ROOT)).encode())
    is_longest = file.name in LONGEST or file.name in MINUTES
    return not _is_traced(file), file.name not in MINUTES, not is_longest, mixed


@functools.cache
def _room(file: Path) -> str:
    """The folder that a test is in, or its file if it is in none."""
    return file.relative_to(ROOT / "tests").parts[0]


@functools.cache
def _is_traced(file: Path) -> bool:
    room = _room(file)
    return (room in TRACED_FOLDERS or room.endswith(".py")) and file.name not in UNTRACED_FILES


def pytest_collection_finish() -> None:
    """Don't look for garbage among thousands of tests, and elsewhere not so often: it takes a twelfth of the time."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    tracing.begin()
    vocabulary.watch()
    fewer_reports.begin(session.config)
    read_once.distributions()
    if session.config.getoption("--quick"):
        sys.addaudithook(_note_outside)


def _note_outside(event: str, arguments: tuple[object, ...]) -> None:
    if event in OUTSIDE:
        OUTSIDE_SEEN.append(f"{event}{arguments!r}")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Trace what modules do as they are imported, and not what pytest does with tests: that is most of its time."""
    with tracing.paused("multicdn", "multicdn_providers"):
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """End tracing before the first test that needs none: the others come before it."""
    if not _is_traced(item.path):
        tracing.end()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Each test begins so; a fixture for it would take ten times as long as what it does."""
    vocabulary.SEEN.clear()
    OUTSIDE_SEEN.clear()
    _own_aws_session()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Fail a test that belongs to the slow ones, and one that wrote a record that is not in the log's vocabulary."""
    assert not vocabulary.SEEN
    assert not OUTSIDE_SEEN, "a quick test starts no server and no process: mark it with pytest.mark.slow"


def _own_aws_session() -> None:
    """boto3 keeps one session for a process, with the credentials of whichever test was the first to ask; so do we."""
    if "multicdn._botocore" in sys.modules:
        sys.modules["multicdn._botocore"]._session.cache_clear()
    if "boto3" in sys.modules:
        sys.modules["boto3"].DEFAULT_SESSION = None
    read_once.aws()


# Makes what a name stands for in an empty folder, unless another worker has; returns the folder.
Shared = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    own = tmp_path_factory.getbasetemp()
    base = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def make(name: str, fill: Callable[[Path], None]) -> Path:
        folder, done = base / f"shared-{name}", base / f"shared-{name}.done"
        with locked(base / f"shared-{name}.lock"):
            if not done.exists():
                folder.mkdir(exist_ok=True)
                fill(folder)
                done.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def wheel(shared: Shared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what git knows, so that leftovers in the tree can't get in."""
    [built] = shared("wheel", lambda folder: build(tmp_path_factory.mktemp("source"), folder)).glob("*.whl")
    return built


@pytest.fixture(scope="session")
def python(shared: Shared, wheel: Path) -> Path:
    """The Python of an environment with the wheel and what it depends on, and no extras."""
    return shared("plain", lambda folder: install(folder, wheel)) / "bin" / "python"


@pytest.fixture(scope="session")
def workshop(shared: Shared, wheel: Path) -> Path:
    """The Python of a plugin author's environment: the wheel, pip, pytest and mypy."""
    tools = ("pip", "setuptools", "pytest", "mypy")
    return shared("workshop", lambda folder: install(folder, wheel, *tools)) / "bin" / "python"


@pytest.fixture(scope="session")
def mypy_cache(shared: Shared) -> dict[str, str]:
    """What leads mypy to one cache for all plugins that are checked in the workshop."""
    return {"MYPY_CACHE_DIR": str(shared("mypy", lambda folder: None))}


@pytest.fixture
def whole_stack() -> Iterator[None]:
    """Nothing that is deleted runs while a test exhausts the stack: it would fail there, and fail the test."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="session")
def aws_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bundle from which clients of AWS are made."""
    from multicdn_providers.cloudfront import CloudFront

    from multicdn.installer.bundle import service_models

    folder, named = tmp_path_factory.mktemp("bundle"), "ssm: secretsmanager: events: sns:"
    for name, content in service_models.files(
        [*service_models.own_operations(named), CloudFront.aws_operations]
    ).items():
        (folder / name.parent).mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return folder / service_models.FOLDER


@pytest.fixture
def lean_aws(aws_data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Clients of AWS as a bundle has them."""
    from multicdn import _botocore

    _botocore._session.cache_clear()
    monkeypatch.setattr(_botocore, "FOLDER", str(aws_data))
    yield
    _botocore._session.cache_clear()


@pytest.fixture
def as_bundled(lean_aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same, and all that a test calls must be in their data."""
    from multicdn import _botocore

    real, whole = _botocore._made, []

    def make(service: str, settings: dict[str, object], *, lean: bool) -> object:
        made = real(service, settings, lean=lean)
        if not lean and "AWS_DATA_PATH" not in os.environ:  # which wins over a bundle's data
            whole.append(service)
        return made

    monkeypatch.setattr(_botocore, "_made", make)
    yield
    assert whole == []


@pytest.fixture(scope="module", autouse=True)
def _own_secrets() -> None:
    """A process blacks out all that it ever revealed: in the tests of one file, not the words of another."""
    if "multicdn.secrets" in sys.modules:
        sys.modules["multicdn.secrets"]._revealed.clear()


@pytest.fixture(scope="session")
def aws_program() -> Path:
    """Path of the AWS simulator."""
    program = find_program(os.environ.get(PROGRAM_VARIABLE) or ROOT / ".aws-sim/bin/ministack")
    if not program.exists():
        unavailable(f"no AWS simulator at {program}: make aws-sim")
    return program


@pytest.fixture(scope="session")
def running_aws(aws_program: Path) -> Iterator[LoopbackAws]:
    """One server for all tests of a worker process."""
    with LoopbackAws(aws_program) as aws:
        yield aws


@pytest.fixture
def aws(running_aws: LoopbackAws) -> LoopbackAws:
    """An empty account that enforces signatures and policies."""
    running_aws.reset()
    return running_aws


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with Origin() as origin, FastlySimulator(origin.url) as www, FastlySimulator(origin.url) as img:
        monkeypatch.setenv("FASTLY_TOKEN", www.token)
        yield Stage(origin, www, img)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, logger="multicdn")
    return caplog


@pytest.fixture
def origin() -> Iterator[Origin]:
    """An origin without objects, for simulated edges to fetch from."""
    with Origin() as running:
        yield running


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still until a test moves it."""
    return ManualClock()

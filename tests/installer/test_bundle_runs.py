"""The bundle, run by AWS's own runtime client: S3's events go in, purges come out at the simulators' edges."""

from __future__ import annotations

import json
import sys
import uuid
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from kit import bundles
from kit.cloudwatch import CloudWatch

from multicdn.installer.bundle.runtime import Runtime
from multicdn.simulators import Origin, load
from multicdn.testing.loopback.simulator_config import config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rig.lambda_runtime import Invocation

    from multicdn.installer.bundle.build import Bundle
    from multicdn.simulators import Simulator

if sys.platform != "linux":
    pytest.skip("awslambdaric runs on Linux", allow_module_level=True)

from rig.lambda_runtime import LambdaFunction

# Cloudflare's SDK alone has 6,400 files.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EVENTS = Path(__file__).parents[1] / "data"
SITE = "https://www.acme.com"
RECORDED = "img/logo.png"  # the key in the recorded events
# With these, the packages are those of all seven, which the end-to-end test of the installer has put into the cache.
VENDORS = ("akamai", "cloudflare", "cloudfront", "fastly")


# Around the handler of the bundle: what an event imports and compiles, and how often it makes what reads authorities.
PROBE = """
import gc, re._compiler, ssl, sys
compiled, compile = [], re._compiler.compile
re._compiler.compile = lambda pattern, *flags: compiled.append(str(pattern)) or compile(pattern, *flags)
made, make = [], ssl.SSLContext.__new__
ssl.SSLContext.__new__ = lambda *args, **settings: made.append(1) or make(*args, **settings)
from multicdn import handler as module

def handler(event, context):
    modules, contexts, patterns = set(sys.modules), len(made), len(compiled)
    frozen, reply = gc.get_freeze_count(), module.handler(event, context)
    late = sorted(set(sys.modules) - modules)
    found = {"late": late, "contexts": len(made) - contexts, "patterns": compiled[patterns:]}
    return {"reply": reply, "found": found, "frozen": frozen}
"""


class Edges:
    """An origin, and the simulators in front of it.

    Attributes:
        providers: the section of a config file that reaches them.
        environment: their secrets, where that section looks for them.
        key: of the object that ``stale`` published last.
    """

    def __init__(self, origin: Origin, simulators: dict[str, Simulator]) -> None:
        self.origin = origin
        self.key = ""
        self.simulators = simulators
        self.providers, self.environment = config_for(simulators)

    def seen(self) -> dict[str, tuple[bytes, str]]:
        """What each edge answers, and from where."""
        found = {name: simulator.fetch(f"{SITE}/{self.key}") for name, simulator in self.simulators.items()}
        return {name: (answer.body, answer.cache) for name, answer in found.items()}

    def stale(self) -> None:
        """Publish an object that no test had before, and let every edge keep its old version."""
        self.key = f"img/{uuid.uuid4()}.png"
        for body in ("old", "new"):
            self.origin.put(self.key, body, {"Cache-Control": "max-age=3600"})
            seen = self.seen()
        assert seen == dict.fromkeys(self.simulators, (b"old", "HIT"))

    def event(self, name: str) -> Any:
        """A recorded event, as if it were about that object."""
        return json.loads((EVENTS / name).read_text(encoding="utf-8").replace(RECORDED, self.key))


@pytest.fixture(scope="module")
def edges() -> Iterator[Edges]:
    with ExitStack() as stack:
        origin = stack.enter_context(Origin())
        # Cloudflare's free plan purges no other host than its zone's; www.acme.com is within.
        yield Edges(origin, {name: stack.enter_context(load(name)(origin.url)) for name in VENDORS})


@pytest.fixture(scope="module")
def built(edges: Edges, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """One bundle for all of them, with the simulators' endpoints in its config."""
    return bundles.build(tmp_path_factory.mktemp("all"), edges.providers)


@pytest.fixture(scope="module")
def task(built: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That bundle, unpacked."""
    folder = tmp_path_factory.mktemp("task")
    with zipfile.ZipFile(built.path) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def function(edges: Edges, task: Path) -> Iterator[LambdaFunction]:
    # As the installed function has it: LoggingConfig says so.
    with LambdaFunction(task, environment={**edges.environment, "AWS_LAMBDA_LOG_FORMAT": "JSON"}) as running:
        yield running


def measured(function: LambdaFunction, metric: str) -> set[str]:
    """Providers of which the log says something in CloudWatch's embedded metric format."""
    found = CloudWatch()
    found.read_log("\n".join(line for line in function.log if line.startswith('{"_aws"')))
    return {dict(dimensions)["provider"] for _, name, dimensions in found.names if name == metric}


def show(what: str, invocation: Invocation) -> None:
    """For people: ``pytest -s``."""
    init = f"init {invocation.init_seconds * 1000:.0f} ms, " if invocation.init_seconds else ""
    print(f"{what}: {init}handler {invocation.seconds * 1000:.0f} ms, {invocation.memory / 2**20:.0f} MB")


def test_a_provider_takes_what_it_uses_of_a_large_sdk(built: Bundle) -> None:
    folders = "cloudflare/resources/", "cloudflare/types/"
    taken = {name.split("/")[2] for name in built.files if name.startswith(folders)}
    assert {name for name in taken if "." not in name} == {"shared"}
    assert built.unpacked < 26e6


def test_an_upload_is_purged_at_every_edge(edges: Edges, function: LambdaFunction, built: Bundle) -> None:
    function.stop()
    edges.stale()
    invocation = function.invoke(edges.event("s3-put.json"))
    show(f"cold, {len(VENDORS)} vendors, {built.size / 1e6:.1f} MB", invocation)
    assert invocation.failure is None, "\n".join(function.log)
    assert invocation.payload == {"providers": {name: {"calls": 1, "accepted": 1} for name in VENDORS}}
    assert edges.seen() == dict.fromkeys(VENDORS, (b"new", "MISS"))
    assert invocation.init_seconds is not None
    assert invocation.memory > 10 * 2**20
    records = [line for line in map(json.loads, function.log) if line.get("logger") == "multicdn"]
    assert {line["provider"] for line in records if line["event"] == "accepted"} == set(VENDORS)
    [last] = [line for line in records if line["event"] == "invocation"]
    assert (last["requestId"], last["level"], last["providers"]["fastly"]["accepted"]) == (invocation.id, "INFO", 1)


def test_the_first_event_finds_nothing_left_to_load(edges: Edges, task: Path) -> None:
    """What INIT loads has a whole processor; the first event of a small function has three tenths of one."""
    (task / "probe.py").write_text(PROBE, encoding="utf-8")
    edges.stale()
    with LambdaFunction(task, handler="probe.handler", environment=edges.environment) as function:
        first = function.invoke(edges.event("sqs-put.json")).payload
    assert first["reply"] == {"batchItemFailures": []}
    assert edges.seen() == dict.fromkeys(VENDORS, (b"new", "MISS"))
    assert first["found"] == {"late": [], "contexts": 0, "patterns": []}
    assert first["frozen"] > 10_000


def test_a_batch_from_the_queue_is_purged_by_the_same_process(edges: Edges, function: LambdaFunction) -> None:
    edges.stale()
    function.invoke(edges.event("s3-put.json"))
    edges.stale()
    invocation = function.invoke(edges.event("sqs-put.json"))
    show("warm, batch from SQS", invocation)
    assert (invocation.payload, invocation.init_seconds) == ({"batchItemFailures": []}, None)
    assert edges.seen() == dict.fromkeys(VENDORS, (b"new", "MISS"))
    assert measured(function, "Accepted") == {*VENDORS}


def test_one_refused_vendor_fails_the_invocation_and_no_other_vendor(edges: Edges, task: Path) -> None:
    edges.stale()
    wrong = {**edges.environment, "FASTLY_TOKEN": "rotated-long-ago"}
    with LambdaFunction(task, environment=wrong) as function:
        invocation = function.invoke(edges.event("s3-put.json"))
    assert invocation.failure is not None
    assert (invocation.failure.type, invocation.payload) == ("Undelivered", None)
    assert invocation.failure.message.startswith(f"fastly: purge of {SITE}/{edges.key}")
    assert "rotated-long-ago" not in invocation.failure.message + "".join(function.log)
    assert (measured(function, "Refused"), measured(function, "Accepted")) == ({"fastly"}, {*VENDORS} - {"fastly"})
    assert edges.seen() == {**dict.fromkeys(VENDORS, (b"new", "MISS")), "fastly": (b"old", "HIT")}


def test_a_config_that_cannot_be_used_fails_the_init(task: Path, edges: Edges) -> None:
    edges.stale()
    with LambdaFunction(task, environment={**edges.environment, "MULTICDN_CONFIG": "other.yml"}) as function:
        invocation = function.invoke(edges.event("s3-put.json"))
    assert invocation.failure is not None
    assert "other.yml: no such file; set MULTICDN_CONFIG" in "\n".join([invocation.failure.message, *function.log])


def test_boto3_comes_from_the_runtime(task: Path, edges: Edges) -> None:
    """Without Lambda's own, the bundle can't reach CloudFront: so the test above has shown that it uses it."""
    edges.stale()
    with LambdaFunction(task, environment=edges.environment, sdk=False) as function:
        invocation = function.invoke(edges.event("s3-put.json"))
    assert invocation.failure is not None
    assert "cloudfront: " in invocation.failure.message
    assert "No module named 'boto" in invocation.failure.message
    bodies = {name: body for name, (body, _) in edges.seen().items()}
    assert bodies == {**dict.fromkeys(VENDORS, b"new"), "cloudfront": b"old"}


def test_boto3_can_be_brought_along(edges: Edges, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As on a machine without that Python: compiling botocore takes longer than all else here.
    monkeypatch.setattr(Runtime, "interpreter", lambda _: None)
    built = bundles.build(tmp_path, {"cloudfront": edges.providers["cloudfront"]}, vendor_boto3=True)
    packages = {package.partition("==")[0] for package in built.packages}
    assert {"boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "six"} <= packages
    edges.stale()
    with LambdaFunction(built.path, environment=edges.environment, sdk=False) as function:
        invocation = function.invoke(edges.event("s3-put.json"))
    show(f"cold, CloudFront with its own boto3, {built.size / 1e6:.1f} MB", invocation)
    assert invocation.failure is None
    assert invocation.payload == {"providers": {"cloudfront": {"calls": 1, "accepted": 1}}}
    assert edges.seen()["cloudfront"] == (b"new", "MISS")


def test_a_foreign_plugin_runs_with_what_it_requires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundles.install_plugin(tmp_path, monkeypatch, requires=("sniffio",))
    built = bundles.build(tmp_path, {"acme": {"type": "acme"}})
    event = json.loads((EVENTS / "s3-put.json").read_text(encoding="utf-8"))
    with LambdaFunction(built.path) as function:
        invocation = function.invoke(event)
    show("cold, foreign plugin", invocation)
    assert invocation.failure is None
    assert invocation.payload == {"providers": {"acme": {"calls": 1, "accepted": 1}}}

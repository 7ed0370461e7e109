"""The Lambda on loopback itself, with handlers that do what handlers do."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("awslambdaric runs on Linux", allow_module_level=True)

from rig.lambda_runtime import LambdaFunction

HANDLERS = """
import os, subprocess, sys, time

count = 0

def echo(event, context):
    global count
    count += 1
    print("got", event)
    seen = {"left": context.get_remaining_time_in_millis(), "memory": context.memory_limit_in_mb}
    return {"event": event, "count": count, "id": context.aws_request_id, **seen}

def path(event, context):
    return sys.path

def variables(event, context):
    return dict(os.environ)

def fail(event, context):
    raise ValueError("no such thing")

def sleep(event, context):
    time.sleep(30)

def die(event, context):
    os._exit(3)

def kill(event, context):
    os.kill(os.getpid(), 9)

def large(event, context):
    return "x" * event

def strange(event, context):
    return {1, 2}

def allocate(event, context):
    return len(bytearray(event))

if os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"] == "snap-start":
    from snapshot_restore_py import register_after_restore, register_before_snapshot
    done = []
    register_before_snapshot(done.append, "before the snapshot")
    register_after_restore(lambda: done.append(open("restored").read()))

def hooks(event, context):
    return done

def impostor(event, context):
    from http.client import HTTPConnection
    connection = HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    found = []
    for path in (f"/2018-06-01/runtime/invocation/{event}/response", "/2018-06-01/runtime/invocation/x", "/"):
        connection.request("POST", path, "1")
        answer = connection.getresponse()
        answer.read()
        found.append(answer.status)
    return found
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("code")
    (folder / "app.py").write_text(HANDLERS, encoding="utf-8")
    (folder / "broken.py").write_text("import nothing_of_that_name\n", encoding="utf-8")
    (folder / "slow.py").write_text("import time\ntime.sleep(30)\n", encoding="utf-8")
    return folder


def function(code: Path, name: str, timeout: float = 20.0) -> LambdaFunction:
    return LambdaFunction(code, handler=f"app.{name}", timeout=timeout, memory=256)


def test_the_first_event_starts_the_process_and_the_next_one_finds_it(code: Path) -> None:
    with function(code, "echo") as running:
        cold, warm = running.invoke({"a": ["ä", 1]}), running.invoke("two")
    assert (cold.payload["event"], warm.payload["event"]) == ({"a": ["ä", 1]}, "two")
    assert (cold.payload["count"], warm.payload["count"]) == (1, 2)
    assert (cold.payload["id"], warm.payload["id"]) == (cold.id, warm.id)
    assert cold.init_seconds is not None
    assert warm.init_seconds is None
    assert cold.payload["memory"] == "256"
    assert 15_000 < cold.payload["left"] <= 20_000


def test_what_the_handler_prints_is_in_the_log(code: Path) -> None:
    with function(code, "echo") as running:
        running.invoke("one")
        running.invoke("two")
    assert [line for line in running.log if line.startswith("got")] == ["got one", "got two"]


def test_after_a_stop_it_starts_again(code: Path) -> None:
    with function(code, "echo") as running:
        running.invoke(1)
        running.stop()
        again = running.invoke(2)
    assert again.init_seconds is not None
    assert again.payload["count"] == 1


def test_an_exception_comes_back_with_its_type_and_trace_and_spares_the_process(code: Path) -> None:
    with function(code, "fail") as running:
        failed, again = running.invoke(1), running.invoke(1)
    assert failed.failure is not None
    assert (failed.failure.type, failed.failure.message) == ("ValueError", "no such thing")
    assert "app.py" in failed.failure.trace[0]
    assert again.init_seconds is None


def test_a_handler_that_takes_too_long_is_killed(code: Path) -> None:
    with function(code, "sleep", timeout=0.05) as running:
        late = running.invoke(1)
        again = running.invoke(1)
    assert late.failure is not None
    assert late.failure.type == "Sandbox.Timedout"
    assert late.failure.message.endswith("Task timed out after 0.05 seconds")
    assert again.init_seconds is not None


@pytest.mark.parametrize(("name", "how"), [("die", "exit status 3"), ("kill", "signal: 9")])
def test_a_process_that_ends_is_reported_and_replaced(name: str, how: str, code: Path) -> None:
    with function(code, name) as running:
        ended, again = running.invoke(1), running.invoke(1)
    assert ended.failure is not None
    assert ended.failure.type == "Runtime.ExitError"
    assert ended.failure.message.endswith(f"Runtime exited with error: {how}")
    assert ended.memory > 0
    assert again.init_seconds is not None


@pytest.mark.parametrize(
    ("handler", "kind", "said"),
    [
        ("app.missing", "Runtime.HandlerNotFound", "Handler 'missing' missing on module 'app'"),
        ("broken.handler", "Runtime.ImportModuleError", "nothing_of_that_name"),
        ("nowhere.handler", "Runtime.ImportModuleError", "No module named 'nowhere'"),
    ],
)
def test_code_that_does_not_load_fails_every_event(handler: str, kind: str, said: str, code: Path) -> None:
    with LambdaFunction(code, handler=handler) as running:
        first, second = running.invoke(1), running.invoke(1)
    for failed in (first, second):
        assert failed.failure is not None
        assert failed.failure.type == kind
        assert said in failed.failure.message
        assert failed.init_seconds is not None


def test_code_that_takes_too_long_to_load_is_killed(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rig.lambda_runtime._INIT_SECONDS", 0.05)
    with LambdaFunction(code, handler="slow.handler") as running:
        late = running.invoke(1)
    assert late.failure is not None
    assert late.failure.message.endswith("Task timed out after 0.05 seconds")


def test_a_snapshot_rests_between_its_hooks_until_the_next_event(code: Path) -> None:
    with function(code, "hooks") as running:
        running.snapshot()
        (code / "restored").write_text("once it went on", encoding="utf-8")
        first, second = running.invoke(1), running.invoke(2)
    assert first.payload == second.payload == ["before the snapshot", "once it went on"]
    assert (first.init_seconds is None, second.init_seconds) == (False, None)


def test_a_hook_that_fails_after_the_restore_fails_the_event(code: Path) -> None:
    (code / "restored").unlink(missing_ok=True)
    with function(code, "hooks") as running:
        running.snapshot()
        failed = running.invoke(1)
    assert failed.failure is not None
    assert failed.failure.type.endswith("FileNotFoundError")


def test_a_reply_that_is_no_json_is_an_error(code: Path) -> None:
    with function(code, "strange") as running:
        failed = running.invoke(1)
    assert failed.failure is not None
    assert failed.failure.type == "Runtime.MarshalError"


def test_six_megabytes_pass_either_way_and_more_do_not(code: Path) -> None:
    with function(code, "echo") as echo, function(code, "large") as large:
        assert len(echo.invoke("x" * 3_000_000).payload["event"]) == 3_000_000
        assert len(large.invoke(6_000_000).payload) == 6_000_000
        too_large = large.invoke(7_000_000)
        with pytest.raises(ValueError, match="Lambda takes 6291456"):
            echo.invoke("x" * 7_000_000)
    assert too_large.failure is not None
    assert too_large.failure.type == "Function.ResponseSizeTooLarge"


def test_memory_is_that_of_the_function(code: Path) -> None:
    ballast = bytearray(100_000_000)  # of this process: it must not count
    with function(code, "allocate") as running:
        small, large = running.invoke(1), running.invoke(50_000_000)
    assert small.memory < len(ballast) / 2
    assert large.memory - small.memory > 40_000_000


def test_the_function_sees_nothing_that_is_installed_here(code: Path) -> None:
    with function(code, "path") as running:
        found = running.invoke(1).payload
    assert str(code) in found
    assert not [place for place in found if place.endswith(("site-packages", str(Path(__file__).parents[1])))]


def test_the_function_sees_its_own_variables_alone(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    given = {"AWS_REGION": "eu-west-1", "MULTICDN_LOG_LEVEL": "DEBUG"}
    with LambdaFunction(code, handler="app.variables", environment=given) as running:
        found = running.invoke(1).payload
    assert found["AWS_REGION"] == found["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert found["MULTICDN_LOG_LEVEL"] == "DEBUG"
    assert found["LAMBDA_TASK_ROOT"] == str(code)
    assert "mine" not in found.values()


def test_only_the_current_request_can_be_answered(code: Path) -> None:
    with function(code, "impostor") as running:
        assert running.invoke("00000000-0000-0000-0000-000000000000").payload == [400, 404, 404]


def test_nothing_listens_once_it_is_over(code: Path) -> None:
    with LambdaFunction(code, handler="app.variables") as running:
        address = running.invoke(1).payload["AWS_LAMBDA_RUNTIME_API"]
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://{address}/2018-06-01/runtime/invocation/next", timeout=1)

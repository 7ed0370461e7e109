"""Clients of AWS: one session for all, and in a bundle data of the calls that it makes and no others."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import multicdn_providers
import pytest
from botocore import xform_name
from botocore.exceptions import ConnectionError as NoConnectionError
from botocore.exceptions import NoRegionError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from kit.hostile_server import OK, HostileServer, whole
from kit.slow_source import SlowSource, slow_source
from multicdn_providers.cloudfront import CloudFront

import multicdn
from multicdn import _botocore, aws_clients
from multicdn._botocore import turns
from multicdn.aws.s3 import Objects
from multicdn.bounds import bounded
from multicdn.installer.bundle import rooms, service_models
from multicdn.secrets import SecretError, redact, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of a config with all that makes it ask AWS.
NAMED = "token: ${ssm:/a} ${secretsmanager:a} publish: arn:aws:events:... arn:aws:sns:..."

DECLARED = {
    service: names
    for operations in (*service_models.own_operations(NAMED), CloudFront.aws_operations)
    for service, names in operations.items()
}

# Of AWS, of China, of the American government, of a new partition, and one that nobody knows yet.
REGIONS = ("us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1", "eusc-de-east-1", "mx-north-7")

# What a process opens and lists from the first import on until it has a client of CloudFront and one of SQS.
WATCHED = """
import json, sys
seen = {"open": [], "os.listdir": [], "os.scandir": []}
sys.addaudithook(lambda event, given: seen[event].append(str(given[0])) if event in seen else None)
import ssl
read = []
real = ssl.SSLContext.load_verify_locations
ssl.SSLContext.load_verify_locations = lambda *given, **named: (read.append(1), real(*given, **named))[1]
from multicdn import _botocore, aws_clients
_botocore.FOLDER = sys.argv[1]
for service in ("cloudfront", "sqs"):
    aws_clients.client(service, region="us-east-1")
data = ("/botocore/data", "/boto3/", sys.argv[1])
print(json.dumps({
    "opened": [name for name in seen["open"] if any(part in name for part in data)],
    "listed": [name for name in seen["os.listdir"] + seen["os.scandir"] if any(part in name for part in data)],
    "imported": sorted({"boto3", "s3transfer", "requests"} & set(sys.modules)),
    "read": len(read),
}))
"""


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_") or name.endswith("_CA_BUNDLE")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "A")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "only-for-tests")


@pytest.fixture
def data(aws_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of a bundle's data, from which clients are made."""
    copy = shutil.copytree(aws_data, tmp_path / "data")
    _botocore._session.cache_clear()
    monkeypatch.setattr(_botocore, "FOLDER", str(copy))
    yield copy
    _botocore._session.cache_clear()


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    heard: list[dict[str, object]] = []
    monkeypatch.setattr(aws_clients, "warn", lambda event, **fields: heard.append({"event": event, **fields}))
    return heard


def knows(client: Any) -> int:
    """How many operations a client's model has."""
    return len(client.meta.service_model.operation_names)


@pytest.mark.slow
def test_in_a_bundle_botocores_own_data_is_neither_read_nor_looked_through(aws_data: Path) -> None:
    environment = {**os.environ, "AWS_REGION": "us-east-1"}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(aws_data)], env=environment, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert sorted(Path(name).name for name in found["opened"]) == ["cloudfront.json", "common.json", "sqs.json"]
    assert (found["listed"], found["imported"], found["read"]) == ([], [], 1)


def test_a_bundle_has_data_of_what_its_config_names() -> None:
    def names(config: str) -> list[str]:
        return sorted(file.stem for file in service_models.files(service_models.own_operations(config)))

    assert names("version: 1") == ["common", "s3", "sqs"]
    assert names("token: ${ssm:/a}") == ["common", "s3", "sqs", "ssm"]
    assert names(NAMED) == ["common", "events", "s3", "secretsmanager", "sns", "sqs", "ssm"]


@pytest.mark.usefixtures("as_bundled")
@pytest.mark.parametrize("service", sorted(DECLARED))
def test_a_bundle_knows_what_is_called_and_no_more(service: str) -> None:
    """The shapes as botocore has them: but for the texts, nothing of a call differs."""
    model = aws_clients.client(service, region="us-east-1").meta.service_model
    assert sorted(model.operation_names) == sorted(DECLARED[service])
    whole = ServiceModel(Loader().load_service_model(service, "service-2"), service)
    for name in model.operation_names:
        ours, theirs = model.operation_model(name), whole.operation_model(name)
        assert (ours.http, ours.auth_type, ours.endpoint) == (theirs.http, theirs.auth_type, theirs.endpoint)
        assert drawn(ours.input_shape) == drawn(theirs.input_shape)
        assert drawn(ours.output_shape) == drawn(theirs.output_shape)
        assert list(map(drawn, ours.error_shapes)) == list(map(drawn, theirs.error_shapes))


def drawn(shape: Any, above: tuple[str, ...] = ()) -> Any:
    """A shape with all that it has, as plain data; what leads back to itself by its name."""
    if shape is None or shape.name in above:
        return shape and shape.name
    about, above = (shape.name, shape.type_name, shape.serialization, shape.metadata), (*above, shape.name)
    if shape.type_name == "structure":
        return about, {name: drawn(member, above) for name, member in shape.members.items()}
    if shape.type_name == "list":
        return about, drawn(shape.member, above)
    return (about, drawn(shape.key, above), drawn(shape.value, above)) if shape.type_name == "map" else about


@pytest.mark.parametrize("region", REGIONS)
def test_a_bundle_asks_the_same_endpoints(region: str, data: Path) -> None:
    settings = {"region_name": region, "endpoint_url": None, "config": None}
    for service in DECLARED:
        lean = _botocore._made(service, settings, lean=True)
        whole = _botocore._made(service, settings, lean=False)
        assert knows(lean) < knows(whole)
        for made in (lean, whole):
            made.meta.events.register_first("before-sign", lambda request, signature_version, **_: None)
        assert lean.meta.endpoint_url == whole.meta.endpoint_url
        assert lean.meta.region_name == whole.meta.region_name
        assert lean._request_signer.region_name == whole._request_signer.region_name
        assert where(lean) == where(whole)


def where(client: Any) -> Any:
    """The endpoint to which the rules of a service lead, and how it is signed for."""
    operation = client.meta.service_model.operation_model(DECLARED[client.meta.service_model.service_name][0])
    found = client._ruleset_resolver.construct_endpoint(operation, {"Bucket": "acme-site"}, {})
    return found.url, found.properties


def test_calls_that_a_bundle_has_no_data_of_work_all_the_same(data: Path) -> None:
    sqs = aws_clients.client("sqs", region="us-east-1")
    assert knows(sqs) == 1
    assert sqs.get_queue_url.__name__ == "get_queue_url"
    assert knows(sqs.get_queue_url.__self__) > 10
    assert not hasattr(sqs, "no_such_call")
    assert knows(aws_clients.client("sts", region="us-east-1")) > 5  # a service of which it has nothing


def test_a_botocore_older_than_the_data_takes_its_own(data: Path, warnings: list[dict[str, object]]) -> None:
    """Else it would notice with the first call: a rule that it doesn't know is no matter until it is asked."""
    content = json.loads((data / "sqs.json").read_bytes())
    (data / "sqs.json").write_text(json.dumps({**content, "functions": [*content["functions"], "aws.newFunction"]}))
    for _ in range(2):
        assert knows(aws_clients.client("sqs", region="us-east-1")) > 10
    [warning] = warnings
    assert (warning["event"], warning["service"]) == ("aws-data-unfit", "sqs")
    assert str(warning["reason"]).endswith("is older than its data: no aws.newFunction")
    assert knows(aws_clients.client("ssm", region="us-east-1")) == 1


@pytest.mark.parametrize(
    "content", ["{", '{"service-2": {"metadata": {}}}', '{"service-2": {"metadata": {"protocols": ["new"]}}}']
)
def test_data_that_can_not_be_used_costs_a_warning(content: str, data: Path, warnings: list[dict[str, object]]) -> None:
    (data / "sqs.json").write_text(content)
    for _ in range(2):
        assert knows(aws_clients.client("sqs", region="us-east-1")) > 10
    assert [warning["service"] for warning in warnings] == ["sqs"]


def test_what_the_data_is_not_to_blame_for_is_raised_and_no_warning(
    data: Path, warnings: list[dict[str, object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(NoRegionError):
        aws_clients.client("sqs")
    assert warnings == []
    assert knows(aws_clients.client("sqs", region="us-east-1")) == 1


def test_models_that_somebody_names_win(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    assert knows(aws_clients.client("sqs", region="us-east-1")) > 10


def test_threads_share_one_session_and_another_environment_has_another(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    threads = [threading.Thread(target=lambda: made.append(key_of("sqs"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == ["A"] * 8
    assert _botocore._session.cache_info().misses == 1
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "B")
    assert key_of("sqs") == "B"


def key_of(service: str) -> str:
    key: str = aws_clients.client(service, region="us-east-1")._request_signer._credentials.access_key
    return key


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowSource]:
    with slow_source(tmp_path, monkeypatch) as source:
        yield source


def test_a_source_of_credentials_that_hangs_is_left_behind_and_says_so(slow: SlowSource) -> None:
    with bounded(0.3), pytest.raises(NoConnectionError) as caught:
        aws_clients.client("sqs")
    said = str(caught.value)
    assert said.startswith("the AWS client of sqs wasn't made within 0.3 s: ")
    assert said.endswith("does the source of its credentials hang (AWS_PROFILE)?")
    slow.go()
    assert key_of("sqs") == "C"
    assert slow.times_asked == 1


def test_credentials_that_a_service_gives_are_blacked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container, or with SnapStart: nothing of them stands in the environment."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    given = {"AccessKeyId": "D", "SecretAccessKey": "secret-of-container", "Token": "token-of-container"}
    body = json.dumps({**given, "Expiration": "2999-01-01T00:00:00Z"}).encode()
    with HostileServer(whole(OK, body)) as server:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url)
        assert key_of("sqs") == "D"
    assert redact("of secret-of-container and token%2Dof-container") == "of [secret] and [secret]"


def test_nobody_waits_anew_for_a_source_that_hangs(slow: SlowSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_LONGEST_OF_OTHERS", 0.2)
    with bounded(0.3), pytest.raises(NoConnectionError):
        aws_clients.client("sqs")
    for wanted in (lambda: aws_clients.client("s3"), aws_clients.region):
        with pytest.raises(NoConnectionError):
            wanted()
    with pytest.raises(SecretError, match=r"^\${ssm:/a}: the AWS client of ssm wasn't made ") as caught:
        resolve("ssm", "/a")
    assert caught.value.passing
    assert slow.times_asked == 1


def test_objects_have_no_metadata_while_credentials_hang(slow: SlowSource) -> None:
    found, failed = Objects().metadata([("acme-site", "a.css")], seconds=0.3)
    assert found == {}
    assert "the AWS client of s3 wasn't made within 0.3 s: " in failed["acme-site", "a.css"]


def test_without_a_thread_a_client_is_made_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert [key_of("sqs"), key_of("sqs")] == ["A", "A"]


def test_all_that_lambda_calls_is_declared() -> None:
    """By names: whatever is called as an operation of these services is, in files that a bundle has."""
    known = {
        xform_name(name)
        for service in DECLARED
        for name in Loader().load_service_model(service, "service-2")["operations"]
    }
    declared = {xform_name(name) for names in DECLARED.values() for name in names}
    package = Path(multicdn.__file__).parent
    rooms_ = (package / room for room in rooms.in_lambda(package))
    folders = [Path(multicdn_providers.__file__).parent, *rooms_]
    files = {
        file
        for folder in folders
        for file in (folder.rglob("*.py") if folder.is_dir() else [folder.with_suffix(".py")])
    }
    called = {
        name
        for file in files
        if file.name != "checks.py"  # for a diagnosis, which people ask for
        for node in ast.walk(ast.parse(file.read_bytes()))
        for name in [node.attr if isinstance(node, ast.Attribute) else getattr(node, "value", None)]
        if isinstance(name, str) and name in known
    }
    assert called - declared == {"publish"}  # of a config
    assert declared - called == {"head_bucket"}  # botocore's own call

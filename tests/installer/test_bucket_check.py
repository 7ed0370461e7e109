"""``multicdn config check --online``: whether the buckets are there, in this account and region."""

from __future__ import annotations

import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from kit.s3 import ACCOUNT

from multicdn.cli import main
from multicdn.installer import bucket_check
from multicdn.simulators import Request, Response, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from multicdn.testing.loopback.aws import LoopbackAws

pytestmark = pytest.mark.slow

CONFIG = """\
version: 1
providers:
  site: {type: cloudfront, distribution: E8F6HK73EP0LT}
routes:
"""
OURS = "123456789012"
IDENTITY = f"""<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:iam::{OURS}:user/ci</Arn><UserId>AIDA</UserId><Account>{OURS}</Account>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""


def check(folder: Path, *buckets: str, install: str = "", code: int = 0) -> str:
    """What the command says about routes of these buckets, which begin on line 5."""
    routes = "".join(
        f'  - {{bucket: {name}, urls: ["https://a.example/{{key}}"], purge: [site]}}\n' for name in buckets
    )
    path = folder / "c.yml"
    path.write_text(f"{CONFIG}{routes}install: {{{install}}}\n")
    result = CliRunner().invoke(main, ["config", "check", str(path), "--online"])
    assert result.exit_code == code, result.output
    return result.output


# An account on loopback


@pytest.fixture
def account(aws: LoopbackAws, monkeypatch: pytest.MonkeyPatch) -> LoopbackAws:
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="media-prod")
    s3.create_bucket(Bucket="in-europe", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return aws


def test_each_bucket_that_cannot_be_used_is_told_at_its_line(account: LoopbackAws, tmp_path: Path) -> None:
    assert check(tmp_path, "media-prod") == "c.yml: ok: 1 provider, 1 route\n"
    assert check(tmp_path, "media-prod", "media-porduction", "in-europe", "media-porduction", code=1).splitlines() == [
        "c.yml:8: routes[3]: is the same as the route at c.yml:6, and does nothing more (warning)",
        "c.yml:6: routes[1].bucket: there is no bucket 'media-porduction'; make it, or correct the name; "
        "did you mean 'media-prod'?",
        "c.yml:7: routes[2].bucket: the bucket 'in-europe' is in eu-west-1, and S3 tells functions and queues of its "
        "own region only; install there: --region eu-west-1 (one installation for each region); or let EventBridge "
        "forward its events: `trigger: eventbridge` and `forwarded: [{bucket: in-europe, region: eu-west-1}]` under "
        "`install`",
    ]
    forwarded = "trigger: eventbridge, forwarded: [{bucket: in-europe, region: eu-west-1}]"
    assert check(tmp_path, "media-prod", "in-europe", install=forwarded) == "c.yml: ok: 1 provider, 2 routes\n"


def test_each_bucket_of_a_list_is_asked_about(account: LoopbackAws, tmp_path: Path) -> None:
    said = check(tmp_path, "media-prod", "[media-prod, gone-bucket, lost-bucket]", code=1)
    assert [line[: line.index(";")] for line in said.splitlines() if "(warning)" not in line] == [
        "c.yml:6: routes[1].bucket: there is no bucket 'gone-bucket'",
        "c.yml:6: routes[1].bucket: there is no bucket 'lost-bucket'",
    ]


def test_the_region_is_that_of_the_installation(account: LoopbackAws, tmp_path: Path) -> None:
    assert "is in us-east-1" in check(tmp_path, "media-prod", install="region: eu-west-1", code=1)


def test_a_bucket_of_another_account(account: LoopbackAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "999999999999")
    assert "c.yml:5: routes[0].bucket: " in (said := check(tmp_path, "media-prod", code=1))
    assert "another account than 999999999999" in said


# On the wire: what the account on loopback doesn't do


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[Request], Response | None]], None]]:
    """STS that knows us, and S3 as a test says; what a test doesn't answer is refused."""
    answers: list[Callable[[Request], Response | None]] = []

    def answer(request: Request) -> Response:
        if request.method == "POST":
            return Response(200, {"Content-Type": "text/xml"}, IDENTITY.encode())
        return answers[0](request) or Response(403)

    with Server(answer) as server:
        for name, value in {**ACCOUNT, "AWS_ENDPOINT_URL": server.url, "AWS_REGION": "eu-west-1"}.items():
            monkeypatch.setenv(name, value)
        yield answers.append


def found(region: str = "eu-west-1") -> Response:
    return Response(200, {"x-amz-bucket-region": region})


def listed(*names: str) -> Response:
    buckets = "".join(f"<Bucket><Name>{name}</Name></Bucket>" for name in names)
    return Response(200, {}, f"<ListAllMyBucketsResult><Buckets>{buckets}</Buckets></ListAllMyBucketsResult>".encode())


def why(bucket: str = "media-prod", seconds: float = 30.0) -> str:
    said = dict(bucket_check.missing([bucket], "", seconds))
    return said.get(bucket, "")


def test_it_says_whose_the_bucket_must_be(wire: Any) -> None:
    seen = []

    def s3(request: Request) -> Response | None:
        seen.append((request.method, request.headers.get("x-amz-expected-bucket-owner")))
        return found()

    wire(s3)
    assert why() == ""
    assert seen == [("HEAD", OURS)]


def test_one_that_others_may_look_at_is_of_another_account(wire: Any) -> None:
    wire(lambda request: None if "x-amz-expected-bucket-owner" in request.headers else found())
    assert why().startswith(f"the bucket 'media-prod' belongs to another account than {OURS}; ")


def test_one_of_ours_that_may_not_be_looked_at_lacks_a_right(wire: Any) -> None:
    wire(lambda request: listed("media-prod") if request.method == "GET" else None)
    assert why() == ("not allowed: s3:ListBucket on 'media-prod', so nobody can tell whether it is as it should be")


def test_one_that_is_not_among_ours_is_of_another_account(wire: Any) -> None:
    wire(lambda request: listed("other") if request.method == "GET" else None)
    assert why().startswith(f"the bucket 'media-prod' belongs to another account than {OURS}; ")


def test_where_nothing_is_allowed_both_are_possible(wire: Any) -> None:
    wire(lambda request: None)
    assert why() == f"'media-prod' belongs to another account than {OURS}, or s3:ListBucket on it isn't allowed"


def test_what_else_s3_says_is_told(wire: Any) -> None:
    wire(lambda request: Response(400))
    assert why().startswith("S3 says 400 Bad Request to HeadBucket of 'media-prod'")


def test_it_takes_no_longer_than_was_said(wire: Any) -> None:
    """S3 would answer in time for one bucket, and not for many."""
    over = threading.Event()

    def s3(request: Request) -> Response:
        over.wait(4)
        return found()

    wire(s3)
    said = dict(bucket_check.missing(["one-bucket", "other-bucket"], "", 1.5))
    over.set()
    assert said["one-bucket"].startswith("AWS can't be reached, while looking for the bucket one-bucket: ")
    assert said["other-bucket"] == "not asked about: the time was up"


def test_without_a_network_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}"
        for name, value in {**ACCOUNT, "AWS_ENDPOINT_URL": nobody}.items():
            monkeypatch.setenv(name, value)
        said = check(tmp_path, "media-prod", code=1)
    assert said.startswith(
        f"Error: AWS can't be reached, while asking who we are: Could not connect to the endpoint URL: \"{nobody}"
    )


def test_without_credentials_it_says_how_to_sign_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*ACCOUNT, "AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    assert "no AWS credentials found; sign in" in check(tmp_path, "media-prod", code=1)


def test_without_boto3_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    assert check(tmp_path, "media-prod", code=1) == "Error: asking AWS needs boto3: pip install 'multicdn[aws]'\n"


def test_a_file_with_problems_is_not_asked_about(tmp_path: Path) -> None:
    assert "write `bucket: media-prod`" in check(tmp_path, '"s3://media-prod"', code=1)

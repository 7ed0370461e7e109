"""Purging by hand on AWS: listings from S3, and work for the deployed function through SQS."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from kit.scenes import WWW, Scene, providers_of, scene, write

from multicdn import config
from multicdn.delivery.delivery import Delivery
from multicdn.dispatcher import Dispatcher
from multicdn.plugins.discovery import Plugins
from multicdn.testing.loopback.resources import make_queue
from multicdn.worker.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterable

    from multicdn.testing.loopback.aws import LoopbackAws
    from multicdn.testing.loopback.resources import Queue
    from multicdn.worker.worker import WorkerContext

__all__ = ["scene"]

# CloudFront's simulator has credentials of its own.
AWAY_FROM_AWS = ("fastly", "cloudflare")


@pytest.fixture
def bucket(aws: LoopbackAws, scene: Scene) -> str:
    scene.environment.update(aws.environment())
    aws.client("s3").create_bucket(Bucket="acme-site")
    return "acme-site"


@pytest.fixture
def queue(aws: LoopbackAws, bucket: str) -> Queue:
    return make_queue(aws, "multicdn")


def put(aws: LoopbackAws, bucket: str, *keys: str) -> None:
    s3 = aws.client("s3")
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")


def put_many(aws: LoopbackAws, bucket: str, keys: Iterable[str]) -> None:
    """The same over one connection; boto3 takes five times as long."""
    sign = partial(aws.client("s3").generate_presigned_url, "put_object")
    with closing(HTTPConnection(urlsplit(aws.endpoint).netloc)) as connection:
        for key in keys:
            url = urlsplit(sign(Params={"Bucket": bucket, "Key": key}))
            connection.request("PUT", f"{url.path}?{url.query}", b"x")
            assert connection.getresponse().read() == b""


def work_off(aws: LoopbackAws, queue: Queue, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the function do what is in its queue."""
    for name, value in scene.environment.items():
        monkeypatch.setenv(name, value)
    loaded = config.load(scene.path)
    dispatcher = Dispatcher(loaded, Plugins(), Delivery(loaded.providers), own_queue=queue.url)

    def handler(event: dict[str, object], context: WorkerContext) -> object:
        return dispatcher.dispatch(event, 20.0)

    worker = Worker(aws.client("sqs"), queue.url, handler, wait=0, gather=1, batch_size=100)
    while worker.step():
        pass


def only(*names: str) -> list[str]:
    return [word for name in names for word in ("--provider", name)]


def test_recursive_purges_all_that_s3_lists_and_nothing_beside_it(aws: LoopbackAws, bucket: str, scene: Scene) -> None:
    # More than one page of a listing, and keys that a careless listing would decode or encode.
    put(aws, bucket, "docs/a b+c.html", "docs/100%.html", "docs/x.map", "docsier.html")
    put_many(aws, bucket, (f"docs/{number}.html" for number in range(1000)))
    scene.warm("docs/a b+c.html", *AWAY_FROM_AWS)
    scene.warm("docsier.html", *AWAY_FROM_AWS)
    scene.run("purge", "s3://acme-site/docs/", "--recursive", *only(*AWAY_FROM_AWS))
    assert scene.fresh("docs/a b+c.html", *AWAY_FROM_AWS) == list(AWAY_FROM_AWS)
    assert scene.fresh("docsier.html", *AWAY_FROM_AWS) == []
    targets = [call.target for call in scene.edges["fastly"].calls]
    assert f"/purge/{WWW}/docs/100%25.html" in targets
    assert sum(target.endswith(".html") for target in targets) == len(targets) == 1000 + 3 + 1
    assert "no route for 1 object, left alone\n  s3://acme-site/docs/x.map\n" in scene.last.stderr


TAGGED = {"bucket": "acme-site", "tags_from": "cache-tag", "purge": ["fastly", "cloudflare"]}
BUDGETED = {
    "bucket": "acme-site", "collapse": {"budget": 2}, "urls": [WWW + "/{key}"], "purge": ["cloudflare"],
}  # fmt: skip


def test_tags_are_read_from_the_metadata_of_objects(aws: LoopbackAws, bucket: str, scene: Scene) -> None:
    write(scene.path, providers_of(scene.path), [TAGGED])
    aws.client("s3").put_object(Bucket=bucket, Key="a", Body=b"x", Metadata={"Cache-Tag": "sport, news"})
    scene.run("purge", "s3://acme-site/a")
    assert [call.body for call in scene.edges["fastly"].calls] == [b'{"surrogate_keys":["sport","news"]}']
    shown = scene.run("explain", "s3://acme-site/a", "--online")
    assert "  purge by tag: 2 targets in 1 call\n    sport\n    news\n" in shown
    assert scene.calls() == {"fastly": 1, "cloudflare": 1}


@pytest.mark.usefixtures("bucket")
def test_tags_that_cannot_be_read_make_it_partial(scene: Scene) -> None:
    write(scene.path, providers_of(scene.path), [TAGGED])
    scene.run("purge", "s3://acme-site/a", "--tag", "news", AWS_ENDPOINT_URL="http://127.0.0.1:9", code=3)
    assert "s3://acme-site/a: HeadObject of s3://acme-site/a: Could not connect" in scene.last.stderr
    assert scene.calls() == {"fastly": 1, "cloudflare": 1}


def test_many_urls_are_collapsed_as_their_route_says(aws: LoopbackAws, bucket: str, scene: Scene) -> None:
    write(scene.path, providers_of(scene.path), [BUDGETED])
    put(aws, bucket, "docs/1", "docs/2", "docs/3", "docs/4", "img/1", "img/2")
    stdin = "".join(f"s3://acme-site/docs/{number}\n" for number in (1, 2, 3))
    # All are as new as the changes, so none counts as unchanged.
    decided = "cloudflare: 3 targets collapsed to 1 (docs/), which drops 0 unchanged objects: "
    assert decided in scene.run("explain", "-", "--online", stdin=stdin)
    assert decided in scene.run("purge", "-", stdin=stdin)
    assert [call.body for call in scene.edges["cloudflare"].calls] == [b'{"prefixes":["www.acme.com/docs/"]}']


def test_recursive_without_any_object_is_a_failure(bucket: str, scene: Scene) -> None:
    scene.run("purge", "s3://acme-site/nothing/", "--recursive", code=1)
    assert "s3://acme-site/nothing/: no object begins with it" in scene.last.stderr
    assert scene.calls() == {}


@pytest.mark.usefixtures("bucket")
def test_a_bucket_that_cannot_be_listed_says_why(scene: Scene) -> None:
    scene.run("purge", "s3://acme-sit/docs/", "--recursive", code=1)
    assert "s3://acme-sit/docs/ can't be listed: " in scene.last.output
    assert "NoSuchBucket" in scene.last.output


def test_the_function_does_what_is_sent_to_its_queue(
    aws: LoopbackAws, queue: Queue, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.warm("a b.css", *AWAY_FROM_AWS)
    what = ("s3://acme-site/a b.css", f"{WWW}/b.css", "--tag", "news")
    text = scene.run("purge", *what, *only(*AWAY_FROM_AWS), "--queue", queue.url, FASTLY_TOKEN="", CLOUDFLARE_TOKEN="")
    first, what_of_it, *_ = text.splitlines()
    assert first.endswith(f" sent to {queue.url}")
    assert what_of_it.startswith("purge of 4 targets at cloudflare, fastly; request by-hand-")
    assert scene.calls() == {}
    work_off(aws, queue, scene, monkeypatch)
    assert scene.fresh("a b.css", *AWAY_FROM_AWS) == list(AWAY_FROM_AWS)
    # What came in several messages is merged: one call of Cloudflare's for URLs, and one for tags.
    assert scene.calls()["cloudflare"] == 2


def test_the_queue_of_the_environment_is_used(aws: LoopbackAws, queue: Queue, scene: Scene) -> None:
    scene.run("preload", "https://downloads.acme.com/a.iso", MULTICDN_QUEUE_URL=queue.url)
    [message] = aws.client("sqs").receive_message(QueueUrl=queue.url)["Messages"]
    assert '"provider":"edgecast","action":"preload"' in message["Body"]
    assert scene.calls() == {}


def test_two_purges_of_the_same_object_through_the_queue_are_two_requests(
    aws: LoopbackAws, queue: Queue, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        scene.run("purge", f"{WWW}/a.css", *only("cloudflare"), "--queue", queue.url)
        work_off(aws, queue, scene, monkeypatch)
    assert scene.calls() == {"cloudflare": 2}


@pytest.mark.usefixtures("bucket")
def test_a_queue_that_takes_nothing_is_a_failure(aws: LoopbackAws, scene: Scene) -> None:
    missing = f"{aws.endpoint}/{aws.account}/missing"
    scene.run("purge", f"{WWW}/a.css", *only("fastly"), "--queue", missing, code=1)
    [said] = scene.last.stderr.splitlines()
    assert said.startswith("1 message could not be sent: ")
    assert "NonExistentQueue" in said
    assert scene.calls() == {}


def test_a_dry_run_sends_nothing(aws: LoopbackAws, queue: Queue, scene: Scene) -> None:
    scene.run("purge", f"{WWW}/a.css", "--dry-run", "--queue", queue.url)
    assert "Messages" not in aws.client("sqs").receive_message(QueueUrl=queue.url)

"""The part of S3 that is asked about objects, on the wire, and batches of events that tell of them."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, formatdate
from hashlib import md5
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

from multicdn.simulators import Request, Response, Server

if TYPE_CHECKING:
    import pytest

PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix></Prefix>
<KeyCount>{count}</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>{more}</IsTruncated>{token}{objects}
</ListBucketResult>"""
OBJECT = "<Contents><Key>{key}</Key><LastModified>{time:%Y-%m-%dT%H:%M:%S}.000Z</LastModified></Contents>"


ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "loopback-only",
    "AWS_DEFAULT_REGION": "eu-west-1",
}


class S3:
    """HeadObject and ListObjectsV2 for objects that are put in, by bucket and key, and statuses for others.

    boto3 is led here.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.objects: dict[str, dict[str, str]] = {}
        self.times: dict[str, datetime] = {}
        self.statuses: dict[str, int] = {}
        self.slow = threading.Event()
        self.page = 1000  # keys in an answer at most; S3 may give fewer than were asked for
        self.requests: list[Request] = []
        self._server = Server(self._answer)
        self._lock = threading.Lock()

    def __enter__(self) -> S3:
        self._server.start()
        for name, value in {**ACCOUNT, "AWS_ENDPOINT_URL_S3": self._server.url}.items():
            self._monkeypatch.setenv(name, value)
        return self

    def __exit__(self, *_: object) -> None:
        self.slow.set()
        self._server.stop()

    def put(self, place: str, age: float = 0.0, **meta: str) -> None:
        """Put an object at ``bucket/key``, so many minutes ago; underscores in the names of metadata become dashes."""
        self.times[place] = datetime.now(UTC) - timedelta(minutes=age)
        self.objects[place] = {f"x-amz-meta-{name.replace('_', '-')}": value for name, value in meta.items()}

    def write(self, place: str, body: bytes) -> None:
        """Write an object with a body: its head says what S3 says of it."""
        self.put(place)
        date = formatdate(self.times[place].timestamp(), usegmt=True)
        self.objects[place] = {"ETag": f'"{md5(body).hexdigest()}"', "Last-Modified": date}

    def _answer(self, request: Request) -> Response:
        with self._lock:
            self.requests.append(request)
        place = unquote(request.path).removeprefix("/")
        if "list-type=2" in request.query:
            return self._list(place.rstrip("/"), parse_qs(request.query, keep_blank_values=True))
        if place.endswith("slow"):
            self.slow.wait(10)
        if status := self.statuses.get(place):
            return Response(status)
        found = self.objects.get(place)
        if found is None:
            return Response(404)
        since = format_datetime(self.times[place], usegmt=True)
        return Response(200, {"ETag": '"e"', "Last-Modified": since, **found})

    def _list(self, bucket: str, query: dict[str, list[str]]) -> Response:
        if status := self.statuses.get(bucket):
            return Response(status, {}, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
        start = f"{bucket}/{query['prefix'][0]}"
        found = sorted(place for place in self.objects if place.startswith(start))
        begin = int(query.get("continuation-token", ["0"])[0])
        page = found[begin : begin + self.page]
        more = begin + self.page < len(found)
        text = PAGE.format(
            count=len(page),
            more=str(more).lower(),
            token=f"<NextContinuationToken>{begin + self.page}</NextContinuationToken>" if more else "",
            objects="".join(
                OBJECT.format(key=escape(place.partition("/")[2]), time=self.times[place]) for place in page
            ),
        )
        return Response(200, {"Content-Type": "application/xml"}, text.encode())


def batch(*keys: str) -> dict[str, Any]:
    """An SQS batch that tells of created objects of ``acme-site``, with the message ``m-KEY`` for each."""
    return {"Records": [_message(key) for key in keys]}


def _message(key: str) -> dict[str, Any]:
    entity = {"bucket": {"name": "acme-site"}, "object": {"key": key, "sequencer": "01"}}
    record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": entity}
    return {"messageId": f"m-{key}", "eventSource": "aws:sqs", "body": json.dumps({"Records": [record]})}

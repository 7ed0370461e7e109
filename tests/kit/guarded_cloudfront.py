"""CloudFront's API as AWS guards it: AWS on loopback decides who may, a simulated edge does it."""

from __future__ import annotations

import contextlib
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.testing.loopback.environment import LocalEnvironment

# Of the simulated edge; AWS on loopback chooses the id of its own.
SIMULATED = "E8F6HK73EP0LT"


class Guard(ThreadingHTTPServer):
    """CloudFront's API: AWS on loopback decides who may, then the simulated edge does it."""

    daemon_threads = True

    def __init__(self, stage: LocalEnvironment, distribution: str) -> None:
        super().__init__(("127.0.0.1", 0), _Guarded)
        self.aws = urlsplit(stage.aws.endpoint).netloc
        self.distribution = distribution
        self.refusals: list[bytes] = []
        self.edge = _client_of(stage)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Guarded(BaseHTTPRequestHandler):
    server: Guard

    def do_GET(self) -> None:
        self._forward(b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._forward(body):
            root = ET.fromstring(body)
            paths = [item.text for item in root.iter() if item.tag.endswith("Path")]
            [reference] = [item.text for item in root.iter() if item.tag.endswith("CallerReference")]
            batch = {"Paths": {"Quantity": len(paths), "Items": paths}, "CallerReference": reference}
            self.server.edge.create_invalidation(DistributionId=SIMULATED, InvalidationBatch=batch)

    def _forward(self, body: bytes) -> bool:
        """Hand a request on as it was signed; whether it was allowed."""
        connection = HTTPConnection(self.server.aws, timeout=10)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if answer.status >= 400:
            self.server.refusals.append(content)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.getheader("Content-Type", "text/xml"))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        return answer.status < 400

    def log_message(self, *_: object) -> None:
        pass


def _client_of(stage: LocalEnvironment) -> Any:
    import boto3
    from botocore.config import Config

    values = stage.aws.environment()
    return boto3.client(
        "cloudfront",
        endpoint_url=stage.edges["site"].endpoint,
        region_name="us-east-1",
        aws_access_key_id=values["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=values["AWS_SECRET_ACCESS_KEY"],
        config=Config(proxies={}),
    )


@contextlib.contextmanager
def guarded(stage: LocalEnvironment, bucket: str) -> Iterator[Guard]:
    """Make a distribution of a bucket, and serve its guarded API until the end of the block."""
    made = stage.aws.client("cloudfront").create_distribution(DistributionConfig=_distribution(bucket))
    guard = Guard(stage, made["Distribution"]["Id"])
    threading.Thread(target=guard.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield guard
    finally:
        guard.shutdown()
        guard.server_close()


def _distribution(bucket: str) -> dict[str, Any]:
    behaviour = {"TargetOriginId": "o", "ViewerProtocolPolicy": "allow-all", "MinTTL": 0}
    values = {"QueryString": False, "Cookies": {"Forward": "none"}}
    origin = {
        "Id": "o",
        "DomainName": f"{bucket}.s3.amazonaws.com",
        "S3OriginConfig": {"OriginAccessIdentity": ""},
    }
    return {
        "CallerReference": "1",
        "Comment": "",
        "Enabled": True,
        "Origins": {"Quantity": 1, "Items": [origin]},
        "DefaultCacheBehavior": {**behaviour, "ForwardedValues": values},
    }

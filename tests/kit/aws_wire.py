"""The wire formats of the AWS in memory: requests of boto3 as calls, and answers in the words of each API."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

from botocore.awsrequest import AWSResponse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.awsrequest import AWSPreparedRequest

QUERY = ("sts", "iam", "cloudformation", "sns")
_REST = {
    "configuration": "GetFunctionConfiguration",
    "account-settings": "GetAccountSettings",
    "invocations": "Invoke",
}
_HEADERS = ("Range", "x-amz-skip-destination-validation")
_SUBRESOURCES = {
    "location": "BucketLocation",
    "notification": "BucketNotificationConfiguration",
    "tagging": "BucketTagging",
    "publicAccessBlock": "PublicAccessBlock",
}


@dataclass(frozen=True)
class Call:
    """A request: service, operation as boto3 names it, parameters, region, and the bucket and key of S3."""

    service: str
    operation: str
    parameters: Mapping[str, str] = field(default_factory=dict, compare=False)
    bucket: str = ""
    key: str = ""
    body: bytes = field(default=b"", compare=False, repr=False)
    region: str = field(default="", compare=False)

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"{}")

    @property
    def name(self) -> str:
        return f"{self.service}:{self.operation}"


class Refused(Exception):
    """An answer that is an error: status, code, message, and what else stands beside them."""

    def __init__(self, status: int, code: str, message: str | None = None, **beside: str) -> None:
        super().__init__(code)
        self.status, self.code, self.beside = status, code, beside
        self.message = f"this is {code}" if message is None else message


class Page(Refused):
    """An answer of something that isn't AWS; the code is the whole of it."""


class _Raw(io.BytesIO):
    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        yield self.read()


def read(request: AWSPreparedRequest) -> Call:
    url = urlsplit(request.url)
    host = str(url.hostname)
    body = request.body or b""
    content = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else body.read()
    if ".s3." in host or host.startswith("s3."):
        path = url.path.lstrip("/")  # in the older form of a URL, the bucket begins the path
        bucket, _, key = (host.partition(".s3.")[0], "", path) if ".s3." in host else path.partition("/")
        parameters = dict(parse_qsl(url.query, keep_blank_values=True)) if url.query else {}
        parameters |= {name.lower(): _text(request.headers[name]) for name in _HEADERS if name in request.headers}
        return Call("s3", _s3_operation(request.method, parameters, bucket, key), parameters, bucket, key, content)
    service, region, *_ = host.split(".")
    signed = _text(request.headers.get("Authorization", "")).partition("Credential=")[2].split("/")
    region = signed[2] if len(signed) > 2 else region
    if service in QUERY:
        given = dict(parse_qsl(content.decode(), keep_blank_values=True))
        return Call(service, given["Action"], given, body=content, region=region)
    if service == "lambda":
        *_, named, last = url.path.rstrip("/").split("/")
        return Call(service, _REST[last], {"FunctionName": unquote(named)}, body=content, region=region)
    target = _text(request.headers["X-Amz-Target"])
    return Call(service, target.rpartition(".")[2], body=content, region=region)


def _s3_operation(method: str, parameters: Mapping[str, str], bucket: str, key: str) -> str:
    for name, what in _SUBRESOURCES.items():
        if name in parameters:
            return f"{method.capitalize()}{what}"
    if not bucket:
        return "ListBuckets"
    if "delete" in parameters:
        return "DeleteObjects"
    named = {"GET": "GetObject", "PUT": "PutObject"} if key else {"GET": "ListObjectsV2", "PUT": "CreateBucket"}
    return named.get(method, f"{method.capitalize()}Bucket")


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def answered(request: AWSPreparedRequest, call: Call, answer: Any) -> AWSResponse:
    """A success: a dict or list in the protocol of the service, or what S3 sends, perhaps with headers."""
    answer, headers = answer if isinstance(answer, tuple) else (answer, {})
    if call.service in QUERY:
        content = f"<R><{call.operation}Result>{_xml(answer)}</{call.operation}Result></R>".encode()
    elif call.service == "s3":
        content = answer if isinstance(answer, bytes) else answer.encode()
    else:
        content = json.dumps(answer).encode()
    return AWSResponse(request.url, 206 if headers else 200, headers, _Raw(content))


def refusal(request: AWSPreparedRequest, call: Call, refused: Refused) -> AWSResponse:
    if isinstance(refused, Page):
        return AWSResponse(request.url, refused.status, {}, _Raw(refused.code.encode()))
    said = {"Code": refused.code, "Message": refused.message, **refused.beside}
    headers: dict[str, str] = {}
    if call.service == "s3":
        content = "" if request.method == "HEAD" else f"<Error>{_xml(said)}</Error>"
    elif call.service in QUERY:
        content = f"<ErrorResponse><Error>{_xml(said)}</Error></ErrorResponse>"
    else:
        content = json.dumps({"__type": refused.code, "message": refused.message})
        headers = {"x-amzn-query-error": f"{refused.code};Sender"} if call.service == "sqs" else {}
    return AWSResponse(request.url, refused.status, headers, _Raw(content.encode()))


def _xml(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f"<{name}>{_xml(inner)}</{name}>" for name, inner in value.items())
    if isinstance(value, list):
        return "".join(f"<member>{_xml(inner)}</member>" for inner in value)
    return escape(str(value))


def pairs(values: Mapping[str, str], what: str) -> list[dict[str, str]]:
    return [{f"{what}Key": name, f"{what}Value": value} for name, value in values.items()]


def gathered(given: Mapping[str, str], group: str, what: str) -> dict[str, str]:
    """The pairs of a list of the query protocol: ``Tags.member.1.Key``."""
    found = {}
    for name, key in given.items():
        place = re.fullmatch(rf"({group}\.member\.\d+\.){what}Key", name)
        if place:
            found[key] = given[f"{place[1]}{what}Value"]
    return found

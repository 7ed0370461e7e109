"""A call that a new client makes to nobody: the first one takes the longest to write and to read."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.handlers import disable_signing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from botocore.awsrequest import AWSPreparedRequest
    from mypy_boto3_cloudfront import CloudFrontClient

# docs.aws.amazon.com/cloudfront/latest/APIReference/API_CreateInvalidation.html
_ACCEPTED = (
    b'<?xml version="1.0"?><Invalidation xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"><Id>I0</Id>'
    b"<Status>InProgress</Status><CreateTime>2026-01-01T00:00:00Z</CreateTime><InvalidationBatch><Paths><Quantity>1"
    b"</Quantity><Items><Path>/</Path></Items></Paths><CallerReference>0</CallerReference></InvalidationBatch>"
    b"</Invalidation>"
)


def rehearse(client: CloudFrontClient, question: Callable[[CloudFrontClient], object]) -> None:
    """Put a question to a client that nobody else has yet: what it asks meanwhile isn't asked of CloudFront."""
    events = client.meta.events
    for event, answer in _ANSWERS.items():
        events.register_first(event, answer)
    try:
        question(client)
    finally:
        for event, answer in _ANSWERS.items():
            events.unregister(event, answer)


def _accepted(request: AWSPreparedRequest, **_: object) -> AWSResponse:
    return AWSResponse(request.url, 201, HTTPHeaders(), _Body(_ACCEPTED))


class _Body(io.BytesIO):
    def stream(self) -> Iterator[bytes]:
        """All of it, as urllib3's answers give it."""
        yield self.read()


# botocore's own hooks. The credentials stay unread: some are got from somewhere else when they are used first.
_ANSWERS: dict[str, Any] = {"choose-signer.cloudfront": disable_signing, "before-send.cloudfront": _accepted}

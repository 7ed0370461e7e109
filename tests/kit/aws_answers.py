"""An AWS that isn't there: botocore's own clients, with answers in the place of the network."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from botocore.awsrequest import AWSResponse
from botocore.httpsession import URLLib3Session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pytest

    Answer = str | dict[str, Any] | Callable[[dict[str, Any]], str | dict[str, Any]]

ACCOUNT = "123456789012"
_CALLER = f"<Arn>arn:aws:iam::{ACCOUNT}:user/u</Arn><Account>{ACCOUNT}</Account><UserId>U</UserId>"


class Answers:
    """Answers by action, such as ``DescribeStacks``; text is the inside of an XML result, a dict is JSON.

    Attributes:
        asked: action and region of each call, in order.
    """

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self._answers = {"GetCallerIdentity": _CALLER, **answers}
        self.asked: list[tuple[str, str]] = []

    def send(self, _: object, request: Any) -> AWSResponse:
        """In the place of ``URLLib3Session.send``."""
        headers = {name.lower(): _text(value) for name, value in request.headers.items()}
        body = _text(request.body or b"")
        target = headers.get("x-amz-target", "")
        action = target.rpartition(".")[2] or parse_qs(body)["Action"][0]
        self.asked.append((action, headers["authorization"].split("/")[2]))
        answer = self._answers[action]
        if callable(answer):
            answer = answer(json.loads(body) if target else {})
        return _response(request.url, action, answer)


def installed(patch: pytest.MonkeyPatch, answers: Mapping[str, Answer]) -> Answers:
    """Let all clients of a test be answered, with credentials that nobody looks at."""
    found = Answers(answers)
    patch.setattr(URLLib3Session, "send", lambda session, request: found.send(session, request))
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKID",
        "AWS_SECRET_ACCESS_KEY": "key",
        "AWS_CONFIG_FILE": "/none",
    }.items():
        patch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        patch.delenv(name, raising=False)
    return found


def stack(name: str, outputs: Mapping[str, str]) -> dict[str, Answer]:
    """The answers about a stack of ours."""
    members = "".join(
        f"<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>"
        for key, value in outputs.items()
    )
    described = (
        f"<Stacks><member><StackName>{name}</StackName><StackId>arn:{name}</StackId>"
        "<CreationTime>2026-10-02T07:15:04Z</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus>"
        f"<Outputs>{members}</Outputs>"
        f"<Tags><member><Key>multicdn:stack</Key><Value>{name}</Value></member></Tags></member></Stacks>"
    )
    return {"DescribeStacks": described, "GetTemplate": "<TemplateBody>{}</TemplateBody>"}


def no_stack(name: str) -> dict[str, Answer]:
    """The answer about a stack that there isn't."""
    message = f"<Message>Stack with id {name} does not exist</Message>"
    return {"DescribeStacks": f"<Error><Code>ValidationError</Code>{message}</Error>"}


def _response(url: str, action: str, answer: str | dict[str, Any]) -> AWSResponse:
    if isinstance(answer, dict):
        return AWSResponse(url, 200, {"Content-Type": "application/x-amz-json-1.0"}, _Raw(json.dumps(answer)))
    if answer.startswith("<Error>"):
        return AWSResponse(url, 400, {"Content-Type": "text/xml"}, _Raw(f"<ErrorResponse>{answer}</ErrorResponse>"))
    text = f"<{action}Response><{action}Result>{answer}</{action}Result></{action}Response>"
    return AWSResponse(url, 200, {"Content-Type": "text/xml"}, _Raw(text))


class _Raw:
    """What is left to read of an answer."""

    def __init__(self, text: str) -> None:
        self._data = text.encode()

    def stream(self, *_: object, **__: object) -> Any:
        yield self._data


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

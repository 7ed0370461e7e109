"""The AWS in memory with answers in the place of what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kit.aws_wire import Refused, pairs
from kit.memory_aws import MemoryAws

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pytest

    from kit.aws_wire import Call

    Answer = dict[str, Any] | Refused | Callable[[dict[str, Any]], dict[str, Any]]


class Answers(MemoryAws):
    """Answers by action, such as ``DescribeStacks``; a function is given the parameters of a call in JSON."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        super().__init__()
        self._canned = answers

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Action and region of each call, in order."""
        return [(call.operation, call.region) for call in self.calls]

    def _answered(self, call: Call) -> Any:
        if call.operation not in self._canned:
            return super()._answered(call)
        answer = self._canned[call.operation]
        if isinstance(answer, Refused):
            raise answer
        return answer(call.json if not call.parameters else {}) if callable(answer) else answer


def installed(patch: pytest.MonkeyPatch, answers: Mapping[str, Answer]) -> Answers:
    """Let all clients of a test be answered."""
    found = Answers(answers)
    found.answer(patch)
    return found


def stack(name: str, outputs: Mapping[str, str]) -> dict[str, Answer]:
    """The answers about a stack of ours."""
    described = {
        "StackName": name,
        "StackId": f"arn:{name}",
        "CreationTime": "2026-10-02T07:15:04Z",
        "StackStatus": "CREATE_COMPLETE",
        "Outputs": pairs(outputs, "Output"),
        "Tags": pairs({"multicdn:stack": name}, ""),
    }
    return {"DescribeStacks": {"Stacks": [described]}, "GetTemplate": {"TemplateBody": "{}"}}


def no_stack(name: str) -> dict[str, Answer]:
    """The answer about a stack that there isn't."""
    return {"DescribeStacks": Refused(400, "ValidationError", f"Stack with id {name} does not exist")}

"""CloudFormation of the AWS in memory: change sets, stacks that take their time, and resources that fail."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kit.aws_wire import Call, Refused, gathered, pairs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kit.memory_aws import Clock, World

ACCOUNT, REGION = "123456789012", "eu-west-1"
_DEPLOYING = 0.05


@dataclass
class Stack:
    name: str
    id: str
    status: str = "REVIEW_IN_PROGRESS"
    ready_at: float = 0.0
    body: str = "{}"
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    physical: dict[str, str] = field(default_factory=dict)
    change_sets: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, str]] = field(default_factory=list)
    protected: bool = False

    @property
    def resources(self) -> dict[str, Any]:
        return json.loads(self.body).get("Resources", {})  # type: ignore[no-any-return]


class CloudFormation:
    """The calls of one service; ``MemoryAws`` says what the attributes are."""

    world: World
    clock: Clock
    failing: list[str]
    held: list[dict[str, str]]
    orphaned: list[str]

    def _stack(self, call: Call) -> Stack:
        named = call.parameters["StackName"]
        for stack in self.world.stacks:
            self._settle(stack)
            if named == stack.id or (named == stack.name and stack.status != "DELETE_COMPLETE"):
                return stack
        raise Refused(400, "ValidationError", f"Stack with id {named} does not exist")

    def _settle(self, stack: Stack) -> None:
        if stack.status.endswith("_IN_PROGRESS") and stack.ready_at and self.clock.now >= stack.ready_at:
            stack.status = stack.status.replace("_IN_PROGRESS", "_COMPLETE")
            stack.ready_at = 0.0

    def _change(self, call: Call) -> tuple[Stack, dict[str, Any]]:
        for stack in self.world.stacks:
            if call.parameters["ChangeSetName"] in stack.change_sets:
                self._settle(stack)
                return stack, stack.change_sets[call.parameters["ChangeSetName"]]
        raise Refused(404, "ChangeSetNotFound")

    def _cloudformation_DescribeStacks(self, call: Call) -> Any:  # noqa: N802
        stack = self._stack(call)
        return {
            "Stacks": [
                {
                    "StackName": stack.name,
                    "StackId": stack.id,
                    "StackStatus": stack.status,
                    "CreationTime": "2026-01-01T00:00:00Z",
                    "EnableTerminationProtection": str(stack.protected).lower(),
                    "Parameters": pairs(stack.parameters, "Parameter"),
                    "Tags": pairs(stack.tags, ""),
                    "Outputs": pairs(_outputs(stack), "Output"),
                }
            ]
        }

    def _cloudformation_GetTemplate(self, call: Call) -> Any:  # noqa: N802
        return {"TemplateBody": self._stack(call).body}

    def _cloudformation_ListChangeSets(self, call: Call) -> Any:  # noqa: N802
        names = [change["name"] for change in self._stack(call).change_sets.values()]
        return {"Summaries": [{"ChangeSetName": name} for name in names]}

    def _cloudformation_DescribeStackEvents(self, call: Call) -> Any:  # noqa: N802
        return {"StackEvents": self._stack(call).events}

    def _cloudformation_CreateChangeSet(self, call: Call) -> Any:  # noqa: N802
        given = call.parameters
        try:
            stack = self._stack(call)
        except Refused:
            self.world.number += 1
            arn = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{given['StackName']}/{self.world.number}"
            stack = Stack(given["StackName"], arn)
            self.world.stacks.append(stack)
        self._refuse_busy(stack)
        name = given["ChangeSetName"]
        change_id = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:changeSet/{name}/1"
        known = stack.change_sets.get(change_id, {}).get("token", given.get("ClientToken"))
        if change_id in stack.change_sets and known != given.get("ClientToken", "none"):
            raise Refused(400, "AlreadyExistsException", f"ChangeSet {name} cannot be created due to a conflict")
        stack.change_sets[change_id] = {
            "name": name,
            "token": given.get("ClientToken"),
            "body": given.get("TemplateBody", "{}"),
            "parameters": gathered(given, "Parameters", "Parameter"),
            "tags": gathered(given, "Tags", ""),
        }
        return {"Id": change_id, "StackId": stack.id}

    def _cloudformation_DescribeChangeSet(self, call: Call) -> Any:  # noqa: N802
        stack, change = self._change(call)
        if all(getattr(stack, name) == change[name] for name in ("body", "parameters", "tags")):
            return {"Status": "FAILED", "StatusReason": "The submitted information didn't contain changes."}
        return {"Status": "CREATE_COMPLETE"}

    def _cloudformation_DeleteChangeSet(self, call: Call) -> Any:  # noqa: N802
        stack, _ = self._change(call)
        del stack.change_sets[call.parameters["ChangeSetName"]]
        return {}

    def _cloudformation_ExecuteChangeSet(self, call: Call) -> Any:  # noqa: N802
        stack, change = self._change(call)
        token = call.parameters.get("ClientRequestToken")
        if "executed" in change and token and change["executed"] == token:
            return {}  # the same request, made again
        if "executed" in change:
            raise Refused(400, "InvalidChangeSetStatus", "ChangeSet cannot be executed in its current status")
        change["executed"] = token
        first = stack.status == "REVIEW_IN_PROGRESS"
        reason = self.failing.pop(0) if self.failing else ""
        if reason:
            self._note(stack, "Function", "CREATE_FAILED", reason)
            stack.status = "DELETE_IN_PROGRESS" if first else "UPDATE_ROLLBACK_IN_PROGRESS"
        else:
            self._make(stack, change)
            stack.status = "CREATE_IN_PROGRESS" if first else "UPDATE_IN_PROGRESS"
        stack.ready_at = self.clock.now + _DEPLOYING
        return {}

    def _cloudformation_DeleteStack(self, call: Call) -> Any:  # noqa: N802
        stack = self._stack(call)
        self._refuse_busy(stack)
        retained = [value for name, value in call.parameters.items() if name.startswith("RetainResources.")]
        if retained and stack.status != "DELETE_FAILED":
            raise Refused(400, "ValidationError", "Invalid operation on stack. Specify only when it is DELETE_FAILED.")
        why = self.held.pop(0) if self.held else {}
        held = {name: reason for name, reason in why.items() if name in stack.physical and name not in retained}
        for name in [name for name in stack.physical if name not in held]:
            kept = stack.resources[name].get("DeletionPolicy", "").startswith("Retain") or name in retained
            physical = stack.physical.pop(name)
            if not kept:
                self._remove(physical)
        for name, reason in held.items():
            self._note(stack, name, "DELETE_FAILED", reason)
        stack.status, stack.ready_at = ("DELETE_FAILED", 0.0) if held else ("DELETE_IN_PROGRESS", self._soon())
        return {}

    def _soon(self) -> float:
        return self.clock.now + _DEPLOYING

    def _refuse_busy(self, stack: Stack) -> None:
        self._settle(stack)
        if stack.status.endswith("_IN_PROGRESS") and stack.status != "REVIEW_IN_PROGRESS":
            raise Refused(
                400, "ValidationError", f"Stack:{stack.id} is in {stack.status} state and can not be updated."
            )

    def _make(self, stack: Stack, change: Mapping[str, Any]) -> None:
        for part in ("body", "parameters", "tags"):
            setattr(stack, part, change[part])
        for name in [name for name in stack.physical if name not in stack.resources]:
            self._remove(stack.physical.pop(name))
        for name, resource in stack.resources.items():
            arn = f"arn:aws:{resource['Type'].split('::')[1].lower()}:{REGION}:{ACCOUNT}:{stack.name}-{name}-1"
            stack.physical.setdefault(name, arn)
            if resource["Type"] == "AWS::SQS::Queue":
                self.world.queues.setdefault(url(arn), {"arn": arn, "tags": dict(stack.tags), "messages": 0})
        self._note(stack, "Function", "CREATE_COMPLETE", "")  # one stands for all: each takes boto3 its time

    def _remove(self, arn: str) -> None:
        self.world.queues.pop(url(arn), None)
        if any(f">{arn}<".encode() in bucket.notification for bucket in self.world.buckets.values()):
            self.orphaned.append(arn)

    def _note(self, stack: Stack, name: str, status: str, reason: str) -> None:
        self.world.number += 1
        event = {"EventId": str(self.world.number), "LogicalResourceId": name, "ResourceStatus": status}
        event |= {"ResourceType": "AWS::X::Y", "PhysicalResourceId": stack.physical.get(name, "")}
        stack.events.insert(0, {**event, "ResourceStatusReason": reason} if reason else event)


def _outputs(stack: Stack) -> dict[str, str]:
    found = {}
    for name, output in json.loads(stack.body).get("Outputs", {}).items():
        value = output["Value"]
        logical = value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0]
        arn = stack.physical.get(logical, "")
        found[name] = url(arn) if "Ref" in value and ":sqs:" in arn else arn
    return found


def url(arn: str) -> str:
    return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{arn.rpartition(':')[2]}"

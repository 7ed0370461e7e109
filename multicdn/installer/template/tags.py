"""Tags in the template itself, for whoever deploys it without ``apply``, which tags the stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# Types of ours that CloudFormation can tag, all by a list of keys and values.
_TAGGABLE = (
    "AWS::CloudWatch::Alarm",
    "AWS::Events::Rule",
    "AWS::IAM::Role",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Function",
    "AWS::Logs::LogGroup",
    "AWS::SQS::Queue",
)


def tagged(body: Mapping[str, Any], tags: Mapping[str, str]) -> dict[str, Any]:
    """The template with these tags on each resource that can have some."""
    listed = [{"Key": name, "Value": value} for name, value in tags.items()]
    if not listed:
        return dict(body)
    resources = {
        name: {**one, "Properties": {**one["Properties"], "Tags": listed}} if one["Type"] in _TAGGABLE else one
        for name, one in body["Resources"].items()
    }
    return {**body, "Resources": resources}

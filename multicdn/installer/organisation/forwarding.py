"""Buckets of other accounts and regions: what their owners set up, so that EventBridge forwards what happens there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multicdn.installer.notifications.prefixes import buckets, covered
from multicdn.installer.organisation import own_role
from multicdn.installer.template import role
from multicdn.installer.template.event_sources import rule_patterns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from multicdn.config import Config
    from multicdn.config.settings import Forwarded, Install
    from multicdn.installer.account import Account


def own_buckets(config: Config) -> tuple[str, ...]:
    """The buckets of the routes whose notifications are ours to write."""
    return tuple(without_forwarded(config.install, buckets(config.routes)))


def without_forwarded(settings: Install, names: Iterable[str]) -> list[str]:
    """Those buckets whose events aren't forwarded by others."""
    forwarded = {one.bucket for one in settings.forwarded}
    return [name for name in names if name not in forwarded]


def problems(config: Config, account: str, region: str) -> Iterator[str]:
    """What is wrong with ``install.forwarded`` for an installation there."""
    named = buckets(config.routes)
    for place, one in enumerate(config.install.forwarded):
        at = f"{config.name}: install.forwarded[{place}]: the bucket {one.bucket!r}"
        if one.bucket not in named:
            yield f"{at} is in no route"
        elif one.account in ("", account) and one.region in ("", region):
            yield f"{at} would be in the installation's own account and region, {account} and {region}; take it out"


def lines(config: Config, account: str, region: str) -> Iterator[str]:
    """What a plan says of buckets elsewhere."""
    for one in config.install.forwarded:
        yield f"Bucket {one.bucket} of {_place(one, account, region)}: left alone; its owner forwards its events"
    if config.install.forwarded:
        yield "  `multicdn install instructions` prints what its owner has to deploy there"


def places(config: Config, account: Account) -> dict[tuple[str, str], list[Forwarded]]:
    """The buckets elsewhere by account and region."""
    found: dict[tuple[str, str], list[Forwarded]] = {}
    for one in config.install.forwarded:
        found.setdefault((one.account or account.id, one.region or account.region), []).append(one)
    return found


def template(config: Config, account: Account, there: Iterable[Forwarded]) -> dict[str, Any]:
    """The CloudFormation template for one account and region that forwards the events of buckets there to us.

    EventBridge wants a role for a target that is an event bus:
    docs.aws.amazon.com/eventbridge/latest/userguide/eb-cross-account.html
    """
    names = [one.bucket for one in there]
    bus = f"arn:{account.partition}:events:{account.region}:{account.id}:event-bus/default"
    statement = role.allow("Forward", ["events:PutEvents"], bus)
    patterns = rule_patterns([part for part in covered(config.routes) if part.bucket in names])
    target = {"Arn": bus, "Id": "multicdn", "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]}}
    rules = {
        name: {
            "Type": "AWS::Events::Rule",
            "Properties": {"EventPattern": pattern, "State": "ENABLED", "Targets": [target]},
        }
        for name, pattern in patterns.items()
    }
    forwarding_role = {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": role.trust("events.amazonaws.com"),
            "Policies": [
                {"PolicyName": "forward", "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
            ],
        },
    }
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Forwards what happens in {', '.join(names)} to multicdn in {account.id}, {account.region}"[
            :1024
        ],
        "Resources": {"Role": forwarding_role, **rules},
    }


def bucket_policies(config: Config, account: Account) -> dict[str, dict[str, Any]]:
    """By bucket of another account: the policy that lets the function read there, for the routes that want that."""
    foreign = {one.bucket for one in config.install.forwarded if one.account not in ("", account.id)}
    found: dict[str, dict[str, Any]] = {}
    for statement in own_role.in_account(role.bucket_statements(config), config.install.stack, account):
        for bucket in sorted(foreign):
            resources = [one for one in statement["Resource"] if one.split(":")[-1].split("/")[0] == bucket]
            if resources:
                ours = own_role.for_role_alone({**statement, "Resource": resources}, config.install, account)
                made = found.setdefault(bucket, {"Version": "2012-10-17", "Statement": []})
                made["Statement"].append(ours)
    return found


def _place(one: Forwarded, account: str, region: str) -> str:
    where = [f"account {one.account}"] * (one.account not in ("", account))
    where += [f"region {one.region}"] * (one.region not in ("", region))
    return ", ".join(where)

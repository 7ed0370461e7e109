"""How events get from the buckets to the function, as it stands in the account."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from multicdn.config.settings import Trigger
from multicdn.diagnosis import Finding, failed, ok, unknown
from multicdn.installer import diff, state
from multicdn.installer.deployed.installed import ANEW, APPLY, Installed
from multicdn.installer.errors import translated
from multicdn.installer.notifications import merge
from multicdn.installer.notifications.merge import EVENTBRIDGE
from multicdn.installer.notifications.prefixes import covered
from multicdn.installer.notifications.wanted import wanted_of
from multicdn.installer.template.event_sources import eventbridge_to_queue

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_UNCUT = 12
_OUTPUT = {Trigger.QUEUE: "QueueArn", Trigger.DIRECT: "InvokedArn"}


def bucket(name: str, installed: Installed) -> Iterator[Finding]:
    """Whether a bucket tells us what the routes want to know, and nothing else."""
    config, stack = installed.file.config, installed.file.config.install.stack
    trigger = config.install.trigger
    now = state.read_notification(installed.account, name)
    arn = installed.outputs.get(_OUTPUT.get(trigger, ""), "")
    wanted = merge.merged(now, wanted_of(config, name), stack, arn)
    if not merge.same(now, wanted):
        lines = [line for line in diff.notifications(now, wanted, stack) if line[0] in "+-"]
        yield failed(
            f"its notifications aren't those of the routes: {'; '.join(lines) or 'another destination'}", APPLY
        )
    elif trigger is Trigger.EVENTBRIDGE:
        yield ok("it tells EventBridge of all that happens")
    else:
        entries = [merge.described(kind, entry) for kind, entry in merge.ours(now, stack)]
        yield ok(f"it tells us of {'; '.join(entries)}")
    if trigger is not Trigger.EVENTBRIDGE and EVENTBRIDGE in now and name in installed.deployed.state.eventbridge:
        yield failed("it still tells EventBridge, of an earlier trigger", APPLY)


def forwarded(_: Installed) -> Iterator[Finding]:
    """Of a bucket elsewhere only its owner can look at how it tells us."""
    yield unknown(
        "it is elsewhere: its owner forwards its events, and can look whether they are; upload, and see the log"
    )


def rules(installed: Installed) -> Iterator[Finding]:
    """Whether EventBridge sends what the routes want to the queue."""
    config = installed.file.config
    if config.install.trigger is not Trigger.EVENTBRIDGE:
        yield ok(f"there is none (trigger: {config.install.trigger})")
        return
    events, stack = installed.account.client("events"), config.install.stack
    with translated("reading the rules of EventBridge", "events"):
        # CloudFormation cuts what would be longer than 64 characters, and nobody says where.
        pages = events.get_paginator("list_rules").paginate(NamePrefix=stack[:_UNCUT])
        found = [rule for page in pages for rule in page["Rules"]]
    made = eventbridge_to_queue(covered(config.routes))
    for logical, resource in made.items():
        if resource["Type"] == "AWS::Events::Rule":
            pattern = resource["Properties"]["EventPattern"]
            ours = [rule for rule in found if rule["Name"].startswith(f"{stack}-{logical}-")]
            alike = (rule for rule in found if json.loads(rule.get("EventPattern", "{}")) == pattern)
            ours = ours or [
                rule for rule in alike if installed.outputs["QueueArn"] in _targets(installed, rule["Name"])
            ]
            yield from _rule(installed, logical, pattern, ours[0] if ours else None)


def _rule(
    installed: Installed, logical: str, pattern: Mapping[str, Any], rule: Mapping[str, Any] | None
) -> Iterator[Finding]:
    if rule is None:
        yield failed(f"the rule {logical} is gone", ANEW)
        return
    name = rule["Name"]
    if rule.get("State") != "ENABLED":
        yield failed(
            f"the rule {name} is {str(rule.get('State')).lower()}", installed.aws(f"events enable-rule --name {name}")
        )
    elif json.loads(rule.get("EventPattern", "{}")) != pattern:
        yield failed(f"the rule {name} takes other events than the routes want", installed.remedy(logical))
    elif installed.outputs["QueueArn"] not in _targets(installed, name):
        yield failed(f"the rule {name} doesn't send to the queue", installed.remedy(logical))
    else:
        yield ok(f"the rule {name} is enabled, and sends to the queue")


def _targets(installed: Installed, name: str) -> list[str]:
    with translated(f"reading the targets of the rule {name}", "events"):
        answer = installed.account.client("events").list_targets_by_rule(Rule=name)
    return [str(target["Arn"]) for target in answer["Targets"]]

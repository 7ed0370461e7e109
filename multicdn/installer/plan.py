"""Compare the account with the config, and plan the steps that make it so. Pure: it is given all that was read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct, structs

from multicdn.config import Config
from multicdn.config.settings import Trigger
from multicdn.installer import behaviour, diff, quotas
from multicdn.installer.bundle.build import Bundle
from multicdn.installer.errors import InstallError
from multicdn.installer.notifications import merge, wanted
from multicdn.installer.notifications.merge import EVENTBRIDGE, Wanted
from multicdn.installer.organisation import instructions
from multicdn.installer.organisation.forwarding import own_buckets
from multicdn.installer.state import OWNER_TAG, Current, folder
from multicdn.installer.steps import (
    DeleteBucket,
    DeleteObjects,
    DeleteStack,
    Deploy,
    Drain,
    InstallPlan,
    Instruction,
    MakeBucket,
    Notify,
    TagBucket,
    Upload,
)
from multicdn.installer.template import role
from multicdn.installer.template.stack import State, as_read, outputs, template
from multicdn.plugins.chosen import DISABLE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from multicdn.installer.state import Deployed

# Failed while it was made, so that there is nothing to change: it has to be deleted first.
STILLBORN = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")

_NOT_YET = "the new {}"


class Desired(Struct, frozen=True):
    """The installation as it is to be.

    Attributes:
        config: checked.
        config_sha256: of its file.
        bundle: made from it.
        version: of multicdn.
    """

    config: Config
    config_sha256: str
    bundle: Bundle
    version: str

    @property
    def stack(self) -> str:
        """Name of the stack."""
        return self.config.install.stack


def make(desired: Desired, current: Current) -> InstallPlan:
    """Compare what is wanted with what is there.

    Raises:
        InstallError: S3 or CloudFormation would refuse it, or a secret can't be used in Lambda.
    """
    refuse(desired.config, current)
    if problem := quotas.code_problem(desired.bundle.unpacked):
        raise InstallError(f"{desired.config.name}: {problem}")
    return _Planner(desired, current).plan()


def refuse(config: Config, current: Current) -> None:
    """Find what would fail half-way, before anything is done.

    Raises:
        InstallError: with every problem, one a line.
    """
    problems = [
        *role.secret_problems(config),
        *instructions.problems(config, current.account, current.region),
    ]
    if reservation := quotas.reservation_problem(config.install.reserved_concurrency, current.reservable):
        problems.append(f"{config.name}: {reservation}")
    for bucket, configuration in current.notifications.items():
        problems += wanted.problems(config, bucket, configuration)
    if current.deployed and current.deployed.status == "UPDATE_ROLLBACK_FAILED":
        remedy = f"aws cloudformation continue-update-rollback --stack-name {config.install.stack}"
        problems.append(
            f"the stack {config.install.stack!r} is stuck half-way (UPDATE_ROLLBACK_FAILED); run `{remedy}`"
        )
    if problems:
        raise InstallError("\n".join(problems))


class _Planner:
    def __init__(self, desired: Desired, current: Current) -> None:
        self._desired = desired
        self._current = current
        self._settings = desired.config.install
        self._before: Deployed | None = current.deployed if current.deployed and current.deployed.exists else None
        self._old = self._before.state if self._before else State()
        self._key = f"{folder(desired.stack)}{desired.bundle.sha256}.zip"

    def plan(self) -> InstallPlan:
        notifications = list(self._notifications())
        # Taken out before the stack forgets the bucket: a run that is killed in between must not lose sight of it.
        dropped = [step for step in notifications if step.bucket not in own_buckets(self._desired.config)]
        others = [step for step in notifications if step not in dropped]
        steps = (*self._code(), *dropped, *self._stacks(), *others, *self._afterwards())
        return InstallPlan(steps, tuple(self._lines(steps)), tuple(self._warnings()), fresh=self._is_fresh())

    def _is_fresh(self) -> bool:
        """Whether a failure may take everything of ours away again."""
        ours = (
            merge.ours(configuration, self._desired.stack) for configuration in self._current.notifications.values()
        )
        return self._before is None and not any(ours)

    # Steps

    def _code(self) -> Iterator[Instruction]:
        artifacts = self._current.artifacts
        if not artifacts.ready:
            yield MakeBucket(artifacts.bucket, self._settings.tags)
        elif self._untagged():
            kept = {name: value for name, value in artifacts.tags.items() if not name.startswith("aws:")}
            yield TagBucket(artifacts.bucket, {**self._settings.tags, **kept})
        if self._key not in artifacts.keys:
            bundle, encryption = self._desired.bundle, self._settings.artifact_encryption
            yield Upload(artifacts.bucket, self._key, bundle.path, bundle.size, encryption)

    def _untagged(self) -> list[str]:
        """Tags that our bucket lacks. Their values are the first one's: installations share the bucket."""
        artifacts = self._current.artifacts
        return [name for name in self._settings.tags if artifacts.ours and name not in artifacts.tags]

    def _stacks(self) -> Iterator[Instruction]:
        if self._current.deployed and self._current.deployed.status in STILLBORN:
            yield DeleteStack(self._desired.stack, self._current.deployed.updated)
        if self._is_changing_over():
            yield self._deploy((self._old.trigger, self._settings.trigger), "both the old trigger and the new one")
        elif self._stack_lines():
            yield self._deploy(())

    def _notifications(self) -> Iterator[Notify]:
        for bucket, configuration in self._current.notifications.items():
            if not merge.same(configuration, self._merged(bucket)):
                ours = self._wanted(bucket)
                yield Notify(bucket, self._desired.stack, ours, configuration, self._output() if ours.parts else "")

    def _afterwards(self) -> Iterator[Instruction]:
        if self._is_changing_over():
            if self._old.trigger is not Trigger.DIRECT and not self._settings.queued and self._before:
                yield Drain(self._desired.stack, self._before.outputs.get("QueueUrl", ""))
            yield self._deploy((), "the new trigger alone", follows=True)
        stale = tuple(key for key in self._current.artifacts.keys if key != self._key)
        if stale:
            yield DeleteObjects(self._current.artifacts.bucket, stale)
        left = (self._before.parameters if self._before else {}).get("BundleBucket", self._current.artifacts.bucket)
        if self._before and left != self._current.artifacts.bucket:
            yield DeleteObjects(left, (self._before.parameters["BundleKey"],))
            yield DeleteBucket(left, marked=True)

    def _deploy(self, triggers: Collection[Trigger], why: str = "", *, follows: bool = False) -> Deploy:
        return Deploy(
            self._desired.stack,
            self._body(triggers),
            self._parameters(),
            self._tags(),
            self._current.artifacts.bucket,
            why,
            self._settings.artifact_encryption,
            None if follows else self._seen(),
        )

    def _seen(self) -> str:
        deployed = self._current.deployed
        return deployed.updated if deployed and deployed.status not in (*STILLBORN, "REVIEW_IN_PROGRESS") else ""

    # What is wanted

    def _is_changing_over(self) -> bool:
        return self._before is not None and self._old.trigger is not self._settings.trigger

    def _body(self, triggers: Collection[Trigger] = ()) -> dict[str, Any]:
        state = self._state_on_the_way() if triggers else self._state()
        made = template(self._desired.config, state, revision=self._key, triggers=triggers)
        return as_read(made)

    def _state(self) -> State:
        config = self._desired.config
        named = own_buckets(config)
        turned_on = tuple(
            bucket
            for bucket in named
            if self._settings.trigger is Trigger.EVENTBRIDGE
            and (bucket in self._old.eventbridge or EVENTBRIDGE not in self._current.notifications[bucket])
        )
        return State(self._desired.version, self._desired.config_sha256, self._settings.trigger, named, turned_on)

    def _state_on_the_way(self) -> State:
        """While both triggers are there, the old one counts: so the next run goes on if this one is killed."""
        state = self._state()
        turned_on = tuple(dict.fromkeys((*self._old.eventbridge, *state.eventbridge)))
        return structs.replace(state, trigger=self._old.trigger, eventbridge=turned_on)

    def _parameters(self) -> dict[str, str]:
        return {"BundleBucket": self._current.artifacts.bucket, "BundleKey": self._key}

    def _tags(self) -> dict[str, str]:
        return {**self._settings.tags, OWNER_TAG: self._desired.stack}

    def _wanted(self, bucket: str) -> Wanted:
        ours = wanted.wanted_of(self._desired.config, bucket)
        unused = bucket in self._old.eventbridge and bucket not in self._current.listened
        if ours.eventbridge is None and unused:
            return Wanted(ours.kind, ours.parts, eventbridge=False)
        return ours

    def _output(self) -> str:
        return wanted.OUTPUTS[self._settings.trigger]

    def _merged(self, bucket: str) -> dict[str, Any]:
        """The configuration to come; an ARN that isn't known yet is called what it will be."""
        arn = ""
        if self._settings.trigger in wanted.OUTPUTS:
            known = self._before.outputs if self._before and self._tells_the_same(self._before) else {}
            what = "queue" if self._settings.queued else "function"
            arn = known.get(self._output(), _NOT_YET.format(what))
        return merge.merged(self._current.notifications[bucket], self._wanted(bucket), self._desired.stack, arn)

    def _tells_the_same(self, before: Deployed) -> bool:
        """Whether notifications lead where they did: another thing is called with SnapStart than without."""
        told = outputs(self._settings, (self._settings.trigger,))[self._output()]
        return bool(before.body.get("Outputs", {}).get(self._output(), told) == told)

    # Words

    def _lines(self, steps: tuple[Instruction, ...]) -> Iterator[str]:
        bundle, current = self._desired.bundle, self._current
        yield f"Account {current.account}, region {current.region}"
        there = "" if any(isinstance(step, Upload) for step in steps) else ", is there already"
        yield f"Code: {bundle.size / 1e6:.1f} MB ({bundle.unpacked / 1e6:.1f} MB unpacked), {bundle.sha256[:12]}{there}"
        if bundle.uncompiled:
            yield f"Config: read and checked at each cold start: {bundle.uncompiled}"
        if bundle.hooks:
            yield f"Hook plugins in it: {', '.join(bundle.hooks)}; {DISABLE}={','.join(bundle.hooks)} leaves them out"
        before = current.code if self._before else None
        yield from behaviour.section(before, self._desired.config, bundle.packages, current.code_problem)
        if not current.artifacts.ready:
            yield f"Bucket {current.artifacts.bucket}: make it, for the code"
        elif lacking := self._untagged():
            yield f"Bucket {current.artifacts.bucket}: give it the tags {', '.join(lacking)}"
        yield from instructions.plan_lines(self._desired.config, current.account, current.region)
        yield from self._section(f"Stack {self._desired.stack}", self._stack_lines(), new=self._before is None)
        for bucket in current.notifications:
            lines = diff.notifications(current.notifications[bucket], self._merged(bucket), self._desired.stack)
            yield f"Notifications of {bucket}:"
            yield from (f"  {line}" for line in lines)
        if not steps:
            yield "Nothing to change."

    def _section(self, title: str, lines: list[str], *, new: bool) -> Iterator[str]:
        yield f"{title}: {'make it' if new else 'change it' if lines else 'no change'}"
        yield from (f"  {line}" for line in lines)

    def _stack_lines(self) -> list[str]:
        body: Mapping[str, Any] = self._before.body if self._before else {}
        made = self._body()
        parameters = self._before.parameters if self._before else {}
        lines = [*diff.stack(body, made)]
        if self._before:
            lines += diff.values(parameters, self._parameters(), "parameter")
            lines += diff.values(self._before.tags, self._tags(), "tag")
        if not lines and any(body.get(part) != made[part] for part in ("Metadata", "Outputs", "Parameters")):
            lines.append("~ what the stack remembers of this run")
        return lines

    def _warnings(self) -> Iterator[str]:
        yield from self._desired.config.warnings
        yield from self._current.passed_over
        yield from self._current.doubts
        for reference in role.foreign_secrets(self._desired.config):
            yield f"{reference}: a plugin reads this; give the function's role what it needs for that"
        yield from self._shares()
        if not self._settings.alarm_topic:
            yield "install.alarm_topic is empty: the alarms tell nobody; name an SNS topic that somebody reads"
        for arn in self._current.vanished:
            yield f"{arn} doesn't exist any more, and notifications of others go there; whoever made them should know"
        if not self._desired.bundle.compiled:
            remedy = f"install Python {self._settings.python} here"
            yield f"the code holds no byte code, so each cold start takes about twice as long; {remedy}"
        if self._is_changing_over() and not self._settings.queued:
            yield "the queue goes away: messages that are still in it are waited for"

    def _shares(self) -> Iterator[str]:
        """Whether more invocations may run than the vendors' rates are divided between."""
        shares, limit = self._desired.config.concurrency, self._settings.concurrency
        if limit is None or shares < limit:
            running = f"{limit or 'any number of'} invocations may run"
            remedy = "raise it" if self._settings.queued else "raise it, and set install.reserved_concurrency as high"
            yield f"delivery.concurrency is {shares}, but {running}: the vendors' rates may be exceeded; {remedy}"

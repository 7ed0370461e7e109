"""What passes by itself, and what others left, stops nobody: from installing, from changing, from leaving."""

from __future__ import annotations

import json

import pytest
from kit import fault_field as faults
from kit.aws_wire import Call, Page, Refused
from kit.fault_field import LEFT, THEIRS, Field
from kit.memory_cloudformation import ACCOUNT, REGION, Stack
from kit.memory_s3 import Bucket

from multicdn.installer import run
from multicdn.installer.account import connect
from multicdn.installer.errors import InstallError, PassingError
from multicdn.installer.notifications.eventbridge_rules import may_take

NO_GRANT = "Lambda was unable to decrypt the environment variables because KMS access was denied. (Status Code: 400)"
NO_ROLE = "The role defined for the function cannot be assumed by Lambda. (Service: Lambda, Status Code: 400)"
TOO_LONG = "Maximum policy size of 10240 bytes exceeded for role x (HandlerErrorCode: ServiceLimitExceeded)"

# Stacks


def test_a_stack_that_fails_for_what_passes_is_made_again(field: Field) -> None:
    field.begin("empty")
    field.aws.failing = [NO_ROLE, NO_GRANT]
    field.apply("trigger: queue")
    assert sum("that passes: trying again in 15 s, " in line for line in field.said) == 2
    field.aws.failing = [NO_ROLE]
    field.apply("trigger: queue, memory: 1024")
    assert field.apply("trigger: queue, memory: 1024").steps == ()


def test_a_first_installation_is_not_torn_down_for_what_passes(field: Field) -> None:
    field.begin("empty")
    field.aws.failing = [NO_GRANT] * 3
    with pytest.raises(PassingError, match="KMS access was denied") as failed:
        field.apply("trigger: queue")
    assert str(failed.value).endswith("What was done before stays; run it again to go on from there.")
    assert field.aws.world.buckets[faults.CODE].objects
    field.apply("trigger: queue")
    field.see_destroyed()


def test_a_first_installation_is_torn_down_for_what_stays(field: Field) -> None:
    field.begin("empty")
    field.aws.failing = [TOO_LONG]
    with pytest.raises(InstallError, match=r"Maximum policy size[^$]*Nothing of this installation is left\.$"):
        field.apply("trigger: queue")
    assert field.is_empty()


def test_when_tearing_down_fails_too_both_reasons_are_told(field: Field) -> None:
    def deny(call: Call) -> None:
        if call.operation in ("PutBucketNotificationConfiguration", "DeleteStack"):
            raise faults.denied(call)

    field.begin("empty", deny)
    with pytest.raises(InstallError) as failed:
        field.apply("trigger: queue")
    text = str(failed.value)
    assert (
        text.index("s3:PutBucketNotification") < text.index("destroy` once that is mended") < text.index("DeleteStack")
    )
    field.see_destroyed()


def test_what_others_hold_fast_is_left_to_them_and_named(field: Field) -> None:
    field.begin("two buckets")
    held = {"Role": "Cannot delete entity, must detach all policies first."}
    field.aws.held = [held, held]
    field.destroy(faults.TWO)
    assert field.is_empty()
    [line] = [line for line in field.said if "stays; delete it by hand" in line]
    assert "multicdn-Role-1 stays" in line
    assert "must detach all policies first" in line


def test_a_resource_that_can_be_deleted_a_moment_later_is(field: Field) -> None:
    field.begin("two buckets")
    field.aws.held = [{"Role": "Rate exceeded"}]
    field.destroy(faults.TWO)
    assert field.is_empty()
    assert not any("stays" in line for line in field.said)


def test_a_resource_that_may_not_be_deleted_is_not_forgotten(field: Field) -> None:
    field.begin("two buckets")
    field.aws.held = [{"Function": "User is not authorized to perform: lambda:DeleteFunction"}]
    with pytest.raises(InstallError, match="lambda:DeleteFunction"):
        field.destroy(faults.TWO)
    assert field.aws.world.stacks[0].status == "DELETE_FAILED"
    field.see_destroyed()


def test_what_is_gone_when_its_turn_comes_counts_as_removed(field: Field) -> None:
    field.begin("two buckets")
    made = run.plan_removal(field.session("trigger: queue", faults.TWO), drop_messages=False)
    field.aws.world.stacks[0].status = "DELETE_COMPLETE"
    field.aws.world.queues.clear()
    del field.aws.world.buckets[faults.CODE]
    run.execute(made, field.account, field.said.append, field.said.append)
    assert field.is_empty()


def test_a_protected_stack_is_refused_before_anything_is_done(field: Field) -> None:
    field.begin("two buckets")
    field.aws.world.stacks[0].protected = True
    before = field.aws.world.seen()
    with pytest.raises(InstallError, match="update-termination-protection --no-enable-termination-protection"):
        field.destroy()
    assert field.aws.world.seen() == before


@pytest.mark.parametrize("owner", ["multicdn-1", "by-hand"])
def test_a_shell_that_was_never_carried_out_is_ours_if_its_change_set_is(field: Field, owner: str) -> None:
    field.begin("empty")
    shell = Stack("multicdn", f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/multicdn/9")
    shell.change_sets["arn:x"] = {"name": owner, "token": "x", "body": "{}", "parameters": {}, "tags": {}}
    field.aws.world.stacks.append(shell)
    if owner == "by-hand":
        with pytest.raises(InstallError, match="that multicdn didn't make"):
            field.destroy()
    else:
        field.apply("trigger: queue")
        field.see_destroyed()


@pytest.mark.parametrize("metadata", [{"multicdn": {"trigger": "pigeon"}}, {"multicdn": []}, []])
def test_a_template_that_somebody_edited_is_removed_all_the_same(field: Field, metadata: object) -> None:
    field.begin("two buckets")
    body = {**json.loads(field.aws.world.stacks[0].body), "Metadata": metadata}
    field.aws.world.stacks[0].body = json.dumps(body)
    field.see_destroyed()


# Notifications


def test_destinations_of_others_that_are_gone_stop_nobody(field: Field) -> None:
    field.begin("empty")
    field.apply("trigger: queue")
    [line] = [line for line in field.said if "isn't asked to" in line]
    assert f"{THEIRS}: The destination does not exist" in line
    field.said.clear()
    field.destroy()
    assert field.is_empty()
    assert not any("isn't asked to" in line for line in field.said)  # there is nothing of ours for S3 to look at


def test_where_s3_does_not_say_whose_it_is_the_others_are_tried_alone(field: Field) -> None:
    def vague(call: Call) -> None:
        skip = call.parameters.get("x-amz-skip-destination-validation", "").lower() == "true"
        if call.operation.startswith("PutBucketN") and not skip and THEIRS.encode() in call.body:
            raise Refused(400, "InvalidArgument", "Unable to validate the following destination configurations")

    field.begin("empty", vague)
    field.apply("trigger: queue")
    assert not any("new permissions" in line for line in field.said)


@pytest.mark.parametrize("left", [LEFT, b"<NotificationConfiguration/>"])
def test_permissions_of_ours_that_are_never_seen_are_not_passed_over(field: Field, left: bytes) -> None:
    ours = f"arn:aws:sqs:{REGION}:{ACCOUNT}:multicdn-Queue-1"

    def blind(call: Call) -> None:
        if call.operation.startswith("PutBucketN") and ours.encode() in call.body:
            said = "Unable to validate the following destination configurations"
            raise Refused(400, "InvalidArgument", said, ArgumentName1=f"{ours}, null", ArgumentValue1="Not authorized")

    field.begin("empty", blind)
    field.aws.world.buckets["acme-site"].notification = left
    with pytest.raises(PassingError, match=r"S3 still can't send from acme-site to .*multicdn-Queue-1, 120 s after"):
        field.apply("trigger: queue")
    assert sum("doesn't see the new permissions yet" in line for line in field.said) == 1
    field.aws.fault = faults.nothing
    field.destroy()
    assert field.aws.world.seen()["stacks"] == []


def test_what_others_change_in_between_stops_no_removal(field: Field) -> None:
    field.begin("two buckets")
    made = run.plan_removal(field.session("trigger: queue", faults.TWO), drop_messages=False)
    ours = field.aws.world.buckets["second-site"].notification
    entry = b"<Id>new</Id><Queue>arn:aws:sqs:x:1:q</Queue><Event>s3:Replication:*</Event>"
    entry = b"<QueueConfiguration>" + entry + b"</QueueConfiguration>"
    field.aws.world.buckets["second-site"].notification = ours.replace(b"</Not", entry + b"</Not")
    run.execute(made, field.account, field.said.append, field.said.append)
    assert field.aws.world.seen()["notifications"]["second-site"][:2] == ["<Id>new", "<Queue>arn:aws:sqs:x:1:q"]


@pytest.mark.parametrize("when", ["before", "in between"])
@pytest.mark.parametrize("how", ["gone", "foreign"])
def test_a_bucket_that_is_no_longer_ours_stops_no_removal(field: Field, how: str, when: str) -> None:
    field.begin("two buckets")
    session = field.session("trigger: queue", faults.TWO)
    made = run.plan_removal(session, drop_messages=False) if when == "in between" else None
    if how == "gone":
        del field.aws.world.buckets["second-site"]
    else:
        field.aws.world.foreign = {"second-site"}
    made = made or run.plan_removal(session, drop_messages=False)
    run.execute(made, field.account, field.said.append, field.said.append)
    assert any("passed over" in line and "second-site" in line for line in (*made.warnings, *field.said))
    assert not any("doesn't exist any more" in line for line in made.warnings)
    assert field.aws.world.seen()["stacks"] == []
    assert set(field.aws.world.buckets) <= {"acme-site", "second-site"}


def test_a_bucket_that_left_the_config_and_the_account_stops_no_change(field: Field) -> None:
    field.begin("two buckets")
    field.aws.world.foreign = {"second-site"}
    made = field.apply("trigger: queue")
    assert any("second-site" in line and "belongs to another account" in line for line in made.warnings)
    assert field.apply("trigger: queue").steps == ()


def test_the_code_s_bucket_may_be_somebody_else_s_by_now(field: Field) -> None:
    field.begin("two buckets")
    field.aws.world.foreign = {faults.CODE}
    made = field.destroy(faults.TWO)
    assert any("passed over" in line and faults.CODE in line for line in made.warnings)
    assert field.aws.world.seen()["stacks"] == []


def test_a_bucket_that_was_made_and_not_marked_goes_as_well(field: Field) -> None:
    field.begin("empty")
    field.aws.world.buckets[faults.CODE] = Bucket()
    field.see_destroyed()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"source": ["aws.s3"], "detail": {"bucket": [{"exists": True}]}}, True),
        ({"source": ["aws.s3"], "detail": [{"exists": True}]}, True),
        ({"$or": [{"source": ["aws.s3"]}, {"source": ["x"]}]}, True),
        ({"source": ["aws.s3"], "detail": {"bucket": {"name": ["another"]}}}, False),
    ],
)
def test_rules_of_others_may_have_any_form(pattern: object, *, expected: bool) -> None:
    assert may_take(json.dumps(pattern), "acme-site") is expected


# Single objects, and the first call of all


def test_an_object_that_can_not_be_deleted_just_now_is_tried_again(field: Field) -> None:
    field.begin("two buckets")
    field.aws.errors = ["InternalError", "SlowDown"]
    field.destroy(faults.TWO)
    assert field.is_empty()


@pytest.mark.parametrize(("code", "kind"), [("AccessDenied", InstallError), ("InternalError", PassingError)])
def test_an_object_that_can_not_be_deleted_is_named(field: Field, code: str, kind: type[Exception]) -> None:
    field.begin("two buckets")
    field.aws.errors = [code] * 100
    with pytest.raises(kind, match=rf"s3://{faults.CODE}/multicdn/.*: {code}: No\."):
        field.destroy(faults.TWO)


def test_the_first_call_of_all_is_made_again_as_well(field: Field) -> None:
    once = iter([faults.throttled, faults.cut])

    def fail(call: Call) -> None:
        for fault in once:
            raise fault(call)

    field.begin("empty", fail)
    assert connect(REGION, (), field.said.append).id == ACCOUNT
    assert len(field.waits()) == 2


def test_what_is_not_aws_at_all_is_said_to_be(field: Field) -> None:
    def proxy(_: Call) -> None:
        raise Page(200, "<html>Sign in to the network")

    field.begin("empty", proxy)
    with pytest.raises(PassingError, match=r"what answered isn't AWS, while asking who we are .*; look at the proxy"):
        connect(REGION, ())

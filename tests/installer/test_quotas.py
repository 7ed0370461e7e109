"""What AWS refuses for its size is counted before anything is made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber
from kit import installs

from multicdn.installer import permissions, quotas
from multicdn.installer.account import Account
from multicdn.installer.hints import Hints
from multicdn.installer.template import role
from multicdn.installer.template.stack import State, template

if TYPE_CHECKING:
    from multicdn.config import Config

REGION = "eu-central-1"


def routes(number: int) -> str:
    """A route of so many buckets."""
    buckets = ", ".join(f"acme-site-{place:04}" for place in range(number))
    return f"\n  - {{bucket: [{buckets}], tags: [all], purge: [fastly]}}"


def problems(config: Config) -> list[str]:
    return quotas.problems(config, template(config, State(), revision="r"), REGION)


def sites(number: int) -> Config:
    """A config with so many distributions, each with a bucket of its own."""
    named = "".join(f"\n  d{place}: {{type: cloudfront, distribution: E{place:013}}}" for place in range(number))
    each = "".join(
        f"\n  - {{bucket: acme-site-{place:04}, urls: ['https://h{place}/{{key}}'], purge: [d{place}]}}"
        for place in range(number)
    )
    return installs.config("", each, named)


# Statements that differ in their resources alone


def test_sixty_distributions_are_one_statement_that_names_them_all() -> None:
    statements = role.provider_statements(sites(60).providers)
    purging = [one for one in statements if "cloudfront:CreateInvalidation" in one["Action"]]
    assert len(purging) == 1
    assert [resource[-14:] for resource in purging[0]["Resource"]] == [f"E{place:013}" for place in range(60)]
    assert problems(sites(60)) == []


def test_statements_that_differ_in_more_stay_apart() -> None:
    class Provider:
        def __init__(self, *statements: dict[str, Any]) -> None:
            self.statements = statements

        def iam_statements(self, account: str, partition: str) -> tuple[dict[str, Any], ...]:
            del account, partition
            return self.statements

    one = {"Effect": "Allow", "Action": ["a:B"], "Resource": "arn:1"}
    other = one | {"Condition": {"StringEquals": {"aws:x": "y"}}}
    given: Any = {
        "a": Provider(one, other),
        "b": Provider(one | {"Resource": ["arn:1", "arn:2"]}, one | {"Action": ["a:C"]}, other | {"Resource": "arn:3"}),
    }
    assert role.provider_statements(given) == [
        one | {"Resource": ["arn:1", "arn:2"]},
        other | {"Resource": ["arn:1", "arn:3"]},
        one | {"Action": ["a:C"]},
    ]
    assert one["Resource"] == "arn:1"


# Policies


@pytest.mark.parametrize(
    ("install", "fits", "words"),
    [
        ("trigger: queue", 150, "the policy of a queue (BucketsMaySend) would have"),
        ("trigger: eventbridge", 40, "the policy of a queue (RulesMaySend) would have"),
        ("trigger: direct", 40, "the policy of the function would have"),
    ],
)
def test_more_buckets_than_a_policy_can_name_are_refused(install: str, fits: int, words: str) -> None:
    assert problems(installs.config(install, routes(fits))) == []
    found = problems(installs.config(install, routes(300)))
    assert words in "\n".join(found)
    assert all("install.stack`" in problem and problem.startswith("multicdn.config.yml: ") for problem in found)


def test_too_many_distributions_for_a_role_are_refused() -> None:
    [problem] = [problem for problem in problems(sites(160)) if "the role" in problem]
    assert "and IAM takes 10,240" in problem


def test_more_resources_than_a_stack_takes_are_refused() -> None:
    config = installs.config()
    body = template(config, State(), revision="r")
    many = {f"Log{place}": body["Resources"]["LogGroup"] for place in range(500)}
    [problem] = quotas.problems(config, {"Resources": many | body["Resources"]}, REGION)
    assert "and CloudFormation takes 500" in problem


def test_the_policy_of_a_function_is_as_long_as_the_one_that_aws_shows() -> None:
    """Sixty buckets were measured with 24,417 bytes, of which their names and the stack's are a part."""
    [problem] = problems(installs.config("trigger: direct", routes(60)))
    length = int(problem.partition("would have ")[2].partition(" ")[0].replace(",", ""))
    assert 22_000 < length < 27_000


def test_names_that_cloudformation_fills_in_count_with_their_length() -> None:
    """The same buckets take more where stack and region have long names."""
    config = installs.config("trigger: eventbridge, stack: a-stack-with-a-name-of-forty-characters1", routes(72))
    body = template(config, State(), revision="r")
    assert quotas.problems(config, body, "ap-southeast-1") != []
    short = installs.config("trigger: eventbridge, stack: m", routes(72))
    assert quotas.problems(short, template(short, State(), revision="r"), "us-east-1") == []


def test_what_is_counted_holds_no_functions_of_cloudformation_any_more() -> None:
    config = installs.config("trigger: eventbridge", routes(2))
    body = template(config, State(), revision="r")
    filler = quotas._Filler("multicdn", REGION)
    for name in ("RulesMaySend", "Role"):
        text = json.dumps(filler.filled(body["Resources"][name]["Properties"]))
        assert "Fn::" not in text
        assert "${AWS" not in text
    assert permissions.policy_length({"a": 1}) == 7


# Concurrency


@pytest.mark.parametrize(
    ("unreserved", "reserved", "free"), [(1000, 0, 900), (1000, 50, 950), (100, 0, 0), (10, 0, 0), (100, 7, 7)]
)
def test_lambda_keeps_a_hundred_for_functions_that_reserve_none(unreserved: int, reserved: int, free: int) -> None:
    config = installs.config(f"maximum_concurrency: 2, reserved_concurrency: {reserved}" if reserved else "")
    deployed = template(config, State(), revision="r")
    assert quotas.reservable(_account(unreserved), deployed, Hints()) == free
    assert quotas.reservable(_account(unreserved), {}, Hints()) == max(0, free - reserved)


def test_who_may_not_ask_goes_ahead() -> None:
    hints = Hints()
    assert quotas.reservable(_account(None), {}, hints) is None
    assert "isn't known: not allowed: lambda:GetAccountSettings" in hints.doubts[0]
    assert quotas.reservation_problem(5000, None) == ""


@pytest.mark.parametrize(
    ("wanted", "free", "words"),
    [
        (None, 0, ""),
        (5, 5, ""),
        (6, 5, "no more than 5 can be reserved"),
        (2, 0, "; leave it out, or ask AWS for more"),
    ],
)
def test_a_reservation_that_lambda_would_refuse_is_refused(wanted: int | None, free: int, words: str) -> None:
    said = quotas.reservation_problem(wanted, free)
    assert words in said
    assert bool(said) is bool(words)


def _account(unreserved: int | None) -> Account:
    client = boto3.client(
        "lambda", region_name=REGION, aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key="loopback-only"
    )
    stubber = Stubber(client)
    if unreserved is None:
        stubber.add_client_error("get_account_settings", "AccessDeniedException", http_status_code=403)
    else:
        limits = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": unreserved}
        stubber.add_response("get_account_settings", {"AccountLimit": limits})
    stubber.activate()
    return Account("123456789012", "arn:aws:iam::123456789012:user/me", REGION, lambda _: client)

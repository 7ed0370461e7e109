"""What the function may do: the least that its providers, its secrets, its queue and its log need.

Account, region and partition stand as CloudFormation's own names for them, so a template fits any account.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from multicdn.routing.route import Collapse, listed
from multicdn.secrets import BUILT_IN, parse_reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from multicdn.config import Config
    from multicdn.config.publish import Publish
    from multicdn.provider import Provider
    from multicdn.routing.route import Route

Statement = dict[str, Any]

PARTITION = "${AWS::Partition}"
REGION = "${AWS::Region}"
ACCOUNT = "${AWS::AccountId}"

# What these read isn't in Lambda, or would stand in the function's settings for all to see.
_NOT_INSTALLABLE = {
    "env": "it would stand in clear among the function's settings",
    "file": "the function has no such file",
}

# https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions: the describing ones
# work on all resources only; the other ones are allowed on whatever the function's network interfaces will be.
_DESCRIBE_NETWORK = ("ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets")
_USE_NETWORK = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:UnassignPrivateIpAddresses",
)


def secret_problems(config: Config) -> list[str]:
    """Why the secrets of a config can't be used in Lambda, one line for each, with the remedy."""
    return [
        f"{config.name}: provider {name!r}: {reference} can't be installed: {_NOT_INSTALLABLE[scheme]}; "
        f"store it with `multicdn secret put ssm:/multicdn/{name}/NAME` and write ${{ssm:/multicdn/{name}/NAME}}"
        for name, reference, scheme, _ in _references(config.providers)
        if scheme in _NOT_INSTALLABLE
    ]


def foreign_secrets(config: Config) -> list[str]:
    """References of plugins' schemes, for which only the plugin's author knows the permissions."""
    return sorted({reference for _, reference, scheme, _ in _references(config.providers) if scheme not in BUILT_IN})


def provider_statements(providers: Mapping[str, Provider]) -> list[Statement]:
    """The statements that the providers declare; those that differ in their resources alone are one.

    A statement for each of sixty sites would be longer than IAM takes, and sixty ARNs aren't.
    """
    merged: dict[str, Statement] = {}
    for provider in providers.values():
        for statement in provider.iam_statements(ACCOUNT, PARTITION):
            rest = {name: value for name, value in statement.items() if name != "Resource"}
            known = merged.setdefault(json.dumps(rest, sort_keys=True), dict(statement))
            if "Resource" in statement and known["Resource"] != statement["Resource"]:
                both = (*listed(known["Resource"]), *listed(statement["Resource"]))
                known["Resource"] = list(dict.fromkeys(both))
    return list(merged.values())


def secret_statements(
    providers: Mapping[str, Provider], kms_key: str = "", secret_keys: Sequence[str] = ()
) -> list[Statement]:
    """The permission to read each secret, and to decrypt with the keys that are named.

    A key serves the services that decrypt on the function's behalf, and no call of its own; ``kms_key`` that of the
    function's environment, too:
    https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service
    """
    arns: dict[str, list[str]] = {"ssm": [], "secretsmanager": []}
    for _, _, scheme, name in _references(providers):
        if scheme in arns:
            arns[scheme].append(arn_of(scheme, name))
    statements = []
    if arns["ssm"]:
        statements.append(allow("ReadParameters", ["ssm:GetParameter"], _unique(arns["ssm"])))
    if arns["secretsmanager"]:
        statements.append(allow("ReadSecrets", ["secretsmanager:GetSecretValue"], _unique(arns["secretsmanager"])))
    stores = [name for name, found in arns.items() if found]
    if kms_key:
        statements.append(_decrypt("Decrypt", kms_key, ["lambda", *stores]))
    others = [key for key in _unique(secret_keys) if key != kms_key]
    if others and stores:
        statements.append(_decrypt("DecryptSecrets", others, stores))
    return statements


def _decrypt(sid: str, keys: object, services: Iterable[str]) -> Statement:
    via = {"kms:ViaService": [f"{service}.{REGION}.amazonaws.com" for service in services]}
    return allow(sid, ["kms:Decrypt"], keys) | {"Condition": {"StringEquals": via}}


def bucket_statements(config: Config) -> list[Statement]:
    """The permission to read what objects are, and to list them, for the routes that want it."""
    read = _prefixes(route for route in config.routes if route.tags_from or route.verify)
    counted = _prefixes(route for route in config.routes if _counts(route.collapse) or route.settle)
    statements = []
    if read:
        objects = [f"{_bucket_arn(bucket)}/{prefix}*" for bucket, prefixes in read.items() for prefix in prefixes]
        statements.append(allow("ReadMetadata", ["s3:GetObject"], objects))
    last = sorted({(route.bucket, route.after) for route in config.routes if route.after})
    if last:
        ends = [f"{_bucket_arn(bucket)}/{_literal(key)}" for bucket, key in last]
        statements.append(allow("SeeDeploysEnd", ["s3:GetObject"], ends))
    asked = list(dict.fromkeys((*read, *(bucket for bucket, _ in last))))
    if asked:
        # Without it, S3 answers 403 rather than 404 for an object that is gone; asking for an object has no prefix.
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
        statements.append(_listing("SeeWhatIsGone", asked, {"Null": {"s3:prefix": "true"}}))
    statements += [
        _listing(
            f"ListObjects{place or ''}",
            {bucket: prefixes},
            {"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}},
        )
        for place, (bucket, prefixes) in enumerate(counted.items())
    ]
    return statements


def _listing(sid: str, buckets: Iterable[str], condition: Statement) -> Statement:
    return allow(sid, ["s3:ListBucket"], [_bucket_arn(name) for name in buckets]) | {"Condition": condition}


def _prefixes(routes: Iterable[Route]) -> dict[str, list[str]]:
    """For each bucket of some routes, where their keys begin, as a policy writes it; one prefix covers those in it."""
    found: dict[str, list[str]] = {}
    for bucket, prefix in sorted({(route.bucket, route.fixed_prefix) for route in routes}):
        covered = found.setdefault(bucket, [])
        if not covered or not _literal(prefix).startswith(covered[-1]):
            covered.append(_literal(prefix))
    return found


def _literal(prefix: str) -> str:
    """A text in which a policy sees neither wildcards nor variables.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#policy-vars-specialchars
    """
    return re.sub(r"[*?$]", r"${\g<0>}", prefix)


def _counts(policy: str | Collapse) -> bool:
    if isinstance(policy, Collapse):
        return policy.budget is not None or policy.harm is not None
    return policy == "budget"


def publish_statements(publish: Publish) -> list[Statement]:
    """The permission to tell the event buses and topics that the config names."""
    named = (("PutEvents", "events:PutEvents", publish.buses), ("PublishOutcomes", "sns:Publish", publish.topics))
    return [allow(sid, [action], list(arns)) for sid, action, arns in named if arns]


def network_statements() -> list[Statement]:
    """The permissions that Lambda needs to put a function into a VPC."""
    anywhere = f"arn:{PARTITION}:ec2:{REGION}:{ACCOUNT}:*/*"
    return [
        allow("DescribeNetwork", list(_DESCRIBE_NETWORK), "*"),
        allow("UseNetwork", list(_USE_NETWORK), anywhere),
    ]


def trust(service: str) -> dict[str, Any]:
    """The policy that lets a service take a role on."""
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def allow(sid: str, actions: Sequence[str], resource: object) -> Statement:
    """A statement of a policy."""
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": resource}


def substituted(value: Any) -> Any:
    """Let CloudFormation fill its names in, in every text that holds one; other ``${...}`` stay as they are."""
    if isinstance(value, str):
        return {"Fn::Sub": re.sub(r"\$\{(?!AWS::)", "${!", value)} if "${AWS::" in value else value
    if isinstance(value, dict):
        return {key: below if key.startswith("Fn::") else substituted(below) for key, below in value.items()}
    return [substituted(item) for item in value] if isinstance(value, list | tuple) else value


def _references(providers: Mapping[str, Provider]) -> Iterator[tuple[str, str, str, str]]:
    """Instance, reference, scheme and name of every secret."""
    for instance, provider in providers.items():
        for secret in provider.secrets():
            parsed = parse_reference(secret.reference)
            if parsed is not None:
                yield instance, secret.reference, *parsed


def _bucket_arn(name: str) -> str:
    return f"arn:{PARTITION}:s3:::{name}"


def arn_of(scheme: str, name: str) -> str:
    """The ARN of what a reference names in ``ssm`` or ``secretsmanager``, as a policy writes it."""
    return _parameter_arn(name) if scheme == "ssm" else _secret_arn(name)


def _parameter_arn(name: str) -> str:
    """``/a/b`` is ``parameter/a/b``, and ``a`` is ``parameter/a``; a version after a colon isn't part of it."""
    if name.startswith("arn:"):
        return re.sub(r"(:parameter/[^:]+):.*", r"\1", name)
    bare = name.partition(":")[0].removeprefix("/")
    return f"arn:{PARTITION}:ssm:{REGION}:{ACCOUNT}:parameter/{bare}"


def _secret_arn(name: str) -> str:
    """Secrets Manager ends an ARN with a dash and six signs of its own."""
    bare = name.partition("#")[0]
    if not bare.startswith("arn:"):
        return f"arn:{PARTITION}:secretsmanager:{REGION}:{ACCOUNT}:secret:{bare}-??????"
    return bare if re.search(r"-[A-Za-z0-9]{6}$", bare) else f"{bare}-??????"


def _unique(values: Iterable[str]) -> list[str]:
    return sorted(set(values))

"""What others have to do before or after an installation: whoever makes roles, owns a bucket, runs the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multicdn.installer.organisation import forwarding, network, own_role
from multicdn.installer.template import role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.config import Config
    from multicdn.config.settings import Install
    from multicdn.installer.account import Account


class Handout(Struct, frozen=True):
    """One thing for somebody else to do.

    Attributes:
        title: what it is about.
        steps: sentences, in order.
        documents: JSON to deploy or to put somewhere, by what it is.
    """

    title: str
    steps: tuple[str, ...]
    documents: Mapping[str, Any] = {}


def instructions(config: Config, account: Account) -> list[Handout]:
    """Everything that others have to do for an installation with these settings; nothing is asked of AWS."""
    return [
        *_role(config, account),
        *_keys(config, account),
        *_forwarding(config, account),
        *_network(config, account),
    ]


def plan_lines(config: Config, account: str, region: str) -> Iterator[str]:
    """What a plan says of what is imposed."""
    settings = config.install
    if settings.role:
        yield f"Role: {settings.role}, which exists; `multicdn install instructions` prints what it must allow"
    elif settings.permissions_boundary or settings.role_path != "/":
        bound = f", bounded by {settings.permissions_boundary}" * bool(settings.permissions_boundary)
        yield f"Role: made below {settings.role_path}{bound}"
    if settings.artifact_encryption:
        yield f"Uploads: encrypted with {settings.artifact_encryption}, and say so"
    if settings.kms_key:
        yield f"KMS: {settings.kms_key} encrypts the function's environment, and secrets"
    for key in settings.secret_keys:
        yield f"KMS: {key} encrypts secrets"
    yield from forwarding.lines(config, account, region)
    yield from network.lines(config, region)


def problems(config: Config, account: str, region: str) -> Iterator[str]:
    """What AWS would refuse of what is imposed, in this account and region."""
    settings = config.install
    for name in ("role", "permissions_boundary"):
        owner = getattr(settings, name).split(":")[4:5]
        if owner and owner[0] not in (account, "aws"):
            yield f"{config.name}: install.{name} is of the account {owner[0]}, and a function here can't have it"
    for name, arn in _regional(settings):
        if (there := arn.split(":")[3]) != region:
            yield f"{config.name}: install.{name} is in {there}, and the function, in {region}, can't use it: {arn}"
    yield from forwarding.problems(config, account, region)


def _regional(settings: Install) -> Iterator[tuple[str, str]]:
    """The ARNs of what must be in the function's own region, each with its setting's name.

    docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html; CloudWatch says "Invalid region" of an
    alarm's topic elsewhere.
    """
    named = [("alarm_topic", settings.alarm_topic), ("kms_key", settings.kms_key)]
    named += [("artifact_encryption", settings.artifact_key)]
    named += [(f"secret_keys[{place}]", key) for place, key in enumerate(settings.secret_keys)]
    yield from ((name, arn) for name, arn in named if arn.startswith("arn:"))


def text(handouts: list[Handout]) -> Iterator[tuple[str, Any]]:
    """Lines to show, each with the document that follows it, if any."""
    for handout in handouts:
        yield f"== {handout.title}", None
        for number, step in enumerate(handout.steps, 1):
            yield f"{number}. {step}", None
        for name, document in handout.documents.items():
            yield f"{name}:", document


def _role(config: Config, account: Account) -> Iterator[Handout]:
    boundary = config.install.permissions_boundary
    if boundary:
        yield Handout(
            f"The boundary {boundary}",
            ("Whoever keeps it sees to it that it allows what the function's role is for, as below",),
            {"policy": own_role.policy(config, account)},
        )
    if config.install.makes_role:
        return
    yield Handout(
        f"The role {config.install.role}",
        (
            "Whoever makes roles gives it the trust policy and the policy below; both change with the config",
            "Whoever installs may pass it to Lambda: `multicdn install template --policy` has the statement",
        ),
        {
            "trust policy": role.trust("lambda.amazonaws.com"),
            "policy": own_role.policy(config, account),
        },
    )


def _keys(config: Config, account: Account) -> Iterator[Handout]:
    statements = own_role.policy(config, account)["Statement"]
    decrypting = [one for one in statements if one["Action"] == ["kms:Decrypt"]]
    keys = [key for one in decrypting for key in _listed(one["Resource"])]
    if not keys:
        return
    # In the policy of a key, `*` is that key: docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html
    documents = {
        f"statement for {key}": own_role.for_role_alone({**one, "Resource": "*"}, config.install, account)
        for one in decrypting
        for key in _listed(one["Resource"])
    }
    yield Handout(
        "The KMS keys",
        (
            "Nothing, where the policy of a key lets the account's IAM policies decide, as that of a new key does",
            "Elsewhere, and for keys of other accounts, whoever keeps the key adds the statement below to its policy",
        ),
        documents,
    )


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def _forwarding(config: Config, account: Account) -> Iterator[Handout]:
    readers = forwarding.bucket_policies(config, account)
    for (owner, region), there in forwarding.places(config, account).items():
        names = [one.bucket for one in there]
        documents = {"template": forwarding.template(config, account, there)}
        documents |= {f"statements for the policy of {name}": readers[name] for name in names if name in readers}
        yield Handout(
            f"Buckets of account {owner}, region {region}: {', '.join(names)}",
            (
                f"First `multicdn install apply` in account {account.id}: its event bus must let this account send",
                "Turn EventBridge on for each bucket, in its properties or as `eventbridge = true` in Terraform. Over "
                "the API, write all its other notifications with it: what isn't in PutBucketNotificationConfiguration "
                "is lost",
                f"Save the template below as forward.json, and there: aws cloudformation deploy --region {region} "
                f"--stack-name {config.install.stack}-forward --template-file forward.json "
                "--capabilities CAPABILITY_IAM",
                *(f"Add the statements below to the policy of the bucket {name}" for name in names if name in readers),
            ),
            documents,
        )


def _network(config: Config, account: Account) -> Iterator[Handout]:
    if config.install.vpc is None:
        return
    yield Handout(
        f"The network of {', '.join(config.install.vpc.subnets)}",
        (
            "The vendors' APIs, CloudFront's among them, are reached over the internet by https: a NAT gateway or a "
            "proxy, and an outbound rule for port 443",
            "AWS is reached in the same way, or by endpoints: " + ", ".join(network.endpoints(config, account.region)),
        ),
    )

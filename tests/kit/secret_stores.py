"""Stores of secrets on the wire, without a socket: every client of botocore in this process sends its requests here.

It knows stores of secrets, keys, and whoever asks; what it doesn't know is an error of the test.
"""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from botocore.awsrequest import AWSPreparedRequest, AWSResponse

if TYPE_CHECKING:
    import pytest

ACCOUNT, REGION = "123456789012", "eu-west-1"
WHEN = 1_790_000_000.0

IDENTITY = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:iam::{0}:user/ci</Arn><UserId>AIDA</UserId><Account>{0}</Account>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""
SIMULATED = """<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">
<SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated><EvaluationResults><member>
<EvalActionName>{0}</EvalActionName>{1}</member></EvaluationResults></SimulatePrincipalPolicyResult>
</SimulatePrincipalPolicyResponse>"""
ALLOWED = "<EvalDecision>allowed</EvalDecision>"


class Refused(Exception):
    """An answer that is an error: its code, and perhaps what AWS says."""


class SecretStores:
    """The account.

    Attributes:
        parameters: metadata by name, with the value under ``Value``.
        secrets: what DescribeSecret says by name, with the value under ``SecretString``.
        keys: metadata by ARN; aliases by name.
        policies, grants: of keys, by ARN.
        decisions: what IAM says of actions of the function's role, as XML.
        denied: operations that nobody may call.
        refusals: code and text of what AWS says instead of doing an operation.
        seen: region and operation of each request.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.parameters: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, dict[str, Any]] = {}
        self.aliases: dict[str, str] = {}
        self.policies: dict[str, Any] = {}
        self.grants: dict[str, list[dict[str, Any]]] = {}
        self.decisions: dict[str, str] = {}
        self.denied: set[str] = set()
        self.refusals: dict[str, tuple[str, str]] = {}
        self.seen: list[tuple[str, str]] = []
        for name in ("AWS_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "MULTICDN_CONFIG"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "loopback-only",
            "AWS_DEFAULT_REGION": REGION,
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
        monkeypatch.setattr("botocore.httpsession.URLLib3Session.send", lambda _, request: self._answer(request))

    def parameter(self, name: str, value: str, **more: Any) -> None:
        """Store a parameter."""
        metadata = {"Name": name, "Type": "SecureString", "Version": 1, "LastModifiedDate": WHEN}
        self.parameters[name] = {**metadata, "KeyId": "alias/aws/ssm", "Value": value, **more}

    def secret(self, name: str, value: str, **more: Any) -> None:
        """Store a secret."""
        stages = {"abcdef12-0": ["AWSCURRENT"]}
        self.secrets[name] = {
            "Name": name, "VersionIdsToStages": stages, "LastChangedDate": WHEN, "SecretString": value, **more
        }  # fmt: skip

    def key(self, name: str = "k", policy: Any = None, **more: Any) -> str:
        """Make a key; its ARN."""
        arn = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{name}"
        self.keys[arn] = {"KeyId": name, "Arn": arn, "KeyState": "Enabled", "KeyManager": "CUSTOMER", **more}
        self.policies[arn] = policy or []
        return arn

    def _answer(self, request: AWSPreparedRequest) -> AWSResponse:
        target = _header(request, "X-Amz-Target").rpartition(".")[2]
        body = request.body or b""
        text = body.decode() if isinstance(body, bytes) else str(body)
        form = {name: values[0] for name, values in parse_qs(text).items()} if not target else {}
        operation = target or form.get("Action", "") or request.method + " " + str(request.url)
        signed = _header(request, "Authorization").partition("Credential=")[2].split("/")
        self.seen.append((signed[2] if len(signed) > 2 else "", operation))
        asked = json.loads(text or "{}") if target else form
        try:
            if operation in self.denied:
                raise Refused("AccessDeniedException", "not authorized")
            if operation in self.refusals:
                raise Refused(*self.refusals[operation])
            return _response(200, getattr(self, f"_{operation}")(asked))
        except Refused as refused:
            error = {"__type": refused.args[0], "message": (*refused.args, "")[1]}
            return _response(400, error if target else _xml_error(*error.values()))

    def _GetCallerIdentity(self, _: Any) -> str:  # noqa: N802 - named as the operations are
        return IDENTITY.format(ACCOUNT)

    def _SimulatePrincipalPolicy(self, asked: Any) -> str:  # noqa: N802
        action = asked["ActionNames.member.1"]
        return SIMULATED.format(action, self.decisions.get(action, ALLOWED))

    def _DescribeParameters(self, asked: Any) -> Any:  # noqa: N802
        [wanted] = asked["ParameterFilters"]
        found = [item for name, item in self.parameters.items() if name in wanted["Values"]]
        return {"Parameters": [{key: value for key, value in item.items() if key != "Value"} for item in found]}

    def _GetParameter(self, asked: Any) -> Any:  # noqa: N802
        if asked["Name"] not in self.parameters:
            raise Refused("ParameterNotFound")
        return {"Parameter": self.parameters[asked["Name"]]}

    def _PutParameter(self, asked: Any) -> Any:  # noqa: N802
        if len(asked["Value"]) > 4096:
            raise Refused("ValidationException", "Standard tier parameters support 4096 characters.")
        self.parameter(asked["Name"], asked["Value"], KeyId=asked.get("KeyId", "alias/aws/ssm"))
        return {"Version": 1}

    def _DescribeSecret(self, asked: Any) -> Any:  # noqa: N802
        found = self._secret(asked)
        return {key: value for key, value in found.items() if key != "SecretString"}

    def _GetSecretValue(self, asked: Any) -> Any:  # noqa: N802
        found = self._secret(asked)
        return {name: found[name] for name in ("SecretString", "SecretBinary") if name in found}

    def _CreateSecret(self, asked: Any) -> Any:  # noqa: N802
        if asked["Name"] in self.secrets:
            raise Refused("ResourceExistsException")
        self.secret(asked["Name"], asked["SecretString"], KmsKeyId=asked.get("KmsKeyId"))
        return {}

    def _PutSecretValue(self, asked: Any) -> Any:  # noqa: N802
        self._secret(asked)["SecretString"] = asked["SecretString"]
        return {}

    def _UpdateSecret(self, asked: Any) -> Any:  # noqa: N802
        self._secret(asked)
        self.secret(asked["SecretId"], asked["SecretString"], KmsKeyId=asked["KmsKeyId"])
        return {}

    def _secret(self, asked: Any) -> dict[str, Any]:
        if asked["SecretId"] not in self.secrets:
            raise Refused("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
        return self.secrets[asked["SecretId"]]

    def _DescribeKey(self, asked: Any) -> Any:  # noqa: N802
        name = self.aliases.get(asked["KeyId"], asked["KeyId"])
        found = [key for arn, key in self.keys.items() if name in (arn, key["KeyId"])]
        if not found:
            raise Refused("NotFoundException", "no such key")
        return {"KeyMetadata": found[0]}

    def _GetKeyPolicy(self, asked: Any) -> Any:  # noqa: N802
        return {"Policy": json.dumps({"Statement": self.policies[asked["KeyId"]]})}

    def _ListGrants(self, asked: Any) -> Any:  # noqa: N802
        return {"Grants": self.grants.get(asked["KeyId"], []), "Truncated": False}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_GET ") and "/functions/" in name:
            return lambda _: {"Role": f"arn:aws:iam::{ACCOUNT}:role/multicdn-Role"}
        raise AttributeError(name)


class _Raw(io.BytesIO):
    def stream(self, **_: Any) -> Any:
        yield self.read()


def _response(status: int, content: Any) -> AWSResponse:
    text = content if isinstance(content, str) else json.dumps(content)
    return AWSResponse("https://aws.test", status, {}, _Raw(text.encode()))  # type: ignore[arg-type]


def _header(request: AWSPreparedRequest, name: str) -> str:
    value = request.headers.get(name, "")
    return value.decode() if isinstance(value, bytes) else str(value)


def _xml_error(kind: str, said: str) -> str:
    return f"<ErrorResponse><Error><Code>{kind}</Code><Message>{said}</Message></Error></ErrorResponse>"

"""Stores of secrets and KMS of the AWS in memory."""

from __future__ import annotations

import json
from typing import Any

from kit.aws_wire import Call, Refused
from kit.memory_cloudformation import ACCOUNT, REGION

WHEN = 1_790_000_000.0


class SecretStores:
    """The calls of three services. What they hold is put there by tests.

    Attributes:
        parameters: metadata by name, with the value under ``Value``.
        secrets: what DescribeSecret says by name, with the value under ``SecretString``.
        keys: metadata by ARN; aliases by name.
        policies, grants: of keys, by ARN.
    """

    def __init__(self) -> None:
        self.parameters: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, dict[str, Any]] = {}
        self.aliases: dict[str, str] = {}
        self.policies: dict[str, Any] = {}
        self.grants: dict[str, list[dict[str, Any]]] = {}

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

    def _ssm_DescribeParameters(self, call: Call) -> Any:  # noqa: N802
        [wanted] = call.json["ParameterFilters"]
        found = [item for name, item in self.parameters.items() if name in wanted["Values"]]
        return {"Parameters": [{key: value for key, value in item.items() if key != "Value"} for item in found]}

    def _ssm_GetParameter(self, call: Call) -> Any:  # noqa: N802
        if call.json["Name"] not in self.parameters:
            raise Refused(400, "ParameterNotFound", "")
        return {"Parameter": self.parameters[call.json["Name"]]}

    def _ssm_PutParameter(self, call: Call) -> Any:  # noqa: N802
        self.parameter(call.json["Name"], call.json["Value"], KeyId=call.json.get("KeyId", "alias/aws/ssm"))
        return {"Version": 1}

    def _secretsmanager_DescribeSecret(self, call: Call) -> Any:  # noqa: N802
        found = self._stored(call)
        return {key: value for key, value in found.items() if key != "SecretString"}

    def _secretsmanager_GetSecretValue(self, call: Call) -> Any:  # noqa: N802
        return {"SecretString": self._stored(call)["SecretString"]}

    def _secretsmanager_CreateSecret(self, call: Call) -> Any:  # noqa: N802
        self.secret(call.json["Name"], call.json["SecretString"], KmsKeyId=call.json.get("KmsKeyId"))
        return {}

    def _secretsmanager_UpdateSecret(self, call: Call) -> Any:  # noqa: N802
        self.secret(call.json["SecretId"], call.json["SecretString"], KmsKeyId=call.json["KmsKeyId"])
        return {}

    def _secretsmanager_PutSecretValue(self, call: Call) -> Any:  # noqa: N802
        self._stored(call)["SecretString"] = call.json["SecretString"]
        return {}

    def _stored(self, call: Call) -> dict[str, Any]:
        if call.json["SecretId"] not in self.secrets:
            raise Refused(400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
        return self.secrets[call.json["SecretId"]]

    def _kms_DescribeKey(self, call: Call) -> Any:  # noqa: N802
        name = self.aliases.get(call.json["KeyId"], call.json["KeyId"])
        found = [key for arn, key in self.keys.items() if name in (arn, key["KeyId"])]
        if not found:
            raise Refused(400, "NotFoundException", "no such key")
        return {"KeyMetadata": found[0]}

    def _kms_GetKeyPolicy(self, call: Call) -> Any:  # noqa: N802
        return {"Policy": json.dumps({"Statement": self.policies[call.json["KeyId"]]})}

    def _kms_ListGrants(self, call: Call) -> Any:  # noqa: N802
        return {"Grants": self.grants.get(call.json["KeyId"], []), "Truncated": False}

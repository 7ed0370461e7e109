"""An installation that is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from multicdn.config.settings import Trigger
from multicdn.installer.account import Account
from multicdn.installer.errors import InstallError, code, translated
from multicdn.installer.sessions import ConfigFile
from multicdn.installer.state import Deployed
from multicdn.installer.template import stack

APPLY = "run multicdn install apply"

# CloudFormation has it in its books, and makes nothing anew for the same template.
ANEW = "run multicdn install destroy, then multicdn install apply: what is in the stack, apply doesn't look for"
IS_GONE = "not looked at: the function is gone"


class GoneError(InstallError):
    """The function isn't there, though the stack is."""


@dataclass(frozen=True)
class Installed:
    """An installation that there is.

    Attributes:
        account: where.
        file: the config that it is held against.
        deployed: the stack.
    """

    account: Account
    file: ConfigFile
    deployed: Deployed

    @property
    def outputs(self) -> dict[str, str]:
        """Names, ARNs and URLs of what there is."""
        return dict(self.deployed.outputs)

    @property
    def queued(self) -> bool:
        """Whether a queue stands before the function, as it is deployed."""
        return self.deployed.state.trigger is not Trigger.DIRECT

    @property
    def function(self) -> dict[str, Any]:
        """The function, as GetFunction tells of it.

        Raises:
            GoneError: there is none.
            InstallError: it may not be looked at.
        """
        from botocore.exceptions import ClientError

        name = self.outputs["FunctionName"]
        with translated("looking at the function", "lambda"):
            try:
                found: dict[str, Any] = self.account.client("lambda").get_function(FunctionName=name)
            except ClientError as error:
                if code(error) == "ResourceNotFoundException":
                    raise GoneError(f"the function {name} is gone; {ANEW}") from error
                raise
        return found

    @cached_property
    def wanted(self) -> dict[str, Any]:
        """The template that the config makes."""
        revision = self.deployed.parameters.get("BundleKey", "")
        return stack.as_read(stack.template(self.file.config, self.deployed.state, revision=revision))

    def remedy(self, resource: str) -> str:
        """What makes a resource as it should be: CloudFormation sees a new template, and nothing that was done by hand.

        https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html, DeploymentMode
        """
        settings = self.file.config.install
        if resource == "Role" and not settings.makes_role:
            return f"have {settings.role} allow it: `multicdn install instructions` has its policy"
        if self.deployed.body.get("Resources", {}).get(resource) != self.wanted["Resources"].get(resource):
            return APPLY
        kept = " ".join(f"ParameterKey={name},UsePreviousValue=true" for name in sorted(self.deployed.parameters))
        undo = self.aws(
            f"cloudformation create-change-set --stack-name {self.deployed.name} --change-set-name undo "
            f"--use-previous-template --deployment-mode REVERT_DRIFT --capabilities CAPABILITY_IAM --parameters {kept}"
        )
        return f"somebody changed it by hand, which apply doesn't see: change it back, or see what this does: {undo}"

    def aws(self, command: str) -> str:
        """A command for the AWS CLI, whose own region may be another."""
        return f"aws {command} --region {self.account.region}"

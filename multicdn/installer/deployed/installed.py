"""An installation that is looked at."""

from __future__ import annotations

from dataclasses import dataclass

from multicdn.config.settings import Trigger
from multicdn.installer.account import Account
from multicdn.installer.run import ConfigFile
from multicdn.installer.state import Deployed


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

"""What somebody who writes a first config has answered so far, and the command that goes on from there."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.authoring.starter import Draft

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_OPTION = re.compile(r"--set (?P<vendor>[^.]+)\.(?P<option>\w+)")


class Answers(Struct):
    """The answers so far; what is empty wasn't answered.

    Attributes:
        bucket, domain, prefix, region, account, kms_key: as in ``Draft``.
        vendors: plugin names.
        options: of each vendor.
        more: options of the command that have nothing to do with the file's content.
    """

    bucket: str = ""
    domain: str = ""
    prefix: str = ""
    region: str = ""
    account: str = ""
    kms_key: str = ""
    vendors: tuple[str, ...] = ()
    options: dict[str, dict[str, str]] = {}
    more: tuple[str, ...] = ()

    def draft(self) -> Draft:
        """The file that they make."""
        return Draft(
            bucket=self.bucket,
            domain=self.domain,
            vendors=self.vendors,
            options={vendor: self.options.get(vendor, {}) for vendor in self.vendors},
            prefix=self.prefix,
            region=self.region,
            account=self.account,
            kms_key=self.kms_key,
        )

    def command(self) -> str:
        """The command that asks only for what is still open."""
        return shlex.join(("multicdn", "init", *self._flags()))

    def _flags(self) -> Iterator[str]:
        for name in ("bucket", "domain", "prefix", "region", "account", "kms_key"):
            if value := getattr(self, name):
                yield from (f"--{name.replace('_', '-')}", value)
        for vendor in self.vendors:
            yield from ("--vendor", vendor)
            for option, value in self.options.get(vendor, {}).items():
                yield from ("--set", f"{vendor}.{option}={value}")
        yield from self.more

    def forget(self, problems: Sequence[str]) -> bool:
        """Take back the answers that problems are about, so that they are asked for again; whether there are any."""
        taken = [self._taken_back(problem.partition(": ")[0]) for problem in problems]
        return any(taken)

    def _taken_back(self, flag: str) -> bool:
        if match := _OPTION.fullmatch(flag):
            return self.options.get(match["vendor"], {}).pop(match["option"], None) is not None
        if flag.startswith("--vendor "):
            return bool(self.options.pop(flag.removeprefix("--vendor "), None))
        name = flag.removeprefix("--").replace("-", "_")
        if name not in ("bucket", "domain", "prefix", "region", "account", "kms_key") or not getattr(self, name):
            return False
        setattr(self, name, "")
        return True

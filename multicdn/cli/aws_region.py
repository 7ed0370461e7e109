"""The region of what a command asks AWS for. boto3 reads ``AWS_DEFAULT_REGION`` alone, all others ``AWS_REGION``."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")


@contextlib.contextmanager
def obeyed() -> Iterator[None]:
    """Let boto3 obey ``AWS_REGION`` within the block, and leave the environment as it was."""
    before = {name: os.environ.get(name) for name in _VARIABLES}
    try:
        use(os.environ.get("AWS_REGION", ""))
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def use(region: str) -> None:
    """Have everything that follows ask AWS in a region; an empty one changes nothing. Within ``obeyed``."""
    if region:
        os.environ.update(dict.fromkeys(_VARIABLES, region))

"""The region of what a command asks AWS for, also where boto3 or a plugin makes a client by itself."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from multicdn.region import of_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")


@contextlib.contextmanager
def obeyed() -> Iterator[None]:
    """Let boto3 obey ``AWS_REGION`` within the block, and leave the environment as it was."""
    before = {name: os.environ.get(name) for name in _VARIABLES}
    try:
        use(of_environment() or "")
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

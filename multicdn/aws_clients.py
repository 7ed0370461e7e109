"""Clients of AWS, made by botocore alone: what boto3 puts on top of it is for people, and takes 40 ms to load.

In a bundle they are made from what it has of botocore's data, and elsewhere from all of that.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from botocore.config import Config

__all__ = ["client", "region"]


def _nowhere(event: str, **fields: object) -> None:
    """Until there is a log."""


#: Logs a warning: the event and its fields. Set by the log, which stands above this file.
warn: Callable[..., None] = _nowhere


def client(
    service: str, *, region: str | None = None, endpoint_url: str | None = None, config: Config | None = None
) -> Any:
    """Make a client of a service, with the credentials, region and settings that botocore finds.

    One session makes all clients of a process, and any thread may ask for one. They obey ``multicdn.bounds``, and share
    the context of ``multicdn.tls`` where nothing names other authorities.

    Args:
        service: as botocore calls it, such as ``sqs``.
        region: None leaves it to botocore.
        endpoint_url: None for AWS's own.
        config: limits of the client.

    Raises:
        ImportError: botocore isn't installed.
        BotoCoreError: as botocore says, such as that there is no region.
    """
    from multicdn import _botocore

    def unfit(reason: str) -> None:
        warn("aws-data-unfit", service=service, reason=reason)

    return _botocore.client(service, unfit, region_name=region, endpoint_url=endpoint_url, config=config)


def given_credentials() -> Iterable[str]:
    """What must not be shown of the credentials that clients were given; empty while none was made."""
    made = sys.modules.get("multicdn._botocore")
    return made.given_credentials() if made is not None else ()


def region() -> str | None:
    """The region that botocore finds in the environment or a profile; None if there is none.

    Raises:
        ImportError: botocore isn't installed.
    """
    from multicdn import _botocore

    return _botocore.region()

"""What there is in AWS, for whoever writes a first config: buckets, distributions, account. Only a help."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from multicdn.authoring import extras
from multicdn.authoring.interview import Bucket, ListedDistribution
from multicdn.cli.terminal import say
from multicdn.errors import MulticdnError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from multicdn.installer.bucket_check import Buckets

    _Answer = TypeVar("_Answer")

# Seconds for each thing that is asked.
_LONGEST = 10.0


class AwsAround:
    """AWS as the credentials at hand see it; nothing of it without any, or without the right to look.

    Args:
        region: as given; empty for that of the environment.
    """

    def __init__(self, region: str) -> None:
        self._given = region
        self._distributions: list[ListedDistribution] | None = None

    def buckets(self) -> Sequence[str]:
        """The account's own, in S3's order."""
        return self._asked(lambda known: list(known.names()), [])

    def bucket(self, name: str) -> Bucket:
        """One of any account."""
        return self._asked(lambda known: Bucket(*known.look(name)), Bucket())

    def account(self) -> str:
        """Whose the credentials are."""
        return self._asked(lambda known: known.account, "")

    def distributions(self) -> Sequence[ListedDistribution]:
        """The account's, asked for once."""
        if self._distributions is None:
            none: list[ListedDistribution] = []
            self._distributions = self._asked(lambda _: _list_distributions(), none)
        return self._distributions

    @cached_property
    def _known(self) -> Buckets | None:
        say("Asking AWS what there is.")
        try:
            from multicdn.installer.bucket_check import Buckets

            return Buckets(self._given)
        except MulticdnError as error:
            why = str(error)
        except ModuleNotFoundError as error:  # of the SDK, which is an extra
            why = extras.of_import(error) or str(error)
        say(f"  It can't be asked, so nothing is listed or checked: {why}")
        return None

    def _asked(self, ask: Callable[[Buckets], _Answer], otherwise: _Answer) -> _Answer:
        from multicdn.bounds import ANY_LENGTH, bounded

        with bounded(_LONGEST, ANY_LENGTH):
            if self._known is None:
                return otherwise
            try:
                return ask(self._known)
            except MulticdnError:
                return otherwise


def _list_distributions() -> list[ListedDistribution]:
    import boto3
    from botocore.config import Config

    from multicdn.installer.errors import translated

    quick = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 1})
    with translated("listing the distributions", "cloudfront"):
        # A global service, which signs for one region whatever ours is.
        make: Any = boto3.session.Session().client
        pages = make("cloudfront", region_name="us-east-1", config=quick).get_paginator("list_distributions").paginate()
        return [_distribution(item) for page in pages for item in page["DistributionList"].get("Items", ())]


def _distribution(item: dict[str, Any]) -> ListedDistribution:
    names = tuple(item.get("Aliases", {}).get("Items", ())) or (item["DomainName"],)
    origins = tuple(origin["DomainName"] for origin in item.get("Origins", {}).get("Items", ()))
    return ListedDistribution(item["Id"], names, origins)

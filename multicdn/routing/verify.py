"""Whether a route's objects are looked at after their purge, where, and by what new bytes are told from old ones."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from multicdn.routing import url_templates
from multicdn.routing.durations import DURATION

_METADATA = "x-amz-meta-"


class Identity(StrEnum):
    """By what an object at an edge is compared with the one in S3."""

    AUTO = "auto"
    VERSION = "version"
    METADATA = "metadata"
    ETAG = "etag"
    MD5 = "md5"
    MODIFIED = "modified"


# A name of metadata is one of a header: docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
_IDENTITY = f"^({'|'.join(each for each in Identity if each is not Identity.METADATA)}|metadata:[A-Za-z0-9_.-]+)$"


class Verify(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the objects of a route are looked at."""

    within: Annotated[
        str,
        Meta(
            pattern=DURATION,
            description="how long after *finished* an edge with old bytes is purged again, before it is told as still "
            "stale: `90s`, `2m`",
        ),
    ] = "2m"
    sample: Annotated[
        Annotated[int, Meta(ge=1)] | Literal["all"],
        Meta(description="how many of the objects that change together are looked at through each provider"),
    ] = 20
    identity: Annotated[
        str,
        Meta(
            pattern=_IDENTITY,
            description="by what new bytes are told from old ones: `auto` (the strongest that both sides show), "
            "`version`, `etag`, `md5`, `modified`, or `metadata:NAME`, a write number that the uploader puts into "
            "x-amz-meta-NAME",
        ),
    ] = Identity.AUTO.value
    urls: Annotated[
        tuple[str, ...],
        Meta(
            min_length=1,
            description="templates of the URLs to look at; default: that of the route's `urls` which ends with the key",
        ),
    ] = ()
    removed_as: Annotated[
        tuple[Annotated[int, Meta(ge=200, le=599)], ...],
        Meta(description="statuses that the site answers for removed objects, besides 403, 404 and 410"),
    ] = ()

    def __post_init__(self) -> None:
        """Spell hosts as browsers do, and names of metadata as S3 does."""
        structs.force_setattr(self, "urls", tuple(map(url_templates.lower_host, self.urls)))
        kind, sign, name = self.identity.partition(":")
        structs.force_setattr(self, "identity", f"{kind}{sign}{name.lower().removeprefix(_METADATA)}")


def wished(written: bool | Verify) -> Verify | None:  # noqa: FBT001 - as the file has it
    """What ``verify`` means as it is written: ``true`` for the defaults."""
    return written if isinstance(written, Verify) else Verify() if written else None

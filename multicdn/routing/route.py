"""A route of the config file: which objects, by what the CDNs know them, and which providers act on it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from multicdn.model import ChangeKind, TargetKind
from multicdn.patterns import lazy_pattern
from multicdn.provider import SoftPurge
from multicdn.routing import placeholders, spellings, url_templates
from multicdn.routing.settle import Settle
from multicdn.routing.spellings import ClientName
from multicdn.routing.verify import Verify

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from multicdn.provider import Provider

_PLACEHOLDERS = placeholders.described()

_METADATA = "x-amz-meta-"

# What makes a path another one. S3 has it in keys, and Cloudflare merges slashes, and may read a backslash as one.
_RESOLVED = lazy_pattern(r"//|\\|/\.|/%2[Ee]")

# Which member of a route holds the targets of a kind.
MEMBERS = {
    "urls": TargetKind.URL,
    "prefixes": TargetKind.PREFIX,
    "tags": TargetKind.TAG,
    "hosts": TargetKind.HOST,
    "everything": TargetKind.EVERYTHING,
}


class Also(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Keys that hold something made from another key, such as a picture in other sizes, and are stale with it."""

    keys: Annotated[
        tuple[str, ...], Meta(min_length=1, description="shell patterns over whole keys; `*` also matches slashes")
    ]
    as_: Annotated[
        tuple[str, ...],
        Meta(min_length=1, description=f"templates of the other keys, such as `{{dir}}{{stem}}@2x{{ext}}`; "
             f"placeholders: {_PLACEHOLDERS}"),
    ] = msgspec.field(name="as")  # fmt: skip


class Collapse(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When many URLs below one directory become a prefix. Exactly one of ``over`` and ``budget``."""

    over: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="purge a directory by its prefix when more than this many URLs below it are to be purged"),
    ] = None
    budget: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="purge as many directories by prefix as needed to have no more than this many targets"),
    ] = None
    harm: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        Meta(description="unchanged objects that may be dropped for each changed one; default: 1 with a budget, "
             "any number with `over`"),
    ] = None  # fmt: skip

    def __post_init__(self) -> None:
        """Refuse two policies at once, and none.

        Raises:
            ValueError: the sentence is for the author of the config file.
        """
        if (self.over is None) == (self.budget is None):
            raise ValueError("write either `over` or `budget`")


# Members that may also be one text in place of a list, or a list in place of one text.
_TextOrList = str | Annotated[tuple[str, ...], Meta(min_length=1)]


class Route(Struct, frozen=True, kw_only=True, gc=False):
    """Which objects, by what the CDNs know them, and which providers act on it. Every matching route applies.

    The descriptions of the members are those that the JSON schema shows.
    """

    bucket: Annotated[str, Meta(description="exact name of the bucket, or a list of some")]
    prefix: Annotated[str, Meta(description="keys must begin with it; without it, the whole bucket")] = ""
    on: Annotated[
        tuple[ChangeKind, ...], Meta(description="the kinds of change to act on; without it, created and removed")
    ] = (
        ChangeKind.CREATED,
        ChangeKind.REMOVED,
    )
    suffix: Annotated[tuple[str, ...], Meta(description="keys must end with it, or with one of a list")] = ()
    include: Annotated[
        tuple[str, ...],
        Meta(
            min_length=1,
            description="shell patterns over whole keys, one of which must match; `*` also matches slashes",
        ),
    ] = ()
    exclude: Annotated[
        tuple[str, ...], Meta(description="shell patterns over whole keys to leave alone; `*` also matches slashes")
    ] = ()
    match: Annotated[
        str, Meta(description="regular expression of whole keys; its named groups are placeholders: `(?P<name>[^/]+)`")
    ] = ""
    ignore_case: Annotated[
        bool, Meta(description="whether `prefix`, `suffix`, `include`, `exclude`, `match` and `also` take `A` for `a`")
    ] = False
    index: Annotated[
        str, Meta(description="name of the index document: `dir/index.html` is then also purged as `dir/`")
    ] = ""
    bare: Annotated[bool, Meta(description="whether an index document is also purged as `dir`, without the slash")] = (
        False
    )
    strip: Annotated[
        tuple[str, ...],
        Meta(description="endings that URLs go without: with `.html`, `about.html` is also purged as `about`"),
    ] = ()
    also: Annotated[
        tuple[Also, ...], Meta(description="other keys that are stale with a key, such as a picture in other sizes")
    ] = ()
    urls: Annotated[
        tuple[str, ...],
        Meta(description=f"templates of absolute URLs, as clients ask for them; placeholders: {_PLACEHOLDERS}"),
    ] = ()
    prefixes: Annotated[
        tuple[str, ...], Meta(description="templates of absolute URLs; all that begins with one is purged")
    ] = ()
    spellings: Annotated[
        tuple[ClientName, ...],
        Meta(
            description="who spells the keys in the URLs of the site, the likeliest first; without it, all but `form`"
        ),
    ] = ()
    tags: Annotated[tuple[str, ...], Meta(description="templates of cache tags (surrogate keys)")] = ()
    tags_from: Annotated[
        str, Meta(description="metadata of created objects that lists their tags, such as `cache-tag` (`x-amz-meta-` "
                  "is understood)")
    ] = ""  # fmt: skip
    hosts: Annotated[tuple[str, ...], Meta(description="host names to purge whole, at any change")] = ()
    allowed_hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="hosts that may be made from keys, as `{first}.example.com` is; `*.example.com` is any one "
            "label"
        ),
    ] = ()
    everything: Annotated[
        bool, Meta(description="whether any change empties the whole zone, service or distribution")
    ] = False
    purge: Annotated[tuple[str, ...], Meta(description="names of the providers that purge")] = ()
    preload: Annotated[
        tuple[str, ...],
        Meta(description="names of the providers that fetch the `urls` into their cache after the purge"),
    ] = ()
    soft: Annotated[
        bool | None,
        Meta(description="mark stale rather than drop; wins over the providers' own `soft`; removals always drop"),
    ] = None
    collapse: Annotated[
        Literal["never", "budget"] | Collapse,
        Meta(description="when many URLs below one directory become a prefix: `never`, `{over: N}`, `{budget: N}`, or "
             "`budget`, which spends no more than the targets that the vendor gives for nothing"),
    ] = "never"  # fmt: skip
    allow_root: Annotated[
        bool, Meta(description="whether a prefix made from a key may be a whole host, as `https://host/` is")
    ] = False
    verify: Annotated[
        Verify | None,
        Meta(description="whether the objects are looked at through each provider once it has finished, and purged "
             "again where old bytes are seen; `true` for the defaults"),
    ] = None  # fmt: skip
    settle: Annotated[
        Settle | None,
        Meta(description="wait for the whole deploy: purge and preload once no change came for a while"),
    ] = None
    after: Annotated[
        str,
        Meta(description="wait for the whole deploy: purge and preload once this key was uploaded after the changes; "
             "the object that a pipeline writes last"),
    ] = ""  # fmt: skip

    def __post_init__(self) -> None:
        """Spell hosts as browsers do."""
        for member in ("urls", "prefixes"):
            msgspec.structs.force_setattr(self, member, tuple(map(url_templates.lower_host, getattr(self, member))))
        msgspec.structs.force_setattr(self, "hosts", tuple(map(str.lower, self.hosts)))

    def texts(self, member: str) -> tuple[str, ...]:
        """The templates of one of ``MEMBERS``; one empty text for an explicit ``everything: true``."""
        if member == "everything":
            return ("",) if self.everything else ()
        return getattr(self, member)  # type: ignore[no-any-return]

    @property
    def clients(self) -> tuple[ClientName, ...]:
        """Whose spellings of keys URLs and prefixes are made in."""
        return self.spellings or spellings.LIKELY

    @property
    def waits(self) -> bool:
        """Whether it waits for whole deploys."""
        return bool(self.settle or self.after)

    @property
    def waits_for(self) -> str:
        """What a change waits for before it is purged, in words; empty where it doesn't wait."""
        if self.after:
            return f"until s3://{self.bucket}/{self.after} is uploaded after it"
        return str(self.settle) if self.settle else ""

    def wants(self, member: str) -> bool:
        """Whether the route purges by one of ``MEMBERS``."""
        return bool(self.texts(member)) or (member == "tags" and bool(self.tags_from))

    def prefix_in(self, key: str) -> str:
        """The prefix as a key spells it that begins with it; for any other key, as the route does."""
        start = key[: len(self.prefix)] if self.ignore_case else ""
        return start if start and start.lower() == self.prefix.lower() else self.prefix

    @property
    def fixed_prefix(self) -> str:
        """The part of the prefix that all keys have letter by letter, as notifications and policies compare."""
        if not self.ignore_case:
            return self.prefix
        letters = (place for place, sign in enumerate(self.prefix) if sign.lower() != sign or sign.upper() != sign)
        return self.prefix[: next(letters, None)]

    @property
    def metadata(self) -> str:
        """The name under which S3 lists the metadata of ``tags_from``; empty without."""
        return self.tags_from.lower().removeprefix(_METADATA)


@cache
def written_members() -> Mapping[str, Any]:
    """The members of a route as the config file has them, with their types.

    A list of buckets makes a route of each: all that is done for a change is done for its bucket alone.
    """
    hints = get_type_hints(Route, include_extras=True)
    for name in ("bucket", "suffix"):
        hints[name] = Annotated[(_TextOrList, *hints[name].__metadata__)]
    hints["verify"] = Annotated[(bool | Verify, *hints["verify"].__metadata__)]
    return hints


def listed(value: str | Iterable[str]) -> tuple[str, ...]:
    """One text, or a list of some, as a list."""
    return (value,) if isinstance(value, str) else tuple(value)


def is_root(text: str) -> bool:
    """Whether a URL prefix is all of its host, to vendors, too, that merge slashes or resolve ``.`` and ``..``."""
    path = urlsplit(text).path
    if path in ("", "/"):
        return True
    left: list[str] = []
    for segment in path.replace("\\", "/").split("/") if _RESOLVED.search(path) else (path,):
        name = segment.lower().replace("%2e", ".")
        if name == "..":
            left = left[:-1]
        elif name not in ("", "."):
            left.append(name)
    return not left


def wished_soft(route: Route, provider: Provider) -> bool:
    """Whether changed objects are to be marked stale: the route's word, else the provider's."""
    if route.soft is not None:
        return route.soft
    return isinstance(provider, SoftPurge) and provider.soft

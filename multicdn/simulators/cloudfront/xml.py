"""The documents of the CloudFront API, version 2020-05-31."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from multicdn.simulators.cloudfront.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multicdn.simulators.cloudfront.invalidations import Invalidation
    from multicdn.simulators.cloudfront.model import Distribution, S3Origin, Tenant

NAMESPACE = "http://cloudfront.amazonaws.com/doc/2020-05-31/"

# An element: its name, and its text or its children.
Element = tuple[str, "str | Sequence[Element]"]

_LARGEST_PAGE = 100
_UNCHANGED = "2026-01-01T00:00:00Z"


def document(root: Element) -> bytes:
    """Write a document."""
    name, content = root
    return f'<?xml version="1.0"?>\n<{name} xmlns="{NAMESPACE}">{_content(content)}</{name}>'.encode()


def error(code: str, message: str, *, sender: bool, request_id: str) -> bytes:
    """The document of an error."""
    told = [("Type", "Sender" if sender else "Receiver"), ("Code", code), ("Message", message)]
    return document(("ErrorResponse", [("Error", told), ("RequestId", request_id)]))


def read(body: bytes) -> ET.Element:
    """Parse a request body.

    Raises:
        ValueError: it is no XML.
    """
    try:
        return ET.fromstring(body)  # noqa: S314 - our own client on loopback, and expat limits expansion
    except ET.ParseError as problem:
        raise ValueError(str(problem)) from None


def read_batch(body: bytes) -> tuple[str, int, tuple[str, ...]]:
    """Caller reference, quantity and items of an InvalidationBatch.

    Raises:
        ApiError: the body is missing, or no such thing.
    """
    if not body:
        raise ApiError("MissingBody", "This operation requires a body. Ensure that the body is present.")
    try:
        batch = read(body)
        quantity = int(text(batch, "Paths/Quantity") or "")
    except ValueError:
        raise ApiError("MalformedXML", "The XML that you provided isn't well formed, or lacks the quantity.") from None
    reference = text(batch, "CallerReference")
    if not reference:
        raise ApiError("InvalidArgument", "The caller reference is missing.")
    return reference, quantity, texts(batch, "Paths/Items/Path")


def text(parent: ET.Element, path: str) -> str | None:
    """The text of a child named by a path without namespaces; None where it is absent."""
    child = parent.find(_qualified(path))
    return None if child is None else child.text or ""


def texts(parent: ET.Element, path: str) -> tuple[str, ...]:
    """The texts of all children named by a path."""
    return tuple(child.text or "" for child in parent.findall(_qualified(path)))


def _qualified(path: str) -> str:
    return "/".join(f"{{{NAMESPACE}}}{name}" for name in path.split("/"))


def listing(items: Sequence[Element]) -> list[Element]:
    """A list in CloudFront's manner: ``Items`` is absent where it would be empty."""
    quantity: Element = ("Quantity", str(len(items)))
    return [quantity, ("Items", items)] if items else [quantity]


def page(root: str, shown: Sequence[tuple[str, Element]], options: Mapping[str, str]) -> Element:
    """The document of one page of a list; ``shown`` has the name of each element, which is its marker."""
    chosen, following, size = cut(shown, options)
    last: list[Element] = [("NextMarker", following)] if following else []
    truncated = "true" if following else "false"
    head: list[Element] = [("Marker", options.get("Marker", "")), *last, ("MaxItems", str(size))]
    return (root, [*head, ("IsTruncated", truncated), *listing(chosen)])


def cut(shown: Sequence[tuple[str, Element]], options: Mapping[str, str]) -> tuple[list[Element], str, int]:
    """One page: its elements, the marker of the next one or empty, and the size that was asked for.

    Raises:
        ApiError: the marker or the size makes no sense.
    """
    marker, size = options.get("Marker", ""), options.get("MaxItems") or str(_LARGEST_PAGE)
    names = [name for name, _ in shown]
    if not size.isdecimal() or int(size) < 1 or (marker and marker not in names):
        raise ApiError("InvalidArgument", "Marker or MaxItems is invalid.")
    start = names.index(marker) + 1 if marker else 0
    end = start + min(int(size), _LARGEST_PAGE)
    following = names[end - 1] if end < len(names) else ""
    return [element for _, element in shown[start:end]], following, int(size)


def invalidation(made: Invalidation, status: str) -> Element:
    """One invalidation in full."""
    paths = listing([("Path", item) for item in made.items])
    batch: list[Element] = [("Paths", paths), ("CallerReference", made.reference)]
    return ("Invalidation", [*_head(made, status), ("InvalidationBatch", batch)])


def invalidation_summary(made: Invalidation, status: str) -> Element:
    """One invalidation in a list."""
    return ("InvalidationSummary", _head(made, status))


def distribution_summary(distribution: Distribution) -> Element:
    """One distribution in a list."""
    return (
        "DistributionSummary",
        [
            ("Id", distribution.id),
            ("ARN", distribution.arn),
            ("Status", "Deployed"),
            ("LastModifiedTime", _UNCHANGED),
            ("DomainName", distribution.domain),
            *_settings(distribution),
        ],
    )


def distribution(distribution_: Distribution) -> Element:
    """One distribution in full."""
    return (
        "Distribution",
        [
            ("Id", distribution_.id),
            ("ARN", distribution_.arn),
            ("Status", "Deployed"),
            ("LastModifiedTime", _UNCHANGED),
            ("InProgressInvalidationBatches", "0"),
            ("DomainName", distribution_.domain),
            distribution_config(distribution_),
        ],
    )


def distribution_config(distribution: Distribution) -> Element:
    """The configuration of a distribution. Only it tells about tags."""
    tags: list[Element] = (
        [("CacheTagConfig", [("HeaderName", distribution.tag_header)])] if distribution.tag_header else []
    )
    return (
        "DistributionConfig",
        [("CallerReference", distribution.id), ("DefaultRootObject", ""), *_settings(distribution), *tags],
    )


def tenant(tenant_: Tenant, name: str = "DistributionTenant") -> Element:
    """One tenant, or its summary in a list."""
    domains: list[Element] = [("member", [("Domain", domain), ("Status", "active")]) for domain in tenant_.domains]
    return (
        name,
        [
            ("Id", tenant_.id),
            ("DistributionId", tenant_.distribution),
            ("Name", tenant_.id),
            ("Arn", tenant_.arn),
            ("Domains", domains),
            ("CreatedTime", _UNCHANGED),
            ("LastModifiedTime", _UNCHANGED),
            ("Enabled", "true"),
            ("Status", "Deployed"),
        ],
    )


def _head(made: Invalidation, status: str) -> list[Element]:
    moment = datetime.datetime.fromtimestamp(made.created_at, datetime.UTC)
    created = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return [("Id", made.id), ("Status", status), ("CreateTime", created)]


def _settings(distribution: Distribution) -> list[Element]:
    behaviour: list[Element] = [("TargetOriginId", "origin-0"), ("ViewerProtocolPolicy", "redirect-to-https")]
    restriction: list[Element] = [("RestrictionType", "none"), ("Quantity", "0")]
    return [
        ("Aliases", listing([("CNAME", alias) for alias in distribution.aliases])),
        (
            "Origins",
            listing([_origin(origin, f"origin-{number}") for number, origin in enumerate(distribution.origins)]),
        ),
        ("DefaultCacheBehavior", behaviour),
        ("CacheBehaviors", listing([])),
        ("CustomErrorResponses", listing([])),
        ("Comment", ""),
        ("PriceClass", "PriceClass_All"),
        ("Enabled", str(distribution.enabled).lower()),
        ("ViewerCertificate", [("CloudFrontDefaultCertificate", "true")]),
        ("Restrictions", [("GeoRestriction", restriction)]),
        ("WebACLId", ""),
        ("HttpVersion", "http2"),
        ("IsIPV6Enabled", "true"),
        ("Staging", str(distribution.staging).lower()),
        ("ConnectionMode", "tenant-only" if distribution.tenant_only else "direct"),
    ]


def _origin(origin: S3Origin, name: str) -> Element:
    access: Element = ("S3OriginConfig", [("OriginAccessIdentity", "")])
    return (
        "Origin",
        [
            ("Id", name),
            ("DomainName", origin.domain),
            ("OriginPath", origin.path),
            ("CustomHeaders", listing([])),
            access,
        ],
    )


def _content(content: str | Sequence[Element]) -> str:
    if isinstance(content, str):
        return escape(content)
    return "".join(f"<{name}>{_content(inner)}</{name}>" for name, inner in content)

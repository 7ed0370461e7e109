"""What the headers of an edge's answer say: an ETag without its disguises, age, place, transforms, how cached. Pure."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from multicdn.steering import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multicdn.terms import Seen

# MD5, or that of the parts' MD5s and how many they are. An encrypted object has 32 digits that are none of these.
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
_OF_S3 = re.compile(r"[0-9a-f]{32}(?:-[0-9]{1,5})?")

# Servers mark what they have compressed: Apache and Caddy `-gzip`, `-br`, `-zstd`, Jetty `--gzip`, Django `;gzip`.
_COMPRESSED = re.compile(r"(?:--?|[;:/])(?:gzip|gz|br|brotli|deflate|df|zstd|zst)\Z")

# Cloudflare's Polish and resizing, Fastly's and Akamai's image optimisers, imgix, PageSpeed; what calls itself a
# transform.
_TRANSFORM = re.compile(
    r"cf-(?:polished|resized|bgj)|fastly-io-.+|x-imgix-.+|x-im-.+|x-(?:page-speed|mod-pagespeed)|x-(?!amz-).*transform.*"
)

# Image services whose ETags are MD5s as well: of what they have made.
_MAKERS = (("x-server", "imagekit"), ("server", "cloudinary"), ("server", "akamai image"))

# What S3 says of objects that were uploaded without a type; sites put in one of their own.
_NO_TYPE = ("binary/octet-stream", "application/octet-stream")

# When S3 began: no time before is one of an upload.
# https://aws.amazon.com/blogs/aws/celebrate-15-years-of-amazon-s3-with-pi-week-livestream-events/
_S3_BEGAN = 1_142_294_400

# https://datatracker.ietf.org/doc/html/rfc9110#section-15.3.4
_TRANSFORMED_STATUS = 203

# How each vendor says whether an answer came from its cache.
_CACHE_STATUS = (
    "cf-cache-status",
    "x-cache",
    "cdn-cache",
    "x-cache-status",
    "x-proxy-cache",
    "cache",
    "x-77-cache",
    "cache-status",
)

# Where a POP says its name: CloudFront, Fastly (the edge stands last), KeyCDN, CDN77, Highwinds and others.
_POPS = ("x-amz-cf-pop", "x-served-by", "x-edge-location", "x-77-pop", "cdn-pop", "x-pop", "x-id", "x-hw")
_CF_RAY = re.compile(
    r"[0-9a-f]+-([A-Z]{3})"
)  # https://developers.cloudflare.com/fundamentals/reference/cloudflare-ray-id/

# Where the name of a server has that of its POP: Bunny, Edgecast.
_SERVER = re.compile(r"BunnyCDN-(.+)|EC[A-Za-z]+ \(([^()]+)\)")

# The vendor itself refuses a reader: it says nothing of what the origin has. CloudFront lets through the name of S3.
# https://developers.cloudflare.com/cloudflare-challenges/challenge-types/challenge-pages/detect-response/
_REFUSES = re.compile(r"cloudfront|akamaighost", re.IGNORECASE)

_LONGEST = 120
_LONGEST_AGE = 10  # digits


def short(text: str, most: int = _LONGEST) -> str:
    """A header's value that a reason may quote: of bounded length, and of signs that can be seen."""
    seen = visible(text.strip())
    return seen if len(seen) <= most else f"{seen[:most]}…"


def core(etag: str) -> str:
    """What an ETag says of the object: without quotes, without weakness, without the mark of a compression."""
    return _COMPRESSED.sub("", bare(etag))


def bare(etag: str) -> str:
    """An ETag without quotes and weakness."""
    return etag.strip().removeprefix("W/").strip().strip('"')


def is_weak(etag: str) -> bool:
    """Whether an ETag admits that bytes may differ."""
    return etag.strip().startswith("W/")


def is_of_s3(etag: str) -> bool:
    """Whether the core of an ETag has the form that S3 gives; others are a server's own, and compare with nothing."""
    return _OF_S3.fullmatch(etag) is not None


def age(seen: Seen) -> float | None:
    """Seconds since the answer left its origin, as the caches in between have counted; None where they don't say."""
    said = seen.headers.get("age", "").partition(",")[0].strip()
    return float(said) if said.isascii() and said.isdigit() and len(said) <= _LONGEST_AGE else None


def modified(seen: Seen) -> float | None:
    """``Last-Modified`` in seconds since 1970, a whole number; None where it can't be had, or was never S3's."""
    try:
        moment = parsedate_to_datetime(seen.headers.get("last-modified", ""))
        # One of the old forms names no zone: https://datatracker.ietf.org/doc/html/rfc9110#section-5.6.7
        found = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
    return found if found >= _S3_BEGAN else None


def transformed(seen: Seen, kind: str, size: int | None) -> str:
    """Why the bytes are rather made of the object than its own; empty where nothing says so.

    Args:
        seen: the answer.
        kind: Content-Type in S3, else empty.
        size: bytes in S3, or None where that says nothing.
    """
    headers = seen.headers
    for name in headers:
        if _TRANSFORM.fullmatch(name):
            return f"{name}: {short(headers[name], 40)}"
    for name, maker in _MAKERS:
        if headers.get(name, "").lower().startswith(maker):
            return f"{name}: {short(headers[name], 40)}"
    if seen.status == _TRANSFORMED_STATUS or headers.get("warning", "").startswith("214"):
        return "Warning: 214, a proxy says so itself"
    served, own = _media_type(headers.get("content-type", "")), _media_type(kind)
    if own not in ("", *_NO_TYPE) and served and served != own:
        return f"Content-Type {short(served, 40)}, in S3 {short(own, 40)}"
    if served == "text/html" and not headers.get("etag") and (_is_of_cloudflare(seen) or modified(seen) is None):
        # Scripts put in, addresses hidden: https://developers.cloudflare.com/cache/reference/etag-headers/
        return "a page without the ETag that S3 sends, as where something is put into pages"
    other = None not in (size, seen.size) and size != seen.size
    etag = headers.get("etag", "")
    if other and is_weak(etag) and not is_of_s3(core(etag)) and not encoded(seen):
        return f"a weak ETag, and {seen.size} bytes where S3 has {size}"
    return ""


def _is_of_cloudflare(seen: Seen) -> bool:
    return seen.headers.get("server", "").strip().lower() == "cloudflare"


def encoded(seen: Seen) -> bool:
    """Whether a content coding makes length and bytes others than the object's."""
    return seen.headers.get("content-encoding", "").strip().lower() not in ("", "identity")


def _media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()


def pop(headers: Mapping[str, str]) -> str:
    """The name of the POP that answered, if the vendor says one."""
    if ray := _CF_RAY.fullmatch(headers.get("cf-ray", "").strip()):
        return ray[1]
    # Each CDN puts its name behind those that it has fetched from: the last one has answered.
    nearest = headers.get("via", "").rpartition(",")[2].strip().lower()
    first = ("x-served-by",) if nearest.endswith(" varnish") else ()
    for name in (*first, *_POPS):
        if said := headers.get(name, "").rpartition(",")[2].strip():
            return short(said, 60)
    server = _SERVER.match(headers.get("server", ""))
    return short(server[1] or server[2], 60) if server else ""


def refused(seen: Seen) -> str:
    """Why a status is the vendor's own rather than that of the site; empty where nothing says so."""
    if challenge := seen.headers.get("cf-mitigated", ""):
        return f"cf-mitigated: {short(challenge, 40)}"
    server = seen.headers.get("server", "")
    return f"Server: {short(server, 40)}" if seen.status == 403 and _REFUSES.match(server) else ""


def is_missing_in_s3(seen: Seen) -> bool:
    """Whether a refusal is S3's own word for what isn't there, as it says it to readers who may not list the bucket.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html#API_GetObject_RequestBody
    """
    return seen.status == 403 and seen.headers.get("server", "").lower() == "amazons3"


def is_error_document(seen: Seen) -> bool:
    """Whether an answer that looks like one of an object is the site's page for an error of its origin.

    https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/GeneratingCustomErrorResponses.html
    """
    return 200 <= seen.status < 300 and seen.headers.get("x-cache", "").lower().startswith("error from cloudfront")


def told(seen: Seen) -> str:
    """What an answer shows of how it was cached, and by what a cache may keep several of it."""
    headers = seen.headers
    said = [f"{name}: {short(headers[name], 60)}" for name in _CACHE_STATUS if headers.get(name)]
    kept = [name.strip() for name in headers.get("vary", "").split(",")]
    if other := [name for name in kept if name and name.lower() != "accept-encoding"]:
        said.append(f"Vary: {short(', '.join(other), 60)}, so there may be a copy for each")
    if "set-cookie" in headers:
        said.append("sets a cookie, so it may be kept for some visitors alone")
    if served := headers.get("x-served-by", ""):
        said.append(f"X-Served-By: {short(served, 80)}")
    return "; ".join(said)

"""Tell whether an origin of a CDN is a given S3 bucket, whatever way its domain name is spelled."""

from __future__ import annotations

import re

# us-east-1, us-gov-west-1, cn-northwest-1, eusc-de-east-1. Kept tight: with any word allowed here, bucket `a` would
# be found in the domain of a bucket named `a.s3`.
_REGION = r"[a-z]{2,4}(?:-[a-z]+)+-\d+"

# REST, FIPS, dual-stack, accelerated and website endpoints; old ones join the region with a dash.
# https://docs.aws.amazon.com/general/latest/gr/s3.html
_SERVICE = rf"s3(?:-fips)?(?:\.dualstack)?(?:[.-]{_REGION})?|s3-accelerate(?:\.dualstack)?|s3-website[.-]{_REGION}"
_DOMAIN = re.compile(rf"(?:(?P<bucket>.+)\.)?(?:{_SERVICE})\.amazonaws\.com(?:\.cn)?", re.IGNORECASE)


def path_in_bucket(bucket: str, domain: str, origin_path: str) -> str | None:
    """Return the path inside a bucket where an origin begins, or None if the origin isn't that bucket.

    Args:
        bucket: name of the bucket; it may contain dots.
        domain: the origin's domain name.
        origin_path: what the CDN puts before the viewer's path: empty, or ``/dir`` without a slash at its end.
            Where the bucket is the first part of the path instead of the domain (path-style), it is cut off.
    """
    match = _DOMAIN.fullmatch(domain)
    if match is None:
        return None
    path = origin_path.rstrip("/")
    if match["bucket"] is not None:
        return path if match["bucket"].lower() == bucket.lower() else None
    first, rest = _first_part(path)
    return rest if first == bucket else None


def _first_part(path: str) -> tuple[str, str]:
    """``/a/b/c`` is ``a`` and ``/b/c``; ``/a`` is ``a`` and nothing."""
    first, slash, rest = path.removeprefix("/").partition("/")
    return first, slash + rest

"""Names that no bucket can have, and what was probably meant by them. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qs, unquote

# Nearly every bucket is called so, and nothing else is asked about it.
_PLAIN = re.compile(r"[a-z0-9](?:[a-z0-9]|-(?!-|s3alias\Z)){1,61}[a-z0-9]")

# Before March 2018, names in us-east-1 could have 255 characters, capitals and underscores.
_POSSIBLE = re.compile(r"[A-Za-z0-9._-]{1,255}")
_SHORTEST, _LONGEST = 3, 63

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_OBJECT_SCHEMES = ("s3", "s3a", "s3n")
_AWS_HOSTS = (".amazonaws.com", ".amazonaws.com.cn")
_CONSOLES = ("console.aws.amazon.com", "console.amazonaws.cn", "console.amazonaws-us-gov.com")
_IN_CONSOLE = re.compile(r"s3/(?:buckets|object)/([^/?#]+)")
_IP_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_BLANK_INSIDE = re.compile(r"[\s,;]+")

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-alias.html and olap-use.html,
# MultiRegionAccessPointRequests.html, s3-tables-buckets-naming.html
_NOT_BUCKETS = {
    "-s3alias": "the alias of an access point",
    "--ol-s3": "the alias of an Object Lambda access point",
    "--xa-s3": "an access point of a directory bucket",
    ".mrap": "the alias of a multi-region access point",
    "--table-s3": "a table bucket, which has no objects of yours",
}
_RESERVED = ("xn--", "sthree-", "amzn-s3-demo-")


class Flaw(NamedTuple):
    """What is wrong with a name.

    Attributes:
        text: a sentence that goes on from the member's name, with what to write.
        warning: whether there may be such a bucket all the same.
    """

    text: str
    warning: bool = False


def flaw(name: str) -> Flaw | None:
    """Say why no bucket is called so, or why hardly one is; None for a good name."""
    if _PLAIN.fullmatch(name) and not name.startswith(_RESERVED):
        return None
    if not name.strip():
        return Flaw("is empty")
    if meant := _meant(name):
        return Flaw(f"{name!r} {meant}")
    if not _POSSIBLE.fullmatch(name):
        return Flaw(f"{name!r} {_impossible(name)}")
    return _rare(name)


def _meant(name: str) -> str:
    """The rest of a sentence about what is no name, but holds one; empty where there is none in it."""
    bare = name.strip()
    if bare.startswith("arn:"):
        return _of_arn(bare)
    if scheme := _SCHEME.fullmatch(bare):
        return _of_url(scheme[1], scheme[2])
    host, slash, path = bare.lstrip("/").partition("/")
    if (bucket := _at_s3(host)) is not None:
        return _of_host(bucket, path)
    if slash or bare.startswith("/"):
        return _advice("is a path", host, path) if _POSSIBLE.fullmatch(host) else ""
    if bare != name and _POSSIBLE.fullmatch(bare):
        return f"has blanks around it: write `bucket: {bare}`"
    return ""


def _of_arn(arn: str) -> str:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-arn-format.html."""
    service, resource = arn.split(":")[2:3], arn.split(":", 5)[5:]
    if not resource or service[0] not in ("s3", "s3express"):
        return f"is an ARN, and none of a bucket{_AS_EVENTS_DO}"
    if resource[0].startswith("accesspoint"):
        return f"is the ARN of an access point{_AS_EVENTS_DO}"
    name, _, path = resource[0].removeprefix("bucket/").partition("/")
    return _advice("is an ARN", name, path.rstrip("*"))


# What an event says of itself is the bucket behind whatever the object was written through.
_AS_EVENTS_DO = ": write the name of the bucket behind it, by which events call it"


def _of_url(scheme: str, rest: str) -> str:
    host, _, after = rest.partition("/")
    path, _, query = after.partition("?")
    if scheme.lower() in _OBJECT_SCHEMES:
        return _advice("is a URI", host, after)
    if host.endswith(_CONSOLES):
        found = _IN_CONSOLE.match(path)
        return _advice("is a page of AWS's console", found[1] if found else "", parse_qs(query).get("prefix", [""])[0])
    if (bucket := _at_s3(host)) is not None:
        return _of_host(bucket, unquote(path))
    what = "is a URL" if scheme.lower() in ("http", "https") else f"is a URI of {scheme}, not of S3"
    return what + _AS_EVENTS_DO


def _at_s3(host: str) -> str | None:
    """The bucket before ``s3.REGION``, ``s3-website-REGION``, ``s3-accelerate.dualstack`` and so on.

    https://docs.aws.amazon.com/general/latest/gr/s3.html

    Returns:
        Empty where the bucket stands in the path; None where the host is none of S3.
    """
    if not host.lower().endswith(_AWS_HOSTS):
        return None
    dotted = f".{host.lower()}"
    place = max(dotted.rfind(".s3."), dotted.rfind(".s3-"))
    return None if place < 0 else host[: max(0, place - 1)]


def _of_host(name: str, path: str) -> str:
    """Of ``NAME.s3.amazonaws.com/path``, or of ``s3.amazonaws.com/NAME/path``."""
    if not name:
        name, _, path = path.partition("/")
    return _advice("is an address of S3", name, path)


def _advice(what: str, name: str, path: str) -> str:
    if not _POSSIBLE.fullmatch(name):
        return f"{what} without a bucket's name"
    path = path.strip("/") + ("/" if path.endswith("/") or "." not in path.rpartition("/")[2] else "")
    below = f", and put `{path}` under `prefix`" if path.strip("/") else ""
    return f"{what}: write `bucket: {name}`{below}"


def _impossible(name: str) -> str:
    if "*" in name or "?" in name:
        return "is no pattern: name each bucket, `bucket: [one, two]` or one route for each"
    if any(sign in name for sign in "{}$<>%"):
        return "holds a placeholder, and nothing fills one in here: write the whole name"
    several = [part for part in _BLANK_INSIDE.split(name) if part]
    if len(several) > 1 and all(map(_POSSIBLE.fullmatch, several)):
        return f"is more than one name: write `bucket: [{', '.join(several)}]`"
    if len(name) > 255:
        return f"has {len(name)} characters, and names have {_LONGEST} at most"
    odd = sorted({sign for sign in name if not _POSSIBLE.fullmatch(sign)})
    return f"holds {', '.join(map(ascii, odd))}: names of buckets have a-z, 0-9, hyphens and dots"


def _rare(name: str) -> Flaw | None:
    if _IP_ADDRESS.fullmatch(name):
        return Flaw(f"{name!r} is an IP address, and no bucket is called so")
    for ending, what in _NOT_BUCKETS.items():
        if name.endswith(ending):
            return Flaw(f"{name!r} is {what}{_AS_EVENTS_DO}")
    if name.endswith("--x-s3"):
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-express-differences.html
        return Flaw(f"{name!r} is a directory bucket, of whose objects S3 sends no notifications", warning=True)
    if oddity := _oddity(name):
        return Flaw(f"{name!r} {oddity}; is it written as S3 lists it?", warning=True)
    return None


def _oddity(name: str) -> str:
    if name != name.lower() or "_" in name:
        return "has capitals or underscores, as no bucket has but those made in us-east-1 before March 2018"
    if not _SHORTEST <= len(name) <= _LONGEST:
        return f"has {len(name)} characters, where AWS asks for {_SHORTEST} to {_LONGEST}"
    if name.startswith(_RESERVED):
        return "begins as AWS lets no name begin"
    if ".." in name or not (name[0].isalnum() and name[-1].isalnum()):
        return "has dots side by side, or a sign other than a letter or a digit at an end, as AWS lets no name have"
    return ""

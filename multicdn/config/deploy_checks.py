"""What is wrong with how a route waits for whole deploys, said before it runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from multicdn.config.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multicdn.config.checked import Config

# docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
_LONGEST_KEY = 1024


def faults(config: Config, places: Sequence[int]) -> Iterator[Fault]:
    """Find what is wrong with ``settle`` and ``after``, each of which is right by itself.

    Args:
        config: each of its routes is right by itself.
        places: of each route, its place in the file.
    """
    for place, route in zip(places, config.routes, strict=True):
        name = "settle" if route.settle else "after"
        where = ("routes", place, name)
        if route.waits and not config.install.queued:
            why = "needs a queue in which changes wait, and `trigger: direct` has none"
            yield Fault(where, f"{why}; write `trigger: queue` under `install`, or leave `{name}` out")
        if route.settle and route.after:
            yield Fault(where, "goes without `after`: a deploy ends when it is quiet, or with one object")
        if flaw := _flaw_of_key(route.after):
            yield Fault(("routes", place, "after"), flaw)
        elif route.after.startswith("/"):
            yield Fault(("routes", place, "after"), "begins with a slash, which keys rarely do", warning=True)


def _flaw_of_key(key: str) -> str:
    if re.match(r"[a-z][a-z0-9+.-]*://", key):
        return "is a key in the route's own bucket, without what stands before it in a URI, such as deploy/done.json"
    if re.search(r"[*?]|\{\w+\}", key):
        return "is the key of one object, as it is written: it has neither wildcards nor placeholders"
    if key.endswith("/"):
        return "is the key of one object, such as deploy/done.json, and no folder"
    if len(key.encode()) > _LONGEST_KEY:
        return f"has more than {_LONGEST_KEY:,} bytes, which no key has"
    return ""

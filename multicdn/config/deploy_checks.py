"""What is wrong with how a route waits for whole deploys, said before it runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from multicdn.config.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.routing.route import Route

# docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
_LONGEST_KEY = 1024


def faults(route: Route) -> Iterator[Fault]:
    """Find what is wrong with ``settle`` and ``after``, each of which is right by itself."""
    if route.settle and route.after:
        yield Fault(("after",), "goes without `settle`: a deploy ends with this object, or when it is quiet")
    if flaw := _flaw_of_key(route.after):
        yield Fault(("after",), flaw)
    elif route.after.startswith("/"):
        yield Fault(("after",), "begins with a slash, which keys rarely do", warning=True)


def lacks_queue(route: Route) -> Fault:
    """What is wrong with a route that waits where there is no queue."""
    name = "settle" if route.settle else "after"
    why = "needs a queue in which changes wait, and `trigger: direct` has none"
    return Fault((name,), f"{why}; write `trigger: queue` under `install`, or leave `{name}` out")


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

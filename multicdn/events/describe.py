"""How what can't be read is named: what was seen of it, and what to do."""

from __future__ import annotations

from multicdn import DOCS

# Enough to recognise a message by.
_LONGEST_SEEN = 300

#: What can always be done.
PLUGIN = f"a plugin with the hook multicdn_read_event can read it ({DOCS}/plugins.md)"

# Members by which other services' messages are known, and what to do about each.
_REMEDIES = (
    (
        "requestContext",
        "a request from the web isn't taken, since anybody may send one: let the gateway put it into the queue",
    ),
    ("SubscribeURL", "it is SNS asking whether the subscription is wanted: open its SubscribeURL"),
    ("detail-type", "let the rule's pattern take events of S3 alone: source aws.s3, or eventSource s3.amazonaws.com"),
    ("Key", "an object without its bucket: let the ItemSelector, or BatchInput, add it as Bucket"),
    ("key", "let the input transformer keep the event or its `detail`: a key alone doesn't say how it is encoded"),
)


def seen(content: object) -> str:
    """Describe a message without repeating it whole: it may be large, and somebody's data."""
    if isinstance(content, dict):
        names = cut(", ".join(sorted(map(str, content))))
        kinds = [
            f"{name}={content[name]!r}" for name in ("source", "detail-type", "eventSource") if _is_told(content, name)
        ]
        return f"an object with {names or 'no members'}" + (f" ({cut(', '.join(kinds))})" if kinds else "")
    if isinstance(content, str):
        return f"text that isn't JSON: {content[:80]!r}"
    return f"a {type(content).__name__}"


def unknown(content: object) -> str:
    """Describe a message of an unknown shape, and say what to do."""
    members = content if isinstance(content, dict) else ()
    remedy = next((remedy for member, remedy in _REMEDIES if member in members), PLUGIN)
    return f"unknown event shape: {seen(content)}; {remedy}"


def cut(text: str) -> str:
    """The beginning of a text, enough to recognise it by."""
    return text if len(text) <= _LONGEST_SEEN else text[:_LONGEST_SEEN] + "…"


def _is_told(content: dict[str, object], name: str) -> bool:
    """Whether a member says in a word whose message it is. MinIO's ``source`` is an object, of the client's address."""
    return isinstance(content.get(name), str)

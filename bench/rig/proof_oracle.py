"""Decides whether what is verified ends as fresh, or told: a CDN, and one that fetches from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from rig.accepted_calls import AcceptedCalls

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from multicdn.simulators import Simulator
    from rig.accepted_calls import AcceptedCall

_GONE = (403, 404)
_ENDS = ("fresh", "unknown", "superseded")

# Seconds by which the clocks of the calls differ from those of their effects.
_EXACT = 0.02

# One of so many may be purged at such a moment by chance.
_BY_CHANCE = 4


@dataclass(frozen=True)
class Proofs:
    """What became of what is verified.

    Attributes:
        objects: how many.
        told: targets by what was told of them.
        old: URLs at which an edge has not, in the end, what S3 has, with the vendor's name before them.
        untold: the same of those of which nothing was told.
        superseded: of which it was told though nothing newer ever came.
        early: URLs that the outer CDN had purged before the inner one had dropped them; none if they are few.
    """

    objects: int = 0
    told: Counter[str] = field(default_factory=Counter)
    old: Sequence[str] = ()
    untold: Sequence[str] = ()
    superseded: Sequence[str] = ()
    early: Sequence[str] = ()


class _Object(NamedTuple):
    key: str
    body: bytes


class ProofOracle:
    """Knows the objects, each of which changes once, and what both edges should serve.

    Args:
        inner, outer: the second fetches from the first.
    """

    def __init__(self, inner: Simulator, outer: Simulator) -> None:
        self._edges: Mapping[str, Simulator] = {edge.vendor: edge for edge in (inner, outer)}
        self._inner, self._outer = inner, outer
        self._objects: dict[str, _Object] = {}
        self._accepted = {edge.vendor: AcceptedCalls(edge) for edge in (inner, outer)}

    def upload(self, url: str, key: str, body: bytes) -> None:
        """An object was written, or removed: then there is no body."""
        self._objects[url] = _Object(key, body)

    def judged(self, lines: Iterable[Mapping[str, Any]]) -> Proofs:
        """Judge by what the edges serve now, and by all that the workers have told."""
        told, named, superseded, hidden = Counter[str](), set[str](), list[str](), Counter[str]()
        redriven = set[str]()
        for line in lines:
            vendor = line.get("provider", "")
            if vendor == self._outer.vendor and line.get("state") == "dead":
                redriven.update(line["keys"])
            is_end = line["event"] in _ENDS or (line["event"] == "stale" and line["state"] == "dead")
            if vendor in self._edges and is_end:
                told[line["event"]] += line["targets"]
                keys = [f"{vendor} {key}" for key in line["keys"]]
                named.update(keys)
                hidden[vendor] += max(0, line["targets"] - len(keys))
                superseded += keys if line["event"] == "superseded" else []
        untold = []
        for vendor in self._edges:
            missing = [each for each in self._named(vendor) if each not in named]
            untold += missing[hidden[vendor] :]  # a line names a few of its objects alone
        return Proofs(len(self._objects), told, self._old(), untold, superseded, self._early(redriven))

    def _named(self, vendor: str) -> list[str]:
        return [f"{vendor} {each.key}" for each in self._objects.values()]

    def _old(self) -> list[str]:
        return [
            f"{vendor} {url}"
            for vendor, edge in self._edges.items()
            for url, each in self._objects.items()
            if not _is_served(edge, url, each.body)
        ]

    def _early(self, redriven: Container[str]) -> list[str]:
        """URLs purged at the outer CDN while the inner one's purge was on its way, if they are too many for a chance.

        What is stale at the outer one is purged again at moments of its own; and what was given up there comes back
        from the dead letters together with all others.
        """
        delay = self._inner.topology.purge_delay
        found = [
            url
            for url, each in self._objects.items()
            if each.key not in redriven
            and any(
                inner.came <= outer.came < inner.done + delay - _EXACT
                for inner in self._calls(self._inner, url)
                for outer in self._calls(self._outer, url)
            )
        ]
        return found if len(found) * _BY_CHANCE > len(self._objects) else []

    def _calls(self, edge: Simulator, url: str) -> list[AcceptedCall]:
        rest = url.partition("://")[2]
        accepted = self._accepted[edge.vendor]
        return [call for text in (url, f"http://{rest}", f"//{rest}", rest) for call in accepted.of(text, loads=False)]


def _is_served(edge: Simulator, url: str, body: bytes) -> bool:
    answer = edge.fetch(edge.client_url(url))
    return answer.body == body if body else answer.status in _GONE

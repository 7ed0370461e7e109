"""Decides whether what is verified ends as fresh, or told: a CDN, and one that fetches from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from rig.accepted_calls import AcceptedCalls

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from multicdn.oncall.letters import Letter
    from multicdn.simulators import Simulator
    from rig.accepted_calls import AcceptedCall

_GONE = (403, 404)
_ENDS = ("fresh", "unknown", "superseded")


@dataclass(frozen=True)
class Proofs:
    """What became of what is verified.

    Attributes:
        objects: how many.
        told: targets by what was told of them.
        old: URLs at which an edge has not, in the end, what S3 has, with the vendor's name before them.
        untold: the same of those of which nothing was told.
        superseded: of which it was told though nothing newer ever came.
        early: URLs that the outer CDN had purged before the inner one had dropped them.
        in_turn: how many it had purged after that.
    """

    objects: int = 0
    told: Counter[str] = field(default_factory=Counter)
    old: Sequence[str] = ()
    untold: Sequence[str] = ()
    superseded: Sequence[str] = ()
    early: Sequence[str] = ()
    in_turn: int = 0


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
        self._given_up: set[str] = set()

    def upload(self, url: str, key: str, body: bytes) -> None:
        """An object was written, or removed: then there is no body."""
        self._objects[url] = _Object(key, body)

    def given_up(self, letters: Iterable[Letter]) -> None:
        """Note what was given up before the dead letters go back, those of both CDNs at once.

        Where it is the inner one's the outer one has gone ahead, and where it is the outer one's it doesn't wait again.
        """
        self._given_up.update(
            target for letter in letters if letter.provider in self._edges for target in letter.targets
        )

    def judged(self, lines: Iterable[Mapping[str, Any]]) -> Proofs:
        """Judge by what the edges serve now, and by all that the workers have told."""
        told, named, superseded, hidden = Counter[str](), set[str](), list[str](), Counter[str]()
        for line in lines:
            vendor = line.get("provider", "")
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
        early, in_turn = self._in_order()
        return Proofs(len(self._objects), told, self._old(), untold, superseded, early, len(in_turn))

    def _named(self, vendor: str) -> list[str]:
        return [f"{vendor} {each.key}" for each in self._objects.values()]

    def _old(self) -> list[str]:
        return [
            f"{vendor} {url}"
            for vendor, edge in self._edges.items()
            for url, each in self._objects.items()
            if not _is_served(edge, url, each.body)
        ]

    def _in_order(self) -> tuple[list[str], list[str]]:
        """URLs that the outer CDN purged first before the inner one's first purge had its effect, and after that.

        Further purges of what is stale at the outer one, or of what S3 tells twice, come at moments of their own.
        """
        delay, early, in_turn = self._inner.topology.purge_delay, list[str](), list[str]()
        for url in self._objects:
            inner, outer = (self._calls(edge, url) for edge in (self._inner, self._outer))
            if inner and outer and self._given_up.isdisjoint(_spellings(url)):
                (early if outer[0].came < inner[0].came + delay else in_turn).append(url)
        return early, in_turn

    def _calls(self, edge: Simulator, url: str) -> list[AcceptedCall]:
        """In the order in which they came."""
        accepted = self._accepted[edge.vendor]
        found = (call for text in _spellings(url) for call in accepted.of(text, loads=False))
        return sorted(found, key=lambda call: call.came)


def _spellings(url: str) -> tuple[str, ...]:
    """As vendors want it."""
    rest = url.partition("://")[2]
    return url, f"http://{rest}", f"//{rest}", rest


def _is_served(edge: Simulator, url: str, body: bytes) -> bool:
    answer = edge.fetch(edge.client_url(url))
    return answer.body == body if body else answer.status in _GONE

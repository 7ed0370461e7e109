r"""Regular expressions that a config may hold: only such as take time in proportion to a key.

Keys are anybody's who may upload, and Python's matcher goes back and tries again: ``(a+)+b`` takes years for a key of
forty characters. So a pattern must tell at each repetition, by the next character alone, whether to go on or to end;
but the last one may be any, as in ``.*\.html``, since what stands behind it has a limited length.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from multicdn import DOCS

_LONGEST = 500
_DEEPEST = 10

#: Ways to read one text at most, for choices between fixed texts such as ``jpg|jpeg``.
_MOST_WAYS = 100

#: The most that a number in braces may be.
_MOST_TIMES = 255

# Characters as bits: those of ASCII each, and one for all others together.
_OTHERS = 1 << 128

# Of other letters, those that are a letter of ASCII in the other case.
_FOLDED = "\u0130\u0131\u017f\u212a"

_ESCAPES = "dDwWsS"
_CONTROLS = "tnrfv"
_GROUP = re.compile(r"\?P<([a-z][a-z0-9_]*)>|\?:")
_TIMES = re.compile(r"\{(?!\})([0-9]*)(,([0-9]*))?\}")
_CLASS = re.compile(r"\[\^?+(?:\\.|[^\\\[\]])+\]", re.DOTALL)


_GROUPS = "write (?P<name>...) for a placeholder, its name in small letters, and (?:...) for other groups"

# What stands in for groups of other kinds.
_INSTEAD = {
    "?i": "write `ignore_case: true`",
    "?!": "name what is left out under `exclude`",
    "?<!": "name what is left out under `exclude`",
}


class _Part(NamedTuple):
    """What a part of a pattern may match.

    Attributes:
        first: the characters that it may begin with.
        nullable: whether it may be nothing.
        loops: whether it has no greatest length.
    """

    first: int
    nullable: bool
    loops: bool


class Expression(NamedTuple):
    """A part of a pattern, parsed.

    Attributes:
        kind: ``sign``; ``all`` of the parts below, one after the other; or ``any`` of them.
        signs: the characters that it may be.
        below: its parts.
        least, most: how often it stands there; without an end, ``most`` is None.
    """

    kind: str
    signs: int = 0
    below: tuple[Expression, ...] = ()
    least: int = 1
    most: int | None = 1


# A route with several buckets is looked at for each.
@lru_cache(maxsize=8)
def fault(text: str, *, ignore_case: bool = False) -> str:
    """Say why a pattern can't be taken; empty if it can."""
    if len(text) > _LONGEST:
        return f"is longer than {_LONGEST} characters"
    flags = re.IGNORECASE if ignore_case else re.NOFLAG
    try:
        tree = parsed(text, ignore_case=ignore_case)
        re.compile(text, flags)
        _Check().check(tree)
    except _Refused as refused:
        return str(refused)
    except (re.error, IndexError) as error:
        shell = "; shell patterns stand under `include`" if text.startswith("*") else ""
        return f"isn't a regular expression: {error}{shell}"
    return ""


@lru_cache(maxsize=8)
def parsed(text: str, *, ignore_case: bool = False) -> Expression:
    """A pattern as a tree.

    Raises:
        _Refused: it can't be taken, and has a fault.
    """
    return _Parser(text, re.IGNORECASE if ignore_case else re.NOFLAG).pattern()


class _Refused(Exception):
    """The pattern can't be taken; the text says why."""


class _Parser:
    """Reads a part of Python's regular expressions; what it lets pass as a plain character, Python may still refuse."""

    def __init__(self, text: str, flags: re.RegexFlag) -> None:
        # The whole key must match anyway.
        self._text = text.removeprefix("^")
        bare = self._text.removesuffix("$")
        if (len(bare) - len(bare.rstrip("\\"))) % 2 == 0:
            self._text = bare
        self._at = 0
        self._flags = flags

    def pattern(self) -> Expression:
        found = self._choice(0)
        if self._at < len(self._text):
            raise _Refused("has a ) without its (")
        return found

    def _choice(self, depth: int) -> Expression:
        if depth > _DEEPEST:
            raise _Refused(f"has groups within groups more than {_DEEPEST} deep")
        branches = [self._sequence(depth)]
        while self._take("|"):
            branches.append(self._sequence(depth))
        return branches[0] if len(branches) == 1 else Expression("any", below=tuple(branches))

    def _sequence(self, depth: int) -> Expression:
        items = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            items.append(self._repeated(self._item(depth)))
        return Expression("all", below=tuple(items))

    def _take(self, sign: str) -> bool:
        if self._text.startswith(sign, self._at):
            self._at += len(sign)
            return True
        return False

    def _item(self, depth: int) -> Expression:
        if self._take("("):
            match = _GROUP.match(self._text, self._at)
            if match is None:
                wanted = next((it for start, it in _INSTEAD.items() if self._text.startswith(start, self._at)), _GROUPS)
                raise _Refused(f"has a group that isn't taken here, {self._shown('(')!r}; {wanted}")
            self._at = match.end()
            found = self._choice(depth + 1)
            if not self._take(")"):
                raise _Refused("has a ( without its )")
            return found
        return Expression("sign", self._signs())

    def _signs(self) -> int:
        text, start = self._text, self._at
        sign = text[start]
        if sign == "[":
            match = _CLASS.match(text, start)
            if match is None:
                raise _Refused(
                    f"has a list of characters that isn't taken here, {self._shown()!r}; put \\ before [ and ]"
                )
            self._at = match.end()
        elif sign == "\\":
            self._at += 2
            if self._at > len(text):
                raise _Refused("ends with a \\, which says nothing by itself")
            if text[start + 1].isalnum() and text[start + 1] not in _ESCAPES + _CONTROLS:
                remedy = "; it matches whole keys: leave it out" if text[start + 1] in "AZz" else ""
                raise _Refused(f"has {text[start : start + 2]}, which isn't taken here{remedy}")
        elif sign in "^$":
            raise _Refused(f"has a {sign} in its midst, and it matches whole keys")
        else:
            self._at += 1
        return self._bits(text[start : self._at])

    def _bits(self, source: str) -> int:
        one = re.compile(source, self._flags | re.DOTALL)
        bits = sum(1 << code for code in range(128) if one.fullmatch(chr(code)))
        sure = (
            source.isascii() and not source.startswith("[^") and not re.search(r"\\[a-zA-Z]", source) and source != "."
        )
        return bits if sure and not any(map(one.fullmatch, _FOLDED)) else bits | _OTHERS

    def _repeated(self, node: Expression) -> Expression:
        times = _TIMES.match(self._text, self._at)
        if times:
            self._at = times.end()
            least = int(times[1] or 0)
            most = least if times[2] is None else int(times[3]) if times[3] else None
        elif self._text[self._at : self._at + 1] in ("*", "+", "?") and self._at < len(self._text):
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[self._text[self._at]]
            self._at += 1
        else:
            return node
        if max(least, most or 0) > _MOST_TIMES:
            raise _Refused(f"repeats something more than {_MOST_TIMES} times")
        if self._text[self._at : self._at + 1] == "+":
            raise _Refused("has a possessive repetition, which isn't taken here; leave out its second +")
        self._take("?")  # a lazy one is as quick
        return Expression("all", below=(node,), least=least, most=most)

    def _shown(self, before: str = "") -> str:
        return f"{before}{self._text[self._at : self._at + 6]}..."


class _Check:
    """Follows all ways that a matcher may take."""

    def __init__(self) -> None:
        self._ways = 1

    def check(self, pattern: Expression) -> None:
        """Refuse a pattern that could take long.

        Raises:
            _Refused: with what makes it slow.
        """
        self._go(pattern, 0, last=True, repeated=False)

    def _go(self, node: Expression, follow: int, *, last: bool, repeated: bool) -> None:
        """Look at a node.

        Args:
            node: the part of the pattern.
            follow: the characters that may come right after it.
            last: whether nothing without a greatest length comes after it.
            repeated: whether it may be within a repetition.
        """
        if node.kind == "sign":
            return
        once = Expression(node.kind, below=node.below)
        part = _part(once)
        again = node.most is None or node.most > 1
        if node.least != node.most:
            self._repetition(node, part, follow, last=last, repeated=repeated)
        if again:
            follow |= part.first
        inner = last and not (again and part.loops)
        if node.kind == "any":
            self._choice(node, follow, repeated=repeated or again)
            for branch in node.below:
                self._go(branch, follow, last=inner, repeated=repeated or again)
            return
        for place in range(len(node.below) - 1, -1, -1):
            self._go(node.below[place], follow, last=inner, repeated=repeated or again)
            found = _part(node.below[place])
            follow = found.first | (follow if found.nullable else 0)
            inner = inner and not found.loops

    def _repetition(self, node: Expression, part: _Part, follow: int, *, last: bool, repeated: bool) -> None:
        if part.nullable and (node.most is None or node.most > 1):
            raise _Refused(f"repeats what may be nothing, which can take years; see {DOCS}/config.md")
        if not part.first & follow:
            return
        if repeated or (node.most is None and not last) or (part.loops and node.most != 1):
            raise _Refused(
                "has a repetition that could end in several places, before another one: what comes after it must begin "
                "with a character that it can't hold, as [^/]+ is followed by /; only the last one may be as .* is; "
                "numbers may have an end: [0-9]{1,5} for [0-9]+"
            )
        if node.most is not None:
            self._count(node.most - node.least + 1)

    def _choice(self, node: Expression, follow: int, *, repeated: bool) -> None:
        """Alternatives are told apart by their first character, or tried one after the other."""
        parts = [_part(branch) for branch in node.below]
        seen = 0
        for part in parts:
            first = part.first | (follow if part.nullable else 0)
            if first & seen:
                if repeated or any(each.loops for each in parts):
                    raise _Refused(
                        "has alternatives that begin alike within a repetition, or with one in them; begin each with "
                        "another character, or write a route for each"
                    )
                self._count(len(parts))
                return
            seen |= first

    def _count(self, ways: int) -> None:
        self._ways *= ways
        if self._ways > _MOST_WAYS:
            raise _Refused(f"could read one key in more than {_MOST_WAYS} ways; write several routes")


def _part(node: Expression) -> _Part:
    if node.kind == "sign":
        return _Part(node.signs, nullable=False, loops=False)
    parts = [_part(each) for each in node.below]
    first, nullable = 0, node.kind == "all"
    for part in parts:
        if node.kind == "any":
            first, nullable = first | part.first, nullable or part.nullable
        elif nullable:
            first, nullable = first | part.first, part.nullable
    loops = node.most is None or any(part.loops for part in parts)
    return _Part(first, nullable or node.least == 0, loops)

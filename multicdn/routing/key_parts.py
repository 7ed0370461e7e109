"""What templates may take from a key beside its plain pieces: folders, captures, and host names made of either."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from multicdn.routing.host_names import AllowedHosts, is_host_name
from multicdn.routing.placeholders import FOLDERS, HOST, SEGMENTS

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

    from multicdn.routing.placeholders import Template


class KeyParts(Struct, frozen=True):
    """A key as its route takes it apart.

    Attributes:
        bucket: of the object.
        key: decoded.
        below: characters of the route's prefix; more than the key has where it doesn't begin with that.
        captures: where the groups of the route's pattern lie in the key; None where the pattern doesn't match.
        hosts: those that may be made of a key.
    """

    bucket: str
    key: str
    below: int
    captures: Mapping[str, tuple[int, int]] | None
    hosts: AllowedHosts

    def shortened(self, key: str) -> KeyParts:
        """The same for a spelling of the key that is nothing but shorter, such as the folder of an index document."""
        return structs.replace(self, key=key)

    def reaches_end(self, name: str) -> bool:
        """Whether what a placeholder stands for goes on to the end of the key."""
        return self.captures is None or name not in self.captures or self.captures[name][1] == len(self.key)

    def lacking(self, template: Template) -> str:
        """Why a template has no text for the key, a clause; empty if it has one."""
        folders = self._folders()
        for name in sorted(template.fields & FOLDERS):
            if name not in folders:
                number = SEGMENTS.index(name) + 1 if name in SEGMENTS else 1
                return f"the key has no folder {number} below the route's prefix, for {{{name}}}"
        if template.captures and self.captures is None:
            return "the route's `match` doesn't match the key"
        if template.host:
            name = self.host(template)
            if not is_host_name(name):
                return f"{name[:80]!r}, made from the key, isn't the name of a host"
            if not self.hosts.allows(name):
                return f"the host {name}, made from the key, isn't among the route's `allowed_hosts`"
        return ""

    def host(self, template: Template) -> str:
        """The host name that a template makes, if it is one."""
        return template.host.format(bucket=self.bucket, **self._folders(), **self._captured(template)).lower()

    def values(self, template: Template, path: str, spell: Callable[[str], str]) -> dict[str, str]:
        """The values of a template's placeholders, but for the plain ones.

        Args:
            template: that lacks nothing.
            path: the key below the prefix, as it is spelled.
            spell: does that.
        """
        values = _folders(path)
        values.update({name: spell(text) for name, text in self._captured(template).items()})
        if template.host:
            values[HOST] = self.host(template)
        return values

    def _folders(self) -> dict[str, str]:
        return _folders(self.key[self.below :])

    def _captured(self, template: Template) -> dict[str, str]:
        spans = self.captures or {}
        return {name: self.key[slice(*spans[name])] for name in template.captures}


def capture_spans(pattern: re.Pattern[str] | None, key: str) -> Mapping[str, tuple[int, int]] | None:
    """Where the named groups of a pattern lie in a key; nowhere for those that take no part. None without a match."""
    match = pattern.fullmatch(key) if pattern else None
    if match is None:
        return None
    return {name: (max(0, match.start(name)), max(0, match.end(name))) for name in match.re.groupindex}


def _folders(path: str) -> dict[str, str]:
    """The folders of a path by their placeholders: those whose names aren't empty, and what comes after the first."""
    first, slash, rest = path.partition("/")
    if not slash or not first:
        return {}
    names = path.split("/", len(SEGMENTS))[:-1]
    found = {name: folder for name, folder in zip(SEGMENTS, names, strict=False) if folder}
    return {"first": first, "rest": rest, **found}

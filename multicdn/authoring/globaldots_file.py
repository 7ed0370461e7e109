"""The config file of GlobalDots' s3-trigger-purge-cdn, read for ``multicdn.authoring.from_globaldots``.

What it meant was read off the program, github.com/Globaldots/s3-trigger-purge-cdn: ``multicdn.py`` for the platforms,
``purge-multi.py`` for the URLs and actions, ``vendors/`` for the settings. No message repeats a secret.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from multicdn.config import yaml_source
from multicdn.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

    HostEntry = tuple[yaml_source.Path, dict[str, Any]]

# Stands where the old file doesn't say what ours has to: the check accepts it, and it names nothing that exists.
PLACEHOLDER = "CHANGE-ME"

_LAST = 1 << 31
_NAME = re.compile(r"[\w.-]+")
_ZONE = re.compile(r"[0-9A-Za-z_-]+")
# The old tool asked for http://{host}/{key} with the host as it stood, so a port or a path behind it worked.
_HOST = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?(:\d+)?(/[!-z|~]*)?")
# Where the words of a YAML error repeat what may be a value. Names of YAML's own tags are safe, and worth showing.
_REPEATED = re.compile(
    r"(?<=the tag )(?!tag:yaml\.org,)\S+|(?<=undefined alias )'.*'|(?<=tag handle )'.*'|'[^']*:[^']*'(?= stands twice)"
)
_HEEDED = "since that was heeded only on Edgecast and ChinaCache, in an entry without a host"
_MIXED = (
    "covers the bucket's whole list; releases of the old tool that sorted hosts by platform kept it to the platform of "
    "its own entry"
)


class LegacyVendor(NamedTuple):
    """A vendor as the old tool knew it.

    Attributes:
        settings: members of its ``cdnConfigurations``.
        platforms: what ``platform`` may be; empty where it is an id or means nothing.
        default: the platform where the file names none; empty where platforms mean nothing.
        loads: whether ``action`` was heeded.
    """

    settings: tuple[str, ...]
    platforms: tuple[str, ...] = ()
    default: str = ""
    loads: bool = False


VENDORS = {
    "akamai": LegacyVendor(
        ("edgerc", "edgerc_section", "use_arl", "user", "password"), ("production", "staging"), "production"
    ),
    "cloudflare": LegacyVendor(("email", "apikey"), default=PLACEHOLDER),
    "edgecast": LegacyVendor(("token", "hex"), ("flash", "large", "small", "adn"), "small", loads=True),
    "fastly": LegacyVendor(("token",)),
    "highwinds": LegacyVendor(("user", "password")),
}


class Use(NamedTuple):
    """One host of one bucket behind one vendor, to be purged or loaded."""

    vendor: str
    platform: str
    bucket: str
    host: str
    load: bool


def parse(text: str, name: str) -> Legacy:
    """Parse a file.

    Raises:
        ConfigError: it isn't plain YAML, or isn't a file of the old tool.
    """
    try:
        return Legacy(yaml_source.parse(text, name))
    except ConfigError as error:
        problems = [_REPEATED.sub("(not shown)", problem) for problem in error.problems]
    # Outside the handler: a chained exception would show the words that were taken out.
    raise ConfigError(problems)


class Legacy:
    """A file of the old tool, and what is to be said of it.

    Args:
        document: the file.

    Raises:
        ConfigError: it isn't a file of the old tool.
    """

    def __init__(self, document: yaml_source.Document) -> None:
        self._document = document
        self._notes: dict[str, int] = {}
        self._problems: dict[str, int] = {}
        self._data = self._mapping(document.data, ())
        if "cdnDomains" not in self._data:
            ours = "; it is one of ours already" if "providers" in self._data else ""
            raise ConfigError([f"{document.name}:1: no `cdnDomains`, which every file of the old tool has{ours}"])
        self._accounts = self._mapping(self._data.get("cdnConfigurations"), ("cdnConfigurations",))

    # Reporting

    def note(self, path: yaml_source.Path, text: str) -> None:
        """Say what can't be carried, or needs a look. Said once, however often it is found."""
        self._notes.setdefault(f"{self._document.at(path)}: {_shown(path)}: {text}", self._line(path))

    def note_in_general(self, text: str) -> None:
        """Say what no line is to blame for."""
        self._notes.setdefault(text, _LAST)

    def notes(self) -> tuple[str, ...]:
        """The notes by line, the general ones at the end."""
        return tuple(sorted(self._notes, key=self._notes.__getitem__))

    def refuse_problems(self) -> None:
        """Raise all that is wrong with the file, if anything is.

        Raises:
            ConfigError: with every problem by line.
        """
        if self._problems:
            raise ConfigError(sorted(self._problems, key=self._problems.__getitem__))

    def where(self, path: yaml_source.Path) -> str:
        """File, line and path."""
        return f"{self._document.at(path)}, {_shown(path)}"

    def _problem(self, path: yaml_source.Path, text: str) -> None:
        self._problems.setdefault(f"{self._document.at(path)}: {_shown(path)}: {text}", self._line(path))

    def _line(self, path: yaml_source.Path) -> int:
        return int(self._document.at(path).rpartition(":")[2])

    # Accounts

    def settings(self, vendor: str) -> dict[str, str]:
        """A vendor's settings that are set, without the platform; empty where they stood in a Python file."""
        path = ("cdnConfigurations", vendor)
        account = self._account(vendor)
        if not account:
            self.note(path[:1], f"no {vendor!r}: its settings stood in {settings_file(vendor)}")
        self._unknown(account, (*VENDORS[vendor].settings, "platform"), path)
        texts = {name: self._text(account, name, path) for name in VENDORS[vendor].settings}
        return {name: text for name, text in texts.items() if text}

    def note_unused(self, used: Container[str]) -> None:
        """Say which vendors' settings nothing needs."""
        for vendor in self._accounts:
            if vendor not in used:
                self.note(("cdnConfigurations", vendor), "left out: no host that was converted uses it")

    def _account(self, vendor: str) -> dict[str, Any]:
        return self._mapping(self._accounts.get(vendor), ("cdnConfigurations", vendor))

    # Hosts

    def uses(self) -> Iterator[Use]:
        """Yield the hosts behind vendors that have a provider, in the order of the file."""
        self._unknown(self._data, ("cdnDomains", "cdnConfigurations"), ())
        for vendor, buckets in self._mapping(self._data["cdnDomains"], ("cdnDomains",)).items():
            for bucket, value in self._mapping(buckets, ("cdnDomains", vendor)).items():
                path = ("cdnDomains", vendor, bucket)
                entries = self._entries(value, path)
                if not any(entry.get("host") for _, entry in entries):
                    self.note(path, "left out: it names no host")
                elif vendor in VENDORS:
                    yield from self._hosts(vendor, bucket, entries)
                else:
                    self._leave(vendor, entries, path)

    def _leave(self, vendor: str, entries: Sequence[HostEntry], path: yaml_source.Path) -> None:
        hosts = ", ".join(filter(None, (self._host(entry, where) for where, entry in entries)))
        if vendor == "chinacache":
            actions = [entry.get("action") for _, entry in entries if not entry.get("host") and entry.get("action")]
            reason = f"there is no provider for ChinaCache (action: {actions[-1] if actions else 'purge'})"
        else:
            reason = f"the old tool knew no such vendor{did_you_mean(vendor, VENDORS)}"
        self.note(path, f"not carried: {hosts}: {reason}")

    def _hosts(self, vendor: str, bucket: str, entries: Sequence[HostEntry]) -> Iterator[Use]:
        load = self._load(vendor, entries)
        for path, entry in entries:
            self._unknown(entry, ("host", "platform", "action"), path)
            host, platform = self._host(entry, path), self._platform(vendor, entry, path)
            if host:
                yield Use(vendor, platform, bucket, host, load)

    def _host(self, entry: Mapping[str, Any], path: yaml_source.Path) -> str:
        host = self._text(entry, "host", path)
        if host and not _HOST.fullmatch(host):
            self._problem((*path, "host"), "isn't a host name: write www.example.com, without a scheme, in punycode")
        return host.rstrip("/")

    def _load(self, vendor: str, entries: Sequence[HostEntry]) -> bool:
        """Whether a bucket's list is loaded: the last word of an entry without a host counts, for the whole list."""
        heeded: list[tuple[yaml_source.Path, str]] = []
        ignored: list[tuple[yaml_source.Path, str]] = []
        for path, entry in entries:
            if action := self._action(entry, path):
                (heeded if VENDORS[vendor].loads and not entry.get("host") else ignored).append((path, action))
        load = bool(heeded) and heeded[-1][1] == "load"
        for path, action in ignored:
            if (action == "load") is not load:
                self.note((*path, "action"), f"not carried: `{action}` had no effect, {_HEEDED}")
        if load and len({self._platform(vendor, entry, path) for path, entry in entries}) > 1:
            self.note((*heeded[-1][0], "action"), _MIXED)
        return load

    def _action(self, entry: Mapping[str, Any], path: yaml_source.Path) -> str:
        action = self._text(entry, "action", path)
        if action in ("", "purge", "load"):
            return action
        self._problem((*path, "action"), "must be purge or load")
        return ""

    def _platform(self, vendor: str, entry: Mapping[str, Any], path: yaml_source.Path) -> str:
        """An entry's platform, or the vendor's, or what the old tool took for granted; empty where it means nothing."""
        known = VENDORS[vendor]
        home = ("cdnConfigurations", vendor)
        own = self._text(entry, "platform", path)
        found = own or self._text(self._account(vendor), "platform", home)
        where = (*(path if own else home), "platform")
        if found and not known.default:
            self.note(where, f"left out: a platform means nothing to {vendor}")
            return ""
        if found and known.platforms and found not in known.platforms:
            self._problem(where, f"must be one of {', '.join(known.platforms)}")
        elif found and not known.platforms and not _ZONE.fullmatch(found):
            self._problem(where, "isn't the id of a zone")
        return found or known.default

    # Values

    def _mapping(self, value: object, path: yaml_source.Path) -> dict[str, Any]:
        if value is None and path:
            return {}
        if isinstance(value, dict):
            return _merged(value)
        self._problem(path, "must be a mapping of names to values")
        return {}

    def _entries(self, value: object, path: yaml_source.Path) -> list[HostEntry]:
        if value is not None and not isinstance(value, list):
            self._problem(path, "must be a list of entries, as in `- host: www.example.com`")
            return []
        return [((*path, place), self._mapping(item, (*path, place))) for place, item in enumerate(value or ())]

    def _text(self, data: Mapping[str, Any], member: str, path: yaml_source.Path) -> str:
        """A member's text; empty where there is none."""
        value = data.get(member)
        if value is None or isinstance(value, str):
            return value or ""
        self._problem((*path, member), "must be a text; put it in quotes if it begins with a bracket or a brace")
        return ""

    def _unknown(self, data: Mapping[str, Any], known: tuple[str, ...], path: yaml_source.Path) -> None:
        for name in data:
            if name not in known:
                self.note((*path, name), "not carried: the old tool knew nothing of the kind")


def settings_file(vendor: str) -> str:
    """Name the file in which a vendor's settings stood that aren't in the config."""
    return f"vendors/{vendor}/config.py"


def _merged(data: dict[str, Any]) -> dict[str, Any]:
    """A mapping with what ``<<`` adds to it: its own members win, then the first of those added."""
    added = data.get("<<")
    others = added if isinstance(added, list) else [added]
    if not all(isinstance(other, dict) for other in others):
        return data
    members: dict[str, Any] = {}
    for other in reversed(others):
        members.update(_merged(other))
    members.update((name, value) for name, value in data.items() if name != "<<")
    return members


def _shown(path: yaml_source.Path) -> str:
    """A path in words, without names that hold a value by mishap: ``{token:s3cr3t}`` is one name to YAML."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" if _NAME.fullmatch(step) else "." for step in path)
    return "".join(steps).removeprefix(".") or "the file"

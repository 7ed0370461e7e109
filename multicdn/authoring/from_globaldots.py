"""From the config file of GlobalDots' s3-trigger-purge-cdn to one of ours. Pure: text in, text out.

The values of secrets stay where they are: the result refers to parameters, and says which value belongs in which.
"""

from __future__ import annotations

import re
from textwrap import wrap
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from multicdn.authoring import globaldots_file
from multicdn.authoring.globaldots_file import PLACEHOLDER, VENDORS
from multicdn.config.checker import VERSION
from multicdn.config.yaml_source import scalar
from multicdn.errors import ConfigError
from multicdn.routing.route import Route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from multicdn.authoring.globaldots_file import Legacy, Use

# https://www.rfc-editor.org/rfc/rfc2606: .invalid never resolves, so that no credential goes astray meanwhile.
PLACEHOLDER_ENDPOINT = "https://change-me.invalid"

_WIDTH = 118
_FALSE = ("", "0", "false", "no", "off")
_GONE = "base URL of whoever answers in the vendor's place, whose own API is gone"
_ALWAYS = (
    "keys are decoded and percent-encoded once, where the old tool took them as S3's event spells them",
    "removed objects are purged too, and the old tool was told of created ones only: `on: [created]` keeps to that",
)
_HTTP = "URLs keep http://, which unless configured otherwise reaches what is cached under https, too, by {}"
# https://developers.cloudflare.com/cache/how-to/cache-keys/: the scheme is part of the key.
_BOTH = "Cloudflare caches http and https apart, so that its routes name both"
_LOADS = "Edgecast loads the scheme that it is given: write https:// in those routes if visitors use that"


class Stored(Struct, frozen=True):
    """A secret that has to be stored before the first purge.

    Attributes:
        parameter: its name in the Parameter Store.
        source: where its value stands today, in words; never the value.
    """

    parameter: str
    source: str


class Conversion(Struct, frozen=True):
    """A converted file.

    Attributes:
        text: a config file of ours, with comments.
        secrets: what to store where.
        notes: what couldn't be carried, or needs a look; with file and line where a line is to blame.
    """

    text: str
    secrets: tuple[Stored, ...]
    notes: tuple[str, ...]


def convert(text: str, name: str) -> Conversion:
    """Convert a file of the old tool.

    Args:
        text: of the file.
        name: of the file; it stands in the messages, and in a comment of the result.

    Raises:
        ConfigError: it isn't plain YAML, isn't such a file, says what the old tool couldn't use either, or leaves
            nothing to convert; with every problem found. No message repeats a secret.
    """
    legacy = globaldots_file.parse(text, name)
    uses = list(dict.fromkeys(legacy.uses()))
    legacy.refuse_problems()
    if not uses:
        raise ConfigError([f"{name}:1: nothing to convert: no host is behind a vendor that has a provider"])
    accounts = {use.vendor: _Account(legacy, use.vendor) for use in uses}
    blocks = [
        _provider_block(accounts[vendor], platform, called) for (vendor, platform), called in _names(uses).items()
    ]
    legacy.refuse_problems()
    legacy.note_unused(accounts)
    for note in _general_notes(uses):
        legacy.note_in_general(note)
    secrets = tuple(dict.fromkeys(stored for account in accounts.values() for stored in account.secrets))
    lines = (*_head(name, secrets, legacy.notes()), *_provider_lines(blocks), *_route_lines(_routes(uses)))
    return Conversion("\n".join((*lines, "")), secrets, legacy.notes())


class _Option(NamedTuple):
    """One line of a provider; the comment goes above it."""

    name: str
    value: str
    comment: str = ""


class _ProviderBlock(NamedTuple):
    """A provider of the result."""

    name: str
    type: str
    options: tuple[_Option, ...]


class _Account:
    """A vendor's settings, of which all its instances are made. The old tool knew one account a vendor."""

    def __init__(self, legacy: Legacy, vendor: str) -> None:
        self._legacy = legacy
        self.vendor = vendor
        self.settings = legacy.settings(vendor)
        self.secrets: list[Stored] = []

    def note(self, text: str, *member: str) -> None:
        """Say what can't be carried of these settings, or of one member."""
        self._legacy.note(("cdnConfigurations", self.vendor, *member), text)

    def where(self, member: str) -> str:
        """Name the place of a member in the old file."""
        if member in self.settings:
            return self._legacy.where(("cdnConfigurations", self.vendor, member))
        return f"`{member}` in {globaldots_file.settings_file(self.vendor)}"

    def secret(self, option: str, source: str) -> _Option:
        """An option that refers to a parameter, which is then among those to be stored."""
        parameter = f"/multicdn/{self.vendor}/{option}"
        self.secrets.append(Stored(parameter, source))
        return _Option(option, f"${{ssm:{parameter}}}")

    def missing(self, option: str, value: str, what: str) -> _Option:
        """An option that the old file doesn't tell."""
        self.note(f"write the `{option}` of {self.vendor} into the result: {what}")
        return _Option(option, value, f"CHANGE THIS: {what}")

    def plain(self, option: str, member: str) -> _Option:
        """An option that is no secret."""
        if member in self.settings:
            return _Option(option, self.settings[member])
        return self.missing(option, PLACEHOLDER, self.where(member))


def _akamai(account: _Account, network: str) -> Iterator[_Option]:
    settings = account.settings
    if settings.get("use_arl", "").lower() not in _FALSE:
        account.note("not carried: objects are purged by URL; what needs its ARL can be purged by `tags`", "use_arl")
    for member in ("user", "password"):
        if member in settings:
            account.note("not carried: Fast Purge takes API clients only; store the .edgerc of one", member)
    if "edgerc" in settings:
        yield account.secret("edgerc", f"the content of the file {settings['edgerc']} ({account.where('edgerc')})")
    else:
        yield account.secret("edgerc", "the .edgerc of an API client that may write to CCU APIs")
    if settings.get("edgerc_section", "default") != "default":
        yield _Option("section", settings["edgerc_section"])
    yield _Option("network", network)


def _cloudflare(account: _Account, zone: str) -> Iterator[_Option]:
    if zone == PLACEHOLDER:
        yield account.missing("zone", PLACEHOLDER, "the zone's id, which was the `platform` of a host")
    else:
        yield _Option("zone", zone)
    if "email" in account.settings:
        account.note("its `apikey` may do anything in the account; an API token for Cache Purge (`token`) may not")
        yield _Option("email", account.settings["email"])
        yield account.secret("key", account.where("apikey"))
    else:
        yield account.secret("token", "an API token with Zone > Cache Purge, in place of `email` and `apikey`")


def _edgecast(account: _Account, platform: str) -> Iterator[_Option]:
    yield account.missing("endpoint", PLACEHOLDER_ENDPOINT, _GONE)
    yield account.plain("account", "hex")
    yield account.secret("token", account.where("token"))
    yield _Option("platform", platform)


def _fastly(account: _Account, _: str) -> Iterator[_Option]:
    yield account.secret("token", account.where("token"))
    yield account.missing("service", PLACEHOLDER, "id of the service (a purge by URL works without it)")


def _highwinds(account: _Account, _: str) -> Iterator[_Option]:
    yield account.missing("endpoint", PLACEHOLDER_ENDPOINT, _GONE)
    yield account.missing("account", PLACEHOLDER, "the account hash, which the old tool asked the API for")
    yield account.plain("user", "user")
    yield account.secret("password", account.where("password"))


# Vendor -> the options of an instance, by account and platform.
_OPTIONS: Mapping[str, Callable[[_Account, str], Iterator[_Option]]] = {
    "akamai": _akamai,
    "cloudflare": _cloudflare,
    "edgecast": _edgecast,
    "fastly": _fastly,
    "highwinds": _highwinds,
}


def _provider_block(account: _Account, platform: str, name: str) -> _ProviderBlock:
    return _ProviderBlock(name, account.vendor, tuple(_OPTIONS[account.vendor](account, platform)))


def _names(uses: Sequence[Use]) -> dict[tuple[str, str], str]:
    """Names of the instances by vendor and platform: that of the vendor where it has but one."""
    names: dict[tuple[str, str], str] = {}
    for use in uses:
        # The id of a zone says nothing to a reader; a host in it does.
        word = use.platform if VENDORS[use.vendor].platforms else re.sub(r"[^A-Za-z0-9_.-]", "-", use.host)
        single = len({other.platform for other in uses if other.vendor == use.vendor}) == 1
        name = use.vendor if single else f"{use.vendor}-{word}"
        taken = name in names.values()
        names.setdefault((use.vendor, use.platform), f"{name}-{len(names) + 1}" if taken else name)
    return names


def _routes(uses: Sequence[Use]) -> list[Route]:
    """The fewest routes: all that has the same URLs of the same bucket shares one."""
    names = _names(uses)
    urls: dict[tuple[str, str, bool], list[str]] = {}
    for use in uses:
        listed = urls.setdefault((use.bucket, names[use.vendor, use.platform], use.load), [])
        listed += [f"{scheme}://{use.host}/{{key}}" for scheme in _schemes(use)]
    routes: dict[tuple[str, frozenset[str]], Route] = {}
    for (bucket, name, load), listed in urls.items():
        place = bucket, frozenset(listed)
        route = routes.get(place) or Route(bucket=bucket, urls=tuple(listed))
        purge, preload = route.purge + (name,) * (not load), route.preload + (name,) * load
        routes[place] = Route(bucket=bucket, urls=route.urls, purge=purge, preload=preload)
    buckets = [use.bucket for use in uses]
    return sorted(routes.values(), key=lambda route: buckets.index(route.bucket))


def _schemes(use: Use) -> tuple[str, ...]:
    """The schemes by which every copy of an object is reached."""
    return ("https", "http") if use.vendor == "cloudflare" else ("http",)


def _general_notes(uses: Sequence[Use]) -> Iterator[str]:
    purging = {use.vendor.capitalize() for use in uses if not use.load and use.vendor != "cloudflare"}
    if purging:
        yield _HTTP.format(", ".join(sorted(purging)))
    if any(use.vendor == "cloudflare" for use in uses):
        yield _BOTH
    if any(use.load for use in uses):
        yield _LOADS
    yield from _ALWAYS


def _head(name: str, secrets: Sequence[Stored], notes: Sequence[str]) -> Iterator[str]:
    yield from _comment(f"Made by `multicdn config convert` from {name}, a file of GlobalDots' s3-trigger-purge-cdn.")
    yield from ("#", "# To be stored in the Parameter Store, as SecureString, before the first purge:")
    for stored in secrets:
        yield from _comment(f"{stored.parameter}: {stored.source}", "- ")
    yield from ("#", "# Not carried, or to be looked at:")
    for note in notes:
        yield from _comment(note, "- ")
    yield from ("", f"version: {VERSION}")


def _provider_lines(blocks: Sequence[_ProviderBlock]) -> Iterator[str]:
    yield from ("", "providers:")
    for block in blocks:
        yield f"  {scalar(block.name)}:"
        if block.type != block.name:
            yield f"    type: {block.type}"
        for option in block.options:
            yield from _comment(option.comment, indent="    ")
            yield f"    {option.name}: {scalar(option.value)}"


def _route_lines(routes: Sequence[Route]) -> Iterator[str]:
    yield from ("", "routes:")
    for route in routes:
        yield f"  - bucket: {scalar(route.bucket)}"
        yield "    urls:"
        yield from (f"      - {scalar(url)}" for url in route.urls)
        for member in ("purge", "preload"):
            if names := getattr(route, member):
                yield f"    {member}: [{', '.join(map(scalar, names))}]"


def _comment(text: str, mark: str = "", indent: str = "") -> list[str]:
    after = f"{indent}# {' ' * len(mark)}"
    return wrap(text, _WIDTH, initial_indent=f"{indent}# {mark}", subsequent_indent=after, break_on_hyphens=False)

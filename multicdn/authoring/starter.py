"""A first config file: commented, and right from the start."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.authoring import catalog
from multicdn.config.checker import option_types, required_options
from multicdn.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multicdn.plugins.discovery import Plugins

# What YAML could take for something else, or that could end a plain text.
_PLAIN = re.compile(r"[A-Za-z0-9$/{][A-Za-z0-9$/{}:#._+-]*")


class Draft(Struct, frozen=True, kw_only=True):
    """What a person has chosen.

    Attributes:
        bucket: whose changes count.
        domain: under which viewers see its objects.
        vendors: plugin names.
        options: of each vendor, besides those that are secrets.
        prefix: only keys that begin so.
        index: index document; empty for none.
        region: of the bucket; empty to leave it to the environment.
    """

    bucket: str
    domain: str
    vendors: tuple[str, ...]
    options: Mapping[str, Mapping[str, str]] = {}
    prefix: str = ""
    index: str = "index.html"
    region: str = ""


def questions(plugins: Plugins, vendor: str) -> dict[str, str]:
    """The options to ask for of a vendor, with the example of each; secrets get references instead.

    Raises:
        PluginError: there is no such vendor.
    """
    cls = plugins.provider_class(vendor)
    secret = {option.name for option in catalog.options(cls) if option.secret}
    wanted = dict.fromkeys((*sorted(required_options(cls)), *cls.example))
    return {name: cls.example.get(name, "") for name in wanted if name not in secret}


def references(plugins: Plugins, vendor: str) -> dict[str, str]:
    """The references for the secrets of a vendor: one parameter each, below the vendor's name."""
    cls = plugins.provider_class(vendor)
    secret = [option.name for option in catalog.options(cls) if option.secret]
    wanted = [name for name in secret if name in required_options(cls) or name in cls.example]
    return {name: f"${{ssm:/multicdn/{vendor}/{name}}}" for name in wanted}


def written(draft: Draft, plugins: Plugins) -> str:
    """The text of the file.

    Raises:
        PluginError: there is no such vendor.
        ConfigError: a vendor has no such option, or lacks one.
    """
    for vendor in draft.vendors:
        _check(draft, vendor, plugins)
    return "\n".join(_lines(draft, plugins)) + "\n"


def _check(draft: Draft, vendor: str, plugins: Plugins) -> None:
    cls = plugins.provider_class(vendor)
    given, known = draft.options.get(vendor, {}), option_types(cls)
    problems = [f"{vendor} has no option {name!r} (known: {', '.join(known)})" for name in given if name not in known]
    lacking = sorted(required_options(cls) - given.keys() - references(plugins, vendor).keys())
    problems += [f"{vendor} needs the option {name!r}: --set {vendor}.{name}=…" for name in lacking]
    if problems:
        raise ConfigError(problems)


def _lines(draft: Draft, plugins: Plugins) -> Iterator[str]:
    yield "# What happens to which objects: docs/config.md. Check it with `multicdn config check`, see what would be"
    yield "# made with `multicdn install plan`."
    yield "version: 1"
    yield ""
    yield "# The CDNs. Secrets are references; store each with `multicdn secret put`."
    yield "providers:"
    for vendor in draft.vendors:
        yield from _provider(vendor, draft.options.get(vendor, {}), plugins)
    yield ""
    yield "# Every route that matches a changed object applies."
    yield "routes:"
    yield from _route(draft)
    if draft.region:
        yield ""
        yield "# What `multicdn install` makes in AWS; all other settings have defaults."
        yield "install:"
        yield f"  region: {draft.region}"


def _provider(vendor: str, given: Mapping[str, str], plugins: Plugins) -> Iterator[str]:
    options = {**references(plugins, vendor), **given}
    found = {name: value for name, value in options.items() if value}
    yield f"  {vendor}:{'' if found else ' {}'}"
    yield from (f"    {name}: {_scalar(value)}" for name, value in found.items())


def _route(draft: Draft) -> Iterator[str]:
    yield f"  - bucket: {_scalar(draft.bucket)}"
    if draft.prefix:
        yield f"    prefix: {_scalar(draft.prefix)}"
    if draft.index:
        yield f"    index: {_scalar(draft.index)}    # {_example(draft.index)}"
    yield f'    urls: ["https://{draft.domain}/{{{"path" if draft.prefix else "key"}}}"]    # as viewers ask for them'
    yield f"    purge: [{', '.join(map(_scalar, draft.vendors))}]"


def _example(index: str) -> str:
    return f"docs/{index} is also served as docs/"


def _scalar(value: str) -> str:
    return value if _PLAIN.fullmatch(value) and ": " not in value and " #" not in value else json.dumps(value)


def stored_by_hand(draft: Draft, plugins: Plugins) -> Sequence[str]:
    """The secrets that are still to be stored, as ``secret put`` wants them named."""
    return [
        reference[2:-1]
        for vendor in draft.vendors
        for name, reference in references(plugins, vendor).items()
        if name not in draft.options.get(vendor, {})
    ]

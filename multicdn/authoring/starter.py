"""A first config file: commented, and right from the start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn import DOCS
from multicdn.authoring import catalog
from multicdn.config.checker import parse
from multicdn.config.yaml_source import scalar
from multicdn.errors import ConfigError, did_you_mean
from multicdn.plugins.options import option_types, required_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multicdn.plugins.discovery import Plugins

# Where an answer stands in the file, and by which option it is given.
_PLACES = {
    "routes[0].bucket": "--bucket",
    "routes[0].prefix": "--prefix",
    "routes[0].urls[0]": "--domain",
    "install.region": "--region",
    "install.account": "--account",
    "install.kms_key": "--kms-key",
}


class Draft(Struct, frozen=True, kw_only=True):
    """The answers that a config file is made from.

    Attributes:
        bucket: whose changes count.
        domain: under which viewers see its objects.
        vendors: plugin names.
        options: of each vendor, besides those that are secrets.
        prefix: only keys that begin so.
        index: index document; empty for none.
        region: of the bucket; empty to leave it to the environment.
        account: in which to install; empty for any.
        kms_key: ARN of the key of the secrets; empty for AWS's own.
    """

    bucket: str
    domain: str
    vendors: tuple[str, ...]
    options: Mapping[str, Mapping[str, str]] = {}
    prefix: str = ""
    index: str = "index.html"
    region: str = ""
    account: str = ""
    kms_key: str = ""

    @property
    def install(self) -> dict[str, str]:
        """The settings of the installation that aren't left to their defaults."""
        settings = {"region": self.region, "account": self.account, "kms_key": self.kms_key}
        return {name: value for name, value in settings.items() if value}


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
    """The text of the file, which passes the check.

    Raises:
        PluginError: there is no such vendor.
        ConfigError: an answer is wrong or missing; the problems name the option by which it is given.
    """
    problems = [f"{option}: {text!r} isn't text in UTF-8" for option, text in _answers(draft) if not _is_utf8(text)]
    problems += [problem for vendor in draft.vendors for problem in _faults(draft, vendor, plugins)]
    if problems:
        raise ConfigError(problems)
    text = "\n".join(_lines(draft, plugins)) + "\n"
    try:
        parse(text, "", plugins)
    except ConfigError as error:
        raise ConfigError([_by_option(draft, problem) for problem in error.problems]) from None
    return text


def _answers(draft: Draft) -> Iterator[tuple[str, str]]:
    yield from (("--bucket", draft.bucket), ("--domain", draft.domain))
    yield from (("--prefix", draft.prefix), ("--region", draft.region))
    yield from (("--account", draft.account), ("--kms-key", draft.kms_key))
    for vendor, options in draft.options.items():
        yield from ((f"--set {vendor}.{name}", value) for name, value in options.items())


def _is_utf8(text: str) -> bool:
    """Whether a text can stand in a file: bytes of a command line that aren't UTF-8 come as lone surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _faults(draft: Draft, vendor: str, plugins: Plugins) -> Iterator[str]:
    cls = plugins.provider_class(vendor)
    given, options = draft.options.get(vendor, {}), option_types(cls)
    for name in given:
        if name not in options:
            yield f"{vendor} has no option {name!r}{did_you_mean(name, options)}"
    for name in sorted(required_options(cls) - given.keys() - references(plugins, vendor).keys()):
        yield f"{vendor} needs the option {name!r}: --set {vendor}.{name}=…"


def _by_option(draft: Draft, problem: str) -> str:
    """Name the option by which an answer is given instead of its place in a file that isn't there."""
    path, _, text = problem.partition(": ")[2].partition(": ")
    options = dict(_PLACES)
    for number, vendor in enumerate(draft.vendors):
        options |= dict.fromkeys((f"providers.{vendor}", f"routes[0].purge[{number}]"), f"--vendor {vendor}")
        options |= {f"providers.{vendor}.{name}": f"--set {vendor}.{name}" for name in draft.options.get(vendor, {})}
    return f"{options.get(path, path)}: {text}"


def _lines(draft: Draft, plugins: Plugins) -> Iterator[str]:
    yield f"# What happens to which objects: {DOCS}/config.md"
    yield "# Check it with `multicdn config check`, see what would be made with `multicdn install plan`."
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
    if draft.install:
        yield ""
        yield "# What `multicdn install` makes in AWS, and where; all other settings have defaults."
        yield "install:"
        yield from (f"  {name}: {scalar(value)}" for name, value in draft.install.items())


def _provider(vendor: str, given: Mapping[str, str], plugins: Plugins) -> Iterator[str]:
    options = {**references(plugins, vendor), **given}
    found = {name: value for name, value in options.items() if value}
    yield f"  {vendor}:{'' if found else ' {}'}"
    yield from (f"    {name}: {scalar(value)}" for name, value in found.items())


def _route(draft: Draft) -> Iterator[str]:
    yield f"  - bucket: {scalar(draft.bucket)}"
    if draft.prefix:
        yield f"    prefix: {scalar(draft.prefix)}"
    if draft.index:
        yield f"    index: {scalar(draft.index)}    # {_example(draft.index)}"
    yield "    urls:"
    yield f"      - {scalar(_url(draft))}    # as viewers ask for them"
    yield f"    purge: [{', '.join(map(scalar, draft.vendors))}]"
    yield "    # To see that new bytes are served, and purge again where they aren't; what it needs, the check says:"
    yield "    # verify: true"


def _url(draft: Draft) -> str:
    return f"https://{draft.domain}/{'{path}' if draft.prefix else '{key}'}"


def _example(index: str) -> str:
    return f"docs/{index} is also served as docs/"


def wrong(plugins: Plugins, vendor: str, options: Mapping[str, str], name: str) -> str:
    """Why the answer to one question about a vendor can't be right, beside those before it; empty if it can.

    Args:
        plugins: what is installed.
        vendor: plugin name.
        options: answered so far, this one among them.
        name: of the option.

    Raises:
        PluginError: there is no such vendor.
    """
    without = {option: value for option, value in options.items() if option != name}
    before = _problems(plugins, vendor, {**questions(plugins, vendor), **without})
    after = _problems(plugins, vendor, {**questions(plugins, vendor), **options})
    new = next((problem for problem in after if problem not in before), "")
    return new.partition(": ")[2] if new.startswith("--") else new


def _problems(plugins: Plugins, vendor: str, options: Mapping[str, str]) -> tuple[str, ...]:
    given = {vendor: {name: value for name, value in options.items() if value}}
    try:
        written(Draft(bucket="any-bucket", domain="www.example.com", vendors=(vendor,), options=given), plugins)
    except ConfigError as error:
        return error.problems
    return ()


def stored_by_hand(draft: Draft, plugins: Plugins) -> Sequence[tuple[str, str]]:
    """The secrets that are still to be stored, as ``secret put`` wants them named, and which file each is, if it is."""
    return [
        (reference[2:-1], option.file)
        for vendor in draft.vendors
        for option in catalog.options(plugins.provider_class(vendor))
        if (reference := references(plugins, vendor).get(option.name, ""))
        and option.name not in draft.options.get(vendor, {})
    ]

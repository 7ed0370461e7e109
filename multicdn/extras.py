"""What a config needs here beyond multicdn itself, and the one command that installs it.

Vendors' SDKs are extras, and are imported when a call is made. So that whoever lacks one hears of it before that, what
distributions declare is compared with what is installed; nothing is imported for it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from packaging.requirements import Requirement

from multicdn.errors import MulticdnError
from multicdn.secrets import parse_reference

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from multicdn.config import Config
    from multicdn.plugins.discovery import Plugins

OURS = "multicdn"

# For all of AWS but CloudFront: the installer, queues, secrets, listing objects.
AWS = "aws"

# Schemes of references that are read with the SDK of AWS.
_OF_AWS = frozenset({"ssm", "secretsmanager"})

# By what a module of an SDK is found in which of our extras, for an import that has failed already.
_MODULES = {
    "boto3": AWS,
    "botocore": AWS,
    "cloudflare": "cloudflare",
    "akamai": "akamai",
    "prometheus_client": "openmetrics",
}


class Lack(NamedTuple):
    """A package that is missing here, or too old.

    Attributes:
        user: what needs it: a provider instance, or references to secrets of one kind.
        distribution: declares it.
        extra: of the distribution, in which it is.
        requirement: the package with the versions that will do.
    """

    user: str
    distribution: str
    extra: str
    requirement: Requirement


class ExtraError(MulticdnError):
    """Packages are missing here; the text has the command that installs them."""


def lacking(config: Config, plugins: Plugins, providers: Collection[str] | None = None) -> list[Lack]:
    """What a config needs and this Python doesn't have.

    Args:
        config: whose providers and secrets count.
        plugins: the installed ones.
        providers: names of the instances that matter; by default all.
    """
    chosen = [name for name in config.types if providers is None or name in providers]
    found: list[Lack] = []
    for name in chosen:
        for plugin in plugins.providers.get(config.types[name], ())[:1]:
            if plugin.entry_point.dist is not None:
                found += _lacking(plugin.entry_point.dist, plugin.name, name)
        for secret in config.providers[name].secrets():
            scheme = (parse_reference(secret.reference) or ("",))[0]
            if scheme in _OF_AWS:
                found += _lacking(metadata.distribution(OURS), AWS, f"${{{scheme}:...}}")
    return found


def lacking_extra(extra: str) -> list[Lack]:
    """What one of our own extras has and this Python doesn't, for a command that can do nothing without it."""
    return [*_lacking(metadata.distribution(OURS), extra, f"multicdn {extra}")]


def refuse(lacks: Collection[Lack]) -> None:
    """End before anything is done, if something is missing.

    Raises:
        ExtraError: it is.
    """
    if lacks:
        raise ExtraError(told(lacks))


def told(lacks: Collection[Lack]) -> str:
    """One sentence about all that is missing, with the one command that installs it."""
    return f"{wanting(lacks)}: {command(lacks)}"


def wanting(lacks: Collection[Lack]) -> str:
    """The same sentence without the command."""
    users = [*dict.fromkeys(lack.user for lack in lacks)]
    packages = [*dict.fromkeys(_state(lack.requirement) for lack in lacks)]
    need, are = "need" if len(users) > 1 else "needs", "aren't" if len(packages) > 1 else "isn't"
    return f"{_listed(users)} {need} {_listed(packages)}, which {are} installed here"


def of_import(error: ImportError) -> str | None:
    """The same about a module that could not be imported; None if it belongs to no extra."""
    extra = _MODULES.get((error.name or "").partition(".")[0])
    if extra is None:
        return None
    lacks = [
        Lack("this command", OURS, extra, requirement)
        for requirement in _requirements(metadata.distribution(OURS), extra)
    ]
    return told([lack for lack in lacks if not _is_here(lack.requirement)] or lacks)


def command(lacks: Iterable[Lack]) -> str:
    """What to type. Another pip than that of this Python, as with pipx and uv, would install elsewhere."""
    extras: dict[str, set[str]] = {}
    for lack in lacks:
        extras.setdefault(lack.distribution, set()).add(lack.extra)
    wanted = [f"{name}[{','.join(sorted(names))}]" for name, names in sorted(extras.items())]
    # uvx, too, puts this Python's programs on the path, but of this process alone: an activated environment is named.
    own = shutil.which("pip") == str(Path(sys.executable).with_name("pip")) and "VIRTUAL_ENV" in os.environ
    pip = "pip" if own else f"{shlex.quote(sys.executable)} -m pip"
    return f"{pip} install {shlex.join(wanted)}"


def _lacking(distribution: metadata.Distribution, extra: str, user: str) -> Iterator[Lack]:
    for requirement in _requirements(distribution, extra):
        if not _is_here(requirement):
            yield Lack(user, distribution.name, extra, requirement)


def _requirements(distribution: metadata.Distribution, extra: str) -> Iterator[Requirement]:
    """What an extra asks for, and the distribution itself doesn't."""
    for requirement in map(Requirement, distribution.requires or ()):
        marker = requirement.marker
        if marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""}):
            yield requirement


def _is_here(requirement: Requirement) -> bool:
    version = _version(requirement.name)
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _state(requirement: Requirement) -> str:
    version = _version(requirement.name)
    old = version is not None and not _is_here(requirement)
    return f"{requirement.name}{requirement.specifier} (not {version})" if old else requirement.name


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last

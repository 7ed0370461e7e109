"""A copy of a config file for simulators: their endpoints and secrets in it, and nobody who isn't simulated."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from multicdn import secrets
from multicdn.config import text_file, yaml_source
from multicdn.routing.route import listed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html: what a name may hold
_PARAMETER = re.compile(r"/?[\w.-]+(?:/[\w.-]+)*", re.ASCII)

# How long jobs wait in the queue where the config leaves it open: nobody wants to watch half a minute of nothing.
FIRST_DELAY, LONGEST_DELAY = "2s", "5s"

# Keys of routes that name providers.
_ACTIONS = ("purge", "preload")


class ConfigCopy:
    """What a config file says, to be changed and written elsewhere.

    Args:
        file: the config file; it is checked by others.

    Raises:
        ConfigError: it can't be read.
    """

    def __init__(self, file: Path) -> None:
        self._data: dict[str, Any] = yaml_source.parse(text_file.decoded(file.read_bytes()), str(file)).data

    @property
    def providers(self) -> dict[str, dict[str, Any]]:
        """Options by the names of the instances."""
        providers: dict[str, dict[str, Any] | None] = self._data["providers"]
        return {name: options or {} for name, options in providers.items()}

    @property
    def buckets(self) -> list[str]:
        """Names of all buckets, each once."""
        return list(dict.fromkeys(bucket for route in self._data["routes"] for bucket in listed(route["bucket"])))

    @property
    def region(self) -> str:
        """Where it is to be installed; empty if it doesn't say."""
        return (self._data.get("install") or {}).get("region") or ""

    def type_of(self, name: str) -> str:
        """The provider type of an instance."""
        return str(self.providers[name].get("type") or name)

    def buckets_of(self, name: str) -> list[str]:
        """The buckets whose changes an instance is told of; all if there are none."""
        return (
            list(dict.fromkeys(b for route in self._routes_of(name) for b in listed(route["bucket"]))) or self.buckets
        )

    def urls_of(self, name: str) -> list[str]:
        """Templates of the URLs that an instance is to purge or preload."""
        return [url for route in self._routes_of(name) for url in listed(route.get("urls") or ())]

    def inner_of(self, name: str) -> tuple[str, ...]:
        """The instances that an instance pulls from."""
        return listed(self.providers[name].get("pulls_from") or ())

    @property
    def names(self) -> list[str]:
        """The instances, those that others pull from before these."""
        left, names = list(self.providers), []
        while left:  # a loop, which the check refuses, is cut anywhere
            name = next((each for each in left if not {*self.inner_of(each)} & {*left}), left[0])
            left.remove(name)
            names.append(name)
        return names

    def simulate(self, name: str, endpoint: str, known: Collection[str], *, via: str = "") -> dict[str, str]:
        """Turn an instance to its simulator.

        Args:
            name: of the instance.
            endpoint: base URL of the simulated API.
            known: the simulator's secret options.
            via: base URL of the simulated edge, for those who look at what it serves.

        Returns:
            For each of its secret options the name of the parameter in which its value is looked for: the one that the
            config names, or one of our own in place of any other kind of reference, so that no real secret is read.
        """
        options = self.providers[name]
        parameters: dict[str, str] = {}
        for option, value in options.items():
            reference = secrets.parse_reference(value) if isinstance(value, str) else None
            if reference is None and option not in known:
                continue
            scheme, parameter = reference or ("", "")
            if scheme != "ssm" or not _PARAMETER.fullmatch(parameter):
                parameter = f"/multicdn-local/{name}/{option}"
                options[option] = f"${{ssm:{parameter}}}"
            parameters[option] = parameter
        looked_at = {"via": via} if via and (self._is_verified or "via" in options) else {}
        self._data["providers"][name] = {**options, "endpoint": endpoint, **looked_at}
        return parameters

    def leave_out(self, name: str) -> None:
        """Do without an instance, and without the routes that are for it alone."""
        del self._data["providers"][name]
        for other, options in self.providers.items():
            if name in self.inner_of(other):
                left = [each for each in self.inner_of(other) if each != name]
                kept = {option: value for option, value in options.items() if option != "pulls_from"}
                self._data["providers"][other] = {**kept, "pulls_from": left} if left else kept
        self._data["routes"] = [route for route in map(_without(name), self._data["routes"]) if route]

    def hasten(self) -> bool:
        """Let jobs wait for seconds alone, unless the config says how long they wait; whether it was done."""
        delivery = self._data.get("delivery") or {}
        if "first_delay" in delivery or "longest_delay" in delivery:
            return False
        self._data["delivery"] = {**delivery, "first_delay": FIRST_DELAY, "longest_delay": LONGEST_DELAY}
        return True

    def write(self, file: Path) -> None:
        """Write it."""
        file.write_text(yaml.safe_dump(self._data, sort_keys=False, allow_unicode=True), encoding="utf-8")

    @property
    def _is_verified(self) -> bool:
        return any(str(route.get("verify") or False).lower() != "false" for route in self._data["routes"])

    def _routes_of(self, name: str) -> Iterator[dict[str, Any]]:
        for route in self._data["routes"]:
            if any(name in listed(route.get(action) or ()) for action in _ACTIONS):
                yield route


def _without(name: str) -> Any:
    def cut(route: dict[str, Any]) -> dict[str, Any] | None:
        left = {action: [each for each in listed(route.get(action) or ()) if each != name] for action in _ACTIONS}
        if not any(left.values()):
            return None
        others = {key: value for key, value in route.items() if key not in _ACTIONS}
        return {**others, **{action: names for action, names in left.items() if names}}

    return cut

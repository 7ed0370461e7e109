"""The data that a bundle has for botocore: of the calls that it makes, and of no others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import botocore
from botocore.endpoint_provider import RuleSetStandardLibrary
from botocore.loaders import Loader

# Files of a bundle's folder: one for each service, and one for what botocore reads for all.
COMMON = "common"

# Members of a service's file: names of botocore's own files, and the functions that its rules for endpoints call.
MODEL, RULES, PAGES, FUNCTIONS = "service-2", "endpoint-rule-set-1", "paginators-1", "functions"


class LeanData(Loader):
    """Data of a bundle; what it lacks comes from botocore's own.

    botocore itself would look through the folders of all services for the newest version of one, and read the endpoints
    of all.

    Args:
        folder: of the bundle.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._services: dict[str, dict[str, Any]] = {}

    def has(self, service: str) -> bool:
        """Whether there is data of a service."""
        return MODEL in self._members(service)

    def refuse_unfit(self, service: str) -> None:
        """See that botocore knows what the rules of a service call: it would fail with the first call, not before.

        Raises:
            LookupError: it is older than its data.
        """
        library = RuleSetStandardLibrary({})
        called = self._members(service).get(FUNCTIONS, ())
        if unknown := [name for name in called if not hasattr(library, library.convert_func_name(name))]:
            message = f"botocore {botocore.__version__} is older than its data: no {', '.join(unknown)}"
            raise LookupError(message)

    def drop(self, service: str) -> None:
        """Have nothing of a service from now on."""
        self._services[service] = {}

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        """See botocore."""
        members = self._members(service_name) if api_version is None else {}
        if type_name in members:
            return members[type_name]
        return super().load_service_model(service_name, type_name, api_version)

    def load_data_with_path(self, name: str) -> Any:
        """See botocore."""
        common = self._members(COMMON)
        if name in common:
            return common[name], str(Path(self.BUILTIN_DATA_PATH, name))  # from where it was taken
        return super().load_data_with_path(name)

    def _members(self, name: str) -> dict[str, Any]:
        if name not in self._services:
            self._services[name] = self._read(name)
        return self._services[name]

    def _read(self, name: str) -> dict[str, Any]:
        try:
            members: dict[str, Any] = json.loads((self._folder / f"{name}.json").read_bytes())
        except FileNotFoundError:
            return {}
        return members

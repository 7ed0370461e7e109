"""What botocore reads before it makes a client, cut to the calls that a bundle makes.

Its description of one service, and its list of all endpoints, have up to a megabyte each. To parse them, and to look
for the newest version among the folders of all services, takes most of the time in which a client is made.
"""

from __future__ import annotations

import functools
import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from botocore.exceptions import DataNotFoundError, UnknownServiceError
from botocore.loaders import Loader

from multicdn import publishing, secrets
from multicdn._botocore import COMMON, FOLDER, FUNCTIONS, MODEL, PAGES, RULES
from multicdn.aws import s3, sqs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Operations = Mapping[str, Iterable[str]]

# Where botocore may ask for credentials, besides.
_OF_CREDENTIALS = ("sts", "oidc", "portal.sso", "signin")

# Of operations and shapes: texts for people.
_FOR_PEOPLE = ("documentation", "documentationUrl")


def own_operations(config: str) -> list[Operations]:
    """What the core asks AWS in Lambda.

    Args:
        config: text of the file, which has references to secrets, such as ``${ssm:...}``, and ARNs of what it tells.
    """
    named = {**secrets.OPERATIONS, **publishing.OPERATIONS}
    return [sqs.OPERATIONS, s3.OPERATIONS, {name: named[name] for name in named if f"{name}:" in config}]


def files(declared: Iterable[Operations]) -> dict[PurePosixPath, bytes]:
    """The files of a bundle, from the botocore that is installed here.

    Args:
        declared: operations by service. Those that the installed botocore doesn't know are left out.
    """
    wanted: dict[str, set[str]] = {}
    for operations in declared:
        for service, names in operations.items():
            wanted.setdefault(service, set()).update(names)
    return _files(tuple((service, tuple(sorted(names))) for service, names in sorted(wanted.items())))


@functools.cache
def _files(wanted: tuple[tuple[str, tuple[str, ...]], ...]) -> dict[PurePosixPath, bytes]:
    # Nothing of this machine's own models: a bundle is the same wherever it is built.
    data = Loader([Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    found = set(data.list_available_services(MODEL))
    services = {service: _service(data, service, names) for service, names in wanted if service in found}
    prefixes = {members[MODEL]["metadata"]["endpointPrefix"] for members in services.values()}
    written = {**services, COMMON: _common(data, {*prefixes, *_OF_CREDENTIALS})}
    return {
        PurePosixPath(FOLDER, f"{name}.json"): json.dumps(members, separators=(",", ":")).encode()
        for name, members in written.items()
    }


def _service(data: Loader, service: str, names: tuple[str, ...]) -> dict[str, Any]:
    rules = data.load_service_model(service, RULES)
    return {
        MODEL: _model(data.load_service_model(service, MODEL), names),
        RULES: rules,
        PAGES: _pages(data, service, names),
        FUNCTIONS: sorted(set(_functions(rules))),
    }


def _model(model: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """A description of some operations of a service, and of all shapes that these lead to."""
    operations = {name: _without_texts(model["operations"][name]) for name in names if name in model["operations"]}
    shapes: dict[str, Any] = {}
    waiting = list(_referred(operations))
    while waiting:
        name = waiting.pop()
        if name not in shapes:
            shapes[name] = _without_texts(model["shapes"][name])
            waiting += _referred(shapes[name])
    rest = {name: value for name, value in model.items() if name not in ("operations", "shapes", *_FOR_PEOPLE)}
    return {**rest, "operations": operations, "shapes": dict(sorted(shapes.items()))}


def _referred(description: Any) -> Iterator[str]:
    """Names of the shapes that a description refers to."""
    if isinstance(description, dict):
        for name, value in description.items():
            if name == "shape" and isinstance(value, str):
                yield value
            else:
                yield from _referred(value)
    elif isinstance(description, list):
        for value in description:
            yield from _referred(value)


def _without_texts(description: Any) -> Any:
    """A description without what is for people. A member may be called like that, and stays."""
    if isinstance(description, list):
        return [_without_texts(value) for value in description]
    if not isinstance(description, dict):
        return description
    return {
        name: _without_texts(value)
        for name, value in description.items()
        if not (name in _FOR_PEOPLE and isinstance(value, str))
    }


def _pages(data: Loader, service: str, names: tuple[str, ...]) -> dict[str, Any]:
    """How the answers of some operations come in pages."""
    try:
        pages = data.load_service_model(service, PAGES)["pagination"]
    except (DataNotFoundError, UnknownServiceError):
        pages = {}
    return {"pagination": {name: pages[name] for name in names if name in pages}}


def _functions(rules: Any) -> Iterator[str]:
    """Names of the functions that rules call."""
    if isinstance(rules, dict):
        if "fn" in rules:
            yield rules["fn"]
        rules = list(rules.values())
    if isinstance(rules, list):
        for value in rules:
            yield from _functions(value)


def _common(data: Loader, prefixes: set[str]) -> dict[str, Any]:
    """What botocore reads for any service, cut to some."""
    endpoints, retry = data.load_data("endpoints"), data.load_data("_retry")
    return {
        "endpoints": {
            **endpoints,
            "partitions": [
                {
                    **each,
                    "services": {name: each["services"][name] for name in sorted(prefixes & set(each["services"]))},
                }
                for each in endpoints["partitions"]
            ],
        },
        "_retry": {
            **retry,
            "retry": {name: how for name, how in retry["retry"].items() if name in {*prefixes, "__default__"}},
        },
        "partitions": data.load_data("partitions"),
        "sdk-default-configuration": data.load_data("sdk-default-configuration"),
    }

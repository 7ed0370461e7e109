"""The options of a provider, as its dataclass declares them."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Any

from multicdn.errors import PluginError

if TYPE_CHECKING:
    from multicdn.provider import Provider


def option_types(cls: type[Provider]) -> dict[str, Any]:
    """The options of a provider and their types. Fields marked ``internal`` in their metadata are none.

    Raises:
        PluginError: an annotation can't be evaluated; it names something imported for type checking only.
    """
    types = {}
    for field in dataclasses.fields(cls):
        if field.init and not field.metadata.get("internal"):
            types[field.name] = _evaluated(cls, field)
    return types


def required_options(cls: type[Provider]) -> set[str]:
    """The options without a default."""
    missing = dataclasses.MISSING
    return {
        field.name
        for field in dataclasses.fields(cls)
        if field.init and field.default is missing and field.default_factory is missing
    }


def _evaluated(cls: type, field: dataclasses.Field[Any]) -> Any:
    """Turn the text of an annotation into a type, in the module of the class that it stands in."""
    if not isinstance(field.type, str):
        return field.type
    home = next(base for base in cls.__mro__ if field.name in vars(base).get("__annotations__", {}))
    try:
        return eval(field.type, vars(sys.modules[home.__module__]))  # noqa: S307 - the plugin's own source
    except NameError as error:
        raise PluginError(f"{home.__qualname__}.{field.name}: {error}; import it outside TYPE_CHECKING") from None

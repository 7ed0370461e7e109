"""The limits of a provider, looked at before anything depends on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multicdn.errors import told
from multicdn.provider import Confirm, Limits, Prove, capabilities

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.provider import Provider


def faults(provider: Provider) -> Iterator[str]:
    """Name the limits that the core couldn't keep: those that can't be had, and those that are none."""
    names = [way.limits for way in capabilities(provider)]
    names += [
        name for base, name in ((Confirm, "confirm_limits"), (Prove, "prove_limits")) if isinstance(provider, base)
    ]
    for name in dict.fromkeys(names):
        try:
            limits = getattr(provider, name)
        except Exception as error:  # noqa: BLE001 - the plugin's: each of its jobs would meet it
            yield f"{name}: {told(error)}"
        else:
            if not isinstance(limits, Limits):
                yield f"{name} is {limits!r:.80}, and no Limits"

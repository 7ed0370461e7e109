"""SnapStart: Lambda keeps the process as it is after INIT, and lets copies of it go on, many at once and much later.

What such a copy holds (docs.aws.amazon.com/lambda/latest/dg/snapstart-uniqueness.html), one by one:

- chance: copies would draw the same numbers, and retry in step. It is stirred anew, that of TLS as well.
- secrets: none is read before the first event. Where a plugin has read one nevertheless, it is asked for again.
- connections: none is open before the first event; the conformance kit holds plugins to it.
- credentials of AWS: they have an end by the clock on the wall there, and botocore gets others when it is near.
- clocks: nothing is noted before the first event. Rates, breakers, discoveries and what was spent begin with it.
"""

from __future__ import annotations

import logging
import os
import random
import sys
from typing import TYPE_CHECKING

from multicdn.errors import told
from multicdn.log import emit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multicdn.provider import Provider

# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
_TYPE, _SNAP_START = "AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start"

_ENTROPY = 64  # bytes


def prepare(providers: Mapping[str, Provider]) -> None:
    """Have copies of this process renewed before their first event, where there will be such.

    Args:
        providers: by name.
    """
    if os.environ.get(_TYPE) != _SNAP_START:
        return
    try:
        # Part of Lambda's own runtime: docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html
        from snapshot_restore_py import register_after_restore
    except ImportError:  # of an image of somebody's own
        return
    register_after_restore(renew, providers)


def renew(providers: Mapping[str, Provider]) -> None:
    """Take over nothing that is old, or that other copies have as well. Never raises: that would end the process."""
    random.seed()
    if "ssl" in sys.modules:
        import ssl

        ssl.RAND_add(os.urandom(_ENTROPY), _ENTROPY)
    for name, provider in providers.items():
        try:
            for secret in provider.secrets():
                secret.forget()
        except BaseException as error:  # noqa: BLE001 - a plugin's own way to list them
            emit(logging.ERROR, "plugin-bug", provider=name, error=told(error))

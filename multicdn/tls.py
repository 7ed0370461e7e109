"""The one TLS context of this process: to read the authorities that it trusts takes far longer than a handshake.

Whatever speaks TLS here shares it. A plugin whose library takes an ``ssl.SSLContext`` hands it this one.
"""

from __future__ import annotations

import functools
import os
import ssl
from contextlib import suppress
from pathlib import Path

__all__ = ["context"]

# Where the environment names the authorities, as ``requests`` and botocore read it.
_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@functools.cache
def context() -> ssl.SSLContext:
    """What trusts the authorities that the environment names, else those of certifi, else those of the system.

    Raises:
        OSError: the environment names a file or folder that can't be read, or has no certificates in it.
    """
    named = next(filter(None, map(os.environ.get, _VARIABLES)), None)
    if not named:
        with suppress(ImportError):
            import certifi

            named = certifi.where()
    of_folder = named is not None and Path(named).is_dir()
    return ssl.create_default_context(cafile=None if of_folder else named, capath=named if of_folder else None)

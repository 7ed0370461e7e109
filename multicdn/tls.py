"""The one TLS context of this process: to read its authorities takes twenty times as long as a handshake.

Whatever speaks TLS here shares it. A plugin whose library takes an ``ssl.SSLContext`` hands it this one.
"""

from __future__ import annotations

import functools
import os
import ssl
from contextlib import suppress
from pathlib import Path

__all__ = ["AuthoritiesError", "context"]

# Where the environment names the authorities, as ``requests`` and botocore read it.
_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class AuthoritiesError(OSError):
    """The authorities that the environment names can't be read."""


@functools.cache
def context() -> ssl.SSLContext:
    """What trusts the authorities that the environment names, else those of certifi, else those of the system.

    Raises:
        AuthoritiesError: the environment names a file or folder that can't be read, or has no certificates in it.
    """
    variable = next((name for name in _VARIABLES if os.environ.get(name)), "")
    named = os.environ.get(variable) or _of_certifi()
    of_folder = named is not None and Path(named).is_dir()
    try:
        return ssl.create_default_context(cafile=None if of_folder else named, capath=named if of_folder else None)
    except OSError as error:
        raise AuthoritiesError(f"{variable or 'certifi'} names {named}: {error.strerror or error}") from None


def _of_certifi() -> str | None:
    with suppress(ImportError):
        import certifi

        return certifi.where()
    return None

"""The one TLS context of this process: to read its authorities takes twenty times as long as a handshake.

Whatever speaks TLS here shares it. A plugin whose library takes an ``ssl.SSLContext`` hands it this one.
"""

from __future__ import annotations

import functools
import os
import ssl
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

__all__ = ["AuthoritiesError", "context"]

# Where the environment names a file or a folder of authorities, as ``requests`` reads it.
_OF_EITHER = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

# As OpenSSL reads it: docs.openssl.org/master/man3/SSL_CTX_load_verify_locations
_OF_FILE, _OF_FOLDERS = "SSL_CERT_FILE", "SSL_CERT_DIR"


class AuthoritiesError(OSError):
    """The authorities that the environment names can't be read."""


class Authorities(NamedTuple):
    """Where authorities are, and who says so.

    Attributes:
        source: the variables of the environment, or ``certifi``.
        file: of certificates; None for none.
        folders: likewise, whose files are named for the hashes of their subjects; several as in ``PATH``.
    """

    source: str
    file: str | None = None
    folders: str | None = None

    @property
    def only(self) -> str | None:
        """The one place, where it is one."""
        return None if self.file and self.folders else self.file or self.folders

    def missing(self) -> str:
        """What should be there and isn't; OpenSSL says nothing of folders."""
        folders = self.folders.split(os.pathsep) if self.folders else []
        return next((folder for folder in folders if not Path(folder).is_dir()), "")


class _SharedContext(ssl.SSLContext):
    """Names of hosts are checked for all, whatever one of its users sets: urllib3 sets it for a pyOpenSSL."""

    @property
    def check_hostname(self) -> bool:
        return True

    @check_hostname.setter
    def check_hostname(self, wanted: bool) -> None:
        del wanted


@functools.cache
def context() -> ssl.SSLContext:
    """What trusts the authorities that the environment names, else those of certifi, else those of the system.

    Libraries that share it can't have it trust less: it goes on to check certificates, and the names in them.

    Raises:
        AuthoritiesError: the environment names a file or folder that can't be read, or has no certificates in it.
    """
    source, file, folders = named = named_authorities() or _of_certifi()
    if missing := named.missing():
        raise AuthoritiesError(f"{source} names {missing}: no such folder")
    try:
        made = ssl.create_default_context(cafile=file, capath=folders)
    except OSError as error:
        raise AuthoritiesError(f"{source} names {file or folders}: {error.strerror or error}") from None
    made.__class__ = _SharedContext
    return made


def named_authorities() -> Authorities | None:
    """What the environment names; None where it names nothing."""
    for source in _OF_EITHER:
        if named := os.environ.get(source):
            return Authorities(source, folders=named) if Path(named).is_dir() else Authorities(source, named)
    file, folders = os.environ.get(_OF_FILE) or None, os.environ.get(_OF_FOLDERS) or None
    source = " or ".join(name for name, value in ((_OF_FILE, file), (_OF_FOLDERS, folders)) if value)
    return Authorities(source, file, folders) if source else None


def _of_certifi() -> Authorities:
    with suppress(ImportError):
        import certifi

        return Authorities("certifi", certifi.where())
    return Authorities("the system")

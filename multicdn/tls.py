"""The one TLS context of this process: to read its authorities takes twenty times as long as a handshake.

Whatever speaks TLS here shares it. A plugin whose library takes an ``ssl.SSLContext`` hands it this one.
"""

from __future__ import annotations

import functools
import os
import ssl
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["AuthoritiesError", "context"]

# Where the environment names a file or a folder of authorities, as ``requests`` reads it.
_OF_EITHER = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

# As OpenSSL reads it: docs.openssl.org/master/man3/SSL_CTX_load_verify_locations
_OF_FILE, _OF_FOLDERS = "SSL_CERT_FILE", "SSL_CERT_DIR"

#: Folder beside the package in a bundle: what certifi trusts, for OpenSSL to read one by one.
HASHED = "multicdn_authorities"


class AuthoritiesError(OSError):
    """The authorities that the environment names can't be read."""


class Authorities(Struct, frozen=True):
    """Where authorities are, and who says so.

    Attributes:
        source: the variables of the environment, or who else.
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
    """What one of its users sets would hold for all others, so it is left out. Libraries set some with each connection.

    urllib3 leaves names to itself where pyOpenSSL was injected into it, a plugin's httpx would offer HTTP/2 for all,
    its requests add certifi's authorities, and a recipe for servers of old take weak ciphers.
    """

    def __setattr__(self, name: str, value: object) -> None:
        """Such as ``check_hostname``, ``minimum_version`` and ``keylog_filename``."""
        if name == "verify_mode" and value == ssl.CERT_NONE:
            raise ValueError("this context is for all vendors, and CERT_NONE would trust anybody")

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Likewise."""

    def set_ciphers(self, *_: object) -> None:
        """Likewise."""

    def load_verify_locations(self, *_: object, **__: object) -> None:
        """Likewise."""

    def load_default_certs(self, purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH) -> None:
        """Likewise."""

    def set_default_verify_paths(self) -> None:
        """Likewise."""

    def load_cert_chain(self, *_: object, **__: object) -> None:
        raise ValueError("this context is for all vendors: make one of your own for a client's certificate")


@functools.cache
def context() -> ssl.SSLContext:
    """What trusts the authorities that the environment names, else those of certifi, else those of the system.

    Libraries that share it can't have it check less, trust others or speak HTTP/2; what they set is left out.

    Raises:
        AuthoritiesError: the environment names a file or folder that can't be read, or has no certificates in it.
    """
    named = named_authorities() or _of_certifi()
    if missing := named.missing():
        raise AuthoritiesError(f"{named.source} names {missing}: no such folder")
    try:
        made = ssl.create_default_context(cafile=named.file, capath=named.folders)
    except OSError as error:
        place = named.file or named.folders
        raise AuthoritiesError(f"{named.source} names {place}: {error.strerror or error}") from None
    made.set_alpn_protocols(["http/1.1"])
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
    hashed = Path(__file__).parents[1] / HASHED
    if hashed.is_dir():
        return Authorities("the bundle", folders=str(hashed))
    with suppress(ImportError):
        import certifi

        return Authorities("certifi", certifi.where())
    return Authorities("the system")

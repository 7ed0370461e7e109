"""Clients of botocore trust by the one TLS context of the process: authorities are read once, and not for each."""

from __future__ import annotations

import functools
import os
import ssl
from contextlib import suppress
from typing import Any

from botocore.httpsession import URLLib3Session, create_urllib3_context, get_cert_path

from multicdn import tls


class _Trusting(URLLib3Session):
    """Connections by a context that knows its authorities: botocore would have them read again for each."""

    _verify: Any
    _cert_file: Any
    _proxy_config: Any
    _manager: Any
    _trusts = False

    def trust(self, url: str) -> None:
        """Use the context of this process for a service, or where other authorities are named one of theirs.

        Left alone are clients with proxies or certificates of their own, and those that are told to trust anybody.

        Raises:
            OSError: there are no authorities where they should be. Each call says so.
        """
        plain = self._cert_file is None and self._proxy_config.proxy_url_for(url) is None
        if plain and self._verify and url.startswith("https:"):
            self._manager.connection_pool_kw["ssl_context"] = _context_of(self._verify)
            self._trusts = True

    def _setup_ssl_cert(self, conn: Any, url: str, verify: Any) -> None:
        if self._trusts:
            conn.cert_reqs = "CERT_REQUIRED"
        else:
            if isinstance(verify, str) and url.startswith("https:"):
                _context_of_file(verify)  # raises what is wrong with it, with its name, where there is something
            super()._setup_ssl_cert(conn, url, verify)  # type: ignore[misc]  # the stubs have what is public


def share_trust(client: Any) -> None:
    """Have a client use the context of this process, where it is botocore's own in all else."""
    with suppress(AttributeError, OSError):  # of a botocore that is another inside, and see above
        session: Any = client._endpoint.http_session  # noqa: SLF001 - nothing public leads there
        is_botocores = type(session) is URLLib3Session
        if is_botocores:
            session.__class__ = _Trusting
            session.trust(client.meta.endpoint_url)


def _context_of(verify: Any) -> ssl.SSLContext:
    # What ``multicdn.tls`` trusts; of the variables that it reads botocore asks only one.
    named = tls.named_authorities()
    if verify == (True if named is None else named.only):
        context = tls.context()
        # From 3.13 on it wants more of authorities than botocore does, and those of a company may not have it.
        if verify is True or not context.verify_flags & ssl.VERIFY_X509_STRICT:
            return context
    return _context_of_file(get_cert_path(verify))


@functools.cache
def _context_of_file(path: str) -> ssl.SSLContext:
    context: ssl.SSLContext = create_urllib3_context()
    try:
        context.load_verify_locations(path)
    except OSError as error:
        variables = (name for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE") if os.environ.get(name) == path)
        source = next(variables, "ca_bundle of the profile")
        raise tls.AuthoritiesError(f"{source} names {path}: {error.strerror or error}") from None
    return context

"""Throw-away certificates for servers on loopback."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta


@functools.cache
def certificate(name: str, begins: float = -1, ends: float = 1) -> bytes:
    """Certificate and key of a host, signed by itself, in PEM. It is valid between two days, counted from now."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    called = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(called, called, key.public_key(), 1, now + timedelta(begins), now + timedelta(ends))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    secret = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.public_bytes(encoding) + secret

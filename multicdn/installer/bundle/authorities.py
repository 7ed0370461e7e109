"""The authorities of a bundle, one file each, so that TLS reads those that it meets and not all 120 at each start.

OpenSSL looks for the issuer of a certificate in a folder by a hash of the issuer's name
(docs.openssl.org/master/man3/X509_LOOKUP_hash_dir). ``openssl rehash`` makes such folders, but isn't everywhere.
"""

from __future__ import annotations

import hashlib
import ssl
from collections import Counter
from typing import TYPE_CHECKING

from multicdn.tls import HASHED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_END = "-----END CERTIFICATE-----"

# Tags of DER, X.690.
_VERSION = 0xA0
_UTF8 = 0x0C
_SEQUENCE = 0x30
_SET = 0x31
# Strings, and what their bytes are. The name's hash is of UTF-8.
_ENCODINGS = {
    _UTF8: "utf-8",
    0x13: "ascii",  # PrintableString
    0x14: "latin-1",  # T61String, as OpenSSL reads it
    0x16: "ascii",  # IA5String
    0x1A: "ascii",  # VisibleString
    0x1C: "utf-32-be",  # UniversalString
    0x1E: "utf-16-be",  # BMPString
}


def add(folder: Path) -> None:
    """Put the authorities of certifi into a folder of their own; nothing where the bundle has no certifi.

    Args:
        folder: the bundle's, unpacked.
    """
    file = folder / "certifi" / "cacert.pem"
    if not file.is_file():
        return
    (folder / HASHED).mkdir()
    seen: Counter[str] = Counter()
    for pem in _certificates(file.read_text(encoding="ascii")):
        name = subject_hash(ssl.PEM_cert_to_DER_cert(pem))
        (folder / HASHED / f"{name}.{seen[name]}").write_text(pem, encoding="ascii")
        seen[name] += 1


def _certificates(text: str) -> Iterator[str]:
    """The certificates in the text of a file, without the comments between."""
    for part in text.split(_END)[:-1]:
        yield f"{part[part.index('-----BEGIN') :]}{_END}\n"


def subject_hash(certificate: bytes) -> str:
    """The name, without its ending, of the file in which OpenSSL looks for a certificate.

    That is the beginning of a SHA-1 of the subject, whose strings are as ``X509_NAME_cmp`` compares them: UTF-8, in
    small letters as far as they are ASCII, with single blanks (docs.openssl.org/master/man3/X509_subject_name_hash).

    Args:
        certificate: DER of it.
    """
    [(_, whole)] = _members(certificate)
    (_, signed), *_ = _members(whole)
    fields = [content for tag, content in _members(signed) if tag != _VERSION]
    subject = fields[4]  # RFC 5280, 4.1: serial number, signature, issuer, validity, subject
    canonical = b"".join(_element(_SET, _attributes(relative)) for _, relative in _members(subject))
    digest = hashlib.sha1(canonical, usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}"


def _attributes(relative: bytes) -> bytes:
    """The parts of one relative name, compared as sets are: DER has them in the order of their bytes."""
    return b"".join(sorted(_element(_SEQUENCE, _canonical(attribute)) for _, attribute in _members(relative)))


def _canonical(attribute: bytes) -> bytes:
    (kind, name), (tag, value) = _members(attribute)
    if tag in _ENCODINGS:
        text = value.decode(_ENCODINGS[tag]).encode()
        tag, value = _UTF8, b" ".join(text.split()).lower()
    return _element(kind, name) + _element(tag, value)


def _members(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Tags and contents of the elements in what an element holds."""
    place = 0
    while place < len(content):
        tag, length = content[place], content[place + 1]
        place += 2
        if length & 0x80:  # so many bytes hold it
            after = place + (length & 0x7F)
            place, length = after, int.from_bytes(content[place:after], "big")
        yield tag, content[place : place + length]
        place += length


def _element(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content

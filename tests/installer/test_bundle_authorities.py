"""The authorities of a bundle, where OpenSSL finds each by its name."""

from __future__ import annotations

import ssl
import zipfile
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.name import _ASN1Type as Asn1  # the only way to say which kind of string
from cryptography.x509.oid import NameOID
from kit.bundles import fastly_bundle

from multicdn.installer.bundle import authorities
from multicdn.tls import HASHED

if TYPE_CHECKING:
    from pathlib import Path

KEY = ec.generate_private_key(ec.SECP256R1())


def issued(subject: x509.Name, issuer: x509.Name, *, is_authority: bool) -> bytes:
    """A certificate, all of one key."""
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("cdn.test")]), critical=False)
    )
    return made.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def called(*parts: tuple[x509.ObjectIdentifier, str, Asn1]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, text, kind) for oid, text, kind in parts])


NAMES = {
    "plain": called((NameOID.COMMON_NAME, "Acme Root", Asn1.UTF8String)),
    "several": called(
        (NameOID.COUNTRY_NAME, "ES", Asn1.PrintableString),
        (NameOID.ORGANIZATION_NAME, "  ACME   \t Autoridad de Certificación ", Asn1.UTF8String),
        (NameOID.COMMON_NAME, "Äcme ROOT ÄÖÜ", Asn1.BMPString),
    ),
    "universal": called((NameOID.COMMON_NAME, "Åcme  Root", Asn1.UniversalString)),
    "western": called((NameOID.COMMON_NAME, "Acme T61 Root", Asn1.T61String)),
    "mail": called((NameOID.EMAIL_ADDRESS, "Root@Acme.test", Asn1.IA5String)),
    "long": called(
        *((NameOID.ORGANIZATIONAL_UNIT_NAME, f"{number} " + "x" * 60, Asn1.UTF8String) for number in range(5))
    ),
    "of a set": x509.Name(
        [
            x509.RelativeDistinguishedName(
                [
                    x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Second in the set"),
                    x509.NameAttribute(NameOID.COMMON_NAME, "First"),
                ]
            )
        ]
    ),
}


def bundle(folder: Path, *pems: bytes) -> Path:
    """A folder with this as certifi, after the authorities were added."""
    (folder / "certifi").mkdir(parents=True)
    text = "".join(f"\n# Issuer: {number}\n{pem.decode()}" for number, pem in enumerate(pems))
    (folder / "certifi/cacert.pem").write_text(text)
    authorities.add(folder)
    return folder / HASHED


def handshake(trusting: Path, subject: x509.Name, tmp_path: Path) -> None:
    """Shake hands in memory with a site whose certificate an authority of that name has signed."""
    site = called((NameOID.COMMON_NAME, "cdn.test", Asn1.UTF8String))
    file = tmp_path / "site.pem"
    key = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(issued(site, subject, is_authority=False) + key)
    there = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    there.load_cert_chain(file)
    to_site, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context(capath=str(trusting)).wrap_bio(to_client, to_site, server_hostname="cdn.test")
    server = there.wrap_bio(to_site, to_client, server_side=True)
    for end in (client, server, client):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue


@pytest.mark.parametrize("name", NAMES)
def test_openssl_finds_an_authority_by_its_name(name: str, tmp_path: Path) -> None:
    folder = bundle(tmp_path / "task", issued(NAMES[name], NAMES[name], is_authority=True))
    handshake(folder, NAMES[name], tmp_path)
    other = called((NameOID.COMMON_NAME, "Nobody", Asn1.UTF8String))
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        handshake(folder, other, tmp_path)


def test_names_that_differ_in_capitals_and_blanks_alone_are_one(tmp_path: Path) -> None:
    loud = called((NameOID.COMMON_NAME, "ACME  root ", Asn1.PrintableString))
    pems = [issued(name, name, is_authority=True) for name in (NAMES["plain"], loud)]
    folder = bundle(tmp_path / "task", *pems)
    assert sorted(file.suffix for file in folder.iterdir()) == [".0", ".1"]
    assert len({file.stem for file in folder.iterdir()}) == 1
    assert {file.read_bytes() for file in folder.iterdir()} == set(pems)
    handshake(folder, loud, tmp_path)


def test_the_last_one_counts_where_its_line_has_no_end(tmp_path: Path) -> None:
    pems = [issued(NAMES[name], NAMES[name], is_authority=True) for name in ("plain", "mail")]
    folder = bundle(tmp_path / "task", pems[0], pems[1].rstrip())
    assert {file.read_bytes() for file in folder.iterdir()} == set(pems)


def test_without_certifi_there_is_no_folder(tmp_path: Path) -> None:
    authorities.add(tmp_path)
    assert [*tmp_path.iterdir()] == []


def test_a_bundle_has_all_authorities_of_certifi(tmp_path: Path) -> None:
    with zipfile.ZipFile(fastly_bundle().path) as archive:
        archive.extractall(tmp_path)
    there = ssl.create_default_context(cafile=certifi.where()).get_ca_certs(binary_form=True)
    files = [*(tmp_path / HASHED).iterdir()]
    assert sorted(ssl.PEM_cert_to_DER_cert(file.read_text()) for file in files) == sorted(there)

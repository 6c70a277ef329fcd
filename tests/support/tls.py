"""Certificates for servers on 127.0.0.1."""

import datetime
import ipaddress
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from headrace_daemon.demo.servers import Tls


def make_tls(directory: Path) -> Tls:
    """A server certificate of a private authority, as a careful administrator makes it."""
    directory.mkdir(parents=True, exist_ok=True)
    tls = Tls(directory / "server.pem", directory / "server.key", directory / "ca.pem")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(str(tls.ca_file))
    certificate.private_key_pem.write_to_path(str(tls.key_file))
    tls.cert_file.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    return tls


def make_device_tls(directory: Path) -> Tls:
    """A self-signed certificate with CA:TRUE that is its own authority, as storage devices make it.

    Some TLS stacks refuse an authority's certificate as a server's, even where exactly this one is trusted.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tls = Tls(directory / "device.pem", directory / "device.key", directory / "device.pem")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "device")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("localhost"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    tls.cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    tls.key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return tls

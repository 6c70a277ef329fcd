"""Which TLS peers a ca_file trusts: those its certificates vouch for, and those that present one of them."""

import re
import ssl
from collections.abc import Sequence

_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def certificates_of(pem: bytes) -> list[str]:
    """The certificates in a PEM file, each as PEM. Raises ValueError where there is none."""
    certificates = _CERTIFICATE.findall(pem.decode("ascii", "replace"))
    if not certificates:
        raise ValueError("ca_pem holds no certificate")
    return certificates


def authority_context(certificates: Sequence[str]) -> ssl.SSLContext:
    """Trusts what these certificates issued, under the usual rules for names and dates. Raises ValueError where one
    of them cannot be read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an intermediate in ca_pem is enough
    try:
        context.load_verify_locations(cadata="\n".join(certificates))
    except ssl.SSLError as error:
        raise ValueError(f"ca_pem holds a certificate that cannot be read: {error.reason}") from error
    return context


def pinning_context(certificates: Sequence[str]) -> ssl.SSLContext:
    """Trusts peers that present one of these certificates, byte for byte, and nobody else: whatever name, issuer or
    dates it carries, the handshake proves that the peer holds its key."""
    context = _PinningContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # OpenSSL's own rules do not apply: _PinningObject decides
    context.pinned = frozenset(ssl.PEM_cert_to_DER_cert(certificate) for certificate in certificates)
    return context


def tls_reason(error: ssl.SSLError) -> str:
    """Why there is no TLS connection, for people."""
    reason = getattr(error, "reason", None)  # OpenSSL's own errors have one
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return "what answers there speaks no TLS: is it http:// in place of https://?"
    if isinstance(error, ssl.SSLCertVerificationError):
        why = getattr(error, "verify_message", "") or "it is none of those in ca_file"
        return f"its certificate is not trusted: {why}"
    return reason or str(error)


class _PinningObject(ssl.SSLObject):
    """One TLS connection that ends in its handshake unless the peer's certificate is pinned."""

    def do_handshake(self) -> None:
        super().do_handshake()
        context = self.context
        if not isinstance(context, _PinningContext) or self.getpeercert(binary_form=True) not in context.pinned:
            raise ssl.SSLCertVerificationError("none of those in ca_file")


class _PinningContext(ssl.SSLContext):
    sslobject_class = _PinningObject
    pinned: frozenset[bytes] = frozenset()

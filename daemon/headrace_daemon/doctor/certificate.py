"""The certificate of an endpoint: until when it holds, and which TLS was agreed on.

Asked for in a handshake of its own, by OpenSSL: the engines do not show what they agreed on. Whether a handshake works
at all is what the check of the endpoint itself says; where this one fails, there is no line about it.
"""

import socket
import ssl
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from headrace_daemon.doctor.check import Check, Status, ok

HANDSHAKE_SECONDS: Final = 5.0
SOON: Final = 14 * 86_400.0
"""Seconds before its end from which a certificate is a warning."""


def certificate(remote: str, url: str, ca_file: Path | None) -> Check | None:
    """None for an endpoint without TLS, and for one whose handshake fails."""
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.hostname is None:
        return None
    try:
        context = ssl.create_default_context(cafile=ca_file.expanduser() if ca_file is not None else None)
        with (
            socket.create_connection((parts.hostname, parts.port or 443), HANDSHAKE_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname) as secure,
        ):
            found, agreed = secure.getpeercert(), secure.version()
    except (OSError, ValueError):
        return None
    if not found:
        return None
    return judged(f"certificate {url} of {remote}", str(agreed), ssl.cert_time_to_seconds(str(found["notAfter"])))


def judged(name: str, agreed: str, ends: float, now: float | None = None) -> Check:
    """agreed: the version of TLS. ends, now: seconds since the epoch; now is this moment by default."""
    moment = time.time() if now is None else now
    day = time.strftime("%Y-%m-%d", time.gmtime(ends))
    if ends - moment < SOON:
        remedy = "Have it renewed; where ca_file pins it, put the new one there."
        return Check(name, Status.WARN, f"{agreed}, it ends on {day}", remedy)
    return ok(name, f"{agreed}, it holds until {day}")

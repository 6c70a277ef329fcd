"""Trees of files, buckets, and whether they hold the same: read by other means than Headrace's own."""

import hashlib
import os
import random
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from headrace_daemon.demo.servers import S3Server

Tree = dict[str, bytes]
"""Key -> content."""

_BLOCK = 1 << 20


def make_tree(seed: int, objects: int, sizes: tuple[int, int] = (1, 3000), folders: int = 7) -> Tree:
    """Small objects in a few folders, sizes in bytes from first to last; the same for the same seed."""
    source = random.Random(seed)
    keys = [f"d{source.randrange(folders)}/e{source.randrange(3)}/f{number:05}" for number in range(objects)]
    return {key: source.randbytes(source.randint(*sizes)) for key in keys}


def write_tree(root: Path, tree: Mapping[str, bytes]) -> Path:
    for key, content in tree.items():
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def read_tree(root: Path) -> Tree:
    """Every file below root, temporary ones too."""
    files = (Path(folder) / name for folder, _, names in os.walk(root) for name in names)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def keys_of(server: S3Server, bucket: str, prefix: str = "") -> Iterator[str]:
    with closing(server.client()) as client:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            yield from (found["Key"] for found in page.get("Contents", ()))


def fill_bucket(server: S3Server, bucket: str, tree: Mapping[str, bytes], prefix: str = "") -> None:
    """No empty objects: this client takes a minute for each, waiting for a 100 Continue that no server sends it."""
    with closing(server.client()) as client:
        for key, content in tree.items():
            client.put_object(Bucket=bucket, Key=prefix + key, Body=content)


def read_bucket(server: S3Server, bucket: str, prefix: str = "") -> Tree:
    """Every object below prefix."""
    with closing(server.client()) as client:
        return {
            key.removeprefix(prefix): client.get_object(Bucket=bucket, Key=key)["Body"].read()
            for key in keys_of(server, bucket, prefix)
        }


def open_uploads(server: S3Server, bucket: str) -> list[dict[str, Any]]:
    """Multipart uploads that nobody completed or gave up."""
    with closing(server.client()) as client:
        uploads: list[dict[str, Any]] = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        return uploads


def temporary_files(root: Path) -> list[str]:
    """What Headrace writes before it gives a file its name."""
    return [name for _, _, names in os.walk(root) for name in names if name.startswith(".headrace-")]


def write_large(path: Path, mebibytes: int, seed: int) -> str:
    """A file no two MiB of which are the same; its SHA-256."""
    block = bytearray(random.Random(seed).randbytes(_BLOCK))
    digest = hashlib.sha256()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for number in range(mebibytes):
            block[:8] = number.to_bytes(8, "big")
            file.write(block)
            digest.update(block)
    return digest.hexdigest()


def sha256_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_object(server: S3Server, bucket: str, key: str) -> str:
    with closing(server.client()) as client:
        body = client.get_object(Bucket=bucket, Key=key)["Body"]
        digest = hashlib.sha256()
        for chunk in body.iter_chunks(_BLOCK):
            digest.update(chunk)
        return digest.hexdigest()

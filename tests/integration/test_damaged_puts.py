"""A small object that arrived damaged, which the answer to its PUT shows, does not stay: a scripted bucket, and a whole
worker in this process."""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from headrace_daemon.demo.servers import Keys
from headrace_daemon.service import drain
from headrace_queue.config import load_config
from headrace_queue.report_file import ReportEntry
from tests.support.loaded import LoadedCommand
from tests.support.remotes import crc_text
from tests.support.scripted import Asked, Scripted, answer, error, scripted
from tests.support.site import RemoteTable, Site, site_of
from tests.support.trees import write_tree

CONTENT = b"as it was read"
ELSE = b"of somebody else"
ATTEMPTS = 2
LOOKS = ("HEAD", "POST", "DELETE")
"""What a removal takes."""


def listed(key: str, body: bytes, etag: str) -> str:
    return (
        f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>&quot;{etag}&quot;</ETag><Size>{len(body)}</Size></Contents>"
    )


@dataclass
class Bucket:
    """The buckets `from` and `to`, by path. damaged: of so many PUTs one bit is stored wrong. looked: called before a
    HEAD of an object. by_crc: its ETags prove nothing, its CRC64NVME does. kms: encrypts by itself, with such ETags."""

    objects: dict[str, bytes] = field(default_factory=dict)
    damaged: int = 0
    by_crc: bool = False
    kms: bool = False
    denies: bool = False  # every deletion
    looked: Callable[[], None] = lambda: None

    def script(self, asked: Asked) -> bytes:
        path = urlsplit(asked.path).path
        if path.count("/") == 1 or path.endswith("/"):
            return self._of_bucket(asked, path.rstrip("/"))
        if asked.method == "PUT":
            return self._put(path, asked)
        if asked.method == "HEAD":
            self.looked()
        body = self.objects.get(path)
        if body is None:
            return error(404, "NoSuchKey") if asked.method == "GET" else answer(404)
        if asked.method == "HEAD":
            return answer(200, announced=str(len(body)), ETag=f'"{self.etag(body)}"')
        if self.kms:
            return answer(200, body, ETag=f'"{self.etag(body)}"', x_amz_server_side_encryption="aws:kms")
        return answer(200, body, ETag=f'"{self.etag(body)}"')

    def etag(self, body: bytes) -> str:
        return hashlib.md5(body + b"encrypted" * self.kms).hexdigest() + ("-1" if self.by_crc else "")

    def _put(self, path: str, asked: Asked) -> bytes:
        if asked.headers.get("if-none-match") == "*" and path in self.objects:
            return error(412, "PreconditionFailed")
        body = asked.body
        if self.damaged:
            self.damaged -= 1
            body = bytes([body[0] ^ 1]) + body[1:]
        self.objects[path] = body
        tag = f'"{self.etag(body)}"'
        if self.kms:
            return answer(200, ETag=tag, x_amz_server_side_encryption="aws:kms")
        return answer(200, ETag=tag, x_amz_checksum_crc64nvme=crc_text(body)) if self.by_crc else answer(200, ETag=tag)

    def _of_bucket(self, asked: Asked, path: str) -> bytes:
        if asked.method == "POST":
            if self.denies:
                return error(403, "AccessDenied")
            key = asked.body.decode().partition("<Key>")[2].partition("</Key>")[0]
            del self.objects[f"{path}/{key}"]
            return answer(200, f"<DeleteResult><Deleted><Key>{key}</Key></Deleted></DeleteResult>".encode())
        inside = {one.removeprefix(f"{path}/"): body for one, body in self.objects.items() if one.startswith(path)}
        rows = "".join(listed(key, body, self.etag(body)) for key, body in sorted(inside.items()))
        page = f"<ListBucketResult>{rows}<IsTruncated>false</IsTruncated></ListBucketResult>"
        return answer(200, page.encode() if asked.method == "GET" else b"")


@dataclass
class Moves:
    """One object `a` from a folder, or from the bucket `from`, to the bucket `to`."""

    site: Site
    server: Scripted
    bucket: Bucket
    source: object

    def there(self) -> bytes | None:
        """The object at the destination."""
        return self.bucket.objects.get("/to/a")

    async def sync(self, *options: str, code: int = 0) -> ReportEntry:
        """How the object ended."""
        job = self.site.enqueue(self.source, "lake://to/", *options)
        assert await drain(load_config(self.site.config)) == code
        return self.site.report(job)["a"]


@asynccontextmanager
async def moves_of(direction: str, bucket: Bucket, directory: Path, loaded: LoadedCommand) -> AsyncIterator[Moves]:
    async with scripted(bucket.script) as server:
        source: object = write_tree(directory / "files", {"a": CONTENT})
        if direction == "relay":
            source, bucket.objects["/from/a"] = "pond://from/", CONTENT
        remote = RemoteTable([server.url], Keys("AKIDEXAMPLE", "secret"), "us-east-1", ['profile = "s3"'])
        remotes = {"pond": remote, "lake": remote}  # by two names, so that it is not asked to copy by itself
        with site_of(directory, remotes, [f"attempts = {ATTEMPTS}"], loaded=loaded) as site:
            yield Moves(site, server, bucket, source)


@pytest.mark.parametrize("by_crc", [False, True])
@pytest.mark.parametrize("direction", ["upload", "relay"])
async def test_what_arrived_damaged_is_removed_and_sent_by_the_next_sync(
    direction: str, by_crc: bool, tmp_path: Path, loaded: LoadedCommand
) -> None:
    bucket = Bucket(damaged=ATTEMPTS, by_crc=by_crc)
    async with moves_of(direction, bucket, tmp_path, loaded) as moves:
        entry = await moves.sync(code=1)
        assert (entry.outcome, entry.error, entry.attempts) == ("failed", "integrity", ATTEMPTS)
        assert moves.there() is None
        assert entry.message.endswith("; what was written was removed")
        moves.server.asked.clear()
        assert (await moves.sync()).outcome == "transferred"
        assert moves.there() == CONTENT
        assert not any(moves.server.count(method) for method in LOOKS), "a good PUT costs nothing more"


async def test_a_try_after_damage_finds_nothing_in_its_way(tmp_path: Path, loaded: LoadedCommand) -> None:
    """--no-clobber would take the damaged object for one that was there before."""
    async with moves_of("upload", Bucket(damaged=1), tmp_path, loaded) as moves:
        entry = await moves.sync("--no-clobber")
        assert (entry.outcome, entry.attempts, moves.there()) == ("transferred", 2, CONTENT)


@pytest.mark.parametrize("direction", ["upload", "relay"])
async def test_what_somebody_else_wrote_since_stays(direction: str, tmp_path: Path, loaded: LoadedCommand) -> None:
    bucket = Bucket(damaged=ATTEMPTS)
    async with moves_of(direction, bucket, tmp_path, loaded) as moves:
        bucket.looked = lambda: bucket.objects.update({"/to/a": ELSE})
        entry = await moves.sync(code=1)
        assert entry.error == "integrity"
        assert entry.message.endswith("; another object is there by now, and was left alone")
        assert moves.there() == ELSE
        assert moves.server.count("POST") == moves.server.count("DELETE") == 0


async def test_what_somebody_else_removed_since_is_gone(tmp_path: Path, loaded: LoadedCommand) -> None:
    bucket = Bucket(damaged=ATTEMPTS)
    async with moves_of("upload", bucket, tmp_path, loaded) as moves:
        bucket.looked = lambda: bucket.objects.clear()
        entry = await moves.sync(code=1)
        assert entry.error == "integrity"
        assert entry.message.endswith("; nothing is there any more")


async def test_a_removal_that_is_refused_leaves_the_failure_what_it_is(tmp_path: Path, loaded: LoadedCommand) -> None:
    async with moves_of("upload", Bucket(damaged=ATTEMPTS, denies=True), tmp_path, loaded) as moves:
        entry = await moves.sync(code=1)
        assert (entry.outcome, entry.error) == ("failed", "integrity")
        assert "; the damaged object is still there (AccessDenied: " in entry.message
        assert moves.there() is not None


@pytest.mark.parametrize("direction", ["upload", "relay"])
async def test_an_etag_of_an_encrypted_object_shows_no_damage(
    direction: str, tmp_path: Path, loaded: LoadedCommand
) -> None:
    """Where the bucket encrypts by itself, nothing but the answer says that its ETag is no MD5."""
    async with moves_of(direction, Bucket(), tmp_path, loaded) as moves:
        moves.bucket.kms = True
        entry = await moves.sync()
        assert (entry.outcome, entry.proof, moves.there()) == ("transferred", "size", CONTENT)

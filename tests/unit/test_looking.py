"""Which side is read where listings do not tell, on a real tree and a service that tells what it is given to tell."""

import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar, cast

import pytest

from headrace_daemon.files.lustre import HsmFlag, HsmState, Lustre
from headrace_daemon.files.released import Released, Restoring
from headrace_daemon.files.root import Root
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.looking import Looking, side_of
from headrace_daemon.planner.compare import FILES, MISSING, NEWER, NOT_NEWER, SIZE_DIFFERS, Route, Verdict
from headrace_daemon.planner.entries import Entry
from headrace_daemon.s3.digests import digest_of
from headrace_daemon.s3.engine import Buffer
from headrace_daemon.s3.errors import NotFound
from headrace_daemon.s3.profiles import PROFILES
from headrace_daemon.s3.remote import Remote
from headrace_daemon.s3.types import ObjectInfo
from headrace_daemon.transfer.ends import BucketEnd, FilesEnd, NoFolder
from headrace_queue.jobs import Compare

T = TypeVar("T")
CONTENT = b"0123456789" * 100


def sums(*kinds: str) -> dict[str, str]:
    """What a service stores of CONTENT."""
    found = {}
    for kind in kinds:
        digest = digest_of(kind)
        digest.update(CONTENT)
        found[kind] = digest.text()
    return found


@dataclass
class Service:
    """Holds one object, tells of it what it was told to tell, and remembers whether it was read."""

    info: ObjectInfo
    body: bytes = CONTENT
    read: bool = False
    name: str = "lake"
    profile: object = field(default_factory=lambda: PROFILES["aws"])

    async def head(self, bucket: str, key: str, *, version: str = "") -> ObjectInfo:
        if key != "p/k":
            raise NotFound("NoSuchKey", key, 404)
        return self.info

    async def get_range(
        self,
        bucket: str,
        key: str,
        start: int,
        end: int,
        *,
        if_match: str,
        total: int,
        consume: Callable[[AsyncIterator[Buffer], str], Awaitable[T]],
        version: str = "",
    ) -> T:
        assert (if_match, start, end, total) == (self.info.etag, 0, len(self.body), len(self.body))
        self.read = True

        async def chunks() -> AsyncIterator[Buffer]:
            for first in range(0, len(self.body), 300):
                yield self.body[first : first + 300]

        return await consume(chunks(), "https://lake")

    def end(self) -> BucketEnd:
        return BucketEnd(cast("Remote", self), "b", "p/")


@pytest.fixture
def threads() -> Iterator[FileThreads]:
    threads = FileThreads(2)
    yield threads
    threads.close()


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[FilesEnd]:
    (tmp_path / "k").write_bytes(CONTENT)
    root = Root.source(str(tmp_path))
    yield FilesEnd(root, "")
    root.close()


def stored(etag: str = "e-2", **known: str) -> ObjectInfo:
    return ObjectInfo(len(CONTENT), etag, 5 * 10**9, known)


HERE = Entry("k", len(CONTENT), 7 * 10**9)
ROUTE = Route(FILES, FILES)
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
OTHER = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    ("info", "proof", "read"),
    [
        (stored(**sums("crc64nvme", "sha256")), "crc64nvme", False),
        (stored(**sums("sha256")), "sha256", False),
        (stored(**sums("sha1", "crc32")), "sha1", False),
        (stored(**sums("crc32c")), "crc32c", False),
        (stored(MD5), "md5", False),
        (stored(), "crc64nvme", True),
        (ObjectInfo(len(CONTENT), MD5, 0, opaque_etag=True), "crc64nvme", True),
    ],
)
async def test_a_file_is_summed_up_as_the_service_did(
    info: ObjectInfo, proof: str, read: bool, tree: FilesEnd, threads: FileThreads
) -> None:
    service = Service(info)
    looking = Looking(tree, service.end(), ROUTE, Compare.CHECKSUM, threads)
    decision = await looking.look(HERE, HERE)
    told = "source and destination read" if read else "source read"
    assert (decision.verdict, decision.proof, decision.read, service.read) == (Verdict.SKIP, proof, told, read)


@pytest.mark.parametrize(
    ("ours", "theirs", "reason", "read"),
    [
        (stored(sha256=OTHER), stored(**sums("sha256", "crc64nvme")), "checksum: sha256", (False, False)),
        (stored("f" * 32), stored(MD5), "checksum: md5", (False, False)),
        (stored(sha256=OTHER), stored(), "checksum: sha256; destination read", (False, True)),
        (stored(), stored(sha256=OTHER), "checksum: sha256; source read", (True, False)),
    ],
)
async def test_two_objects_that_differ(
    ours: ObjectInfo, theirs: ObjectInfo, reason: str, read: tuple[bool, bool], threads: FileThreads
) -> None:
    source, destination = Service(ours), Service(theirs)
    looking = Looking(source.end(), destination.end(), ROUTE, Compare.CHECKSUM, threads)
    decision = await looking.look(HERE, HERE)
    assert (decision.verdict, decision.reason) == (Verdict.TRANSFER, reason)
    assert (source.read, destination.read) == read


async def test_what_was_written_since_the_listing_is_sent(threads: FileThreads) -> None:
    source, destination = Service(stored(MD5)), Service(ObjectInfo(3, MD5, 0))
    looking = Looking(source.end(), destination.end(), ROUTE, Compare.CHECKSUM, threads)
    assert await looking.look(HERE, HERE) == SIZE_DIFFERS
    with pytest.raises(NotFound):
        await looking.look(HERE._replace(key="away"), HERE)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [({"file-mtime": "7000000000ns"}, NOT_NEWER), ({"mtime": "6.999999999"}, NEWER), ({}, NEWER)],
)
async def test_the_time_in_the_metadata_is_asked_for(
    metadata: dict[str, str], expected: object, tree: FilesEnd, threads: FileThreads
) -> None:
    service = Service(ObjectInfo(len(CONTENT), MD5, 0, metadata=metadata))
    looking = Looking(tree, service.end(), Route(side_of(tree), side_of(service.end())), Compare.MTIME, threads)
    assert await looking.look(HERE, HERE._replace(mtime_ns=5 * 10**9)) == expected


class Told:
    """A Lustre that tells one state of every file, and is asked for nothing else."""

    def __init__(self, flags: HsmFlag) -> None:
        self.flags = flags
        self.asked: list[str] = []

    def states(self, paths: Sequence[str]) -> list[HsmState | None]:
        self.asked += paths
        return [HsmState(self.flags)] * len(paths)


@pytest.mark.parametrize(
    ("hollow", "flags", "wanted", "compare", "read", "asked"),
    [
        (True, HsmFlag.RELEASED, False, Compare.CHECKSUM, False, 1),
        (True, HsmFlag.EXISTS, False, Compare.CHECKSUM, True, 1),  # it is sparse
        (True, HsmFlag.RELEASED, True, Compare.CHECKSUM, True, 0),  # --restore
        (False, HsmFlag.RELEASED, False, Compare.CHECKSUM, True, 0),  # no file without data is asked about
        (True, HsmFlag.RELEASED, False, Compare.MTIME, True, 0),  # nothing is read
    ],
)
@pytest.mark.parametrize("source", [True, False])
async def test_a_released_file_is_not_read_to_compare_it(
    hollow: bool,
    flags: HsmFlag,
    wanted: bool,
    compare: Compare,
    read: bool,
    asked: int,
    source: bool,
    tree: FilesEnd,
    threads: FileThreads,
) -> None:
    told = Told(flags)
    lustre = cast("Lustre", told)
    end = replace(tree, lustre=lustre, restoring=Restoring(lustre, wanted=wanted))
    bucket = Service(stored(MD5)).end()
    entry, other = (HERE._replace(hollow=hollow), HERE) if source else (HERE, HERE._replace(hollow=hollow))
    looking = Looking(end if source else bucket, bucket if source else end, ROUTE, compare, threads)
    if read:
        assert (await looking.look(entry, other)).verdict is not Verdict.TRANSFER
    else:
        with pytest.raises(Released):
            await looking.look(entry, other)
    assert len(told.asked) == asked


async def test_a_folder_that_is_not_there_holds_nothing(tree: FilesEnd, threads: FileThreads) -> None:
    looking = Looking(tree, NoFolder("/nowhere"), ROUTE, Compare.CHECKSUM, threads)
    assert await looking.look(HERE, HERE) == MISSING

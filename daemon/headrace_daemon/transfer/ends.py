"""The two ends of a job, as the movers see them, and what all movers of a job share."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from headrace_daemon.apart.tree import Tree
from headrace_daemon.facts import Facts
from headrace_daemon.files.encoding import encode_folder, encode_path, is_folder_marker
from headrace_daemon.files.landing import Landing
from headrace_daemon.files.lustre import Lustre
from headrace_daemon.files.released import Restoring
from headrace_daemon.files.root import Root
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.flow.bandwidth import Bandwidth, take_all
from headrace_daemon.flow.memory import MemoryShare
from headrace_daemon.flow.pulse import Pulse
from headrace_daemon.flow.slots import Slots
from headrace_daemon.flow.turns import Turns
from headrace_daemon.flow.width import PartTurns
from headrace_daemon.s3.errors import NotFound
from headrace_daemon.s3.remote import Remote
from headrace_daemon.standing import Standing
from headrace_queue.config import TransferConfig
from headrace_queue.jobs import Item, Job
from headrace_queue.writer import Queue

NO_ID: Final = "null"
"""The version id of what was written while a bucket kept no versions (user guide, "How S3 Versioning works")."""


@dataclass(frozen=True, slots=True)
class BucketEnd:
    """A bucket and the prefix below which the job works; the whole key where the job copies one object.

    version: the version of that one object that is read, '' for the current one. as_of_ns: of a source, the instant
    (nanoseconds) at which it is listed, from the versions that the bucket keeps; None for what it holds now.
    """

    remote: Remote
    bucket: str
    prefix: str
    version: str = ""
    as_of_ns: int | None = None

    def key(self, relative: str) -> str:
        return self.prefix + relative

    def version_of(self, item: Item) -> str:
        """The version of this object that is read, '' for the current one."""
        return item.version or self.version

    def is_then(self, item: Item, etag: str) -> bool:
        """Of an object of the past: whether what has this ETag is what was chosen. A version with an id of its own
        never changes; `null`, which is all that a bucket without versions has, is whatever was written last."""
        return item.version != NO_ID or not item.etag or etag == item.etag

    def check_then(self, item: Item, etag: str) -> None:
        """Raises NotFound where it was overwritten since, see is_then."""
        if not self.is_then(item, etag):
            raise NotFound(
                "overwritten", "it was overwritten since it was listed, and the bucket kept no version of it"
            )


READERS = 8
"""Groups of small files read at once where reading waits for disks."""


@dataclass(frozen=True, slots=True)
class FilesEnd:
    """A root directory; prefix is '' for a tree, the file's name where the job copies one file.

    lustre, restoring: both or neither. stripe: bytes, of new files in the root; 0 where nobody tells.
    """

    root: Root
    prefix: str
    landing: Landing | None = None  # of a destination
    encoded: bool = False  # --encode-names: paths are what files/encoding makes of keys
    reading: Turns = field(default_factory=lambda: Turns(1, READERS))  # groups of small files read at once
    writers: int = 1  # groups of small files written at once
    lustre: Lustre | None = None
    restoring: Restoring | None = None
    stripe: int = 0
    tree: Tree | None = None  # the root as the process for small files knows it

    def key(self, relative: str) -> str:
        """The path of the file that holds this object."""
        return encode_path(relative) if self.encoded else self.prefix + relative

    def folder_key(self, relative: str) -> str:
        """The path of the folder that this marker stands for."""
        return encode_folder(relative) if self.encoded else self.prefix + relative

    def is_folder(self, relative: str, size: int) -> bool:
        """Whether an object of this key and size stands for a folder here, and not for a file."""
        return is_folder_marker(relative, size) if self.encoded else size == 0 and relative.endswith("/")


End = BucketEnd | FilesEnd


@dataclass(frozen=True, slots=True)
class NoFolder:
    """Where a job would write, and no folder stands yet: nothing is found there, and a dry run makes none."""

    path: str


@dataclass(frozen=True, slots=True)
class Work:
    """What everything that moves for one job shares."""

    job: Job
    config: TransferConfig
    queue: Queue
    threads: FileThreads
    memory: MemoryShare
    slots: Slots  # objects of this job under way at once
    parts: PartTurns  # parts of its large objects
    bandwidth: Sequence[Bandwidth]
    facts: Facts
    scratch: Path  # for temporary files, on a local disk
    standing: Standing  # whose rights the steps in `threads` have
    pulse: Pulse = field(default_factory=Pulse)
    only_tasks: bool = False  # what FSx does not move is not streamed in its place

    async def pace(self, size: int) -> None:
        """Waits until bytes may travel; with nothing in hand that other jobs need: no slot, no memory."""
        if self.bandwidth:
            await take_all(self.bandwidth, size, self.job.id)

    def charge(self, size: int) -> None:
        """Bytes that travel although nobody waited for them, such as those that are sent again."""
        for limit in self.bandwidth:
            limit.charge(size)

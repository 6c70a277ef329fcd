"""Jobs, batches and what hangs on them: plain frozen data, as it stands in the queue.

Sizes are bytes, times of files and objects are integer nanoseconds since the epoch, times of the queue are float
seconds since the epoch.
"""

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from headrace_queue.states import BatchState, JobState


class Kind(StrEnum):
    """What a job does with its source."""

    SYNC = "sync"  # everything below the source, compared with what the destination has
    COPY = "copy"  # exactly one object or file
    ARCHIVE = "archive"  # everything below a folder, as one tar object


class Compare(StrEnum):
    """When an object that exists on both sides is sent again."""

    SIZE = "size"  # sizes differ: the safe mode
    MTIME = "mtime"  # sizes differ, or the source is newer
    CHECKSUM = "checksum"  # sizes differ, or checksums do
    ALWAYS = "always"  # without looking


class Via(StrEnum):
    """How bytes travel."""

    AUTO = "auto"  # within one service the server copies where it can; a linked file system as config.toml says
    SERVER = "server"  # from bucket to bucket: the server copies
    DRA = "dra"  # between FSx for Lustre and the bucket that is linked to it: data repository tasks
    STREAM = "stream"  # through this host


class Links(StrEnum):
    """What becomes of symbolic links in a tree of files."""

    FOLLOW = "follow"  # one that leads to a file inside the source counts as that file; others are passed over
    SKIP = "skip"  # all are passed over
    STORE = "store"  # each is an object that holds the target's path, as FSx stores it, and becomes a link again


class Archived(StrEnum):
    """What becomes of source objects that are in an archive class of S3 and cannot be read as they are."""

    FAIL = "fail"  # each is a failure, which names the class and the remedy
    SKIP = "skip"  # each is passed over, and counted
    RESTORE = "restore"  # S3 is asked to restore each; the job waits for it without holding anything


class Phase(StrEnum):
    """What the planner of a job is at. Deletions are planned by a second listing, after the last transfer."""

    COPY = "copy"
    DELETE = "delete"
    DONE = "done"


class Rule(NamedTuple):
    """One --include or --exclude, in the order in which they were given."""

    include: bool
    pattern: str


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may say of a job beside source and destination."""

    rules: tuple[Rule, ...] = ()
    select: tuple[str, ...] = ()  # only what is called so, see `selected_names`; of that, what the rules take
    min_size: int | None = None  # bytes of a source object; these four are inclusive, see `selection.Bounds`
    max_size: int | None = None
    oldest_ns: int | None = None  # --max-age and --min-age, as the instants they meant at submission
    newest_ns: int | None = None
    files_from: str | None = None  # the SHA-256 of a kept list of names, or the location of one, see `name_list`
    files_from_nul: bool = False  # a list at a location is separated by NUL
    changed: bool = False  # the list names what changed at the source: it is sent unseen; what is gone is no failure
    compare: Compare = Compare.SIZE
    no_clobber: bool = False
    existing: bool = False  # what the destination lacks is not sent
    delete: bool = False
    max_delete: int | None = 1000  # objects; None lifts the limit
    max_delete_percent: int | None = None  # of what the destination has of this job; None lifts the limit
    allow_empty_source: bool = False
    trash: str | None = None  # the location to which deletions move objects instead
    dry_run: bool = False
    via: Via = Via.AUTO
    bandwidth: int | None = None  # bytes a second
    storage_class: str | None = None
    sse: str | None = None  # AES256, aws:kms or aws:kms:KEY
    acl: str | None = None  # a canned one
    sse_c_key_file: str | None = None  # absolute; the key itself is nowhere in the queue
    source_sse_c_key_file: str | None = None
    version_id: str | None = None  # of the source of a copy; None: the current one
    preserve: bool = False  # POSIX metadata in the keys that FSx uses
    restore: bool = False  # files whose data Lustre has released are brought back, and are read if they are a source
    release: bool = False  # what a data repository task exported leaves the file system; its names stay
    links: Links = Links.FOLLOW
    encode_names: bool = False  # in a tree: what it cannot hold is written reversibly, see files/encoding
    empty_dirs: bool = False  # empty folders of a tree go up as folder markers
    dirs: bool = False  # so does every folder of a tree
    headers: tuple[tuple[str, str], ...] = ()  # system headers of what is written, names in lower case
    metadata: tuple[tuple[str, str], ...] = ()  # user metadata of what is written, without x-amz-meta-
    tags: tuple[tuple[str, str], ...] = ()  # of what is written
    requester_pays: bool = False  # this account agrees to pay for requests to buckets of others
    as_of_ns: int | None = None  # the source as it was at this instant, from the versions that the bucket keeps
    inventory: str | None = None  # the location or absolute path of a manifest.json in place of a listing
    archived: Archived = Archived.FAIL
    restore_tier: str = "Bulk"
    restore_days: int = 7
    group: str | None = None  # of new files and folders
    umask: int | None = None  # of new files and folders, in place of the daemon's
    max_errors: int | None = None  # failed objects that a job bears before it fails as a whole; None: any number
    deadline: float | None = None  # seconds since the epoch at which the job fails if it is not over
    notify: tuple[str, ...] = ()  # names of [notices.NAME] beside those that want every job


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose job it is, where the HTTP API enqueued it. What the job may touch is what they may.

    root: the folder beneath which the job's path is resolved, so that no link leads out of it; '' where no side is a
    path. uid, gid, groups: of the account with whose rights files are read and written; None: with the daemon's.
    """

    user: str
    root: str = ""
    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job as it is enqueued. source and destination are location texts, paths absolute."""

    kind: Kind
    source: str
    destination: str
    options: Options = Options()
    priority: int = 0  # higher goes first
    submission_id: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    owner: Owner | None = None  # of a job that came through the HTTP API
    after: tuple[int, ...] = ()  # jobs that have to be done before this one starts


@dataclass(frozen=True, slots=True)
class Counters:
    """What is known of a job's progress; all only grow, except by retry. Also used as a difference to add."""

    listed: int = 0  # objects seen at the source
    excluded: int = 0
    unchanged: int = 0  # compared and left as they are
    unchanged_bytes: int = 0
    planned: int = 0  # objects to transfer
    planned_bytes: int = 0
    done: int = 0
    done_bytes: int = 0
    deleted: int = 0
    vanished: int = 0  # gone from the source between listing and transfer: no failure
    failed: int = 0
    retries: int = 0  # requests sent again
    extra: int = 0  # objects that only the destination has
    archived: int = 0  # source objects in an archive class that were passed over


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the queue."""

    id: int
    spec: JobSpec
    state: JobState
    phase: Phase
    counters: Counters
    created: float
    started: float | None
    finished: float | None
    error: str | None  # why it failed as a whole
    waiting: str | None  # what it waits for, for a person to read: a dead remote, a full disk
    note: str | None = None  # what a person should know of how it went: why it was streamed and not moved by FSx


class Action(StrEnum):
    """What is to be done with one object of a batch."""

    COPY = "copy"
    DELETE = "delete"
    RESTORE = "restore"  # it is at its destination, where Lustre has released its data: bring that back


class Item(NamedTuple):
    """One object of a batch. key is relative to the roots of both ends; '' where the root is the object itself.
    version: the version id that is read at the source, '' for the current one."""

    key: str
    size: int
    mtime_ns: int
    etag: str = ""
    action: Action = Action.COPY
    version: str = ""

    def row(self) -> list[str | int]:
        """As it is stored: without a version where none is named, which is what queues of before hold."""
        return list(self) if self.version else list(self[:_WITHOUT_VERSION])

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> "Item":
        """The reverse of row(). Raises TypeError and ValueError for what is none."""
        key, size, mtime_ns, etag, action, *version = row
        return cls(key, size, mtime_ns, etag, Action(action), *version)


_WITHOUT_VERSION: Final = 5
_ACTIONS: Final = {action.value: action for action in Action}


def encode_items(items: Sequence[Item]) -> bytes:
    """The payload of a batch: compressed JSON, about 25 bytes an object."""
    rows = [item if item.version else item[:_WITHOUT_VERSION] for item in items]  # as row(), without a call for each
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    # a file name that is not UTF-8 reaches Python with lone surrogates; json.loads takes them from bytes as they are
    return zlib.compress(text.encode("utf-8", "surrogatepass"), 1)


def decode_items(payload: bytes) -> list[Item]:
    """The objects of a payload, in their order."""
    rows = json.loads(zlib.decompress(payload))
    # nearly all have no version: made without a call for each
    return [
        Item(row[0], row[1], row[2], row[3], _ACTIONS[row[4]]) if len(row) == _WITHOUT_VERSION else Item.of_row(row)
        for row in rows
    ]


class Bitmap:
    """Which objects of a batch are finished, one bit each, least significant bit first."""

    __slots__ = ("bits",)

    def __init__(self, bits: int = 0) -> None:
        self.bits = bits

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Bitmap":
        return cls(int.from_bytes(raw, "little"))

    def to_bytes(self) -> bytes:
        return self.bits.to_bytes((self.bits.bit_length() + 7) // 8, "little")

    def add(self, indexes: Iterable[int]) -> None:
        for index in indexes:
            self.bits |= 1 << index

    def __contains__(self, index: int) -> bool:
        return bool(self.bits >> index & 1)

    def __len__(self) -> int:
        return self.bits.bit_count()


class Lease(NamedTuple):
    """The fencing token of a batch: a completion counts only with all three right."""

    batch_id: int
    worker_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Batch:
    """A leased batch, as a worker gets it."""

    lease: Lease
    job: Job
    state: BatchState
    items: list[Item]
    finished: Bitmap = field(default_factory=Bitmap)

    def open_items(self) -> list[tuple[int, Item]]:
        """What is still to be done, with each object's index in the batch."""
        return [(index, item) for index, item in enumerate(self.items) if index not in self.finished]


@dataclass(frozen=True, slots=True)
class PlanLease:
    """The right of one worker to plan one job. cursor: the last key whose plan is committed, '' at the start.

    sort_source, sort_destination: that side's listing was found not to come in key order, so it has to be sorted here.
    """

    job: Job
    worker_id: str
    attempt: int
    phase: Phase
    cursor: str
    sort_source: bool = False
    sort_destination: bool = False


@dataclass(frozen=True, slots=True)
class PlanStep:
    """What a planner commits in one transaction: batches, how far it came, and what it saw on the way."""

    batches: tuple[tuple[Item, ...], ...]
    cursor: str
    counters: Counters
    failures: tuple["Failure", ...] = ()
    finished: bool = False  # the listing of this phase reached its end without an error
    note: str = ""  # for the job, see `Job.note`; '' leaves it as it is


class Failure(NamedTuple):
    """One object that could not be moved, and why. attempts: how often it was tried; 0 for what a listing found, which
    a retry leaves as it is, for it lists nothing."""

    item: Item
    error: str  # a short, stable word: access_denied, source_unstable, integrity, …
    message: str
    attempts: int = 1


class Buried(NamedTuple):
    """A batch that ended dead, and what failed with it: the objects that were still open."""

    job_id: int
    failures: tuple[Failure, ...]


class Returned(NamedTuple):
    """How many leases came back to the queue, and the batches among them that are dead now."""

    leases: int
    buried: tuple[Buried, ...] = ()


class PartRecord(NamedTuple):
    """One part that is safe at the destination. number counts from 1."""

    number: int
    size: int
    etag: str
    crc64nvme: str  # base64 of 8 bytes big-endian, as S3 writes it


@dataclass(frozen=True, slots=True)
class Multipart:
    """A large object under way, committed before its first part is sent; what a restart needs to go on.

    token is the upload id at the destination, or the temporary file's name for a download. fingerprint names the exact
    source (ETag, or device, inode, size and times): when it differs, everything starts over.
    """

    job_id: int
    key: str
    token: str
    size: int
    part_size: int
    fingerprint: str
    write_token: str  # stored with the object, proves that a lost Complete was ours
    parts: tuple[PartRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Worker:
    """One running daemon. host, pid and started (clock ticks since boot) tell whether the process still lives."""

    id: str
    host: str
    pid: int
    started: int
    heartbeat: float = 0.0


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """How much is waiting, for metrics and health."""

    jobs: dict[JobState, int]
    batches: dict[BatchState, int]
    oldest_ready: float | None  # seconds since the epoch: when the oldest batch that could run became ready
    held: int = 0  # queued jobs that start after others, which are not done

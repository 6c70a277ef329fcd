"""What /v1 takes and gives, as models: they are checked on the way in, and stand in the OpenAPI document for both ways.

Names are those of `headrace … --json` (headrace_queue/job_json.py), and as stable: added, never renamed or taken away.
"""

from typing import Annotated, Any, Final, Literal

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from headrace_daemon.files.names import PATH_MAX
from headrace_queue.states import JobState
from headrace_queue.transfers import Direction, TransferState

MAX_ROW: Final = 2**63 - 1
"""The largest number of a row that the queue can hold."""

_MAX_LOCATION: Final = PATH_MAX + 300  # a system or a remote and its bucket stand before it
_MAX_RULES: Final = 200
_FAR: Final = 2**62  # nanoseconds since the epoch: the year 2116


def _plain(text: str) -> str:
    """JSON can hold half a surrogate pair and NUL, which no path, key or row of the queue can."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("it holds NUL, or is no valid UTF-8 text")
    return text


_NO_NUL: Final[dict[str, Any]] = {"pattern": r"^[^\u0000]*$"}  # for the document; `_plain` looks
Plain = Annotated[str, AfterValidator(_plain), Field(json_schema_extra=_NO_NUL)]
Text = Annotated[Plain, Field(max_length=2048)]
PathText = Annotated[Plain, Field(min_length=1, max_length=PATH_MAX)]
LocationText = Annotated[Plain, Field(min_length=1, max_length=_MAX_LOCATION)]
Instant = Annotated[int, Field(ge=0, le=_FAR)]
Bytes = Annotated[int, Field(ge=0, le=10**18)]
Lifetime = Annotated[float, Field(ge=60, le=604_800, description="Seconds for which the URLs work.")]

JobNumber = Annotated[int, Path(ge=1, le=MAX_ROW, description="The number of a job.")]
TransferNumber = Annotated[int, Path(ge=1, le=MAX_ROW, description="The number of a transfer.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
Before = Annotated[int | None, Query(ge=1, le=MAX_ROW, description="Only those with smaller numbers, to page.")]
System = Annotated[Plain, Query(min_length=1, max_length=64, description="A system of this host.")]
FilePath = Annotated[
    Plain, Query(min_length=1, max_length=PATH_MAX, description="Absolute, beneath a root of yours on the system.")
]


class Given(BaseModel):
    """What comes in: a key that is not known is a mistake."""

    model_config = ConfigDict(extra="forbid")


class RuleIn(Given):
    """One rule of selection; the last one that matches wins."""

    include: bool
    pattern: Annotated[Plain, Field(min_length=1, max_length=1024)]


class OptionsIn(Given):
    """The options of `headrace sync` and `copy`, under the names that their JSON has.

    Sizes, rates and ages are numbers or the command's texts (`16MiB`, `100MiB/s`, `7d`). What names a file of the
    daemon's host (a list of names, a key file) is not for the API: `files_from` takes the location of a list in a
    bucket.
    """

    rules: Annotated[tuple[RuleIn, ...], Field(max_length=_MAX_RULES)] = ()
    min_size: Bytes | Text | None = None
    max_size: Bytes | Text | None = None
    min_age: Text | None = None
    max_age: Text | None = None
    oldest_ns: Instant | None = None
    newest_ns: Instant | None = None
    files_from: LocationText | None = None
    files_from_nul: bool = False
    compare: Literal["size", "mtime", "checksum"] | None = None
    no_clobber: bool = False
    existing: bool = False
    delete: bool = False
    max_delete: Annotated[int, Field(ge=0, le=10**15 - 1)] | Text | None = None
    allow_empty_source: bool = False
    trash: LocationText | None = None
    dry_run: bool = False
    via: Literal["auto", "server", "stream"] = "auto"
    bandwidth: Bytes | Text | None = None
    storage_class: Text | None = None
    sse: Text | None = None
    acl: Text | None = None
    version_id: Text | None = None
    preserve: bool = False
    links: Literal["follow", "skip", "store"] | None = None
    encode_names: bool = False
    empty_dirs: bool = False
    dirs: bool = False
    headers: Annotated[dict[Text, Text], Field(max_length=10)] = Field(default_factory=dict)
    metadata: Annotated[dict[Text, Text], Field(max_length=100)] = Field(default_factory=dict)
    tags: Annotated[dict[Text, Text], Field(max_length=10)] = Field(default_factory=dict)
    requester_pays: bool = False
    as_of_ns: Instant | None = None


class JobIn(Given):
    """A job to enqueue.

    A path is written `SYSTEM:/absolute/path`, or plainly where `system` says of which, or where there is only one for
    you. A bucket is written `NAME://bucket/prefix`.
    """

    kind: Literal["sync", "copy"]
    source: LocationText
    destination: LocationText
    system: Text | None = None
    options: OptionsIn = Field(default_factory=OptionsIn)
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    submission_id: Annotated[Plain, Field(min_length=1, max_length=100)] | None = None
    labels: Annotated[dict[Text, Text], Field(max_length=50)] = Field(default_factory=dict)


class UploadIn(Given):
    """A file to upload. size: its bytes. account: the project it is charged to, where the system wants one."""

    system: Text
    path: PathText
    size: Annotated[int, Field(strict=True, ge=0, le=10**18)]
    no_clobber: bool = False
    lifetime: Lifetime | None = None
    account: Text = ""


class DownloadIn(Given):
    """A file, or with `archive` a folder as one tar, to download."""

    system: Text
    path: PathText
    archive: bool = False
    lifetime: Lifetime | None = None
    account: Text = ""


class AgainIn(Given):
    """URLs that are signed anew."""

    lifetime: Lifetime | None = None


class CountersOut(BaseModel):
    """What is known of a job's progress."""

    listed: int
    excluded: int
    unchanged: int
    unchanged_bytes: int
    planned: int
    planned_bytes: int
    done: int
    done_bytes: int
    deleted: int
    vanished: int
    failed: int
    retries: int
    extra: int
    archived: int = 0


class JobOut(BaseModel):
    """A job, as `headrace status --json` gives it. user: whose it is, null for one of the host's own command."""

    id: int
    user: str | None
    kind: str
    state: JobState
    phase: str
    source: str
    destination: str
    priority: int
    submission_id: str | None
    labels: dict[str, str]
    options: dict[str, Any]
    counters: CountersOut
    created: float
    started: float | None
    finished: float | None
    error: str | None
    waiting: str | None
    note: str | None
    warning: str | None
    seconds: float | None
    bytes_per_second: float | None
    exit_code: int | None


class JobsOut(BaseModel):
    """Newest first."""

    jobs: list[JobOut]


class FailureOut(BaseModel):
    """One object that could not be moved. number: to page by."""

    number: int
    key: str
    size: int
    error: str
    message: str
    attempts: int


class FailuresOut(BaseModel):
    """In the order in which they failed. next: the `after` of the next page, null at the end."""

    failures: list[FailureOut]
    next: int | None


class ReceivedOut(BaseModel):
    """What of an upload has arrived in the bucket so far."""

    parts: int
    bytes: int


class TransferOut(BaseModel):
    """A transfer. size: bytes. job_id: of the job that moves them. etag, crc64nvme: of the content, once it is proven;
    received: null where nobody can tell."""

    id: int
    user: str
    direction: Direction
    system: str
    path: str
    size: int
    state: TransferState
    account: str
    archive: bool
    no_clobber: bool
    part_size: int
    created: float
    changed: float
    deadline: float | None
    expires: float | None
    finished: float | None
    job_id: int | None
    error: str | None
    etag: str | None
    crc64nvme: str | None
    received: ReceivedOut | None


class TransfersOut(BaseModel):
    """Newest first."""

    transfers: list[TransferOut]


class UploadOut(BaseModel):
    """Where to PUT the parts, in this order, each of part_size bytes but the last, and where to POST that it is all.

    Whoever has these URLs can upload: keep them secret. expires: seconds since the epoch.
    """

    transfer: TransferOut
    part_urls: list[str]
    complete_url: str
    abort_url: str
    part_size: int
    expires: float


class DownloadOut(BaseModel):
    """url: works with GET and byte ranges once the transfer is `ready`, until `expires`. Keep it secret."""

    transfer: TransferOut
    url: str
    expires: float


class FileOut(BaseModel):
    """type: file, folder, link, pipe, socket or device. mode: the twelve bits of permissions. Times in seconds since
    the epoch. etag: of the content as it is now, for If-Range and If-Match."""

    system: str
    path: str
    type: str
    size: int
    mode: int
    uid: int
    gid: int
    inode: int
    mtime: float
    atime: float
    ctime: float
    etag: str


class EntryOut(BaseModel):
    """What stands in a folder. type: as of a file."""

    name: str
    type: str
    size: int
    mode: int
    uid: int
    gid: int
    mtime: float


class ListOut(BaseModel):
    """In the order of their names. next: the `after` of the next page, in percent encoding; null at the end."""

    system: str
    path: str
    entries: list[EntryOut]
    next: str | None


class Problem(BaseModel):
    """What was wrong (RFC 9457). what, why, remedy: the same in three parts, where a rule of the command refused it."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    what: str | None = None
    why: str | None = None
    remedy: str | None = None

"""Uploads and downloads of people outside, through a staging bucket: plain frozen data, as it stands in the queue.

A transfer is what a person asks for with one request. Its bytes travel twice: between the person and the bucket, by
presigned URLs, and between the bucket and the file system, by an ordinary job of the queue.

    upload:    waiting ── the object is complete ──> moving ── the job is done ──> done
    download:  moving ── the job is done ──> ready ── the URL expired ──> expired

What it left in the bucket goes when it has ended: `staged` tells that something may still be there.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from headrace_queue.errors import IllegalTransition
from headrace_queue.jobs import Owner


class Direction(StrEnum):
    """Which way the bytes go, as the person outside sees it."""

    UPLOAD = "upload"
    DOWNLOAD = "download"


class TransferState(StrEnum):
    """What a person sees of a transfer."""

    WAITING = "waiting"  # for the person to upload all parts and to complete the object
    MOVING = "moving"  # a job moves the bytes between the bucket and the file system
    READY = "ready"  # the download's URL works
    DONE = "done"  # the upload is at its destination, on disk and proven
    EXPIRED = "expired"  # the download's URL works no more
    FAILED = "failed"  # see its error
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"  # nobody completed the upload in time


TRANSFER_MOVES: Final[dict[TransferState, dict[str, TransferState]]] = {
    TransferState.WAITING: {
        "arrive": TransferState.MOVING,
        "fail": TransferState.FAILED,
        "cancel": TransferState.CANCELLED,
        "time_out": TransferState.TIMEOUT,
    },
    TransferState.MOVING: {
        "land": TransferState.DONE,
        "offer": TransferState.READY,
        "fail": TransferState.FAILED,
        "cancel": TransferState.CANCELLED,
    },
    TransferState.READY: {"expire": TransferState.EXPIRED, "cancel": TransferState.CANCELLED},
    TransferState.DONE: {},
    TransferState.EXPIRED: {},
    TransferState.FAILED: {},
    TransferState.CANCELLED: {},
    TransferState.TIMEOUT: {},
}

ENDED: Final = frozenset(state for state, moves in TRANSFER_MOVES.items() if not moves)
"""States that nothing leads out of."""

ONLY_OF: Final = {
    TransferState.WAITING: Direction.UPLOAD,
    TransferState.DONE: Direction.UPLOAD,
    TransferState.TIMEOUT: Direction.UPLOAD,
    TransferState.READY: Direction.DOWNLOAD,
    TransferState.EXPIRED: Direction.DOWNLOAD,
}
"""States that transfers of one direction alone know."""


def move_transfer(state: TransferState, event: str) -> TransferState:
    """The state after `event`. Raises IllegalTransition where the table has no such move."""
    try:
        return TRANSFER_MOVES[state][event]
    except KeyError:
        raise IllegalTransition(f"a transfer that is {state} cannot {event}") from None


@dataclass(frozen=True, slots=True)
class TransferSpec:
    """A transfer as it is asked for. path: absolute, of the file it ends in or begins with, beneath owner.root.

    size: bytes; what the person announced of an upload, what the file has of a download. bucket and key: of the staged
    object. part_size: the most bytes of one part of an upload, 0 for a download. deadline: when an upload must be
    complete. fingerprint: of the file that is downloaded, which names its exact version. archive: a folder, as one tar.
    """

    direction: Direction
    system: str
    owner: Owner
    path: str
    size: int
    bucket: str
    key: str
    part_size: int = 0
    deadline: float | None = None
    lifetime: float = 0.0  # seconds for which a download's URL works
    fingerprint: str = ""
    archive: bool = False
    account: str = ""  # which project it is charged to, kept for the audit
    no_clobber: bool = False


@dataclass(frozen=True, slots=True)
class Transfer:
    """A row of the queue. Times in seconds since the epoch.

    upload_id: of the staged multipart upload, '' before it was created and for a download. job_id: of the job that
    moves the bytes. etag, crc64nvme: of the content, once it was proven. expires: until when a download's URL works.
    next_look: when the keeper looks again; looks: how often it has looked since the last change. changed: when it last
    moved. error: why it failed; a timeout and a cancellation may have one too, no other state has.
    """

    id: int
    spec: TransferSpec
    state: TransferState
    created: float
    changed: float
    upload_id: str = ""
    job_id: int | None = None
    staged: bool = False  # something of it may be in the bucket
    expires: float | None = None
    finished: float | None = None
    error: str | None = None
    etag: str = ""
    crc64nvme: str = ""
    next_look: float = 0.0
    looks: int = 0


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be other in a transfer; None leaves a field as it is."""

    upload_id: str | None = None
    job_id: int | None = None
    staged: bool | None = None
    expires: float | None = None
    error: str | None = None
    etag: str | None = None
    crc64nvme: str | None = None
    next_look: float | None = None
    looks: int | None = None


NO_CHANGES: Final = Changes()

"""What an error means for the object, the batch and the job it happened in. One place, so that every direction
treats the same failure the same way (invariant 7: a failing object never stops a job; a throttled or dead service
and a full disk pause it and use up no attempt)."""

import errno
from dataclasses import dataclass
from typing import Final

from headrace_daemon.files.lustre import LustreError
from headrace_daemon.files.names import (
    AccessRefused,
    Blocked,
    DestinationFull,
    DurabilityLost,
    FileFault,
    NameRefused,
    RootLost,
    RootRemoved,
    SourceChanged,
    SourceVanished,
    TooManyOpen,
)
from headrace_daemon.files.released import Released, RestoreFailed
from headrace_daemon.fsx.api import FsxBusy, FsxUnreachable
from headrace_daemon.planner.errors import NotYet
from headrace_daemon.s3.errors import (
    AccessDenied,
    BadDigest,
    CredentialsExpired,
    CredentialsRefused,
    IntegrityError,
    NoSuchBucket,
    NotEncrypted,
    NotFound,
    NotS3,
    ObjectArchived,
    ObjectLocked,
    PreconditionFailed,
    RemoteDown,
    S3Error,
    ServerFault,
    Throttled,
    TransportError,
    UploadLost,
    WrongRegion,
)
from headrace_daemon.s3.remedies import remedy_for
from headrace_queue.advice import advised, with_advice
from headrace_queue.errors import HeadraceError, LeaseLost, QueueError, QueueFull


class Pause(HeadraceError):
    """The batch cannot go on now, through no fault of its objects: put it back, give the attempt back."""

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.seconds = seconds


class JobFailed(HeadraceError):
    """No object of this job can ever be moved: the job ends, with this reason, which says what to do."""


@dataclass(frozen=True, slots=True)
class Again:
    """The object should be tried anew from its beginning, a few times."""

    word: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The object failed; word is the stable name of the reason."""

    word: str


@dataclass(frozen=True, slots=True)
class Vanished:
    """The object left the source after it was listed. No failure."""


Verdict = Again | Failed | Vanished

ARCHIVED: Final = "archived"
"""The word of an object that its archive class keeps from being read; what becomes of it is the job's to say."""
_RESTORE_IT: Final = "`--archived restore` has S3 restore such objects first, `--archived skip` passes them over"

_AGAIN: dict[type[Exception], str] = {
    IntegrityError: "integrity",
    BadDigest: "integrity",
    SourceChanged: "source_unstable",
    PreconditionFailed: "source_unstable",
    DurabilityLost: "not_durable",
    UploadLost: "upload_lost",
}
_FAILED: dict[type[Exception], str] = {
    AccessDenied: "access_denied",
    ObjectLocked: "object_locked",
    ObjectArchived: ARCHIVED,
    NameRefused: "name",
    Blocked: "blocked",
    AccessRefused: "access_denied",
    FileFault: "file_fault",
    Released: "released",
    RestoreFailed: "restore_failed",
    LustreError: "lustre",
}
_NO_MORE_FILES: Final = "the daemon may open no more files; raise LimitNOFILE= of its unit and start it again"
_PAUSE: dict[type[Exception], tuple[str, float]] = {
    RemoteDown: ("no endpoint answers", 5.0),
    CredentialsExpired: ("credentials are not accepted", 30.0),
    Throttled: ("the service asks to slow down", 5.0),
    DestinationFull: ("the destination is full", 10.0),
    RootLost: ("the file system is not there", 30.0),
    TooManyOpen: (_NO_MORE_FILES, 10.0),
}
_JOB_FAILS = (NoSuchBucket, CredentialsRefused, NotEncrypted, WrongRegion, RootRemoved)
"""What holds for every object of the bucket or tree, and does not pass by itself."""

_OURS = (LeaseLost, QueueError)
"""Of the queue, and so of no object: what an object has at the destination belongs to whoever goes on with it."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_NONE_LEFT = frozenset({errno.EMFILE, errno.ENFILE})
_LOST_MOUNT = frozenset({errno.ESTALE, errno.ENOTCONN, errno.ESHUTDOWN})


def judge(error: Exception) -> Verdict:
    """What to do with the object that `error` happened to. A NotFound must be the source's (see `at_destination`).

    Raises Pause or JobFailed where more than the object is concerned; LeaseLost and QueueError as they are; and the
    error itself where it is none of the known ones: that is a fault of ours, and the batch counts an attempt.
    """
    if isinstance(error, _OURS):
        raise error
    for kind, (text, seconds) in _PAUSE.items():
        if isinstance(error, kind):
            raise Pause(waiting_text(error, text), seconds) from error
    if isinstance(error, _JOB_FAILS):
        raise JobFailed(ending_text(error)) from error
    if isinstance(error, NotFound | SourceVanished):
        return Vanished()
    for kind, word in _AGAIN.items():
        if isinstance(error, kind):
            return Again(word)
    for kind, word in _FAILED.items():
        if isinstance(error, kind):
            return Failed(word)
    if isinstance(error, S3Error):
        return Failed(error.code)
    if isinstance(error, OSError):
        return _judge_os(error)
    if isinstance(error, HeadraceError):
        return Failed("refused")
    raise error


def waiting_text(error: Exception, text: str) -> str:
    """What a job waits for, for people. RemoteDown says it all by itself."""
    if isinstance(error, RemoteDown):
        return error.message
    until = "; it goes on once they are renewed" if isinstance(error, CredentialsExpired) else ""
    return f"{text} ({error}){until}"


def ending_text(error: Exception) -> str:
    """Why a job ended as a whole, and what to do about it, as `headrace_queue.advice` keeps the two apart."""
    return with_advice(str(error), remedy_for(error)) if isinstance(error, S3Error) else advised(error)


def passing_reason(error: Exception) -> str | None:
    """What a job waits for whose source or destination gave this error as a whole, when it was opened or listed; None
    where waiting helps nothing."""
    if (lacking := lacks(error)) is not None:
        return lacking
    if isinstance(error, NotYet):
        return str(error)
    if isinstance(error, FsxBusy | FsxUnreachable):
        return f"FSx does not say now what it can do ({error})"
    if isinstance(error, TransportError | ServerFault) and not isinstance(error, NotS3):
        return f"the service does not answer as it should ({error})"
    for kind, (text, _) in _PAUSE.items():
        if isinstance(error, kind):
            return waiting_text(error, text)
    return None


def told(verdict: Again | Failed, error: Exception) -> str:
    """The message that stands beside the verdict's word in a report: the error without repeating that word.

    `access_denied: AccessDenied: …` and `InternalError: InternalError: …` say one thing twice; another code than the
    word's, such as SignatureDoesNotMatch, stays.
    """
    if not isinstance(error, S3Error):
        return str(error)
    if verdict.word == ARCHIVED:
        return with_advice(error.message, _RESTORE_IT)
    if isinstance(error, NotS3):
        return with_advice(error.message, remedy_for(error))
    same = _plain(error.code) == _plain(verdict.word)
    return error.message if same else str(error)


def _plain(word: str) -> str:
    return word.replace("_", "").lower()


def disk_full(error: BaseException) -> bool:
    """No space, or no quota, for the queue, a report or a scratch file: it passes once somebody frees some."""
    return isinstance(error, QueueFull) or (isinstance(error, OSError) and error.errno in _FULL)


def lacks(error: BaseException) -> str | None:
    """What the host lacks for queue, reports and scratch files, which passes once somebody sees to it; None where that
    is not what is wrong."""
    if disk_full(error):
        return f"the disk of queue and reports is full ({error})"
    for one in (error, error.__cause__):  # a root that cannot be opened is wrong use for any other reason
        if isinstance(one, OSError) and one.errno in _NONE_LEFT:
            return f"{_NO_MORE_FILES} ({one})"
    return None


def _judge_os(error: OSError) -> Verdict:
    if error.errno in _NONE_LEFT:
        raise Pause(f"{_NO_MORE_FILES} ({error})", 10.0) from error
    if error.errno in _LOST_MOUNT:
        raise Pause(f"the file system is not there ({error})", 30.0) from error
    if disk_full(error):
        raise Pause(f"the destination is full ({error})", 10.0) from error
    return Failed(errno.errorcode.get(error.errno or 0, "os_error").lower())


def first_cause(error: BaseException) -> BaseException:
    """The one error of a group that decides: a job's end before a pause before anything else."""
    leaves = list(_leaves(error))
    for kind in (JobFailed, Pause):
        for leaf in leaves:
            if isinstance(leaf, kind):
                return leaf
    return leaves[0]


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]

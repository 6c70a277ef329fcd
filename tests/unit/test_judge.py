"""What each error means for the object, the batch and the job. No typed error may be left to chance."""

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from headrace_daemon.facts import Facts, Outcome
from headrace_daemon.files import names
from headrace_daemon.files.names import FileError
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.flow.load import Load
from headrace_daemon.flow.memory import MemoryBudget
from headrace_daemon.flow.slots import Slots
from headrace_daemon.flow.width import PartTurns, Width
from headrace_daemon.s3 import errors
from headrace_daemon.s3.errors import NoSuchBucket, NotFound, S3Error, UploadLost
from headrace_daemon.standing import DAEMONS
from headrace_daemon.transfer.ends import Work
from headrace_daemon.transfer.judge import (
    Again,
    Failed,
    JobFailed,
    Pause,
    Vanished,
    Verdict,
    disk_full,
    first_cause,
    judge,
)
from headrace_daemon.transfer.mover import at_destination, attempt
from headrace_daemon.transfer.tally import new_tally
from headrace_queue.config import TransferConfig
from headrace_queue.errors import HeadraceError, LeaseLost, QueueError, QueueFull, UsageError
from headrace_queue.jobs import JobSpec, Kind
from headrace_queue.store import open_store
from headrace_queue.writer import Queue

PAUSES = "pause"
ENDS_JOB = "job"

OF_S3: dict[type[S3Error], Verdict | str] = {
    errors.TransportError: Failed("a_code"),
    errors.Throttled: PAUSES,
    errors.ServerFault: Failed("a_code"),
    errors.NotS3: Failed("a_code"),
    errors.CredentialsExpired: PAUSES,
    errors.CredentialsRefused: ENDS_JOB,
    errors.AccessDenied: Failed("access_denied"),
    errors.NotFound: Vanished(),
    errors.NoSuchBucket: ENDS_JOB,
    errors.UploadLost: Again("upload_lost"),
    errors.DestinationMissing: Failed("a_code"),
    errors.PreconditionFailed: Again("source_unstable"),
    errors.NotSupported: Failed("a_code"),
    errors.NotEncrypted: ENDS_JOB,
    errors.WrongRegion: ENDS_JOB,
    errors.BadDigest: Again("integrity"),
    errors.Rejected: Failed("a_code"),
    errors.ObjectLocked: Failed("object_locked"),
    errors.ObjectArchived: Failed("archived"),
    errors.RemoteDown: PAUSES,
    errors.IntegrityError: Again("integrity"),
}
OF_FILES: dict[type[FileError], Verdict | str] = {
    names.NameRefused: Failed("name"),
    names.Blocked: Failed("blocked"),
    names.AlreadyThere: Failed("refused"),  # the movers look for it themselves, where --no-clobber makes it no failure
    names.AccessRefused: Failed("access_denied"),
    names.SourceVanished: Vanished(),
    names.SourceChanged: Again("source_unstable"),
    names.DestinationFull: PAUSES,
    names.FileFault: Failed("file_fault"),
    names.TooManyOpen: PAUSES,
    names.DurabilityLost: Again("not_durable"),
    names.RootLost: PAUSES,
    names.RootRemoved: ENDS_JOB,
}


def leaves(base: type[Exception]) -> set[type[Exception]]:
    found: set[type[Exception]] = set()
    for kind in base.__subclasses__():
        found |= {kind, *leaves(kind)}
    return found


def test_every_typed_error_has_its_line_here() -> None:
    assert {kind for kind in leaves(S3Error) if kind.__module__ == errors.__name__} == set(OF_S3)
    assert {kind for kind in leaves(FileError) if kind.__module__ == names.__name__} == set(OF_FILES)


def made(kind: type[Exception]) -> Exception:
    if kind is errors.WrongRegion:
        return errors.WrongRegion("a_code", "text", 301, None)
    return kind("a_code", "text")


@pytest.mark.parametrize(
    ("kind", "expected"), [*OF_S3.items(), *OF_FILES.items()], ids=lambda value: getattr(value, "__name__", "")
)
def test_every_typed_error_has_its_verdict(kind: type[Exception], expected: Verdict | str) -> None:
    error = made(kind)
    if isinstance(expected, str):
        with pytest.raises(Pause if expected == PAUSES else JobFailed) as caught:
            judge(error)
        assert "text" in str(caught.value), "people read why"
        assert caught.value.__cause__ is error
    else:
        assert judge(error) == expected


def test_a_pause_says_for_how_long() -> None:
    with pytest.raises(Pause) as caught:
        judge(errors.RemoteDown("remote_down", "https://10.0.0.1"))
    assert caught.value.seconds > 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.ENOTCONN, errno.ESHUTDOWN])
def test_full_disks_and_lost_mounts_pause(number: int) -> None:
    with pytest.raises(Pause):
        judge(OSError(number, "text"))


def test_other_errors_of_the_system_fail_the_object_by_their_name() -> None:
    assert judge(OSError(errno.EIO, "text")) == Failed("eio")
    assert judge(OSError("no number")) == Failed("os_error")


def test_faults_of_ours_are_not_the_objects() -> None:
    fault = ZeroDivisionError("ours")
    with pytest.raises(ZeroDivisionError) as caught:
        judge(fault)
    assert caught.value is fault


@pytest.mark.parametrize("error", [LeaseLost("x"), QueueFull("x"), QueueError("x")])
def test_what_the_queue_refuses_is_no_fault_of_the_object(error: HeadraceError) -> None:
    """It would be given up at its destination, where another worker may be at it already."""
    with pytest.raises(type(error)) as caught:
        judge(error)
    assert caught.value is error


def test_whatever_else_headrace_refuses_fails_the_object() -> None:
    assert judge(UsageError("x", "y", "z")) == Failed("refused")


def test_a_full_queue_disk_is_told_from_other_errors() -> None:
    full = [QueueFull("x"), OSError(errno.ENOSPC, "x"), OSError(errno.EDQUOT, "x")]
    others = [OSError(errno.EIO, "x"), HeadraceError("x"), LeaseLost("x"), asyncio.CancelledError()]
    assert [disk_full(error) for error in [*full, *others]] == [True] * 3 + [False] * 4


# -- whose 404 it is --------------------------------------------------------------------------------------------------


async def raising(error: Exception) -> Outcome:
    raise error


async def test_a_404_of_the_destination_is_never_a_vanished_source() -> None:
    with pytest.raises(UploadLost) as caught:
        await at_destination(raising(NotFound("NoSuchKey", "gone", 404)))
    assert judge(caught.value) == Again("upload_lost")
    assert "destination" in str(caught.value)


async def test_a_missing_bucket_at_the_destination_still_ends_the_job() -> None:
    with pytest.raises(NoSuchBucket) as caught:
        await at_destination(raising(NoSuchBucket("NoSuchBucket", "gone", 404)))
    with pytest.raises(JobFailed):
        judge(caught.value)


async def test_what_the_destination_answers_otherwise_passes_through() -> None:
    async def answered() -> int:
        return 7

    assert await at_destination(answered()) == 7
    with pytest.raises(errors.Throttled):
        await at_destination(raising(errors.Throttled("SlowDown", "x", 503)))


# -- the one error of many --------------------------------------------------------------------------------------------


def test_the_end_of_a_job_comes_before_a_pause_and_that_before_the_rest() -> None:
    ends, pauses, other = JobFailed("ends"), Pause("pauses", 1.0), ValueError("other")
    assert first_cause(ExceptionGroup("", [other, ExceptionGroup("", [pauses, ends])])) is ends
    assert first_cause(ExceptionGroup("", [ExceptionGroup("", [other]), pauses])) is pauses
    assert first_cause(ExceptionGroup("", [ExceptionGroup("", [other]), KeyError()])) is other
    assert first_cause(other) is other


# -- one object, several times ----------------------------------------------------------------------------------------


class Integrity(Facts):
    def __init__(self) -> None:
        self.keys: list[str] = []
        self.remotes: list[str] = []

    def integrity_failure(self, job: int, remote: str, key: str) -> None:
        self.keys.append(key)
        self.remotes.append(remote)


@pytest.fixture
async def work(tmp_path: Path) -> AsyncIterator[Work]:
    """Two attempts an object; everything a mover shares, on a real queue."""
    facts = Integrity()
    url = f"sqlite://{tmp_path / 'queue.db'}"
    queue = Queue(lambda: open_store(url), lambda: open_store(url, read_only=True), facts.committed)
    await queue.start()
    threads = FileThreads(1)
    job, _ = await queue.write(lambda store: store.enqueue(JobSpec(Kind.SYNC, "/fsx/a", "s3://bucket/a/")))
    config = TransferConfig(attempts=2)
    try:
        parts = PartTurns(Width(lambda: Load(0.0, 0.0, 0.0)))
        yield Work(
            job, config, queue, threads, MemoryBudget(2**20).share(), Slots(4), parts, [], facts, tmp_path, DAEMONS
        )
    finally:
        threads.close()
        await queue.close()


def trying(*ends: Exception | None) -> tuple[Callable[[], Awaitable[Outcome]], list[None]]:
    """Ends so, one after the other; and how often it was tried."""
    tried: list[None] = []

    async def once() -> Outcome:
        end = ends[len(tried)]
        tried.append(None)
        if end is not None:
            raise end
        return Outcome("transferred")

    return once, tried


async def test_an_object_that_failed_once_is_tried_anew(work: Work) -> None:
    once, tried = trying(errors.IntegrityError("integrity", "x"), None)
    tally = new_tally()
    tally.retries = 3
    outcome = await attempt(once, work, "key", tally)
    assert (outcome.state, outcome.attempts, len(tried)) == ("transferred", 2 + 3, 2)
    assert isinstance(work.facts, Integrity)
    assert (work.facts.keys, work.facts.remotes) == (["key"], ["s3"])


async def test_an_object_fails_after_its_last_attempt_with_a_stable_word(work: Work) -> None:
    once, tried = trying(*[names.SourceChanged("key", "was written")] * 3)
    outcome = await attempt(once, work, "key", new_tally())
    assert (outcome.state, outcome.error, outcome.attempts, len(tried)) == ("failed", "source_unstable", 2, 2)
    assert "was written" in outcome.message


async def test_what_cannot_succeed_is_tried_once(work: Work) -> None:
    once, tried = trying(errors.AccessDenied("AccessDenied", "no", 403), None)
    outcome = await attempt(once, work, "key", new_tally())
    assert (outcome.state, outcome.error, len(tried)) == ("failed", "access_denied", 1)


async def test_a_vanished_source_is_no_failure(work: Work) -> None:
    once, _ = trying(NotFound("NoSuchKey", "gone", 404))
    assert (await attempt(once, work, "key", new_tally())).state == "vanished"


async def test_the_one_object_of_a_copy_that_vanished_is_a_failure(work: Work) -> None:
    """Whoever waits for it must not go on without it."""
    work = replace(work, job=replace(work.job, spec=replace(work.job.spec, kind=Kind.COPY)))
    once, _ = trying(NotFound("NoSuchKey", "gone", 404))
    outcome = await attempt(once, work, "key", new_tally())
    assert (outcome.state, outcome.error, outcome.message) == ("failed", "vanished", "NoSuchKey: gone")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.RemoteDown("remote_down", "x"), Pause),
        (NoSuchBucket("NoSuchBucket", "x", 404), JobFailed),
        (ZeroDivisionError("ours"), ZeroDivisionError),
    ],
)
async def test_what_concerns_more_than_the_object_uses_up_no_attempt(
    work: Work, error: Exception, kind: type[Exception]
) -> None:
    once, tried = trying(error, None)
    with pytest.raises(kind):
        await attempt(once, work, "key", new_tally())
    assert len(tried) == 1

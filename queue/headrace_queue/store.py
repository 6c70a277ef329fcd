"""The one interface to the durable queue. SQL stands in the engines below it and nowhere else.

Every method is one transaction, synchronous, and safe to call from one thread at a time. `group()` joins several into
one commit; a method that raises inside a group undoes only itself. The daemon drives a store from one writer thread
(`headrace_queue.writer`); the command uses it directly. Every engine has to pass
tests/integration/test_store_conformance.py and test_store_model.py beside it.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from headrace_queue.errors import QueueFull, UsageError
from headrace_queue.jobs import (
    Batch,
    Counters,
    Failure,
    Job,
    JobSpec,
    Lease,
    Multipart,
    PartRecord,
    PlanLease,
    PlanStep,
    QueueDepth,
    Returned,
    Worker,
)
from headrace_queue.schedules import Schedule, ScheduleSpec, Standing
from headrace_queue.situation import Looks
from headrace_queue.states import JobState
from headrace_queue.store_notices import NoticeStore
from headrace_queue.store_thaw import StoresThaws
from headrace_queue.tasks import NO_TASK_CHANGES, Task, TaskChanges, TaskSpec
from headrace_queue.transfers import NO_CHANGES, Changes, Transfer, TransferSpec, TransferState


class Store(Looks, NoticeStore, StoresThaws, Protocol):
    """A durable queue. Raises QueueError leaves where the engine fails; LeaseLost where a fence holds."""

    def close(self) -> None: ...

    def group(self) -> AbstractContextManager[None]:
        """One commit for everything called inside. On return all of it is durable.

        A group inside a group is undone as one when it raises, and alone.
        """
        ...

    def version(self) -> int:
        """A number that changes whenever another connection committed; cheap enough to poll ten times a second."""
        ...

    # -- jobs -----------------------------------------------------------------------------------------------------

    def enqueue(self, spec: JobSpec) -> tuple[Job, bool]:
        """The job and True, or the job that already has this submission id and False.

        Raises UsageError where the submission id belongs to a job with another spec.
        """
        ...

    def job(self, job_id: int) -> Job:
        """Raises UnknownJob."""
        ...

    def jobs(
        self,
        states: Sequence[JobState] = (),
        limit: int = 100,
        before: int | None = None,
        user: str | None = None,
    ) -> list[Job]:
        """Newest first. states: only these, all where empty. before: only ids below it, to page. user: only those that
        this user of the API owns."""
        ...

    def is_held(self, job_id: int) -> bool:
        """Whether it starts after other jobs, which are not done. Nobody plans it then."""
        ...

    def pause(self, job_id: int) -> Job:
        """Ends its plan lease at once, as cancel and fail do. Raises UnknownJob, IllegalTransition."""
        ...

    def resume(self, job_id: int) -> Job:
        """Raises UnknownJob, IllegalTransition."""
        ...

    def cancel(self, job_id: int) -> Job:
        """Nothing of it is handed out any more; it ends when its workers have let go of their batches.

        What waits stays for a retry, until the job is purged. Its data repository tasks are to be looked at now. Raises
        UnknownJob, IllegalTransition.
        """
        ...

    def retry(self, job_id: int) -> Job:
        """Only what failed: its failures become batches again; planning goes on where it stopped.

        Counters of failed are taken back. A dry run starts over from nothing. Data repository tasks that were cancelled
        or refused, or wait for their turn, are forgotten, so that the plan may ask anew. Raises UnknownJob,
        IllegalTransition (nothing to retry on a job that is done).
        """
        ...

    def fail(self, job_id: int, error: str) -> Job:
        """The job as a whole cannot go on. Ready batches stay for a retry. Raises UnknownJob, IllegalTransition."""
        ...

    def set_waiting(self, job_id: int, reason: str | None) -> None:
        """What a running job waits for, for people to read."""
        ...

    def set_note(self, job_id: int, text: str) -> None:
        """What a person should know of how it went, in place of what was noted before."""
        ...

    def purge(self, finished_before: float, limit: int = 100) -> list[int]:
        """Remove jobs that ended before then, with everything that hangs on them; their ids.

        Not those that `littered` may still name: their records are all that is known of what they left behind.
        """
        ...

    def failures(self, job_id: int, after: int = 0, limit: int = 1000) -> list[tuple[int, Failure]]:
        """What failed, in the order in which it did, each with a row number to page by."""
        ...

    def depth(self) -> QueueDepth: ...

    # -- transfers ------------------------------------------------------------------------------------------------

    def add_transfer(self, spec: TransferSpec, limit: int | None = None) -> Transfer:
        """A new one: an upload is WAITING, a download MOVING, both with `staged` set, for what they stage is recorded
        before it exists. limit: how many of this user may be under way (WAITING, MOVING).

        Raises TooManyTransfers.
        """
        ...

    def transfer(self, transfer_id: int, user: str | None = None) -> Transfer:
        """user: only one of theirs. Raises UnknownTransfer."""
        ...

    def transfers(
        self,
        user: str | None = None,
        states: Sequence[TransferState] = (),
        limit: int = 100,
        before: int | None = None,
    ) -> list[Transfer]:
        """Newest first. user: only theirs. states: only these, all where empty. before: only ids below it, to page."""
        ...

    def move_transfer(self, transfer_id: int, event: str, changes: Changes = NO_CHANGES) -> Transfer:
        """One move of TRANSFER_MOVES, together with what it changes; `next_look` is now unless said otherwise.

        Raises UnknownTransfer, IllegalTransition.
        """
        ...

    def change_transfer(self, transfer_id: int, changes: Changes) -> Transfer:
        """Its state stays. Raises UnknownTransfer."""
        ...

    def due_transfers(self, now: float, hold: float, limit: int = 50) -> list[Transfer]:
        """Those to look at now: not ended, or ended with something staged. For `hold` seconds no other keeper gets
        them; whoever looked says by `next_look` when to look again."""
        ...

    def staged_download(self, user: str, path: str, fingerprint: str, not_before: float) -> Transfer | None:
        """A download of this user of this very version of the file, that is MOVING and has a job, or is READY and has a
        URL that works until not_before at least."""
        ...

    def purge_transfers(self, finished_before: float, limit: int = 100) -> list[int]:
        """Remove those that ended before then and left nothing staged; their ids."""
        ...

    # -- data repository tasks of FSx for Lustre ------------------------------------------------------------------

    def begin_tasks(self, lease: PlanLease, specs: Sequence[TaskSpec]) -> list[Task]:
        """The tasks of a job, in the order in which they are to be done, each WAITING; ends the plan lease in the same
        transaction, and where nothing is planned so far the plan begins anew. `claim_plan` hands the job out again only
        when all of its tasks have ended. Raises LeaseLost."""
        ...

    def task(self, number: int) -> Task:
        """Raises UnknownTask."""
        ...

    def tasks(self, job_id: int | None = None, *, open_only: bool = False, limit: int = 1000) -> list[Task]:
        """Oldest first. job_id: only those of this job. open_only: only those that have not ended."""
        ...

    def due_tasks(self, now: float, hold: float, limit: int = 50) -> list[Task]:
        """Those that have not ended and are to be looked at now. For `hold` seconds no other keeper gets them; whoever
        looked says by `next_look` when to look again."""
        ...

    def move_task(self, number: int, event: str, changes: TaskChanges = NO_TASK_CHANGES) -> Task:
        """One move of TASK_MOVES together with what it changes; `next_look` is now unless said otherwise, and looks
        count from 0. With the end of the last open task of a job, the job waits for nothing any more.

        Raises UnknownTask, IllegalTransition; NotYourTurn for `ask` while an older task of the same file system has not
        ended, or another one is at FSx.
        """
        ...

    def change_task(self, number: int, changes: TaskChanges) -> Task:
        """Its state stays. Raises UnknownTask."""
        ...

    # -- schedules ------------------------------------------------------------------------------------------------

    def add_schedule(self, spec: ScheduleSpec) -> Schedule:
        """Raises UsageError where the name is taken."""
        ...

    def schedule(self, name: str) -> Schedule:
        """Raises UnknownSchedule."""
        ...

    def schedules(self) -> list[Schedule]:
        """All, by name."""
        ...

    def respecify_schedule(self, spec: ScheduleSpec) -> Schedule:
        """Another spec under the same name; how far it is stays. Raises UnknownSchedule."""
        ...

    def change_schedule(self, name: str, standing: Standing) -> Schedule:
        """Raises UnknownSchedule."""
        ...

    def remove_schedule(self, name: str) -> None:
        """Its jobs stay. Raises UnknownSchedule."""
        ...

    def hold_schedule(self, name: str, worker_id: str) -> bool:
        """Whether this worker is the one that watches for it: nobody else does, or whoever did is gone."""
        ...

    # -- workers --------------------------------------------------------------------------------------------------

    def register(self, worker: Worker) -> None: ...

    def heartbeat(self, worker_id: str) -> bool:
        """False where the worker was expired by another: its leases are gone, it must register again."""
        ...

    def workers(self) -> list[Worker]: ...

    def retire(self, worker_id: str) -> None:
        """A worker that leaves in peace: its leases become ready, their attempts are given back."""
        ...

    def expire(self, worker_ids: Sequence[str]) -> Returned:
        """Workers that died: their leases become ready or, after the last attempt, dead."""
        ...

    # -- planning -------------------------------------------------------------------------------------------------

    def claim_plan(self, worker_id: str, max_waiting: int, only: int | None = None) -> PlanLease | None:
        """A job to plan, highest priority first, whose ready batches are fewer than max_waiting. only: no other job.

        A queued job starts by it. The phase DELETE is handed out only when no batch of the job is left. A worker that
        is not registered gets nothing, here and from claim.
        """
        ...

    def commit_plan(self, lease: PlanLease, step: PlanStep) -> int:
        """Batches, cursor and counters in one transaction; how many batches of the job wait now.

        finished=True ends the phase and the lease: after COPY comes DELETE where the job asks for it, else DONE. When
        the phase is DONE and no batch is left, the job ends here. Counters.failed is counted from step.failures,
        whatever step.counters says. Raises LeaseLost, also when the job was paused or cancelled.
        """
        ...

    def restart_plan(self, lease: PlanLease, *, sort_source: bool, sort_destination: bool) -> PlanLease:
        """Plan the phase anew from its start, with these sides sorted, from now on and in every later run of the job.

        A service that does not list in key order makes every cursor so far worthless. Batches that wait are dropped,
        and what was counted of them and of the listings is taken back. Raises LeaseLost.
        """
        ...

    def pin_roots(self, job_id: int, source: str, destination: str) -> tuple[str, str]:
        """Remember which directories a job works on, '' for a side that is none or is not there yet.

        Returns what was remembered of each side first: another identity later is another file system under one path.
        """
        ...

    def release_plan(self, lease: PlanLease, not_before: float = 0.0) -> None:
        """Let go of a plan that is not finished; anyone may claim it from not_before on. Nothing if it was lost."""
        ...

    # -- batches --------------------------------------------------------------------------------------------------

    def claim(self, worker_id: str, limit: int, only: int | None = None, idle_from: int | None = None) -> list[Batch]:
        """Ready batches of queued and running jobs, highest priority first, then of the job with the fewest leased
        ones. Counts an attempt; a queued job starts by it. only: of no other job. idle_from: only of jobs of at least
        this priority of which nobody has a batch, one of each.
        """
        ...

    def progress(self, lease: Lease, finished: Sequence[int], counters: Counters, failures: Sequence[Failure]) -> None:
        """Objects of a batch that are finished, well or not, by index; ends what the job was waiting for, unless
        another batch of it still sleeps. Where one is finished that was not, the attempts of the batch count anew from
        the present one.

        Counters.failed is counted from failures, whatever counters says. Raises LeaseLost; ValueError for an index
        that the batch does not have.
        """
        ...

    def complete(self, lease: Lease) -> Job:
        """The batch is finished: its row goes. Ends the job where it was the last.

        Raises LeaseLost; ValueError while an object of it is not finished, for it would be lost in silence.
        """
        ...

    def snooze(self, lease: Lease, until: float, reason: str) -> None:
        """Try again then; the attempt is given back. reason becomes the job's waiting text. Raises LeaseLost."""
        ...

    def give_back(self, lease: Lease, until: float, error: str) -> Returned:
        """The batch failed as a whole and the attempt counts; after the last one it is dead, its open objects stand
        among the failures. Raises LeaseLost."""
        ...

    # -- large objects --------------------------------------------------------------------------------------------

    def multipart(self, job_id: int, key: str) -> Multipart | None: ...

    def begin_multipart(self, lease: Lease, multipart: Multipart) -> None:
        """Committed before part 1 is sent; replaces an older one of the same job and key. Raises LeaseLost."""
        ...

    def add_parts(self, lease: Lease, key: str, parts: Sequence[PartRecord], *, resumed: bool = False) -> None:
        """Parts that are safe at the destination. resumed: of an object that is gone on with where it was left; a new
        part then makes the attempts count anew, as progress does. Raises LeaseLost; ValueError where none of this
        key was begun."""
        ...

    def end_multipart(self, job_id: int, key: str, token: str | None = None) -> None:
        """It is complete, or given up. token: only the one that names it, for another worker may have begun anew."""
        ...

    def littered(self, failed_before: float, limit: int = 10) -> list[Job]:
        """Ended jobs that left large objects unfinished: what these name at the destination has to be given up.

        A failed job only if it ended before that time: a retry goes on with its parts.
        """
        ...

    def multiparts(self, job_id: int) -> list[Multipart]:
        """Without their parts: what a cancelled job has to abort."""
        ...


def open_store(url: str, *, read_only: bool = False, max_attempts: int = 5) -> Store:
    """The store behind `sqlite:///absolute/path`. max_attempts: of a batch, before its objects count as failed.

    Raises UsageError for an unknown scheme, UnsafeQueue, SchemaMismatch.
    """
    scheme, separator, path = url.partition("://")
    if scheme == "sqlite" and separator:
        from headrace_queue.sqlite import SqliteStore

        return SqliteStore(path, read_only=read_only, max_attempts=max_attempts)
    # the rest of the URL may hold a password
    raise UsageError(
        f"queue = {scheme}://…", "only sqlite:///absolute/path is understood", "Correct `queue` in config.toml."
    )


def open_for_a_look(url: str) -> Store:
    """A queue to read from once. Also one whose disk is full: what it gives then is a copy that sees no later change.

    Raises as open_store does.
    """
    try:
        return open_store(url, read_only=True)
    except QueueFull:
        from headrace_queue.sqlite import SqliteStore

        return SqliteStore(url.partition("://")[2], in_memory=True)

"""What becomes of transfers in the queue: each function is one transaction's worth, and decides on what stands there at
that moment."""

from headrace_daemon.staging.moving import job_for
from headrace_queue.errors import IllegalTransition, UnknownJob
from headrace_queue.states import FINAL, JobState
from headrace_queue.store import Store
from headrace_queue.transfers import Changes, Direction, Transfer, TransferState


def begin_moving(store: Store, transfer: Transfer, remote: str) -> Transfer:
    """Enqueues the job of a download that has none yet; once more is the same job. Raises UnknownTransfer."""
    current = store.transfer(transfer.id)
    if current.state is not TransferState.MOVING or current.job_id is not None:
        return current
    job, _ = store.enqueue(job_for(current, remote))
    return store.change_transfer(current.id, Changes(job_id=job.id))


def cancel_job(store: Store, job_id: int | None) -> JobState | None:
    """The job's state after it was told to stop; None where there is none any more."""
    if job_id is None:
        return None
    try:
        job = store.job(job_id)
        if job.state in FINAL or job.state is JobState.CANCELLING:
            return job.state
        return store.cancel(job_id).state
    except UnknownJob:
        return None


def cancel(store: Store, transfer_id: int) -> Transfer:
    """Ends it, and its job. Once more changes nothing. Raises UnknownTransfer, IllegalTransition.

    An upload whose job is at work stays MOVING until that has let go: only then is it known whether the file stands at
    its destination already.
    """
    transfer = store.transfer(transfer_id)
    if transfer.state is TransferState.CANCELLED:
        return transfer
    if transfer.state is TransferState.MOVING:
        job = cancel_job(store, transfer.job_id)
        if job is JobState.DONE:
            raise IllegalTransition(f"transfer {transfer_id} is done already, and will say so in a moment")
        if job is JobState.CANCELLING and transfer.spec.direction is Direction.UPLOAD:
            return store.change_transfer(transfer_id, Changes(next_look=0.0, looks=0))
    return store.move_transfer(transfer_id, "cancel")


def keep_until(store: Store, transfer_id: int, expires: float) -> Transfer:
    """Raises IllegalTransition where it is offered no more."""
    transfer = store.transfer(transfer_id)
    if transfer.state not in (TransferState.MOVING, TransferState.READY):
        raise IllegalTransition(f"transfer {transfer_id} is {transfer.state} by now")
    return store.change_transfer(transfer_id, Changes(expires=max(expires, transfer.expires or 0.0)))


def offer(store: Store, transfer_id: int, proven: Changes, now: float) -> Transfer:
    """Where staging took longer than the URL lived, a new one can be had for as long again."""
    current = store.transfer(transfer_id)
    ends = current.expires or 0.0
    expires = ends if ends > now else now + current.spec.lifetime
    changes = Changes(expires=expires, etag=proven.etag, crc64nvme=proven.crc64nvme, next_look=expires)
    return store.move_transfer(transfer_id, "offer", changes)

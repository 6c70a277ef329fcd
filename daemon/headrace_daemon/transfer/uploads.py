"""Gives up multipart uploads, so that no parts are left that someone pays for."""

from collections.abc import Iterable

from headrace_daemon.transfer.ends import BucketEnd, Work
from headrace_queue.jobs import Item


async def give_up_uploads(work: Work, target: BucketEnd, items: Iterable[Item]) -> None:
    """Abort and forget the recorded uploads of these objects. Raises S3Error."""
    job_id = work.job.id
    for item in items:
        key = item.key
        record = await work.queue.read(lambda store, key=key: store.multipart(job_id, key))  # type: ignore[misc]
        if record is not None:
            await target.remote.abort_multipart(target.bucket, target.key(key), record.token)
            await work.queue.write(lambda store, key=key: store.end_multipart(job_id, key))  # type: ignore[misc]

"""Gives up multipart uploads, so that no parts are left that someone pays for."""

from collections.abc import Iterable
from typing import Final

from headrace_daemon.transfer.ends import BucketEnd, Work
from headrace_queue.jobs import Item

_ELSEWHERE: Final = "\udc00"
"""Half a character, with which no key and no file name begins: neither UTF-8 nor os.fsdecode() ever gives it."""


def elsewhere(key: str) -> str:
    """The name in the queue of an upload to this key of the bucket, wherever the job's destination is. Pure."""
    return _ELSEWHERE + key


def upload_key(target: BucketEnd, name: str) -> str:
    """The key of the bucket to which the upload goes that the queue knows by this name. Pure."""
    return name.removeprefix(_ELSEWHERE) if name.startswith(_ELSEWHERE) else target.key(name)


async def give_up_uploads(work: Work, target: BucketEnd, items: Iterable[Item]) -> None:
    """Abort and forget the recorded uploads of these objects. Raises S3Error."""
    job_id = work.job.id
    for item in items:
        key = item.key
        record = await work.queue.read(lambda store, key=key: store.multipart(job_id, key))  # type: ignore[misc]
        if record is not None:
            await target.remote.abort_multipart(target.bucket, upload_key(target, key), record.token)
            await work.queue.write(lambda store, key=key: store.end_multipart(job_id, key))  # type: ignore[misc]

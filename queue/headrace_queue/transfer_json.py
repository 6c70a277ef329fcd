"""What `--json` prints of a transfer. These names are a contract: fields are added, never renamed or taken away.

id, user, direction, system, path, size (bytes), state; account, archive, no_clobber, part_size (bytes, 0 for a
download); created, changed (when it last moved), deadline (of an upload), expires (of a download's URL), finished
(seconds since the epoch or null); job_id (of the job that moves the bytes, or null), error (text or null); etag,
crc64nvme (of the content, null before it is proven); staged (whether something of it may be in the bucket), bucket,
key. With the bucket's name and a key nobody gets at anything; URLs and upload ids, with which one might, are not told.
"""

from typing import Any

from headrace_queue.transfers import Transfer


def transfer_json(transfer: Transfer) -> dict[str, Any]:
    """One transfer, for whoever runs the host."""
    spec = transfer.spec
    return {**told_to_owner(transfer), "staged": transfer.staged, "bucket": spec.bucket, "key": spec.key}


def told_to_owner(transfer: Transfer) -> dict[str, Any]:
    """The fields that the user has to do with."""
    spec = transfer.spec
    return {
        "id": transfer.id,
        "user": spec.owner.user,
        "direction": str(spec.direction),
        "system": spec.system,
        "path": spec.path,
        "size": spec.size,
        "state": str(transfer.state),
        "account": spec.account,
        "archive": spec.archive,
        "no_clobber": spec.no_clobber,
        "part_size": spec.part_size,
        "created": transfer.created,
        "changed": transfer.changed,
        "deadline": spec.deadline,
        "expires": transfer.expires,
        "finished": transfer.finished,
        "job_id": transfer.job_id,
        "error": transfer.error,
        "etag": transfer.etag or None,
        "crc64nvme": transfer.crc64nvme or None,
    }

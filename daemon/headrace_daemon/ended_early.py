"""What a command that looks at places by itself (`match`, `verify`) says where it cannot go on; it has no job."""

from headrace_daemon.s3.errors import S3Error
from headrace_daemon.s3.remedies import remedy_without_job
from headrace_queue.advice import advised, split_advice
from headrace_queue.telling import Complaint


def ended_early(what: str, places: tuple[str, ...], error: Exception) -> Complaint:
    """what: the command as it was typed, or the place; places: those that it looked at."""
    if isinstance(error, S3Error):
        why, remedy = str(error), remedy_without_job(error)
    else:
        why, remedy = split_advice(advised(error))
    return Complaint(what, why.rstrip("."), remedy or f"`headraced doctor {' '.join(places)}` looks for the cause.")

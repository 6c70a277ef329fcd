"""A sync of a bucket as it was: what has to hold before it is planned, and what a person should know of it."""

from typing import Final

from headrace_daemon.planner.errors import JobFailure
from headrace_daemon.s3.errors import AccessDenied
from headrace_daemon.s3.profiles import FOLDER_ORDER_SERVERS
from headrace_daemon.transfer.ends import BucketEnd, End
from headrace_queue.advice import with_advice
from headrace_queue.jobs import Options

_ENABLED: Final = "Enabled"


async def note_of_versions(source: End, options: Options) -> str:
    """What the job's note should say of a bucket that does not keep all versions; '' for one that does, and for a job
    that is about no instant.

    Raises JobFailure for --delete where the past is not known: an object that was overwritten since would look as if it
    had not been there. Other S3Errors.
    """
    if not isinstance(source, BucketEnd) or source.as_of_ns is None:
        return ""
    where = f"{source.remote.name}://{source.bucket}"
    try:
        status = await source.remote.versioning(source.bucket)
    except AccessDenied as error:
        if options.delete:
            why = f"{where}: whether the bucket keeps versions may not be asked ({error}). Nothing was sent or deleted"
            raise JobFailure(with_advice(why, "Allow s3:GetBucketVersioning, or leave out --delete.")) from error
        return ""
    if status == _ENABLED:
        if options.delete:
            await _refuse_gaps(source, where)
        return ""
    since = "keeps no versions since that was suspended" if status else "keeps no versions"
    lost = "what was overwritten or deleted since the instant of --as-of is not there any more"
    if options.delete:
        why = f"{where}: the bucket {since}: {lost}, and would be deleted there. Nothing was sent or deleted"
        raise JobFailure(with_advice(why, "Leave out --delete, or --as-of."))
    return f"the bucket {since}: {lost}, and does not come"


async def _refuse_gaps(source: BucketEnd, where: str) -> None:
    """Raises JobFailure for a service whose lists of versions are known to lack some: SeaweedFS (4.48) forgets at the
    end of a page an object whose name is that of a folder as well. S3Error."""
    page = await source.remote.list_versions(source.bucket, source.prefix)
    if not source.remote.profile.lists_sorted or page.server.startswith(FOLDER_ORDER_SERVERS):
        why = (
            f"{where}: lists of versions of such a service may lack objects, which would be deleted at the destination"
        )
        raise JobFailure(with_advice(f"{why}. Nothing was sent or deleted", "Leave out --delete."))

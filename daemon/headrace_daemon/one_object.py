"""The one object or file that a copy is about, as it is now."""

import errno
import stat
from http import HTTPStatus
from pathlib import Path

from headrace_daemon.files.lustre import is_hollow
from headrace_daemon.planner.entries import Entry
from headrace_daemon.planner.errors import JobFailure
from headrace_daemon.s3.errors import NoSuchBucket, NotFound, NotSupported
from headrace_daemon.session import Session
from headrace_daemon.transfer.ends import BucketEnd, End, FilesEnd, NoFolder
from headrace_queue.advice import with_advice
from headrace_queue.one_file import LINK_LEADS_OUT, copy_what_it_leads_to


def place_of(end: End | NoFolder) -> str:
    """How a listing names itself in its errors."""
    if isinstance(end, BucketEnd):
        return f"{end.remote.name}://{end.bucket}/{end.prefix}"
    return end.root.path if isinstance(end, FilesEnd) else end.path


async def look_at_one(session: Session, end: End | NoFolder) -> Entry | None:
    """The one object or file that a copy is about."""
    if isinstance(end, NoFolder):
        return None
    if isinstance(end, FilesEnd):
        return await session.threads.run(_look_at_file, end)
    try:
        info = await end.remote.head(end.bucket, end.prefix, version=end.version)
    except NoSuchBucket:
        raise
    except NotFound:
        return None
    except NotSupported as error:
        # S3 answers so to a HEAD of a delete marker (API reference, HeadObject)
        if not end.version or error.status != HTTPStatus.METHOD_NOT_ALLOWED:
            raise
        why = f"version {end.version} of {place_of(end)} is a delete marker: there is nothing to copy"
        raise JobFailure(with_advice(why, "Name an earlier version.")) from error
    return Entry("", info.size, info.mtime_ns, info.etag)


def _look_at_file(end: FilesEnd) -> Entry | None:
    path = Path(end.root.path) / end.prefix
    try:
        status = end.root.status(end.prefix)
        if stat.S_ISLNK(status.st_mode):
            status = end.root.status_beyond(end.prefix)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.EXDEV or not end.root.follow_links:
            raise
        raise JobFailure(with_advice(f"{path}: {LINK_LEADS_OUT}", copy_what_it_leads_to(path))) from error
    if not stat.S_ISREG(status.st_mode):
        raise JobFailure(with_advice(f"{path}: it is no regular file", "Use `headrace sync` for a folder."))
    return Entry("", status.st_size, status.st_mtime_ns, hollow=is_hollow(status))

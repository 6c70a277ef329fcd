"""Locations that were named to the doctor: can jobs read there, and with --write also write there?

What is written is one object of a few bytes under a name of its own, and it is deleted again.
"""

import asyncio
import random
import uuid
from collections.abc import Sequence
from typing import Final

from headrace_daemon.doctor.check import Check, Status, ok, refused
from headrace_daemon.doctor.folders import named_folder
from headrace_daemon.facts import Facts
from headrace_daemon.flow.retry import Retry
from headrace_daemon.s3.checksum import crc64nvme, to_text
from headrace_daemon.s3.connect import connect
from headrace_daemon.s3.errors import AccessDenied, NotSupported, PreconditionFailed, S3Error, UploadLost
from headrace_daemon.s3.remedies import remedy_without_job
from headrace_daemon.s3.remote import Remote
from headrace_daemon.s3.types import WriteOptions
from headrace_queue.config import Config
from headrace_queue.errors import UsageError
from headrace_queue.locations import Location
from headrace_queue.submit import check_remotes

PLACE_SECONDS: Final = 60.0
_SERVICE: Final = "Look at the service itself, and at the lines about its endpoints."
_BODY: Final = b"written by headraced doctor, which deletes it again\n"


def places(config: Config, texts: Sequence[str]) -> list[Location]:
    """Raises UsageError for a malformed one, and for one of a remote that config.toml does not know."""
    found = [Location.parse(text) for text in texts]
    check_remotes(config, *found)
    return found


async def place_checks(config: Config, locations: Sequence[Location], *, write: bool) -> list[Check]:
    """One after the other, in the order in which they were named."""
    return [check for place in locations for check in await _place(config, place, write=write)]


async def _place(config: Config, place: Location, *, write: bool) -> list[Check]:
    if place.path is not None:
        return await asyncio.to_thread(named_folder, place.path, write=write)
    assert place.remote is not None
    name = f"read {place}"
    try:
        remote = connect(place.remote, config.remote(place.remote), Facts(), retry=_quick(), patience=0.0)
    except UsageError as error:
        return [refused(name, error)]
    checks: list[Check] = []
    try:
        async with asyncio.timeout(PLACE_SECONDS):
            await remote.start()
            checks.append(await _read(name, remote, place))
            if write:
                name = f"write {place}"
                checks.append(await _written(name, remote, place))
    except TimeoutError:
        checks.append(Check(name, Status.FAIL, f"no answer within {PLACE_SECONDS:.0f} s", _SERVICE))
    except UsageError as error:
        checks.append(refused(name, error))
    except S3Error as error:
        checks.append(failed(name, error))
    finally:
        await remote.close()
    return checks


def _quick() -> Retry:
    return Retry(random.random, attempts=2, base=0.05, patience=0.0, outage=0.0)


def failed(name: str, error: S3Error) -> Check:
    """An error of the service, with what a job that met it would say."""
    return Check(name, Status.FAIL, str(error), remedy_without_job(error) or _SERVICE)


async def _read(name: str, remote: Remote, place: Location) -> Check:
    """Lists a page, and looks at one object of it. Raises S3Error, UsageError."""
    page = await remote.list_page(place.bucket, place.key)
    version = f"ListObjectsV{remote.profile.list_version}"
    uploads = await _uploads(remote, place)
    if not page.objects:
        return ok(name, f"it can be listed ({version}), and nothing is there; {uploads}")
    more = "at least " if page.token is not None else ""
    seen = f"it can be listed ({version}), {more}{len(page.objects):,} objects; {uploads}"
    one = page.objects[0]
    info = await remote.head(place.bucket, one.key)
    proof = "a stored crc64nvme" if "crc64nvme" in info.checksums else "an MD5 ETag, or length and ETag alone"
    return ok(name, f"{seen}; what is read is proven by {proof}, to judge by the first")


async def _uploads(remote: Remote, place: Location) -> str:
    """What hangs on after jobs that were never finished costs money until a lifecycle rule or a person removes it."""
    try:
        count = await remote.unfinished_uploads(place.bucket, place.key) if remote.profile.list_parts else None
    except AccessDenied:
        return "unfinished uploads may not be listed"
    return "unfinished uploads are not listed" if count is None else f"unfinished uploads: {count}"


async def _written(name: str, remote: Remote, place: Location) -> Check:
    """Raises S3Error, UsageError where nothing can be written, or what was written cannot be deleted."""
    key = f"{place.as_folder().key}headrace-doctor-{uuid.uuid4().hex}"
    crc = to_text(crc64nvme(_BODY))
    options = WriteOptions()
    put = await remote.put(place.bucket, key, _BODY, size=len(_BODY), crc64nvme=crc, options=options)
    try:
        info, body = await remote.get(place.bucket, key, if_match=put.etag)
        found = {
            "crc64nvme is stored": info.checksums.get("crc64nvme") == crc,
            "ListParts": await _lists_parts(remote, place.bucket, key),
            "conditional writes": await _keeps_conditions(remote, place.bucket, key),
        }
        same = bytes(body) == _BODY
    finally:
        undeleted = await remote.delete(place.bucket, [key])
    if undeleted:
        text = f"an object can be written, and not be deleted: {key} stays there ({undeleted[key]})"
        return Check(name, Status.WARN, text, "Let the credentials delete (s3:DeleteObject): --delete needs that.")
    if not same:
        text = "what was written is not what is read again"
        return Check(name, Status.FAIL, text, "Do not use this service; look at what stands between.")
    told = ", ".join(f"{text}: {'yes' if there else 'no'}" for text, there in found.items())
    return ok(name, f"an object was written, read again and deleted; {told}")


async def _lists_parts(remote: Remote, bucket: str, key: str) -> bool:
    """Begins an upload and gives it up. Raises S3Error where that alone does not work."""
    upload = await remote.create_multipart(bucket, key, WriteOptions())
    try:
        return await remote.list_parts(bucket, key, upload) == []
    except (NotSupported, UploadLost):
        return False
    finally:
        await remote.abort_multipart(bucket, key, upload)


async def _keeps_conditions(remote: Remote, bucket: str, key: str) -> bool:
    """Whether a write that must not replace is refused. Raises S3Error."""
    if not remote.profile.conditional_writes:
        return False
    only_new = WriteOptions(if_none_match=True)
    try:
        await remote.put(bucket, key, _BODY, size=len(_BODY), crc64nvme=to_text(crc64nvme(_BODY)), options=only_new)
    except PreconditionFailed:
        return True
    except NotSupported:
        return False
    return False

"""What has to be known before it can be said whether a data repository task can do a job: asked of FSx, S3 and this
host."""

import asyncio
import shutil

from headrace_daemon.fsx.api import FsxApi
from headrace_daemon.fsx.dra.applies import Asked, Found
from headrace_daemon.fsx.dra.links import is_straight
from headrace_daemon.fsx.dra.mount_table import AS_SAID, Mounted, mounted_at
from headrace_daemon.s3.errors import S3Error
from headrace_daemon.s3.remote import Remote
from headrace_queue.config_fsx import FsxConfig


async def find_out(asked: Asked, name: str, section: FsxConfig, api: FsxApi, remote: Remote) -> Found:
    """name: of the section, whose mount holds the path; remote: the job's. Raises FsxError."""
    file_system = await api.file_system(section.file_system_id)
    associations = await api.associations(section.file_system_id)
    straight = await asyncio.to_thread(is_straight, asked.path, section.mount)
    there, region = await _bucket(remote, asked.bucket)
    return Found(
        name,
        section,
        file_system,
        associations,
        straight=straight,
        mounted=await asyncio.to_thread(_mounted, section),
        lfs=await asyncio.to_thread(shutil.which, section.lfs) is not None,
        bucket_there=there,
        bucket_region=region,
        same_account=await _is_own(remote, asked.bucket) if there else None,
    )


def _mounted(section: FsxConfig) -> Mounted:
    return AS_SAID if section.mounted_as == "any" else mounted_at(section.mount)


async def _bucket(remote: Remote, bucket: str) -> tuple[bool, str]:
    """Whether it exists, and its region, '' where S3 does not say: a bucket that may not be looked at may be linked."""
    try:
        region = await remote.bucket_region(bucket)
    except S3Error:
        return True, ""
    return region is not None, region or ""


async def _is_own(remote: Remote, bucket: str) -> bool | None:
    try:
        return bucket in await remote.own_buckets()
    except S3Error:
        return None  # s3:ListAllMyBuckets is often not allowed

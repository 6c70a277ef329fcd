"""The sections [fsx.NAME]: FSx for Lustre file systems that this host mounts."""

import os
import re
from collections.abc import Mapping
from itertools import combinations
from typing import Final, Literal

from pydantic import Field, field_validator

from headrace_queue.config_section import AbsolutePath, Seconds, Section, Size, plain_url

FILE_SYSTEM_ID: Final = re.compile(r"fs-[0-9a-f]{8,17}", re.ASCII)
"""botocore's service model, shape FileSystemId."""


class FsxConfig(Section):
    """One file system. Jobs between a path beneath `mount` and the bucket that is linked to it may become data
    repository tasks."""

    file_system_id: str
    mount: AbsolutePath
    mounted_as: Literal["lustre", "any"] = "lustre"  # what has to be mounted there; any: reached in another way
    remote: str = "s3"  # whose buckets may be linked; the FSx API is asked with its credentials, in its region
    region: str | None = None  # default: that of the remote
    endpoint_url: str | None = None  # of the FSx API; default: AWS's own of the region
    via: Literal["auto", "dra", "stream"] = "auto"  # for jobs that do not say --via
    task_from_objects: int = Field(default=10_000, ge=1)  # with `auto`: a task is worth it from so many objects …
    task_from_size: Size = 20 * 2**30  # … or from so many bytes; less is streamed
    poll: Seconds = Field(default=30.0, gt=0, le=3600)  # between looks at a task; FSx itself refreshes every 30 s
    lfs: str = Field(default="lfs", min_length=1)  # Lustre's command, by name or path

    @field_validator("file_system_id")
    @classmethod
    def _known_form(cls, text: str) -> str:
        if not FILE_SYSTEM_ID.fullmatch(text):
            raise ValueError(f"{text!r} is no file system id; write it as the console shows it: fs-0123456789abcdef0")
        return text

    @field_validator("endpoint_url")
    @classmethod
    def _plain(cls, url: str | None) -> str | None:
        return None if url is None else plain_url(url)


def refuse_unclear_file_systems(fsx: Mapping[str, FsxConfig], remotes: Mapping[str, object]) -> None:
    """What only all sections together show: a path must lead to one file system, and each is asked in one way.

    Raises ValueError.
    """
    for name, one in fsx.items():
        if one.remote not in remotes:
            raise ValueError(f"fsx.{name}.remote = {one.remote!r}: there is no [remotes.{one.remote}]")
    for (name, one), (other_name, other) in combinations(fsx.items(), 2):
        if one.file_system_id == other.file_system_id:
            why = f"fsx.{name} and fsx.{other_name} are both {one.file_system_id}"
            raise ValueError(f"{why}; keep one of them, or correct file_system_id")
        mounts = {os.path.normpath(one.mount), os.path.normpath(other.mount)}
        if os.path.commonpath(mounts) in mounts:
            why = f"fsx.{name} at {one.mount} and fsx.{other_name} at {other.mount} lie one within the other"
            raise ValueError(f"{why}; mount them beside each other")

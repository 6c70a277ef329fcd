"""POSIX metadata on objects as FSx for Lustre writes and reads it, from its guide alone.

https://docs.aws.amazon.com/fsx/latest/LustreGuide/posix-metadata-support.html
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass

_SUFFIX = "ns"


@dataclass(frozen=True, slots=True)
class Posix:
    """mode with its type; atime and mtime in nanoseconds since the epoch."""

    mode: int
    uid: int
    gid: int
    atime: int
    mtime: int


def of_status(status: os.stat_result) -> dict[str, str]:
    """The user metadata with which a file, folder or link is exported."""
    return {
        "file-permissions": f"{status.st_mode & ~stat.S_ISUID:07o}",
        "file-owner": str(status.st_uid),
        "file-group": str(status.st_gid),
        "file-mtime": f"{status.st_mtime_ns}{_SUFFIX}",
        "file-atime": f"{status.st_atime_ns}{_SUFFIX}",
        "user-agent": "aws-fsx-lustre",
    }


def of_object(key: str, metadata: Mapping[str, str], modified: int) -> Posix:
    """What an object becomes when it is imported; root:root 0755 for what is not told. modified: nanoseconds."""
    mode = int(metadata.get("file-permissions", "0755"), 8) & ~stat.S_ISUID
    kind = stat.S_IFDIR if key.endswith("/") else stat.S_IFLNK if stat.S_ISLNK(mode) else stat.S_IFREG
    mtime = _time(metadata.get("file-mtime"), modified)
    return Posix(
        kind | stat.S_IMODE(mode),
        int(metadata.get("file-owner", "0")),
        int(metadata.get("file-group", "0")),
        _time(metadata.get("file-atime"), mtime),
        mtime,
    )


def _time(text: str | None, default: int) -> int:
    """With the suffix ns it is nanoseconds, without one milliseconds."""
    if text is None:
        return default
    return int(text.removesuffix(_SUFFIX)) if text.endswith(_SUFFIX) else int(text) * 1_000_000


def give(path: str, posix: Posix) -> None:
    """To what is there; the owner only where this process may give it."""
    if os.geteuid() == 0:
        os.chown(path, posix.uid, posix.gid, follow_symlinks=False)
    if not stat.S_ISLNK(posix.mode):
        os.chmod(path, stat.S_IMODE(posix.mode))
    os.utime(path, ns=(posix.atime, posix.mtime), follow_symlinks=False)

"""What Lustre knows of each file's copy in the bucket (HSM), and the data that goes away and comes back.

A file whose data was released is a sparse file of its size here. Real Lustre brings the data back by itself when
somebody reads or writes such a file; this cannot, and who reads one gets zeros: a test that does so by accident finds
wrong data, which is what it wants to know. What is written to a released file counts as a change.
"""

import os
import shutil
import stat
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

EXISTS, DIRTY, RELEASED, ARCHIVED, LOST = 0x01, 0x02, 0x04, 0x08, 0x40


@dataclass(slots=True)
class Copy:
    """The object of a path. inode, size, mtime, mode, uid, gid: of the path when both were the same. asked: how many
    questions about its restore came so far, None where none is under way."""

    bucket: str
    key: str
    etag: str
    inode: int
    size: int
    mtime: int
    mode: int
    uid: int
    gid: int
    released: bool = False
    lost: bool = False
    asked: int | None = None


class Hsm:
    """By absolute path. s3: a botocore client. polls: how many questions about a file (hsm_state, hsm_action) find its
    restore still under way; None: all of them, until it is set otherwise."""

    def __init__(self, s3: Any) -> None:
        self._s3 = s3
        self._copies: dict[str, Copy] = {}
        self.polls: int | None = 1
        self.broken: set[str] = set()  # paths whose restore fails

    def remember(self, path: str, bucket: str, key: str, etag: str, *, released: bool = False) -> None:
        """That the path is now the same as the object."""
        status = os.lstat(path)
        owner = (status.st_mode, status.st_uid, status.st_gid)
        self._copies[path] = Copy(
            bucket, key, etag, status.st_ino, status.st_size, status.st_mtime_ns, *owner, released=released
        )

    def copy_of(self, path: str) -> Copy | None:
        """Of the file that is there now; another one of the same name has none."""
        copy = self._copies.get(path)
        return copy if copy is not None and copy.inode == os.lstat(path).st_ino else None

    def flags(self, path: str) -> int:
        """As `lfs hsm_state` tells them. Raises OSError."""
        status = os.lstat(path)
        copy = self.copy_of(path)
        if copy is None or not stat.S_ISREG(status.st_mode):
            return 0
        flags = EXISTS | ARCHIVED | (LOST if copy.lost else 0)
        if status.st_size != copy.size or (status.st_blocks if copy.released else status.st_mtime_ns != copy.mtime):
            return flags | DIRTY
        return flags | (RELEASED if copy.released else 0)

    def changed(self, path: str) -> bool:
        """Whether an export has to take it along."""
        status = os.lstat(path)
        copy = self.copy_of(path)
        if copy is None:
            return True
        if stat.S_ISREG(status.st_mode):
            flags = self.flags(path)
            if flags & RELEASED:
                return False
            if flags & DIRTY:
                return True
        now = (status.st_mtime_ns, status.st_mode, status.st_uid, status.st_gid)
        return now != (copy.mtime, copy.mode, copy.uid, copy.gid)

    def release(self, path: str) -> bool:
        """Takes the data away, not the name, size and times; whether it may: it is archived and has not changed."""
        if self.flags(path) != EXISTS | ARCHIVED:
            return False
        status = os.stat(path)
        with open(path, "r+b") as file:
            file.truncate(0)
            file.truncate(status.st_size)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        self._copies[path].released = True
        return True

    def restore(self, path: str) -> None:
        """Asks for the data; once more does no harm. Raises OSError."""
        copy = self.copy_of(path)
        if copy is not None and self.flags(path) & RELEASED and copy.asked is None:
            copy.asked = 0

    def poll(self, path: str) -> bool:
        """One question: data that is due arrives. Whether a restore is under way. Raises OSError."""
        copy = self.copy_of(path)
        if copy is None or copy.asked is None:
            return False
        if self.polls is None or copy.asked < self.polls:
            copy.asked += 1
            return True
        copy.asked = None
        self._bring(path, copy)
        return False

    def _bring(self, path: str, copy: Copy) -> None:
        """To the same inode, with the same times. An object that is gone or changed leaves the file as it is."""
        if path in self.broken:
            return
        try:
            answer = self._s3.get_object(Bucket=copy.bucket, Key=copy.key, IfMatch=copy.etag)
        except ClientError:
            return
        status = os.stat(path)
        with answer["Body"] as body, open(path, "r+b") as file:
            shutil.copyfileobj(body, file)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        copy.released = False

    def lose(self, path: str) -> None:
        """The object is known to be gone: the flag LOST."""
        copy = self.copy_of(path)
        assert copy is not None, f"{path} has no copy"
        copy.lost = True

"""What disk quotas leave to a user and a group, asked by quotactl_fd(2) of the file system of an open file.

Limits of projects are not asked for, and file systems that keep quotas in a way of their own (Lustre, NFS) tell
nothing here: there a write that finds the quota exhausted fails with EDQUOT, and the job waits.
"""

import ctypes
import os
import time
from typing import Final, NamedTuple

from headrace_daemon.files.acting import asking_as

_SYS_QUOTACTL_FD: Final = 443  # the same number on every architecture; since Linux 5.14
_GET_QUOTA: Final = 0x800007  # Q_GETQUOTA of linux/quota.h
_USER: Final = 0
_GROUP: Final = 1
_BLOCK: Final = 1024  # the limits' unit; what is used is counted in bytes

_libc: Final = ctypes.CDLL(None, use_errno=True)


class _Dqblk(ctypes.Structure):
    """struct if_dqblk of linux/quota.h."""

    _fields_ = (
        ("hard", ctypes.c_uint64),
        ("soft", ctypes.c_uint64),
        ("used", ctypes.c_uint64),
        ("inodes_hard", ctypes.c_uint64),
        ("inodes_soft", ctypes.c_uint64),
        ("inodes", ctypes.c_uint64),
        ("grace_ends", ctypes.c_uint64),
        ("inodes_grace_ends", ctypes.c_uint64),
        ("valid", ctypes.c_uint32),
    )


class Quota(NamedTuple):
    """Bytes; hard and soft are 0 where there is no such limit. grace_ends: seconds since the epoch, 0 below soft."""

    hard: int
    soft: int
    used: int
    grace_ends: int

    def left(self, now: float) -> int | None:
        """Bytes that may still be written; None without a limit. A soft limit counts once its grace is over."""
        limits = [self.hard] if self.hard else []
        if self.soft and self.grace_ends and now >= self.grace_ends:
            limits.append(self.soft)
        return max(0, min(limits) - self.used) if limits else None


def room_left(fd: int, uid: int, gid: int) -> int | None:
    """Bytes that the quotas of this user and this group leave on the file system of `fd`; None where there are none, or
    they cannot be read: by a kernel before 5.14, or by a daemon that is neither this user nor may act as them."""
    now = time.time()
    quotas = (_quota(fd, kind, number, (uid, gid)) for kind, number in ((_USER, uid), (_GROUP, gid)))
    left = [quota.left(now) for quota in quotas if quota is not None]
    return min((known for known in left if known is not None), default=None)


def _quota(fd: int, kind: int, number: int, who: tuple[int, int]) -> Quota | None:
    try:
        return _ask(fd, kind, number)
    except PermissionError:
        pass  # others' quotas are told to CAP_SYS_ADMIN only, one's own to everybody
    except OSError:
        return None
    try:
        with asking_as(*who):
            return _ask(fd, kind, number)
    except OSError:
        return None


def _ask(fd: int, kind: int, number: int) -> Quota:
    """Raises OSError: ESRCH where the file system keeps no such quotas."""
    answer = _Dqblk()
    command = ctypes.c_uint(_GET_QUOTA << 8 | kind)
    if _libc.syscall(_SYS_QUOTACTL_FD, fd, command, ctypes.c_uint32(number), ctypes.byref(answer)) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return Quota(answer.hard * _BLOCK, answer.soft * _BLOCK, answer.used, answer.grace_ends)

"""The file system below a path, and the Linux calls that Python has no name for.

Constants are from linux/magic.h, linux/openat2.h, linux/stat.h and linux/fs.h.
"""

import ctypes
import errno
import os
import stat
import sys
import threading
from typing import Final, NamedTuple

RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_BENEATH: Final = 0x08

_SYS_OPENAT2: Final = 437  # the same number on every architecture
_AT_EMPTY_PATH: Final = 0x1000
_STATX_BTIME: Final = 0x800
_RENAME_NOREPLACE: Final = 1
_MAX_LINKS: Final = 40  # as the kernel's own limit

_NAMES: Final = {
    0xEF53: "ext4",  # ext2 and ext3 carry the same number
    0x58465342: "xfs",
    0x9123683E: "btrfs",
    0x01021994: "tmpfs",
    0x0BD00BD0: "lustre",
    0x6969: "nfs",
    0xFF534D42: "cifs",
    0xFE534D42: "smb2",
    0x65735546: "fuse",
    0x794C7630: "overlayfs",
    0x2FC12FC1: "zfs",
    0x47504653: "gpfs",
    0x19830326: "beegfs",
    0x00C36400: "ceph",
    0x517: "smb",
}
_SYNCFS_REPORTS: Final = frozenset({"ext4", "xfs", "btrfs", "tmpfs"})
_SYNCFS_KERNEL: Final = (5, 8)  # before it, syncfs swallowed write errors (commit 735e4ae5ba28)

_libc: Final = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class Space(NamedTuple):
    """What is free for an ordinary user. inodes is None where the file system has no fixed number of them."""

    free_bytes: int
    total_bytes: int
    free_inodes: int | None


def file_system(fd: int) -> str:
    """The name of the file system of an open file, or its magic number in hex. Raises OSError."""
    buffer = ctypes.create_string_buffer(512)
    _checked(_libc.fstatfs(fd, buffer))
    # f_type is the first field, a long of which 32 bits carry the number (sign-extended for some)
    magic = ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF
    return _NAMES.get(magic, f"0x{magic:x}")


def space(fd: int) -> Space:
    """Raises OSError."""
    stat = os.fstatvfs(fd)
    return Space(stat.f_bavail * stat.f_frsize, stat.f_blocks * stat.f_frsize, stat.f_favail if stat.f_files else None)


def kernel_version(release: str) -> tuple[int, int]:
    """(major, minor) of a text like '6.1.0-18-amd64'; (0, 0) where it has no such form."""
    major, _, rest = release.partition(".")
    minor = rest.split(".")[0].split("-")[0]
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)


def syncfs_reports_errors(name: str, release: str) -> bool:
    """Whether one syncfs proves as much as an fsync of every file: local file systems of known kernels only."""
    return name in _SYNCFS_REPORTS and kernel_version(release) >= _SYNCFS_KERNEL


def openat2(dir_fd: int, path: bytes, flags: int, mode: int, resolve: int) -> int:
    """Raises OSError: EXDEV where the path leaves dir_fd, ELOOP for a link that is not allowed, ENOSYS without it."""
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    for _ in range(16):
        fd: int = _libc.syscall(_SYS_OPENAT2, dir_fd, path, ctypes.byref(how), ctypes.sizeof(how))
        # EAGAIN: a rename elsewhere raced with `..` in a link, and the kernel could not vouch for the result
        if fd >= 0 or ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
            break
    return _checked(fd)


def open_beneath(root_fd: int, path: bytes, flags: int, *, follow: bool) -> int:
    """openat2's RESOLVE_BENEATH by hand: one component at a time, none of them followed by the kernel.

    Raises OSError as openat2 does: EXDEV where the path leads outside, ELOOP after too many links.
    """
    todo = path.split(b"/")[::-1]
    way = [os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root_fd)]
    links = 0
    try:
        while todo:
            name = todo.pop()
            if name in (b"", b"."):
                continue
            if name == b"..":
                if len(way) == 1:
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
                os.close(way.pop())
                continue
            target = _link_target(name, way[-1]) if follow else None
            if target is not None:
                links += 1
                if links > _MAX_LINKS or target.startswith(b"/"):
                    code = errno.ELOOP if links > _MAX_LINKS else errno.EXDEV
                    raise OSError(code, os.strerror(code))
                todo.extend(target.split(b"/")[::-1])
                continue
            if not any(todo):
                return os.open(name, flags | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=way[-1])
            way.append(os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=way[-1]))
        return os.open(".", flags | os.O_CLOEXEC, dir_fd=way[-1])
    finally:
        for fd in way:
            os.close(fd)


def _link_target(name: bytes, dir_fd: int) -> bytes | None:
    try:
        return os.readlink(name, dir_fd=dir_fd)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None  # it is no link
        raise


def rename_no_replace(dir_fd: int, old: bytes, new: bytes, into: int | None = None) -> None:
    """Rename within one directory, or into the one of the descriptor `into`, atomically refusing to replace.

    Raises FileExistsError, IsADirectoryError where what stands there is a directory, OSError. Lustre and NFS refuse
    the flag with EINVAL; a hard link is as atomic there.
    """
    new_dir_fd = dir_fd if into is None else into
    try:
        _rename_or_link(dir_fd, old, new_dir_fd, new)
    except FileExistsError as error:
        if stat.S_ISDIR(os.stat(new, dir_fd=new_dir_fd, follow_symlinks=False).st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)) from error
        raise


def _rename_or_link(dir_fd: int, old: bytes, new_dir_fd: int, new: bytes) -> None:
    call = getattr(_libc, "renameat2", None)
    if call is not None:
        try:
            _checked(call(dir_fd, old, new_dir_fd, new, _RENAME_NOREPLACE))
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
                raise
        else:
            return
    os.link(old, new, src_dir_fd=dir_fd, dst_dir_fd=new_dir_fd, follow_symlinks=False)
    os.unlink(old, dir_fd=dir_fd)


def birth_ns(fd: int) -> int | None:
    """When the inode was made; None where the file system does not say. It tells a reused inode number apart."""
    call = getattr(_libc, "statx", None)
    buffer = ctypes.create_string_buffer(256)
    if call is None or call(fd, b"", _AT_EMPTY_PATH, _STATX_BTIME, buffer) != 0:
        return None
    raw = buffer.raw
    if not int.from_bytes(raw[0:4], sys.byteorder) & _STATX_BTIME:
        return None
    # struct statx: stx_btime is 8 bytes of seconds and 4 of nanoseconds at offset 80
    return int.from_bytes(raw[80:88], sys.byteorder, signed=True) * 10**9 + int.from_bytes(raw[88:92], sys.byteorder)


def lasting_identity(fd: int) -> str:
    """Names an inode for good, '' where that cannot be done.

    By its time of birth too: the number alone is given to another file as soon as the first is removed.
    """
    inode = os.fstat(fd).st_ino
    born = birth_ns(fd)
    if born is None and file_system(fd) != "lustre":  # Lustre never gives an inode number twice
        return ""
    return f"{inode}:{born or 0}"


class GroupSync:
    """One syncfs for many files, shared by threads; nobody misses an error that another has seen.

    The kernel reports a write error once on each descriptor. So all callers share this one, opened before the first
    write, and every error raises `generation`: whoever wrote under an older one has lost its bytes, perhaps, and must
    write them anew.
    """

    def __init__(self, dir_fd: int) -> None:
        """Opens the file system of dir_fd anew: a duplicate would share its error mark with others. Raises OSError."""
        self._fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=dir_fd)
        self._turn = threading.Lock()
        self._started = 0
        self._finished = 0  # the number of the latest syncfs that ended, as counted by _started
        self.generation = 0
        self.last_error: OSError | None = None

    def sync(self) -> None:
        """Everything written before this call is on disk, unless generation grew; see last_error then."""
        arrival = self._started
        with self._turn:
            if self._finished > arrival:
                return  # one that began after this call's writes has ended while we waited: it covers them
            self._started += 1
            number = self._started
            if _libc.syncfs(self._fd) != 0:
                code = ctypes.get_errno()
                self.last_error = OSError(code, os.strerror(code))
                self.generation += 1
            self._finished = number

    def close(self) -> None:
        os.close(self._fd)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result

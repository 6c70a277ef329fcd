"""Which file system a path lies on, as far as it matters to a database: shared ones lose WAL and its locks."""

import ctypes
import os
import sys
from pathlib import Path
from typing import Final

from headrace_queue.errors import UnsafeQueue

# f_type as in statfs(2) and linux/magic.h; Lustre's as in lustre_user.h
SHARED: Final[dict[int, str]] = {
    0x0BD00BD0: "Lustre",
    0x6969: "NFS",
    0x517B: "SMB",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB2",
    0x47504653: "GPFS",
    0x19830326: "BeeGFS",
    0x00C36400: "Ceph",
    0x01021997: "9p",
    0x5346414F: "AFS",
}

_STATFS_BYTES: Final = 512  # struct statfs is 120 bytes; f_type is its first word on the 64-bit Linux machines


def magic(path: Path) -> int:
    """The f_type of the file system below an existing path. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    if libc.statfs(os.fsencode(path), buffer) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(path))
    # sign-extended on some kernels: only 32 bits count
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF


def refuse_shared(path: Path) -> None:
    """Raises UnsafeQueue where path lies, or would lie, on a shared file system; OSError where nobody can tell."""
    if sys.platform != "linux":
        return
    existing = path
    while not existing.exists():
        existing = existing.parent
    name = SHARED.get(magic(existing))
    if name is not None:
        raise UnsafeQueue(
            f"{path}: lies on {name}, where SQLite's locks and shared memory do not hold and the queue gets lost. "
            "Set state_dir or queue in config.toml to a path on a local disk."
        )

"""Written files take their own names: the rename of one folder's files, each with what went wrong as a value."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from headrace_daemon.files import mounts
from headrace_daemon.files.folding import FoldedGroup, Folding
from headrace_daemon.files.names import Blocked, FileError, FileFault, file_error
from headrace_daemon.files.root import Root

if TYPE_CHECKING:
    from headrace_daemon.files.landing import Pending


def take_names(root: Root, folding: Folding, folder: str, pendings: Sequence["Pending"]) -> Sequence[FileError | None]:
    """Of files in this folder. Resolves it anew: one that was moved away since the write must not carry its files
    elsewhere."""

    def step(dir_fd: int) -> list[FileError | None]:
        group = folding.group(dir_fd, folder, [pending.place.name for pending in pendings])
        return [_take_name(root, dir_fd, pending, group) for pending in pendings]

    try:
        return root.within(folder, step, fresh=True)
    except FileError as error:
        return [error] * len(pendings)
    except OSError as error:
        return [FileFault(p.key, f"its folder is gone ({error.strerror})") for p in pendings]


def _take_name(root: Root, dir_fd: int, pending: "Pending", group: FoldedGroup | None) -> FileError | None:
    temp, name, key = pending.place.temp, pending.place.name, pending.key
    try:
        found = os.stat(temp, dir_fd=dir_fd, follow_symlinks=False)
        if (found.st_ino, found.st_size, found.st_mtime_ns // 10**9) != (pending.inode, pending.size, pending.mtime):
            # a worker that lost its lease without knowing must not give its name to the other's half-written file
            return FileFault(key, "another writer took over its temporary file")
        root.about_to_change(pending.place.folder, name)
        if group is not None:
            group.rename(key, temp, name, no_clobber=pending.no_clobber)
        elif pending.no_clobber:
            mounts.rename_no_replace(dir_fd, temp, name)
        else:
            os.rename(temp, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except FileError as error:
        return error
    except FileNotFoundError:
        return FileFault(key, "its temporary file is gone")
    except IsADirectoryError:
        return Blocked(key, f"{key}/ is a folder here, and a file is needed")
    except OSError as error:
        return file_error(error, key)
    return None

"""What files and folders get that a job makes: a group, and a umask in place of the process's own.

The process's umask is one for all threads and jobs, so it is never changed: what is made is given its mode at once, by
its descriptor, before anything is written to it. Without a word on either, nothing is done: the kernel decides as for
any new file. A folder keeps the setgid bit that it inherited, so that files which others put there get its group.
"""

import os
import stat
from dataclasses import dataclass
from typing import Final

from headrace_daemon.files.acting import may_give_away
from headrace_queue.config import TransferConfig
from headrace_queue.errors import UsageError
from headrace_queue.jobs import JobSpec
from headrace_queue.new_files import group_number, umask_of

_FILE: Final = 0o666
_FOLDER: Final = 0o777
_OPEN_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Making:
    """gid, umask: None to leave it to the kernel."""

    gid: int | None = None
    umask: int | None = None

    @property
    def file_mode(self) -> int:
        """To make a file with: from its first moment, nobody may do more with it than in the end. Who opened it before
        give_file() would go on reading."""
        return _FILE & ~(self.umask or 0)

    @property
    def folder_mode(self) -> int:
        """Likewise."""
        return _FOLDER & ~(self.umask or 0)

    def give_file(self, fd: int) -> None:
        """To a file that was just made. Raises OSError."""
        if self.gid is not None:
            os.fchown(fd, -1, self.gid)
        if self.umask is not None:
            os.fchmod(fd, _FILE & ~self.umask)

    def give_link(self, dir_fd: int, name: bytes) -> None:
        """To a symbolic link that was just made; it has no mode of its own. Raises OSError."""
        if self.gid is not None:
            os.chown(name, -1, self.gid, dir_fd=dir_fd, follow_symlinks=False)

    def give_folder(self, name: bytes | str, dir_fd: int | None = None) -> None:
        """To a folder that was just made. Raises OSError."""
        if self == AS_ANY:
            return
        fd = os.open(name, _OPEN_FOLDER, dir_fd=dir_fd)
        try:
            if self.gid is not None:
                os.fchown(fd, -1, self.gid)
            if self.umask is not None:
                os.fchmod(fd, _FOLDER & ~self.umask | os.fstat(fd).st_mode & stat.S_ISGID)
        finally:
            os.close(fd)


AS_ANY: Final = Making()
"""As any file that this process makes."""


def making_of(spec: JobSpec, config: TransferConfig) -> Making:
    """What a job asks for, else what [transfer] says. A job of the HTTP API makes files as its user would.

    Raises UsageError for a group that this host does not know, or that this process may not give to files.
    """
    if spec.owner is not None:
        return AS_ANY
    group, umask = spec.options.group or config.group, spec.options.umask
    if umask is None and config.umask is not None:
        umask = umask_of(config.umask)
    return Making(None if group is None else usable_group(group), umask)


def usable_group(group: str) -> int:
    """The group's number; a file's owner may give it only to groups that they are in (chown(2)). Raises UsageError."""
    gid = group_number(group)
    if gid not in (os.getegid(), *os.getgroups()) and not may_give_away():
        why = f"the daemon runs as user {os.geteuid()}, who is not in it, and so may not give files to it"
        remedy = f"Add the daemon's user to the group (usermod -aG {group} USER) and start the daemon anew."
        raise UsageError(f"group {group!r}", why, remedy)
    return gid

"""What this host tells of a path: the file itself, where a link leads, and on Lustre where its data is."""

import grp
import os
import pwd
import stat
from collections.abc import Callable

from headrace_daemon.exploring.told import Told
from headrace_daemon.files.lfs import lustre_of, section_of
from headrace_daemon.files.lustre import HsmFlag, HsmState, LustreError, Striping
from headrace_daemon.files.mounts import file_system
from headrace_daemon.files.walk import kind_of
from headrace_queue.config import Config
from headrace_queue.errors import UsageError


def tell_file(path: str, config: Config) -> Told:
    """Blocking. Raises UsageError where nothing is there, OSError."""
    try:
        status = os.stat(path, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        remedy = "Correct the path; is the file system mounted?"
        raise UsageError(path, "there is no such file or folder", remedy) from None
    mode = status.st_mode
    told = Told(_kind(mode), path)
    if stat.S_ISLNK(mode):
        target = os.readlink(path)
        told.add("target", target, target if os.path.exists(path) else f"{target} (nothing is there)")
    if stat.S_ISREG(mode):
        told.add_size("size", status.st_size)
        told.add_size("on_disk", status.st_blocks * 512)
    told.add("mode", f"{stat.S_IMODE(mode):04o}", f"{stat.filemode(mode)} ({stat.S_IMODE(mode):04o})")
    told.add("owner", _name(status.st_uid, lambda: pwd.getpwuid(status.st_uid).pw_name))
    told.add("group", _name(status.st_gid, lambda: grp.getgrgid(status.st_gid).gr_name))
    told.add_time("modified", status.st_mtime_ns)
    told.add_time("changed", status.st_ctime_ns)
    told.add_time("read", status.st_atime_ns)
    told.add("links", status.st_nlink if stat.S_ISREG(mode) and status.st_nlink > 1 else None)
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        _add_file_system(told, path, config, is_file=stat.S_ISREG(mode))
    return told


def _kind(mode: int) -> str:
    named = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
    return named.get(stat.S_IFMT(mode)) or kind_of(mode)


def _name(number: int, look_up: Callable[[], str]) -> str:
    try:
        return f"{look_up()} ({number})"
    except KeyError:
        return str(number)


def _add_file_system(told: Told, path: str, config: Config, *, is_file: bool) -> None:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        told.add("file_system", file_system(fd))
        lustre = lustre_of(section_of(config.fsx, path), fd)
    finally:
        os.close(fd)
    if lustre is None:
        return
    try:
        if is_file:
            told.add("lustre", state_text(lustre.states([path])[0]))
        told.add("striping", striping_text(lustre.striping(path)))
    except LustreError as error:
        told.refuse("lustre", str(error))


def state_text(state: HsmState | None) -> str:
    """Where the data of a file is."""
    if state is None:
        return "Lustre does not tell"
    where = "released: reading it brings its data back from S3" if state.released else "its data is here"
    words = [where]
    if HsmFlag.ARCHIVED in state.flags:
        words.append("exported to S3" + (", and changed since" if HsmFlag.DIRTY in state.flags else ""))
    if HsmFlag.LOST in state.flags:
        words.append("the copy in S3 is LOST")
    if state.action != "NOOP":
        words.append(f"{state.action.lower()} is under way")
    return "; ".join(words)


def striping_text(striping: Striping | None) -> str:
    """Over how many targets, in pieces of what size."""
    if striping is None:
        return ""
    over = "all" if striping.stripe_count == -1 else str(striping.stripe_count)
    return f"over {over} OSTs, {striping.stripe_size:,} bytes each" + (
        f", the first of {striping.components} components" if striping.components > 1 else ""
    )

"""A tree as pages of files in key order, restartable after any key, in memory that does not grow with the tree.

S3 lists by the bytes of whole keys, where a folder `test` stands as `test/`: its files come behind `test-123.txt` and
`test.txt`, although `test` alone sorts before both. So each directory is sorted with `/` behind the names of folders,
and a file is looked at only when its turn comes.

Symbolic links, by the policy of the root: followed, one that leads to a regular file inside the root counts as that
file; stored, every link is an entry of its own, its content the target's path; else, and where it cannot be followed, a
link is reported and passed over. A linked directory is never entered, so no loop can arise.

With encoded names the keys are what `encoding` makes of the paths, and each directory is sorted by what its names stand
for. Only a component of more than 255 bytes, which is a folder of its own, can still come out of order.
"""

import errno
import heapq
import os
import stat
import sys
import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import dropwhile
from typing import IO, Final, NamedTuple

from headrace_daemon.files.encoding import GOES_ON, decode, decode_path, encode_path, is_plain
from headrace_daemon.files.lustre import is_hollow
from headrace_daemon.files.names import FileError, FileFault, file_error, is_temp_name, raw_name, shown
from headrace_daemon.files.root import Root

PAGE: Final = 1000  # entries; as an S3 listing
SPILL: Final = 200_000  # names of one directory that are sorted in memory, about 20 MB

HIDING: Final = frozenset({"access_denied", "io_error", "blocked"})
"""Words of problems that may hide any number of files: what is missing after them is unknown, not gone."""


class FileEntry(NamedTuple):
    """One regular file, or a link that is stored, or a folder (its key ends in `/`). key is relative to the root; size
    in bytes. hollow: when its inode last changed (nanoseconds), of a file that has a size and no blocks, as one has
    whose data Lustre released; else 0."""

    key: str
    size: int
    mtime_ns: int
    hollow: int = 0


class Problem(NamedTuple):
    """Something that is no entry. name: its printable path, with a `/` behind a directory's.

    error: `bad_name` (not UTF-8), `special_file` (socket, pipe, device), `symlink` (passed over), `access_denied`,
    `io_error`, `blocked`; see HIDING.
    """

    name: str
    error: str
    message: str


class WalkPage(NamedTuple):
    """Up to PAGE entries in key order, and what was met between them."""

    entries: list[FileEntry]
    problems: list[Problem]


class Manner(NamedTuple):
    """How a tree is listed. encoded: names stand for keys by --encode-names. empty_folders, all_folders: they are
    entries too, each before what lies in it."""

    encoded: bool = False
    empty_folders: bool = False
    all_folders: bool = False


PLAIN: Final = Manner()


class _Level(NamedTuple):
    """A directory that is being walked: its path with a closing `/` ('' for the root), and the names still to come."""

    prefix: str
    names: Iterator[str]


def walk(
    root: Root, after: str = "", *, manner: Manner = PLAIN, spill: int = SPILL, page: int = PAGE
) -> Iterator[WalkPage]:
    """Every regular file whose key sorts behind `after`, exactly as a walk from the start would give the rest.

    It seeks down the tree: what sorts before `after` is not walked. A page ends with an entry wherever one follows, so
    that going on after the last key repeats no problem either. Headrace's own temporary files are left out. Raises
    RootLost, also at the end where the root vanished on the way: a part of a tree must not pass for the whole. Raises
    FileFault where this process lacks descriptors, memory or temporary space. Never out of order without encoded names;
    with them the caller has to look.
    """
    root.check()
    entries: list[FileEntry] = []
    problems: list[Problem] = []
    for found in _visit(root, after, manner, spill):
        if isinstance(found, Problem):
            problems.append(found)
            if len(problems) < 10 * page:
                continue
        else:
            entries.append(found)
            if len(entries) < page:
                continue
        yield WalkPage(entries, problems)
        entries, problems = [], []
    root.check()
    if entries or problems:
        yield WalkPage(entries, problems)


def _visit(root: Root, after: str, manner: Manner, spill: int) -> Iterator[FileEntry | Problem]:
    """Depth first; a stack instead of recursion, because a key may be a thousand levels deep."""
    stack: list[_Level] = []
    folder: str | None = ""
    taken = ""
    while True:
        if folder is not None:
            found = _descend(root, folder, after, manner, spill, stack)
            # with encoded names a file may have the folder's key: its content goes first, and a key goes once
            if found is not None and (isinstance(found, Problem) or found.key != taken):
                yield found
            folder = None
        if not stack:
            return
        prefix, names = stack[-1]
        name = next(names, None)
        if name is None:
            stack.pop()
        elif name.endswith("/") and (manner.encoded or _is_utf8(name)):
            folder = prefix + name
        elif (met := _look(root, prefix, name, manner)) is not None:
            taken = met.key if isinstance(met, FileEntry) else ""
            yield met


def _descend(
    root: Root, prefix: str, after: str, manner: Manner, spill: int, stack: list[_Level]
) -> FileEntry | Problem | None:
    """Reads a directory onto the stack, from `after` on; what to tell of the directory itself."""
    found = None
    key = decode(prefix) if manner.encoded else prefix
    try:
        fd = root.open_folder(prefix.removesuffix("/"))
    except FileNotFoundError:
        return None  # it went away between its parent's listing and now
    except (OSError, FileError) as error:
        return problem_of(root, key, error)
    try:
        names = sorted_names(fd, spill, after[len(key) :] if after.startswith(key) else "", encoded=manner.encoded)
        if prefix and key > after and (manner.all_folders or (manner.empty_folders and not os.listdir(fd))):
            found = _folder(fd, prefix, manner)
    except OSError as error:
        return problem_of(root, key, error)
    finally:
        os.close(fd)
    stack.append(_Level(prefix, names))
    return found


def _folder(fd: int, prefix: str, manner: Manner) -> FileEntry | Problem | None:
    """A folder as an entry. One whose name goes on in the next one stands for nothing by itself."""
    if manner.encoded and prefix.endswith(f"{GOES_ON}/") and os.listdir(fd):
        return None
    try:
        key = decode_path(prefix.removesuffix("/")) if manner.encoded else prefix.removesuffix("/")
    except FileError as error:
        return Problem(shown(prefix), error.code, error.reason)
    return FileEntry(f"{key}/", 0, os.fstat(fd).st_mtime_ns)


def look_at(root: Root, keys: Iterable[str], manner: Manner = PLAIN) -> WalkPage:
    """What a walk would tell of these files; nothing of one that is not there. Raises RootLost, FileFault."""
    page = WalkPage([], [])
    for key in keys:
        folder, slash, name = (encode_path(key) if manner.encoded else key).rpartition("/")
        if not name or (found := _look(root, folder + slash, name, manner)) is None:
            continue
        if isinstance(found, Problem):
            page.problems.append(found)
        else:
            page.entries.append(found)
    return page


def _look(root: Root, prefix: str, name: str, manner: Manner) -> FileEntry | Problem | None:
    """One name that is no directory to enter."""
    path = key = prefix + name
    if manner.encoded and not (is_plain(prefix) and is_plain(name)):
        try:
            key = decode_path(path)
        except FileError as error:
            return Problem(shown(path), error.code, error.reason)
    elif not _is_utf8(name):
        return Problem(shown(path), "bad_name", "the name is not valid UTF-8")
    raw = raw_name(name)
    try:
        status = root.within(prefix.removesuffix("/"), lambda fd: os.stat(raw, dir_fd=fd, follow_symlinks=False))
        if stat.S_ISLNK(status.st_mode) and root.links != "store":
            return _look_beyond(root, path, key)
    except FileNotFoundError:
        return None
    except (OSError, FileError) as error:
        return problem_of(root, key, error)
    if stat.S_ISREG(status.st_mode):
        return FileEntry(key, status.st_size, status.st_mtime_ns, _hollow_since(status))
    if stat.S_ISLNK(status.st_mode):
        return FileEntry(key, status.st_size, status.st_mtime_ns)
    return Problem(shown(key), "special_file", f"{kind_of(status.st_mode)}: it has no content that could be stored")


def kind_of(mode: int) -> str:
    """What is neither file, folder nor link, for people."""
    kinds = {
        stat.S_IFSOCK: "a socket",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFCHR: "a character device",
        stat.S_IFBLK: "a block device",
    }
    return kinds.get(stat.S_IFMT(mode), "neither a regular file nor a directory")


def _hollow_since(status: os.stat_result) -> int:
    return status.st_ctime_ns if is_hollow(status) else 0


def _look_beyond(root: Root, path: str, key: str) -> FileEntry | Problem:
    if not root.follow_links:
        return Problem(shown(key), "symlink", "a symbolic link; it is not followed here")
    try:
        status = root.status_beyond(path)
    except OSError as error:
        return Problem(shown(key), "symlink", f"a symbolic link that leads nowhere inside the root ({error.strerror})")
    if stat.S_ISREG(status.st_mode):
        return FileEntry(key, status.st_size, status.st_mtime_ns, _hollow_since(status))
    return Problem(shown(key), "symlink", "a symbolic link to something that is no regular file; it is not followed")


def problem_of(root: Root, key: str, error: OSError | FileError) -> Problem:
    """Raises RootLost, or FileFault, where the reason is not this file: all that follows would be reported as bad."""
    root.check()
    leaf = file_error(error, key) if isinstance(error, OSError) else error
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        raise leaf
    return Problem(shown(key), leaf.code, leaf.reason)


# -- the names of one directory ---------------------------------------------------------------------------------------


def sorted_names(fd: int, spill: int, after: str, *, encoded: bool) -> Iterator[str]:
    """Names in order, `/` behind directories, from the one that leads to `after` on. Raises OSError."""
    order = _meaning if encoded else None
    runs: list[IO[bytes]] = []
    names: list[str] = []
    try:
        with os.scandir(fd) as found:
            for entry in found:
                name = _text(entry.name)
                if is_temp_name(name):
                    continue
                names.append(name + "/" if entry.is_dir(follow_symlinks=False) else name)
                if len(names) >= spill:
                    runs.append(_run(names, order))
                    names = []
    except BaseException:
        for run in runs:
            run.close()
        raise
    names.sort(key=order)
    if encoded:
        return (name for name in _merged(names, runs, order) if not after or _leads_behind(name, decode(name), after))
    head, slash, _ = after.partition("/")
    if not runs:
        start = bisect_left(names, head + slash) if slash else bisect_right(names, after)
        return iter(names[start:] if start else names)
    before: Callable[[str], bool] = (lambda name: name < head + slash) if slash else (lambda name: name <= after)
    return dropwhile(before, _merged(names, runs, order))


def _merged(names: list[str], runs: list[IO[bytes]], order: Callable[[str], tuple[str, bool]] | None) -> Iterator[str]:
    return heapq.merge(iter(names), *map(_read_run, runs), key=order) if runs else iter(names)


def _meaning(name: str) -> tuple[str, bool]:
    """What a name is sorted by: the file that stands for `b/` comes before what lies in the folder `b/`."""
    return decode(name), name.endswith("/")


def _leads_behind(name: str, meaning: str, after: str) -> bool:
    """Whether a key at or below this name sorts behind `after`; meaning: what the name stands for."""
    return meaning > after or (name.endswith("/") and after.startswith(meaning))


def _run(names: list[str], order: Callable[[str], tuple[str, bool]] | None) -> IO[bytes]:
    """A sorted run in an unnamed temporary file, names ended by the one byte that no name has.

    Raises FileFault: a full temporary directory is no fault of the directory that is listed, and must not hide it.
    """
    names.sort(key=order)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by whoever reads it to its end
    try:
        file.write(b"".join(name.encode("utf-8", "surrogateescape") + b"\0" for name in names))
        file.seek(0)
    except OSError as error:
        file.close()
        raise FileFault(tempfile.gettempdir(), f"a large directory cannot be sorted there: {error.strerror}") from error
    return file


def _read_run(file: IO[bytes]) -> Iterator[str]:
    with file:
        rest = b""
        while chunk := file.read(64 << 10):
            *whole, rest = (rest + chunk).split(b"\0")
            for name in whole:
                yield name.decode("utf-8", "surrogateescape")


def _text(name: str) -> str:
    """scandir decodes by the locale; keys are UTF-8 everywhere."""
    if _LOCALE_IS_UTF8:
        return name
    return os.fsencode(name).decode("utf-8", "surrogateescape")


_LOCALE_IS_UTF8: Final = sys.getfilesystemencoding().lower() == "utf-8"


def _is_utf8(name: str) -> bool:
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True

"""Everything in a tree, folders and links included, as members of a tar, in key order."""

import os
import stat
from collections.abc import Callable, Generator, Iterator
from typing import Final, NamedTuple

from headrace_daemon.files.guarded import GuardedRoot
from headrace_daemon.files.names import FileError, raw_name, shown
from headrace_daemon.files.reading import fingerprint
from headrace_daemon.files.root import Root
from headrace_daemon.files.tar import Member, MemberKind
from headrace_daemon.files.walk import PAGE, SPILL, Problem, kind_of, problem_of, sorted_names

SPECIAL: Final = "special_file"
"""The one problem that hides nothing: a socket, a pipe or a device has no content that could be stored."""


class TreePage(NamedTuple):
    """Up to PAGE members in key order, and what was met between them."""

    members: list[Member]
    problems: list[Problem]


class Selected(NamedTuple):
    """What of a tree is wanted. takes: a file, a link or a folder (a `/` behind its name) by itself. enters: whether
    anything below a folder can be wanted."""

    takes: Callable[[str], bool]
    enters: Callable[[str], bool]


def walk_tree(root: Root, selected: Selected, *, page: int = PAGE) -> Generator[TreePage, None, None]:
    """The folder itself first, then all that is selected below it, links as links.

    A file that this process may not read is a problem, and so is a folder that it may not list. What vanishes on the
    way is left out, and so are Headrace's own temporary files. Raises RootLost, also at the end where the root vanished
    on the way, and FileFault where this process lacks descriptors, memory or temporary space.
    """
    root.check()
    members: list[Member] = []
    problems: list[Problem] = []
    for found in _visit(root, selected):
        if isinstance(found, Problem):
            problems.append(found)
        else:
            members.append(found)
        if len(members) + len(problems) >= page:
            yield TreePage(members, problems)
            members, problems = [], []
    root.check()
    if members or problems:
        yield TreePage(members, problems)


def _visit(root: Root, selected: Selected) -> Iterator[Member | Problem]:
    """Depth first; a stack instead of recursion, because a tree may be a thousand levels deep."""
    stack: list[tuple[str, Iterator[str]]] = []
    folder: str | None = ""
    while True:
        if folder is not None:
            met = _enter(root, folder, stack)
            # the folder itself is always there: an archive without it would spill into wherever it is unpacked
            if met is not None and (isinstance(met, Problem) or not folder or selected.takes(folder)):
                yield met
            folder = None
        if not stack:
            return
        prefix, names = stack[-1]
        name = next(names, None)
        if name is None:
            stack.pop()
        elif name.endswith("/"):
            folder = prefix + name if selected.enters(prefix + name) else None
        elif selected.takes(prefix + name) and (found := _look(root, prefix, name)) is not None:
            yield found


def _enter(root: Root, prefix: str, stack: list[tuple[str, Iterator[str]]]) -> Member | Problem | None:
    """Reads a folder onto the stack; the folder itself."""
    try:
        fd = root.open_folder(prefix.removesuffix("/"))
    except FileNotFoundError:
        return None
    except (OSError, FileError) as error:
        return problem_of(root, prefix, error)
    try:
        status = os.fstat(fd)
        names = sorted_names(fd, SPILL, "", encoded=False)
    except OSError as error:
        return problem_of(root, prefix, error)
    finally:
        os.close(fd)
    stack.append((prefix, names))
    return _member(prefix, MemberKind.FOLDER, status)


def _look(root: Root, prefix: str, name: str) -> Member | Problem | None:
    path = prefix + name
    try:
        return root.within(prefix.removesuffix("/"), lambda fd: _seen(root, path, raw_name(name), fd))
    except FileNotFoundError:
        return None
    except (OSError, FileError) as error:
        return problem_of(root, path, error)


def _seen(root: Root, path: str, raw: bytes, fd: int) -> Member | Problem:
    """Raises OSError, also where the file cannot be read."""
    status = os.stat(raw, dir_fd=fd, follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        return _member(path, MemberKind.LINK, status, target=_text(os.readlink(raw, dir_fd=fd)))
    if not stat.S_ISREG(status.st_mode):
        return Problem(shown(path), SPECIAL, f"{kind_of(status.st_mode)}: it has no content that could be stored")
    if status.st_size:
        _check_readable(root, path, raw, fd)
    return _member(path, MemberKind.FILE, status)


def _text(raw: bytes) -> str:
    """As names are read: whatever the locale, bytes that are no UTF-8 survive."""
    return raw.decode("utf-8", "surrogateescape")


def _check_readable(root: Root, path: str, raw: bytes, fd: int) -> None:
    """Before the first byte is sent: a tar without a file that should be in it must not come to be.

    Raises OSError, FileError.
    """
    if not isinstance(root, GuardedRoot) and os.access(
        raw, os.R_OK, dir_fd=fd, effective_ids=True, follow_symlinks=False
    ):
        return
    # a guarded root has its own rules, and a container may refuse that question whatever its answer: opening tells
    os.close(root.open(path, os.O_RDONLY | os.O_NONBLOCK))


def _member(name: str, kind: MemberKind, status: os.stat_result, target: str = "") -> Member:
    is_file = kind is MemberKind.FILE
    return Member(
        name,
        kind,
        status.st_size if is_file else 0,
        status.st_mtime_ns,
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        target,
        fingerprint(status) if is_file else "",
    )

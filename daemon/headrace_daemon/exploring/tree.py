"""What is in a folder of this host: one level, or every file below it."""

import os
import stat
from collections.abc import Callable, Generator
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from headrace_daemon.exploring.finds import Find, Finds, Kind
from headrace_daemon.files.names import raw_name
from headrace_daemon.files.root import LinkPolicy, Root
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.files.walk import SPILL, Problem, sorted_names
from headrace_daemon.planner.listing import list_files

_PAGE: Final = 500


async def below(path: str, threads: FileThreads, links: LinkPolicy, tell: Callable[[Problem], None]) -> Finds:
    """Every file below a folder, by the order of keys. links: `store` shows each as itself, `skip` leaves them out.

    tell: is told what could not be listed. Raises UsageError where there is no such folder, JobFailure, FileError.
    """
    root = await threads.run(lambda: Root.source(path, links=links))
    try:
        async with aclosing(list_files(root, threads)) as pages:
            async for page in pages:
                for problem in page.problems:
                    tell(Problem(*problem))
                yield [Find(entry.key, "file", entry.size, entry.mtime_ns) for entry in page.entries]
    finally:
        root.close()


async def level(path: str, threads: FileThreads) -> Finds:
    """What is directly in a folder, by the order of keys. Raises OSError where it cannot be read."""
    async with aclosing(_paged(_level(path), threads)) as pages:
        async for page in pages:
            yield page


async def everything(path: str, threads: FileThreads, tell: Callable[[Problem], None]) -> Finds:
    """All that is below a folder, whatever it is, by the order of keys; of folders those that are empty.

    tell: is told of folders that cannot be read. Raises OSError where this one cannot.
    """
    async with aclosing(_paged(_deep(path, "", tell), threads)) as pages:
        async for page in pages:
            yield page


async def _paged(finds: Generator[list[Find], None, None], threads: FileThreads) -> Finds:
    try:
        while (page := await threads.run(next, finds, None)) is not None:
            yield page
    finally:
        finds.close()


def one_path(path: str, name: str) -> Find | None:
    """A file or link by itself; None for a folder, which holds others. Raises OSError, also where nothing is there."""
    find = _look(path, name, os.stat(path, follow_symlinks=False))
    return None if os.path.isdir(path) else find


def _level(path: str) -> Generator[list[Find], None, None]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        page: list[Find] = []
        for name in sorted_names(fd, SPILL, "", encoded=False):
            try:
                status = os.stat(raw_name(name.removesuffix("/")), dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                continue  # it went away between the listing and now
            page.append(_look(os.path.join(path, name), name, status))
            if len(page) == _PAGE:
                yield page
                page = []
        if page:
            yield page
    finally:
        os.close(fd)


def _deep(path: str, above: str, tell: Callable[[Problem], None]) -> Generator[list[Find], None, None]:
    """above: what the names begin with, '' or a folder with its slash."""
    for page in _level(path):
        mine: list[Find] = []
        for find in page:
            named = replace(find, name=above + find.name)
            if find.kind != "folder":
                mine.append(named)
                continue
            yield mine
            mine = []
            below, held = _deep(os.path.join(path, find.name.removesuffix("/")), named.name, tell), False
            try:
                for found in below:
                    held = held or bool(found)
                    yield found
            except OSError as error:
                tell(Problem(named.name, "access_denied", error.strerror or str(error)))
                continue
            if not held:
                yield [named]
        yield mine


def _look(path: str, name: str, status: os.stat_result) -> Find:
    mode = status.st_mode
    if stat.S_ISDIR(mode):
        return Find(name.removesuffix("/") + "/", "folder", None, status.st_mtime_ns)
    kind: Kind = "file" if stat.S_ISREG(mode) else "link" if stat.S_ISLNK(mode) else "other"
    target = _target(path) if stat.S_ISLNK(mode) else ""
    return Find(name, kind, status.st_size if kind == "file" else None, status.st_mtime_ns, target=target)


def _target(path: str) -> str:
    """'' for a link that nobody may read, such as those of /proc."""
    try:
        return os.readlink(path)
    except OSError:
        return ""

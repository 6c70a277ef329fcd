"""One job's tree as the process for small files knows it: groups of files are read, written, given their names."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from headrace_daemon.apart.arena import Arena, Region
from headrace_daemon.apart.messages import (
    Close,
    Discard,
    Found,
    Got,
    Landing,
    NewFile,
    Open,
    Read,
    Request,
    Settle,
    Write,
)
from headrace_daemon.apart.process import LARGEST, FileProcess, ProcessEnded
from headrace_daemon.files import landing as here
from headrace_daemon.files.direct import writers
from headrace_daemon.files.names import FileError
from headrace_daemon.files.posix import NOTHING
from headrace_daemon.files.root import Root
from headrace_daemon.transfer.summed import Summed

T = TypeVar("T")

_AT_ONCE: Final = 1000
"""Files of one request to settle or discard."""
_FULL_PAUSE: Final = 0.01
"""Seconds until a request is offered again to a socket that was full."""


class Written(NamedTuple):
    """A small file that lies under its temporary name, by the number under which the process knows it."""

    number: int


Unnamed: TypeAlias = here.Pending | Written
"""A file under its temporary name, wherever it was written."""

Reads: TypeAlias = tuple[list[Summed | FileError | None], bool]
"""What was read, None where it has to be read in another way, and whether a device was waited for."""


class Tree:
    """Opened by open_tree(). Every begin_… gives None where the group cannot be handed over now: use threads then."""

    def __init__(self, process: FileProcess, number: int) -> None:
        self._process = process
        self._number = number
        self._under_way = 0
        self._closing = False

    def begin_read(self, keys: Sequence[str], sizes: Sequence[int], limit: int) -> "asyncio.Future[Reads] | None":
        """sizes: as they were listed. limit: bytes of the largest that is taken. The bytes are a copy of their own."""
        if max(sizes, default=0) > LARGEST:
            return None
        arena = self._process.arena

        def read(got: Got) -> Reads:
            return [_own(one, arena) for one in got.found], got.waited

        def request(region: Region) -> Read:
            return Read(self._number, keys, limit, *region)

        return self._with_region(sum(sizes), request, read)

    def begin_write(
        self, files: Sequence[here.Write], *, no_clobber: bool
    ) -> "asyncio.Future[Sequence[Unnamed | FileError]] | None":
        """As Landing.write_many."""
        if max(len(file.data) for file in files) > LARGEST:
            return None
        view = self._process.arena.view

        def request(region: Region) -> Write:
            start, new = region.start, []
            for key, data, mtime_ns, posix in files:
                size = len(data)
                view[start : start + size] = data
                new.append(NewFile(key, start, size, mtime_ns, None if posix == NOTHING else posix))
                start += size
            return Write(self._number, new, no_clobber)

        def written(answers: list[int | FileError]) -> Sequence[Unnamed | FileError]:
            return [Written(answer) if isinstance(answer, int) else answer for answer in answers]

        return self._with_region(sum(len(file.data) for file in files), request, written)

    async def settle(self, files: Sequence[Written]) -> list[FileError | None]:
        """As Landing.settle. Raises ProcessEnded."""
        results: list[FileError | None] = []
        for start in range(0, len(files), _AT_ONCE):
            group = [file.number for file in files[start : start + _AT_ONCE]]
            results += await self._certainly(Settle(self._number, group))
        return results

    async def discard(self, files: Sequence[Written]) -> None:
        """As Landing.discard. Raises ProcessEnded."""
        for start in range(0, len(files), _AT_ONCE):
            await self._certainly(Discard(self._number, [file.number for file in files[start : start + _AT_ONCE]]))

    def close(self) -> None:
        """Its descriptors are closed when the last step under way has ended."""
        self._closing = True
        self._end_if_idle()

    async def _certainly(self, request: Settle | Discard) -> Any:
        """A request that only this process can do: it is tried again until it is handed over. Raises ProcessEnded."""
        while (answer := self._begin(request, lambda value: value)) is None:
            if self._closing or not self._process.alive:
                raise ProcessEnded("the process for small files ended")
            await asyncio.sleep(_FULL_PAUSE)
        return await answer

    def _with_region(
        self, size: int, request: Callable[[Region], Read | Write], value: Callable[[Any], T]
    ) -> "asyncio.Future[T] | None":
        arena = self._process.arena
        if not size:
            return self._begin(request(Region(0, 0)), value)
        region = arena.take(size)
        if region is None:
            return None
        answer = self._begin(request(region), value, region)
        if answer is None:
            arena.give_back(region)
        return answer

    def _begin(
        self, request: Request, value: Callable[[Any], T], region: Region | None = None
    ) -> "asyncio.Future[T] | None":
        """region: is given back with the answer, and not before it: whoever is cancelled, the process goes on."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def answered(given: Any, error: Exception | None) -> None:
            if not future.done():
                _settle(future, given, error, value)
            if region is not None:
                self._process.arena.give_back(region)
            self._under_way -= 1
            self._end_if_idle()

        if self._closing or not self._process.ask(request, answered):
            return None
        self._under_way += 1
        return future

    def _end_if_idle(self) -> None:
        if (
            self._closing
            and not self._under_way
            and self._process.alive
            and not self._process.tell(Close(self._number))
        ):
            asyncio.get_running_loop().call_later(_FULL_PAUSE, self._end_if_idle)


def _settle(future: "asyncio.Future[T]", given: Any, error: Exception | None, value: Callable[[Any], T]) -> None:
    try:
        if error is not None:
            raise error
        result = value(given)
    except Exception as raised:  # noqa: BLE001 - for whoever waits; the next answers must be read whatever it is
        future.set_exception(raised)
    else:
        future.set_result(result)


def _own(one: Found | FileError | None, arena: Arena) -> Summed | FileError | None:
    """With bytes of its own: the arena is used again."""
    if one is None or isinstance(one, FileError):
        return one
    return one.read._replace(data=bytes(arena.view[one.start : one.start + one.size])), one.crc


_TREES = count()


def open_tree(process: FileProcess | None, root: Root, landing: here.Landing | None = None) -> Tree | None:
    """The tree beneath this root as the process sees it, by the same descriptor; None where small files are better
    handled in threads: across a network, where they wait for a server and not for Python's lock, where rights are
    looked at by this process, and where no single sync makes many files durable.

    landing: of a destination.
    """
    if process is None or type(root) is not Root or writers(root.fd) != 1:
        return None
    if landing is not None and not landing.grouped:
        return None
    number = next(_TREES)
    wanted = None if landing is None else Landing(landing.job_id, landing.created, landing.fsync, root.making)
    asked = Open(number, root.path, root.links, root.follow_links, root.openat2, wanted)
    return Tree(process, number) if process.tell(asked, [root.fd]) else None

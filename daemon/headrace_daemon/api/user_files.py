"""What a user does with files, in requests and before a transfer: beneath their roots, with the rights of their
account, in the file threads. Nothing of a file is in memory but the block that is on its way."""

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from hashlib import blake2b
from typing import Final, TypeVar

from headrace_daemon.api import looking
from headrace_daemon.api.errors import ApiError
from headrace_daemon.api.file_refusals import NO_ROOM, refusal_of
from headrace_daemon.api.incoming import Incoming
from headrace_daemon.api.looking import Entry
from headrace_daemon.api.places import Place
from headrace_daemon.api.who import User
from headrace_daemon.files.acting import MayNotAct
from headrace_daemon.files.names import FileError
from headrace_daemon.files.reading import OpenSource, fingerprint
from headrace_daemon.files.room import Room
from headrace_daemon.files.threads import FileThreads
from headrace_queue.config_api import ApiConfig
from headrace_queue.errors import UsageError
from headrace_queue.units import format_bytes

T = TypeVar("T")

BLOCK: Final = 2**20
"""Bytes of one step."""


def etag_of(status: os.stat_result) -> str:
    """A strong entity tag (RFC 9110, 8.8.3): another one whenever the file was written or replaced."""
    return _etag(fingerprint(status))


def _etag(version: str) -> str:
    return f'"{blake2b(version.encode(), digest_size=16).hexdigest()}"'


class OpenFile:
    """A file that is open for reading. size: bytes when it was opened. fingerprint: of its exact version."""

    def __init__(self, source: OpenSource, threads: FileThreads, path: str) -> None:
        self._source = source
        self._threads = threads
        self._path = path
        self.size = source.size
        self.mtime_ns = source.mtime_ns
        self.fingerprint = source.fingerprint
        self.etag = _etag(source.fingerprint)

    async def blocks(self, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from start up to end. Raises ApiError where the file was written meanwhile: before the last block,
        so that whoever counts the bytes misses some."""
        with _told(self._path):
            for offset in range(start, end, BLOCK):
                block = await self._threads.run(self._source.read_at, offset, min(BLOCK, end - offset))
                if offset + len(block) == end:
                    await self._threads.run(self._source.check)
                yield block

    async def close(self) -> None:
        """Once more does no harm. Done even where whoever waits for it is cancelled."""
        await asyncio.shield(self._threads.begin(_close, self._source))


class UserFiles:
    """All methods raise ApiError: 400, 403, 404, 409, 413, 503, 507."""

    def __init__(self, threads: FileThreads, room: Room, config: ApiConfig) -> None:
        self._threads = threads
        self._room = room
        self._max_small = config.max_small

    async def status(self, user: User, place: Place, *, follow: bool) -> os.stat_result:
        """follow: of what a symbolic link leads to, as long as it stays beneath the root."""
        return await self._step(user, place, partial(looking.status, place, user.account, follow=follow))

    async def read(self, user: User, place: Place, *, offset: int = 0, size: int) -> bytes:
        """At most size bytes from offset on, fewer at the end of the file. size: bounded by max_small."""
        async with self.opened(user, place) as file:
            end = min(file.size, offset + min(size, self._max_small))
            return b"".join([block async for block in file.blocks(offset, end)])

    async def stream(
        self, user: User, place: Place, *, start: int, end: int | None
    ) -> tuple[int, AsyncIterator[bytes]]:
        """The file's size, and its bytes from start up to end (None: all). The iterator has to be run or closed."""
        file = await self.open(user, place)
        stop = file.size if end is None else min(end, file.size)
        return file.size, _and_closed(file, start, stop)

    async def open(self, user: User, place: Place) -> OpenFile:
        """For reading, until it is closed."""
        with _told(place.path):
            opening = self._threads.acting(user.account).begin(looking.open_file, place, user.account)
            source = await self._held(opening, _close)
        return OpenFile(source, self._threads, place.path)

    @asynccontextmanager
    async def opened(self, user: User, place: Place) -> AsyncIterator[OpenFile]:
        file = await self.open(user, place)
        try:
            yield file
        finally:
            await file.close()

    async def write(self, user: User, folder: Place, name: str, chunks: AsyncIterator[bytes]) -> None:
        """On return the file is on disk under its name, all of it; otherwise nothing of it is there.

        The folder has to exist. A file of that name is replaced. More than max_small bytes are refused with 413.
        """
        if "/" in name or name in ("", ".", ".."):
            raise ApiError(400, f"{name!r} is no name of a file", fields=(("body", "file", "it names no file"),))
        with _told(os.path.join(folder.path, name)):
            acting = self._threads.acting(user.account)
            incoming = await self._held(acting.begin(self._incoming, user, folder, name), Incoming.discard)
            try:
                async for block in _blocks(chunks):
                    if incoming.size + len(block) > self._max_small:
                        raise too_large(self._max_small)
                    await acting.run(incoming.add, block)
                await acting.run(incoming.finish)
            finally:
                await asyncio.shield(acting.begin(incoming.discard))

    def _incoming(self, user: User, folder: Place, name: str) -> Incoming:
        return Incoming(folder, name, user.account, self._room, secrets.token_bytes(16))

    async def list(self, user: User, place: Place, after: str, limit: int) -> list[Entry]:
        """What stands in a folder, in the order of names, behind the name `after`; no temporary files of Headrace."""
        return await self._step(user, place, partial(looking.entries, place, user.account, after, limit))

    async def check_upload(self, user: User, place: Place, size: int, *, no_clobber: bool) -> None:
        """Whether a file of `size` bytes may be brought there, and fits: 413 where it does not. Changes nothing."""
        step = partial(looking.check_upload, place, user.account, self._room, secrets.token_bytes(16))
        try:
            await self._step(user, place, partial(step, size, no_clobber=no_clobber))
        except ApiError as error:
            if error.status != NO_ROOM:
                raise
            # nothing broke: what was asked for is larger than what is there (RFC 9110, 15.5.14)
            raise ApiError(413, error.message) from error

    async def check_download(self, user: User, place: Place, *, archive: bool) -> tuple[int, str]:
        """Size and fingerprint of a file that they may read. archive: of a folder; 0, and never the same twice, for
        nobody knows the version of a whole tree."""
        if archive:
            await self._step(user, place, partial(looking.check_folder, place, user.account))
            return 0, f"archive:{secrets.token_hex(16)}"
        async with self.opened(user, place) as file:
            return file.size, file.fingerprint

    async def _step(self, user: User, place: Place, step: Callable[[], T]) -> T:
        with _told(place.path):
            return await self._threads.acting(user.account).run(step)

    async def _held(self, opening: "asyncio.Future[T]", let_go: Callable[[T], None]) -> T:
        """What a step opens must not be lost where nobody waits for it any more."""

        def forget(done: "asyncio.Future[T]") -> None:
            if not done.cancelled() and done.exception() is None:
                self._threads.begin(let_go, done.result())

        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(forget)
            raise


def too_large(most: int) -> ApiError:
    return ApiError(413, f"a file in one request has at most {format_bytes(most)}; use a transfer for larger ones")


def _close(source: OpenSource) -> None:
    """What a close can tell of lost bytes says nothing of a file that was only read."""
    with contextlib.suppress(FileError):
        source.close()


@contextmanager
def _told(path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, FileError, UsageError, MayNotAct) as error:
        raise refusal_of(error, path) from error


async def _and_closed(file: OpenFile, start: int, end: int) -> AsyncIterator[bytes]:
    try:
        async for block in file.blocks(start, end):
            yield block
    finally:
        await asyncio.shield(file.close())


async def _blocks(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of BLOCK: a hop to a thread costs more than a small write."""
    gathered = bytearray()
    async for chunk in chunks:
        gathered += chunk
        if len(gathered) >= BLOCK:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)

"""One large file at the destination, filled in any order under its temporary name."""

import contextlib
import errno
import hashlib
import os
from typing import TYPE_CHECKING, Final

from headrace_daemon.files import mounts
from headrace_daemon.files.direct import BLOCK, DirectIo, open_direct, writers
from headrace_daemon.files.names import FileError, file_error, sync_error
from headrace_daemon.files.posix import NOTHING, Posix
from headrace_daemon.files.room import Promise
from headrace_daemon.files.threads import Buffer, SharedFd, write_at

_READ = 1 << 20
_DIRECT_WRITERS: Final = 4  # steps that wait for the disk at once, of one file

if TYPE_CHECKING:
    from headrace_daemon.files.landing import Landing, Pending, Place


class LargeFile:
    """A file that is filled in any order, by many threads, under its temporary name.

    identity: to be recorded before the first byte, given back as `reuse` after a restart; '' where the file system
    could not prove later that it is the same file. reused: the bytes written and synced before are still there.
    writers: how many threads may write at once to any profit.
    """

    def __init__(
        self,
        landing: "Landing",
        place: "Place",
        shared: SharedFd,
        size: int,
        promise: Promise,
        *,
        reused: bool,
        direct_io: DirectIo,
    ) -> None:
        """promise: the room that was made sure of; it ends with the file."""
        self._landing = landing
        self._promise = promise
        self._place = place
        self._shared = shared
        self._lost: FileError | None = None
        self.key = place.key
        self.size = size
        self.reused = reused
        self.identity = mounts.lasting_identity(shared.fd)
        direct = open_direct(shared.fd, direct_io) if size >= BLOCK else None
        self._direct = None if direct is None else SharedFd(direct)
        self.writers = writers(shared.fd) if direct is None else _DIRECT_WRITERS

    def pwrite_at(self, offset: int, data: Buffer) -> None:
        """All of data; past the page cache where offset, size and the buffer's address allow it.

        Raises ValueError beyond the size, DestinationFull, FileFault.
        """
        view = memoryview(data).cast("B")
        if offset + view.nbytes > self.size:
            raise ValueError(f"{self.key}: bytes behind the end of the file")
        with self._shared as fd:
            try:
                done = self._write_direct(offset, view)
                write_at(fd, offset + done, view[done:])
            except OSError as error:
                raise file_error(error, self.key) from error
        self._promise.written(view.nbytes)

    def _write_direct(self, offset: int, view: memoryview) -> int:
        """How many bytes of the beginning went past the cache; the rest is for the ordinary way. Raises OSError."""
        done, whole = 0, view.nbytes - view.nbytes % BLOCK
        if self._direct is None or offset % BLOCK or not whole:
            return 0
        with self._direct as fd:
            while done < whole:
                try:
                    count = os.pwrite(fd, view[done:whole], offset + done)
                except OSError as error:
                    if error.errno != errno.EINVAL:
                        raise
                    break  # this file system wants another alignment, or the buffer has none
                done += count
                if done % BLOCK:
                    break
        return done

    def md5_hex(self) -> str:
        """Of the whole file, read from the start. Costs 1.3 s a GB. Raises FileFault."""
        digest = hashlib.md5(usedforsecurity=False)
        with self._shared as fd:
            try:
                offset = 0
                while data := os.pread(fd, _READ, offset):
                    digest.update(data)
                    offset += len(data)
            except OSError as error:
                raise file_error(error, self.key) from error
        return digest.hexdigest()

    def sync(self) -> None:
        """What was written before is on disk and may be recorded. Nothing to do where fsync is `off`.

        Raises DurabilityLost or DestinationFull, and then for ever: discard() and start over.
        """
        if self._lost is not None:
            raise self._lost
        if self._landing.fsync == "off":
            return
        with self._shared as fd:
            try:
                os.fdatasync(fd)
            except OSError as error:
                self._lost = sync_error(error, self.key)
                raise self._lost from error

    def finish(self, mtime_ns: int | None, *, posix: Posix = NOTHING, no_clobber: bool = False) -> "Pending":
        """After the last write: syncs, closes with the close checked. Raises what sync raises, FileFault."""
        if self._lost is not None:
            raise self._lost
        self._let_go()
        try:
            return self._landing.seal(
                self._place, self._shared, mtime_ns, posix, no_clobber=no_clobber, generation=None
            )
        except OSError as error:
            raise file_error(error, self.key) from error
        except FileError as error:
            self._lost = error
            raise

    def close(self) -> None:
        """Lets go and keeps the temporary file, to go on with it later. Raises DurabilityLost."""
        self._let_go()
        sync_and_close(self._shared, self.key, sync=False)

    def discard(self) -> None:
        """Throws it away; writes under way end first."""
        self._let_go()
        self._landing.throw_away(self._place, self._shared)

    def _let_go(self) -> None:
        """What the close of the direct descriptor can tell, the other one's sync and close tell of the same file."""
        self._promise.end()
        if self._direct is not None:
            with contextlib.suppress(OSError):
                self._direct.close()


def sync_and_close(shared: SharedFd, key: str, *, sync: bool) -> None:
    """Lustre and NFS may report lost bytes at close only. Raises DestinationFull, DurabilityLost."""
    try:
        if sync:
            os.fsync(shared.fd)
        shared.close()
    except OSError as error:
        raise sync_error(error, key) from error

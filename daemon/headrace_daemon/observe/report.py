"""Writes a job's report: JSON Lines, one line an object, appended before the queue records the object."""

import contextlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from json.encoder import encode_basestring_ascii as _text
from pathlib import Path

from headrace_daemon.facts import Outcome
from headrace_queue.jobs import Item
from headrace_queue.report_file import report_path
from headrace_queue.state_folder import make_folder, open_new

MAX_OPEN = 32


class ReportWriter:
    """Appends to the reports of many jobs. Several daemons may append to one file: each write is whole lines."""

    def __init__(self, state_dir: Path, clock: Callable[[], float] = time.time) -> None:
        self._state_dir = state_dir
        self._clock = clock
        self._lines: dict[int, list[str]] = {}
        self._files: OrderedDict[int, int] = OrderedDict()

    def write(self, job: int, item: Item, outcome: Outcome) -> None:
        """Keep a line; it is in the file when `flush` returns."""
        self._lines.setdefault(job, []).append(_line(item.key, outcome, self._clock()))

    def flush(self, job: int) -> None:
        """Append the kept lines of a job. Raises OSError; the lines are kept then, and a torn one is ended later."""
        lines = self._lines.get(job)
        if not lines:
            return
        data = ("\n".join(lines) + "\n").encode()
        fd = self._open(job)
        try:
            _end_torn_line(fd)  # every time: another writer may have left one since
            while data:
                data = data[os.write(fd, data) :]
        except OSError:
            os.close(self._files.pop(job))
            raise
        del self._lines[job]

    def append(self, job: int, ends: Iterable[tuple[Item, Outcome]]) -> None:
        """Lines that are in the file on return. From any thread, for it touches nothing that this writer keeps: another
        opens the file as another daemon does. Raises OSError."""
        with contextlib.closing(ReportWriter(self._state_dir, self._clock)) as other:
            for item, outcome in ends:
                other.write(job, item, outcome)

    def _open(self, job: int) -> int:
        fd = self._files.get(job)
        if fd is None:
            path = report_path(self._state_dir, job)
            make_folder(path.parent)
            fd = _open_or_make(path)
            self._files[job] = fd
            if len(self._files) > MAX_OPEN:
                os.close(self._files.popitem(last=False)[1])
        self._files.move_to_end(job)
        return fd

    def close(self) -> None:
        """Write what is left and close every file. Raises the first OSError, after the last one is closed.

        Lines that could not be written are of objects that the queue does not know as finished: they are moved again.
        """
        failed: list[OSError] = []
        for job in list(self._lines):
            try:
                self.flush(job)
            except OSError as error:
                failed.append(error)
        while self._files:
            os.close(self._files.popitem()[1])
        if failed:
            raise failed[0]


def _line(key: str, outcome: Outcome, time: float) -> str:
    """The fields never change, and written one by one they take a third of what json.dumps() takes for a dictionary of
    them: there is a line for every object."""
    return (
        f'{{"key":{_text(key)},"outcome":{_text(outcome.state)},"bytes":{outcome.size}'
        f',"seconds":{outcome.seconds:.6f},"attempts":{outcome.attempts}'
        f',"source_endpoint":{_text(outcome.source_endpoint)}'
        f',"destination_endpoint":{_text(outcome.destination_endpoint)}'
        f',"etag":{_text(outcome.etag)},"crc64nvme":{_text(outcome.crc64nvme)},"proof":{_text(outcome.proof)}'
        f',"error":{_text(outcome.error)},"message":{_text(outcome.message)}'
        f',"last_error":{_text(outcome.last_error)},"lost":{_text(outcome.lost)},"time":{time:.3f}}}'
    )


def _end_torn_line(fd: int) -> None:
    """A crash or a full disk may have left half a line: end it, so that it swallows no line that follows."""
    size = os.fstat(fd).st_size
    if size and os.pread(fd, 1, size - 1) != b"\n":
        os.write(fd, b"\n")


def _open_or_make(path: Path) -> int:
    """Another worker may make it in the same moment."""
    flags = os.O_RDWR | os.O_APPEND
    with contextlib.suppress(FileNotFoundError):
        return os.open(path, flags | os.O_CLOEXEC)
    with contextlib.suppress(FileExistsError):
        return open_new(path, flags)
    return os.open(path, flags | os.O_CLOEXEC)

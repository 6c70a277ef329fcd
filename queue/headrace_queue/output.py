"""Standard output that cannot take everything: closed, full, or of an encoding that lacks a character."""

import codecs
import errno
import io
import os
import sys
from typing import TYPE_CHECKING, Final

from headrace_queue.telling import Complaint, tell

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

LOST: Final = 1
"""The exit code where something could not be printed."""
_ESCAPES: Final = "headrace.escapes"


class _Watched(io.FileIO):
    """Remembers that writing to it failed, which an error of some file or queue does not say of itself."""

    failed = False

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise  # nobody reads on, which is no fault: the command knows what to make of it
        except OSError:
            self.failed = True
            raise


class _Closed(io.TextIOBase):
    """In place of a stream that the caller closed. failed: whether something was printed."""

    failed = False

    def write(self, text: str, /) -> int:
        self.failed = self.failed or bool(text)
        return len(text)


class Output:
    """Standard output as this process has it from now on."""

    def __init__(self, stream: _Watched | _Closed | None) -> None:
        self._stream = stream

    @property
    def failed(self) -> bool:
        """Whether something could not be written."""
        return self._stream is not None and self._stream.failed

    def flush(self) -> None:
        """Raises OSError for what could not be written."""
        sys.stdout.flush()
        if self.failed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def tell_lost(self, error: Exception, *, as_json: bool = False) -> int:
        """What got lost, on stderr; the exit code."""
        if isinstance(self._stream, _Watched):
            # Python tries once more when it ends, and would print a traceback
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        tell(Complaint("standard output", why, "Let it lead to where there is room."), LOST, as_json=as_json)
        return LOST


def prepare_output() -> Output:
    """What the encoding lacks becomes an escape; where standard output is closed, no file takes its number."""
    codecs.register_error(_ESCAPES, _escaped)
    given = sys.stdout
    if given is None:
        os.open(os.devnull, os.O_WRONLY)  # the lowest number that is free, and kept
        sys.stdout = closed = _Closed()
        return Output(closed)
    if given is not sys.__stdout__ or not isinstance(given, io.TextIOWrapper):
        return Output(None)
    raw = _Watched(given.fileno(), "w", closefd=False)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=given.encoding,
        errors=_ESCAPES,
        line_buffering=given.line_buffering,
        write_through=given.write_through,
    )
    return Output(raw)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    r"""As \u00fc: what JSON and TOML read again as the character."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    codes = [units[index : index + 2].hex() for index in range(0, len(units), 2)]
    return "".join(f"\\u{code}" for code in codes), error.end

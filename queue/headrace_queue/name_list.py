"""The lists of `--files-from`: names relative to the source, one a line or NUL-separated; from a file, stdin, a bucket.

What is read from a file or stdin is kept before the job is enqueued, sorted and without duplicates, as
`lists/SHA256` in the state directory: the daemon reads it there, and the same list makes the same job. A list in a
bucket is read by the daemon, which has the credentials: the job names its location.
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from headrace_queue.errors import UsageError
from headrace_queue.locations import Location
from headrace_queue.state_folder import make_folder, open_new

if TYPE_CHECKING:
    from headrace_queue.config import Config

MAX_NAMES: Final = 10_000_000
"""Of a list that the client sorts in memory: about 2 GB for names of 100 bytes."""

MAX_NAME_BYTES: Final = 64 * 1024
"""More than any key (1,024) or path (4,096) has: what is longer is no list."""

MISSING: Final = "missing"
"""The error of a name in a list that the source does not have. A retry leaves it, as all that a listing finds."""

YOUNG_SECONDS: Final = 3600.0
"""A list that no job names is kept so long: its command may be about to enqueue."""

_BLOCK: Final = 1 << 20
_FOLDER: Final = "lists"
_LF_HINT: Final = "It was read as it is. If the list was made on Windows, take the CRs away: tr -d '\\r'"


class Form(NamedTuple):
    """How a list is to be read. option: as the user wrote it, for errors. paths: the source is a tree of files, whose
    names cannot be absolute and where a leading ./ means nothing; the keys of a bucket are taken exactly."""

    option: str
    nul: bool
    paths: bool


class NameReader:
    """Takes a list in blocks of any size and gives its names, as bytes, in the order in which they stand there.

    Empty names are passed over. Raises UsageError for what no list of names can hold.
    """

    def __init__(self, form: Form) -> None:
        self._form = form
        self._separator = b"\0" if form.nul else b"\n"
        self._rest = b""
        self.count = 0
        self.ends_in_cr = 0

    def feed(self, block: bytes) -> list[bytes]:
        """The names that are complete with this block."""
        *whole, self._rest = (self._rest + block).split(self._separator)
        if len(self._rest) > MAX_NAME_BYTES:
            raise self._too_long(self._rest)
        return self._names(whole)

    def end(self) -> list[bytes]:
        """The last name, where no separator follows it. Raises UsageError also for a list without a name."""
        last = self._names([self._rest])
        if not self.count:
            raise UsageError(self._form.option, "the list names nothing", "Leave the option out to take everything.")
        return last

    @property
    def all_end_in_cr(self) -> bool:
        """Whether every name of a list of lines ends in a carriage return."""
        return not self._form.nul and 0 < self.count == self.ends_in_cr

    def _names(self, raw: Iterable[bytes]) -> list[bytes]:
        names = [name for line in raw if (name := self._name(line))]
        self.count += len(names)
        self.ends_in_cr += sum(name.endswith(b"\r") for name in names)
        return names

    def _name(self, line: bytes) -> bytes:
        name = line
        if len(name) > MAX_NAME_BYTES:
            raise self._too_long(name)
        if b"\0" in name:
            why = "a line of it contains NUL, so its names are separated by NUL, or it is no list"
            raise UsageError(self._form.option, why, "Use --files-from0 for a NUL-separated list.")
        try:
            name.decode()
        except UnicodeDecodeError:
            why = f"{name[:60]!r} is not UTF-8, and no key of S3 can be anything else"
            raise UsageError(self._form.option, why, "Take that name out, or rename the file first.") from None
        if not self._form.paths:
            return name
        while name.startswith(b"./"):
            name = name[2:].lstrip(b"/")
        if name.startswith(b"/"):
            why = f"{name[:60].decode(errors='replace')!r} is absolute, and names count from the source"
            raise UsageError(self._form.option, why, "Write names relative to the source.")
        return name

    def _too_long(self, name: bytes) -> UsageError:
        why = f"a name in it that begins with {name[:20]!r} is longer than {MAX_NAME_BYTES:,} bytes"
        return UsageError(self._form.option, why, "Separate the names by newlines, or by NUL with --files-from0.")


def list_option(lines: str | None, nul: str | None, *, delete: bool) -> tuple[str, str] | None:
    """The option and the list that it names; None where no list is given. Raises UsageError."""
    if lines is not None and nul is not None:
        why = "a job has one list, and its names are separated either by newlines or by NUL"
        raise UsageError("--files-from with --files-from0", why, "Keep one of the two.")
    given = ("--files-from", lines) if nul is None else ("--files-from0", nul)
    if given[1] is None:
        return None
    if delete:
        why = "--delete needs to know everything that the source has, and a list names only some of it"
        raise UsageError(f"{given[0]} with --delete", why, "Leave out one of the two.")
    return given[0], given[1]


def refuse_stdin(lines: str | None, nul: str | None) -> None:
    """Raises UsageError for a list on stdin that several jobs would read."""
    for option, text in (("--files-from", lines), ("--files-from0", nul)):
        if text == "-":
            why = "stdin can be read once, and each of these datasets needs the list"
            raise UsageError(f"{option} -", why, "Write the list into a file, or name one dataset.")


def take_list(config: "Config", option: str, text: str, *, paths: bool) -> str:
    """What the job carries: the SHA-256 of the list that is kept now, or the location of one in a bucket.

    paths: as of Form. Raises UsageError where it cannot be read, or kept.
    """
    form = Form(f"{option} {text}", option == "--files-from0", paths)
    if "://" in text:
        location = Location.parse(text)
        if location.path is None and not location.name:
            raise UsageError(form.option, "it names a folder or a bucket, and not an object", "Name the list itself.")
        return str(location)
    return keep(config.state_dir, read_names(form, text))


def read_names(form: Form, text: str) -> list[bytes]:
    """The names of a file, or of stdin for `-`: sorted by their bytes, each once. Raises UsageError."""
    reader, names = NameReader(form), []
    try:
        with _opened(text) as file:
            while block := file.read(_BLOCK):
                names += reader.feed(block)
                if len(names) > MAX_NAMES:
                    why = f"it names more than {MAX_NAMES:,} objects"
                    raise UsageError(form.option, why, "Split it, or put it into a bucket: such a list has no limit.")
    except OSError as error:
        raise UsageError(form.option, f"it cannot be read: {error.strerror}", "Correct the path.") from None
    names += reader.end()
    if reader.all_end_in_cr:
        print(f"headrace: every line of the list ends in a carriage return (CR). {_LF_HINT}", file=sys.stderr)
    return sorted(set(names))


def _opened(text: str) -> IO[bytes]:
    return open(0, "rb", closefd=False) if text == "-" else open(text, "rb")


def keep(state_dir: Path, names: Iterable[bytes]) -> str:
    """Writes a list, durably, and returns its SHA-256, by which list_path() finds it. names: sorted, each once.

    Raises UsageError where the state directory cannot be written to.
    """
    folder = state_dir / _FOLDER
    try:
        make_folder(folder)
        temporary = folder / f".{os.getpid()}-{time.monotonic_ns()}"
        digest = write_list(temporary, names)
        _put(temporary, folder / digest)
    except OSError as error:
        why = f"the list cannot be kept there: {error.strerror}"
        raise UsageError(str(folder), why, "Make room, or let this user write there.") from None
    return digest


def write_list(path: Path, names: Iterable[bytes]) -> str:
    """A new file of NUL-separated names, synced; its SHA-256. Raises OSError; then no file is left."""
    import hashlib  # loads OpenSSL, which costs every command 4 ms, and few have a list

    seen = hashlib.sha256()
    with open(open_new(path, os.O_WRONLY), "wb") as file:
        try:
            for name in names:
                line = name + b"\0"
                seen.update(line)
                file.write(line)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            path.unlink()
            raise
    return seen.hexdigest()


def _put(temporary: Path, path: Path) -> None:
    """Under its name, also after a power cut. One that is there has the same content, and is young again."""
    try:
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink()
        raise
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def list_path(state_dir: Path, digest: str) -> Path:
    """Where keep() put a list."""
    return state_dir / _FOLDER / digest


def fetched_path(state_dir: Path, job_id: int) -> Path:
    """Where the daemon puts the list of a job that lies in a bucket."""
    return state_dir / _FOLDER / f"job-{job_id}"


def is_location(files_from: str) -> bool:
    """Whether a job's list lies in a bucket."""
    return "://" in files_from


def drop_lists(state_dir: Path, purged: Iterable[int], named: Iterator[str], now: float) -> None:
    """Removes the lists of purged jobs, and those that no job names. named: the lists of all jobs that are left, asked
    for only where there is something to remove. now: seconds since the epoch. Raises OSError."""
    for job_id in purged:
        fetched_path(state_dir, job_id).unlink(missing_ok=True)
    folder = state_dir / _FOLDER
    if not folder.is_dir():
        return
    old = {path.name: path for path in folder.iterdir() if _is_old(path, now) and not path.name.startswith("job-")}
    if not old:
        return
    for name in named:
        old.pop(name, None)
    for path in old.values():
        path.unlink(missing_ok=True)


def _is_old(path: Path, now: float) -> bool:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime < now - YOUNG_SECONDS
    return False

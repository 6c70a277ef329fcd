"""The rows of an inventory's data files as entries, while their bytes arrive. Blocking: call it from a thread."""

import csv
import hashlib
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final, Protocol
from urllib.parse import unquote_plus

from headrace_daemon.planner.entries import Entry
from headrace_daemon.planner.errors import JobFailure
from headrace_daemon.planner.inventory import (
    BUCKET,
    DELETE_MARKER,
    ETAG,
    IN_PARQUET,
    KEY,
    LATEST,
    MODIFIED,
    SIZE,
    DataFile,
    Format,
    Manifest,
)
from headrace_daemon.s3.xml import parse_time
from headrace_queue.advice import with_advice

PIECE: Final = 4 << 20
"""Bytes that are unpacked at once, however well they were packed."""
ROWS: Final = 10_000
"""Rows of a Parquet file that are read at once."""
_GZIP: Final = 31
_EXTRA: Final = "pip install 'headrace[parquet]'"

Take = Callable[[Iterable[Entry]], None]


class Rows(Protocol):
    """Takes the bytes of one data file in order, then its end. Raises JobFailure for what is damaged."""

    def feed(self, block: bytes) -> None: ...

    def end(self) -> None: ...

    def close(self) -> None: ...


class DataReader:
    """One data file: its rows are taken, and are only to be trusted once end() returned.

    prefix: only keys below it, relative to it. Raises JobFailure.
    """

    def __init__(self, manifest: Manifest, file: DataFile, prefix: str, take: Take, scratch: Path) -> None:
        self._file = file
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._size = 0
        if manifest.format is Format.CSV:
            self._rows: Rows = _Csv(manifest, file.key, prefix, take)
        else:
            self._rows = _Parquet(manifest, file.key, prefix, take, scratch)

    def feed(self, block: bytes) -> None:
        self._md5.update(block)
        self._size += len(block)
        self._rows.feed(block)

    def end(self) -> None:
        found = self._md5.hexdigest()
        if self._size != self._file.size or found != self._file.md5:
            said = f"{self._file.size:,} bytes with the MD5 {self._file.md5}"
            why = f"{self._file.key}: {self._size:,} bytes with the MD5 {found} came, and the manifest says {said}"
            raise JobFailure(with_advice(why, "take another inventory, then enqueue the job anew"))
        self._rows.end()

    def close(self) -> None:
        self._rows.close()


class _Csv:
    """Gzipped lines without a head; keys are URL-encoded."""

    def __init__(self, manifest: Manifest, name: str, prefix: str, take: Take) -> None:
        self._name = name
        self._prefix = prefix
        self._take = take
        self._bucket = manifest.source_bucket
        self._width = len(manifest.columns)
        self._at = {column: index for index, column in enumerate(manifest.columns)}
        self._unpacker = zlib.decompressobj(_GZIP)
        self._line = b""

    def feed(self, block: bytes) -> None:
        try:
            for piece in self._unpacked(block):
                *lines, self._line = (self._line + piece).split(b"\n")
                self._read(lines)
        except (zlib.error, UnicodeDecodeError, csv.Error) as error:
            raise self._damaged(str(error)) from error

    def _unpacked(self, block: bytes) -> Iterator[bytes]:
        while block:
            if self._unpacker.eof:  # one gzip member after another is one file
                self._unpacker = zlib.decompressobj(_GZIP)
            yield self._unpacker.decompress(block, PIECE)
            block = self._unpacker.unconsumed_tail or self._unpacker.unused_data

    def end(self) -> None:
        try:
            rest = self._unpacker.flush()
            self._read((self._line + rest).split(b"\n"))
        except (zlib.error, UnicodeDecodeError, csv.Error) as error:
            raise self._damaged(str(error)) from error
        if not self._unpacker.eof:
            raise self._damaged("it is cut off")

    def close(self) -> None:
        """Nothing is held."""

    def _read(self, lines: Sequence[bytes]) -> None:
        self._take(self._entries(csv.reader(line.decode().rstrip("\r") for line in lines if line.strip())))

    def _entries(self, rows: Iterable[list[str]]) -> Iterator[Entry]:
        at = self._at
        bucket, key, size = at.get(BUCKET), at[KEY], at[SIZE]
        latest, marker, modified, etag = at.get(LATEST), at.get(DELETE_MARKER), at.get(MODIFIED), at.get(ETAG)
        cut = len(self._prefix)
        for row in rows:
            if len(row) != self._width:
                raise self._damaged(f"a line has {len(row)} fields, and the manifest names {self._width}")
            if bucket is not None and row[bucket] != self._bucket:
                raise self._damaged(f"a line is of the bucket {row[bucket]!r}")
            if (latest is not None and row[latest] != "true") or (marker is not None and row[marker] == "true"):
                continue
            name = unquote_plus(row[key], errors="strict")
            if not name.startswith(self._prefix):
                continue
            try:
                moment = parse_time(row[modified]) if modified is not None and row[modified] else 0
                yield Entry(name[cut:], int(row[size]), moment, row[etag].strip('"') if etag is not None else "")
            except ValueError as error:
                raise self._damaged(f"the line of {name!r}: {error}") from error

    def _damaged(self, why: str) -> JobFailure:
        return JobFailure(with_advice(f"{self._name}: the inventory cannot be read: {why}", "take another inventory"))


class _Parquet:
    """Its index stands at its end: the file is kept on the disk of `scratch` until all of it is there."""

    def __init__(self, manifest: Manifest, name: str, prefix: str, take: Take, scratch: Path) -> None:
        self._name = name
        self._prefix = prefix
        self._take = take
        self._bucket = manifest.source_bucket
        self._columns = manifest.columns
        _parquet()  # a person should not wait for a gigabyte before this is said
        self._spool: IO[bytes] = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 - closed by close()

    def feed(self, block: bytes) -> None:
        self._spool.write(block)

    def end(self) -> None:
        self._spool.seek(0)
        try:
            file = _parquet().ParquetFile(self._spool)
            there = set(file.schema_arrow.names)
            names = {column: IN_PARQUET[column] for column in self._columns if IN_PARQUET[column] in there}
            missing = [column for column in (KEY, SIZE) if column not in names]
            if missing:
                raise ValueError(f"it has no column {IN_PARQUET[missing[0]]}")
            for batch in file.iter_batches(ROWS, columns=list(names.values())):
                self._take(self._entries({column: batch.column(name).to_pylist() for column, name in names.items()}))
        except (ValueError, OSError) as error:  # what pyarrow raises are these
            why = f"{self._name}: the inventory cannot be read: {error}"
            raise JobFailure(with_advice(why, "take another inventory")) from error

    def close(self) -> None:
        self._spool.close()

    def _entries(self, columns: dict[str, list[Any]]) -> Iterator[Entry]:
        cut = len(self._prefix)
        names = list(columns)
        for values in zip(*columns.values(), strict=True):
            row = dict(zip(names, values, strict=True))
            if row.get(BUCKET, self._bucket) != self._bucket:
                raise ValueError(f"a row is of the bucket {row[BUCKET]!r}")
            if row.get(LATEST, True) is False or row.get(DELETE_MARKER) is True:
                continue
            name = row[KEY]
            if name.startswith(self._prefix):
                yield Entry(name[cut:], int(row[SIZE]), _nanoseconds(row.get(MODIFIED)), row.get(ETAG) or "")


def _nanoseconds(moment: Any) -> int:
    """Of a timestamp column, which comes as a datetime of UTC without saying so."""
    if moment is None:
        return 0
    return parse_time(moment.isoformat())


def _parquet() -> Any:
    """Raises JobFailure where the extra is not installed."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        why = "the inventory is in the format Parquet, and the package pyarrow is not installed for the daemon"
        raise JobFailure(with_advice(why, f"install it ({_EXTRA}), or have S3 write the inventory as CSV")) from error
    return pyarrow.parquet

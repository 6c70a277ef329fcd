"""Reading the report of a job: `reports/JOB.jsonl` in the state directory, one JSON object a line.

The daemon appends and never rewrites. A restart may write an object twice and a retry writes it again: the last line of
a key counts. What a listing found and nobody tried (attempts 0) has a line of its own: its key is only a picture of a
name that is no text, and an object may really have that key. A crash may leave a torn line: it is passed over, because
its object is written again.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, TypedDict

_BLOCK: Final = 1 << 20
_MIN_FILTER_BITS: Final = 1 << 16
_BITS_PER_BYTE_OF_REPORT: Final = 1 / 8  # a line has more than 128 bytes: at least 16 bits of filter for each


@dataclass(frozen=True, slots=True)
class ReportEntry:
    """One object's line. bytes is its size, seconds how long it took, time seconds since the epoch.

    outcome: transferred, copied, deleted, trashed, created, vanished, skipped, unchanged (compared by content), failed,
    archived (in an archive class, and passed over),
    exported (FSx moved it, by a data repository task), restored (its data, which Lustre had released, came back from
    the bucket), and for a dry run would_transfer, would_delete and would_trash. task_failed is no end: FSx could not
    move it, and another line tells what became of it. proof names what showed that both ends hold the same
    bytes; error is a short, stable word. attempts: 1 and how often the object or a request for it was repeated, 0 where
    nobody tried; last_error: why that was done last, a short word too. lost: what of it besides its bytes did not get
    there (tags, website_redirect, metadata, acl, or a header's name), separated by commas.
    """

    key: str
    outcome: str
    bytes: int = 0
    seconds: float = 0.0
    attempts: int = 1
    source_endpoint: str = ""
    destination_endpoint: str = ""
    etag: str = ""
    crc64nvme: str = ""
    proof: str = ""
    error: str = ""
    message: str = ""
    time: float = 0.0
    last_error: str = ""
    lost: str = ""

    @property
    def failed(self) -> bool:
        return self.outcome == "failed"

    @property
    def subject(self) -> tuple[str, bool]:
        """What the line is about: of several lines about one, the last one counts."""
        return self.key, self.attempts == 0


class Tally(TypedDict):
    """How many objects, and how many bytes they have together."""

    objects: int
    bytes: int


@dataclass(slots=True)
class ReportSummary:
    """What a report says all in all. Errors and losses are counted by their word, proofs by their name."""

    outcomes: dict[str, Tally] = field(default_factory=dict)
    proofs: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    source_endpoints: dict[str, Tally] = field(default_factory=dict)
    destination_endpoints: dict[str, Tally] = field(default_factory=dict)

    def add(self, entry: ReportEntry) -> None:
        _tally(self.outcomes, entry.outcome, entry.bytes)
        for counts, word in ((self.proofs, entry.proof), (self.errors, entry.error)):
            if word and entry.outcome != "task_failed":  # its object has an end of its own, often a good one
                counts[word] = counts.get(word, 0) + 1
        for word in filter(None, entry.lost.split(",")):
            self.lost[word] = self.lost.get(word, 0) + 1
        if not entry.failed:
            for shares, url in (
                (self.source_endpoints, entry.source_endpoint),
                (self.destination_endpoints, entry.destination_endpoint),
            ):
                if url:
                    _tally(shares, url, entry.bytes)


def report_path(state_dir: Path, job_id: int) -> Path:
    """Where the report of a job stands, whether or not it exists yet."""
    return state_dir / "reports" / f"{job_id}.jsonl"


def summarise(entries: Iterable[ReportEntry]) -> ReportSummary:
    """Counted in one pass, in memory that does not grow with the report."""
    summary = ReportSummary()
    for entry in entries:
        summary.add(entry)
    return summary


def parse_line(line: bytes) -> ReportEntry | None:
    """The entry of one line; None where the line is torn. Fields that are not known here are left out."""
    try:
        data = json.loads(line)
    except ValueError:
        return None
    if not isinstance(data, dict) or not isinstance(data.get("key"), str) or not isinstance(data.get("outcome"), str):
        return None
    return ReportEntry(**{name: data[name] for name in _FIELDS if data.get(name) is not None})


def read_report(path: Path) -> Iterator[ReportEntry]:
    """Every object once, with its last line, in the order of those lines; nothing where there is no report yet.

    Reads the file twice. Memory: one byte for 64 bytes of report, plus the keys that stand there more than once.
    """
    if not path.exists():
        return
    size = path.stat().st_size
    last = _last_lines(path, size)
    for offset, entry in _entries(path, size):
        if last.get(entry.subject, offset) == offset:
            yield entry


class ReportTail:
    """Follows a report while it is written: every call of read() gives what was added since the one before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> Iterator[ReportEntry]:
        """Whole lines only; a line that is still being written is read the next time."""
        if not self._path.exists():
            return
        with self._path.open("rb", buffering=_BLOCK) as stream:
            stream.seek(self._offset)
            for line in stream:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                entry = parse_line(line)
                if entry is not None:
                    yield entry


_FIELDS: Final = tuple(item.name for item in fields(ReportEntry))


def _entries(path: Path, size: int) -> Iterator[tuple[int, ReportEntry]]:
    """The entries in the first `size` bytes, each with the offset of its line."""
    offset = 0
    with path.open("rb", buffering=_BLOCK) as stream:
        for line in stream:
            if offset + len(line) > size:
                return
            entry = parse_line(line) if line.endswith(b"\n") else None
            if entry is not None:
                yield offset, entry
            offset += len(line)


def _last_lines(path: Path, size: int) -> dict[tuple[str, bool], int]:
    """The offset of the last line of every key that stands there more than once, and of few others.

    A Bloom filter holds the keys met so far. It never misses one that came before, so a key that is not in the result
    stands there once; and those it takes for known by mistake (about one in seventy) only cost memory.
    """
    bits = max(_MIN_FILTER_BITS, int(size * _BITS_PER_BYTE_OF_REPORT))
    seen = bytearray(bits // 8 + 1)
    last: dict[tuple[str, bool], int] = {}
    for offset, entry in _entries(path, size):
        digest = hash(entry.subject)
        first, second = (digest & 0xFFFFFFFF) % bits, (digest >> 32 & 0xFFFFFFFF) % bits
        if seen[first >> 3] >> (first & 7) & 1 and seen[second >> 3] >> (second & 7) & 1:
            last[entry.subject] = offset
        seen[first >> 3] |= 1 << (first & 7)
        seen[second >> 3] |= 1 << (second & 7)
    return last


def _tally(shares: dict[str, Tally], name: str, size: int) -> None:
    tally = shares.setdefault(name, {"objects": 0, "bytes": 0})
    tally["objects"] += 1
    tally["bytes"] += size


def entry_json(entry: ReportEntry) -> dict[str, Any]:
    """The fields of ReportEntry under their names."""
    return {name: getattr(entry, name) for name in _FIELDS}


def summary_json(summary: ReportSummary) -> dict[str, Any]:
    """outcomes, source_endpoints, destination_endpoints: name -> objects, bytes. The others: name -> objects."""
    return {item.name: getattr(summary, item.name) for item in fields(summary)}

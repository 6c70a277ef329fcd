"""Reading reports: the last line of a key counts, torn lines do not hurt, and memory does not grow with the file."""

import json
import tempfile
import tracemalloc
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from headrace_queue.report_file import (
    ReportEntry,
    ReportTail,
    parse_line,
    read_report,
    report_path,
    summarise,
    summary_json,
)


def line(key: str, outcome: str = "transferred", **fields: object) -> bytes:
    return json.dumps({"key": key, "outcome": outcome, **fields}).encode() + b"\n"


def test_a_report_has_its_place(tmp_path: Path) -> None:
    assert report_path(tmp_path, 12) == tmp_path / "reports" / "12.jsonl"
    assert list(read_report(report_path(tmp_path, 12))) == []


def test_fields_are_read_and_unknown_ones_left_out() -> None:
    entry = parse_line(line("k", bytes=5, etag="e", crc64nvme="c", newer_field=1, message=None))
    assert entry == ReportEntry("k", "transferred", bytes=5, etag="e", crc64nvme="c")


def test_the_last_line_of_a_key_counts_and_torn_lines_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "1.jsonl"
    path.write_bytes(
        line("a", "failed", error="io")
        + b'{"key": "b", "outc\n'
        + line("b")
        + b"[]\n{}\n\xff\n"
        + line("a")
        + line("c")[:-9]
    )
    assert [(entry.key, entry.outcome) for entry in read_report(path)] == [("b", "transferred"), ("a", "transferred")]


def test_what_only_looks_like_a_key_takes_no_line_from_the_object(tmp_path: Path) -> None:
    """A name that is no text is shown by the text that another file may really have for its name."""
    path = tmp_path / "1.jsonl"
    path.write_bytes(line("caf\\xe9", "failed", attempts=0) * 2 + line("caf\\xe9"))
    assert [(entry.outcome, entry.attempts) for entry in read_report(path)] == [("failed", 0), ("transferred", 1)]


@given(st.lists(st.tuples(st.text(max_size=3), st.integers(0, 9)), max_size=60))
def test_reading_agrees_with_a_dictionary(lines: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "1.jsonl"
        path.write_bytes(b"".join(line(key, bytes=size) for key, size in lines))
        assert {entry.key: entry.bytes for entry in read_report(path)} == dict(lines)
        assert sum(1 for _ in read_report(path)) == len(dict(lines))


def test_a_large_report_is_read_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "1.jsonl"
    objects = 40_000
    with path.open("wb") as stream:
        for number in range(objects):
            stream.write(line(f"folder/{number:012d}", bytes=1, crc64nvme="AAAAAAAAAAA=", source_endpoint="https://h"))
        stream.write(line("folder/000000000007", "failed"))
    tracemalloc.start()
    try:
        summary = summarise(read_report(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert summary.outcomes == {
        "transferred": {"objects": objects - 1, "bytes": objects - 1},
        "failed": {"objects": 1, "bytes": 0},
    }
    assert peak < 4 * 2**20  # a dictionary of the keys alone has 5 MiB


def test_a_tail_gives_whole_lines_once(tmp_path: Path) -> None:
    path = tmp_path / "1.jsonl"
    tail = ReportTail(path)
    assert list(tail.read()) == []
    path.write_bytes(line("a") + line("b")[:10])
    assert [entry.key for entry in tail.read()] == ["a"]
    assert list(tail.read()) == []
    with path.open("ab") as stream:
        stream.write(line("b")[10:] + line("c"))
    assert [entry.key for entry in tail.read()] == ["b", "c"]


def test_shares_count_what_arrived() -> None:
    entries = [
        ReportEntry("a", "transferred", 3, destination_endpoint="https://h", proof="crc64nvme", lost="expires,tags"),
        ReportEntry("b", "failed", 4, destination_endpoint="https://h", error="access_denied"),
    ]
    assert summary_json(summarise(entries)) == {
        "outcomes": {"transferred": {"objects": 1, "bytes": 3}, "failed": {"objects": 1, "bytes": 4}},
        "proofs": {"crc64nvme": 1},
        "errors": {"access_denied": 1},
        "lost": {"expires": 1, "tags": 1},
        "source_endpoints": {},
        "destination_endpoints": {"https://h": {"objects": 1, "bytes": 3}},
    }


def test_what_fsx_could_not_move_is_counted_by_how_it_ended() -> None:
    summary = summarise(
        [
            ReportEntry("a", "exported", bytes=5, proof="fsx"),
            ReportEntry("b", "task_failed", error="S3AccessDenied", attempts=0),
            ReportEntry("b", "transferred", bytes=7, proof="crc64nvme"),
            ReportEntry("c", "restored", bytes=9),
            ReportEntry("d", "task_failed", error="S3AccessDenied", attempts=0),
            ReportEntry("d", "failed", error="io"),
        ]
    )
    assert {name: tally["objects"] for name, tally in summary.outcomes.items()} == {
        "exported": 1,
        "task_failed": 2,
        "transferred": 1,
        "restored": 1,
        "failed": 1,
    }
    assert summary.errors == {"io": 1}
    assert summary.proofs == {"fsx": 1, "crc64nvme": 1}

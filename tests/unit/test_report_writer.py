"""Reports: whole lines whatever happens, none lost, several daemons on one file."""

import json
import resource
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.facts import Outcome
from headrace_daemon.observe.report import MAX_OPEN, ReportWriter
from headrace_queue.jobs import Item
from headrace_queue.report_file import parse_line, read_report, report_path
from tests.support.descriptors import open_below


def outcome(state: str = "transferred", **fields: str) -> Outcome:
    return Outcome(state, size=10, seconds=0.1234567, **fields)  # type: ignore[arg-type]


def keys(state_dir: Path, job: int) -> list[str]:
    """Every line of the report, in its order; a line that is none fails."""
    lines = report_path(state_dir, job).read_bytes().splitlines()
    entries = [parse_line(line) for line in lines]
    return [entry.key for entry in entries if entry is not None]


def test_a_line_says_everything_and_the_reader_understands_it(tmp_path: Path) -> None:
    writer = ReportWriter(tmp_path, clock=lambda: 1_700_000_000.1234)
    said = outcome(
        source_endpoint="https://a",
        destination_endpoint="/fsx",
        etag="e",
        crc64nvme="c",
        proof="crc64nvme",
        error="",
        message="m",
    )
    writer.write(7, Item("a/\u00e9\n", 10, 0), said)
    assert not report_path(tmp_path, 7).exists(), "lines are written in groups"
    writer.flush(7)
    (entry,) = read_report(report_path(tmp_path, 7))
    assert (entry.key, entry.outcome, entry.bytes, entry.seconds) == ("a/\u00e9\n", "transferred", 10, 0.123457)
    assert (entry.source_endpoint, entry.destination_endpoint, entry.etag) == ("https://a", "/fsx", "e")
    assert (entry.crc64nvme, entry.proof, entry.message, entry.time) == ("c", "crc64nvme", "m", 1_700_000_000.123)
    writer.close()


WORDS = (
    "source_endpoint",
    "destination_endpoint",
    "etag",
    "crc64nvme",
    "proof",
    "error",
    "message",
    "last_error",
    "lost",
)


@given(
    key=st.text(),
    words=st.fixed_dictionaries({word: st.text() for word in WORDS}),
    size=st.integers(0, 2**62),
    seconds=st.floats(0, 1e9),
)
def test_every_line_is_json_whatever_stands_in_it(key: str, words: dict[str, str], size: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        writer = ReportWriter(Path(folder), clock=lambda: 1_700_000_000.1234)
        writer.write(1, Item(key, 1, 0), Outcome("failed", size=size, seconds=seconds, attempts=3, **words))
        writer.close()
        (line,) = report_path(Path(folder), 1).read_bytes().splitlines()
    expected = {"key": key, "outcome": "failed", "bytes": size, "seconds": round(seconds, 6), "attempts": 3}
    assert json.loads(line) == expected | words | {"time": 1_700_000_000.123}


def test_jobs_have_a_file_each_and_flush_is_theirs_alone(tmp_path: Path) -> None:
    writer = ReportWriter(tmp_path)
    writer.write(1, Item("one", 1, 0), outcome())
    writer.write(2, Item("two", 1, 0), outcome())
    writer.flush(1)
    writer.flush(3)
    assert keys(tmp_path, 1) == ["one"]
    assert not report_path(tmp_path, 2).exists()
    writer.close()
    assert keys(tmp_path, 2) == ["two"], "closing writes what is left"
    assert not report_path(tmp_path, 3).exists()


def test_a_torn_line_of_a_crash_swallows_none_that_follow(tmp_path: Path) -> None:
    path = report_path(tmp_path, 7)
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"key":"whole","outcome":"transferred"}\n{"key":"torn","outc')
    writer = ReportWriter(tmp_path)
    writer.write(7, Item("next", 1, 0), outcome())
    writer.close()
    assert keys(tmp_path, 7) == ["whole", "next"]


def test_an_odd_name_stays_one_line(tmp_path: Path) -> None:
    writer = ReportWriter(tmp_path)
    odd = ["\ud800 no text", "line\nbreak", "\u2028", '"quoted"\\', "\x00"]
    for key in odd:
        writer.write(7, Item(key, 1, 0), outcome())
    writer.close()
    lines = report_path(tmp_path, 7).read_text(encoding="ascii").split("\n")
    assert [json.loads(line)["key"] for line in lines[:-1]] == odd


def test_several_writers_interleave_whole_lines(tmp_path: Path) -> None:
    """As several daemons on one queue do: each has a descriptor of its own."""

    def work(name: str) -> None:
        writer = ReportWriter(tmp_path)
        for number in range(200):
            writer.write(7, Item(f"{name}-{number}" + "x" * 300, 1, 0), outcome())
            if number % 3 == 0:
                writer.flush(7)
        writer.close()

    threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = keys(tmp_path, 7)
    assert len(found) == len(set(found)) == 800


def test_many_jobs_keep_few_files_open(tmp_path: Path) -> None:
    writer = ReportWriter(tmp_path)
    for job in range(1, 3 * MAX_OPEN):
        writer.write(job, Item("first", 1, 0), outcome())
        writer.flush(job)
    assert 0 < open_below(tmp_path) <= MAX_OPEN
    writer.write(1, Item("second", 1, 0), outcome())
    writer.close()
    assert keys(tmp_path, 1) == ["first", "second"]
    assert open_below(tmp_path) == 0


def test_an_error_keeps_the_lines(tmp_path: Path) -> None:
    obstacle = report_path(tmp_path, 7).parent
    obstacle.write_text("a file where the directory should be")
    writer = ReportWriter(tmp_path)
    writer.write(7, Item("kept", 1, 0), outcome())
    with pytest.raises(OSError, match="exists"):
        writer.flush(7)
    obstacle.unlink()
    writer.flush(7)
    writer.close()
    assert keys(tmp_path, 7) == ["kept"]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The kernel takes what fits, and refuses the rest: as a disk does that becomes full in the middle of a line."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_fills_in_the_middle_of_a_line_loses_none(tmp_path: Path) -> None:
    writer = ReportWriter(tmp_path)
    writer.write(7, Item("before", 1, 0), outcome())
    writer.flush(7)
    written = report_path(tmp_path, 7).stat().st_size
    expected = [f"k{number}" for number in range(5)]
    for key in expected:
        writer.write(7, Item(key, 1, 0), outcome())
    with files_of_at_most(written + written // 2), pytest.raises(OSError, match="too large"):
        writer.flush(7)
    assert report_path(tmp_path, 7).stat().st_size > written, "half a line is there"
    writer.flush(7)
    writer.close()
    assert keys(tmp_path, 7) == ["before", *expected]


def test_lines_from_another_thread_leave_those_that_are_kept(tmp_path: Path) -> None:
    """A thread that is in the middle of a transaction cannot wait for the loop to write them."""
    writer = ReportWriter(tmp_path)
    writer.write(7, Item("first", 1, 0), outcome())
    writer.flush(7)
    writer.write(7, Item("kept", 1, 0), outcome())
    ends = [(Item(key, 1, 0), outcome("failed", error="worker_died")) for key in ("a", "b")]
    thread = threading.Thread(target=writer.append, args=(7, ends))
    thread.start()
    thread.join()
    assert keys(tmp_path, 7) == ["first", "a", "b"]
    assert open_below(tmp_path) == 1
    writer.close()
    assert keys(tmp_path, 7) == ["first", "a", "b", "kept"]


def test_half_a_line_of_another_writer_swallows_none_of_ours(tmp_path: Path) -> None:
    writer = ReportWriter(tmp_path)
    writer.write(7, Item("before", 1, 0), outcome())
    writer.flush(7)
    written = report_path(tmp_path, 7).stat().st_size
    with files_of_at_most(written + written // 2), pytest.raises(OSError, match="too large"):
        writer.append(7, [(Item("torn", 1, 0), outcome())])
    assert report_path(tmp_path, 7).stat().st_size > written, "half a line is there"
    writer.write(7, Item("after", 1, 0), outcome())
    writer.close()
    assert keys(tmp_path, 7) == ["before", "after"]


def test_closing_on_a_full_disk_closes_everything_and_says_so(tmp_path: Path) -> None:
    writer = ReportWriter(tmp_path)
    for job in (1, 2):
        writer.write(job, Item("a", 1, 0), outcome())
        writer.flush(job)
        writer.write(job, Item("b" * 500, 1, 0), outcome())
    assert open_below(tmp_path) == 2
    with files_of_at_most(400), pytest.raises(OSError, match="too large"):
        writer.close()
    assert open_below(tmp_path) == 0

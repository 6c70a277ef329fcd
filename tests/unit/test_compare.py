"""The decision about one object, as a truth table: sizes, times, option and direction."""

from itertools import product
from pathlib import Path

import pytest
from docs.generate_comparison import PAGE, with_table

from headrace_daemon.content import best_kind, stored_sums
from headrace_daemon.planner.compare import (
    BOTH_EMPTY,
    CHECK_CONTENT,
    CHECK_FOLDER,
    CHECK_TIME,
    EXISTS,
    FILES,
    MISSING,
    NEWER,
    NOT_NEWER,
    NOT_THERE,
    SAME_MD5,
    SIZE_DIFFERS,
    Decision,
    Moment,
    Route,
    Side,
    Verdict,
    by_sum,
    by_time,
    decide,
)
from headrace_daemon.planner.entries import Entry
from headrace_daemon.planner.moments import told_mtime
from headrace_daemon.s3.profiles import PROFILES
from headrace_daemon.s3.types import ObjectInfo
from headrace_queue.jobs import Compare, Options
from tests.support.comparison_table import CASES, COLUMNS, KEEP, LEAVE_OUT, SEND, Case

S3 = Side(files=False, md5_etags=True)
OPAQUE = Side(files=False, md5_etags=False)
UPLOAD, DOWNLOAD, RELAY = Route(FILES, S3), Route(S3, FILES), Route(S3, S3)
SECOND = 10**9
MD5 = "d41d8cd98f00b204e9800998ecf8427e"
ACTIONS = {Verdict.TRANSFER: SEND, Verdict.SKIP: KEEP, Verdict.EXCLUDE: LEAVE_OUT}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.size}-{case.time}")
@pytest.mark.parametrize("route", [UPLOAD, DOWNLOAD, RELAY], ids=["upload", "download", "relay"])
def test_truth_table(case: Case, route: Route) -> None:
    source = Entry("k", 10, 100 * SECOND)
    for column, action in zip(COLUMNS, case.actions, strict=True):
        destination = None
        if case.size is not None:
            shift = {"older": 1, "equal": 0, "newer": -1}[case.time]
            destination = Entry("k", 10 if case.size == "equal" else 11, (100 + shift) * SECOND)
        decision = decide(source, destination, column.options, route)
        if decision.verdict is Verdict.CHECK:
            decision = by_sum(column.same, "crc64nvme", "")
        assert ACTIONS[decision.verdict] == action, column.title


def test_the_page_shows_this_table() -> None:
    page = Path(PAGE).read_text(encoding="utf-8")
    assert page.count("| not there | - |") == 1
    assert with_table(page) == page, "run `python -m docs.generate_comparison`"


@pytest.mark.parametrize(("compare", "size"), list(product(Compare, (10, 11))))
def test_no_clobber_leaves_what_exists(compare: Compare, size: int) -> None:
    options = Options(compare=compare, no_clobber=True)
    assert decide(Entry("k", 10, 5 * SECOND), Entry("k", size, 0), options, RELAY) == EXISTS
    assert decide(Entry("k", 10, 5 * SECOND), None, options, RELAY) == MISSING


@pytest.mark.parametrize(
    ("source_ns", "destination_ns", "route", "newer"),
    [
        (10_700_000_000, 10_000_000_000, UPLOAD, False),  # LastModified lost its fraction
        (11_000_000_000, 10_999_999_999, UPLOAD, True),
        (10_000_000_000, 10_000_000_000, DOWNLOAD, False),  # mtime was set to LastModified
        (10_000_000_000, 10_300_000_000, DOWNLOAD, False),
        (10_000_000_000, 9_999_999_999, DOWNLOAD, True),
        (10_000_000_001, 10_000_000_000, Route(FILES, FILES), True),  # two fine clocks are compared as they are
        (11_000_000_000, 10_000_000_000, Route(S3, Side(files=True, resolution_ns=2 * SECOND)), False),  # FAT
        (12_000_000_000, 11_000_000_000, Route(S3, Side(files=True, resolution_ns=2 * SECOND)), True),
        (-1, -2, RELAY, False),  # before 1970, in the same second
    ],
)
def test_times_are_compared_on_the_coarser_clock(
    source_ns: int, destination_ns: int, route: Route, newer: bool
) -> None:
    options = Options(compare=Compare.MTIME)
    expected = NEWER if newer else NOT_NEWER
    assert decide(Entry("k", 1, source_ns), Entry("k", 1, destination_ns), options, route) == expected


def test_times_in_metadata_are_asked_for_only_where_they_can_decide() -> None:
    options = Options(compare=Compare.MTIME, preserve=True)
    there, other = Entry("k", 1, 0), Entry("k", 2, 0)
    assert decide(there, there, options, UPLOAD) == CHECK_TIME
    assert decide(there, other, options, UPLOAD) == SIZE_DIFFERS
    assert decide(there, None, options, UPLOAD) == MISSING
    assert decide(there, there, Options(preserve=True), UPLOAD).verdict is Verdict.SKIP
    assert by_time(Moment(2 * SECOND + 1, 1), Moment(2 * SECOND, 1)) == NEWER
    assert by_time(Moment(2 * SECOND + 1, 1), Moment(2 * SECOND, SECOND)) == NOT_NEWER


@pytest.mark.parametrize(
    ("metadata", "moment"),
    [
        ({"file-mtime": "1700000000123456789ns"}, Moment(1700000000123456789, 1)),
        ({"file-mtime": "1700000000123"}, Moment(1700000000123000000, 10**6)),
        ({"file-mtime": "-5ns"}, Moment(-5, 1)),
        ({"mtime": "1700000000.5"}, Moment(1700000000500000000, 1)),
        ({"mtime": "1700000000"}, Moment(1700000000000000000, 1)),
        ({"mtime": "-1.25"}, Moment(-1250000000, 1)),
        ({"file-mtime": "7ns", "mtime": "8"}, Moment(7, 1)),
        ({"file-mtime": "yesterday", "mtime": "8"}, Moment(8 * SECOND, 1)),
        ({"file-mtime": "9999999999999999999ns"}, None),  # no kernel takes it
        ({"mtime": "1e9"}, None),
        ({"mtime": "\N{ARABIC-INDIC DIGIT ONE}"}, None),
        ({"mtime": ""}, None),
        ({}, None),
    ],
)
def test_the_time_that_metadata_tells(metadata: dict[str, str], moment: Moment | None) -> None:
    assert told_mtime(metadata) == moment


@pytest.mark.parametrize(
    ("source_etag", "destination_etag", "route", "expected"),
    [
        (MD5, MD5, RELAY, SAME_MD5),
        (MD5, "0" * 32, RELAY, CHECK_CONTENT),  # one of them may be encrypted: nothing is proved
        (MD5 + "-3", MD5 + "-3", RELAY, CHECK_CONTENT),  # a digest of digests, whose parts may be cut elsewhere
        (MD5, MD5, Route(S3, OPAQUE), CHECK_CONTENT),
        ("", "", RELAY, CHECK_CONTENT),
        ("", MD5, UPLOAD, CHECK_CONTENT),
    ],
)
def test_equal_md5_etags_prove_equal_content(
    source_etag: str, destination_etag: str, route: Route, expected: Decision
) -> None:
    options = Options(compare=Compare.CHECKSUM)
    assert decide(Entry("k", 1, 0, source_etag), Entry("k", 1, 0, destination_etag), options, route) == expected


@pytest.mark.parametrize(
    ("ours", "theirs", "kind"),
    [
        ({"crc64nvme", "md5"}, {"md5", "crc64nvme"}, "crc64nvme"),
        ({"crc64nvme", "md5"}, {"md5"}, "md5"),  # shared before better: nothing has to be read
        ({"sha256", "crc32c"}, {"sha256", "crc32"}, "sha256"),
        ({"crc32"}, {"crc32", "md5"}, "crc32"),
        ({"crc64nvme"}, {"md5"}, "crc64nvme"),  # only the second is read
        (set(), {"sha1"}, "sha1"),
        (set(), set(), "crc64nvme"),
    ],
)
def test_the_checksum_that_needs_the_least_reading(ours: set[str], theirs: set[str], kind: str) -> None:
    assert best_kind(ours, theirs) == best_kind(theirs, ours) == kind


@pytest.mark.parametrize(
    ("info", "profile", "sums"),
    [
        (ObjectInfo(1, MD5, 0, {"crc32c": "x", "new": "y"}), "aws", {"crc32c": "x", "md5": MD5}),
        (ObjectInfo(1, MD5, 0, opaque_etag=True), "aws", {}),
        (ObjectInfo(1, MD5 + "-2", 0, {"sha256": "z"}), "aws", {"sha256": "z"}),
        (ObjectInfo(1, MD5, 0), "snowball", {}),
    ],
)
def test_what_is_believed_of_an_object(info: ObjectInfo, profile: str, sums: dict[str, str]) -> None:
    assert stored_sums(info, PROFILES[profile]) == sums


def test_empty_objects_are_equal_without_looking() -> None:
    assert decide(Entry("k", 0, 1), Entry("k", 0, 0), Options(compare=Compare.CHECKSUM), UPLOAD) == BOTH_EMPTY


def test_a_folder_marker_meets_no_file() -> None:
    assert decide(Entry("a/", 0, 1), None, Options(), DOWNLOAD) == CHECK_FOLDER
    assert decide(Entry("a/", 0, 1), None, Options(existing=True), DOWNLOAD) == NOT_THERE
    assert decide(Entry("a/", 0, 1), None, Options(), RELAY) == MISSING
    assert CHECK_FOLDER.verdict is Verdict.CHECK

"""The decision about one object, as a truth table: sizes, times, option and direction."""

from itertools import product

import pytest

from headrace_daemon.planner.compare import (
    ALWAYS,
    CHECK_CONTENT,
    CHECK_FOLDER,
    EXISTS,
    FILES,
    MISSING,
    NEWER,
    NOT_NEWER,
    SAME_CONTENT,
    SAME_SIZE,
    SIZE_DIFFERS,
    Decision,
    Route,
    Side,
    Verdict,
    decide,
)
from headrace_daemon.planner.entries import Entry
from headrace_queue.jobs import Compare, Options

S3 = Side(files=False, md5_etags=True)
OPAQUE = Side(files=False, md5_etags=False)
UPLOAD, DOWNLOAD, RELAY = Route(FILES, S3), Route(S3, FILES), Route(S3, S3)
SECOND = 10**9
MD5 = "d41d8cd98f00b204e9800998ecf8427e"


@pytest.mark.parametrize(
    ("sizes", "times", "compare", "route"),
    list(product(("equal", "differ"), ("older", "equal", "newer"), Compare, (UPLOAD, DOWNLOAD, RELAY))),
)
def test_truth_table(sizes: str, times: str, compare: Compare, route: Route) -> None:
    source = Entry("k", 10, 100 * SECOND)
    shift = {"older": 1, "equal": 0, "newer": -1}[times]
    destination = Entry("k", 10 if sizes == "equal" else 11, (100 + shift) * SECOND)
    expected: Decision
    if compare is Compare.ALWAYS:
        expected = ALWAYS
    elif sizes == "differ":
        expected = SIZE_DIFFERS
    elif compare is Compare.SIZE:
        expected = SAME_SIZE
    elif compare is Compare.CHECKSUM:
        expected = CHECK_CONTENT
    else:
        expected = NEWER if times == "newer" else NOT_NEWER
    assert decide(source, destination, Options(compare=compare), route) == expected
    assert decide(source, None, Options(compare=compare), route) == MISSING


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
        (-1, -2, RELAY, False),  # before 1970, in the same second
    ],
)
def test_times_are_compared_on_the_coarser_clock(
    source_ns: int, destination_ns: int, route: Route, newer: bool
) -> None:
    options = Options(compare=Compare.MTIME)
    expected = NEWER if newer else NOT_NEWER
    assert decide(Entry("k", 1, source_ns), Entry("k", 1, destination_ns), options, route) == expected


@pytest.mark.parametrize(
    ("source_etag", "destination_etag", "route", "expected"),
    [
        (MD5, MD5, RELAY, SAME_CONTENT),
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


def test_empty_objects_are_equal_without_looking() -> None:
    assert decide(Entry("k", 0, 1), Entry("k", 0, 0), Options(compare=Compare.CHECKSUM), UPLOAD) == SAME_CONTENT


def test_a_folder_marker_meets_no_file() -> None:
    assert decide(Entry("a/", 0, 1), None, Options(), DOWNLOAD) == CHECK_FOLDER
    assert decide(Entry("a/", 0, 1), None, Options(), RELAY) == MISSING
    assert CHECK_FOLDER.verdict is Verdict.CHECK

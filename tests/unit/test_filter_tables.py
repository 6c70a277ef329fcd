"""Filter cases that other programs publish, rewritten as data: where the meaning is shared, and where it differs.

Rules are written `+PATTERN` and `-PATTERN`, in the order of the command line. Rclone and juicefs let the first match
win, so their lists stand here in reverse; their anchored `/x` is `x` here, and their `**` is `*`.
"""

import pytest

from headrace_daemon.planner.entries import Entry
from headrace_daemon.planner.filters import Filter, within
from headrace_daemon.planner.merge import Pair
from headrace_queue.errors import UsageError
from headrace_queue.jobs import Rule
from headrace_queue.selection import UNBOUNDED, Bounds, bounds_of, folder_rules, rules_from

NOW = 1_440_000_000.0
SECOND = 10**9

AWS = [
    ("", "test.txt", True),
    ("", "directory/test.jpg", True),
    ("+*.txt", "test.txt", True),
    ("+*.txt", "test.jpg", True),
    ("+*.txt", "directory/test.jpg", True),
    ("-*", "test.txt", False),
    ("-*", "directory/test.jpg", False),
    ("-*.txt", "test.txt", False),
    ("-*.txt", "test.jpg", True),
    ("-* +*.txt", "test.txt", True),
    ("-* +*.txt", "test.jpg", False),
    ("-* +*.txt", "directory/test.jpg", False),
    ("+*.txt -*", "test.txt", False),
    ("+*.txt -*", "directory/test.jpg", False),
    ("-t*", "test1.txt", False),
    ("-t*", "nottest1.txt", True),
    ("-dir1/*", "dir1/key1.txt", False),
    ("-dir1/*", "dir1/notkey3.txt", False),
    ("-dir1/key*", "dir1/key2.txt", False),
    ("-dir1/key*", "dir1/notkey3.txt", True),
    ("-baz.txt", "baz.txt", False),
    ("-baz.txt", "bar/baz.txt", True),  # a pattern stands at the root
    ("-test.txt", "test2.txt", True),
    ("-* +*.jpg", "key/test.jpg", True),
    # the order of directories is not that of bytes (aws-cli #440): names that a shared beginning must not mix up
    ("-test/*", "test/foo.txt", False),
    ("-test/*", "test-123.txt", True),
    ("-test/*", "test.txt", True),
    ("-test*", "test-123.txt", False),
]

_RCLONE = "-* +a/*.jpg +sausage3* +sausage2* +sausage1 -potato -*.png +*.jpg +file2.png -file1.jpg"
RCLONE = [
    (_RCLONE, "cleared", False),
    (_RCLONE, "file1.jpg", False),
    (_RCLONE, "file2.png", True),
    (_RCLONE, "FILE2.png", False),
    (_RCLONE, "afile2.png", False),
    (_RCLONE, "file3.jpg", True),
    (_RCLONE, "file4.png", False),
    (_RCLONE, "potato", False),
    (_RCLONE, "sausage1", True),
    (_RCLONE, "sausage1/potato", False),
    (_RCLONE, "sausage2potato", True),
    (_RCLONE, "sausage3/potato", True),
    (_RCLONE, "a/one.jpg", True),
    (_RCLONE, "a/one.png", False),
    (_RCLONE, "unicorn", False),
    ("-* +file.jpg", "file.jpg", True),
    ("-* +file.jpg", "afile.jpg", False),
    ("-* +file.jpg", "directory/afile.jpg", False),
    ("-* +*.jpg", "directory/file.jpg", True),
    ("-* +*.jpg", "file.jpg/anotherfile.png", False),
]

JUICEFS = [
    ("-a*", "a1", False),
    ("-a*/b*", "a1/b1", False),
    ("-a*/b?", "a1/b1", False),
    ("-a*/b?/*", "a1/b1/c2/d1", False),
    ("-a*/b?/", "a1/", True),
    ("-a*/b?/c.txt", "a1/b1", True),
    ("-a*/b?/", "a1/b1/", False),
    ("-a*/b?/", "a1/b1/c.txt", True),
    ("-a*/b*", "a1/b1/c1/d.txt/", False),
    ("-a*/b*/c", "a1/b1/c1/d.txt/", True),
]

S5CMD = [
    ("-* +main*", "main.go", True),
    ("-* +main*", "main/deep/file", True),
    ("-* +main*", "amain", False),
    ("-* +*.txt", "a/b.txt", True),
    ("-* +*.txt", "atxt", False),
    ("-* +?_main*.txt", "x_main1.txt", True),
    ("-* +?_main*.txt", "_main1.txt", False),
]

DIFFERENT = [
    # rclone and rsync: a pattern without a slash matches at any depth. As in aws s3 sync it stands at the root here.
    ("-file.jpg", "directory/file.jpg", True),
    ("-potato", "deep/potato", True),
    # rclone and rsync: `*` stops at a slash. As in aws s3 sync and s5cmd it does not here.
    (_RCLONE, "sausage2/potato", True),
    ("-* +*.jpg", "sub/deep/file.jpg", True),
    ("-a*/b?", "a1/b1/c2/d1", True),  # juicefs: an excluded folder takes everything below with it
    ("-a", "a/b/c/d/", True),  # the same; --exclude-folder a says it here
    ("-a*/b*/", "a1/b1/c1/d.txt/", False),  # juicefs: `/` at the end means one folder, here it is a character
    # rclone: {a,b} are alternatives; here braces are characters, and the rule is written twice
    ("-*.{jpg,png}", "file.jpg", True),
    # rclone and juicefs: a leading slash anchors; here no key begins with one
    ("-/file.jpg", "file.jpg", True),
    # rclone, rsync, juicefs: the first match wins; here the last one does
    ("+*.jpg -*", "file.jpg", False),
]


@pytest.mark.parametrize(("rules", "key", "included"), AWS + RCLONE + JUICEFS + S5CMD + DIFFERENT)
def test_published_cases(rules: str, key: str, included: bool) -> None:
    parsed = [Rule(text[0] == "+", text[1:]) for text in rules.split()]
    filters = Filter(parsed)
    assert filters.decide(key) is included
    index = filters.deciding(key)
    assert (parsed[index].include if index is not None else True) is included


SIZES_AND_AGES = [
    # rclone's cases: both bounds are inclusive
    (Bounds(min_size=100), 100, 0, ""),
    (Bounds(min_size=100), 101, 0, ""),
    (Bounds(min_size=100), 99, 0, "--min-size"),
    (Bounds(max_size=100), 100, 0, ""),
    (Bounds(max_size=100), 101, 0, "--max-size"),
    (Bounds(max_size=100), 99, 0, ""),
    (Bounds(max_size=0), 0, 0, ""),
    (Bounds(oldest_ns=2, newest_ns=3), 100, 0, "--max-age"),
    (Bounds(oldest_ns=2, newest_ns=3), 101, 1, "--max-age"),
    (Bounds(oldest_ns=2, newest_ns=3), 102, 2, ""),
    (Bounds(oldest_ns=2, newest_ns=3), 98, 3, ""),
    (Bounds(oldest_ns=2, newest_ns=3), 99, 4, "--min-age"),
    (Bounds(newest_ns=2), 100, 0, ""),
    (Bounds(newest_ns=2), 100, 2, ""),
    (Bounds(newest_ns=2), 100, 3, "--min-age"),
    (Bounds(oldest_ns=2), 100, 1, "--max-age"),
    (Bounds(oldest_ns=2), 100, 2, ""),
    (Bounds(oldest_ns=2), 100, 4, ""),
]


@pytest.mark.parametrize(("bounds", "size", "mtime_ns", "option"), SIZES_AND_AGES)
def test_sizes_and_ages(bounds: Bounds, size: int, mtime_ns: int, option: str) -> None:
    assert bounds.outside(size, mtime_ns) == option
    pair: Pair = (Entry("key", size, mtime_ns), None)
    assert within(bounds, [pair]) == ([] if option else [pair])


def test_no_bounds_cost_no_copy() -> None:
    pairs: list[Pair] = [(Entry("key", 1, 2), None)]
    assert within(UNBOUNDED, pairs) is pairs


def asked(**texts: str) -> Bounds:
    names = ("min_size", "max_size", "min_age", "max_age")
    return bounds_of(**{name: texts.get(name) for name in names}, now=NOW)


@pytest.mark.parametrize(
    ("texts", "bounds"),
    [
        ({}, UNBOUNDED),
        ({"min_size": "1KiB", "max_size": "1.5kB"}, Bounds(1024, 1500)),
        ({"min_age": "36h"}, Bounds(newest_ns=(1_440_000_000 - 36 * 3600) * SECOND)),
        ({"max_age": "1d12h"}, Bounds(oldest_ns=(1_440_000_000 - 36 * 3600) * SECOND)),
        ({"max_age": "1970-01-01T00:00:01Z"}, Bounds(oldest_ns=SECOND)),
        ({"min_age": "1970-01-02T00:00:00.5+00:00"}, Bounds(newest_ns=86_400 * SECOND + SECOND // 2)),
        ({"max_age": "2d", "min_age": "1d"}, Bounds(None, None, 1_439_827_200 * SECOND, 1_439_913_600 * SECOND)),
    ],
)
def test_what_the_texts_mean(texts: dict[str, str], bounds: Bounds) -> None:
    assert asked(**texts) == bounds


@pytest.mark.parametrize(
    "texts",
    [
        {"min_size": "1K"},
        {"max_size": "-1"},
        {"min_age": "soon"},
        {"max_age": "2024-13-01"},
        {"max_age": "9" * 400 + "d"},
        {"min_size": "2B", "max_size": "1B"},
        {"min_age": "2d", "max_age": "1d"},
    ],
)
def test_what_cannot_be_meant_is_refused(texts: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        asked(**texts)


FOLDERS = [
    ("download", "download/x", False),
    ("download", "region/download/x", False),
    ("download", "a/b/download/c/d", False),
    ("download", "download/", False),  # the folder's marker
    ("download/", "region/download/x", False),
    ("download", "download", True),  # a file of that name is no folder
    ("download", "region/download", True),
    ("download", "mydownload/x", True),
    ("download", "downloads/x", True),
    ("a/b", "x/a/b/c", False),
    ("a/b", "x/a/c/b", True),
    (".*", "x/.git/config", False),
]


@pytest.mark.parametrize(("name", "key", "included"), FOLDERS)
def test_folders_at_any_depth(name: str, key: str, included: bool) -> None:
    assert Filter(folder_rules(False, name)).decide(key) is included
    assert Filter([Rule(False, "*"), *folder_rules(True, name)]).decide(key) is not included


@pytest.mark.parametrize("name", ["", "/", "/a", "a//b", "..", "./a"])
def test_a_folder_needs_a_name(name: str) -> None:
    with pytest.raises(UsageError):
        folder_rules(False, name)


def test_every_option_of_rules_is_known() -> None:
    assert rules_from("include", "a") == (Rule(True, "a"),)
    assert rules_from("exclude", "a") == (Rule(False, "a"),)
    assert rules_from("include_folder", "a") == (Rule(True, "a/*"), Rule(True, "*/a/*"))
    assert rules_from("exclude_folder", "a") == (Rule(False, "a/*"), Rule(False, "*/a/*"))

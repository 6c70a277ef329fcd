"""A bucket as it was: which version of each key counts, however the pages are cut and in whatever order they come."""

import asyncio
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.as_of import note_of_versions
from headrace_daemon.planner.entries import Entry
from headrace_daemon.planner.errors import JobFailure, ListingDisorder
from headrace_daemon.planner.listing_versions import Chooser, list_as_of
from headrace_daemon.s3.errors import AccessDenied
from headrace_daemon.s3.profiles import Profile
from headrace_daemon.s3.versions_xml import ListedVersion, VersionsPage, in_order, parse_versions
from headrace_daemon.s3.xml import MalformedXml
from headrace_daemon.transfer.ends import BucketEnd
from headrace_queue.jobs import Options

SECOND: Final = 10**9
KEYS: Final = ["p/", "p/a", "p/a.txt", "p/a/b", "p/b", "p/é"]


@st.composite
def histories(draw: st.DrawFn) -> list[ListedVersion]:
    """Versions as S3 lists them: by key, the latest stored first; times may repeat."""
    found: list[ListedVersion] = []
    for key in sorted(draw(st.sets(st.sampled_from(KEYS)))):
        times = sorted(draw(st.lists(st.integers(1, 5), min_size=1, max_size=5)), reverse=True)
        for number, time in enumerate(times):
            marker = draw(st.booleans())
            size = 0 if marker else draw(st.integers(0, 9))
            found.append(ListedVersion(key, f"{key}{number}", time * SECOND, number == 0, marker, size, "e"))
    return found


def expected(history: Sequence[ListedVersion], as_of: int) -> dict[str, str]:
    """Key -> version, said once more and another way."""
    there = {}
    for key, versions in groupby(history, key=lambda one: one.key):
        newest = next((one for one in versions if one.mtime_ns <= as_of * SECOND), None)
        if newest is not None and not newest.is_marker:
            there[key] = newest.version
    return there


def pages_of(history: Sequence[ListedVersion], size: int, *, markers_last: bool) -> list[VersionsPage]:
    """The answers of a service, `size` at a time. markers_last: as moto and SeaweedFS send them."""
    cuts = [list(history[start : start + size]) for start in range(0, len(history), size)] or [[]]
    pages = []
    for index, cut in enumerate(cuts):
        following = (cut[-1].key, cut[-1].version) if index + 1 < len(cuts) else None
        sent = sorted(cut, key=lambda one: one.is_marker) if markers_last else cut
        pages.append(VersionsPage(in_order(sent), following, "SeaweedFS" if markers_last else ""))
    return pages


class Bucket:
    """A remote that lists these versions."""

    name = "r"

    def __init__(self, pages: Sequence[VersionsPage], profile: Profile | None = None) -> None:
        self.profile = profile or Profile("s3")
        self._pages = pages
        self.asked = 0

    async def list_versions(
        self, bucket: str, prefix: str, *, after: str = "", token: tuple[str, str] | None = None
    ) -> VersionsPage:
        self.asked += 1
        if token is None:
            return self._pages[0]
        return self._pages[next(n for n, page in enumerate(self._pages) if page.next == token) + 1]


def listed(bucket: Bucket, as_of: int, scratch: Path, after: str = "") -> list[Entry]:
    async def collect() -> list[Entry]:
        pages = list_as_of(bucket, "b", "p/", as_of * SECOND, after, scratch=scratch)
        return [entry async for page in pages for entry in page.entries]

    return asyncio.run(collect())


@given(histories(), st.integers(0, 6), st.integers(1, 4), st.booleans())
def test_of_each_key_the_newest_version_of_then_is_chosen(
    tmp_path_factory: pytest.TempPathFactory,
    history: list[ListedVersion],
    as_of: int,
    size: int,
    markers_last: bool,
) -> None:
    if markers_last:  # within one second nothing tells then which of the two came first
        history = list({(one.key, one.mtime_ns): one for one in reversed(history)}.values())[::-1]
    bucket = Bucket(pages_of(history, size, markers_last=markers_last))
    found = listed(bucket, as_of, tmp_path_factory.getbasetemp())
    wanted = expected(history, as_of)
    wanted.pop("p/", None)  # the prefix's own marker is no object below it
    assert [(f"p/{entry.key}", entry.version) for entry in found] == sorted(wanted.items())


def version(key: str, time: int, name: str = "v") -> ListedVersion:
    return ListedVersion(key, name, time * SECOND, True, False, 1, "e")


def test_what_was_written_within_the_second_belongs_to_the_instant() -> None:
    page = VersionsPage([version("k", 10)], None)
    assert Chooser(10 * SECOND, 0).take(page) == [Entry("k", 1, 10 * SECOND, "e", 0, "v")]
    assert Chooser(10 * SECOND - 1, 0).take(page) == []


def test_a_listing_goes_on_behind_a_key_that_a_service_repeats(tmp_path: Path) -> None:
    bucket = Bucket([VersionsPage([version("p/a", 1), version("p/b", 1)], None)])
    assert [entry.key for entry in listed(bucket, 5, tmp_path, after="a")] == ["b"]


@pytest.mark.parametrize("keys", [["p/b", "p/a"], ["p/a", "elsewhere"], ["o/a"]])
def test_a_listing_without_order_is_no_basis(keys: list[str], tmp_path: Path) -> None:
    with pytest.raises(ListingDisorder):
        listed(Bucket([VersionsPage([version(key, 1) for key in keys], None)]), 5, tmp_path)


def test_a_listing_that_goes_in_a_circle_ends(tmp_path: Path) -> None:
    page = VersionsPage([version("p/a", 1)], ("p/a", "v"))

    class Circle(Bucket):
        async def list_versions(
            self, bucket: str, prefix: str, *, after: str = "", token: tuple[str, str] | None = None
        ) -> VersionsPage:
            return page

    with pytest.raises(JobFailure, match="circle"):
        listed(Circle([page]), 5, tmp_path)


# -- the document ------------------------------------------------------------------------------------------------------

DOCUMENT: Final = b"""<?xml version="1.0" encoding="UTF-8"?>
<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><IsTruncated>true</IsTruncated>
<EncodingType>url</EncodingType><NextKeyMarker>a%2Fb+c</NextKeyMarker><NextVersionIdMarker>v%1</NextVersionIdMarker>
<DeleteMarker><Key>a%2Fb+c</Key><VersionId>v2</VersionId><IsLatest>true</IsLatest>
<LastModified>2026-01-01T00:00:02.000Z</LastModified><Owner><ID>o</ID></Owner></DeleteMarker>
<Version><Key>a%2Fb+c</Key><VersionId>v%1</VersionId><IsLatest>false</IsLatest><Size>5</Size><ETag>"e"</ETag>
<LastModified>2026-01-01T00:00:01.000Z</LastModified><StorageClass>STANDARD</StorageClass></Version>
</ListVersionsResult>"""


def test_versions_and_markers_are_read_in_their_order() -> None:
    page = parse_versions(DOCUMENT, encoded=True)
    at = 1_767_225_600 * SECOND
    assert page.next == ("a/b c", "v%1"), "a version id is never encoded"
    assert page.versions == [
        ListedVersion("a/b c", "v2", at + 2 * SECOND, True, True),
        ListedVersion("a/b c", "v%1", at + SECOND, False, False, 5, "e"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"<ListBucketResult/>",
        b"<ListVersionsResult><IsTruncated>true</IsTruncated></ListVersionsResult>",
        b"<ListVersionsResult><Version><Key>k</Key></Version></ListVersionsResult>",
        DOCUMENT.replace(b"a%2Fb+c</Key>", b"</Key>"),
        DOCUMENT[:-5],
    ],
)
def test_what_is_no_list_of_versions_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedXml):
        parse_versions(body, encoded=True)


def test_the_order_of_s3_is_left_as_it_is() -> None:
    """An upload in parts is as old as its beginning: the one that was stored last may have the earlier time."""
    late = ListedVersion("k", "parts", 1 * SECOND, True, False, 1, "e")
    early = ListedVersion("k", "plain", 2 * SECOND, False, False, 1, "e")
    assert in_order([late, early]) == [late, early]
    assert in_order([early, late]) == [late, early], "which is the latest is said, and times are not"


def test_a_page_of_versions_and_then_markers_may_be_that_of_s3() -> None:
    """An upload in parts that began before a deletion, and was completed after it: the object is there."""
    there = ListedVersion("k", "parts", 1 * SECOND, True, False, 1, "e")
    marker = ListedVersion("k", "marker", 2 * SECOND, False, True)
    assert in_order([there, marker]) == [there, marker]
    assert [entry.version for entry in Chooser(9 * SECOND, 0).take(VersionsPage([there, marker], None))] == ["parts"]
    old = ListedVersion("k", "old", 0, False, False, 1, "e")
    assert in_order([there, old, marker]) == [there, marker, old], "of the others, by their times"


# -- what the job says -------------------------------------------------------------------------------------------------


class Versioned:
    """A remote whose bucket says this of itself."""

    name = "r"

    def __init__(self, status: str | AccessDenied, server: str) -> None:
        self.profile = Profile("s3")
        self._status = status
        self._server = server

    async def list_versions(self, bucket: str, prefix: str) -> VersionsPage:
        return VersionsPage([], None, self._server)

    async def versioning(self, bucket: str) -> str:
        if isinstance(self._status, AccessDenied):
            raise self._status
        return self._status


async def note(
    status: str | AccessDenied, *, delete: bool = False, as_of: int | None = 1, server: str = "AmazonS3"
) -> str:
    end = BucketEnd(Versioned(status, server), "b", "", as_of_ns=as_of)  # type: ignore[arg-type]
    return await note_of_versions(end, Options(delete=delete))


async def test_a_bucket_that_forgets_is_told_of() -> None:
    assert await note("Enabled") == await note("Enabled", delete=True) == await note("", as_of=None) == ""
    assert "the bucket keeps no versions: what was overwritten" in await note("")
    assert "since that was suspended" in await note("Suspended")
    assert await note(AccessDenied("AccessDenied", "no", 403)) == ""


@pytest.mark.parametrize("status", ["", "Suspended", AccessDenied("AccessDenied", "no", 403)])
async def test_nothing_is_deleted_by_a_past_that_is_not_known(status: str | AccessDenied) -> None:
    with pytest.raises(JobFailure, match="Nothing was sent or deleted"):
        await note(status, delete=True)


async def test_nothing_is_deleted_by_lists_that_are_known_to_lack_versions() -> None:
    assert await note("Enabled", server="SeaweedFS 4.48") == ""
    with pytest.raises(JobFailure, match="may lack objects"):
        await note("Enabled", server="SeaweedFS 4.48", delete=True)

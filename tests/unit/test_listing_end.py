"""Where a listing ends: by its own word, and where it does not give one."""

import pytest

from headrace_daemon.s3.listing_xml import ListingFeed, parse_listing
from headrace_daemon.s3.xml import MalformedXml


def contents(key: str) -> str:
    return (
        f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        "<ETag>&quot;abc&quot;</ETag><Size>3</Size></Contents>"
    )


@pytest.mark.parametrize(
    ("said", "objects", "following", "truncated"),
    [("false", 1000, "", False), ("true", 1, "", True), ("", 3, "", False), ("", 1000, "", True), ("", 3, "k3", True)],
)
def test_an_answer_that_does_not_say_whether_it_is_all(
    said: str, objects: int, following: str, truncated: bool
) -> None:
    """To take a full page for the end would make the rest look deleted."""
    head = (f"<IsTruncated>{said}</IsTruncated>" if said else "") + (
        f"<NextMarker>{following}</NextMarker>" if following else ""
    )
    body = "".join(contents(f"k{number:04d}") for number in range(objects))
    page = parse_listing(f"<ListBucketResult>{head}{body}</ListBucketResult>".encode(), encoded=False)
    assert (page.truncated, len(page.objects)) == (truncated, objects)


@pytest.mark.parametrize("behind", [False, True])
def test_a_listing_in_one_piece_that_is_cut_off_is_no_listing(behind: bool) -> None:
    flag, body = "<IsTruncated>true</IsTruncated>", contents("a") + contents("b")
    feed = ListingFeed()
    feed.feed(f"<ListBucketResult>{body + flag if behind else flag + body}</ListBucketResult>".encode())
    with pytest.raises(MalformedXml, match="cut off"):
        feed.close()

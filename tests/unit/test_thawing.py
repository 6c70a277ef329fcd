"""Objects in archive classes: what a HEAD tells, what is asked of S3, when to look again, what an error means."""

from typing import Any

import pytest

from headrace_daemon.s3.archived import ArchiveState, archive_state, refuse_archived
from headrace_daemon.s3.classify import classify, classify_embedded
from headrace_daemon.s3.describe import object_info
from headrace_daemon.s3.errors import ObjectArchived, Rejected
from headrace_daemon.s3.profiles import PROFILES
from headrace_daemon.s3.restoring import build_restore
from headrace_daemon.s3.types import ObjectInfo
from headrace_daemon.s3.xml import ErrorBody, parse_error
from headrace_daemon.thawing.times import LOOKS, MOST_BETWEEN, expected, next_look, span_of
from headrace_daemon.transfer.judge import Failed, judge, told

HOUR = 3600.0
EXPIRES = 'ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"'


@pytest.mark.parametrize(
    ("headers", "state", "readable"),
    [
        ({}, ArchiveState(""), True),
        ({"x-amz-storage-class": "GLACIER_IR"}, ArchiveState(""), True),
        ({"x-amz-storage-class": "GLACIER"}, ArchiveState("GLACIER"), False),
        ({"x-amz-storage-class": "DEEP_ARCHIVE"}, ArchiveState("DEEP_ARCHIVE"), False),
        (
            {"x-amz-storage-class": "GLACIER", "x-amz-restore": 'ongoing-request="true"'},
            ArchiveState("GLACIER", under_way=True),
            False,
        ),
        (
            {"x-amz-storage-class": "GLACIER", "x-amz-restore": EXPIRES},
            ArchiveState("GLACIER", restored=True),
            True,
        ),
        ({"x-amz-storage-class": "INTELLIGENT_TIERING"}, ArchiveState(""), True),
        (
            {"x-amz-storage-class": "INTELLIGENT_TIERING", "x-amz-archive-status": "DEEP_ARCHIVE_ACCESS"},
            ArchiveState("DEEP_ARCHIVE_ACCESS"),
            False,
        ),
    ],
)
def test_what_a_head_tells(headers: dict[str, str], state: ArchiveState, readable: bool) -> None:
    found = archive_state(headers)
    assert found == state
    assert found.readable is readable


def test_of_intelligent_tiering_no_days_are_asked() -> None:
    assert archive_state(
        {"x-amz-storage-class": "INTELLIGENT_TIERING", "x-amz-archive-status": "ARCHIVE_ACCESS"}
    ).tiered
    assert not archive_state({"x-amz-storage-class": "GLACIER"}).tiered
    tier = b"<GlacierJobParameters><Tier>Bulk</Tier></GlacierJobParameters></RestoreRequest>"
    assert build_restore(None, "Bulk").endswith(b'2006-03-01/">' + tier)
    assert build_restore(7, "Bulk").endswith(b'2006-03-01/"><Days>7</Days>' + tier)


@pytest.mark.parametrize(
    ("place", "tier", "least", "most"),
    [
        ("GLACIER", "Expedited", 60, 300),
        ("GLACIER", "Standard", 3 * HOUR, 5 * HOUR),
        ("GLACIER", "Bulk", 5 * HOUR, 12 * HOUR),
        ("ARCHIVE_ACCESS", "Standard", 3 * HOUR, 5 * HOUR),
        ("DEEP_ARCHIVE", "Standard", 6 * HOUR, 12 * HOUR),
        ("DEEP_ARCHIVE_ACCESS", "Bulk", 24 * HOUR, 48 * HOUR),
        ("", "Bulk", 24 * HOUR, 48 * HOUR),
        ("COLD", "Slow", 24 * HOUR, 48 * HOUR),
    ],
)
def test_the_first_look_is_when_it_may_be_there(place: str, tier: str, least: float, most: float) -> None:
    assert span_of(place, tier) == (least, most)
    assert next_look(place, tier, 1000.0, 1000.0) == 1000 + least
    assert next_look(place, tier, 1000.0, 1000 + least - 1) == 1000 + least, "a look that came early"
    assert expected(place, tier, 1000.0) == 1000 + most


@pytest.mark.parametrize("place", ["GLACIER", "DEEP_ARCHIVE"])
@pytest.mark.parametrize("tier", ["Expedited", "Standard", "Bulk"])
def test_looks_are_few_and_never_end(place: str, tier: str) -> None:
    span = span_of(place, tier)
    now, looks = 0.0, 0
    while now < span.most:
        now, looks = next_look(place, tier, 0.0, now), looks + 1
    assert looks <= LOOKS + 2
    for _ in range(5):
        later = next_look(place, tier, 0.0, now)
        assert 0 < later - now <= max(MOST_BETWEEN, (span.most - span.least) / LOOKS)
        now = later


def test_a_service_with_times_of_its_own() -> None:
    assert next_look("GLACIER", "Bulk", 0.0, 500.0, poll=30.0) == 530


ARCHIVED = (
    b"<Error><Code>InvalidObjectState</Code><Message>The operation is not valid for the object's storage class"
    b"</Message><StorageClass>%b</StorageClass>%b</Error>"
)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (ARCHIVED % (b"DEEP_ARCHIVE", b""), "DEEP_ARCHIVE"),
        (ARCHIVED % (b"INTELLIGENT_TIERING", b"<AccessTier>ARCHIVE_ACCESS</AccessTier>"), "ARCHIVE_ACCESS"),
        (b"<Error><Code>ObjectNotInActiveTierError</Code><Message>no</Message></Error>", "an archive class"),
    ],
)
def test_an_object_that_is_archived_fails_with_its_class_and_the_remedy(body: bytes, place: str) -> None:
    error = classify(403, lambda name: None, body)
    assert isinstance(error, ObjectArchived)
    verdict = judge(error)
    assert verdict == Failed("archived")
    assert isinstance(verdict, Failed)
    assert told(verdict, error) == (
        f"the object is in {place} and has to be restored before it can be read. do: `--archived restore` has S3 "
        "restore such objects first, `--archived skip` passes them over"
    )


def test_so_does_a_copy_whose_refusal_comes_after_its_beginning() -> None:
    found = parse_error(ARCHIVED % (b"GLACIER", b""))
    assert found == ErrorBody(
        "InvalidObjectState", "The operation is not valid for the object's storage class", None, "GLACIER"
    )
    assert isinstance(classify_embedded(found, 200), ObjectArchived)


@pytest.mark.parametrize(
    ("status", "code"), [(409, "RestoreAlreadyInProgress"), (503, "GlacierExpeditedRetrievalNotAvailable")]
)
def test_answers_to_a_restore_are_not_repeated_by_the_wire(status: int, code: str) -> None:
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    assert type(classify(status, lambda name: None, body)) is Rejected


@pytest.mark.parametrize(("profile", "archived"), [("aws", "GLACIER"), ("s3", ""), ("seaweedfs", "")])
def test_only_of_amazon_a_class_says_that_an_object_cannot_be_read(profile: str, archived: str) -> None:
    """Others may call a class of their own so."""

    class Answer:
        def headers(self) -> list[tuple[str, str]]:
            return [("etag", '"e"'), ("x-amz-storage-class", "GLACIER")]

        def header(self, name: str) -> str | None:
            return dict(self.headers()).get(name)

    answer: Any = Answer()
    assert object_info(answer, 1, "http://e", PROFILES[profile]).archived == archived


def test_a_large_object_is_refused_before_its_parts_are_asked_for() -> None:
    refuse_archived(ObjectInfo(1, "e", 0))
    with pytest.raises(ObjectArchived, match="in DEEP_ARCHIVE and has to be restored") as caught:
        refuse_archived(ObjectInfo(1, "e", 0, archived="DEEP_ARCHIVE"))
    assert judge(caught.value) == Failed("archived")

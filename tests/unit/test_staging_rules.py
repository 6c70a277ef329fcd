"""What staging decides without asking anybody: names, sizes, rules, delays, messages, the jobs it makes."""

import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from headrace_daemon.s3.lifecycle import Rule, rules_of, with_rule
from headrace_daemon.s3.xml import local_name, parse, texts
from headrace_daemon.staging.bucket import bucket_of, name_for, prefix_of, rule_of
from headrace_daemon.staging.messages import objects_of, region_of
from headrace_daemon.staging.moving import disposition, job_for, staged_name
from headrace_daemon.staging.sizes import MAX_PART, MAX_PARTS, MIB, TooLarge, part_count, part_size
from headrace_daemon.staging.waiting import CLEANING, MOVING, UPLOADING, Held, delay, upload_delay
from headrace_queue.config_api import StagingConfig
from headrace_queue.errors import UsageError
from headrace_queue.jobs import Compare, Kind, Owner
from headrace_queue.transfers import Direction, Transfer, TransferSpec, TransferState

GIB = 2**30


def config(**settings: Any) -> StagingConfig:
    return StagingConfig(remote="r", **settings)


# -- buckets ----------------------------------------------------------------------------------------------------------

AWKWARD = [
    "Ada",
    "ada_l",
    "ada.l",
    "ada@site.org",
    "a",
    "ab",
    "",
    "-",
    "ÜÜÜ",
    "x" * 70,
    "xn--ada",
    "192.168.0.1",
    "a--b",
]
PATTERNS = ["{user}", "hpc-{user}-staging", "{user}.hpc"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_user_gets_a_bucket_that_may_exist(pattern: str) -> None:
    """Amazon S3 user guide, "General purpose bucket naming rules"."""
    made = [bucket_of(config(bucket=pattern), user) for user in AWKWARD]
    for name in made:
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name), name
        assert ".." not in name
        assert not name.startswith("xn--")
        assert not re.fullmatch(r"[0-9.]+", name)
    assert len(set(made)) == len(AWKWARD)


def test_a_plain_name_stays_readable() -> None:
    assert bucket_of(config(bucket="stage-{user}"), "ada") == "stage-ada"
    assert bucket_of(config(), "whoever") == "headrace-staging"
    assert re.fullmatch(r"stage-ada-site-org-[0-9a-f]{10}", bucket_of(config(bucket="stage-{user}"), "Ada@site.org"))
    assert prefix_of(config(prefix="in/{user}/"), "a/../b").startswith("in/a-b-")


@given(st.text(max_size=80), st.text(max_size=80), st.integers(10, 63))
@example("Ada", name_for("Ada"), 40)
@example("Ü", name_for("Ü"), 40)
@example("x" * 20, "x" * 21, 10)
def test_two_users_never_share_a_name(one: str, other: str, room: int) -> None:
    assert (name_for(one, room) == name_for(other, room)) == (one == other)
    assert 1 <= len(name_for(one, room)) <= room


@pytest.mark.parametrize("pattern", ["Upper", "a_b", "ab", "x" * 64, "x" * 60 + "{user}", "a..b", "10.0.0.1"])
def test_a_bucket_that_cannot_be_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match=r"staging\.bucket"):
        bucket_of(config(bucket=pattern), "ada")


@pytest.mark.parametrize("prefix", ["x" * 513, "a\nb"])
def test_a_prefix_that_leaves_no_room_is_refused(prefix: str) -> None:
    with pytest.raises(UsageError, match=r"staging\.prefix"):
        prefix_of(config(prefix=prefix), "ada")


# -- the bucket's own rules -------------------------------------------------------------------------------------------

RULE = Rule("headrace-staging-1", "", 7, 2)
OTHERS = b"""<?xml version="1.0" encoding="UTF-8"?>
<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Rule><ID>logs</ID><Filter><And><Prefix>logs/</Prefix><Tag><Key>a</Key><Value>b</Value></Tag></And></Filter>
    <Status>Enabled</Status><Transition><Days>30</Days><StorageClass>GLACIER</StorageClass></Transition></Rule>
  <Rule><ID>headrace-staging-1</ID><Filter><Prefix></Prefix></Filter><Status>Disabled</Status>
    <Expiration><Days>7</Days></Expiration>
    <AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>
</LifecycleConfiguration>"""


def test_a_rule_is_set_beside_those_of_others() -> None:
    before = parse(OTHERS)
    assert RULE not in rules_of(before)  # disabled
    after = parse(with_rule(before, RULE))
    assert rules_of(after) == [RULE]
    assert [texts(rule)["ID"] for rule in after] == ["logs", "headrace-staging-1"]
    kept = after[0].find(".//{*}Tag/{*}Key")
    assert kept is not None
    assert kept.text == "a"
    assert RULE in rules_of(parse(with_rule(None, RULE)))


def test_the_older_form_is_kept_where_others_use_it() -> None:
    """S3 refuses a document that has both."""
    older = OTHERS.replace(b"<Filter><Prefix></Prefix></Filter>", b"<Prefix></Prefix>").replace(b"<ID>logs", b"<ID>x")
    older = re.sub(rb"<Filter><And>.*</And></Filter>", b"<Prefix>logs/</Prefix>", older)
    after = parse(with_rule(parse(older), RULE))
    assert rules_of(after) == [RULE]
    assert not [child for rule in after for child in rule if local_name(child) == "Filter"]


def test_unfinished_uploads_go_after_the_last_that_could_be_completed() -> None:
    assert rule_of(config()).abort_days == 2
    assert rule_of(config(upload_deadline=60)).abort_days == 2
    assert rule_of(config(upload_deadline=3.5 * 86400)).abort_days == 5
    assert rule_of(config(prefix="in/{user}/")).prefix == "in/"
    assert rule_of(config(expire_days=3)).expire_days == 3


# -- parts ------------------------------------------------------------------------------------------------------------


@given(st.integers(0, MAX_PARTS * MAX_PART), st.integers(5 * MIB, MAX_PART))
@example(MAX_PARTS * MAX_PART, 5 * MIB)
@example(0, 5 * MIB)
@example(GIB, GIB)
@example(GIB + 1, GIB)
def test_parts_hold_the_file_and_are_never_too_many(size: int, usual: int) -> None:
    each = part_size(size, usual)
    count = part_count(size, each)
    assert usual <= each <= MAX_PART
    assert 1 <= count <= MAX_PARTS
    assert (count - 1) * each < max(size, 1) <= max(count * each, 1)


def test_what_no_parts_hold_is_refused() -> None:
    with pytest.raises(TooLarge, match="10,000 parts"):
        part_size(MAX_PARTS * MAX_PART + 1, GIB)
    assert part_size(5 * 10**12, GIB) == GIB
    assert part_size(20 * 2**40, GIB) % MIB == 0


# -- looks ------------------------------------------------------------------------------------------------------------


def test_looks_become_rarer_and_never_rare() -> None:
    assert [delay(UPLOADING, looks) for looks in range(7)] == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    assert delay(MOVING, 10**6) == 2.0
    assert delay(CLEANING, 10**6) == 3600.0


def test_the_last_part_is_followed_at_once() -> None:
    assert upload_delay(0, Held(3, 300), 300) == 0.5
    assert upload_delay(0, Held(3, 200), 300) == 1.0
    assert upload_delay(0, Held(9000, 200), 300) == 9.0
    assert upload_delay(0, Held(), 300) == 0.5


# -- jobs -------------------------------------------------------------------------------------------------------------


def transfer(direction: Direction, *, archive: bool = False) -> Transfer:
    upload = direction is Direction.UPLOAD
    spec = TransferSpec(
        direction,
        "cluster",
        Owner("ada", "/data", 1000, 100, (100,)),
        "/data/a b",
        5,
        "bucket",
        "p/0b1c/a b",
        part_size=5 if upload else 0,
        deadline=1.0 if upload else None,
        archive=archive,
        no_clobber=upload,
    )
    return Transfer(3, spec, TransferState.WAITING, 0.0, 0.0)


def test_the_jobs_of_transfers() -> None:
    up = job_for(transfer(Direction.UPLOAD), "stage")
    assert (up.kind, up.source, up.destination) == (Kind.COPY, "stage://bucket/p/0b1c/a b", "/data/a b")
    assert (up.options.compare, up.options.no_clobber) == (Compare.ALWAYS, True)
    assert up.owner == Owner("ada", "/data", 1000, 100, (100,))
    assert up.submission_id == "transfer-3-0b1c"
    down = job_for(transfer(Direction.DOWNLOAD, archive=True), "stage")
    assert (down.kind, down.source, down.destination) == (Kind.ARCHIVE, "/data/a b", "stage://bucket/p/0b1c/a b")
    assert down.options.headers == (("content-disposition", 'attachment; filename="a b"'),)


def test_names_of_staged_objects() -> None:
    assert staged_name("/data/a b'ü.txt", archive=False) == "a b'ü.txt"
    assert staged_name("/data/a\nb\x7f\udcff", archive=False) == "a_b__"
    assert staged_name("/data/run 1", archive=True) == "run 1.tar"
    assert staged_name("/", archive=True) == "root.tar"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
@example('a"b\\c;.txt\r\n')
def test_a_name_never_leaves_its_header(name: str) -> None:
    """RFC 6266: whatever the name, the header is one line of ASCII, and nothing ends the quotes."""
    header = disposition(name)
    assert header.isascii()
    assert header.isprintable()
    quoted = header.removeprefix('attachment; filename="').partition('"')[0]
    assert "\\" not in quoted
    assert header.count('"') == 2


# -- messages ---------------------------------------------------------------------------------------------------------

RECORD = {
    "eventVersion": "2.1",
    "eventSource": "aws:s3",
    "eventName": "ObjectCreated:CompleteMultipartUpload",
    "s3": {"bucket": {"name": "stage"}, "object": {"key": "u/a+b%C3%BC.txt", "size": 3}},
}


def test_messages_in_the_forms_of_s3() -> None:
    body = json.dumps({"Records": [RECORD, {**RECORD, "eventName": "ObjectRemoved:Delete"}]})
    assert objects_of(body) == {("stage", "u/a bü.txt")}
    assert objects_of(json.dumps({"Type": "Notification", "Message": body})) == {("stage", "u/a bü.txt")}
    bridged = {"detail-type": "Object Created", "detail": {"bucket": {"name": "s"}, "object": {"key": "a+b"}}}
    assert objects_of(json.dumps(bridged)) == {("s", "a+b")}


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no json",
        "[]",
        "3",
        '{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"stage"}',
        '{"Records": 3}',
        '{"Records": [3, {}, {"eventName": "ObjectCreated:Put"}]}',
        '{"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": 1}}]}',
    ],
)
def test_what_is_no_message_says_nothing(body: str) -> None:
    assert objects_of(body) == set()


def test_the_region_of_a_queue() -> None:
    assert region_of("https://sqs.eu-central-2.amazonaws.com/1/q", "x") == "eu-central-2"
    assert region_of("http://127.0.0.1:4000/1/q", "x") == "x"


@pytest.mark.parametrize("url", ["sqs://q", "https://host", "https://user@host/q"])
def test_an_events_queue_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="is no queue"):
        config(events_queue=url)

"""Options about objects of S3 alone: what is refused before anything is enqueued, and what becomes of the rest."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.s3.paying import HEADER, TAKES_IT
from headrace_daemon.s3.tags import as_header
from headrace_queue.errors import UsageError
from headrace_queue.jobs import Action, Archived, Compare, Item, Links, Rule, Via, decode_items, encode_items
from headrace_queue.locations import Location
from headrace_queue.object_headers import Described
from headrace_queue.over_http_jobs import job_body
from headrace_queue.s3_options import check_as_of, check_tags, instant_text
from headrace_queue.selection import Bounds, instant_of
from headrace_queue.submit import Request

BUCKET: Final = Location("s3", "b", "")
NOW: Final = 1_800_000_000.0


def refusal(tags: Sequence[str], end: Location = BUCKET) -> str:
    with pytest.raises(UsageError) as caught:
        check_tags(tags, end)
    return str(caught.value)


# -- tags --------------------------------------------------------------------------------------------------------------


def test_tags_are_taken_in_their_order() -> None:
    assert check_tags([], BUCKET) == ()
    assert check_tags(["project=glacier", "empty=", "formula=a=b+c", "Grüße=日本 1"], BUCKET) == (
        ("project", "glacier"),
        ("empty", ""),
        ("formula", "a=b+c"),
        ("Grüße", "日本 1"),
    )


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        (["plain"], "not of the form NAME=VALUE"),
        (["=v"], "not of the form NAME=VALUE"),
        (["a=1", "a=2"], "given twice"),
        (["AWS:x=1"], "for AWS alone"),
        (["n" * 129 + "=1"], "its name has more than 128"),
        (["n=" + "v" * 257], "its value has more than 256"),
        (["n=" + "\N{GRINNING FACE}" * 200], "its value has more than 256"),
        (["n=a&b"], "its value holds '&'"),
        (["a\tb=1"], "its name holds '\\t'"),
        ([f"n{n}=1" for n in range(11)], "at most 10 tags"),
    ],
)
def test_what_s3_would_refuse_of_every_object_is_refused_at_once(tags: list[str], said: str) -> None:
    assert said in refusal(tags)


def test_files_have_no_tags() -> None:
    assert "the destination /x is a path" in refusal(["a=b"], Location(path=Path("/x")))


def test_the_longest_tags_are_allowed() -> None:
    longest = ["n" * 128 + "=" + "v" * 256] + [f"n{n}={n}" for n in range(9)]
    assert len(check_tags(longest, BUCKET)) == 10


@given(st.text(min_size=1, max_size=8), st.text(max_size=8))
def test_what_is_allowed_travels_in_a_header_of_ascii(name: str, value: str) -> None:
    try:
        tags = check_tags([f"{name}={value}"], BUCKET)
    except UsageError:
        return
    header = as_header(tags)
    assert header.isascii()
    assert header.isprintable()
    assert " " not in header


# -- an instant --------------------------------------------------------------------------------------------------------


def test_an_instant_counts_back_from_now_or_stands_for_itself() -> None:
    assert check_as_of(BUCKET, Request(), NOW) is None
    assert check_as_of(BUCKET, Request(as_of="36h"), NOW) == round((NOW - 36 * 3600) * 1e9)
    assert check_as_of(BUCKET, Request(as_of="2026-01-01T00:00:00Z"), NOW) == 1_767_225_600 * 10**9


@pytest.mark.parametrize(
    ("start", "request_", "said"),
    [
        (Location(path=Path("/x")), Request(as_of="1h"), "files have no versions"),
        (BUCKET, Request(as_of="2030-01-01"), "in the future"),
        (BUCKET, Request(as_of="soon"), "neither a duration nor a date"),
        (BUCKET, Request(as_of="1h", inventory="s3://i/manifest.json"), "Keep one of the two"),
    ],
)
def test_what_is_no_instant_of_the_past_is_refused(start: Location, request_: Request, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_as_of(start, request_, NOW)


@given(st.integers(0, 4 * 10**18))
def test_an_instant_goes_over_http_to_the_microsecond(ns: int) -> None:
    assert instant_of("--as-of", instant_text(ns), NOW) == ns // 1000 * 1000


# -- what the queue keeps ----------------------------------------------------------------------------------------------

ITEMS = st.builds(
    Item,
    key=st.text(max_size=20),
    size=st.integers(0, 2**50),
    mtime_ns=st.integers(0, 2**63),
    etag=st.text(alphabet="0123456789abcdef-", max_size=40),
    action=st.sampled_from(Action),
    version=st.one_of(st.just(""), st.just("null"), st.text(min_size=1, max_size=40)),
)


@given(st.lists(ITEMS, max_size=20))
def test_objects_come_back_from_the_queue_with_their_versions(items: list[Item]) -> None:
    assert decode_items(encode_items(items)) == items
    assert [Item.of_row(item.row()) for item in items] == items


def test_rows_of_queues_of_before_are_read() -> None:
    assert Item.of_row(["k", 1, 2, "e", "delete"]) == Item("k", 1, 2, "e", Action.DELETE)
    assert Item("k", 1, 2, "e").row() == ["k", 1, 2, "e", "copy"], "no byte more than before where no version is named"
    assert Item("k", 1, 2, "e", version="v").row() == ["k", 1, 2, "e", "copy", "v"]


# -- over http ---------------------------------------------------------------------------------------------------------

ASKED: Final[dict[str, Any]] = {
    "rules": (Rule(True, "x"),),
    "bounds": Bounds(min_size=1),
    "files_from": "s3://b/list",
    "compare": Compare.CHECKSUM,
    "via": Via.STREAM,
    "bandwidth": "1MiB/s",
    "sse_c_key_file": Path("/k"),
    "source_sse_c_key_file": Path("/k"),
    "links": Links.STORE,
    "described": Described((("cache-control", "no-cache"),), ()),
    "priority": 3,
    "labels": ["a=b"],
    "tags": ["a=b"],
    "as_of": "1h",
    "archived": Archived.SKIP,
    "restore_days": 3,
    "max_errors": 1,
    "notify": ["me"],
    "after": [1],
    "files_from0": "s3://b/list",
    "select": ("x",),
}
"""A value of each field of a Request that is neither a flag nor a text."""


@pytest.mark.parametrize("field", [one.name for one in fields(Request)])
def test_no_option_is_lost_on_its_way_to_another_host(field: str) -> None:
    """It is in what is sent, or it is refused: passed over in silence, the job would be another one."""
    value = ASKED.get(field, True if isinstance(getattr(Request(), field), bool) else "some")
    plain = job_body("sync", "s3://a/", "s3://b/", Request())
    try:
        asked = job_body("sync", "s3://a/", "s3://b/", Request(**{field: value}))
    except UsageError:
        return
    assert asked != plain


# -- who pays ----------------------------------------------------------------------------------------------------------


def test_the_payer_is_named_where_the_service_model_knows_one() -> None:
    model = botocore.session.get_session().get_service_model("s3")
    takes = {
        name
        for name in model.operation_names
        if (shape := model.operation_model(name).input_shape) is not None and "RequestPayer" in shape.members
    }
    assert takes >= TAKES_IT
    reads_or_writes_configuration = {name for name in takes - TAKES_IT if not name.startswith(("Get", "Put"))}
    assert reads_or_writes_configuration == set(), "an operation about objects is left out"
    (header,) = {
        model.operation_model(name).input_shape.members["RequestPayer"].serialization["name"] for name in TAKES_IT
    }
    assert header == HEADER

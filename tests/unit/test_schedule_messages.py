"""Events of a bucket as the trigger of a schedule: what is one, and which of a job's names it names."""

import json
from pathlib import Path

import pytest

from headrace_daemon.schedules.messages import beneath
from headrace_daemon.staging.messages import is_event, objects_of
from headrace_queue.jobs import JobSpec, Kind, Options
from headrace_queue.name_list import list_path

CREATED = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": {"key": "in/a+b%2Bc%C3%B8"}}}
REMOVED = {"eventName": "ObjectRemoved:Delete", "s3": {"bucket": {"name": "b"}, "object": {"key": "in/gone"}}}
BRIDGE = {
    "source": "aws.s3",
    "detail-type": "Object Created",
    "detail": {"bucket": {"name": "b"}, "object": {"key": "in/a+b"}},
}
SPEC = JobSpec(Kind.SYNC, "s3://b/in/", "/data/in", Options(delete=True, trash="/data/trash"))


@pytest.mark.parametrize(
    ("data", "event", "objects"),
    [
        ({"Records": [CREATED, REMOVED]}, True, {("b", "in/a b+cø")}),
        ({"Records": [REMOVED]}, True, set()),
        ({"Type": "Notification", "Message": json.dumps({"Records": [CREATED]})}, True, {("b", "in/a b+cø")}),
        (BRIDGE, True, {("b", "in/a+b")}),
        (BRIDGE | {"detail-type": "Object Deleted"}, True, set()),
        ({"Service": "Amazon S3", "Event": "s3:TestEvent"}, True, set()),
        ({"Records": [{"eventName": "INSERT", "dynamodb": {}}]}, False, set()),
        ({"hello": "world"}, False, set()),
        (["Records"], False, set()),
        ("text", False, set()),
    ],
)
def test_what_a_message_says(data: object, event: bool, objects: set[tuple[str, str]]) -> None:
    assert (is_event(json.dumps(data)), objects_of(json.dumps(data))) == (event, objects)


def test_what_is_no_json_is_no_event() -> None:
    assert not is_event("{")


def test_the_job_is_restricted_to_what_lies_beneath_its_source(tmp_path: Path) -> None:
    objects = [("b", "in/z"), ("b", "in/d/a"), ("b", "in/"), ("b", "in"), ("b", "inside"), ("c", "in/x"), ("b", "in/z")]
    spec = beneath(tmp_path, SPEC, objects)
    assert spec is not None
    assert spec.options.files_from is not None
    assert list_path(tmp_path, spec.options.files_from).read_bytes() == b"d/a\0z\0"
    assert (spec.options.delete, spec.options.trash, spec.source) == (False, None, SPEC.source)


@pytest.mark.parametrize("objects", [[], [("c", "in/x")], [("b", "in/")], [("b", "other/x")]])
def test_nothing_beneath_its_source_is_no_job(tmp_path: Path, objects: list[tuple[str, str]]) -> None:
    assert beneath(tmp_path, SPEC, objects) is None
    assert list(tmp_path.iterdir()) == []

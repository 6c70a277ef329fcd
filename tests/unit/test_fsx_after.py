"""What is left to a plan when the data repository tasks of its job have ended, and what FSx's reports say."""

import io
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from headrace_daemon.fsx.dra.after import after_tasks, given_up, missing_release, told_of
from headrace_daemon.fsx.dra.failures import FileFailure, key_below, read_block
from headrace_daemon.fsx.dra.reports import key_of
from headrace_daemon.planner.entries import Entry, EntryPage
from headrace_daemon.planner.errors import JobFailure
from headrace_daemon.planner.hiding import without_reports
from headrace_daemon.planner.task import NOTHING_BEFORE
from headrace_queue.jobs import Counters, Job, JobSpec, Kind, Phase
from headrace_queue.states import JobState
from headrace_queue.tasks import Task, TaskKind, TaskSpec, TaskState

REPORT = "s3://bucket/data/.headrace-tasks/"
SPEC = TaskSpec(TaskKind.EXPORT, "scratch", "fs-0123456789abcdef0", "run", REPORT, "token-1")
DONE = Task(1, 7, SPEC, TaskState.SUCCEEDED, 99.5, 200.0, 0.0, task_id="task-1", started=100.9, finished=200.0)


def one(state: TaskState, error: str | None = None, kind: TaskKind = TaskKind.EXPORT) -> Task:
    return replace(DONE, state=state, error=error, spec=replace(SPEC, kind=kind))


def test_what_the_bucket_got_since_the_task_began_is_the_tasks() -> None:
    # S3 tells whole seconds: what was written at 100.95 stands there as 100
    assert after_tasks([DONE], only=False).exported_since == 100 * 10**9
    assert after_tasks([replace(DONE, started=None)], only=False).exported_since == 99 * 10**9
    assert after_tasks([one(TaskState.SUCCEEDED, kind=TaskKind.IMPORT)], only=False).exported_since is None


def test_where_nothing_is_streamed_what_is_left_fails_and_names_the_task() -> None:
    assert after_tasks([DONE], only=False).only == ""
    assert "task-1" in after_tasks([DONE], only=True).only
    assert "task-1" in after_tasks([one(TaskState.FAILED, "why")], only=True).only


@pytest.mark.parametrize("state", [TaskState.REFUSED, TaskState.CANCELLED])
def test_a_task_that_moved_nothing_leaves_everything_to_the_plan(state: TaskState) -> None:
    task = one(state, "FSx: not this one")
    assert after_tasks([task], only=False) == NOTHING_BEFORE
    with pytest.raises(JobFailure, match=r"not this one.*headrace retry JOB"):
        after_tasks([task], only=True)


def test_a_release_alone_moves_nothing() -> None:
    assert after_tasks([one(TaskState.SUCCEEDED, kind=TaskKind.RELEASE)], only=True) == NOTHING_BEFORE


def test_the_last_task_that_moves_counts() -> None:
    release = one(TaskState.CANCELLED, "nothing is released", TaskKind.RELEASE)
    assert after_tasks([one(TaskState.CANCELLED), DONE, release], only=False).exported_since == 100 * 10**9


def test_what_went_well_is_not_told_and_what_was_given_up_neither() -> None:
    assert told_of([DONE]) == ""
    assert told_of([one(TaskState.CANCELLED)]) == ""
    assert given_up(one(TaskState.CANCELLED))
    assert not given_up(one(TaskState.CANCELLED, "somebody did"))
    assert told_of([one(TaskState.FAILED, "3 files failed")]) == "export by FSx task-1 failed: 3 files failed"


def test_a_release_that_was_given_up_with_its_job_is_still_asked_for_after_an_export_that_did_all() -> None:
    release = one(TaskState.CANCELLED, kind=TaskKind.RELEASE)
    wanted = replace(SPEC, kind=TaskKind.RELEASE, report="")
    assert missing_release([DONE, release]) == wanted
    assert missing_release([one(TaskState.CANCELLED), DONE, release]) == wanted
    assert missing_release([DONE]) == wanted
    assert missing_release([one(TaskState.FAILED, "why"), release]) is None
    assert missing_release([DONE, one(TaskState.CANCELLED, "not everything", TaskKind.RELEASE)]) is None
    assert missing_release([DONE, release, one(TaskState.SUCCEEDED, kind=TaskKind.RELEASE)]) is None
    assert missing_release([one(TaskState.SUCCEEDED, kind=TaskKind.RELEASE)]) is None
    whole = missing_release([replace(DONE, spec=replace(SPEC, path=""))])
    assert whole is not None
    assert whole.path == "/"


def test_what_was_not_released_is_told_and_why() -> None:
    failed = one(TaskState.FAILED, "1 of 3 files failed", TaskKind.RELEASE)
    assert "1 of 3 files failed" in after_tasks([DONE, failed], only=False).unreleased
    assert after_tasks([DONE, one(TaskState.CANCELLED, kind=TaskKind.RELEASE)], only=False).unreleased == ""
    assert after_tasks([DONE, one(TaskState.SUCCEEDED, kind=TaskKind.RELEASE)], only=False).unreleased == ""


def test_what_lost_its_data_since_shortly_before_the_import_came_by_it() -> None:
    assert after_tasks([one(TaskState.SUCCEEDED, kind=TaskKind.IMPORT)], only=False).imported_since == 40 * 10**9
    assert after_tasks([DONE], only=False).imported_since is None


def test_a_task_that_did_not_move_all_leaves_doubt() -> None:
    assert after_tasks([one(TaskState.FAILED, "why")], only=False).doubtful
    assert not after_tasks([DONE], only=False).doubtful


async def test_reports_are_no_data_of_a_job() -> None:
    keys = [".headrace-tasks/task-1/failures.csv", "a", "a/.headrace-tasks/x", "b.headrace-tasks/y"]

    async def listing(after: str) -> AsyncGenerator[EntryPage, None]:
        assert after == "z"
        yield EntryPage([Entry(key, 1, 0) for key in keys])

    (page,) = [page async for page in without_reports(listing)("z")]
    assert [entry.key for entry in page.entries] == ["a", "b.headrace-tasks/y"]


def read(text: str, most: int = 99) -> tuple[list[FileFailure], int, int]:
    failures, rows, broken = read_block(io.BytesIO(text.encode()), most)
    return failures, rows, broken


def test_a_report_is_read_with_and_without_a_heading() -> None:
    lines = (
        'run/a.nc,failed,S3AccessDenied\n"with, comma",failed,Conflict\r\n'
        '"""@odd""",failed,Unknown\n"""quoted""",failed,X,more\n"all","""f""",\n\nlast,,"E"'
    )
    expected = [
        FileFailure("run/a.nc", "failed", "S3AccessDenied"),
        FileFailure("with, comma", "failed", "Conflict"),
        FileFailure("@odd", "failed", "Unknown"),
        FileFailure('"quoted"', "failed", "X"),
        FileFailure("all", '"f"', ""),
        FileFailure("last", "", "E"),
    ]
    assert read(lines) == (expected, 7, 0)
    assert read("\ufeffFilePath,FileStatus,ErrorCode\n" + lines) == (expected, 8, 0)
    assert read(lines, 2) == (expected[:2], 2, 0)
    assert read("") == ([], 0, 0)


@pytest.mark.parametrize(
    "broken",
    [
        "torn,line",
        '"torn',
        '"a,failed,X',
        '"a"b,failed,X',
        'a,"failed,X',
        ",failed,X",
        "x" * 70_000 + ",failed,X",
        '"' * 999,
    ],
)
def test_a_broken_line_of_a_report_costs_that_line(broken: str) -> None:
    good = [FileFailure(name, "failed", "X") for name in ("a", "b")]
    assert read(f"a,failed,X\n{broken}\nb,failed,X\n") == (good, 3, 1)
    assert read(f"a,failed,X\nb,failed,X\n{broken}") == (good, 3, 1)


def test_a_name_that_is_no_text_is_read_nevertheless() -> None:
    (failure,) = read_block(io.BytesIO(b"a\xff,failed,X\n"), 1).failures
    assert failure.path == "a\ufffd"


@pytest.mark.parametrize(
    ("path", "mounted", "imported", "key"),
    [
        ("run/a/b", "run", "", "a/b"),
        ("/run/a/b", "run", "", "a/b"),
        ("a/b", "", "", "a/b"),
        ("running/a", "run", "", "running/a"),
        ("s3://bucket/data/a", "", "s3://bucket/data/", "a"),
        ("elsewhere", "run", "s3://bucket/data/", "elsewhere"),
    ],
)
def test_a_file_that_fsx_names_is_the_key_of_the_job(path: str, mounted: str, imported: str, key: str) -> None:
    assert key_below(path, mounted, imported) == key


@pytest.mark.parametrize(
    ("kind", "path", "named", "key"),
    [
        (TaskKind.IMPORT, "/fsx/in", "in/r/2", "r/2"),
        (TaskKind.IMPORT, "/fsx/in", "s3://bucket/data/r/2", "r/2"),
        (TaskKind.IMPORT, "/fsx", "in/r/2", "in/r/2"),
        (TaskKind.IMPORT, "/elsewhere", "in/r/2", "in/r/2"),
        (TaskKind.EXPORT, "/fsx/run", "run/r/2", "r/2"),
    ],
)
def test_paths_of_a_report_count_from_the_mount(kind: TaskKind, path: str, named: str, key: str) -> None:
    sides = (path, "s3://bucket/data/") if kind is TaskKind.EXPORT else ("s3://bucket/data/", path)
    job = Job(7, JobSpec(Kind.SYNC, *sides), JobState.RUNNING, Phase.COPY, Counters(), 0.0, 0.0, None, None, None)
    failure = FileFailure(named, "failed", "Conflict")
    assert key_of(failure, replace(DONE, spec=replace(SPEC, kind=kind)), job, Path("/fsx")) == key

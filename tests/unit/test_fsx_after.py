"""What is left to a plan when the data repository tasks of its job have ended, and what FSx's reports say."""

from dataclasses import replace

import pytest

from headrace_daemon.fsx.dra.after import after_tasks, given_up, hidden_prefix, told_of
from headrace_daemon.fsx.dra.failures import FileFailure, key_below, read_failures
from headrace_daemon.planner.errors import JobFailure
from headrace_daemon.planner.task import NOTHING_BEFORE
from headrace_queue.jobs import JobSpec, Kind
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


@pytest.mark.parametrize(
    ("bucket_side", "hidden"),
    [
        ("s3://bucket/data/", ".headrace-tasks/"),
        ("s3://bucket/", "data/.headrace-tasks/"),
        ("s3://bucket/data/run/", ""),
        ("s3://other/data/", ""),
    ],
)
def test_reports_are_hidden_where_a_job_would_list_them(bucket_side: str, hidden: str) -> None:
    assert hidden_prefix([DONE], JobSpec(Kind.SYNC, "/fsx/run", bucket_side)) == hidden
    assert hidden_prefix([DONE], JobSpec(Kind.SYNC, bucket_side, "/fsx/run")) == hidden


def test_a_report_is_read_with_and_without_a_heading() -> None:
    lines = (
        'run/a.nc,failed,S3AccessDenied\n"with, comma",failed,Conflict\n'
        '"""@odd""",failed,Unknown\n"""quoted""",failed,X\n'
    )
    expected = [
        FileFailure("run/a.nc", "failed", "S3AccessDenied"),
        FileFailure("with, comma", "failed", "Conflict"),
        FileFailure("@odd", "failed", "Unknown"),
        FileFailure('"quoted"', "failed", "X"),
    ]
    assert list(read_failures(lines)) == expected
    assert list(read_failures("\ufeffFilePath,FileStatus,ErrorCode\n" + lines)) == expected
    assert list(read_failures("torn,line\n\n")) == []


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

"""What people read of jobs, and that nothing with failures reads like success."""

from dataclasses import replace
from typing import Any

import pytest

from headrace_queue.advice import for_job, with_advice
from headrace_queue.job_json import warning_of
from headrace_queue.jobs import Counters, Failure, Item, Job, JobSpec, Kind, Options, Phase
from headrace_queue.pace import Estimate
from headrace_queue.progress import Lines, Waits, bar_position, closing_lines, fitted_line, progress_line
from headrace_queue.render import (
    JOB_COLUMNS,
    ending_line,
    in_flight_text,
    job_row,
    next_steps,
    plain_table,
    report_line,
    shown,
    state_text,
    status_lines,
    stranded,
    summary_lines,
)
from headrace_queue.report_file import ReportEntry, ReportSummary
from headrace_queue.situation import Situation
from headrace_queue.states import JobState
from headrace_queue.task_lines import task_json, task_line
from headrace_queue.tasks import Task, TaskKind, TaskSpec, TaskState

NOW = 1000.0


def make(state: JobState = JobState.RUNNING, phase: Phase = Phase.COPY, dry_run: bool = False, **counts: int) -> Job:
    spec = JobSpec(Kind.SYNC, "s3://b/p/", "/data", Options(dry_run=dry_run))
    started = None if state is JobState.QUEUED else NOW - 20
    finished = NOW - 10 if state in (JobState.DONE, JobState.INCOMPLETE, JobState.FAILED, JobState.CANCELLED) else None
    return Job(7, spec, state, phase, Counters(**counts), NOW - 60, started, finished, None, None)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain é 漢.txt", "plain é 漢.txt"),
        ("a\nb", "a\\nb"),
        ("\x1b[2J", "\\x1b[2J"),
        ("bad\udcff", "bad\\udcff"),
        ("right\u202eleft", "right\\u202eleft"),
        ("no\u00a0break", "no\u00a0break"),
    ],
)
def test_a_name_cannot_write_to_the_terminal(text: str, safe: str) -> None:
    assert shown(text) == safe


@pytest.mark.parametrize("state", list(JobState))
def test_failures_are_told_in_every_state(state: JobState) -> None:
    job = make(state, failed=3)
    assert "3 failed" in state_text(job) or state in (JobState.FAILED, JobState.CANCELLED)
    assert state_text(job) != "done"
    if state in (JobState.DONE, JobState.INCOMPLETE, JobState.FAILED, JobState.CANCELLED):
        assert "3 FAILED" in ending_line(job, NOW)
        assert "is done" not in ending_line(job, NOW)
        assert any("report 7 --failed" in line for line in closing_lines([job], NOW))


def test_a_job_without_failures_is_done() -> None:
    job = make(JobState.DONE, Phase.DONE, planned=2, done=2, done_bytes=20 * 2**20, unchanged=5, deleted=1)
    assert ending_line(job, NOW) == ("job 7 is done: 2 objects, 20.0 MiB in 10 s (2.0 MiB/s), 5 unchanged, 1 deleted")
    assert closing_lines([job], NOW) == [ending_line(job, NOW)]


def test_progress_is_honest_while_the_listing_goes_on() -> None:
    listing = make(phase=Phase.COPY, listed=50, planned=10, planned_bytes=2**20, done=4, done_bytes=2**19)
    assert progress_line(listing, 2**18) == "4 of at least 10, 512.0 KiB of at least 1.0 MiB, 256.0 KiB/s"
    assert bar_position(listing) == (2**19, None)
    listed = replace(listing, phase=Phase.DONE)
    two = Estimate(2.0, 2.0)
    assert progress_line(listed, 2**18, two) == "4 of 10, 512.0 KiB of 1.0 MiB, 256.0 KiB/s, about 2 s left"
    assert progress_line(listed, 2**18) == "4 of 10, 512.0 KiB of 1.0 MiB, 256.0 KiB/s", "no base, no estimate"
    assert bar_position(listed) == (2**19, 2**20)


def test_parts_of_large_objects_count_but_never_more_than_all() -> None:
    job = make(phase=Phase.DONE, listed=2, planned=2, planned_bytes=100, done=1, done_bytes=40)
    assert progress_line(job, moved=70) == "1 of 2, 70 B of 100 B"
    assert progress_line(job, moved=170) == "1 of 2, 100 B of 100 B"
    assert (bar_position(job, 70), bar_position(job, 170)) == ((70, 100), (100, 100))
    assert "40 B of 100 B, 30 B more of large objects under way" in "\n".join(status_lines(job, [], NOW, parts=30))


def test_a_narrow_line_leaves_out_what_matters_least() -> None:
    counts: dict[str, Any] = {"listed": 3, "planned": 3, "planned_bytes": 3000, "done": 1, "failed": 1}
    job = make(phase=Phase.DONE, **counts)
    line = progress_line(job, 5.0, Estimate(60, 60), 1000)
    assert fitted_line(job, len(line), 5.0, Estimate(60, 60), 1000) == line
    assert "B/s" not in fitted_line(job, len(line) - 1, 5.0, Estimate(60, 60), 1000)
    assert fitted_line(job, 40, 5.0, Estimate(60, 60), 1000) == "1 of 3, about 1 min left, 1 FAILED"
    assert fitted_line(job, 1, 5.0, Estimate(60, 60), 1000) == "1 FAILED"
    paused = make(JobState.PAUSED, Phase.DONE, **counts)
    assert fitted_line(paused, 60).endswith("1 FAILED, paused, `headrace resume 7` goes on")
    assert fitted_line(paused, 1).endswith("paused, `headrace resume 7`")


def test_what_of_a_paused_job_still_comes() -> None:
    assert in_flight_text(7, Situation(leased=2), 1024) == (
        "What is in flight finishes: 2 batches, 1.0 KiB of large objects so far. `headrace cancel 7` stops it at once."
    )
    assert in_flight_text(7, Situation(), 0) == in_flight_text(7, None, 0) == ""


def test_an_inventory_that_names_nothing_is_told() -> None:
    job = make(JobState.DONE, Phase.DONE)
    named = replace(job, spec=replace(job.spec, options=Options(inventory="s3://i/manifest.json")))
    assert warning_of(named) == "the inventory s3://i/manifest.json names nothing at s3://b/p/"


def test_a_bar_of_empty_files_counts_objects() -> None:
    job = make(phase=Phase.DONE, planned=4, done=1, failed=1, vanished=1)
    assert bar_position(job) == (3, 4)
    assert bar_position(make(JobState.DONE, Phase.DONE)) == (1, 1)


def test_what_a_job_waits_for_is_said_once_until_it_changes() -> None:
    said: list[str] = []
    waits = Waits(said.append)
    job = make()
    for reason in (None, "a", "a", "b\x1b", "b\x1b", None, "b\x1b"):
        waits.update([replace(job, waiting=reason)])
    assert said == ["job 7 waits: a", "job 7 waits: b\\x1b", "job 7 waits: b\\x1b"]


def test_a_queued_job_says_what_it_waits_for() -> None:
    assert progress_line(replace(make(JobState.QUEUED), waiting="the disk is full"), None) == (
        "queued, waits: the disk is full"
    )


def test_why_a_job_failed_and_what_to_do_stand_in_lines_of_their_own() -> None:
    job = replace(make(JobState.FAILED), error=with_advice("NoSuchBucket: lake://b: none", "Create it."))
    assert closing_lines([job], NOW) == [
        "job 7 FAILED: 0 objects, 0 B in 10 s",
        "  why: NoSuchBucket: lake://b: none",
        "  do:  Create it.",
    ]
    text = "\n".join(status_lines(job, [], NOW))
    assert "error       NoSuchBucket: lake://b: none" in text
    assert "do          Create it." in text
    plain = replace(job, error="something else")
    assert closing_lines([plain], NOW)[1:] == ["  why: something else"]
    assert "do  " not in "\n".join(status_lines(plain, [], NOW))


@pytest.mark.parametrize("state", list(JobState))
def test_a_job_that_nobody_works_on_says_so(state: JobState) -> None:
    job = make(state, listed=1)
    goes_on = state in (JobState.QUEUED, JobState.RUNNING, JobState.CANCELLING)
    assert stranded(job, live_worker=False) == goes_on
    assert not stranded(job, live_worker=True)
    assert job_row(job, NOW, live_worker=False)[1] == str(state) + (", no worker" if goes_on else "")
    assert ("worker      none is running" in "\n".join(status_lines(job, [], NOW, live_worker=False))) == goes_on
    assert "worker" not in "\n".join(status_lines(job, [], NOW))


@pytest.mark.parametrize(
    ("state", "counts", "told"),
    [
        (JobState.DONE, {}, True),
        (JobState.DONE, {"extra": 3, "deleted": 3}, True),
        (JobState.DONE, {"listed": 1, "unchanged": 1}, False),
        (JobState.DONE, {"excluded": 1}, False),  # a tree of nothing but sockets is not empty
        (JobState.RUNNING, {}, False),
        (JobState.FAILED, {}, False),
        (JobState.CANCELLED, {}, False),
    ],
)
def test_a_source_that_held_nothing_is_told(state: JobState, counts: dict[str, int], told: bool) -> None:
    job = replace(make(state, Phase.DONE), counters=Counters(**counts))
    assert warning_of(job) == ("nothing is at s3://b/p/" if told else None)
    assert ("warning     nothing is at s3://b/p/" in "\n".join(status_lines(job, [], NOW))) == told


def test_of_a_list_of_names_nothing_is_known_of_the_rest() -> None:
    job = make(JobState.DONE, Phase.DONE)
    assert warning_of(replace(job, spec=replace(job.spec, options=Options(files_from="s3://b/list")))) is None


def test_advice_names_the_job() -> None:
    assert for_job("Renew them, then `headrace retry JOB`.", 12) == "Renew them, then `headrace retry 12`."
    assert for_job("JOB is a word", 12) == "JOB is a word"


def test_lines_are_written_when_something_changes_and_every_ten_seconds() -> None:
    written: list[str] = []
    now = [0.0]
    with Lines(written.append, lambda: now[0]) as lines:
        lines.update([make(JobState.QUEUED)])
        lines.update([make(listed=1, planned=1)])
        lines.update([make(listed=2, planned=2)])
        assert len(written) == 2
        now[0] = 10.0
        lines.update([make(listed=3, planned=3)])
        lines.update([replace(make(listed=3, planned=3), waiting="remote lake is down")])
        lines.update([make(JobState.DONE, Phase.DONE)])
    assert written[0] == "job 7 queued: queued"
    assert written[2] == "job 7 running: 0 of at least 3"
    assert written[3].endswith("waits: remote lake is down")
    assert len(written) == 4


def test_status_shows_what_failed_and_what_to_do() -> None:
    failures = [Failure(Item("a\nb", 1, 0), "access_denied", "no", 2), Failure(Item("", 1, 0), "gone", "")]
    job = make(JobState.INCOMPLETE, Phase.DONE, listed=9, planned=4, done=1, done_bytes=100, failed=3, retries=2)
    text = "\n".join(status_lines(job, failures, NOW))
    assert "state       ended, 3 failed" in text
    assert "1 of 4 sent, 9 listed, 3 failed" in text
    assert "2 requests sent again" in text
    assert "Failed objects (2 of 3):\n  a\\nb  access_denied: no\n  (the source itself)  gone" in text
    assert "headrace retry 7" in text


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (JobState.PAUSED, "headrace resume 7"),
        (JobState.INCOMPLETE, "headrace report 7 --failed"),
        (JobState.FAILED, "headrace retry 7"),
        (JobState.CANCELLED, "headrace retry 7"),
        (JobState.DONE, None),
        (JobState.RUNNING, None),
    ],
)
def test_next_steps(state: JobState, step: str | None) -> None:
    assert any(step in line for line in next_steps(make(state))) if step else not next_steps(make(state))


@pytest.mark.parametrize(("attempts", "failed", "again"), [((0, 0), 2, False), ((0, 1), 2, True), ((0, 0), 3, True)])
def test_a_retry_is_proposed_where_it_may_help(attempts: tuple[int, ...], failed: int, again: bool) -> None:
    """What a listing found stays as it is; of more failures than are known here some may be others."""
    failures = [Failure(Item("k/", 0, 0), "access_denied", "", tries) for tries in attempts]
    text = "\n".join(status_lines(make(JobState.INCOMPLETE, Phase.DONE, failed=failed), failures, NOW))
    assert ("headrace retry 7" in text, "enqueue the sync anew" in text) == (again, not again)


def test_a_dry_run_says_so_and_that_nothing_was_changed() -> None:
    job = make(JobState.DONE, Phase.DONE, dry_run=True, listed=5, planned=2, planned_bytes=1024, unchanged=3)
    assert state_text(job) == "dry run done"
    assert ending_line(job, NOW) == (
        "job 7 is done: 5 objects listed, 3 unchanged, 0 excluded, 2 to transfer (1.0 KiB); nothing was changed"
    )


def test_the_table_is_aligned() -> None:
    rows = [job_row(make(planned=1200, done=3, done_bytes=2048), NOW), job_row(make(JobState.QUEUED), NOW)]
    lines = plain_table(JOB_COLUMNS, rows)
    assert lines[0].split() == list(JOB_COLUMNS)
    assert "3 of at least 1,200" in lines[1]
    assert "102 B/s" in lines[1]
    assert len({line.index("s3://") for line in lines[1:]}) == 1
    assert lines[1].index("s3://") == lines[0].index("SOURCE")


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (ReportEntry("k", "transferred", 2048, proof="crc64nvme"), "transferred        2.0 KiB  k  (crc64nvme)"),
        (
            ReportEntry("k", "copied", 1, proof="etag", lost="tags"),
            "copied                 1 B  k  (etag; not kept: tags)",
        ),
        (ReportEntry("k", "would_transfer", 5, message="new"), "would transfer         5 B  k  (new)"),
        (ReportEntry("a\tb", "would_delete"), "would delete                a\\tb"),
        (ReportEntry("k", "failed", 1, error="io", message="disk"), "failed                 1 B  k  (io: disk)"),
        (
            ReportEntry("k", "failed", 1, attempts=5, error="io", message="disk", last_error="io"),
            "failed                 1 B  k  (io: disk; 5 attempts)",
        ),
        (
            ReportEntry("k", "transferred", 1, attempts=3, proof="crc64nvme", last_error="reset"),
            "transferred            1 B  k  (crc64nvme; 3 attempts, the last repeated for reset)",
        ),
    ],
)
def test_a_line_of_a_report(entry: ReportEntry, line: str) -> None:
    assert report_line(entry) == line


def test_a_summary_counts_outcomes_errors_proofs_and_shares() -> None:
    summary = ReportSummary()
    summary.add(ReportEntry("a", "transferred", 10, proof="crc", source_endpoint="https://h"))
    summary.add(ReportEntry("b", "failed", 10, error="io", source_endpoint="https://h"))
    assert summary_lines(summary) == [
        "failed          1 object, 10 B",
        "transferred     1 object, 10 B",
        "errors          io: 1",
        "proofs          crc: 1",
        "from            https://h: 1 object, 10 B",
    ]
    assert summary_lines(ReportSummary()) == ["The report is empty."]


@pytest.mark.parametrize(
    ("kind", "state", "more", "line"),
    [
        (TaskKind.EXPORT, TaskState.WAITING, {}, "export on scratch: waiting"),
        (TaskKind.EXPORT, TaskState.RUNNING, {"task_id": "task-01"}, "export task-01 on scratch: running"),
        (
            TaskKind.EXPORT,
            TaskState.SUCCEEDED,
            {"task_id": "task-01", "total": 1234, "succeeded": 1234},
            "export task-01 on scratch: succeeded, 1,234 of 1,234 files",
        ),
        (TaskKind.IMPORT, TaskState.SUCCEEDED, {}, "import on scratch: succeeded, 0 of 0 objects"),
        (
            TaskKind.RELEASE,
            TaskState.FAILED,
            {"task_id": "t\x1b[2J", "total": 9, "succeeded": 7, "failed": 2, "error": "2 files\nfailed"},
            "release t\\x1b[2J on scratch: failed, 7 of 9 files, 2 FAILED; 2 files\\nfailed",
        ),
    ],
)
def test_a_task_is_told_in_a_line(kind: TaskKind, state: TaskState, more: dict[str, Any], line: str) -> None:
    spec = TaskSpec(kind, "scratch", "fs-01", "run/7", "s3://b/r/", "token")
    task = Task(3, 7, spec, state, NOW, NOW, NOW, **more)
    assert task_line(task) == line
    lines = status_lines(make(), [], NOW, tasks=[task_line(task), task_line(task)])
    assert lines.count(f"  task        {line}") == 2


def test_a_task_in_json_has_stable_fields() -> None:
    spec = TaskSpec(TaskKind.EXPORT, "scratch", "fs-01", "run/7", "s3://b/r/", "token")
    task = Task(3, 7, spec, TaskState.FAILED, 1.0, 2.0, 3.0, 4, "task-01", 5.5, 6.5, 30, 20, 10, "10 files")
    assert task_json(task) == {
        "id": 3,
        "kind": "export",
        "state": "failed",
        "fsx": "scratch",
        "file_system_id": "fs-01",
        "path": "run/7",
        "task_id": "task-01",
        "started": 5.5,
        "finished": 6.5,
        "total": 30,
        "succeeded": 20,
        "failed": 10,
        "error": "10 files",
    }
    waiting = task_json(Task(3, 7, spec, TaskState.WAITING, 1.0, 1.0, 1.0))
    assert (waiting["task_id"], waiting["started"], waiting["error"]) == (None, None, None)


def test_a_report_line_of_what_fsx_did() -> None:
    failed = ReportEntry("a/b", "task_failed", error="S3AccessDenied", message="no", attempts=0)
    assert report_line(failed) == f"{'task failed':<14}  {'':>10}  a/b  (S3AccessDenied: no)"
    assert report_line(ReportEntry("a/b", "exported", bytes=5, proof="fsx")).startswith("exported")

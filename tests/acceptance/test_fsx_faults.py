"""Jobs between a linked path and its bucket where FSx cannot, will not or does not move everything: what is left is
streamed, and the job says so; with `via dra` nothing is streamed, and it says that."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from headrace_daemon.demo.servers import S3Server
from headrace_daemon.files.names import temp_name
from headrace_queue.jobs import Owner, Rule, Via
from headrace_queue.states import JobState
from headrace_queue.tasks import TaskState
from tests.support.fsx_site import SMALL, LinkedSite, linked_site

pytestmark = pytest.mark.server

FILES = {f"run/{number}.nc": b"x" * (number + 1) for number in range(3)}


@pytest.fixture
def written(linked: LinkedSite) -> LinkedSite:
    """With files to export."""
    for name, body in FILES.items():
        linked.write(name, body)
    return linked


@pytest.fixture
def written_alone(alone: LinkedSite) -> LinkedSite:
    for name, body in FILES.items():
        alone.write(name, body)
    return alone


@pytest.fixture
def stored(linked: LinkedSite) -> LinkedSite:
    """With objects to import."""
    for key, body in FILES.items():
        linked.put(key, body)
    return linked


def bodies(linked: LinkedSite) -> dict[str, bytes]:
    return {key: linked.body(key) for key in linked.objects() if not key.endswith("/")}


# -- no task applies --------------------------------------------------------------------------------------------------

Prepare = Callable[[LinkedSite], dict[str, Any]]


def exports_by_itself(linked: LinkedSite) -> dict[str, Any]:
    with closing(linked.fsx.client()) as client:
        client.update_data_repository_association(
            AssociationId=linked.association, S3={"AutoExportPolicy": {"Events": ["NEW"]}}
        )
    return {}


def is_misconfigured(linked: LinkedSite) -> dict[str, Any]:
    linked.fsx.misconfigure(linked.association)
    return {}


def has_a_filter(linked: LinkedSite) -> dict[str, Any]:
    return {"rules": (Rule(False, "*.tmp"),)}


def is_unknown(linked: LinkedSite) -> dict[str, Any]:
    linked.fsx.refuse("DescribeFileSystems", "FileSystemNotFound", "no such file system", times=9)
    return {}


def is_not_allowed(linked: LinkedSite) -> dict[str, Any]:
    linked.fsx.refuse("DescribeFileSystems", "AccessDeniedException", "you may not", times=9)
    return {}


def does_not_answer(linked: LinkedSite) -> dict[str, Any]:
    linked.fsx.drop("DescribeFileSystems", times=9)
    return {}


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (exports_by_itself, "by itself"),
        (is_misconfigured, "MISCONFIGURED"),
        (has_a_filter, "--exclude"),
        (is_unknown, "no such file system"),
        (is_not_allowed, "you may not"),
        (does_not_answer, "FSx"),
    ],
)
def test_where_no_task_applies_everything_is_streamed_and_the_job_says_why(
    written: LinkedSite, prepare: Prepare, words: str
) -> None:
    options = prepare(written)
    job = written.export(**options)
    assert bodies(written) == FILES
    assert written.outcomes(job.id) == dict.fromkeys(FILES, "transferred")
    assert job.note is not None
    assert job.note.startswith("streamed, and not moved by FSx: ")
    assert words in job.note
    assert written.created() == []
    assert job.note in written.site.run("headrace", "status", str(job.id))


@pytest.mark.parametrize(("prepare", "words"), [(exports_by_itself, "by itself"), (is_not_allowed, "you may not")])
def test_where_no_task_applies_a_job_that_wants_one_fails(written: LinkedSite, prepare: Prepare, words: str) -> None:
    job = written.export(4, via=Via.DRA, **prepare(written))
    assert job.state is JobState.FAILED
    assert words in (job.error or "")
    assert bodies(written) == {}


def test_a_path_that_is_not_linked(written: LinkedSite) -> None:
    job = written.drained(written.enqueue(written.root, f"s3://{written.bucket}/elsewhere/"))
    assert "linked" in (job.note or "")
    assert job.counters.done == 3


def test_an_import_without_lfs_is_streamed(moto_s3: S3Server, tmp_path: Path) -> None:
    with linked_site(tmp_path, moto_s3, *SMALL, lfs=str(tmp_path / "no-lfs")) as linked:
        for key, body in FILES.items():
            linked.put(key, body)
        job = linked.bring()
        assert linked.tree() == FILES
        assert "lfs" in (job.note or "")


# -- FSx refuses, or fails --------------------------------------------------------------------------------------------


REFUSALS = (
    "BadRequest",
    "UnsupportedOperation",
    "IncompatibleParameterError",
    "FileSystemNotFound",
    "AccessDeniedException",
)


def test_a_task_that_fsx_refuses_is_streamed(alone: LinkedSite) -> None:
    """A job for each refusal; they are asked for one after the other, in whatever order."""
    jobs = {}
    for code in REFUSALS:
        alone.fsx.refuse("CreateDataRepositoryTask", code, f"not {code}")
        for name, body in FILES.items():
            alone.write(f"{code}/{name}", body)
        jobs[code] = alone.enqueue(alone.root / code, f"{alone.url}/{code}/")
    alone.site.run("headraced", "drain")
    assert bodies(alone) == {f"{code}/{name}": body for code in REFUSALS for name, body in FILES.items()}
    for job_id in jobs.values():
        assert alone.outcomes(job_id) == dict.fromkeys(FILES, "transferred")
        assert alone.states(job_id) == [("export", "refused")]
    notes = "\n".join(alone.site.job(job_id).note or "" for job_id in jobs.values())
    assert all(f"not {code} ({code})" in notes for code in REFUSALS)


def test_a_refused_task_fails_a_job_that_streams_nothing_and_a_retry_asks_anew(written: LinkedSite) -> None:
    written.fsx.refuse("CreateDataRepositoryTask", "BadRequest", "not this one")
    job = written.export(4, via=Via.DRA)
    assert (job.state, bodies(written)) == (JobState.FAILED, {})
    assert "not this one" in (job.error or "")
    assert "headrace retry" in (job.error or "")
    job = written.retry(job.id)
    assert (job.state, bodies(written)) == (JobState.DONE, FILES)


def test_files_that_fsx_cannot_export_are_streamed(written: LinkedSite) -> None:
    written.mount.fail_files("run/1.nc", "S3AccessDenied")
    job = written.export()
    assert bodies(written) == FILES
    outcomes = written.outcomes(job.id)
    assert outcomes == {"run/0.nc": "exported", "run/1.nc": "transferred", "run/2.nc": "exported"}
    told = [line for line in written.site.report_lines(job.id) if line.outcome == "task_failed"]
    assert [(line.key, line.error) for line in told] == [("run/1.nc", "S3AccessDenied")]
    assert written.states(job.id) == [("export", "failed")]
    assert "1 of 4 files failed" in (job.note or "")
    assert not any("headrace-tasks" in key for key in written.objects())


def test_files_that_fsx_cannot_export_fail_where_nothing_is_streamed(written: LinkedSite) -> None:
    written.mount.fail_files("run/1.nc", "S3AccessDenied")
    job = written.export(1, via=Via.DRA)
    assert (job.state, job.counters.done, job.counters.failed) == (JobState.INCOMPLETE, 2, 1)
    assert bodies(written).keys() == {"run/0.nc", "run/2.nc"}
    assert written.outcomes(job.id)["run/1.nc"] == "failed"


def test_objects_that_fsx_cannot_import_are_streamed(stored: LinkedSite) -> None:
    stored.mount.fail_files("run/2.nc", "Conflict")
    job = stored.bring()
    assert stored.tree() == FILES
    assert stored.outcomes(job.id) == {"run/0.nc": "restored", "run/1.nc": "restored", "run/2.nc": "transferred"}
    told = [line.key for line in stored.site.report_lines(job.id) if line.outcome == "task_failed"]
    assert told == ["run/2.nc"]


@pytest.mark.parametrize("kind", ["EXPORT", "IMPORT"])
def test_a_task_that_fails_as_a_whole_is_streamed(linked: LinkedSite, kind: str) -> None:
    export = kind == "EXPORT"
    for name, body in FILES.items():
        linked.write(name, body) if export else linked.put(name, body)
    linked.fsx.fail_task(kind, "An internal error occurred.")
    job = linked.export() if export else linked.bring()
    assert (bodies(linked), linked.tree()) == (FILES, FILES)
    assert set(linked.outcomes(job.id).values()) == {"transferred"}
    assert "An internal error occurred." in (job.note or "")


def test_a_task_that_somebody_else_cancels_is_streamed(written_alone: LinkedSite) -> None:
    written_alone.fsx.hold("EXPORT", after=1)
    written_alone.site.serve()
    job_id = written_alone.enqueue(written_alone.root, f"{written_alone.url}/")
    task = written_alone.until_task(job_id, TaskState.RUNNING)
    with closing(written_alone.fsx.client()) as client:
        client.cancel_data_repository_task(TaskId=task.task_id)
    job = written_alone.site.finish(job_id)
    assert bodies(written_alone) == FILES
    assert "somebody cancelled" in (job.note or "")


def test_nothing_is_released_that_was_not_exported(written: LinkedSite) -> None:
    written.mount.fail_files("run/1.nc", "S3AccessDenied")
    job = written.export(1, release=True)
    assert written.states(job.id) == [("export", "failed"), ("release", "cancelled")]
    assert not any(written.mount.released(name) for name in FILES)
    assert bodies(written) == FILES
    assert job.counters.failed == 1  # not_released


# -- data that does not come back -------------------------------------------------------------------------------------


def test_what_does_not_come_back_is_streamed(stored: LinkedSite) -> None:
    stored.mount.break_restore("run/1.nc")
    job = stored.bring()
    assert stored.tree() == FILES
    assert stored.outcomes(job.id) == {"run/0.nc": "restored", "run/1.nc": "transferred", "run/2.nc": "restored"}


def test_what_does_not_come_back_fails_where_nothing_is_streamed(stored: LinkedSite) -> None:
    stored.mount.break_restore("run/1.nc")
    job = stored.bring(1, via=Via.DRA)
    assert (job.state, job.counters.failed) == (JobState.INCOMPLETE, 1)
    assert stored.outcomes(job.id)["run/1.nc"] == "failed"
    assert stored.mount.released("run/1.nc")


def test_nothing_is_streamed_where_the_section_says_so(moto_s3: S3Server, tmp_path: Path) -> None:
    """Neither what FSx did not import nor what does not come back."""
    with linked_site(tmp_path, moto_s3, 'via = "dra"') as linked:
        for key, body in FILES.items():
            linked.put(key, body)
        linked.mount.break_restore("run/1.nc")
        linked.mount.fail_files("run/2.nc", "Conflict")
        job = linked.bring(1)
        assert linked.outcomes(job.id) == {"run/0.nc": "restored", "run/1.nc": "failed", "run/2.nc": "failed"}
        assert linked.mount.released("run/1.nc")
        assert not (linked.root / "run/2.nc").exists()


def test_a_released_file_is_not_read_by_accident(stored: LinkedSite, tmp_path: Path) -> None:
    """Reading it would bring its data back, one file after the other; here it would give zeros."""
    stored.mount.hsm.polls = None
    with closing(stored.fsx.client()) as client:
        client.create_data_repository_task(
            Type="IMPORT_METADATA_FROM_REPOSITORY", FileSystemId=stored.file_system, Report={"Enabled": False}
        )
    for _ in range(3):
        stored.fsx.advance()
    job = stored.drained(stored.enqueue(stored.root, f"s3://{stored.bucket}/copy/"), 1)
    assert (job.state, job.counters.failed) == (JobState.INCOMPLETE, 3)
    assert {line.error for line in stored.site.report_lines(job.id)} == {"released"}
    stored.mount.hsm.polls = 1
    job = stored.drained(stored.enqueue(stored.root, f"s3://{stored.bucket}/copy/", restore=True))
    assert (job.state, job.counters.done) == (JobState.DONE, 3)
    assert stored.tree() == FILES


def test_a_job_of_a_user_never_acts_with_the_rights_of_fsx(written: LinkedSite) -> None:
    job_id = written.enqueue(written.root, f"{written.url}/", owner=Owner("ann", root=str(written.root)))
    job = written.drained(job_id)
    assert "rights of a user" in (job.note or "")
    assert (written.created(), bodies(written)) == ([], FILES)


def test_unfinished_files_of_another_job_are_not_exported(written: LinkedSite) -> None:
    """While one writes there, the other is streamed, which leaves such files alone; what one that was killed left is
    taken out of the bucket again."""
    part = written.write(f"run/{temp_name(7, 'x' * 8)}", b"half")
    other = written.enqueue(f"s3://{written.bucket}/elsewhere/", written.root / "run/deep")
    written.pause(other)
    job = written.export()
    assert f"job {other} writes there" in (job.note or "")
    assert (bodies(written), written.created()) == (FILES, [])
    written.cancel(other)
    for name, body in FILES.items():
        written.write(f"more/{name}", body)
    job = written.export()
    assert written.states(job.id) == [("export", "succeeded")]
    assert written.outcomes(job.id)[f"run/{part.name}"] == "deleted"
    assert bodies(written) == FILES | {f"more/{name}": body for name, body in FILES.items()}


def test_a_release_that_fails_is_no_success(written: LinkedSite) -> None:
    written.fsx.fail_task("RELEASE", "no.")
    job = written.export(1, release=True)
    assert written.states(job.id) == [("export", "succeeded"), ("release", "failed")]
    assert (job.state, job.counters.done, job.counters.failed) == (JobState.INCOMPLETE, 3, 1)
    assert written.site.report(job.id)[""].error == "not_released"


def test_a_drain_ends_when_fsx_is_told_of_the_cancellation(written_alone: LinkedSite) -> None:
    written_alone.fsx.hold("EXPORT")
    daemon = written_alone.site.serve()
    job_id = written_alone.enqueue(written_alone.root, f"{written_alone.url}/")
    written_alone.until_task(job_id, TaskState.RUNNING)
    daemon.kill()
    written_alone.cancel(job_id)
    written_alone.site.run("headraced", "drain")
    assert written_alone.fsx.calls("CancelDataRepositoryTask")

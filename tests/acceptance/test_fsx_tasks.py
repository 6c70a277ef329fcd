"""Jobs between a linked path and its bucket, moved by data repository tasks of FSx: what goes well, and who waits for
what."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from headrace_daemon.demo.servers import S3Server
from headrace_queue.jobs import Links, Via
from headrace_queue.states import BatchState, JobState
from headrace_queue.tasks import TaskState
from tests.support.fsx_site import SMALL, LinkedSite, linked_site
from tests.support.site import until

pytestmark = pytest.mark.server


def write_some(linked: LinkedSite, count: int = 4) -> dict[str, str]:
    """Files of the mount; each with the outcome of an export."""
    for number in range(count):
        linked.write(f"run/out-{number}.nc", b"x" * (number + 1))
    return {f"run/out-{number}.nc": "exported" for number in range(count)}


def put_some(linked: LinkedSite, count: int = 4) -> dict[str, bytes]:
    """Objects of the bucket, as the files that they become."""
    bodies = {f"in/{number}.nc": b"y" * (number + 1) for number in range(count)}
    for key, body in bodies.items():
        linked.put(key, body)
    return bodies


# -- what goes well ---------------------------------------------------------------------------------------------------


def test_by_the_commands_what_is_new_is_exported(alone: LinkedSite) -> None:
    expected = write_some(alone)
    job_id = alone.site.enqueue(alone.root, alone.url)
    alone.site.run("headraced", "drain")
    job = alone.site.status(job_id)
    assert alone.outcomes(job_id) == expected
    assert (job["state"], job["counters"]["done"], job["counters"]["planned"]) == ("done", 4, 4)
    assert job["counters"]["done_bytes"] == 10
    (task,) = job["tasks"]
    assert (task["kind"], task["state"], task["total"], task["failed"]) == ("export", "succeeded", 5, 0)
    assert task["task_id"] in alone.site.run("headrace", "status", str(job_id))
    assert alone.body("run/out-3.nc") == b"xxxx"


def test_what_the_bucket_has_is_imported_and_its_data_restored(linked: LinkedSite) -> None:
    bodies = put_some(linked, 5)
    job = linked.bring()
    assert linked.outcomes(job.id) == dict.fromkeys(bodies, "restored")
    assert linked.tree() == bodies
    assert linked.states(job.id) == [("import", "succeeded")]
    (asked,) = linked.created()
    assert asked["Paths"] == [f"{linked.url}/"]
    assert (job.counters.done, job.counters.done_bytes) == (5, 15)


def test_a_sync_that_finds_nothing_to_do_asks_for_no_task(linked: LinkedSite) -> None:
    write_some(linked)
    linked.export()
    again = linked.export()
    assert (linked.tasks(again.id), again.counters.unchanged, len(linked.created())) == ([], 4, 1)


def test_little_is_streamed(linked: LinkedSite) -> None:
    write_some(linked, 2)
    job = linked.export()
    assert set(linked.outcomes(job.id).values()) == {"transferred"}
    assert (linked.created(), job.note) == ([], None)


def test_bytes_count_as_well_as_objects(moto_s3: S3Server, tmp_path: Path) -> None:
    with linked_site(tmp_path, moto_s3, 'task_from_size = "64KiB"') as linked:
        linked.write("one.nc", bytes(70_000))
        assert linked.states(linked.export().id) == [("export", "succeeded")]


def test_a_single_object_goes_by_a_task_where_that_is_asked_for(linked: LinkedSite) -> None:
    write_some(linked, 1)
    job = linked.export(via=Via.DRA)
    assert linked.outcomes(job.id) == {"run/out-0.nc": "exported"}


def test_streaming_can_be_asked_for(linked: LinkedSite) -> None:
    write_some(linked)
    job = linked.export(via=Via.STREAM)
    assert set(linked.outcomes(job.id).values()) == {"transferred"}
    assert linked.asked() == 0


def test_the_section_says_what_jobs_do_that_say_nothing(moto_s3: S3Server, tmp_path: Path) -> None:
    with linked_site(tmp_path, moto_s3, 'via = "stream"', *SMALL) as linked:
        write_some(linked)
        assert set(linked.outcomes(linked.export().id).values()) == {"transferred"}
        assert linked.asked() == 0


def test_a_folder_below_an_association_is_moved_alone(moto_s3: S3Server, tmp_path: Path) -> None:
    with linked_site(tmp_path, moto_s3, *SMALL, path="/ns1") as linked:
        for name in ("ns1/a/1", "ns1/a/2", "ns1/a/3", "ns1/b/4"):
            linked.write(name, b"x")
        job = linked.drained(linked.enqueue(linked.root / "ns1/a", f"{linked.url}/a/"))
        assert sorted(key for key in linked.objects() if not key.endswith("/")) == ["a/1", "a/2", "a/3"]
        assert linked.created()[0]["Paths"] == ["ns1/a"]
        assert linked.outcomes(job.id) == dict.fromkeys(("1", "2", "3"), "exported")


def test_a_destination_that_is_not_there_yet_comes_with_the_import(moto_s3: S3Server, tmp_path: Path) -> None:
    with linked_site(tmp_path, moto_s3, *SMALL) as linked:
        bodies = put_some(linked)
        job = linked.drained(linked.enqueue(f"{linked.url}/in/", linked.root / "in"))
        assert linked.tree() == bodies
        assert (job.state, job.counters.done) == (JobState.DONE, 4)


def test_what_is_exported_leaves_on_request(linked: LinkedSite) -> None:
    write_some(linked)
    job = linked.export(release=True)
    assert linked.states(job.id) == [("export", "succeeded"), ("release", "succeeded")]
    assert all(linked.mount.released(f"run/out-{number}.nc") for number in range(4))
    # a sync back leaves it in the bucket, unless that is asked for
    assert linked.bring().counters.unchanged == 5  # with the folder
    assert linked.mount.released("run/out-0.nc")
    back = linked.bring(restore=True)
    assert (back.counters.done, linked.mount.released("run/out-0.nc")) == (4, False)
    # and what was brought back leaves again, although nothing seems to be exported
    again = linked.export(release=True)
    assert linked.states(again.id) == [("export", "succeeded"), ("release", "succeeded")]
    assert linked.mount.released("run/out-0.nc")


def test_what_was_streamed_leaves_too_for_it_is_exported_first(linked: LinkedSite) -> None:
    write_some(linked, 2)
    linked.export()
    assert linked.created() == []
    job = linked.export(release=True)
    assert linked.states(job.id) == [("export", "succeeded"), ("release", "succeeded")]
    assert linked.mount.released("run/out-0.nc")


def test_links_stay_links_whoever_moves_them(alone: LinkedSite, tmp_path: Path) -> None:
    """By a task first, then streamed, by commands that say nothing of links."""
    write_some(alone)
    (alone.root / "ln").symlink_to("run/out-1.nc")
    alone.site.run("headrace", "sync", str(alone.root), alone.url)
    alone.site.run("headraced", "drain")
    assert alone.body("ln") == b"run/out-1.nc"
    alone.write("run/new.nc", b"z")
    alone.site.run("headrace", "sync", str(alone.root), alone.url)
    alone.site.run("headraced", "drain")
    assert alone.body("ln") == b"run/out-1.nc"
    alone.site.run("headraced", "verify", str(alone.root), alone.url)
    assert len(alone.created()) == 1


def test_a_file_that_is_newer_here_is_kept_as_a_sync_keeps_it(linked: LinkedSite) -> None:
    """An import would overwrite it."""
    bodies = put_some(linked)
    mine = linked.write("in/0.nc", b"M")
    os.utime(mine, (2_000_000_000, 2_000_000_000))
    job = linked.bring()
    assert linked.tree() == {**bodies, "in/0.nc": b"M"}
    assert "newer than the object" in (job.note or "")
    assert linked.created() == []
    put_some(linked, 6)
    assert linked.bring(4, via=Via.DRA).state is JobState.FAILED
    assert mine.read_bytes() == b"M"


def test_what_changed_in_the_same_size_comes_with_the_import(linked: LinkedSite) -> None:
    """Also where the plan had been there before: 10,000 keys are a step of it."""
    linked.put("a/0.nc", b"1")
    linked.bring(via=Via.DRA)
    time = os.stat(linked.root / "a/0.nc").st_mtime
    os.utime(linked.root / "a/0.nc", (time - 100, time - 100))
    linked.put("a/0.nc", b"2")
    put_some(linked)
    job = linked.bring()
    assert linked.tree()["a/0.nc"] == b"2"
    assert linked.outcomes(job.id)["a/0.nc"] == "restored"


def test_a_dry_run_asks_fsx_for_nothing(linked: LinkedSite) -> None:
    write_some(linked)
    job = linked.export(dry_run=True)
    assert set(linked.outcomes(job.id).values()) == {"would_transfer"}
    assert linked.created() == []


# -- waiting ----------------------------------------------------------------------------------------------------------


def test_waiting_takes_no_slot_and_other_jobs_go_on(alone: LinkedSite, tmp_path: Path) -> None:
    write_some(alone)
    alone.fsx.hold("EXPORT", after=2)
    daemon = alone.site.serve()
    waiting = alone.enqueue(alone.root, f"{alone.url}/")
    alone.until_task(waiting, TaskState.RUNNING)
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "f").write_bytes(b"z")
    alone.site.finish(alone.enqueue(other, f"s3://{alone.bucket}/other/"))
    job = alone.site.until_job(waiting, lambda job: "2 of" in (job.waiting or ""))
    with alone.site.store() as store:
        assert store.depth().batches.get(BatchState.LEASED, 0) == 0
    assert "export by FSx, task-" in (job.waiting or "")
    alone.fsx.let_go()
    assert alone.site.finish(waiting).waiting is None
    metrics = daemon.get("/metrics") or ""
    assert 'headrace_data_repository_tasks_total{kind="export",state="succeeded"} 1.0' in metrics


def test_one_task_at_a_time_the_oldest_first(alone: LinkedSite) -> None:
    write_some(alone)
    put_some(alone)
    alone.fsx.hold("EXPORT")
    alone.site.serve()
    first = alone.enqueue(alone.root / "run", f"{alone.url}/run/")
    alone.until_task(first, TaskState.RUNNING)
    second = alone.enqueue(f"{alone.url}/in/", alone.root / "in")
    alone.site.until_job(second, lambda job: "one at a time" in (job.waiting or ""))
    assert len(alone.created()) == 1
    alone.fsx.let_go()
    for job_id in (first, second):
        alone.site.finish(job_id)
    kinds = [one["Type"] for one in alone.created()]
    assert kinds == ["EXPORT_TO_REPOSITORY", "IMPORT_METADATA_FROM_REPOSITORY"]


def test_a_task_of_somebody_else_is_waited_for(alone: LinkedSite) -> None:
    write_some(alone)
    alone.fsx.hold("IMPORT")
    client = alone.fsx.client()
    client.create_data_repository_task(
        Type="IMPORT_METADATA_FROM_REPOSITORY", FileSystemId=alone.file_system, Report={"Enabled": False}
    )
    client.close()
    alone.site.serve()
    job_id = alone.enqueue(alone.root, f"{alone.url}/")
    alone.site.until_job(job_id, lambda job: "DataRepositoryTaskExecuting" in (job.waiting or ""))
    alone.fsx.let_go()
    alone.fsx.advance()
    alone.fsx.advance()
    alone.site.finish(job_id)
    assert alone.states(job_id) == [("export", "succeeded")]


def test_a_paused_job_goes_on_after_its_task(alone: LinkedSite) -> None:
    put_some(alone)
    alone.fsx.hold("IMPORT")
    alone.site.serve()
    job_id = alone.enqueue(f"{alone.url}/", alone.root)
    alone.until_task(job_id, TaskState.RUNNING)
    alone.pause(job_id)
    alone.fsx.let_go()
    alone.until_task(job_id, TaskState.SUCCEEDED)
    assert alone.site.job(job_id).state is JobState.PAUSED
    alone.resume(job_id)
    assert alone.site.finish(job_id).counters.done == 4


# -- restarts and cancellation ----------------------------------------------------------------------------------------


def test_a_daemon_that_is_killed_in_the_middle_of_a_task_asks_for_no_second_one(alone: LinkedSite) -> None:
    expected = write_some(alone)
    alone.fsx.hold("EXPORT", after=2)
    daemon = alone.site.serve()
    job_id = alone.enqueue(alone.root, f"{alone.url}/")
    alone.until_task(job_id, TaskState.RUNNING)
    daemon.kill()
    alone.fsx.let_go()
    alone.drained(job_id)
    assert (alone.outcomes(job_id), len(alone.created())) == (expected, 1)


def test_an_answer_that_is_lost_leaves_one_task(alone: LinkedSite) -> None:
    expected = write_some(alone)
    alone.fsx.lose_answer("CreateDataRepositoryTask", times=9)
    daemon = alone.site.serve()
    job_id = alone.enqueue(alone.root, f"{alone.url}/")
    alone.site.until_job(job_id, lambda job: "asked for again" in (job.waiting or ""))
    assert alone.states(job_id) == [("export", "asked")]
    daemon.kill()
    alone.drained(job_id)
    assert (alone.outcomes(job_id), len(alone.fsx.tasks())) == (expected, 1)


def test_a_cancelled_job_cancels_its_task_and_a_retry_asks_anew(alone: LinkedSite) -> None:
    expected = write_some(alone)
    alone.fsx.hold("EXPORT", after=1)
    daemon = alone.site.serve()
    job_id = alone.enqueue(alone.root, f"{alone.url}/")
    alone.until_task(job_id, TaskState.RUNNING)
    alone.cancel(job_id)
    alone.until_task(job_id, TaskState.CANCELLED)
    assert len(alone.fsx.calls("CancelDataRepositoryTask")) >= 1
    assert alone.site.job(job_id).state is JobState.CANCELLED
    daemon.stop()
    alone.fsx.let_go()
    job = alone.retry(job_id)
    assert (job.state, len(alone.created())) == (JobState.DONE, 2)
    assert alone.outcomes(job_id).keys() == expected.keys()


def test_a_task_whose_job_was_cancelled_before_its_answer_came_is_found_by_its_tag(alone: LinkedSite) -> None:
    write_some(alone)
    alone.fsx.hold("EXPORT")
    alone.fsx.lose_answer("CreateDataRepositoryTask", times=99)
    alone.site.serve()
    job_id = alone.enqueue(alone.root, f"{alone.url}/")
    alone.until_task(job_id, TaskState.ASKED)
    until(lambda: alone.fsx.tasks())
    alone.cancel(job_id)
    alone.until_task(job_id, TaskState.CANCELLED)
    assert [task["Lifecycle"] for task in alone.fsx.tasks()] == ["CANCELED"]


# -- metadata both ways -----------------------------------------------------------------------------------------------

EVERYTHING: dict[str, Any] = {"preserve": True, "links": Links.STORE, "dirs": True}


def describe(root: Path) -> dict[str, tuple[object, ...]]:
    """Type and mode, owner, time and content or target of all below a folder; a folder's time is not FSx's to keep."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        time = None if path.is_dir() and not path.is_symlink() else status.st_mtime_ns
        mode = None if path.is_symlink() else status.st_mode
        found[path.relative_to(root).as_posix()] = (mode, status.st_uid, status.st_gid, time, content)
    return found


def make_tree(root: Path) -> None:
    (root / "deep/er").mkdir(parents=True)
    (root / "deep/er/file.nc").write_bytes(b"data")
    (root / "deep/er/file.nc").chmod(0o640)
    (root / "run.sh").write_bytes(b"#!/bin/sh\n")
    (root / "run.sh").chmod(0o750)
    (root / "deep").chmod(0o710)
    (root / "empty").mkdir(mode=0o700)
    (root / "link").symlink_to("deep/er/file.nc")


def test_headrace_reads_what_fsx_exported(linked: LinkedSite, tmp_path: Path) -> None:
    make_tree(linked.root)
    expected = describe(linked.root)
    linked.export(via=Via.DRA)
    back = tmp_path / "back"
    linked.drained(linked.enqueue(f"{linked.url}/", back, **EVERYTHING))
    assert describe(back) == expected


def test_fsx_imports_what_headrace_wrote(linked: LinkedSite, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    make_tree(tree)
    linked.drained(linked.enqueue(tree, f"{linked.url}/", **EVERYTHING))
    job = linked.bring(via=Via.DRA)
    assert json.loads(linked.site.run("headrace", "report", str(job.id), "--summary", "--json"))["outcomes"]
    assert describe(linked.root) == describe(tree)

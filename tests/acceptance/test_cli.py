"""The installed `headrace` command on a real queue. The worker's part is played here, through the Store."""

import hashlib
import itertools
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from headrace_daemon.demo.servers import RcloneS3
from headrace_queue.client import process_started
from headrace_queue.drain_child import DrainChild
from headrace_queue.errors import UsageError
from headrace_queue.jobs import Counters, Failure, Item, Job, JobSpec, Kind, PlanStep, Rule, Worker
from headrace_queue.states import JobState
from headrace_queue.store import Store, open_store
from headrace_queue.transfers import Changes, Direction, TransferState
from tests.support.buckets import fresh_bucket
from tests.support.queue import Clock
from tests.support.transfers import TransferBench, owner
from tests.support.trees import fill_bucket, keys_of

COMMAND = Path(sys.executable).parent / "headrace"
DEADLINE = 150.0

CONFIG = """
state_dir = "{state}"
[remotes.lake]
endpoint_urls = ["http://127.0.0.1:9"]
[datasets.one]
source = "s3://b/one"
destination = "{data}"
exclude = ["*.tmp"]
[datasets.two]
source = "s3://b/two"
destination = "lake://b/two"
[datasets.lost]
source = "{data}/missing"
destination = "s3://b/lost"
"""


def until(condition: Callable[[], bool]) -> None:
    """Polls until it holds; fails the test after the deadline."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


@dataclass
class Host:
    """A machine with a configuration, some data, and the command."""

    home: Path
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def config(self) -> Path:
        return self.home / "config.toml"

    @property
    def data(self) -> Path:
        return self.home / "data"

    def environ(self) -> dict[str, str]:
        plain = {
            name: value for name, value in os.environ.items() if not name.startswith(("HEADRACE", "XDG", "PYTHON"))
        }
        return plain | {"HOME": str(self.home), "HEADRACE_CONFIG": str(self.config)}

    def run(self, *arguments: str | Path, code: int = 0, **environ: str) -> subprocess.CompletedProcess[str]:
        """One call to its end; its exit code is checked."""
        done = subprocess.run(
            [COMMAND, *arguments],
            env=self.environ() | environ,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    def json(self, *arguments: str | Path, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code).stdout)

    def start(self, *arguments: str | Path, **streams: Any) -> subprocess.Popen[str]:
        """A call that goes on in the background, ended with the test."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
        process: subprocess.Popen[str] = subprocess.Popen(
            [COMMAND, *arguments], env=self.environ(), cwd=self.home, text=True, **pipes
        )
        self.running.append(process)
        return process

    def store(self) -> Store:
        return open_store(f"sqlite://{self.state / 'queue.db'}")

    def report(self, job_id: int, *lines: dict[str, Any]) -> None:
        path = self.state / "reports" / f"{job_id}.jsonl"
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps(line) + "\n" for line in lines)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    machine = Host(tmp_path)
    machine.data.mkdir()
    machine.config.write_text(CONFIG.format(state=machine.state, data=machine.data), encoding="utf-8")
    yield machine
    for process in machine.running:
        with process:
            if process.poll() is None:
                process.kill()


@dataclass
class Hand:
    """A worker, moved by hand."""

    store: Store
    id: str = "by-hand"

    def arrive(self) -> None:
        started = process_started(os.getpid())
        assert started is not None
        self.store.register(Worker(self.id, socket.gethostname(), os.getpid(), started))

    def plan(self, items: Sequence[Item], counters: Counters, failures: Sequence[Failure] = ()) -> Job:
        """Plans the next job as a whole, in one commit, so that nobody sees a half of it."""
        with self.store.group():
            lease = self.store.claim_plan(self.id, 100)
            assert lease is not None
            batches = (tuple(items),) if items else ()
            self.store.commit_plan(lease, PlanStep(batches, "", counters, tuple(failures), finished=True))
        return self.store.job(lease.job.id)

    def work(self, failing: int = 0) -> None:
        """Finishes every batch; the first `failing` objects of each fail."""
        for batch in self.store.claim(self.id, 100):
            bad, good = batch.items[:failing], batch.items[failing:]
            moved = Counters(done=len(good), done_bytes=sum(item.size for item in good))
            failures = [Failure(item, "access_denied", "the bucket says no") for item in bad]
            self.store.progress(batch.lease, range(len(batch.items)), moved, failures)
            self.store.complete(batch.lease)


@pytest.fixture
def hand(host: Host) -> Iterator[Hand]:
    with closing(host.store()) as store:
        worker = Hand(store)
        worker.arrive()
        yield worker


ITEMS = [Item("a", 1000, 0), Item("b", 2000, 0)]
PLANNED = Counters(listed=2, planned=2, planned_bytes=3000)


_numbers = itertools.count(1)


def enqueued(host: Host, *options: str) -> int:
    """A job into a place of its own: two into one are refused."""
    return int(host.json("sync", "s3://b/p", host.data / f"{next(_numbers)}", *options)["job"]["id"])


# -- starting ----------------------------------------------------------------------------------------------------------


def test_version_help_and_completion(host: Host) -> None:
    assert host.run("--version").stdout.startswith("headrace 0.")
    overview = host.run("--help").stdout
    commands = "sync copy run match jobs status watch wait cancel pause report purge transfers"
    for command in commands.split():
        assert f"\n  {command} " in overview
    assert "--json" in host.run("purge", "--help").stdout
    assert "Usage" in host.run(code=2).stdout
    assert "_HEADRACE_COMPLETE" in host.run(_HEADRACE_COMPLETE="source_bash").stdout


def test_the_command_loads_nothing_that_it_does_not_need(host: Host) -> None:
    script = (
        "import sys, headrace_queue.cli as cli; sys.argv = ['headrace', 'jobs']; "
        "heavy = {'headrace_queue.config', 'rich', 'asyncio', 'aiohttp', 'botocore', 'headrace_daemon', 'apsw'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=host.environ(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


# -- enqueueing --------------------------------------------------------------------------------------------------------


def test_a_job_is_enqueued_while_no_daemon_runs(host: Host) -> None:
    done = host.run("sync", "s3://b/p", "data")
    assert done.stdout == f"job 1: sync s3://b/p/ -> {host.data}\n"
    assert "headraced serve" in done.stderr
    with closing(host.store()) as store:
        assert store.job(1).state is JobState.QUEUED


def test_a_live_worker_needs_no_hint_and_a_dead_one_does(host: Host, hand: Hand) -> None:
    assert host.run("sync", "s3://b/p", host.data).stderr == ""
    assert host.json("sync", "s3://b/q", host.data / "q")["live_worker"] is True
    hand.store.retire(hand.id)
    hand.store.register(Worker("killed", socket.gethostname(), os.getpid(), started=1))
    assert "No worker is running" in host.run("sync", "s3://b/r", host.data / "r").stderr


def test_the_order_of_rules_is_kept(host: Host) -> None:
    enqueued(
        host, "--exclude", "*", "--include=*.tif", "--label", "x=--include", "--exclude", "old*", "--include", "-z"
    )
    with closing(host.store()) as store:
        rules = store.job(1).spec.options.rules
    assert rules == (Rule(False, "*"), Rule(True, "*.tif"), Rule(False, "old*"), Rule(True, "-z"))


def test_every_option_of_sync_reaches_the_job(host: Host) -> None:
    job = host.json(
        *("sync", "s3://b/p", "lake://b/q", "--force-overwrite", "--delete", "--max-delete", "7", "--priority", "-3"),
        *("--bandwidth", "10MiB/s", "--submission-id", "x", "--label", "a=1", "--label", "b=2", "--via", "stream"),
        *("--storage-class", "GLACIER", "--sse", "aws:kms", "--preserve"),
        *("--existing", "--allow-empty-source", "--trash", "old"),
        *("--min-size", "1KiB", "--max-size", "1MiB", "--max-age", "1970-01-01T00:00:01Z"),
        *("--min-age", "1970-01-01T00:00:02Z", "--exclude-folder", "tmp"),
        *("--content-type", "a/b", "--cache-control", "c", "--content-disposition", "d", "--content-encoding", "e"),
        *("--content-language", "f", "--expires", "2037-10-21T07:28:00Z", "--metadata", "G=h", "--metadata", "i=j"),
        *("--tag", "k=v", "--requester-pays", "--archived", "restore", "--restore-tier", "Standard"),
        *("--restore-days", "3", "--max-errors", "9", "--deadline", "2037-10-21T07:28:00Z"),
    )["job"]
    assert job["options"] == {
        "rules": [{"include": False, "pattern": "tmp/*"}, {"include": False, "pattern": "*/tmp/*"}],
        "min_size": 2**10,
        "max_size": 2**20,
        "oldest_ns": 10**9,
        "newest_ns": 2 * 10**9,
        "files_from": None,
        "files_from_nul": False,
        "compare": "mtime",
        "no_clobber": False,
        "existing": True,
        "delete": True,
        "max_delete": 7,
        "max_delete_percent": None,
        "allow_empty_source": True,
        "trash": "lake://b/q/old/",
        "dry_run": False,
        "via": "stream",
        "bandwidth": 10 * 2**20,
        "storage_class": "GLACIER",
        "sse": "aws:kms",
        "acl": None,
        "sse_c_key_file": None,
        "source_sse_c_key_file": None,
        "version_id": None,
        "preserve": True,
        "restore": False,
        "release": False,
        "links": "follow",
        "encode_names": False,
        "empty_dirs": False,
        "dirs": False,
        "headers": {
            "content-type": "a/b",
            "cache-control": "c",
            "content-disposition": "d",
            "content-encoding": "e",
            "content-language": "f",
            "expires": "Wed, 21 Oct 2037 07:28:00 GMT",
        },
        "metadata": {"g": "h", "i": "j"},
        "tags": {"k": "v"},
        "requester_pays": True,
        "as_of_ns": None,
        "inventory": None,
        "archived": "restore",
        "restore_tier": "Standard",
        "restore_days": 3,
        "group": None,
        "umask": None,
        "max_errors": 9,
        "deadline": 2139722880.0,
        "notify": [],
        "select": [],
        "changed": False,
    }
    assert (job["priority"], job["submission_id"], job["labels"]) == (-3, "x", {"a": "1", "b": "2"})


def test_a_list_of_names_reaches_the_job(host: Host) -> None:
    (host.data / "names").write_bytes(b"b\na\n")
    kept = host.json("sync", "s3://b/p", "lake://b/q", "--files-from", str(host.data / "names"))["job"]["options"]
    assert kept["files_from"] == hashlib.sha256(b"a\0b\0").hexdigest()
    there = host.json("run", "two", "--files-from0", "lake://b/names")["jobs"][0]["job"]["options"]
    assert (there["files_from"], there["files_from_nul"]) == ("lake://b/names", True)
    assert "stdin can be read once" in host.run("run", "two", "one", "--files-from", "-", code=2).stderr


def test_copy_names_one_object(host: Host) -> None:
    job = host.json("copy", "s3://b/p/x.txt", "data")["job"]
    assert (job["kind"], job["source"], job["destination"]) == ("copy", "s3://b/p/x.txt", f"{host.data}/x.txt")
    assert job["options"]["compare"] == "always"


def test_the_same_submission_id_is_the_same_job(host: Host) -> None:
    first = host.json("sync", "s3://b/p", "data", "--submission-id", "night")
    again = host.json("sync", "s3://b/p", "data", "--submission-id", "night")
    assert (first["created"], again["created"]) == (True, False)
    assert first["job"]["id"] == again["job"]["id"]
    assert "already" in host.run("sync", "s3://b/p", "data", "--submission-id", "night").stdout
    host.run("sync", "s3://b/other", "data", "--submission-id", "night", code=2)


def test_datasets_run_by_name_all_of_them_or_none(host: Host) -> None:
    jobs = [entry["job"] for entry in host.json("run", "two", "one", "two", "--exclude", "x")["jobs"]]
    assert [job["source"] for job in jobs] == ["s3://b/two/", "s3://b/one/"]
    assert jobs[1]["options"]["rules"] == [{"include": False, "pattern": "*.tmp"}, {"include": False, "pattern": "x"}]
    assert jobs[1]["labels"] == {"dataset": "one"}
    host.run("run", "--all", code=2)  # the source of `lost` is missing
    assert "Did you mean two?" in host.run("run", "tow", code=2).stderr
    host.run("run", code=2)
    host.run("run", "one", "--all", code=2)
    assert len(host.json("jobs")["jobs"]) == 2


# -- refusing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("sync", "data", "elsewhere"),
        ("sync", "s3://b/p", "s3://b/p"),
        ("sync", "nope://b/p", "data"),
        ("sync", "missing", "s3://b"),
        ("sync", "s3://b", "data", "--compare", "colour"),
        ("sync", "s3://b"),
        ("frobnicate",),
        ("--config", "missing.toml", "jobs"),
        ("status", "1"),
        ("jobs", "--state", "happy"),
        ("purge", "--older-than", "long"),
    ],
)
def test_wrong_use_is_three_lines_and_exit_2(host: Host, arguments: tuple[str, ...]) -> None:
    done = host.run(*arguments, code=2)
    assert done.stdout == ""
    what, why, remedy, *more = done.stderr.splitlines()
    assert what.startswith("headrace: ")
    assert why.startswith("  why: ")
    assert remedy.startswith("  do:  ")
    assert not more
    as_json = json.loads(host.run(*arguments, "--json", code=2).stderr)["error"]
    assert as_json == {
        "what": what.removeprefix("headrace: "),
        "why": why.removeprefix("  why: "),
        "remedy": remedy.removeprefix("  do:  "),
        "exit_code": 2,
    }


def test_config_is_taken_before_and_after_the_subcommand(host: Host, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(f'state_dir = "{tmp_path / "elsewhere"}"', encoding="utf-8")
    host.run("--config", other, "sync", "s3://b/p", "data")
    host.run("sync", "s3://b/q", "data/q", "--config", other)
    assert host.json("jobs")["jobs"] == []
    assert len(host.json("--config", other, "jobs")["jobs"]) == 2
    assert len(host.json("jobs", "--config", other)["jobs"]) == 2
    assert f"--config {other}" in host.run("sync", "s3://b/r", "data/r", "--config", other).stderr


def test_a_wrong_section_does_not_hide_the_jobs(host: Host) -> None:
    enqueued(host)
    with host.config.open("a", encoding="utf-8") as stream:
        stream.write("[transfer]\nfrobs = 1\n")
    assert "transfer.frobs" in host.run("sync", "s3://b/p", "data", code=2).stderr
    assert len(host.json("jobs")["jobs"]) == 1


# -- waiting -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "code", "words"),
    [
        ("done", 0, "is done: 2 objects, 2.9 KiB"),
        ("incomplete", 1, "1 FAILED"),
        ("cancelled", 3, "was cancelled"),
        ("failed", 4, "\n  why: no such bucket: b\n"),
    ],
)
def test_wait_ends_with_the_job_and_its_exit_code(host: Host, hand: Hand, end: str, code: int, words: str) -> None:
    waiting = host.start("sync", "s3://b/p", host.data, "--wait")
    until(lambda: bool(hand.store.jobs()))
    if end == "cancelled":
        host.run("cancel", "1")
    else:
        hand.plan(ITEMS, PLANNED)
        if end == "failed":
            hand.store.fail(1, "no such bucket: b")
        else:
            hand.work(failing=1 if end == "incomplete" else 0)
    out, err = waiting.communicate(timeout=DEADLINE)
    assert waiting.returncode == code, err
    assert words in out
    assert host.json("wait", "1", code=code)["jobs"][0]["exit_code"] == code
    assert words in host.run("watch", "1", code=code).stdout


def test_wait_with_json_prints_one_object_at_the_end(host: Host, hand: Hand) -> None:
    waiting = host.start("sync", "s3://b/p", host.data, "--wait", "--json")
    until(lambda: bool(hand.store.jobs()))
    hand.plan(ITEMS, PLANNED)
    hand.work()
    out, err = waiting.communicate(timeout=DEADLINE)
    assert err == ""
    assert json.loads(out)["job"]["counters"]["done_bytes"] == 3000


def test_progress_is_lines_without_a_terminal(host: Host, hand: Hand) -> None:
    enqueued(host)
    waiting = host.start("wait", "1")
    hand.plan(ITEMS, PLANNED)
    assert waiting.stderr is not None
    said = next(line for line in waiting.stderr if "running" in line)
    assert said == "job 1 running: 0 of 2, 0 B of 2.9 KiB\n"
    hand.work()
    out, _ = waiting.communicate(timeout=DEADLINE)
    assert out.startswith("job 1 is done")


def test_progress_is_a_bar_on_a_terminal(host: Host, hand: Hand) -> None:
    enqueued(host)
    ours, theirs = pty.openpty()
    seen: list[bytes] = []

    def read() -> None:
        with suppress(OSError):  # the terminal is gone when the command has ended
            while chunk := os.read(ours, 4096):
                seen.append(chunk)

    reader = threading.Thread(target=read)
    waiting = host.start("watch", "1", stderr=theirs)
    os.close(theirs)
    reader.start()
    hand.plan(ITEMS, PLANNED)
    until(lambda: b"0 of 2" in b"".join(seen))
    hand.work()
    assert waiting.wait(DEADLINE) == 0
    reader.join(DEADLINE)
    os.close(ours)
    assert b"\x1b[" in b"".join(seen)


def test_ctrl_c_leaves_the_job_alone(host: Host, hand: Hand) -> None:
    waiting = host.start("sync", "s3://b/p", host.data, "--wait")
    assert waiting.stdout is not None
    assert waiting.stdout.readline().startswith("job 1:")
    assert waiting.stderr is not None
    assert "queued" in waiting.stderr.readline()
    waiting.send_signal(signal.SIGINT)
    _, err = waiting.communicate(timeout=DEADLINE)
    assert waiting.returncode == 130
    assert "goes on without you" in err
    assert "Traceback" not in err
    assert hand.store.job(1).state is JobState.QUEUED


def test_watch_follows_all_jobs_and_ends_with_the_last(host: Host, hand: Hand) -> None:
    assert host.run("watch").stdout == ""
    enqueued(host)
    watching = host.start("watch", "--json")
    assert watching.stdout is not None
    assert json.loads(watching.stdout.readline())["state"] == "queued"
    second = enqueued(host)
    assert json.loads(watching.stdout.readline())["id"] == second
    hand.store.cancel(1)
    hand.store.cancel(second)
    out, _ = watching.communicate(timeout=DEADLINE)
    assert {json.loads(line)["state"] for line in out.splitlines()} >= {"cancelled"}
    assert watching.returncode == 3


def test_a_dry_run_prints_what_would_happen_object_by_object(host: Host, hand: Hand) -> None:
    running = host.start("sync", "s3://b/p", host.data, "--delete", "--dry-run")
    until(lambda: bool(hand.store.jobs()))
    host.report(1, {"key": "new file", "outcome": "would_transfer", "bytes": 2048, "message": "new"})
    assert running.stdout is not None
    assert running.stdout.readline() == "would transfer     2.0 KiB  new file  (new)\n"
    host.report(1, {"key": "old\x1b", "outcome": "would_delete", "message": "only the destination has it"})
    hand.plan([], Counters(listed=4, planned=1, planned_bytes=2048, unchanged=3, extra=1))
    hand.plan([], Counters())
    out, err = running.communicate(timeout=DEADLINE)
    assert running.returncode == 0, err
    assert out.splitlines()[0].split("  ")[0] == "would delete"
    assert "old\\x1b" in out
    assert "nothing was changed" in out
    assert hand.store.job(1).spec.options.dry_run


def test_a_dry_run_without_a_worker_works_by_itself(host: Host, rclone_s3: RcloneS3) -> None:
    bucket = fresh_bucket(rclone_s3)
    fill_bucket(rclone_s3, bucket, {"p/same": b"1234", "p/extra": b"1234"})
    for name in ("same", "new"):
        (host.data / name).write_bytes(b"1234")
    keys = host.home / "keys.ini"
    keys.write_text(
        f"[default]\naws_access_key_id = {rclone_s3.keys.access_key}\n"
        f"aws_secret_access_key = {rclone_s3.keys.secret_key}\n",
        encoding="utf-8",
    )
    keys.chmod(0o600)
    other = host.home / "real.toml"
    other.write_text(
        f'state_dir = "{host.state}"\n[remotes.lake]\nendpoint_urls = {json.dumps(list(rclone_s3.endpoint_urls))}\n'
        f'credentials = {{ file = "{keys}" }}\n',
        encoding="utf-8",
    )
    done = host.run("sync", "data", f"lake://{bucket}/p", "--delete", "--dry-run", "--config", other)
    lines = done.stdout.splitlines()
    assert sorted(line.split("  (")[0] for line in lines[:2]) == [
        "would delete                extra",
        "would transfer         4 B  new",
    ]
    assert "nothing was changed" in lines[-1]
    assert set(keys_of(rclone_s3, bucket)) == {"p/same", "p/extra"}


def test_a_dry_run_that_fails_says_why(host: Host) -> None:
    missing = host.home / "no-keys.ini"
    with host.config.open("a", encoding="utf-8") as stream:
        stream.write(
            f'[remotes.shut]\nendpoint_urls = ["http://127.0.0.1:9"]\ncredentials = {{ file = "{missing}" }}\n'
        )
    done = host.run("sync", "data", "shut://b/p", "--dry-run", code=4)
    assert "job 1 FAILED: " in done.stdout
    assert str(missing) in done.stdout


def test_a_worker_that_cannot_start_is_told(host: Host) -> None:
    """In the child's own three lines, which blame nothing that the user did not write."""
    child = DrainChild(1, host.home / "missing.toml", host.environ())
    try:
        with pytest.raises(UsageError) as caught:
            until(child.ended)
    finally:
        child.close()
    assert caught.value.what == f"configuration {host.home / 'missing.toml'}"
    assert caught.value.why == "there is no such file"
    assert "--config" in caught.value.remedy
    assert "HEADRACE_CONFIG" not in str(caught.value)


# -- looking and steering ----------------------------------------------------------------------------------------------

JOB_FIELDS = {
    *("id", "kind", "state", "phase", "source", "destination", "priority", "submission_id", "labels", "options"),
    *("user", "note", "after"),
    *("counters", "created", "started", "finished", "error", "waiting", "warning", "seconds", "bytes_per_second"),
    "exit_code",
}


def test_the_fields_of_a_job_are_stable(host: Host) -> None:
    assert host.run("jobs").stdout == "No jobs.\n"
    enqueued(host)
    assert set(host.json("jobs")["jobs"][0]) == JOB_FIELDS
    assert set(host.json("status", "1")) == JOB_FIELDS | {"failures", "tasks", "live_worker"}
    assert set(host.json("pause", "1")) == JOB_FIELDS


def test_jobs_are_listed_newest_first_and_filtered(host: Host) -> None:
    for _ in range(3):
        enqueued(host)
    host.run("cancel", "2")
    assert [job["id"] for job in host.json("jobs")["jobs"]] == [3, 2, 1]
    assert [job["id"] for job in host.json("jobs", "--state", "queued")["jobs"]] == [3, 1]
    assert [job["id"] for job in host.json("jobs", "--state", "queued", "--state", "cancelled")["jobs"]] == [3, 2, 1]
    assert [job["id"] for job in host.json("jobs", "--limit", "1", "--before", "3")["jobs"]] == [2]
    lines = host.run("jobs").stdout.splitlines()
    assert lines[0].split()[:2] == ["JOB", "STATE"]
    assert "cancelled" in lines[2]


def test_jobs_are_steered(host: Host, hand: Hand) -> None:
    enqueued(host)
    assert host.run("pause", "1").stdout == "job 1: paused\n"
    assert "headrace resume 1" in host.run("status", "1").stdout
    assert host.json("resume", "1")["state"] == "queued"
    hand.plan(ITEMS, PLANNED)
    hand.work(failing=2)
    refused = host.run("resume", "1", code=2).stderr
    assert "a job that is incomplete cannot be resumed" in refused
    status = host.run("status", "1").stdout
    assert "access_denied: the bucket says no" in status
    assert "headrace retry 1" in status
    assert [failure["key"] for failure in host.json("status", "1")["failures"]] == ["a", "b"]
    assert host.json("retry", "1")["counters"]["failed"] == 0
    assert host.run("cancel", "1").stdout.startswith("job 1: cancel")


def test_several_jobs_are_steered_at_once(host: Host) -> None:
    for _ in range(4):
        enqueued(host)
    assert host.run("pause", "1", "3", "1").stdout == "job 1: paused\njob 3: paused\n"
    assert [job["state"] for job in host.json("resume", "3", "1")["jobs"]] == ["queued", "queued"]
    unknown = host.run("cancel", "1", "99", code=2)
    assert (unknown.stdout, "job 99" in unknown.stderr) == ("", True)
    assert host.json("status", "1")["state"] == "queued", "a typing error moves nothing"
    host.run("cancel", "2")
    some = host.run("cancel", "1", "2", "3", code=2)
    assert some.stdout == "job 1: cancelled\njob 3: cancelled\n"
    assert "why: a job that is cancelled cannot be cancelled" in some.stderr
    none = host.run("cancel", "1", "2", "4", code=2)
    assert none.stdout == "job 4: cancelled\n"
    assert "why: 2 of 3 jobs are as they were" in none.stderr
    assert "cancel 1: a job that is cancelled cannot be cancelled" in none.stderr
    assert [job["state"] for job in host.json("retry", "1", "2")["jobs"]] == ["queued", "queued"]


def test_a_report_is_printed_filtered_and_summed_up(host: Host) -> None:
    enqueued(host)
    assert host.run("report", "1").stdout == ""
    host.report(
        1,
        {"key": "a", "outcome": "failed", "bytes": 10, "error": "io", "message": "disk"},
        {"key": "b", "outcome": "failed", "bytes": 10, "error": "access_denied"},
        {"key": "a", "outcome": "transferred", "bytes": 10, "proof": "crc64nvme", "crc64nvme": "x"},
    )
    assert host.run("report", "1").stdout.splitlines() == [
        "failed                10 B  b  (access_denied)",
        "transferred           10 B  a  (crc64nvme)",
    ]
    assert host.run("report", "1", "--failed").stdout.count("\n") == 1
    lines = [json.loads(line) for line in host.run("report", "1", "--json").stdout.splitlines()]
    assert [line["key"] for line in lines] == ["b", "a"]
    assert lines[1]["crc64nvme"] == "x"
    assert host.json("report", "1", "--summary")["outcomes"]["transferred"] == {"objects": 1, "bytes": 10}
    assert "proofs          crc64nvme: 1" in host.run("report", "1", "--summary").stdout
    host.run("report", "2", code=2)


def test_a_reader_that_goes_away_ends_the_command_quietly(host: Host) -> None:
    enqueued(host)
    host.report(1, *({"key": f"{number:0200d}", "outcome": "transferred"} for number in range(5000)))
    printing = host.start("report", "1")
    assert printing.stdout is not None
    assert printing.stderr is not None
    printing.stdout.readline()
    printing.stdout.close()
    assert printing.stderr.read() == ""
    assert printing.wait(DEADLINE) == -signal.SIGPIPE


def test_purge_removes_ended_jobs_and_their_reports(host: Host) -> None:
    first, second = enqueued(host), enqueued(host)
    host.report(first, {"key": "a", "outcome": "transferred"})
    host.run("cancel", str(first))
    assert host.json("purge") == {"purged": [], "transfers": []}
    assert host.json("purge", "--older-than", "0s") == {"purged": [first], "transfers": []}
    assert not (host.state / "reports" / f"{first}.jsonl").exists()
    assert [job["id"] for job in host.json("jobs")["jobs"]] == [second]


TRANSFER_FIELDS = {
    *("id", "user", "direction", "system", "path", "size", "state", "account", "archive", "no_clobber", "part_size"),
    *("created", "changed", "deadline", "expires", "finished", "job_id", "error", "etag", "crc64nvme", "staged"),
    *("bucket", "key"),
}


def test_transfers_are_listed_newest_first_and_purged(host: Host) -> None:
    assert host.run("transfers").stdout == "No transfers under way; --all lists those that are over.\n"
    with closing(host.store()) as store:
        bench = TransferBench(store, Clock(time.time()))
        done = bench.transfer_in(TransferState.DONE, Direction.UPLOAD)
        waiting = bench.upload("bob")
        store.change_transfer(waiting.id, Changes(upload_id="never-told"))
        store.change_transfer(done.id, Changes(staged=False, etag="e", crc64nvme="c"))
        job, _ = store.enqueue(JobSpec(Kind.COPY, "/data/f", "s3://staging/f", owner=owner("ann")))
        moving = store.change_transfer(bench.download("ann").id, Changes(job_id=job.id))

    under_way, everything = host.json("transfers"), host.run("transfers", "--all", "--json").stdout
    assert [transfer["id"] for transfer in under_way["transfers"]] == [moving.id, waiting.id]
    assert all(set(transfer) == TRANSFER_FIELDS for transfer in under_way["transfers"])
    assert "never-told" not in everything
    listed = host.json("transfers", "--all", "--user", "ann", "--limit", "2")["transfers"]
    assert [(one["id"], one["state"], one["etag"]) for one in listed] == [(moving.id, "moving", None), (1, "done", "e")]
    heading, first, second = host.run("transfers").stdout.splitlines()
    assert heading.split() == ["TRANSFER", "STATE", "USER", "SYSTEM", "SIZE", "AGE", "PATH", "NOTE"]
    assert (first.split()[:5], first.split()[-2:]) == (["3", "download,", "moving", "ann", "alps"], ["job", "1"])
    assert (second.split()[:4], " until " in second) == (["2", "upload,", "waiting", "bob"], True)

    assert host.json("jobs")["jobs"][0]["user"] == "ann"
    assert "  user        ann\n" in host.run("status", "1").stdout
    assert host.run("purge", "--older-than", "0s").stdout == "Removed 0 jobs and 1 transfer.\n"

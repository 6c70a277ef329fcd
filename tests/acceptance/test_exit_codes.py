"""How commands end: their exit codes, and what they say when something is wrong."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from headrace_daemon.demo.servers import Keys, SeaweedFS, program
from tests.support.commands import Folder, Hub, call, complaint, json_lines, noise, remote_of
from tests.support.rights import drain_without_privilege
from tests.support.site import COMMAND_SECONDS, RemoteTable, Site, site_of, until

pytestmark = pytest.mark.server


@pytest.fixture
def quiet(tmp_path: Path, seaweed: SeaweedFS) -> Iterator[Site]:
    """A site without a daemon."""
    with site_of(tmp_path, {"weed": remote_of(seaweed)}) as site:
        yield site


# -- 0 to 4 --------------------------------------------------------------------------------------------------------


def test_0_is_done(hub: Hub, quiet: Site, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({"a": b"a"})
    quiet.run("headrace", "sync", files.url, bucket.url, code=0)
    quiet.run("headraced", "drain", code=0)
    for command in (("wait", 1), ("watch", 1), ("wait", 1, "--json"), ("watch", 1, "--json"), ("status", 1)):
        quiet.run("headrace", *command, code=0)
    quiet.run("headraced", "drain", code=0)  # nothing is left


def test_1_means_that_objects_failed(hub: Hub, quiet: Site, tmp_path: Path) -> None:
    bucket, target = hub.prefix("weed"), Folder(tmp_path / "target")
    bucket.fill({"good": b"good", "bad": b"bad"})
    (target.path / "bad").mkdir(parents=True)
    job = quiet.enqueue(bucket.url, target.url)
    quiet.run("headraced", "drain", code=1)
    texts = [quiet.run("headrace", name, job, code=1) for name in ("wait", "watch")]
    texts += [quiet.run("headrace", *words, code=0) for words in (("status", job), ("jobs",))]
    for text in texts:
        assert "failed" in text.lower()
        assert "done" not in text  # a job with failed objects never says so
    assert quiet.headrace("wait", job, code=1)["jobs"][0]["exit_code"] == 1
    (failed,) = json_lines(quiet.run("headrace", "report", job, "--failed", "--json"))
    assert (failed["key"], failed["error"]) == ("bad", "blocked")
    assert quiet.status(job)["failures"][0]["key"] == "bad"


def test_2_is_wrong_use(hub: Hub, quiet: Site, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    (tmp_path / "file").write_bytes(b"")
    for words in (
        ("sync", missing, "weed://b/"),
        ("sync", tmp_path / "file", "weed://b/"),
        ("copy", tmp_path, "weed://b/"),
        ("sync", "nowhere://b/", tmp_path),
        ("sync", "weed://b/", "weed://b/below"),
        ("sync", "weed://b/"),
        ("sync", "weed://b/", tmp_path, "--compare", "colour"),
        ("sync", "weed://b/", tmp_path, "--bandwidth", "fast"),
        ("sync", "weed://b/", tmp_path, "--sse", "AES256"),
        ("run", "nothing"),
        ("wait", "99"),
        ("explode",),
    ):
        what, why, remedy = complaint(quiet, "headrace", *words)
        assert what
        assert why
        assert remedy
    assert not quiet.state.exists() or quiet.headrace("jobs") == {"jobs": []}
    call(quiet, "headrace", "sync", missing, "weed://b/", code=2)
    said = json.loads(call(quiet, "headrace", "sync", missing, "weed://b/", "--json", code=2).errors)
    assert set(said["error"]) == {"what", "why", "remedy", "exit_code"}
    assert said["error"]["exit_code"] == 2


@pytest.mark.parametrize("name", ["headrace", "headraced"])
def test_2_is_a_wrong_configuration(name: str, quiet: Site) -> None:
    words = ["drain"] if name == "headraced" else ["sync", "s3://b/", str(quiet.directory / "target")]
    quiet.config.write_text(quiet.config.read_text() + '[transfer2]\npart_size = "5MiB"\n')
    what, why, _ = complaint(quiet, name, *words)
    assert "transfer2" in what
    assert why == "there is no such key"
    quiet.config.write_text("this is no TOML")
    assert "it is not TOML" in complaint(quiet, name, *words)[1]
    assert "no such file" in complaint(quiet, name, *words, "--config", quiet.directory / "none.toml")[1]


def test_3_is_cancelled(hub: Hub, quiet: Site, tmp_path: Path) -> None:
    files = Folder(tmp_path / "files")
    files.fill({"a": b"a"})
    job = quiet.enqueue(files.url, hub.prefix("weed").url)
    quiet.run("headrace", "cancel", job, code=0)
    for name in ("wait", "watch"):
        assert "was cancelled" in quiet.run("headrace", name, job, code=3)
    quiet.run("headraced", "drain", code=0)  # it had no part in that


def test_3_is_for_a_drain_that_was_stopped_before_it_had_a_part_in_a_job(tmp_path: Path, seaweed: SeaweedFS) -> None:
    """The job waits for a service, and its turn comes again after the signal."""
    (tmp_path / "tree").mkdir()
    with site_of(tmp_path, {"far": RemoteTable.of(seaweed, ["http://127.0.0.1:9"])}) as site:
        site.enqueue(tmp_path / "tree", "far://bucket/")
        site.run("headraced", "drain", "--give-up-after", "1", code=3)
        with site.popen("headraced", "drain") as drain:
            until(lambda: catches(drain.pid, signal.SIGTERM))
            drain.terminate()
            drain.communicate(timeout=COMMAND_SECONDS)
        assert drain.returncode == 3


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process handles a signal by now (proc(5), SigCgt)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    (caught,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")]
    return bool(int(caught, 16) >> (number - 1) & 1)


def test_ctrl_c_while_a_program_loads_ends_it_quietly(quiet: Site) -> None:
    """The signal comes in the middle of an import, which would end in a traceback of it."""
    script = """
import os, signal, sys
class Stroke:
    def find_spec(self, name, *_):
        if name == "headrace_queue.commands_man" and "headrace_daemon.commands" in sys.modules:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Stroke())
from headrace_daemon.__main__ import main
sys.exit(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", script, "drain"],
        env=quiet.environment(),
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_a_reader_that_goes_away_ends_a_program_quietly(quiet: Site, tmp_path: Path) -> None:
    """By the signal that ends every other filter."""
    full, empty = tmp_path / "full", tmp_path / "empty"
    for folder in (full, empty):
        folder.mkdir()
    for number in range(1000):  # more than a pipe holds
        (full / f"{number:0200d}").touch()
    for form in ((), ("--json",)):
        with subprocess.Popen(
            [program("headraced"), "verify", full, empty, *form],
            env=quiet.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as verify:
            assert verify.stdout is not None
            assert verify.stderr is not None
            verify.stdout.readline()
            verify.stdout.close()
            assert verify.stderr.read() == b""
            assert verify.wait(COMMAND_SECONDS) == -signal.SIGPIPE


def test_3_is_for_whoever_waits(hub: Hub, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({f"{number}": noise(1000) for number in range(100)})
    mark = f"cancel {bucket.prefix}"
    slow = ("--bandwidth", "10kB/s", "--submission-id", mark, "--wait")
    with hub.site.popen("headrace", "sync", files.url, bucket.url, *slow) as waiting:
        job = until(lambda: [job for job in hub.site.headrace("jobs")["jobs"] if job["submission_id"] == mark])[0]
        hub.site.until_job(job["id"], lambda job: job.started is not None)
        hub.site.headrace("cancel", job["id"])
        out, _ = waiting.communicate(timeout=COMMAND_SECONDS)
    assert waiting.returncode == 3
    assert "was cancelled" in out


def test_4_is_failed_as_a_whole(hub: Hub, quiet: Site, tmp_path: Path) -> None:
    target = tmp_path / "target"
    job = quiet.enqueue("weed://no-such-bucket/", target)
    quiet.run("headraced", "drain", code=4)
    text = quiet.run("headrace", "wait", job, code=4)
    assert "FAILED" in text
    assert "NoSuchBucket" in text
    assert quiet.headrace("watch", job, code=4)["exit_code"] == 4
    assert "headrace retry" in quiet.run("headrace", "status", job)


def test_the_worst_job_decides(hub: Hub, quiet: Site, tmp_path: Path) -> None:
    files, bucket, target = Folder(tmp_path / "files"), hub.prefix("weed"), Folder(tmp_path / "target")
    files.fill({"a": b"a"})
    (target.path / "a").mkdir(parents=True)
    bucket.fill({"a": b"a"})
    done = quiet.enqueue(files.url, hub.prefix("weed").url)
    incomplete = quiet.enqueue(bucket.url, target.url)
    quiet.run("headraced", "drain", code=1)
    quiet.run("headrace", "wait", done, code=0)
    quiet.run("headrace", "wait", done, incomplete, code=1)
    cancelled = quiet.enqueue(files.url, hub.prefix("weed").url)
    quiet.run("headrace", "cancel", cancelled)
    quiet.run("headrace", "wait", done, incomplete, cancelled, code=3)
    failed = quiet.enqueue("weed://no-such-bucket/", tmp_path / "nothing")
    quiet.run("headraced", "drain", code=4)
    quiet.run("headrace", "wait", done, incomplete, cancelled, failed, code=4)


def test_one_job_is_drained_alone(hub: Hub, quiet: Site, tmp_path: Path) -> None:
    files = Folder(tmp_path / "files")
    files.fill({"a": b"a"})
    buckets = [hub.prefix("weed") for _ in range(2)]
    first, second = (quiet.enqueue(files.url, bucket.url) for bucket in buckets)
    quiet.run("headraced", "drain", "--job", second)
    assert [quiet.status(job)["state"] for job in (first, second)] == ["queued", "done"]
    assert [bucket.read() for bucket in buckets] == [{}, files.read()]


# -- what is missing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["upload", "download", "relay", "copy"])
def test_a_missing_bucket_fails_the_job(direction: str, hub: Hub, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({"a": b"a"})
    bucket.fill({"a": b"a"})
    source, destination = {
        "upload": (files.url, "clone://no-such-bucket/p/"),
        "download": ("weed://no-such-bucket/p/", str(tmp_path / "target")),
        "relay": (bucket.url, "clone://no-such-bucket/"),
        "copy": (str(files.path / "a"), "clone://no-such-bucket/a"),
    }[direction]
    command = "copy" if direction == "copy" else "sync"
    job = hub.site.headrace(command, source, destination, "--wait", code=4)["job"]
    assert (job["state"], job["exit_code"]) == ("failed", 4)
    assert "NoSuchBucket" in job["error"]
    assert "no-such-bucket" in job["error"]


def test_a_missing_object_fails_the_copy(hub: Hub, tmp_path: Path) -> None:
    bucket = hub.prefix("weed")
    job = hub.copy(f"{bucket.url}/none", str(tmp_path / "file"), code=4)
    assert f"{bucket.url}/none: there is no such object" in job["error"]
    assert not (tmp_path / "file").exists()


def test_a_missing_prefix_is_an_empty_source(hub: Hub, tmp_path: Path) -> None:
    job = hub.site.headrace("sync", hub.prefix("weed").url, tmp_path / "target", "--wait")["job"]
    assert (job["state"], job["counters"]["listed"]) == ("done", 0)


def test_a_source_that_goes_away_before_the_start_fails_the_job(hub: Hub, quiet: Site, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({})
    bucket.fill({"a": b"a"})
    job = quiet.enqueue(files.url, bucket.url, "--delete")
    files.path.rmdir()
    quiet.run("headraced", "drain", code=4)
    assert files.url in quiet.status(job)["error"]
    assert bucket.read() == {"a": b"a"}


# -- what is not allowed -------------------------------------------------------------------------------------------


@contextmanager
def wrong_keys(directory: Path, server: SeaweedFS, keys: Keys) -> Iterator[Site]:
    table: RemoteTable = replace(remote_of(server), keys=keys)
    with site_of(directory, {"weed": table}) as site:
        yield site


def test_a_wrong_secret_fails_the_job(hub: Hub, tmp_path: Path, seaweed: SeaweedFS) -> None:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({"a": b"a"})
    secret = "not+the/secret+at+all"
    with wrong_keys(tmp_path, seaweed, Keys(seaweed.keys.access_key, secret)) as site:
        job = site.enqueue(files.url, bucket.url)
        said = call(site, "headraced", "drain", code=4)
        error = site.status(job)["error"]
        assert "SignatureDoesNotMatch" in error
        assert secret not in said.out + said.errors + error
        assert secret.encode() not in b"".join(path.read_bytes() for path in site.state.rglob("*") if path.is_file())
    assert bucket.read() == {}


def test_an_unknown_key_fails_the_job_and_a_retry_reads_the_new_one(
    hub: Hub, tmp_path: Path, seaweed: SeaweedFS
) -> None:
    """The daemon goes on running: whoever corrected the file says so by the retry."""
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({"a": b"a"})
    with wrong_keys(tmp_path, seaweed, Keys("NOSUCHKEY00001", "secret")) as site:
        job_id = site.enqueue(files.url, bucket.url)
        site.serve()
        assert "InvalidAccessKeyId" in site.run("headrace", "wait", job_id, code=4)
        right = f"[default]\naws_access_key_id = {seaweed.keys.access_key}\n"
        (site.directory / "weed.ini").write_text(f"{right}aws_secret_access_key = {seaweed.keys.secret_key}\n")
        site.run("headrace", "retry", job_id)
        site.finish(job_id)
    assert bucket.read() == {"a": b"a"}


def test_a_remote_without_credentials_fails_its_jobs(hub: Hub, quiet: Site, tmp_path: Path) -> None:
    (quiet.directory / "weed.ini").unlink()
    job = quiet.enqueue(hub.prefix("weed").url, tmp_path / "target")
    quiet.run("headraced", "drain", code=4)
    assert "weed.ini" in quiet.status(job)["error"]


def test_others_may_not_read_the_credentials(hub: Hub, quiet: Site, tmp_path: Path) -> None:
    (quiet.directory / "weed.ini").chmod(0o644)
    job = quiet.enqueue(hub.prefix("weed").url, tmp_path / "target")
    quiet.run("headraced", "drain", code=4)
    assert "chmod 600" in quiet.status(job)["error"]


def test_an_unreadable_file_and_folder_are_failures_of_their_own(hub: Hub, quiet: Site, tmp_path: Path) -> None:
    files, bucket = Folder(tmp_path / "files"), hub.prefix("weed")
    files.fill({"good": b"good", "secret": b"secret", "closed/inner": b"inner"})
    bucket.fill({"closed/old": b"old", "gone": b"gone"})
    job = quiet.enqueue(files.url, bucket.url, "--delete")
    (files.path / "secret").chmod(0)
    (files.path / "closed").chmod(0)
    try:
        drain_without_privilege(quiet, code=1)
    finally:
        (files.path / "closed").chmod(0o755)
    lines = {line.key.removesuffix("/"): line for line in quiet.report_lines(job)}
    assert {key: line.error for key, line in lines.items() if line.outcome == "failed"} == {
        "secret": "access_denied",
        "closed": "access_denied",
    }
    counters = quiet.status(job)["counters"]
    assert (counters["done"], counters["failed"], counters["deleted"]) == (1, 2, 0)
    # what cannot be seen may be what is missing
    assert bucket.read() == {"good": b"good", "closed/old": b"old", "gone": b"gone"}


def test_a_destination_that_may_not_be_written_fails_the_job(hub: Hub, quiet: Site, tmp_path: Path) -> None:
    bucket, target = hub.prefix("weed"), tmp_path / "closed" / "target"
    bucket.fill({"a": b"a"})
    target.parent.mkdir(mode=0o555)
    job = quiet.enqueue(bucket.url, target)
    drain_without_privilege(quiet, code=4)
    assert str(target) in quiet.status(job)["error"]

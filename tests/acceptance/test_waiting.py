"""What people read while a remote is down or lets nobody in, and how waiting ends."""

import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest

from headrace_daemon.demo.process import PortClaim
from headrace_daemon.demo.servers import Keys, SeaweedFS, program
from headrace_queue.advice import split_advice
from headrace_queue.states import JobState
from tests.support.buckets import fresh_bucket
from tests.support.commands import Folder, Hub, call, complaint, json_lines, remote_of
from tests.support.faults import Direction, Fault, Kind
from tests.support.proxy_thread import ProxyThread
from tests.support.site import COMMAND_SECONDS, DEADLINE, Daemon, RemoteTable, Site, site_of, until

pytestmark = pytest.mark.server

MIB = 2**20
ALWAYS = 10_000


def refusal(status: int, code: str) -> bytes:
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>Planned, {status}.</Message></Error>'.encode()


@pytest.fixture
def dead() -> Iterator[RemoteTable]:
    """A remote at whose address nobody listens."""
    claim = PortClaim(1)
    yield RemoteTable([f"http://127.0.0.1:{claim.ports[0]}"], Keys("KEY00000000001", "secret"), "us-east-1")
    claim.release()


@pytest.fixture
def files(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "files")
    folder.fill({"a": b"a", "b": b"b"})
    return folder


@contextmanager
def running(site: Site, *words: object) -> Iterator[subprocess.Popen[str]]:
    """A command in the background, which ends with the block whatever happens."""
    with site.popen(str(words[0]), *words[1:]) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(stream: IO[str] | None) -> str:
    """What a command says first, on a pipe that was not read before; fails where it says nothing."""
    assert stream is not None
    ready, _, _ = select.select([stream], [], [], DEADLINE)
    assert ready, "it said nothing"
    return stream.readline()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, errors = process.communicate(timeout=COMMAND_SECONDS)
    assert "Traceback" not in errors
    return process.returncode, out, errors


def test_explain_names_a_service_that_says_nothing(files: Folder, tmp_path: Path, seaweed: SeaweedFS) -> None:
    """Its connections stand, and its requests wait for their time to be over."""
    bucket = fresh_bucket(seaweed)
    with (
        ProxyThread(seaweed.endpoint_urls[0]) as door,
        site_of(tmp_path, {"lake": RemoteTable.of(seaweed, [door.url])}) as site,
    ):
        door.add(Fault(Kind.SWALLOW, match="PUT /", times=ALWAYS))
        daemon = site.serve()
        job_id = site.enqueue(files.path, f"lake://{bucket}/")
        told = until(lambda: next((one for one in findings(site, daemon, job_id) if "silent" in one["what"]), None))
        assert told["what"].startswith("lake is silent: nothing has come from it for 1")
        assert told["evidence"] == f"2 requests under way at {door.url}"
        site.run("headrace", "cancel", job_id)


def findings(site: Site, daemon: Daemon, job_id: int) -> list[dict[str, str]]:
    """Of `headrace explain`, which asks this daemon of its endpoints."""
    with site.popen("headrace", "explain", job_id, "--json", HEADRACE_DAEMON__LISTEN=daemon.url) as process:
        code, out, errors = ended(process)
    assert code == 0, errors
    found: list[dict[str, str]] = json.loads(out)["findings"]
    return found


# -- a remote that is down -------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_it_waits_for_and_leaves_nothing_behind(
    dead: RemoteTable, files: Folder, tmp_path: Path
) -> None:
    """No daemon runs: the command's own child works on the job, and ends with it."""
    with site_of(tmp_path, {"lake": dead}) as site:
        with running(site, "headrace", "sync", files.url, "lake://b/p", "--dry-run") as dry:
            first = first_line(dry.stderr)
            assert "job 1 waits: no endpoint answers" in first
            assert dead.urls[0] in first
            dry.send_signal(signal.SIGINT)
            code, out, errors = ended(dry)
        assert code == 130
        assert out == ""
        assert "job 1, the dry run, is cancelled" in errors
        assert first not in errors.splitlines(keepends=True), "once for each reason"
        assert site.job(1).state is JobState.CANCELLED
        with site.store() as store:
            assert store.workers() == [], "the child has ended, in order"


def test_a_dry_run_of_a_daemon_is_cancelled_with_its_command(dead: RemoteTable, files: Folder, tmp_path: Path) -> None:
    with site_of(tmp_path, {"lake": dead}) as site:
        site.serve()
        with running(site, "headrace", "sync", files.url, "lake://b/p", "--dry-run", "--json") as dry:
            assert "job 1 waits: " in first_line(dry.stderr)
            dry.send_signal(signal.SIGTERM)
            assert ended(dry)[0] == 130
        site.until_job(1, lambda job: job.state is JobState.CANCELLED)


def test_who_waits_is_told_why_and_a_drain_gives_up_on_demand(
    dead: RemoteTable, files: Folder, hub: Hub, tmp_path: Path
) -> None:
    """It gives up only what waits: the other job is done, and what was left stays for the next drain."""
    bucket = hub.bucket("weed")
    with site_of(tmp_path, {"lake": dead, "weed": remote_of(hub.servers["weed"])}) as site:
        good = site.enqueue(files.url, bucket.url)
        with (
            running(site, "headrace", "sync", files.url, "lake://b/p", "--wait") as waiting,
            running(site, "headrace", "sync", files.url, "lake://b/q", "--wait", "--json") as quiet,
        ):
            until(lambda: len(jobs_of(site)) == 3)
            drained = call(site, "headraced", "drain", "--give-up-after", "4", code=3)
            for process in (waiting, quiet):
                process.send_signal(signal.SIGINT)
            texts = [ended(process) for process in (waiting, quiet)]
        for code, _, errors in texts:
            assert code == 130
            assert_said_once(errors, "waits: no endpoint answers")
        for job in (2, 3):
            assert_said_once(drained.errors, f"job {job} waits: no endpoint answers")
            assert f"job {job} is left in the queue; it waits: no endpoint answers" in drained.errors
            assert site.job(job).state in (JobState.QUEUED, JobState.RUNNING)
        assert f"job {good} " not in drained.errors
        assert site.job(good).state is JobState.DONE
        with site.store() as store:
            assert store.workers() == []
    assert bucket.read() == files.read()


def assert_said_once(text: str, words: str) -> None:
    lines = [line for line in text.splitlines() if words in line]
    assert lines
    assert len(set(lines)) == len(lines), "once for each reason"


def jobs_of(site: Site) -> list[int]:
    with site.store() as store:
        return [job.id for job in store.jobs()]


def test_give_up_after_takes_a_time(files: Folder, dead: RemoteTable, tmp_path: Path) -> None:
    with site_of(tmp_path, {"lake": dead}) as site:
        what, why, _ = complaint(site, "headraced", "drain", "--give-up-after", "soon")
        assert what == "--give-up-after soon"
        assert "no duration" in why


def test_a_remote_that_hangs_keeps_no_other_job_from_starting(files: Folder, hub: Hub, tmp_path: Path) -> None:
    """Its credentials are a pipe into which nobody writes."""
    buckets = [hub.bucket("weed") for _ in range(2)]
    servers = {"stuck": remote_of(hub.servers["weed"]), "weed": remote_of(hub.servers["weed"])}
    with site_of(tmp_path, servers) as site:
        keys = site.directory / "stuck.ini"
        content = keys.read_bytes()
        keys.unlink()
        os.mkfifo(keys, mode=0o600)
        site.serve()
        hangs = site.enqueue(files.url, f"stuck://{buckets[0].name}/", "--priority", "5")
        site.until_job(hangs, lambda job: job.started is not None)
        try:
            site.finish(site.enqueue(files.url, buckets[1].url))
            assert site.job(hangs).state is JobState.RUNNING
        finally:
            write_to_reader(keys, content)
        site.finish(hangs)
    assert [bucket.read() for bucket in buckets] == [files.read()] * 2


def write_to_reader(pipe: Path, content: bytes) -> None:
    """Ends the read that hangs, so that the daemon's thread can end with it."""

    def opened() -> int | None:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return None  # nobody reads yet

    fd = until(opened)
    os.write(fd, content)
    os.close(fd)


# -- credentials that are not accepted -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "code", "advice"),
    [
        (Keys("NOSUCHKEY00001", "secret"), "InvalidAccessKeyId", "Correct the credentials"),
        (None, "SignatureDoesNotMatch", "Correct the secret key"),
    ],
)
def test_wrong_credentials_fail_the_job_at_once_and_make_nothing(
    keys: Keys | None, code: str, advice: str, seaweed: SeaweedFS, tmp_path: Path
) -> None:
    bucket, target = fresh_bucket(seaweed), tmp_path / "target" / "below"
    table = replace(remote_of(seaweed), keys=keys or Keys(seaweed.keys.access_key, "not+the/secret"))
    with site_of(tmp_path, {"weed": table}) as site:
        job = site.enqueue(f"weed://{bucket}/", target)
        said = call(site, "headraced", "drain", code=4).errors.splitlines()
        why, remedy = split_advice(site.status(job)["error"])
        assert code in why
        assert f"weed://{bucket}" in why
        assert advice in remedy
        assert said[0].startswith(f"headraced: job {job} failed: {code}: weed://{bucket}: ")
        assert said[1] == f"headraced:   do:  {remedy}"
        shown = site.run("headrace", "wait", job, code=4).splitlines()
        assert f"job {job} FAILED: " in shown[0]
        assert code in shown[1]
        assert shown[2] == f"  do:  {remedy}"
        assert f"do          {remedy}" in site.run("headrace", "status", job)
    assert not target.parent.exists(), "nothing was to be written yet"


@contextmanager
def answering(
    seaweed: SeaweedFS, directory: Path, status: int, code: str, *lines: str
) -> Iterator[tuple[Site, ProxyThread]]:
    """A site whose remote `weed` refuses every listing in this way."""
    with (
        ProxyThread(seaweed.endpoint_urls[0]) as door,
        site_of(directory, {"weed": remote_of(seaweed, [door.url], *lines)}) as site,
    ):
        door.add(Fault(Kind.ANSWER, match="GET /", times=ALWAYS, status=status, body=refusal(status, code)))
        yield site, door


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (403, "AccessDenied", "s3:ListBucket"),
        (301, "PermanentRedirect", "`region`"),
        (403, "RequestTimeTooSkewed", "clock"),
    ],
)
def test_what_refuses_the_whole_bucket_fails_the_job_and_says_what_to_do(
    status: int, code: str, advice: str, seaweed: SeaweedFS, files: Folder, tmp_path: Path
) -> None:
    bucket = fresh_bucket(seaweed)
    with answering(seaweed, tmp_path, status, code) as (site, _):
        shown = call(site, "headrace", "sync", files.url, f"weed://{bucket}/", "--dry-run", code=4).out.splitlines()
    assert "FAILED: " in shown[0]
    assert shown[1].startswith(f"  why: {code}: weed://{bucket}: Planned, {status}")
    assert shown[2].startswith("  do:  ")
    assert advice in shown[2]


def test_credentials_that_ended_are_waited_for_where_a_file_may_bring_new_ones(
    seaweed: SeaweedFS, files: Folder, tmp_path: Path
) -> None:
    bucket = fresh_bucket(seaweed)
    with answering(seaweed, tmp_path, 400, "ExpiredToken") as (site, door):
        job = site.enqueue(files.url, f"weed://{bucket}/")
        with running(site, "headraced", "drain") as draining:
            assert "waits: credentials are not accepted (ExpiredToken: " in first_line(draining.stderr)
            door.proxy.clear()
            code, _, _ = ended(draining)
        assert code == 0
        assert site.status(job)["counters"]["done"] == 2


# -- a request that a service cannot bear ----------------------------------------------------------------------------


def test_an_option_that_a_service_answers_with_500_fails_the_objects_and_nobody_else(
    files: Folder, hub: Hub, tmp_path: Path
) -> None:
    """SeaweedFS without a key manager answers every PUT with server-side encryption so."""
    bucket, other = hub.bucket("weed"), hub.prefix("weed")
    many = Folder(tmp_path / "many")
    many.fill({f"{number:03}": b"x" for number in range(60)})
    since = len(hub.site.events("endpoint_set_aside"))
    job = hub.site.headrace("sync", many.url, bucket.url, "--sse", "AES256")["job"]["id"]
    good = hub.sync(files, other)
    assert good["counters"]["failed"] == 0
    hub.site.run("headrace", "wait", job, code=1)
    lines = hub.site.report_lines(job)
    assert len(lines) == 60
    for line in lines:
        assert (line.outcome, line.error, line.attempts > 1) == ("failed", "InternalError", True)
        assert "--sse (x-amz-server-side-encryption: AES256)" in line.message
        assert "InternalError" not in line.message
    assert [one for one in hub.site.events("endpoint_set_aside")[since:] if one["endpoint"] in bucket.door] == []
    assert other.read() == files.read()
    (text, *_) = hub.site.run("headrace", "report", job, "--failed").splitlines()
    assert "attempts)" in text


# -- a destination that answers 404 ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("direction", "gone"), [("upload", True), ("relay", False), ("large", True)])
def test_a_404_of_the_destination_says_what_it_is(
    direction: str, gone: bool, seaweed: SeaweedFS, hub: Hub, tmp_path: Path
) -> None:
    bucket, source, files = fresh_bucket(seaweed), hub.prefix("weed"), Folder(tmp_path / "files")
    content = {"a": os.urandom(6 * MIB) if direction == "large" else b"a"}
    (source if direction == "relay" else files).fill(content)
    with ProxyThread(seaweed.endpoint_urls[0]) as door:
        lines = ['part_size = "5MiB"', 'multipart_threshold = "5MiB"']
        remotes = {"door": remote_of(seaweed, [door.url]), "weed": remote_of(seaweed)}
        with site_of(tmp_path, remotes, lines) as site:
            verb = "POST" if direction == "large" else "PUT"
            missing = Fault(Kind.ANSWER, times=ALWAYS, status=404, body=refusal(404, "NoSuchKey"))
            door.add(replace(missing, match=f"{verb} /{bucket}/a"))
            if gone:
                door.add(replace(missing, match=f"HEAD /{bucket}"))
            job = site.enqueue(source.url if direction == "relay" else files.url, f"door://{bucket}/")
            site.run("headraced", "drain", code=4 if gone else 1)
            status = site.status(job)
            tried = [request for request in door.proxy.requests if request.startswith(f"{verb} /{bucket}/a")]
            assert len(tried) == 1, "asking again helps nothing"
            if gone:
                why, remedy = split_advice(status["error"])
                assert why == f"NoSuchBucket: door://{bucket}: there is no such bucket (any more)"
                assert "Create the bucket" in remedy
            else:
                (failure,) = status["failures"]
                assert failure["error"] == "NoSuchKey"
                assert failure["message"] == "the destination answered: Planned, 404."


# -- what was repeated -----------------------------------------------------------------------------------------------


def test_the_report_tells_what_was_repeated_and_why(seaweed: SeaweedFS, tmp_path: Path) -> None:
    bucket, files = fresh_bucket(seaweed), Folder(tmp_path / "files")
    files.fill({"large": os.urandom(11 * MIB), "small": b"small", "smooth": b"smooth"})
    with ProxyThread(seaweed.endpoint_urls[0]) as door:
        lines = ['part_size = "5MiB"', 'multipart_threshold = "5MiB"']
        with site_of(tmp_path, {"door": remote_of(seaweed, [door.url])}, lines) as site:
            door.add(Fault(Kind.FLIP, match=f"PUT /{bucket}/large?partNumber=2", after=3000, direction=Direction.UP))
            door.add(Fault(Kind.ANSWER, match=f"PUT /{bucket}/small", times=2))
            job = site.enqueue(files.url, f"door://{bucket}/")
            site.run("headraced", "drain")
            entries = {entry["key"]: entry for entry in json_lines(site.run("headrace", "report", job, "--json"))}
            assert {key: entry["attempts"] for key, entry in entries.items()} == {"large": 2, "small": 3, "smooth": 1}
            assert entries["small"]["last_error"] == "SlowDown"
            assert entries["large"]["last_error"] != ""
            assert entries["smooth"]["last_error"] == ""
            text = {line.split()[3]: line for line in site.run("headrace", "report", job).splitlines()}
            assert text["small"].endswith("(crc64nvme; 3 attempts, the last repeated for SlowDown)")
            assert f"2 attempts, the last repeated for {entries['large']['last_error']}" in text["large"]
            assert "attempt" not in text["smooth"]


# -- silence ---------------------------------------------------------------------------------------------------------


def test_how_long_a_silence_may_last_is_a_setting(seaweed: SeaweedFS, files: Folder, tmp_path: Path) -> None:
    """Of one remote here. What holds for all of them, 30 min, would not end within the deadline."""
    bucket = fresh_bucket(seaweed)
    with ProxyThread(seaweed.endpoint_urls[0]) as door:
        remote = remote_of(seaweed, [door.url], 'read_timeout = "2s"')
        with site_of(tmp_path, {"door": remote}, ['read_timeout = "30m"']) as site:
            door.add(Fault(Kind.STALL, match=f"PUT /{bucket}/a", direction=Direction.UP))
            job = site.enqueue(files.url, f"door://{bucket}/")
            site.run("headraced", "drain")
            assert site.report(job)["a"].last_error == "timeout"


# -- the first moment ------------------------------------------------------------------------------------------------


def test_leaving_while_the_command_is_still_loading_is_quiet(tmp_path: Path) -> None:
    """A library that takes its time, in place of the first one that the command loads."""
    (tmp_path / "typer.py").write_text(
        "import sys, time\nsys.stdout.write('loading\\n')\nsys.stdout.flush()\ntime.sleep(60)\n"
    )
    with subprocess.Popen(
        [program("headrace"), "jobs"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert first_line(process.stdout) == "loading\n"
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=COMMAND_SECONDS)
        finally:
            process.kill()
    assert (process.returncode, errors) == (130, "")

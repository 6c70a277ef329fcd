"""Notices as people have them: from the command to a receiver, through drains, crashes and receivers that are away."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace_daemon.demo.servers import RcloneS3
from headrace_queue.notices import Notice, NoticeState
from tests.support.buckets import fresh_bucket
from tests.support.receiver import Receiver
from tests.support.site import RemoteTable, Site, until

pytestmark = pytest.mark.server

SECRET = "a secret of the hook"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(SECRET.encode()).running() as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, rclone_s3: RcloneS3, receiver: Receiver) -> Iterator[Site]:
    """Two receivers: `ops` for those that name it, and `all` for every job that failed."""
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET)
    hook = [f'webhook = "{receiver.url}"', f'secret = {{ file = "{secret}" }}']
    more = ["[notices.ops]", *hook, "[notices.all]", *hook, 'jobs = "all"', 'on = ["failed", "incomplete"]']
    host = Site(tmp_path / "site", {"s3x": RemoteTable.of(rclone_s3)}, more=more)
    try:
        yield host
    finally:
        host.close()


def outbox(site: Site) -> list[Notice]:
    with site.store() as store:
        return store.notices()


def test_from_the_command_to_the_receiver(tmp_path: Path, rclone_s3: RcloneS3, receiver: Receiver, site: Site) -> None:
    bucket, files = fresh_bucket(rclone_s3), tmp_path / "files"
    files.mkdir()
    (files / "a").write_bytes(b"x" * 2048)
    # a drain tells what its jobs caused before it ends
    done = site.enqueue(files, f"s3x://{bucket}/a", "--notify", "ops")
    failed = site.enqueue(files, "s3x://no-such-bucket/a")
    site.run("headraced", "drain", code=4)
    assert sorted((request.json["event"], request.json["job"]["id"]) for request in receiver.requests) == [
        ("done", done),
        ("failed", failed),
    ]
    assert all(request.signed for request in receiver.requests)

    # a receiver that is away: the job is none the worse, the notice waits; kill -9, and the next daemon brings it
    receiver.answers = [503]
    daemon = site.serve()
    late = site.enqueue(files, f"s3x://{bucket}/c", "--notify", "ops")
    site.finish(late)
    first = receiver.wait_for(3)[2]
    until(lambda: [one for one in outbox(site) if one.job_id == late and one.looks])
    daemon.signal(signal.SIGKILL)
    assert daemon.exit_code() == -signal.SIGKILL
    site.serve()
    again = receiver.wait_for(4)[3]
    assert again.headers["webhook-id"] == first.headers["webhook-id"]  # so that a receiver can drop repeats
    assert (again.body, again.signed) == (first.body, True)
    until(lambda: all(one.state is NoticeState.SENT for one in outbox(site)))
    rows = json.loads(site.run("headraced", "notices", "list", "--json"))["notices"]
    assert [(row["job"], row["event"], row["name"], row["state"], row["tries"]) for row in rows] == [
        (late, "done", "ops", "sent", 2),
        (failed, "failed", "all", "sent", 1),
        (done, "done", "ops", "sent", 1),
    ]

    assert site.run("headraced", "notices", "test", "ops") == "notices.ops took it\n"
    assert receiver.wait_for(5)[4].json["event"] == "test"
    assert SECRET not in "".join(log.read_text() for log in site.directory.glob("*.log"))

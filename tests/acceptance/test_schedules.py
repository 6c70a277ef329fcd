"""What is enqueued by itself: at an instant, after another job, by what a bucket says; with the real daemon."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from headrace_daemon.demo.servers import S3Server
from headrace_queue.jobs import Job
from headrace_queue.states import JobState
from headrace_queue.store import open_store
from tests.support.commands import remote_of
from tests.support.site import Site, site_of, until

pytestmark = pytest.mark.server

DAY = 86_400.0


@pytest.fixture
def bucket(request: pytest.FixtureRequest) -> str:
    name: str = request.node.name.replace("_", "-")[5:60]
    return name


@pytest.fixture
def site(moto_s3: S3Server, tmp_path: Path, bucket: str) -> Iterator[Site]:
    """A data set, and a schedule of config.toml that comes after it; no daemon yet."""
    with site_of(tmp_path, {"moto": remote_of(moto_s3)}) as site:
        site.more = [
            "[datasets.docs]",
            f'source = "moto://{bucket}/docs/"',
            f'destination = "{tmp_path}/docs"',
            "[schedules.then]",
            'after = "docs"',
            f'command = "sync {tmp_path}/docs moto://{bucket}/copy/"',
        ]
        site.write_config()
        yield site


def client_of(server: S3Server, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=server.endpoint_urls[0],
        region_name=server.region,
        aws_access_key_id=server.keys.access_key,
        aws_secret_access_key=server.keys.secret_key,
    )


def fill(server: S3Server, bucket: str, tree: Mapping[str, bytes]) -> None:
    server.make_bucket(bucket)
    with closing(client_of(server, "s3")) as s3:
        for key, content in tree.items():
            s3.put_object(Bucket=bucket, Key=key, Body=content)


def done(site: Site, name: str) -> list[Job]:
    """The jobs of a schedule, newest first, once all are done."""
    with site.store() as store:
        found = [job for job in store.jobs() if ("schedule", name) in job.spec.labels]
    return found if all(job.state is JobState.DONE for job in found) else []


def test_a_night_that_was_missed_and_what_comes_after_it(
    site: Site, moto_s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    fill(moto_s3, bucket, {"docs/a.txt": b"a", "docs/b.txt": b"b"})
    command = ("run", "docs", "--exclude", "b*")
    site.run("headrace", "schedule", "add", "nightly", "--every", "1d", "--jitter", "1h", "--", *command)
    with closing(open_store(f"sqlite://{site.state / 'queue.db'}")) as store:
        made = store.schedule("nightly")
        planned, due = made.standing.planned, made.standing.due
        assert planned is not None
        assert due is not None
        assert DAY - 1 <= planned - made.created <= DAY + 1
        assert planned <= due <= planned + 3600
        # as if the daemon had been down for three days and more
        late = replace(made.standing, planned=planned - 4 * DAY, due=due - 4 * DAY)
        store.change_schedule("nightly", late)
    daemon = site.serve()
    until(lambda: done(site, "then"), what=site.logs)
    daemon.kill()
    daemon = site.serve()
    site.run("headrace", "schedule", "run", "nightly")
    until(lambda: len(done(site, "then")) == 2, what=site.logs)
    by_hand, missed = done(site, "nightly")
    assert by_hand.spec.submission_id is None, "and one for all that was missed, although it was killed"
    assert (missed.spec.submission_id or "").startswith("schedule:nightly:")
    assert missed.spec.labels == (("dataset", "docs"), ("schedule", "nightly"))
    assert [path.name for path in (tmp_path / "docs").iterdir()] == ["a.txt"]
    metrics = daemon.get("/metrics")
    assert metrics is not None
    assert 'headrace_schedule_success_timestamp_seconds{schedule="nightly"}' in metrics
    site.run("headrace", "schedule", "remove", "then", code=2)
    shown = site.headrace("schedule", "list")["schedules"]
    assert [(row["name"], row["origin"], row["job"]["state"]) for row in shown] == [
        ("nightly", "command", "done"),
        ("then", "config", "done"),
    ]
    assert (shown[0]["command"], shown[0]["due"] > made.created) == (list(command), True)


def event(bucket: str, *keys: str) -> str:
    """As S3 sends it: keys in percent encoding."""
    records = [
        {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": bucket}, "object": {"key": key}}} for key in keys
    ]
    return json.dumps({"Records": records})


@contextmanager
def queue_of(server: S3Server, *messages: str) -> Iterator[tuple[Any, str]]:
    with closing(client_of(server, "sqs")) as sqs:
        url = sqs.create_queue(QueueName="events")["QueueUrl"]
        for message in messages:
            sqs.send_message(QueueUrl=url, MessageBody=message)
        yield sqs, url


def left(sqs: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


def test_objects_that_a_bucket_tells_of_are_fetched(site: Site, moto_s3: S3Server, bucket: str, tmp_path: Path) -> None:
    fill(moto_s3, bucket, {"new/a b+c.txt": b"1", "new/d/e.txt": b"2", "new/untold.txt": b"3", "else/f.txt": b"4"})
    messages = (
        json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"}),
        event(bucket, "new/a+b%2Bc.txt", "else/f.txt"),
        json.dumps({"Type": "Notification", "Message": event(bucket, "new/d/e.txt")}),
        event(bucket, "else/f.txt"),
        "no event at all",
    )
    with queue_of(moto_s3, *messages) as (sqs, url):
        words = ("sync", f"moto://{bucket}/new/", tmp_path / "new", "--delete")
        site.run("headrace", "schedule", "add", "incoming", "--messages", url, "--remote", "moto", "--", *words)
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "mine.txt").write_text("mine")
        site.serve()
        until(lambda: left(sqs, url) == 0, what=site.logs)
        (job,) = until(lambda: done(site, "incoming"), what=site.logs)  # one: they were gathered
    found = {str(path.relative_to(tmp_path / "new")) for path in (tmp_path / "new").rglob("*.txt")}
    assert found == {"a b+c.txt", "d/e.txt", "mine.txt"}, "what was told of, and nothing is deleted by a list"
    assert job.counters.done == 2
    assert "is no event of S3" in site.events("schedule_dropped")[0]["detail"]


def test_a_job_after_another(site: Site, moto_s3: S3Server, bucket: str, tmp_path: Path) -> None:
    fill(moto_s3, bucket, {"docs/a.txt": b"a"})
    site.run("headrace", "sync", f"moto://{bucket}/docs/", tmp_path / "docs")
    site.run("headrace", "pause", 1)
    (tmp_path / "docs").mkdir()
    site.run("headrace", "sync", tmp_path / "docs", f"moto://{bucket}/copy/", "--after", 1)
    assert site.job(2).waiting == "for job 1"
    site.run("headraced", "drain", code=3)  # it does not hang
    assert [site.job(number).state for number in (1, 2)] == ["paused", "queued"]
    site.run("headrace", "resume", 1)
    site.run("headraced", "drain")
    assert [site.job(number).state for number in (1, 2)] == ["done", "done"]
    with closing(client_of(moto_s3, "s3")) as s3:
        assert s3.get_object(Bucket=bucket, Key="copy/a.txt")["Body"].read() == b"a", "it looked when its turn came"

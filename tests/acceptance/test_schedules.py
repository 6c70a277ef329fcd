"""What is enqueued by itself: at an instant, after another job, by what a bucket says; with the real daemon."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from headrace_daemon.demo.servers import S3Server
from headrace_queue.jobs import Job, JobSpec, Kind
from headrace_queue.schedules import Schedule
from headrace_queue.states import JobState
from headrace_queue.store import open_store
from tests.support.commands import remote_of
from tests.support.site import Daemon, Site, site_of, until

pytestmark = pytest.mark.server

DAY = 86_400.0


@dataclass(frozen=True)
class Day:
    """A daemon with a schedule of each kind. made: `nightly`, before it was as if the daemon had been down."""

    site: Site
    daemon: Daemon
    home: Path
    sqs: Any
    url: str
    made: Schedule


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


NIGHTLY = ("run", "docs", "--exclude", "b*")
DOCS = {"docs/a.txt": b"a", "docs/b.txt": b"b"}
NEW = {"new/a b+c.txt": b"1", "new/d/e.txt": b"2", "new/untold.txt": b"3", "else/f.txt": b"4"}


@pytest.fixture(scope="module")
def day(moto_s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    """A data set, and a schedule of config.toml that comes after it; one by the clock, which the daemon finds overdue;
    one by what the bucket says."""
    home, bucket = tmp_path_factory.mktemp("day"), "schedules"
    fill(moto_s3, bucket, DOCS | NEW)
    messages = (
        json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"}),
        event(bucket, "new/a+b%2Bc.txt", "else/f.txt"),
        json.dumps({"Type": "Notification", "Message": event(bucket, "new/d/e.txt")}),
        event(bucket, "else/f.txt"),
        "no event at all",
    )
    (home / "new").mkdir()
    (home / "new" / "mine.txt").write_text("mine")
    with site_of(home, {"moto": remote_of(moto_s3)}) as site, queue_of(moto_s3, *messages) as (sqs, url):
        site.more = [
            "[datasets.docs]",
            f'source = "moto://{bucket}/docs/"',
            f'destination = "{home}/docs"',
            "[schedules.then]",
            'after = "docs"',
            f'command = "sync {home}/docs moto://{bucket}/copy/"',
        ]
        site.write_config()
        words = ("sync", f"moto://{bucket}/new/", home / "new", "--delete")
        site.run("headrace", "schedule", "add", "incoming", "--messages", url, "--remote", "moto", "--", *words)
        site.run("headrace", "schedule", "add", "nightly", "--every", "1d", "--jitter", "1h", "--", *NIGHTLY)
        made = missed(site)
        yield Day(site, site.serve(), home, sqs, url, made)


def missed(site: Site) -> Schedule:
    """As if the daemon had been down for three days and more; the schedule as it was made."""
    with closing(open_store(f"sqlite://{site.state / 'queue.db'}")) as store:
        made = store.schedule("nightly")
        planned, due = made.standing.planned, made.standing.due
        assert planned is not None
        assert due is not None
        late = replace(made.standing, planned=planned - 4 * DAY, due=due - 4 * DAY)
        store.change_schedule("nightly", late)
    return made


def test_objects_that_a_bucket_tells_of_are_fetched(day: Day) -> None:
    site = day.site
    until(lambda: left(day.sqs, day.url) == 0, what=site.logs)
    (job,) = until(lambda: done(site, "incoming"), what=site.logs)  # one: they were gathered
    found = {str(path.relative_to(day.home / "new")) for path in (day.home / "new").rglob("*.txt")}
    assert found == {"a b+c.txt", "d/e.txt", "mine.txt"}, "what was told of, and nothing is deleted by a list"
    assert job.counters.done == 2
    assert "is no event of S3" in site.events("schedule_dropped")[0]["detail"]


def test_a_night_that_was_missed_and_what_comes_after_it(day: Day) -> None:
    site, made = day.site, day.made
    planned, due = made.standing.planned, made.standing.due
    assert planned is not None
    assert due is not None
    assert DAY - 1 <= planned - made.created <= DAY + 1
    assert planned <= due <= planned + 3600
    until(lambda: done(site, "then"), what=site.logs)
    until(lambda: left(day.sqs, day.url) == 0, what=site.logs)  # else SQS would keep them for a while
    day.daemon.kill()
    daemon = site.serve()
    site.run("headrace", "schedule", "run", "nightly")
    until(lambda: len(done(site, "then")) == 2, what=site.logs)
    by_hand, caught_up = done(site, "nightly")
    assert by_hand.spec.submission_id is None, "and one for all that was missed, although it was killed"
    assert (caught_up.spec.submission_id or "").startswith("schedule:nightly:")
    assert caught_up.spec.labels == (("dataset", "docs"), ("schedule", "nightly"))
    assert [path.name for path in (day.home / "docs").iterdir()] == ["a.txt"]
    metrics = daemon.get("/metrics")
    assert metrics is not None
    assert 'headrace_schedule_success_timestamp_seconds{schedule="nightly"}' in metrics
    shown = {row["name"]: row for row in site.headrace("schedule", "list")["schedules"]}
    assert [(name, row["origin"], row["job"]["state"]) for name, row in shown.items()] == [
        ("incoming", "command", "done"),
        ("nightly", "command", "done"),
        ("then", "config", "done"),
    ]
    assert (shown["nightly"]["command"], shown["nightly"]["due"] > made.created) == (list(NIGHTLY), True)


def test_a_job_after_another(moto_s3: S3Server, tmp_path: Path) -> None:
    bucket = "after"
    fill(moto_s3, bucket, {"docs/a.txt": b"a"})
    (tmp_path / "docs").mkdir()
    with site_of(tmp_path, {"moto": remote_of(moto_s3)}) as site:
        after_another(site, bucket, tmp_path)
    with closing(client_of(moto_s3, "s3")) as s3:
        assert s3.get_object(Bucket=bucket, Key="copy/a.txt")["Body"].read() == b"a", "it looked when its turn came"


def after_another(site: Site, bucket: str, tmp_path: Path) -> None:
    with closing(open_store(f"sqlite://{site.state / 'queue.db'}")) as store:
        job, _ = store.enqueue(JobSpec(Kind.SYNC, f"moto://{bucket}/docs/", f"{tmp_path}/docs/"))
        store.pause(job.id)
    site.run("headrace", "sync", tmp_path / "docs", f"moto://{bucket}/copy/", "--after", 1)
    assert site.job(2).waiting == "for job 1"
    site.run("headraced", "drain", code=3)  # it does not hang
    assert [site.job(number).state for number in (1, 2)] == ["paused", "queued"]
    site.run("headrace", "resume", 1)
    site.run("headraced", "drain")
    assert [site.job(number).state for number in (1, 2)] == ["done", "done"]

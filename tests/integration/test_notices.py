"""Notices on a real queue, with receivers that work, fail, hang, or want nothing more."""

import asyncio
import json
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from headrace_daemon.demo.servers import S3Server
from headrace_daemon.doctor.notices import notice_checks
from headrace_daemon.facts import Facts
from headrace_daemon.notices import apprise_way, keeper, telling, webhook
from headrace_daemon.notices.build import Notices
from headrace_daemon.notices.keeper import PATIENCE, NoticeKeeper
from headrace_daemon.notices.message import Occasion, body_of
from headrace_daemon.notices.receivers import Receivers
from headrace_daemon.notices.telling import OF_OTHERS, OLD, Surroundings, Telling
from headrace_daemon.observe.log import Redaction
from headrace_queue.config import Config
from headrace_queue.jobs import JobSpec, Options
from headrace_queue.notices import Notice, NoticeState
from headrace_queue.writer import Queue
from tests.support.queue import Bench, Clock, items, open_sqlite, spec
from tests.support.receiver import HANG, Receiver

SECRET = "whsec_c2VjcmV0IG9mIHRoZSBob29r"
KEY = b"secret of the hook"


@dataclass
class Said(Facts):
    """What was told to the log."""

    events: list[tuple[int, str, str]] = field(default_factory=list)

    def job_event(self, job: int, event: str, detail: str) -> None:
        self.events.append((job, event, detail))

    def named(self, event: str) -> list[str]:
        return [detail for _, name, detail in self.events if name == event]


@dataclass
class Host:
    """A queue, its jobs, and what a daemon does about notices, one look at a time."""

    queue: Queue
    bench: Bench
    folder: Path
    said: Said = field(default_factory=Said)
    redaction: Redaction = field(default_factory=Redaction)
    steady: float = 0.0
    tokens: int = 0

    def config(self, **notices: Any) -> Config:
        return Config.model_validate({"state_dir": self.folder, "remotes": {}, "notices": notices})

    def hook(self, receiver: Receiver, **more: Any) -> dict[str, Any]:
        file = self.folder / "hook"
        file.touch(mode=0o600)
        file.write_text(SECRET)
        return {"webhook": receiver.url, "secret": {"file": file}, "jobs": "all"} | more

    def telling(self, config: Config, stalled_after: float = 900.0) -> Telling:
        def token() -> str:
            self.tokens += 1
            return f"token{self.tokens}"

        around = Surroundings("node7", self.bench.clock, lambda: self.steady, token, self.redaction.text)
        return Telling(self.queue, config.notices, stalled_after, self.said, around)

    def keeper(self, config: Config) -> NoticeKeeper:
        receivers = Receivers(config, self.said, self.redaction.hide, self.bench.clock)
        return NoticeKeeper(self.queue, receivers, self.said, self.bench.clock)

    def ended(self, failed: Sequence[int] = (), options: Options | None = None) -> int:
        job = self.bench.job(options=options)
        self.bench.plan(job, items(2))
        self.bench.finish(self.bench.claim(), failed)
        return job.id

    async def notices(self, *states: NoticeState) -> list[Notice]:
        return await self.queue.read(lambda store: store.notices(states))

    async def one(self) -> Notice:
        (found,) = await self.notices()
        return found


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    clock = Clock()
    store = open_sqlite(tmp_path, clock)
    queue = Queue(
        lambda: open_sqlite(tmp_path, clock),
        lambda: open_sqlite(tmp_path, clock, read_only=True),
        lambda *_: None,
    )
    await queue.start()
    try:
        yield Host(queue, Bench(store, clock), tmp_path)
    finally:
        await queue.close()
        store.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(KEY).running() as running:
        yield running


# -- hearing --------------------------------------------------------------------------------------------------------


async def test_each_end_is_written_once_for_each_who_wants_it(host: Host, receiver: Receiver) -> None:
    config = host.config(ops=host.hook(receiver), quiet=host.hook(receiver, jobs="named"))
    done, failed = host.ended(), host.ended([0], Options(notify=("quiet", "gone")))
    first, second = host.telling(config), host.telling(config)
    for _ in range(2):
        await first.look()
        await second.look()
    rows = {(row.job_id, row.spec.event, row.spec.name) for row in await host.notices()}
    assert rows == {(done, "done", "ops"), (failed, "incomplete", "ops"), (failed, "incomplete", "quiet")}
    assert host.said.named("notice_unknown") == ["there is no [notices.gone]"]


async def test_the_first_error_is_told_while_the_job_goes_on(host: Host, receiver: Receiver) -> None:
    telling_ = host.telling(host.config(ops=host.hook(receiver)))
    job = host.bench.job()
    host.bench.plan(job, items(2), items(2, "m"))
    host.bench.finish(host.bench.claim(), [0, 1])
    await telling_.look()
    await telling_.look()
    notice = await host.one()
    assert (notice.spec.event, json.loads(notice.spec.body)["failures"][0]["key"]) == ("first_error", "k00000")


async def test_a_job_that_was_over_long_ago_is_told_to_nobody(host: Host, receiver: Receiver) -> None:
    host.ended()
    host.bench.clock.now += OLD + 1
    await host.telling(host.config(ops=host.hook(receiver))).look()
    assert await host.notices() == []
    assert await host.queue.read(lambda store: store.untold()) == []


async def test_a_daemon_that_tells_nobody_leaves_it_to_others_for_a_moment(host: Host, receiver: Receiver) -> None:
    host.ended()
    mute = host.telling(host.config())
    await mute.look()
    assert len(await host.queue.read(lambda store: store.untold())) == 1
    host.bench.clock.now += OF_OTHERS + 1
    await mute.look()
    assert await host.queue.read(lambda store: store.untold()) == []  # who adds a receiver now hears of no old job


async def test_a_stall_is_told_once_until_it_moves(host: Host, receiver: Receiver) -> None:
    config = host.config(ops=host.hook(receiver))
    telling_, job = host.telling(config, 900.0), host.bench.job()
    host.bench.plan(job, items(2), finished=False)

    async def look(at: float) -> list[str]:
        host.steady = at
        await telling_.look_for_stalls()
        return [str(row.spec.event) for row in await host.notices()]

    assert [await look(0), await look(899)] == [[], []]
    host.bench.store.set_waiting(job.id, "the disk is full. do: make room")
    assert [await look(900), await look(5000)] == [["stalled"], ["stalled"]]
    assert "it waits: the disk is full" in json.loads((await host.one()).spec.body)["text"]
    token = (await host.one()).spec.token
    host.bench.store.progress(host.bench.claim().lease, [0], _one_done(), ())
    assert [await look(5001), await look(5902)] == [["stalled"], ["stalled"]]
    assert (await host.one()).spec.token != token  # another stall is another notice


def _one_done() -> Any:
    from headrace_queue.jobs import Counters

    return Counters(done=1)


async def test_a_job_that_cannot_be_told_holds_up_no_other(
    host: Host, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, plain = host.ended(), host.ended()

    def broken(occasion: Occasion) -> str:
        if occasion.job.id == odd:
            raise ValueError("odd")
        return body_of(occasion)

    monkeypatch.setattr(telling, "body_of", broken)
    telling_ = host.telling(host.config(ops=host.hook(receiver)))
    await telling_.look()
    await telling_.look()
    assert [row.job_id for row in await host.notices()] == [plain]
    assert host.said.named("notice_trouble") == [f"job {odd}: ValueError: odd"]


async def test_trouble_with_stalls_ends_no_daemon(
    host: Host, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "EVERY", 0.0)
    monkeypatch.setattr(telling, "AFTER_TROUBLE", 0.0)
    telling_ = host.telling(host.config(ops=host.hook(receiver)))
    tries = 0

    async def broken() -> None:
        nonlocal tries
        tries += 1
        host.steady += 100.0
        if tries == 3:
            raise asyncio.CancelledError
        raise ValueError("odd")

    monkeypatch.setattr(telling_, "look_for_stalls", broken)
    with pytest.raises(asyncio.CancelledError):
        await telling_.run()
    assert host.said.named("notice_trouble") == ["ValueError: odd"]


# -- sending --------------------------------------------------------------------------------------------------------


async def test_a_webhook_is_signed_and_sent_once(host: Host, receiver: Receiver) -> None:
    config = host.config(ops=host.hook(receiver))
    number = host.ended()
    await host.telling(config).look()
    keeper_ = host.keeper(config)
    assert [await keeper_.look(), await keeper_.look()] == [1, 0]
    (request,) = receiver.wait_for(1)
    assert request.signed
    assert request.headers["webhook-id"] == "msg_token1"
    assert request.headers["webhook-timestamp"] == str(int(host.bench.clock.now))
    assert (request.json["event"], request.json["job"]["id"]) == ("done", number)
    assert (await host.one()).state is NoticeState.SENT
    assert host.redaction.text(f"x {SECRET}") == "x [hidden]"


async def test_who_is_down_hears_of_it_later_and_by_the_same_number(host: Host, receiver: Receiver) -> None:
    config = host.config(ops=host.hook(receiver))
    receiver.answers = [500, 302]
    host.ended()
    await host.telling(config).look()
    for wait, error in ((5, "the answer was 500"), (10, "the answer was 302")):
        assert await host.keeper(config).look() == 1
        notice = await host.one()
        assert (notice.state, notice.error) == (NoticeState.WAITING, error)
        assert notice.next_look == host.bench.clock.now + wait
        assert await host.keeper(config).look() == 0  # not before its time
        host.bench.clock.now += wait
    assert await host.keeper(config).look() == 1
    assert (await host.one()).state is NoticeState.SENT
    assert {request.headers["webhook-id"] for request in receiver.wait_for(3)} == {"msg_token1"}
    assert len(host.said.named("notice_late")) == 1


async def test_nobody_there_is_an_error_without_the_address(host: Host) -> None:
    hook = host.hook(Receiver(KEY, 1)) | {"webhook": "http://127.0.0.1:1/services/T0/very-secret"}
    config = host.config(ops=hook)
    host.ended()
    await host.telling(config).look()
    await host.keeper(config).look()
    notice = await host.one()
    assert notice.error == "no connection (ClientConnectorError)"
    assert "very-secret" not in str(host.said.events)


async def test_who_wants_nothing_more_is_left_alone(host: Host, receiver: Receiver) -> None:
    config = host.config(ops=host.hook(receiver))
    receiver.answers = [410]
    host.ended()
    await host.telling(config).look()
    await host.keeper(config).look()
    assert (await host.one()).state is NoticeState.GIVEN_UP
    assert host.said.named("notice_given_up") == ["done to ops: the answer was 410"]


async def test_who_asks_for_time_gets_it(host: Host, receiver: Receiver) -> None:
    config = host.config(ops=host.hook(receiver))
    receiver.answers, receiver.headers = [429], {"Retry-After": "120"}
    host.ended()
    await host.telling(config).look()
    await host.keeper(config).look()
    assert (await host.one()).next_look == host.bench.clock.now + 120


async def test_who_hangs_holds_up_nobody_else(host: Host, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "SECONDS", 0.3)
    with Receiver(KEY).running() as other:
        config = host.config(hangs=host.hook(receiver), works=host.hook(other))
        receiver.answers = [HANG]
        host.ended()
        await host.telling(config).look()
        assert await host.keeper(config).look() == 2
        assert other.wait_for(1)[0].signed
    states = {row.spec.name: (row.state, row.error) for row in await host.notices()}
    assert states == {
        "hangs": (NoticeState.WAITING, "no answer in 0.3 s"),
        "works": (NoticeState.SENT, None),
    }


async def test_after_a_day_it_is_given_up(host: Host, receiver: Receiver) -> None:
    config = host.config(ops=host.hook(receiver))
    receiver.answers = [500, 500]
    host.ended()
    await host.telling(config).look()
    await host.keeper(config).look()
    host.bench.clock.now += PATIENCE
    await host.keeper(config).look()
    notice = await host.one()
    assert (notice.state, notice.error, notice.looks) == (NoticeState.GIVEN_UP, "the answer was 500", 2)


async def test_a_receiver_that_left_the_configuration_is_given_up(host: Host, receiver: Receiver) -> None:
    host.ended()
    await host.telling(host.config(ops=host.hook(receiver))).look()
    await host.keeper(host.config()).look()
    assert (await host.one()).state is NoticeState.GIVEN_UP


async def test_a_secret_that_is_missing_waits_for_whoever_brings_it(host: Host, receiver: Receiver) -> None:
    config = host.config(ops=host.hook(receiver))
    (host.folder / "hook").chmod(0o644)
    host.ended()
    await host.telling(config).look()
    await host.keeper(config).look()
    assert "open to others" in str((await host.one()).error)
    (host.folder / "hook").chmod(0o600)
    host.bench.clock.now += 5
    await host.keeper(config).look()
    assert receiver.wait_for(1)[0].signed


async def test_an_error_of_ours_is_put_off(host: Host, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    config = host.config(ops=host.hook(receiver))

    def broken(*_: object) -> None:
        raise ValueError("odd")

    monkeypatch.setattr(keeper, "letter_of", broken)
    host.ended()
    await host.telling(config).look()
    await host.keeper(config).look()
    assert ((await host.one()).state, (await host.one()).looks) == (NoticeState.WAITING, 1)
    assert len(host.said.named("notice_trouble")) == 1


# -- all of it together -----------------------------------------------------------------------------------------------


@asynccontextmanager
async def at_work(host: Host, config: Config) -> AsyncIterator[Notices]:
    """As in a daemon, by the clock of this machine."""
    host.bench.clock.now = time.time()
    notices = Notices(config, host.queue, host.said, host.redaction)
    running = asyncio.create_task(notices.run())
    try:
        yield notices
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await notices.close()


async def test_who_ends_tells_what_happened_so_far(host: Host, receiver: Receiver) -> None:
    async with at_work(host, host.config(ops=host.hook(receiver))) as notices:
        number = host.ended()
        await notices.flush(60.0)
        assert [request.json["job"]["id"] for request in receiver.requests] == [number]
        assert (await host.one()).state is NoticeState.SENT


async def test_who_ends_waits_for_no_receiver_that_hangs(host: Host, receiver: Receiver) -> None:
    receiver.answers = [HANG]
    async with at_work(host, host.config(ops=host.hook(receiver))) as notices:
        host.ended()
        await notices.flush(0.5)
    notice = await host.one()
    assert (notice.state, notice.looks) == (NoticeState.WAITING, 0)
    async with at_work(host, host.config(ops=host.hook(receiver))) as notices:
        await notices.flush(60.0)  # what was let go of is due at once
    assert (await host.one()).state is NoticeState.SENT
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1


async def test_without_receivers_nothing_is_sent_and_nothing_fails(host: Host) -> None:
    async with at_work(host, host.config()) as notices:
        host.ended()
        await notices.flush(60.0)
    assert await host.notices() == []


# -- apprise --------------------------------------------------------------------------------------------------------


async def test_apprise_brings_it_to_a_receiver(host: Host, receiver: Receiver) -> None:
    url = f"json://ann:pw12345@127.0.0.1:{receiver.port}/hook"
    config = host.config(chat={"apprise": url, "jobs": "all"})
    receiver.answers = [500]
    host.ended()
    await host.telling(config).look()
    await host.keeper(config).look()
    notice = await host.one()
    assert notice.state is NoticeState.WAITING
    assert "500" in str(notice.error)
    assert "pw12345" not in str(notice.error)
    host.bench.clock.now += 5
    await host.keeper(config).look()
    assert (await host.one()).state is NoticeState.SENT
    said = receiver.wait_for(2)[1].json
    assert said["title"].startswith("Headrace: job 1 done")
    assert (said["type"], "host node7" in said["message"]) == ("success", True)


async def test_a_url_that_apprise_does_not_know_is_said_without_it(host: Host) -> None:
    config = host.config(chat={"apprise": "nosuch://pw12345@h", "jobs": "all"})
    host.ended()
    await host.telling(config).look()
    await host.keeper(config).look()
    assert (await host.one()).error == "notices.chat.apprise: Apprise knows no such URL"


async def test_an_apprise_that_hangs_is_ended(host: Host, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apprise_way, "SECONDS", 0.05)
    config = host.config(chat={"apprise": f"json://127.0.0.1:{receiver.port}/", "jobs": "all"})
    host.ended()
    await host.telling(config).look()
    await host.keeper(config).look()  # returns only when the process is gone
    assert (await host.one()).error == "no answer in 0.05 s"


# -- the doctor -----------------------------------------------------------------------------------------------------


async def test_the_doctor_looks_at_each_receiver_and_sends_nothing(host: Host, receiver: Receiver) -> None:
    topic = "arn:aws:sns:eu-north-1:123456789012:jobs"
    config = host.config(
        hook=host.hook(receiver),
        far=host.hook(receiver) | {"webhook": "http://hooks.example.org/x"},
        open=host.hook(receiver) | {"secret": {"file": "/nowhere/pw12345"}},
        chat={"apprise": f"json://127.0.0.1:{receiver.port}/"},
        odd={"apprise": "nosuch://pw12345"},
        topic={"sns": topic},
    )
    checks = await notice_checks(config)
    assert {check.name.removeprefix("notices."): str(check.status) for check in checks} == {
        "hook": "ok",
        "far": "warn",
        "open": "fail",
        "chat": "ok",
        "odd": "fail",
        "topic": "ok",
    }
    assert SECRET not in str(checks)
    assert receiver.requests == []
    assert all(check.remedy for check in checks if str(check.status) != "ok")


# -- SNS ------------------------------------------------------------------------------------------------------------


@pytest.mark.server
async def test_a_topic_brings_it_to_a_queue(host: Host, moto_s3: S3Server) -> None:
    url = moto_s3.endpoint_urls[0]
    keys = {"aws_access_key_id": moto_s3.keys.access_key, "aws_secret_access_key": moto_s3.keys.secret_key}
    places = {"region_name": "eu-north-1", "endpoint_url": url}

    def made() -> tuple[Any, str, str]:
        sns, sqs = boto3.client("sns", **keys, **places), boto3.client("sqs", **keys, **places)
        topic = sns.create_topic(Name="jobs")["TopicArn"]
        inbox = sqs.create_queue(QueueName="inbox")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=inbox, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        return sqs, inbox, topic

    sqs, inbox, topic = await asyncio.to_thread(made)
    file = host.folder / "keys"
    file.touch(mode=0o600)
    file.write_text("[default]\n" + "".join(f"{name} = {value}\n" for name, value in keys.items()))
    config = Config.model_validate(
        {
            "state_dir": host.folder,
            "remotes": {"s3": {"credentials": {"file": file}}},
            "notices": {"topic": {"sns": topic, "endpoint_url": url, "jobs": "all"}},
        }
    )
    host.ended()
    await host.telling(config).look()
    await host.keeper(config).look()
    assert ((await host.one()).state, (await host.one()).error) == (NoticeState.SENT, None)
    messages = (await asyncio.to_thread(sqs.receive_message, QueueUrl=inbox))["Messages"]
    envelope = json.loads(messages[0]["Body"])
    assert envelope["Subject"].startswith("Headrace: job 1 done")
    assert json.loads(envelope["Message"])["event"] == "done"


@pytest.mark.server
async def test_a_topic_that_is_not_there_is_an_error(host: Host, moto_s3: S3Server) -> None:
    topic = {"sns": "arn:aws:sns:eu-north-1:123456789012:none", "endpoint_url": moto_s3.endpoint_urls[0], "jobs": "all"}
    config = Config.model_validate(
        {
            "state_dir": host.folder,
            "remotes": {"s3": {"credentials": {"env": "NOTICE_TEST"}}},
            "notices": {"topic": topic},
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOTICE_TEST_ACCESS_KEY_ID", "A")
        patch.setenv("NOTICE_TEST_SECRET_ACCESS_KEY", "B")
        host.ended()
        await host.telling(config).look()
        await host.keeper(config).look()
    assert (await host.one()).error == "SNS refused it (NotFound)"


def test_the_receiver_of_these_tests_answers_as_it_is_told(receiver: Receiver) -> None:
    receiver.answers = [204]
    request = urllib.request.Request(receiver.url, b"{}", method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 204
    assert not receiver.requests[0].signed
    assert isinstance(spec(), JobSpec)

"""The staging bucket on real services, whose it is, and what it says of itself."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from typing import Any

import aioboto3
import pytest

from headrace_daemon.demo.servers import S3Server
from headrace_daemon.s3.lifecycle import Rule
from headrace_daemon.s3.remote import Remote
from headrace_daemon.s3.types import WriteOptions
from headrace_daemon.staging.bucket import Buckets, ForeignBucket, rule_of
from headrace_daemon.staging.messages import Messages
from headrace_queue.config_api import StagingConfig
from headrace_queue.transfers import TransferState
from tests.support.buckets import fresh_bucket
from tests.support.remotes import crc_text, remote_of, remote_to
from tests.support.scripted import Asked, answer, error, scripted
from tests.support.staging import Desk, Told, desk_on

CONFIG = StagingConfig(remote="test")
RULE = rule_of(CONFIG)


def one_door(server: S3Server) -> AbstractAsyncContextManager[Remote]:
    """A gateway of SeaweedFS remembers a bucket's rules for a moment after another one changed them."""
    return remote_to(server.endpoint_urls[:1], keys=(server.keys.access_key, server.keys.secret_key))


@pytest.mark.parametrize("kind", ["seaweed", "moto_s3"])
async def test_it_is_made_once_with_a_rule_beside_those_of_others(request: pytest.FixtureRequest, kind: str) -> None:
    server: S3Server = request.getfixturevalue(kind)
    bucket = f"stage-{os.getpid()}"
    told = Told()
    async with one_door(server) as remote:
        await Buckets(remote, CONFIG, told, time.time).ensure(bucket)
        other = Rule("other", "other/", 30, 30)
        await remote.keep_rule(bucket, other)
        await Buckets(remote, CONFIG, told, time.time).ensure(bucket)  # as after a restart
        assert not await remote.keep_rule(bucket, RULE)
        assert not await remote.keep_rule(bucket, other)
        later = StagingConfig(remote="test", expire_days=30)
        await Buckets(remote, later, told, time.time).ensure(bucket)
        assert await remote.keep_rule(bucket, RULE)
    assert told.words == []


@pytest.mark.parametrize(("region", "told"), [("eu-central-2", "eu-central-2"), ("us-east-1", None)])
async def test_it_is_made_in_the_region_of_the_remote(moto_s3: S3Server, region: str, told: str | None) -> None:
    """us-east-1 is the one that AWS wants named by nobody (API reference, CreateBucket and GetBucketLocation)."""
    bucket = f"stage-{os.getpid()}-{region}"
    keys = (moto_s3.keys.access_key, moto_s3.keys.secret_key)
    async with remote_to(moto_s3.endpoint_urls, keys=keys, profile="aws", region=region) as remote:
        await Buckets(remote, CONFIG, Told(), time.time).ensure(bucket)
    with closing(moto_s3.client()) as client:
        assert client.get_bucket_location(Bucket=bucket)["LocationConstraint"] == told


async def test_a_service_without_rules_is_told_of_once(rclone_s3: S3Server) -> None:
    told = Told()
    async with remote_of(rclone_s3) as remote:
        buckets = Buckets(remote, CONFIG, told, time.time)
        for bucket in (f"stage-{os.getpid()}-a", f"stage-{os.getpid()}-b"):
            await buckets.ensure(bucket)
            assert await remote.bucket_exists(bucket)
    (words,) = told.words
    assert "only this daemon does" in words


async def test_a_bucket_that_holds_other_things_gets_no_rule(seaweed: S3Server) -> None:
    """It would delete them."""
    bucket = fresh_bucket(seaweed)
    told = Told()
    async with one_door(seaweed) as remote:
        await remote.put(bucket, "precious", b"x", size=1, crc64nvme=crc_text(b"x"), options=WriteOptions())
        await Buckets(remote, CONFIG, told, time.time).ensure(bucket)
        assert not await remote.has_rule(bucket, RULE.id)
        beside = StagingConfig(remote="test", prefix="staging/")
        await Buckets(remote, beside, told, time.time).ensure(bucket)
        assert await remote.has_rule(bucket, rule_of(beside).id)
    (words,) = told.words
    assert "precious" in words


async def test_a_bucket_of_somebody_else_is_never_used() -> None:
    """Though it lets us in: whoever took the name before us would read what people send."""

    def of_another(asked: Asked) -> bytes:
        if asked.method == "PUT":
            return error(409, "BucketAlreadyExists")
        return answer(200, b"<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>")

    async with scripted(of_another) as server, remote_to([server.url]) as remote:
        with pytest.raises(ForeignBucket, match="belongs to somebody else"):
            await Buckets(remote, CONFIG, Told(), time.time).ensure("headrace-staging")


async def test_a_bucket_made_for_us_is_taken_on_trust() -> None:
    def ours_to_use(asked: Asked) -> bytes:
        if asked.method == "PUT" or "lifecycle" in asked.path:
            return error(403, "AccessDenied")
        return answer(200, b"<ListBucketResult/>")

    told = Told()
    async with scripted(ours_to_use) as server, remote_to([server.url]) as remote:
        await Buckets(remote, CONFIG, told, time.time).ensure("headrace-staging")
    assert "taken on trust" in told.words[0]
    assert "only this daemon does" in told.words[1]


async def test_an_upload_asks_for_no_checksums_of_its_parts() -> None:
    """S3 would refuse every part of a client that sends none, and none of FirecREST's does."""

    def begun(asked: Asked) -> bytes:
        return answer(200, b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")

    async with scripted(begun) as server, remote_to([server.url]) as remote:
        assert await remote.create_multipart("bucket", "key", WriteOptions(), checksums=False) == "u"
        await remote.create_multipart("bucket", "key", WriteOptions())
    without, usual = server.asked
    assert not [name for name in without.headers if name.startswith("x-amz-checksum")]
    assert usual.headers["x-amz-checksum-algorithm"] == "CRC64NVME"


# -- messages ---------------------------------------------------------------------------------------------------------


@pytest.fixture
async def desk(moto_s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    async with desk_on(moto_s3, tmp_path, monkeypatch, bucket=f"told-{os.getpid()}") as desk:
        yield desk


async def test_a_message_makes_its_transfer_due(desk: Desk, moto_s3: S3Server) -> None:
    """S3 itself tells the queue of the object; what else is in the queue is removed and ignored."""
    session = aioboto3.Session(moto_s3.keys.access_key, moto_s3.keys.secret_key, region_name="us-east-1")
    (url,) = moto_s3.endpoint_urls
    async with session.client("sqs", endpoint_url=url) as sqs, session.client("s3", endpoint_url=url) as s3:
        queue_url = (await sqs.create_queue(QueueName=f"told-{os.getpid()}"))["QueueUrl"]
        offer = await desk.staging.offer_upload(desk.user(), desk.place("a bü"), 3)
        await _notify(sqs, s3, queue_url, offer.transfer.spec.bucket)
        await sqs.send_message(QueueUrl=queue_url, MessageBody=json.dumps({"Event": "s3:TestEvent"}))
        await desk.keeper.look()
        woken: asyncio.Queue[int] = asyncio.Queue()

        async def wake(transfer_id: int) -> None:
            await desk.keeper.wake(transfer_id)
            woken.put_nowait(transfer_id)

        messages = Messages(queue_url, desk.queue, desk.remote, wake, desk.told)
        running = asyncio.create_task(messages.run())
        try:
            await desk.complete(offer, await desk.send(offer, b"abc"))
            async with asyncio.timeout(60):
                assert await woken.get() == offer.transfer.id
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        found = await desk.transfer(offer.transfer.id)
        assert found.next_look <= desk.clock()
        await desk.keeper.look()
        assert (await desk.transfer(offer.transfer.id)).state is not TransferState.WAITING
        left = await sqs.receive_message(QueueUrl=queue_url, WaitTimeSeconds=0)
        assert "Messages" not in left
        assert desk.told.words == ["3 bytes, ada", ""]


async def _notify(sqs: Any, s3: Any, queue_url: str, bucket: str) -> None:
    names = await sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
    rule = {"QueueArn": names["Attributes"]["QueueArn"], "Events": ["s3:ObjectCreated:*"]}
    await s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [rule]}
    )

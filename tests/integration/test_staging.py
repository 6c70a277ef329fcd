"""Uploads and downloads through a staging bucket, by real URLs against real services."""

import asyncio
import io
import os
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from headrace_daemon.api.errors import ApiError
from headrace_daemon.api.places import Place
from headrace_daemon.demo.servers import S3Server
from headrace_daemon.s3.errors import AccessDenied
from headrace_daemon.s3.types import WriteOptions
from headrace_daemon.staging import staging as staging_module
from headrace_daemon.staging.bucket import Buckets
from headrace_daemon.staging.keeper import Keeper
from headrace_daemon.staging.looks import Looks
from headrace_daemon.staging.offers import DownloadOffer, UploadOffer
from headrace_daemon.staging.presign import presigned
from headrace_queue.jobs import Batch, Counters, Item, Job, Owner, PlanStep, Worker
from headrace_queue.states import JobState
from headrace_queue.store import Store
from headrace_queue.transfers import Changes, Direction, Transfer, TransferSpec, TransferState
from tests.support.rights import ALICE, TO_ACT, made_by, reachable_folder
from tests.support.staging import Desk, desk_on

MIB = 2**20
DAY = 86_400.0


@pytest.fixture
async def desk(seaweed: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    async with desk_on(seaweed, tmp_path, monkeypatch) as desk:
        yield desk


@pytest.fixture(params=["seaweed", "rclone_s3"])
async def each_desk(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    async with desk_on(request.getfixturevalue(request.param), tmp_path, monkeypatch) as desk:
        yield desk


@pytest.fixture
async def idle_desk(seaweed: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """Jobs wait until desk.work is set."""
    async with desk_on(seaweed, tmp_path, monkeypatch, works=False) as desk:
        yield desk


async def uploaded(desk: Desk, name: str, data: bytes, announced: int | None = None) -> UploadOffer:
    """An upload that was sent and completed."""
    offer = await desk.staging.offer_upload(
        desk.user(), desk.place(name), len(data) if announced is None else announced
    )
    assert (await desk.complete(offer, await desk.send(offer, data))).status_code == 200
    return offer


def ends_of(url: str) -> float:
    """Until when the service takes it, in seconds since the epoch."""
    query = parse_qs(urlsplit(url).query)
    begun = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%S%z")
    return begun.timestamp() + float(query["X-Amz-Expires"][0])


async def rows(desk: Desk) -> list[Transfer]:
    return await desk.queue.read(lambda store: store.transfers())


# -- uploads --------------------------------------------------------------------------------------------------------


async def test_an_upload_in_parts_lands_and_leaves_nothing(each_desk: Desk) -> None:
    desk, data = each_desk, b"headrace" * (11 * MIB // 8)
    offer = await desk.staging.offer_upload(desk.user(), desk.place('a b\'ü "x".bin'), len(data))
    assert (len(offer.part_urls), offer.part_size) == (3, 5 * MIB)
    for url in (*offer.part_urls, offer.complete_url, offer.abort_url):
        assert abs(ends_of(url) - offer.expires) < 2
    etags = await desk.send(offer, data)
    assert await desk.staging.parts(offer.transfer) == (3, len(data))
    assert (await desk.complete(offer, etags)).status_code == 200
    done = await desk.ends(offer.transfer.id, TransferState.DONE)
    assert (desk.home / 'a b\'ü "x".bin').read_bytes() == data
    assert done.etag
    assert done.crc64nvme
    assert not await desk.staged(await desk.cleaned(done.id))
    assert [state for _, state in desk.told.states] == ["waiting", "moving", "done"]


async def test_an_empty_file(each_desk: Desk) -> None:
    offer = await uploaded(each_desk, "empty", b"")
    assert len(offer.part_urls) == 1
    await each_desk.ends(offer.transfer.id, TransferState.DONE)
    assert (each_desk.home / "empty").read_bytes() == b""


async def test_an_upload_replaces_what_has_its_size(desk: Desk) -> None:
    """A sync would take it for the same."""
    (desk.home / "f").write_bytes(b"old")
    offer = await uploaded(desk, "f", b"new")
    await desk.ends(offer.transfer.id, TransferState.DONE)
    assert (desk.home / "f").read_bytes() == b"new"


async def test_what_came_meanwhile_is_not_replaced_where_that_was_asked_for(desk: Desk) -> None:
    offer = await desk.staging.offer_upload(desk.user(), desk.place("f"), 3, no_clobber=True)
    (desk.home / "f").write_bytes(b"old")
    await desk.complete(offer, await desk.send(offer, b"new"))
    failed = await desk.ends(offer.transfer.id, TransferState.FAILED)
    assert "exists already" in str(failed.error)
    assert (desk.home / "f").read_bytes() == b"old"
    assert not await desk.staged(await desk.cleaned(failed.id))


async def test_an_object_of_another_size_never_lands(desk: Desk) -> None:
    for name, data in (("short", b"12345"), ("long", b"123456789")):
        offer = await uploaded(desk, name, data, announced=8)
        failed = await desk.ends(offer.transfer.id, TransferState.FAILED)
        assert failed.error == f"the object has {len(data)} bytes, 8 were announced"
        assert not await desk.staged(await desk.cleaned(failed.id))
    assert os.listdir(desk.home) == []


async def test_a_folder_that_vanished_since_the_offer_is_made_again(desk: Desk) -> None:
    (desk.home / "run").mkdir()
    offer = await desk.staging.offer_upload(desk.user(), desk.place("run/f"), 3)
    (desk.home / "run").rmdir()
    await desk.complete(offer, await desk.send(offer, b"abc"))
    await desk.ends(offer.transfer.id, TransferState.DONE)
    assert (desk.home / "run/f").read_bytes() == b"abc"


async def test_a_target_that_became_a_folder_fails_its_upload(desk: Desk) -> None:
    offer = await desk.staging.offer_upload(desk.user(), desk.place("f"), 3)
    (desk.home / "f").mkdir()
    await desk.complete(offer, await desk.send(offer, b"abc"))
    failed = await desk.ends(offer.transfer.id, TransferState.FAILED)
    assert "folder" in str(failed.error)
    assert os.listdir(desk.home / "f") == []
    assert not await desk.staged(await desk.cleaned(failed.id))


async def test_parts_that_are_more_than_was_announced_end_an_upload_before_it_is_complete(desk: Desk) -> None:
    offer = await desk.staging.offer_upload(desk.user(), desk.place("f"), 8)
    etags = await desk.send(offer, b"123456789")
    failed = await desk.ends(offer.transfer.id, TransferState.FAILED)
    assert failed.error == "the parts have 9 bytes, 8 were announced"
    await desk.cleaned(failed.id)
    assert (await desk.complete(offer, etags)).status_code == 404


async def test_an_upload_that_its_sender_aborts_is_cancelled(each_desk: Desk) -> None:
    desk = each_desk
    offer = await desk.staging.offer_upload(desk.user(), desk.place("f"), 8)
    await desk.send(offer, b"12345678")
    assert (await desk.http.delete(offer.abort_url)).status_code == 204
    with pytest.raises(ApiError, match="completed or aborted"):
        await desk.staging.offer_again(desk.user(), offer.transfer)
    await desk.look()
    # a service may still put the object together
    assert (await desk.transfer(offer.transfer.id)).state is TransferState.WAITING
    desk.clock.ahead += 30
    cancelled = await desk.ends(offer.transfer.id, TransferState.CANCELLED)
    assert "aborted" in str(cancelled.error)
    await desk.cleaned(cancelled.id)


async def test_an_abandoned_upload_ends_after_its_deadline(desk: Desk) -> None:
    offer = await desk.staging.offer_upload(desk.user(), desk.place("f"), 8)
    etags = await desk.send(offer, b"12345678")
    await desk.look()
    assert await desk.staged(await desk.transfer(offer.transfer.id))
    desk.clock.ahead += DAY + 1
    ended = await desk.ends(offer.transfer.id, TransferState.TIMEOUT)
    assert not await desk.staged(await desk.cleaned(ended.id))
    assert (await desk.complete(offer, etags)).status_code == 404


async def test_a_complete_just_before_the_deadline_counts(desk: Desk) -> None:
    offer = await uploaded(desk, "f", b"12345678")
    desk.clock.ahead += DAY + 1
    await desk.ends(offer.transfer.id, TransferState.DONE)


async def test_completed_twice_is_completed(desk: Desk) -> None:
    offer = await desk.staging.offer_upload(desk.user(), desk.place("f"), 3)
    etags = await desk.send(offer, b"abc")
    await desk.complete(offer, etags)
    await desk.complete(offer, etags)
    await desk.ends(offer.transfer.id, TransferState.DONE)
    await desk.cleaned(offer.transfer.id)
    assert (await desk.complete(offer, etags)).status_code == 404
    await desk.look()
    assert (desk.home / "f").read_bytes() == b"abc"
    assert not await desk.staged(offer.transfer)


async def test_a_wrong_etag_is_refused_and_a_right_one_then_works(desk: Desk) -> None:
    offer = await desk.staging.offer_upload(desk.user(), desk.place("f"), 3)
    etags = await desk.send(offer, b"abc")
    assert (await desk.complete(offer, ['"00000000000000000000000000000000"'])).status_code == 400
    await desk.look()
    assert (await desk.transfer(offer.transfer.id)).state is TransferState.WAITING
    await desk.complete(offer, etags)
    await desk.ends(offer.transfer.id, TransferState.DONE)


async def test_new_urls_of_the_same_upload(desk: Desk) -> None:
    offer = await desk.staging.offer_upload(desk.user(), desk.place("f"), 3)
    again = await desk.staging.offer_again(desk.user(), offer.transfer, lifetime=100.0)
    assert isinstance(again, UploadOffer)
    assert again.transfer.id == offer.transfer.id
    assert again.expires < offer.expires
    await desk.complete(again, await desk.send(offer, b"abc"))
    await desk.ends(offer.transfer.id, TransferState.DONE)
    with pytest.raises(ApiError, match="nothing to sign") as refused:
        await desk.staging.offer_again(desk.user(), offer.transfer)
    assert refused.value.status == 409
    with pytest.raises(ApiError) as foreign:
        await desk.staging.offer_again(desk.user("eve"), offer.transfer)
    assert foreign.value.status == 404


# -- downloads ------------------------------------------------------------------------------------------------------


async def ready(desk: Desk, name: str) -> DownloadOffer:
    offer = await desk.staging.offer_download(desk.user(), desk.place(name))
    desk.secrets.append(offer.url)
    await desk.ends(offer.transfer.id, TransferState.READY)
    return offer


async def test_a_download_by_one_url_and_by_ranges(each_desk: Desk) -> None:
    desk, data = each_desk, b"headrace" * (9 * MIB // 8)
    (desk.home / "ü 'x'.bin").write_bytes(data)
    offer = await ready(desk, "ü 'x'.bin")
    answer = await desk.http.get(offer.url)
    assert (answer.status_code, answer.content == data) == (200, True)
    part = await desk.http.get(offer.url, headers={"range": "bytes=8-15"})
    assert part.content == b"headrace"
    assert part.headers["content-range"] == f"bytes 8-15/{len(data)}"  # rclone says it in a 200
    found = await desk.transfer(offer.transfer.id)
    assert found.expires == offer.expires
    assert abs(ends_of(offer.url) - offer.expires) < 2
    assert found.etag
    assert found.crc64nvme
    desk.clock.ahead += offer.expires - desk.clock() + 1
    expired = await desk.ends(found.id, TransferState.EXPIRED)
    assert expired.next_look > desk.clock() + 30  # whoever began in time goes on
    desk.clock.ahead += 60
    assert not await desk.staged(await desk.cleaned(found.id))
    assert (await desk.http.get(offer.url)).status_code == 404


async def test_the_file_keeps_its_name(desk: Desk) -> None:
    (desk.home / "grüße.txt").write_text("x")
    offer = await ready(desk, "grüße.txt")
    said = (await desk.http.get(offer.url)).headers["content-disposition"]
    assert said == "attachment; filename=\"gr__e.txt\"; filename*=UTF-8''gr%C3%BC%C3%9Fe.txt"


async def test_an_unchanged_file_is_staged_once(desk: Desk) -> None:
    (desk.home / "f").write_bytes(b"one")
    first = await ready(desk, "f")
    desk.clock.ahead += 600
    second = await desk.staging.offer_download(desk.user(), desk.place("f"))
    assert second.transfer.id == first.transfer.id
    # the copy stays until the later URL ends
    desk.clock.ahead += first.expires - desk.clock() + 1
    await desk.look()
    assert (await desk.transfer(first.transfer.id)).state is TransferState.READY
    (desk.home / "f").write_bytes(b"two")
    third = await ready(desk, "f")
    assert third.transfer.id != first.transfer.id
    assert (await desk.http.get(third.url)).content == b"two"
    other = await desk.staging.offer_download(desk.user("eve"), desk.place("f"))
    wider = await desk.staging.offer_download(desk.user(), Place("cluster", str(desk.home.parent), "home/f"))
    assert len({one.transfer.id for one in (first, third, other, wider)}) == 4


async def test_a_copy_that_the_bucket_itself_is_about_to_remove_is_not_offered_again(desk: Desk) -> None:
    (desk.home / "f").write_bytes(b"one")
    first = await ready(desk, "f")
    await desk.queue.write(
        lambda store: store.change_transfer(first.transfer.id, Changes(expires=desk.clock() + 30 * DAY))
    )
    desk.clock.ahead += 7 * DAY
    second = await desk.staging.offer_download(desk.user(), desk.place("f"))
    assert second.transfer.id != first.transfer.id


async def test_staging_that_outlasts_the_url_can_be_asked_for_again(desk: Desk) -> None:
    (desk.home / "f").write_bytes(b"one")
    first = await desk.staging.offer_download(desk.user(), desk.place("f"))
    desk.clock.ahead += first.expires - desk.clock() + 1
    ready = await desk.ends(first.transfer.id, TransferState.READY)
    assert ready.expires is not None
    assert ready.expires > desk.clock() + 3000
    again = await desk.staging.offer_again(desk.user(), ready)
    assert isinstance(again, DownloadOffer)


async def test_a_file_that_vanishes_fails_its_download(idle_desk: Desk) -> None:
    desk = idle_desk
    (desk.home / "f").write_bytes(b"one")
    offer = await desk.staging.offer_download(desk.user(), desk.place("f"))
    (desk.home / "f").unlink()
    desk.work.set()
    failed = await desk.ends(offer.transfer.id, TransferState.FAILED)
    assert "no such object" in str(failed.error)
    await desk.cleaned(failed.id)


# -- cancelling -----------------------------------------------------------------------------------------------------


async def test_cancelled_while_it_waits_and_when_it_is_ready(desk: Desk) -> None:
    waiting = (await desk.staging.offer_upload(desk.user(), desk.place("a"), 3)).transfer
    (desk.home / "f").write_bytes(b"one")
    offered = (await ready(desk, "f")).transfer
    for transfer in (waiting, offered):
        assert (await desk.staging.cancel(transfer)).state is TransferState.CANCELLED
        assert (await desk.staging.cancel(transfer)).state is TransferState.CANCELLED
        assert not await desk.staged(await desk.cleaned(transfer.id))
    done = (await uploaded(desk, "h", b"x")).transfer
    await desk.ends(done.id, TransferState.DONE)
    with pytest.raises(ApiError) as refused:
        await desk.staging.cancel(done)
    assert refused.value.status == 409


async def test_cancelled_while_it_moves(idle_desk: Desk) -> None:
    """Its job is cancelled with it; and whoever cancels the job cancels the transfer."""
    desk = idle_desk
    (desk.home / "f").write_bytes(b"one")
    (desk.home / "g").write_bytes(b"one")
    first = (await desk.staging.offer_download(desk.user(), desk.place("f"))).transfer
    second = (await desk.staging.offer_download(desk.user(), desk.place("g"))).transfer
    assert first.job_id is not None
    assert second.job_id is not None
    job_ids = (first.job_id, second.job_id)
    await desk.staging.cancel(first)
    await desk.queue.write(lambda store: store.cancel(job_ids[1]))
    cancelled = await desk.ends(second.id, TransferState.CANCELLED)
    assert f"job {second.job_id}" in str(cancelled.error)
    for transfer in (first, second):
        await desk.cleaned(transfer.id)
    jobs = await desk.queue.read(lambda store: [store.job(job_id) for job_id in job_ids])
    assert [job.state for job in jobs] == [JobState.CANCELLED, JobState.CANCELLED]


@pytest.mark.parametrize(("moved", "ends"), [(1, TransferState.DONE), (0, TransferState.CANCELLED)])
async def test_cancelled_while_a_worker_has_it(idle_desk: Desk, moved: int, ends: TransferState) -> None:
    """The worker may be past the rename: what stands at its destination is not called cancelled."""
    desk = idle_desk
    transfer = (await uploaded(desk, "f", b"x")).transfer
    moving = await desk.ends(transfer.id, TransferState.MOVING)
    worker = Worker("w", "host", 1, 1)

    def claimed(store: Store) -> Batch:
        store.register(worker)
        plan = store.claim_plan(worker.id, 10)
        assert plan is not None
        store.commit_plan(plan, PlanStep(((Item("", 1, 0),),), "", Counters(planned=1), finished=True))
        (batch,) = store.claim(worker.id, 1)
        return batch

    batch = await desk.queue.write(claimed)
    assert (await desk.staging.cancel(moving)).state is TransferState.MOVING
    await desk.look()
    assert (await desk.transfer(transfer.id)).state is TransferState.MOVING

    def let_go(store: Store) -> None:
        if moved:
            store.progress(batch.lease, [0], Counters(done=1), [])
            store.complete(batch.lease)
        else:
            store.snooze(batch.lease, 0.0, "cancelled")

    await desk.queue.write(let_go)
    await desk.ends(transfer.id, ends)
    await desk.cleaned(transfer.id)


async def test_what_is_cancelled_while_it_begins_leaves_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keeper may have cleaned up before there was anything."""
    ensure = Buckets.ensure

    async def cancelled_meanwhile(buckets: Buckets, bucket: str) -> None:
        await ensure(buckets, bucket)
        (transfer,) = await rows(desk)
        await desk.staging.cancel(transfer)
        await desk.cleaned(transfer.id)

    monkeypatch.setattr(Buckets, "ensure", cancelled_meanwhile)
    with pytest.raises(ApiError, match="is cancelled by now"):
        await desk.staging.offer_upload(desk.user(), desk.place("f"), 3)
    (transfer,) = await rows(desk)
    assert await desk.staged(transfer)
    assert not await desk.staged(await desk.cleaned(transfer.id))


async def test_what_is_done_is_not_cancelled_at_the_last_moment(desk: Desk) -> None:
    """The file stands there: to call that cancelled would be wrong."""
    (desk.home / "f").write_bytes(b"one")
    transfer = (await desk.staging.offer_download(desk.user(), desk.place("f"))).transfer
    assert transfer.job_id is not None
    job_id = transfer.job_id

    async def moved() -> Job | None:
        job = await desk.queue.read(lambda store: store.job(job_id))
        return job if job.state is JobState.DONE else None

    await desk.until(moved, looking=False)
    with pytest.raises(ApiError, match="done already") as refused:
        await desk.staging.cancel(transfer)
    assert refused.value.status == 409
    await desk.ends(transfer.id, TransferState.READY)


# -- what is refused ------------------------------------------------------------------------------------------------


async def test_nothing_is_created_for_what_is_refused(
    seaweed: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = f"refused-{os.getpid()}"
    async with desk_on(seaweed, tmp_path, monkeypatch, bucket=bucket, max_size="1GiB") as desk:
        staging, ada, reader = desk.staging, desk.user(), replace(desk.user(), permissions=frozenset())
        (desk.home / "folder").mkdir()
        (desk.home / "big").touch()
        os.truncate(desk.home / "big", 2 * 2**30)
        refusals: list[tuple[int, Callable[[], Awaitable[object]]]] = [
            (403, lambda: staging.offer_upload(reader, desk.place("f"), 1)),
            (403, lambda: staging.offer_download(reader, desk.place("big"))),
            (404, lambda: staging.offer_upload(ada, desk.place("no/f"), 1)),
            (404, lambda: staging.offer_download(ada, desk.place("no"))),
            (413, lambda: staging.offer_upload(ada, desk.place("f"), 2**30 + 1)),
            (413, lambda: staging.offer_upload(desk.user(max_size=10), desk.place("f"), 11)),
            (413, lambda: staging.offer_download(ada, desk.place("big"))),
            (400, lambda: staging.offer_upload(ada, desk.place("f"), -1)),
            (400, lambda: staging.offer_upload(ada, desk.place("f"), 1, lifetime=30 * DAY)),
            (429, lambda: staging.offer_upload(desk.user(transfers=0), desk.place("f"), 1)),
        ]
        for status, refused in refusals:
            with pytest.raises(ApiError) as error:
                await refused()
            assert error.value.status == status, error.value
        assert error.value.retry_after
        with pytest.raises(ApiError):
            await staging.offer_upload(ada, desk.place("folder"), 1)
        assert await rows(desk) == []
        assert not await desk.remote.bucket_exists(bucket)


async def test_while_the_service_is_away_a_request_fails_whole(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging_module, "PATIENCE", 0.0)
    with pytest.raises(ApiError) as refused:
        await desk.staging.offer_upload(desk.user(), desk.place("f"), 1)
    assert refused.value.status == 503
    (failed,) = await rows(desk)
    assert failed.state is TransferState.FAILED
    monkeypatch.setattr(staging_module, "PATIENCE", 30.0)
    assert not await desk.staged(await desk.cleaned(failed.id))


async def test_a_folder_as_one_tar(desk: Desk) -> None:
    (desk.home / "run" / "deep").mkdir(parents=True)
    (desk.home / "run" / "deep" / "f").write_bytes(b"abc")
    offer = await desk.staging.offer_download(desk.user(), desk.place("run"), archive=True)
    await desk.ends(offer.transfer.id, TransferState.READY)
    answer = await desk.http.get(offer.url)
    assert 'filename="run.tar"' in answer.headers["content-disposition"]
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        assert next(member.name for member in archive if member.isfile()).endswith("deep/f")


@TO_ACT
async def test_what_is_moved_is_moved_with_the_rights_of_the_account(
    seaweed: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reachable_folder() as folder:
        async with desk_on(seaweed, folder, monkeypatch) as desk:
            theirs = made_by(ALICE, desk.home / "theirs")
            alice = desk.user("alice", ALICE)
            offer = await desk.staging.offer_upload(alice, desk.place("theirs/f"), 3)
            late = await desk.staging.offer_upload(alice, desk.place("theirs/g"), 3)
            await desk.complete(offer, await desk.send(offer, b"abc"))
            await desk.ends(offer.transfer.id, TransferState.DONE)
            status = (theirs / "f").stat()
            assert (status.st_uid, status.st_gid) == (ALICE.uid, ALICE.gid)
            staged = await desk.staging.offer_download(alice, desk.place("theirs/f"))
            assert await desk.staging.offer_again(alice, staged.transfer)
            os.chown(theirs / "f", 0, 0)
            (theirs / "f").chmod(0o600)
            with pytest.raises(ApiError) as refused:
                await desk.staging.offer_again(alice, staged.transfer)
            assert refused.value.status == 403
            # what they may no longer do when the bytes come is not done for them
            os.chown(theirs, 0, 0)
            await desk.complete(late, await desk.send(late, b"abc"))
            await desk.ends(late.transfer.id, TransferState.FAILED)
            assert not (theirs / "g").exists()


# -- crashes --------------------------------------------------------------------------------------------------------


async def test_a_crash_between_the_row_and_the_upload_leaves_nothing(each_desk: Desk) -> None:
    desk = each_desk
    await desk.staging.offer_upload(desk.user(), desk.place("first"), 1)  # makes the bucket
    bucket = (await rows(desk))[0].spec.bucket
    spec = TransferSpec(
        Direction.UPLOAD,
        "cluster",
        Owner("ada", str(desk.home)),
        str(desk.home / "f"),
        1,
        bucket,
        "11111111-1111-4111-8111-111111111111/f",
        part_size=5 * MIB,
        deadline=desk.clock() + DAY,
    )
    made = await desk.queue.write(lambda store: store.add_transfer(spec))
    await desk.remote.create_multipart(bucket, spec.key, WriteOptions(), checksums=False)
    await desk.look()
    assert (await desk.transfer(made.id)).state is TransferState.WAITING
    assert await desk.staged(made)
    desk.clock.ahead += 200
    failed = await desk.ends(made.id, TransferState.FAILED)
    assert "ask again" in str(failed.error)
    assert not await desk.staged(await desk.cleaned(made.id))


async def test_every_look_may_be_another_daemons(desk: Desk) -> None:
    """A keeper remembers nothing that counts: a new one in every state goes on."""
    data = b"x" * (6 * MIB)
    offer = await desk.staging.offer_upload(desk.user(), desk.place("f"), len(data))
    await desk.look()
    etags = await desk.send(offer, data)
    desk.another_keeper()
    await desk.look()
    await desk.complete(offer, etags)
    desk.another_keeper()
    await desk.look()
    assert (await desk.transfer(offer.transfer.id)).state is TransferState.MOVING
    desk.another_keeper()
    await desk.ends(offer.transfer.id, TransferState.DONE)
    desk.another_keeper()
    assert not await desk.staged(await desk.cleaned(offer.transfer.id))
    assert (desk.home / "f").read_bytes() == data
    jobs = await desk.queue.read(lambda store: store.jobs())
    assert len(jobs) == 1


async def test_by_its_own_clock_a_keeper_brings_an_upload_home(desk: Desk) -> None:
    offer = await uploaded(desk, "f", b"abc")

    async def landed() -> Transfer | None:
        found = await desk.transfer(offer.transfer.id)
        return found if found.state is TransferState.DONE and not found.staged else None

    running = asyncio.create_task(desk.keeper.run())
    try:
        await desk.until(landed, looking=False)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert (desk.home / "f").read_bytes() == b"abc"


class _Stuck(Looks):
    """The service does not answer."""

    def begin(self) -> asyncio.Event:
        self.began = asyncio.Event()
        return self.began

    async def look(self, transfer: Transfer) -> None:
        self.began.set()
        await asyncio.Event().wait()


async def test_a_keeper_that_stops_lets_go_of_what_it_held(desk: Desk) -> None:
    """Else the next daemon would wait until the hold ends."""
    offer = await desk.staging.offer_upload(desk.user(), desk.place("f"), 3)
    stuck = _Stuck(desk.config.state_dir, desk.queue, desk.remote, desk.told, desk.clock)
    began = stuck.begin()
    running = asyncio.create_task(Keeper(desk.queue, stuck, desk.told, desk.clock).run())
    async with asyncio.timeout(60):
        await began.wait()
    assert (await desk.transfer(offer.transfer.id)).next_look > desk.clock()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (await desk.transfer(offer.transfer.id)).next_look <= desk.clock()


async def test_a_job_that_was_removed_fails_its_transfer(desk: Desk) -> None:
    offer = await desk.staging.offer_upload(desk.user(), desk.place("f"), 1)
    await desk.queue.write(lambda store: store.move_transfer(offer.transfer.id, "arrive", Changes(job_id=999)))
    failed = await desk.ends(offer.transfer.id, TransferState.FAILED)
    assert "job 999" in str(failed.error)


class _Refused(Looks):
    """The service refuses whatever concerns the first transfer."""

    async def look(self, transfer: Transfer) -> None:
        if transfer.id == 1:
            raise AccessDenied("AccessDenied", "no", 403)
        await super().look(transfer)


async def test_one_transfer_in_trouble_stops_no_other_and_is_told_of_once(desk: Desk) -> None:
    first = await desk.staging.offer_upload(desk.user(), desk.place("f"), 3)
    offer = await uploaded(desk, "g", b"abc")
    looks = _Refused(desk.config.state_dir, desk.queue, desk.remote, desk.told, desk.clock)
    desk.keeper = Keeper(desk.queue, looks, desk.told, desk.clock)
    await desk.ends(offer.transfer.id, TransferState.DONE)
    await desk.look()
    assert [words for words in desk.told.words if "AccessDenied" in words] == [
        "transfer 1: AccessDenied: AccessDenied: no"
    ]
    # an upload is looked at again soon, however long it has been in trouble
    waits = (await desk.transfer(first.transfer.id)).next_look - desk.clock()
    assert 0 < waits <= 15


# -- secrets --------------------------------------------------------------------------------------------------------


async def test_an_expired_url_is_refused_by_the_service(each_desk: Desk) -> None:
    desk = each_desk
    (desk.home / "f").write_bytes(b"one")
    offer = await ready(desk, "f")
    spec = offer.transfer.spec
    who = await desk.remote.signatory(spec.bucket)
    assert who.credentials is not None
    url = f"{urlsplit(offer.url).scheme}://{urlsplit(offer.url).netloc}"
    for now, statuses in ((who.now, {200}), (who.now - 1000, {400, 403})):  # 400: rclone's
        made = presigned(
            "GET", url, spec.bucket, spec.key, (), credentials=who.credentials, region=who.region, expires=500, now=now
        )
        assert (await desk.http.get(made)).status_code in statuses
    assert (await desk.http.put(offer.url, content=b"x")).status_code == 403


async def test_a_url_of_a_part_copies_nothing_that_the_service_holds(each_desk: Desk) -> None:
    """With our credentials it could fetch what other people staged."""
    desk = each_desk
    (desk.home / "f").write_bytes(b"one")
    theirs = (await ready(desk, "f")).transfer.spec
    offer = await desk.staging.offer_upload(desk.user("eve"), desk.place("g"), 3)
    headers = {"x-amz-copy-source": f"/{theirs.bucket}/{theirs.key}"}
    answer = await desk.http.put(offer.part_urls[0], headers=headers)
    assert answer.status_code == 403
    assert await desk.staging.parts(offer.transfer) == (0, 0)


async def test_no_secret_is_told_or_kept(desk: Desk) -> None:
    offer = await uploaded(desk, "f", b"abc")
    await desk.ends(offer.transfer.id, TransferState.DONE)
    await ready(desk, "f")
    with pytest.raises(ApiError) as refused:
        await desk.staging.offer_upload(desk.user(transfers=0), desk.place("g"), 1)
    signatures = {parse_qs(urlsplit(url).query)["X-Amz-Signature"][0] for url in desk.secrets}
    assert len(signatures) >= 4
    kept = b"".join(path.read_bytes() for path in desk.config.state_dir.rglob("*") if path.is_file())
    told = f"{desk.told.words} {desk.told.states} {refused.value}"
    for secret in (*signatures, "X-Amz-Signature"):
        assert secret not in told
        assert secret.encode() not in kept
    assert offer.transfer.upload_id not in told

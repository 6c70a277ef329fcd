"""What every engine has to pass: transfers, method by method, and jobs that have an owner."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest

from headrace_queue.errors import IllegalTransition, TooManyTransfers, UnknownTransfer, UsageError
from headrace_queue.jobs import JobSpec, Kind, Owner
from headrace_queue.states import JobState
from headrace_queue.store import Store
from headrace_queue.transfers import (
    ENDED,
    NO_CHANGES,
    ONLY_OF,
    TRANSFER_MOVES,
    Changes,
    Direction,
    Transfer,
    TransferSpec,
    TransferState,
)
from tests.support.queue import Bench, Clock, Engine, items
from tests.support.transfers import TransferBench, owner, transfer_spec

EVENTS = sorted({event for moves in TRANSFER_MOVES.values() for event in moves})
UNDER_WAY = (TransferState.WAITING, TransferState.MOVING)
HOLD = 60.0


@pytest.fixture
def bench(store: Store, clock: Clock) -> TransferBench:
    return TransferBench(store, clock)


# -- adding and reading -------------------------------------------------------------------------------------------


def test_an_upload_comes_back_as_it_was_asked_for(bench: TransferBench) -> None:
    ann = Owner("änn", "/scratch", 1000, 100, (100, 4, 27))
    spec = TransferSpec(
        Direction.UPLOAD,
        "alps",
        ann,
        "/scratch/a 'b'/ü\0",
        10**13,
        "staging",
        "uuid/ü",
        part_size=2**30,
        deadline=bench.clock.now + 9,
        account="project",
        no_clobber=True,
    )
    transfer = bench.store.add_transfer(spec)
    now = bench.clock.now
    assert transfer == Transfer(transfer.id, spec, TransferState.WAITING, now, now, staged=True, next_look=now)
    assert bench.store.transfer(transfer.id) == transfer


def test_a_download_comes_back_as_it_was_asked_for(bench: TransferBench) -> None:
    spec = TransferSpec(
        Direction.DOWNLOAD,
        "alps",
        Owner("ann"),
        "/scratch/f",
        0,
        "staging",
        "uuid/f",
        lifetime=60.5,
        fingerprint="1:2:3",
        archive=True,
    )
    transfer = bench.store.add_transfer(spec)
    now = bench.clock.now
    assert transfer == Transfer(transfer.id, spec, TransferState.MOVING, now, now, staged=True, next_look=now)
    assert bench.store.transfer(transfer.id, "ann") == transfer


@pytest.mark.parametrize(
    "wrong",
    [
        replace(transfer_spec(Direction.UPLOAD), deadline=None),
        replace(transfer_spec(Direction.UPLOAD), part_size=0),
        replace(transfer_spec(Direction.DOWNLOAD), deadline=1.0),
        replace(transfer_spec(Direction.DOWNLOAD), part_size=1),
        replace(transfer_spec(Direction.DOWNLOAD), owner=Owner("")),
        replace(transfer_spec(Direction.DOWNLOAD), path="/data/\udcff"),
    ],
    ids=["no deadline", "no part size", "deadline", "part size", "nobody", "no text"],
)
def test_a_transfer_that_cannot_be_is_refused(wrong: TransferSpec, bench: TransferBench) -> None:
    with pytest.raises((ValueError, UsageError), match=r"deadline|owner|UTF-8"):
        bench.store.add_transfer(wrong)
    assert bench.store.transfers() == []


def test_a_transfer_of_another_user_is_unknown(bench: TransferBench) -> None:
    transfer = bench.upload("ann")
    for number, user in ((transfer.id, "bob"), (transfer.id, ""), (transfer.id + 1, "ann"), (transfer.id + 1, None)):
        with pytest.raises(UnknownTransfer, match=f"transfer {number}: no such transfer"):
            bench.store.transfer(number, user)


def test_transfers_are_listed_newest_first_by_user_state_and_page(bench: TransferBench) -> None:
    made = [bench.upload(user) for user in ("ann", "bob", "ann", "ann", "bob")]
    ids = [transfer.id for transfer in made]
    bench.store.move_transfer(ids[2], "cancel")

    def listed(
        user: str | None = None, states: tuple[TransferState, ...] = (), limit: int = 9, before: int | None = None
    ) -> list[int]:
        return [ids.index(transfer.id) for transfer in bench.store.transfers(user, states, limit, before)]

    assert listed() == [4, 3, 2, 1, 0]
    assert listed("ann") == [3, 2, 0]
    assert listed("bob", limit=1) == [4]
    assert listed("bob", before=ids[4]) == [1]
    assert listed(states=(TransferState.CANCELLED,)) == [2]
    assert listed("ann", (TransferState.WAITING,), 1, ids[3]) == [0]
    assert listed("ann", (TransferState.WAITING, TransferState.CANCELLED)) == [3, 2, 0]
    assert listed("") == listed("an") == []


# -- how many may be under way ------------------------------------------------------------------------------------


def test_only_so_many_of_a_user_are_under_way(bench: TransferBench) -> None:
    first, second = bench.upload("ann", limit=2), bench.download("ann", limit=2)
    with pytest.raises(TooManyTransfers, match="ann: 2 transfers"):
        bench.upload("ann", limit=2)
    bench.upload("bob", limit=2)
    bench.store.move_transfer(first.id, "arrive")
    with pytest.raises(TooManyTransfers):
        bench.upload("ann", limit=2)
    bench.offer(second)
    bench.upload("ann", limit=2)
    bench.store.move_transfer(first.id, "land")
    bench.upload("ann", limit=2)
    with pytest.raises(TooManyTransfers):
        bench.upload("ann", limit=0)
    bench.upload("ann")
    assert len(bench.store.transfers("ann", UNDER_WAY)) == 3


def test_the_limit_holds_for_all_who_ask_at_once(bench: TransferBench, queue_engine: Engine, tmp_path: Path) -> None:
    start = Barrier(4)

    def ask(number: int) -> int:
        with closing(queue_engine(tmp_path, bench.clock)) as store:
            asking = TransferBench(store, bench.clock, made=100 * number)
            start.wait()
            taken = 0
            for _ in range(5):
                try:
                    asking.upload("ann", limit=7)
                except TooManyTransfers:
                    continue
                taken += 1
            return taken

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(ask, range(1, 5))) == 7
    assert len(bench.store.transfers("ann")) == 7


# -- moves and changes --------------------------------------------------------------------------------------------


def possible(state: TransferState, direction: Direction) -> bool:
    return ONLY_OF.get(state, direction) is direction


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize(
    ("state", "direction"), [pair for pair in itertools.product(TransferState, Direction) if possible(*pair)]
)
def test_every_move(bench: TransferBench, state: TransferState, direction: Direction, event: str) -> None:
    before = bench.transfer_in(state, direction)
    bench.store.change_transfer(before.id, Changes(looks=7))
    before = bench.store.transfer(before.id)
    bench.clock.now += 10
    after = TRANSFER_MOVES[state].get(event)
    changes = bench.changes_of(event)
    if after is None or not possible(after, direction):
        with pytest.raises(IllegalTransition, match=event):
            bench.store.move_transfer(before.id, event, changes)
        assert bench.store.transfer(before.id) == before
        return
    moved = bench.store.move_transfer(before.id, event, changes)
    assert moved == bench.store.transfer(before.id)
    now = bench.clock.now
    assert (moved.state, moved.changed, moved.next_look, moved.looks) == (after, now, now, 0)
    assert moved.finished == (now if after in ENDED else None)
    assert moved.error == changes.error
    assert (moved.spec, moved.created, moved.staged) == (before.spec, before.created, True)


def test_a_move_takes_its_changes_along(bench: TransferBench) -> None:
    transfer = bench.upload()
    changes = Changes("upload", 7, False, None, None, "etag", "crc", bench.clock.now + 5, 3)
    moved = bench.store.move_transfer(transfer.id, "arrive", changes)
    assert (moved.upload_id, moved.job_id, moved.staged) == ("upload", 7, False)
    assert (moved.etag, moved.crc64nvme) == ("etag", "crc")
    assert (moved.next_look, moved.looks) == (bench.clock.now + 5, 3)
    bench.clock.now += 10
    same = bench.store.move_transfer(transfer.id, "land")
    assert replace(same, state=moved.state, changed=moved.changed, finished=None) == replace(
        moved, next_look=bench.clock.now, looks=0
    )


def test_a_change_leaves_the_rest_as_it_is(bench: TransferBench) -> None:
    transfer = bench.upload()
    bench.clock.now += 10
    assert bench.store.change_transfer(transfer.id, NO_CHANGES) == transfer
    changed = bench.store.change_transfer(transfer.id, Changes(upload_id="u", next_look=5.0, looks=2))
    assert changed == replace(transfer, upload_id="u", next_look=5.0, looks=2) == bench.store.transfer(transfer.id)
    assert bench.store.change_transfer(transfer.id, Changes(staged=False, looks=0)) == replace(
        changed, staged=False, looks=0
    )
    ready = bench.offer(bench.download(), 100.0)
    assert bench.store.change_transfer(ready.id, Changes(expires=200.0)) == replace(ready, expires=200.0)


def test_an_error_is_of_what_ended_badly(bench: TransferBench) -> None:
    transfer = bench.upload()
    with pytest.raises(ValueError, match="says why"):
        bench.store.move_transfer(transfer.id, "fail")
    with pytest.raises(ValueError, match="no error"):
        bench.store.change_transfer(transfer.id, Changes(error="no"))
    with pytest.raises(ValueError, match="no error"):
        bench.store.move_transfer(transfer.id, "arrive", Changes(error="no"))
    assert bench.store.transfer(transfer.id) == transfer
    late = bench.store.move_transfer(transfer.id, "time_out", Changes(error="3 of 7 parts came \udcff"))
    assert late.error == "3 of 7 parts came \\udcff"
    assert bench.store.change_transfer(transfer.id, Changes(error="nothing came")).error == "nothing came"


def test_what_is_ready_says_until_when(bench: TransferBench) -> None:
    transfer = bench.download()
    with pytest.raises(ValueError, match="until when"):
        bench.store.move_transfer(transfer.id, "offer")
    assert bench.store.transfer(transfer.id) == transfer


def test_an_unknown_transfer_is_told(bench: TransferBench) -> None:
    with pytest.raises(UnknownTransfer, match="transfer 99"):
        bench.store.move_transfer(99, "cancel")
    with pytest.raises(UnknownTransfer, match="transfer 99"):
        bench.store.change_transfer(99, NO_CHANGES)


# -- the keeper ---------------------------------------------------------------------------------------------------


def test_what_is_due_is_handed_out_once(bench: TransferBench) -> None:
    made = [bench.upload() for _ in range(3)]
    for transfer, when in zip(made, (5.0, 3.0, 11.0), strict=True):
        bench.store.change_transfer(transfer.id, Changes(next_look=when))
    assert bench.store.due_transfers(2.0, HOLD) == []
    (due,) = bench.store.due_transfers(10.0, HOLD, limit=1)
    assert due == replace(made[1], next_look=10.0 + HOLD), "the one that waits longest"
    assert bench.due(10.0) == [made[0].id]
    assert bench.due(10.0) == []
    assert bench.due(12.0) == [made[2].id]
    assert bench.due(10.0 + HOLD) == [made[0].id, made[1].id], "whoever held them has died"
    bench.store.change_transfer(made[2].id, Changes(next_look=1e6))
    bench.store.change_transfer(made[0].id, Changes(next_look=80.0))
    assert bench.due(80.0) == [made[0].id], "whoever looked says when to look again"
    assert bench.store.due_transfers(1e9, HOLD, limit=0) == []


def test_two_keepers_never_get_the_same_transfer(bench: TransferBench, queue_engine: Engine, tmp_path: Path) -> None:
    with bench.store.group():
        made = {bench.upload().id for _ in range(40)}
    start = Barrier(3)

    def keep(_: int) -> list[int]:
        with closing(queue_engine(tmp_path, bench.clock)) as store:
            start.wait()
            got: list[int] = []
            while found := store.due_transfers(bench.clock.now, HOLD, 3):
                got += [transfer.id for transfer in found]
            return got

    with ThreadPoolExecutor(3) as pool:
        got = [number for numbers in pool.map(keep, range(3)) for number in numbers]
    assert len(got) == len(set(got)) == 40
    assert set(got) == made


def test_what_ended_is_due_while_something_is_staged(bench: TransferBench) -> None:
    for state, direction in itertools.product(TransferState, Direction):
        if not possible(state, direction):
            continue
        transfer = bench.transfer_in(state, direction)
        assert bench.due(bench.clock.now) == [transfer.id]
        bench.store.change_transfer(transfer.id, Changes(staged=False, next_look=0.0))
        assert bench.due(bench.clock.now) == ([] if state in ENDED else [transfer.id])
        bench.clock.now += 1
        bench.store.change_transfer(transfer.id, Changes(next_look=1e12))


# -- using a staged copy again ------------------------------------------------------------------------------------


def test_a_staged_download_is_found_again(bench: TransferBench) -> None:
    def found(user: str = "ann", path: str = "/data/f", fingerprint: str = "v1", until: float = 50.0) -> int | None:
        transfer = bench.store.staged_download(user, path, fingerprint, until)
        return None if transfer is None else transfer.id

    assert found() is None
    moving = bench.download("ann")
    assert found(until=1e12) is None, "whoever asked for it may have died before its job was enqueued"
    bench.store.change_transfer(moving.id, Changes(job_id=7))
    assert found(until=1e12) == moving.id, "nobody knows yet until when its URL will work"
    assert (found("bob"), found(path="/data/F"), found(fingerprint="v2")) == (None, None, None)
    soon = bench.offer(bench.download("ann"), 50.0)
    assert found(until=50.0) == soon.id, "one that is ready before one that is not"
    late = bench.offer(bench.download("ann"), 90.0)
    bench.offer(bench.download("ann"), 70.0)
    assert found() == late.id, "the one that works longest"
    assert found(until=90.5) == moving.id
    bench.store.move_transfer(moving.id, "fail", Changes(error="gone"))
    assert found(until=90.5) is None
    bench.store.change_transfer(late.id, Changes(staged=False))
    assert found(until=80.0) is None, "nothing of it is in the bucket any more"
    bench.store.move_transfer(soon.id, "expire")
    assert found(until=70.0) is not None


def test_an_upload_is_no_staged_download(bench: TransferBench) -> None:
    upload = bench.store.add_transfer(replace(transfer_spec(Direction.UPLOAD), fingerprint="v1"))
    bench.store.move_transfer(upload.id, "arrive")
    assert bench.store.staged_download("ann", upload.spec.path, "v1", 0.0) is None


# -- purge --------------------------------------------------------------------------------------------------------


def test_purge_leaves_what_is_staged_or_not_over(bench: TransferBench) -> None:
    old, staged, waiting = bench.ended(), bench.upload(), bench.upload()
    bench.store.move_transfer(staged.id, "cancel")
    bench.store.change_transfer(waiting.id, Changes(staged=False))
    bench.clock.now += 100
    recent, newest = bench.ended(), bench.ended()
    assert bench.store.purge_transfers(old.created) == [], "before, not then"
    assert bench.store.purge_transfers(bench.clock.now) == [old.id]
    bench.store.change_transfer(staged.id, Changes(staged=False))
    assert bench.store.purge_transfers(bench.clock.now + 1, limit=2) == [staged.id, recent.id]
    assert bench.store.purge_transfers(bench.clock.now + 1) == [newest.id]
    assert [transfer.id for transfer in bench.store.transfers()] == [waiting.id]
    assert bench.upload().id > newest.id, "a number that was given away never comes back"


def test_the_job_of_a_transfer_stays_as_long_as_that(bench: TransferBench) -> None:
    jobs = Bench(bench.store, bench.clock)
    job, other = jobs.job(), jobs.job()
    for number in (job.id, other.id):
        bench.store.cancel(number)
    transfer = bench.store.change_transfer(bench.download().id, Changes(job_id=job.id))
    assert bench.store.purge(bench.clock.now + 1) == [other.id]
    bench.store.move_transfer(transfer.id, "fail", Changes(error="cancelled"))
    assert bench.store.purge(bench.clock.now + 1) == [job.id]
    assert bench.store.transfer(transfer.id).job_id == job.id, "its number names no other job ever"


# -- jobs that have an owner --------------------------------------------------------------------------------------


def owned(user: str | None, source: str = "s3://bucket/a/", submission_id: str | None = None) -> JobSpec:
    of = None if user is None else owner(user)
    return JobSpec(Kind.SYNC, source, "/fsx/a", submission_id=submission_id, owner=of)


def test_the_owner_of_a_job_comes_back(bench: TransferBench) -> None:
    for of in (None, Owner("ann"), Owner("bob", "/data/ü", 0, 0, (0, 4)), Owner("eve", "/d", 1000, None)):
        job, _ = bench.store.enqueue(JobSpec(Kind.ARCHIVE, "/data/ü/a", "s3://b/a.tar", owner=of))
        assert bench.store.job(job.id).spec.owner == of
    with pytest.raises(ValueError, match="owner has a name"):
        bench.store.enqueue(JobSpec(Kind.COPY, "/a", "s3://b/a", owner=Owner("")))


def test_jobs_are_listed_by_user(bench: TransferBench) -> None:
    ids = [bench.store.enqueue(owned(user))[0].id for user in ("ann", None, "bob", "ann", "ann")]
    bench.store.pause(ids[3])

    def listed(user: str | None, states: tuple[JobState, ...] = (), before: int | None = None) -> list[int]:
        return [ids.index(job.id) for job in bench.store.jobs(states, 2, before, user)]

    assert listed("ann") == [4, 3]
    assert listed("ann", before=ids[3]) == [0]
    assert listed("ann", (JobState.PAUSED,)) == [3]
    assert (listed("bob"), listed("eve"), listed(""), listed(None)) == ([2], [], [], [4, 3])


def test_a_submission_id_is_one_within_the_jobs_of_a_user(bench: TransferBench) -> None:
    made = {user: bench.store.enqueue(owned(user, submission_id="once"))[0].id for user in ("ann", "bob", None)}
    assert len(set(made.values())) == 3
    for user, number in made.items():
        job, is_new = bench.store.enqueue(owned(user, submission_id="once"))
        assert (job.id, is_new) == (number, False)
        with pytest.raises(UsageError, match=f"job {number} was enqueued with it"):
            bench.store.enqueue(owned(user, "s3://other/", "once"))
    other = replace(owned("ann", submission_id="once"), owner=Owner("ann", "/elsewhere"))
    with pytest.raises(UsageError, match=f"job {made['ann']} "):
        bench.store.enqueue(other)
    assert [bench.store.enqueue(owned("ann"))[1] for _ in range(2)] == [True, True], "without one, each is new"


def test_a_job_with_an_owner_is_worked_on_as_any_other(bench: TransferBench) -> None:
    jobs = Bench(bench.store, bench.clock)
    job, _ = bench.store.enqueue(owned("ann"))
    plan = jobs.plan_lease(job)
    assert plan.job.spec.owner == owner("ann")
    bench.store.release_plan(plan)
    jobs.plan(job, items(1))
    batch = jobs.claim()
    assert batch.job.spec.owner == owner("ann")
    assert jobs.finish(batch).spec == job.spec

"""One look at an object in an archive class, for each answer that S3 may give. What no server plays is scripted."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from headrace_daemon.facts import Facts, Outcome
from headrace_daemon.s3.errors import AccessDenied, NoSuchBucket, NotFound, Rejected, ServerFault
from headrace_daemon.s3.restoring import Asked
from headrace_daemon.thawing.looks import MOST_ROUNDS, Looks
from headrace_daemon.thawing.times import NO_CAPACITY
from headrace_queue.jobs import Item, Options
from headrace_queue.states import JobState
from headrace_queue.store import Store
from headrace_queue.thaw import Thaw
from tests.support.queue import ENGINES, Bench, Clock, items

T = TypeVar("T")

GLACIER = {"x-amz-storage-class": "GLACIER"}
UNDER_WAY = GLACIER | {"x-amz-restore": 'ongoing-request="true"'}
RESTORED = GLACIER | {"x-amz-restore": 'ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"'}
TIERED = {"x-amz-storage-class": "INTELLIGENT_TIERING", "x-amz-archive-status": "ARCHIVE_ACCESS"}


class Remote:
    """Answers as it is told. asked: (key, days, tier) of each request to restore."""

    def __init__(self) -> None:
        self.headers: dict[str, str] | Exception = GLACIER
        self.answer: Asked | Exception = Asked.ACCEPTED
        self.asked: list[tuple[str, int | None, str]] = []

    async def start(self) -> None: ...

    async def all_headers(self, bucket: str, key: str, *, version: str = "") -> dict[str, str]:
        if isinstance(self.headers, Exception):
            raise self.headers
        return self.headers

    async def restore_object(self, bucket: str, key: str, *, days: int | None, tier: str, version: str = "") -> Asked:
        self.asked.append((key, days, tier))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Direct:
    """The queue without its thread."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, step: Callable[[Store], T]) -> T:
        return step(self._store)

    write = read


class Told(Facts):
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.warnings: list[str] = []

    def write(self, job: int, item: Item, outcome: Outcome) -> None:
        self.lines.append((outcome.state, outcome.error))

    def flush(self, job: int) -> None: ...

    def job_event(self, job: int, event: str, detail: str) -> None:
        self.warnings.append(detail)


class Scene:
    """A job with one parked object, and a keeper's eyes."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.remote, self.told = bench, Remote(), Told()
        job = bench.job(options=Options(restore_tier="Standard", restore_days=3))
        bench.plan(job, items(1))
        batch = bench.claim()
        bench.store.park(batch.lease, [(0, batch.items[0])])
        bench.store.complete(batch.lease)
        self.job_id = job.id
        host: Any = SimpleNamespace(
            queue=Direct(bench.store),
            remotes=SimpleNamespace(get=lambda name: self.remote),
            report=self.told,
            facts=self.told,
            config=SimpleNamespace(remotes={}),
        )
        self.looks = Looks(host, bench.clock)

    @property
    def thaw(self) -> Thaw:
        (thaw,) = self.bench.store.thaws(self.job_id)
        return thaw

    @property
    def state(self) -> JobState:
        return self.bench.store.job(self.job_id).state


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    clock = Clock()
    store = ENGINES["sqlite"](tmp_path, clock)
    yield Scene(Bench(store, clock))
    store.close()


@pytest.mark.parametrize("answer", [Asked.ACCEPTED, Asked.UNDER_WAY])
async def test_it_is_asked_for_once_and_looked_at_when_it_may_be_there(scene: Scene, answer: Asked) -> None:
    scene.remote.answer, now = answer, scene.bench.clock.now
    await scene.looks.look(scene.thaw)
    assert scene.remote.asked == [("1/k00000", 3, "Standard")]
    assert (scene.thaw.asked, scene.thaw.next_look, scene.thaw.expected) == (now, now + 3 * 3600, now + 5 * 3600)
    scene.remote.headers = UNDER_WAY
    scene.bench.clock.now += 3 * 3600
    await scene.looks.look(scene.thaw)
    assert len(scene.remote.asked) == 1
    assert (scene.thaw.asked, scene.thaw.looks) == (now, 2)
    scene.remote.headers = RESTORED
    await scene.looks.look(scene.thaw)
    assert scene.bench.store.put_back_thawed() == 1


async def test_what_somebody_else_asked_for_is_not_asked_for_again(scene: Scene) -> None:
    scene.remote.headers = UNDER_WAY
    await scene.looks.look(scene.thaw)
    assert scene.remote.asked == []
    assert scene.thaw.asked == scene.bench.clock.now


@pytest.mark.parametrize("answer", [Asked.READABLE, Asked.RESTORED])
async def test_what_can_be_read_by_now_goes_back(scene: Scene, answer: Asked) -> None:
    scene.remote.answer = answer
    await scene.looks.look(scene.thaw)
    assert scene.bench.store.put_back_thawed() == 1


async def test_intelligent_tiering_takes_no_days(scene: Scene) -> None:
    scene.remote.headers = TIERED
    await scene.looks.look(scene.thaw)
    assert scene.remote.asked == [("1/k00000", None, "Standard")]
    assert scene.thaw.storage_class == "ARCHIVE_ACCESS"


async def test_without_capacity_it_is_asked_later_and_told_once(scene: Scene) -> None:
    scene.remote.answer = Asked.LATER
    await scene.looks.look(scene.thaw)
    await scene.looks.look(scene.thaw)
    assert scene.thaw.asked is None
    assert scene.thaw.next_look == scene.bench.clock.now + NO_CAPACITY
    assert len(scene.told.warnings) == 1


@pytest.mark.parametrize(
    ("error", "word", "remedy"),
    [
        (AccessDenied("AccessDenied", "no", 403), "access_denied", "s3:RestoreObject"),
        (Rejected("InvalidArgument", "no such tier", 400), "archived", "--restore-tier"),
    ],
)
async def test_a_refusal_fails_the_object_with_its_remedy(
    scene: Scene, error: Exception, word: str, remedy: str
) -> None:
    scene.remote.answer = error
    await scene.looks.look(scene.thaw)
    assert scene.told.lines == [("failed", word)]
    assert scene.state is JobState.INCOMPLETE
    ((_, failure),) = scene.bench.store.failures(scene.job_id)
    assert failure.error == word
    assert remedy in failure.message


async def test_an_object_that_is_gone_vanished(scene: Scene) -> None:
    scene.remote.headers = NotFound("NoSuchKey", "no", 404)
    await scene.looks.look(scene.thaw)
    assert scene.told.lines == [("vanished", "")]
    assert (scene.state, scene.bench.store.job(scene.job_id).counters.vanished) == (JobState.DONE, 1)


async def test_without_its_bucket_nobody_waits(scene: Scene) -> None:
    """A batch finds out then, and ends the job as a whole."""
    scene.remote.headers = NoSuchBucket("NoSuchBucket", "no", 404)
    await scene.looks.look(scene.thaw)
    assert scene.bench.store.put_back_thawed() == 1


async def test_what_is_refused_and_said_to_be_readable_does_not_go_round_for_ever(scene: Scene) -> None:
    """A service of which reading and looking do not agree."""
    scene.remote.headers, store = {}, scene.bench.store
    for _ in range(MOST_ROUNDS):
        await scene.looks.look(scene.thaw)
        assert store.put_back_thawed() == 1
        batch = scene.bench.claim()
        store.park(batch.lease, [(0, batch.items[0])])
        store.complete(batch.lease)
    await scene.looks.look(scene.thaw)
    assert scene.told.lines == [("failed", "archived")]
    assert scene.state is JobState.INCOMPLETE


async def test_what_may_pass_leaves_it_waiting(scene: Scene) -> None:
    scene.remote.headers = error = ServerFault("InternalError", "no", 500)
    with pytest.raises(type(error)):
        await scene.looks.look(scene.thaw)
    await scene.looks.later(scene.thaw, 8.0)
    assert scene.thaw.next_look == scene.bench.clock.now + 8
    assert scene.state is JobState.RUNNING

"""The planner on a real queue and real trees; buckets are listed from memory, page by page as a service would."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace_daemon.demo.servers import S3Server
from headrace_daemon.files.names import NameRefused, RootLost, temp_name
from headrace_daemon.files.root import Root
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.planner.archive import plan_archive
from headrace_daemon.planner.batches import BatchLimits
from headrace_daemon.planner.compare import FILES, Decision, Route, Side, by_sum
from headrace_daemon.planner.deletion import DeletePlan
from headrace_daemon.planner.entries import Entry, EntryPage, Lister, Listing, Problem
from headrace_daemon.planner.errors import JobFailure, ListingDisorder
from headrace_daemon.planner.listing import list_files, list_remote
from headrace_daemon.planner.plan import CopyPlan
from headrace_daemon.planner.single import plan_one
from headrace_daemon.planner.task import NOTHING_BEFORE, AfterTasks, PlanEnd, PlanLimits, PlanPorts, PlanTask
from headrace_daemon.s3.errors import AccessDenied, NoSuchBucket, NotFound, RemoteDown, TransportError
from headrace_daemon.s3.types import Listed, Page
from headrace_queue.advice import split_advice
from headrace_queue.errors import LeaseLost
from headrace_queue.jobs import (
    Action,
    Compare,
    Counters,
    Failure,
    Item,
    Job,
    JobSpec,
    Kind,
    Options,
    Phase,
    PlanLease,
    PlanStep,
    Rule,
    Worker,
)
from headrace_queue.sqlite import SqliteStore
from headrace_queue.states import JobState
from tests.support.buckets import fresh_bucket
from tests.support.remotes import remote_to

BUCKETS = Route(Side(files=False), Side(files=False, max_object=10**6))
UPLOAD = Route(FILES, Side(files=False, max_object=10**6))
DOWNLOAD = Route(Side(files=False), FILES)
SMALL = PlanLimits(BatchLimits(objects=3, size=2000, large=900), first_objects=2, commit_keys=4, commit_seconds=1e9)


class Crash(Exception):
    """The process dies here."""


@dataclass(frozen=True)
class Profile:
    lists_sorted: bool = True


@dataclass
class Bucket:
    """A service that holds one bucket: keys -> sizes below `p/`, listed in pages of `page` objects."""

    sizes: dict[str, int]
    page: int = 1000
    sorted: bool = True
    breaks_at: int | None = None  # the page that cannot be fetched
    requests: list[str] = field(default_factory=list)
    name: str = "lake"

    @property
    def profile(self) -> Profile:
        return Profile(self.sorted)

    async def list_page(self, bucket: str, prefix: str, *, after: str = "", token: str | None = None) -> Page:
        self.requests.append(token or f"after {after}")
        number, start, begin = token.split(",", 2) if token else ("0", "0", after)
        if int(number) == self.breaks_at:
            raise TransportError("reset", "by peer")
        if bucket != "b":
            raise NoSuchBucket("NoSuchBucket", bucket, 404)
        keys = sorted("p/" + key for key in self.sizes) if self.sorted else ["p/" + key for key in self.sizes]
        keys = [key for key in keys if key.startswith(prefix) and (not self.sorted or key > begin)]
        end = int(start) + self.page
        objects = [Listed(key, self.sizes[key[2:]], 10**18, "e") for key in keys[int(start) : end]]
        return Page(objects, f"{int(number) + 1},{end},{begin}" if end < len(keys) else None)

    def lister(self, scratch: Path | None = None, bucket: str = "b") -> Lister:
        return lambda after: list_remote(self, bucket, "p/", after, scratch=scratch)


class Bench:
    """A queue with one job, and the planner's ports to it."""

    def __init__(self, folder: Path, options: Options, kind: Kind = Kind.SYNC) -> None:
        self.store = SqliteStore(folder / "queue.db")
        self.folder = folder
        self.job = self.store.enqueue(JobSpec(kind, "lake://b/p/", "vault://b/p/", options))[0]
        self.told: list[tuple[str, Action, str]] = []
        self.steps: list[PlanStep] = []
        self.rooms: list[int] = []
        self.has_room = True
        self.same: bool | Exception = True
        self.kept: list[tuple[str, str]] = []
        self.moved: list[str] = []
        self.events: list[str] = []
        self.before_commit: Callable[[int], None] = lambda _: None
        self.after_commit: Callable[[int], None] = lambda _: None
        self.worker = ""

    def lease(self, phase: Phase = Phase.COPY) -> PlanLease:
        """The plan, by a worker that takes the place of the one before."""
        if self.worker:
            self.store.expire([self.worker])
        self.worker = f"w{int(self.worker[1:] or 0) + 1 if self.worker else 1}"
        self.store.register(Worker(self.worker, "host", os.getpid(), 1))
        lease = self.store.claim_plan(self.worker, 10_000)
        assert lease is not None
        assert lease.phase is phase
        return lease

    def ports(self, lease: PlanLease) -> PlanPorts:
        async def commit(step: PlanStep) -> int:
            self.before_commit(len(self.steps))
            waiting = self.store.commit_plan(lease, step)
            self.steps.append(step)
            self.after_commit(len(self.steps))
            return waiting

        async def room(waiting: int) -> bool:
            self.rooms.append(waiting)
            return self.has_room

        async def look(source: Entry, destination: Entry | None) -> Decision:
            if isinstance(self.same, Exception):
                raise self.same
            return by_sum(self.same, "sha256", "")

        return PlanPorts(
            commit,
            room,
            look,
            lambda item, why: self.told.append((item.key, item.action, why)),
            lambda item, decision: self.kept.append((item.key, decision.proof)),
            lambda event, _: self.events.append(event),
            lambda: 0.0,
            lambda _: None,
            lambda item: self.moved.append(item.key),
        )

    async def run(
        self,
        source: Lister,
        destination: Lister,
        *,
        phase: Phase = Phase.COPY,
        limits: PlanLimits = SMALL,
        route: Route = BUCKETS,
        trash: str = "",
        restores_since: int | None = None,
        after: AfterTasks = NOTHING_BEFORE,
    ) -> PlanEnd:
        lease = self.lease(phase)
        task = PlanTask(lease, source, destination, route, self.folder, limits, trash, restores_since, after)
        kind = CopyPlan if phase is Phase.COPY else DeletePlan
        return await kind(task, self.ports(lease)).run()

    def work_off(self) -> list[Item]:
        """Does everything that waits, and gives it back."""
        items: list[Item] = []
        while batches := self.store.claim(self.worker, 100):
            for batch in batches:
                assert [item.key for item in batch.items] == sorted(item.key for item in batch.items)
                items += batch.items
                deleted = sum(item.action is Action.DELETE for item in batch.items)
                counters = Counters(done=len(batch.items) - deleted, deleted=deleted)
                self.store.progress(batch.lease, range(len(batch.items)), counters, ())
                self.store.complete(batch.lease)
        return sorted(items)

    def state(self) -> Job:
        return self.store.job(self.job.id)


@pytest.fixture
def threads() -> Iterator[FileThreads]:
    threads = FileThreads(2)
    yield threads
    threads.close()


def keys(items: list[Item]) -> list[str]:
    return [item.key for item in items]


def write_tree(root: Path, sizes: dict[str, int]) -> None:
    for key, size in sizes.items():
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)


TREES = st.dictionaries(
    st.text(st.sampled_from("ab/-é"), min_size=1, max_size=4).filter(lambda key: "//" not in key),
    st.sampled_from([0, 1, 500, 901]),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(
    source=TREES,
    destination=TREES,
    pages=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    in_order=st.tuples(st.booleans(), st.booleans()),
    crashes=st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=6),
    with_rules=st.booleans(),
    max_waiting=st.sampled_from([1, 3, 200]),
)
async def test_each_object_once_whenever_the_planner_dies(
    source: dict[str, int],
    destination: dict[str, int],
    pages: tuple[int, int],
    in_order: tuple[bool, bool],
    crashes: list[tuple[int, bool]],
    with_rules: bool,
    max_waiting: int,
) -> None:
    rules = (Rule(False, "*a"), Rule(True, "b*")) if with_rules else ()
    left = Bucket(source, page=pages[0], sorted=in_order[0])
    right = Bucket(destination, page=pages[1], sorted=in_order[1])
    limits = PlanLimits(SMALL.batches, 2, max_waiting, commit_keys=4, commit_seconds=1e9)
    with TemporaryDirectory() as name:
        folder = Path(name)
        bench = Bench(folder, Options(rules=rules, delete=True, max_delete=None))
        todo = list(crashes)
        bench.has_room = False
        items: list[Item] = []
        refused = False
        for phase in (Phase.COPY, Phase.DELETE):
            end = PlanEnd.PAUSED
            while end is not PlanEnd.FINISHED:
                arm(bench, todo.pop(0) if todo else None)
                try:
                    end = await bench.run(left.lister(folder), right.lister(folder), phase=phase, limits=limits)
                except Crash:
                    end = PlanEnd.PAUSED if bench.state().phase is phase else PlanEnd.FINISHED
                except JobFailure:
                    refused = True
                    break
                items += bench.work_off()

        def visible(tree: dict[str, int]) -> set[str]:
            return {key for key in tree if not with_rules or not key.endswith("a") or key.startswith("b")}

        mine, theirs = visible(source), visible(destination)
        copied = sorted(key for key in mine if source[key] != destination.get(key))
        gone = sorted(theirs - mine)
        assert keys(sorted(item for item in items if item.action is Action.COPY)) == copied
        assert refused is (not source and bool(gone))
        assert keys(sorted(item for item in items if item.action is Action.DELETE)) == ([] if refused else gone)
        counters = bench.state().counters
        assert counters.listed == len(source)
        assert counters.excluded == len(source) - len(mine)
        assert counters.planned == counters.done == len(copied)
        assert counters.unchanged == len(mine) - len(copied)
        assert counters.extra == len(gone)
        assert counters.planned_bytes == sum(source[key] for key in copied)
        if not refused:
            assert bench.state().state is JobState.DONE
        bench.store.close()


def arm(bench: Bench, crash: tuple[int, bool] | None) -> None:
    """Let the planner die at the n-th commit from now, after it became durable or before."""
    bench.before_commit = bench.after_commit = lambda _: None
    if crash is None:
        return
    done = len(bench.steps)
    at, durable = crash

    def die_before(steps: int) -> None:
        if steps - done == at - 1:
            raise Crash

    def die_after(steps: int) -> None:
        if steps - done == at:
            raise Crash

    if durable:
        bench.after_commit = die_after
    else:
        bench.before_commit = die_before


async def test_transfers_start_before_the_listing_ends(tmp_path: Path) -> None:
    """The first commit comes after one page, with small batches; later ones are whole."""
    bench = Bench(tmp_path, Options())
    source = Bucket({f"{n:05d}": 1 for n in range(5000)})
    first_requests: list[int] = []
    bench.before_commit = lambda _: first_requests.append(len(source.requests))
    await bench.run(source.lister(), Bucket({}).lister(), limits=PlanLimits())
    assert first_requests[0] <= 3  # the page in use, and those read ahead
    sizes = [len(batch) for step in bench.steps for batch in step.batches]
    assert sum(sizes) == 5000
    assert max(sizes[:3]) <= 100
    assert max(sizes) == 1000
    assert len(sizes) < 12


async def test_the_plan_pauses_when_enough_waits(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Options())
    source = Bucket({f"{n:05d}": 10**5 for n in range(2000)}, page=100)
    bench.has_room = False
    limits = PlanLimits(BatchLimits(large=10**5), max_waiting=200)
    assert await bench.run(source.lister(), Bucket({}).lister(), limits=limits) is PlanEnd.PAUSED
    waiting = bench.store.depth().batches
    assert 200 <= sum(waiting.values()) <= 450  # one segment of large objects more, at worst
    assert bench.rooms == [sum(waiting.values())]
    assert len(source.requests) < 12


async def test_counters_move_although_nothing_is_to_do(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Options())
    sizes = {f"{n:06d}": 7 for n in range(30_000)}
    await bench.run(Bucket(sizes).lister(), Bucket(sizes).lister(), limits=PlanLimits())
    assert [step.batches for step in bench.steps] == [()] * len(bench.steps)
    assert len(bench.steps) >= 6
    assert bench.state().counters == Counters(listed=30_000, unchanged=30_000, unchanged_bytes=210_000)
    assert bench.state().state is JobState.DONE


@pytest.mark.parametrize("side", ["source", "destination"])
@pytest.mark.parametrize("phase", [Phase.COPY, Phase.DELETE])
async def test_half_a_listing_deletes_nothing(tmp_path: Path, side: str, phase: Phase) -> None:
    source = Bucket({f"{n:03d}": 1 for n in range(0, 60, 2)}, page=5)
    destination = Bucket({f"{n:03d}": 1 for n in range(60)}, page=5)
    bench = Bench(tmp_path, Options(delete=True))
    if phase is Phase.DELETE:
        await bench.run(source.lister(), destination.lister())
    (source if side == "source" else destination).breaks_at = 4
    with pytest.raises(TransportError):
        await bench.run(source.lister(), destination.lister(), phase=phase)
    assert bench.work_off() == []
    assert bench.state().state is JobState.RUNNING
    source.breaks_at = destination.breaks_at = None
    await bench.run(source.lister(), destination.lister(), phase=phase)
    if phase is Phase.COPY:
        await bench.run(source.lister(), destination.lister(), phase=Phase.DELETE)
    assert keys(bench.work_off()) == [f"{n:03d}" for n in range(1, 60, 2)]
    assert bench.state().counters.deleted == bench.state().counters.extra == 30


@pytest.mark.parametrize(("max_delete", "refused"), [(29, True), (30, False), (None, False), (0, True)])
@pytest.mark.parametrize("dry_run", [False, True])
async def test_max_delete(tmp_path: Path, max_delete: int | None, refused: bool, dry_run: bool) -> None:
    source, destination = Bucket({"a": 1}), Bucket({"a": 1, **{f"x{n:02d}": 1 for n in range(30)}}, page=7)
    bench = Bench(tmp_path, Options(delete=True, max_delete=max_delete, dry_run=dry_run))
    await bench.run(source.lister(), destination.lister())
    if refused:
        with pytest.raises(JobFailure, match=rf"30 objects.*--max-delete allows {max_delete}\. Nothing was deleted"):
            await bench.run(source.lister(), destination.lister(), phase=Phase.DELETE)
    else:
        await bench.run(source.lister(), destination.lister(), phase=Phase.DELETE)
    gone = [f"x{n:02d}" for n in range(30)]
    assert keys(bench.work_off()) == ([] if dry_run or refused else gone)
    assert [told[0] for told in bench.told] == (gone if dry_run else [])


async def test_a_share_is_of_what_the_job_sees_at_the_destination(tmp_path: Path) -> None:
    there = {"a": 1, "b": 1, "x": 1, "y": 1, **{f"out/{n}": 1 for n in range(20)}}
    for percent, refused in ((49, True), (50, False)):
        folder = tmp_path / str(percent)
        folder.mkdir()
        options = Options(rules=(Rule(False, "out/*"),), delete=True, max_delete=None, max_delete_percent=percent)
        bench = Bench(folder, options)
        source, destination = Bucket({"a": 1, "b": 1}), Bucket(there, page=3)
        await bench.run(source.lister(), destination.lister())
        if refused:
            with pytest.raises(JobFailure, match=r"remove 2 objects .* of 4; --max-delete allows 49 %\. Nothing was"):
                await bench.run(source.lister(), destination.lister(), phase=Phase.DELETE)
        else:
            await bench.run(source.lister(), destination.lister(), phase=Phase.DELETE)
        assert keys(bench.work_off()) == ([] if refused else ["x", "y"])


async def test_what_stands_under_another_name_does_not_count(tmp_path: Path) -> None:
    source, destination = Bucket({"a//b": 1, "c//d": 1}), Bucket({"a/b": 1, "c/d": 1, "x": 1})
    bench = Bench(tmp_path, Options(delete=True, max_delete=1, max_delete_percent=40))
    await bench.run(source.lister(), destination.lister())
    bench.work_off()
    await bench.run(source.lister(), destination.lister(), phase=Phase.DELETE)
    assert keys(bench.work_off()) == ["x"]


async def test_after_a_failure_nothing_is_deleted(tmp_path: Path) -> None:
    source, destination = Bucket({"a": 1, "b": 1}), Bucket({"a": 1, "x": 1})
    bench = Bench(tmp_path, Options(delete=True))
    await bench.run(source.lister(), destination.lister())
    (batch,) = bench.store.claim(bench.worker, 1)
    bench.store.progress(batch.lease, [0], Counters(), [Failure(batch.items[0], "access_denied", "")])
    bench.store.complete(batch.lease)
    asked = len(destination.requests)
    assert await bench.run(source.lister(), destination.lister(), phase=Phase.DELETE) is PlanEnd.FINISHED
    assert len(destination.requests) == asked  # nor is anything listed for it
    assert (bench.work_off(), bench.events, bench.state().state) == ([], ["nothing_deleted"], JobState.INCOMPLETE)
    bench.store.retry(bench.job.id)
    assert keys(bench.work_off()) == ["b"]
    await bench.run(source.lister(), destination.lister(), phase=Phase.DELETE)
    assert keys(bench.work_off()) == ["x"]
    assert bench.state().state is JobState.DONE


async def test_what_is_too_large_stays_a_failure(tmp_path: Path) -> None:
    """A retry, which lists nothing, would send it in spite of the limit; and nothing is deleted after it."""
    source, destination = Bucket({"a": 1, "big": 10**7}), Bucket({"a": 1, "x": 1})
    bench = Bench(tmp_path, Options(delete=True))
    await bench.run(source.lister(), destination.lister())
    for _ in range(2):
        await bench.run(source.lister(), destination.lister(), phase=Phase.DELETE)
        assert bench.work_off() == []
        assert (bench.state().state, bench.state().counters.failed) == (JobState.INCOMPLETE, 1)
        bench.store.retry(bench.job.id)


async def test_a_retry_deletes_only_what_is_still_gone(tmp_path: Path) -> None:
    """A deletion that failed is no order for later: the object may be back at the source by then."""
    source, destination = Bucket({"a": 1}), Bucket({"a": 1, "back": 1, "gone": 1})
    bench = Bench(tmp_path, Options(delete=True))
    await bench.run(source.lister(), destination.lister())
    await bench.run(source.lister(), destination.lister(), phase=Phase.DELETE)
    (batch,) = bench.store.claim(bench.worker, 1)
    failures = [Failure(item, "access_denied", "") for item in batch.items]
    bench.store.progress(batch.lease, range(len(batch.items)), Counters(), failures)
    bench.store.complete(batch.lease)
    assert bench.state().state is JobState.INCOMPLETE
    bench.store.retry(bench.job.id)
    assert bench.work_off() == []
    source.sizes["back"] = 1
    await bench.run(source.lister(), destination.lister(), phase=Phase.DELETE)
    assert keys(bench.work_off()) == ["gone"]
    assert bench.state().state is JobState.DONE


async def test_the_trash_is_on_neither_side(tmp_path: Path) -> None:
    source = Bucket({"a": 1, "t/new": 1})
    destination = Bucket({"a": 1, "t/old": 1, "t0": 1, "x": 1})
    bench = Bench(tmp_path, Options(delete=True))
    await bench.run(source.lister(), destination.lister(), trash="t/")
    assert bench.work_off() == []
    assert (bench.state().counters.excluded, bench.state().counters.extra) == (1, 2)
    await bench.run(source.lister(), destination.lister(), phase=Phase.DELETE, trash="t/")
    assert keys(bench.work_off()) == ["t0", "x"]


async def test_what_a_service_stored_under_another_name_is_not_foreign(tmp_path: Path) -> None:
    source = Bucket({"a//b": 1, "odd/back\\slash": 1})
    destination = Bucket({"a/b": 1, "odd/back/slash": 1, "x": 1})
    bench = Bench(tmp_path, Options(delete=True))
    await bench.run(source.lister(), destination.lister())
    bench.work_off()
    await bench.run(source.lister(), destination.lister(), phase=Phase.DELETE)
    assert keys(bench.work_off()) == ["x"]


async def test_max_delete_counts_what_was_deleted_before_a_restart(tmp_path: Path) -> None:
    source, destination = Bucket({"a": 1}), Bucket({"a": 1, **{f"x{n:02d}": 1 for n in range(9)}})
    bench = Bench(tmp_path, Options(delete=True, max_delete=9))
    await bench.run(source.lister(), destination.lister())
    bench.has_room = False
    limits = PlanLimits(BatchLimits(objects=2), max_waiting=1)
    assert await bench.run(source.lister(), destination.lister(), phase=Phase.DELETE, limits=limits) is PlanEnd.PAUSED
    assert len(bench.work_off()) == 9
    destination.sizes = {"a": 1, "z": 1}  # what this job deleted is gone, and another one came
    with pytest.raises(JobFailure, match=r"10 objects.*9 were deleted before"):
        await bench.run(source.lister(), destination.lister(), phase=Phase.DELETE)
    assert bench.work_off() == []


async def test_an_empty_source_empties_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Options(delete=True, max_delete=None))
    source, destination = Bucket({}), Bucket({"a": 1})
    await bench.run(source.lister(), destination.lister())
    with pytest.raises(JobFailure, match=r"lake://b/p/: the source is empty"):
        await bench.run(source.lister(), destination.lister(), phase=Phase.DELETE)
    assert bench.work_off() == []


async def test_a_source_that_vanishes_between_the_phases_empties_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Options(delete=True, max_delete=None))
    source, destination = Bucket({"a": 1}), Bucket({"a": 1})
    await bench.run(source.lister(), destination.lister())
    source.sizes = {}
    with pytest.raises(JobFailure, match="the source is empty"):
        await bench.run(source.lister(), destination.lister(), phase=Phase.DELETE)


async def test_an_empty_source_empties_what_it_is_asked_to(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Options(delete=True, allow_empty_source=True, max_delete=2))
    source, destination = Bucket({}), Bucket({"a": 1, "b": 1})
    await bench.run(source.lister(), destination.lister())
    await bench.run(source.lister(), destination.lister(), phase=Phase.DELETE)
    assert keys(bench.work_off()) == ["a", "b"]


async def test_what_is_selected_and_not_at_the_source_is_not_emptied(tmp_path: Path) -> None:
    """A mistyped region, or one that was renamed, is as an empty source: other regions do not make up for it."""
    source = Bucket({"a/1": 1, "a/2": 1, "renamed/x": 1})
    destination = Bucket({"a/1": 1, "a/2": 1, "a/old": 1, "b/1": 1, "c/1": 1})
    bench = Bench(tmp_path, Options(delete=True, select=("a", "b"), max_delete=None))
    await bench.run(source.lister(), destination.lister())
    with pytest.raises(JobFailure, match="nothing there is selected by --select b, so --delete") as why:
        await bench.run(source.lister(), destination.lister(), phase=Phase.DELETE)
    assert "--allow-empty-source" in split_advice(str(why.value))[1]
    assert bench.work_off() == []


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        (Options(delete=True, select=("a", "b"), max_delete=None, allow_empty_source=True), ["a/old", "b/1"]),
        (Options(delete=True, select=("a", "nowhere"), max_delete=None), ["a/old"]),
    ],
)
async def test_what_is_selected_and_meant_to_go_goes(options: Options, gone: list[str], tmp_path: Path) -> None:
    source, destination = Bucket({"a/1": 1}), Bucket({"a/1": 1, "a/old": 1, "b/1": 1, "c/1": 1})
    bench = Bench(tmp_path, options)
    await bench.run(source.lister(), destination.lister())
    await bench.run(source.lister(), destination.lister(), phase=Phase.DELETE)
    assert keys(bench.work_off()) == gone


async def test_excluded_objects_survive_delete(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Options(rules=(Rule(False, "keep/*"),), delete=True))
    source, destination = Bucket({"a": 1, "keep/s": 1}), Bucket({"keep/x": 1, "old": 1})
    await bench.run(source.lister(), destination.lister())
    assert keys(bench.work_off()) == ["a"]
    await bench.run(source.lister(), destination.lister(), phase=Phase.DELETE)
    assert keys(bench.work_off()) == ["old"]


async def test_a_dry_run_tells_everything_and_plans_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Options(dry_run=True, delete=True))
    source, destination = Bucket({"a": 1, "b": 2, "c": 3}), Bucket({"b": 1, "c": 3, "d": 4})
    await bench.run(source.lister(), destination.lister())
    await bench.run(source.lister(), destination.lister(), phase=Phase.DELETE)
    assert bench.told == [
        ("a", Action.COPY, "missing"),
        ("b", Action.COPY, "size"),
        ("d", Action.DELETE, "not_in_source"),
    ]
    assert bench.work_off() == []
    job = bench.state()
    assert (job.counters.planned, job.counters.planned_bytes, job.counters.unchanged) == (2, 3, 1)
    assert job.state is JobState.DONE


@pytest.mark.parametrize("same", [True, False])
async def test_checksums_decide_where_the_listing_cannot(tmp_path: Path, same: bool) -> None:
    bench = Bench(tmp_path, Options(compare=Compare.CHECKSUM))
    bench.same = same
    sizes = {f"{n:03d}": 5 for n in range(100)}
    await bench.run(Bucket(sizes).lister(), Bucket(sizes).lister())
    assert keys(bench.work_off()) == ([] if same else sorted(sizes))
    assert bench.kept == ([(key, "sha256") for key in sorted(sizes)] if same else [])


@pytest.mark.parametrize("delete", [False, True])
async def test_only_what_exists_is_updated(tmp_path: Path, delete: bool) -> None:
    bench = Bench(tmp_path, Options(existing=True, delete=delete))
    source, destination = Bucket({"a": 1, "b": 2, "c": 3}), Bucket({"b": 1, "c": 3, "d": 4})
    await bench.run(source.lister(), destination.lister())
    assert keys(bench.work_off()) == ["b"]
    counters = bench.state().counters
    assert (counters.listed, counters.excluded, counters.unchanged, counters.planned) == (3, 1, 1, 1)
    if delete:
        await bench.run(source.lister(), destination.lister(), phase=Phase.DELETE)
        assert keys(bench.work_off()) == ["d"]


@pytest.mark.parametrize(
    "error", [NotFound("NoSuchKey", "", 404), AccessDenied("AccessDenied", "", 403), NameRefused("k", "")]
)
async def test_what_cannot_be_looked_at_is_sent(tmp_path: Path, error: Exception) -> None:
    """The transfer tells what is wrong with it; a job never ends because of one object."""
    bench = Bench(tmp_path, Options(compare=Compare.CHECKSUM))
    bench.same = error
    await bench.run(Bucket({"a": 5}).lister(), Bucket({"a": 5}).lister())
    assert keys(bench.work_off()) == ["a"]


@pytest.mark.parametrize("error", [NoSuchBucket("NoSuchBucket", "", 404), RemoteDown("down", ""), RootLost("", "")])
async def test_a_side_that_cannot_be_looked_at_stops_the_plan(tmp_path: Path, error: Exception) -> None:
    bench = Bench(tmp_path, Options(compare=Compare.CHECKSUM))
    bench.same = error
    with pytest.raises(type(error)):
        await bench.run(Bucket({"a": 5}).lister(), Bucket({"a": 5}).lister())
    assert bench.steps == []


async def test_a_folder_marker_is_sent_to_a_tree_that_lacks_it(tmp_path: Path) -> None:
    for exists in (False, True):
        folder = tmp_path / str(exists)
        folder.mkdir()
        bench = Bench(folder, Options())
        bench.same = exists
        await bench.run(Bucket({"": 0, "dir/": 0}).lister(), Bucket({}).lister(), route=DOWNLOAD)
        assert keys(bench.work_off()) == ([] if exists else ["dir/"])  # the marker of the prefix itself never counts


async def test_an_object_too_large_for_the_destination_fails(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Options())
    await bench.run(Bucket({"big": 10**6 + 1, "fits": 10**6}).lister(), Bucket({}).lister())
    assert keys(bench.work_off()) == ["fits"]
    (failure,) = [failure for step in bench.steps for failure in step.failures]
    assert (failure.item.key, failure.error) == ("big", "too_large")
    job = bench.state()
    assert job.state is JobState.INCOMPLETE
    assert job.counters.planned == job.counters.done + job.counters.failed == 2


async def test_a_cancelled_job_stops_its_plan(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Options())
    source = Bucket({f"{n:04d}": 1 for n in range(3000)}, page=10)

    def cancel(steps: int) -> None:
        if steps == 1:
            bench.store.cancel(bench.job.id)

    bench.after_commit = cancel
    with pytest.raises(LeaseLost):
        await bench.run(source.lister(), Bucket({}).lister())
    assert len(source.requests) < 10


# -- listings ---------------------------------------------------------------------------------------------------------


async def listed(lister: Lister, after: str = "") -> list[str]:
    return [entry.key async for page in lister(after) for entry in page.entries]


async def test_a_bucket_is_listed_from_a_key_on() -> None:
    bucket = Bucket({"": 0, **{f"{n:02d}": n for n in range(25)}}, page=4)
    assert await listed(bucket.lister()) == [f"{n:02d}" for n in range(25)]
    bucket.requests.clear()
    assert await listed(bucket.lister(), "19") == [f"{n:02d}" for n in range(20, 25)]
    assert bucket.requests[0] == "after p/19"


async def test_keys_before_the_start_are_an_error() -> None:
    """The service lists by folder, or ignores where to start: to skip such a key could lose it."""

    class Deaf(Bucket):
        async def list_page(self, bucket: str, prefix: str, *, after: str = "", token: str | None = None) -> Page:
            return await super().list_page(bucket, prefix, token=token)

    with pytest.raises(ListingDisorder):
        await listed(Deaf({f"{n:02d}": n for n in range(25)}, page=4).lister(), "19")


async def test_an_unsorted_service_is_sorted_on_disk(tmp_path: Path) -> None:
    bucket = Bucket({"": 0, **{f"{n * 7 % 25:02d}": n for n in range(25)}}, page=4, sorted=False)
    assert await listed(bucket.lister(tmp_path)) == [f"{n:02d}" for n in range(25)]
    assert await listed(bucket.lister(tmp_path), "10") == [f"{n:02d}" for n in range(11, 25)]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("names", [["a", "c", "b"], ["a", "a", "b"], ["b", "a", "c"]])
@pytest.mark.parametrize("page", [1, 2, 3])
async def test_disorder_is_an_error(names: list[str], page: int) -> None:
    class Disorderly(Bucket):
        async def list_page(self, bucket: str, prefix: str, *, after: str = "", token: str | None = None) -> Page:
            start = int(token or 0)
            objects = [Listed("p/" + name, 1, 0, "") for name in names[start : start + page]]
            return Page(objects, str(start + page) if start + page < len(names) else None)

    with pytest.raises(ListingDisorder, match="lake://b/p/"):
        await listed(Disorderly({}).lister())


async def test_keys_from_elsewhere_are_an_error() -> None:
    class Confused(Bucket):
        async def list_page(self, bucket: str, prefix: str, *, after: str = "", token: str | None = None) -> Page:
            return Page([Listed("p/a", 1, 0, ""), Listed("q/b", 1, 0, "")], None)

    with pytest.raises(ListingDisorder):
        await listed(Confused({}).lister())


async def test_a_missing_bucket_is_raised_and_a_missing_prefix_is_empty() -> None:
    assert await listed(Bucket({}).lister()) == []
    with pytest.raises(NoSuchBucket):
        await listed(Bucket({}).lister(bucket="other"))


@pytest.mark.server
@pytest.mark.parametrize("service", ["rclone_s3", "seaweed", "moto_s3"])
async def test_real_services_are_listed_in_key_order_from_any_key(service: str, request: pytest.FixtureRequest) -> None:
    server: S3Server = request.getfixturevalue(service)
    bucket = fresh_bucket(server, "planner")
    names = [
        "a b/c",
        "a!",
        "a-x/1",
        "a.txt",
        "a/z",
        "test-123.txt",
        "test.txt",
        "test/foo.txt",
        "z+%&",
        "é",
        "\U0001f40b",
    ]
    with closing(server.client()) as client:
        for name in [*names, "\ue000"]:
            client.put_object(Bucket=bucket, Key=f"p/{name}", Body=b"12345")
        client.put_object(Bucket=bucket, Key="q", Body=b"")
    names = sorted([*names, "\ue000"])
    async with remote_to(server.endpoint_urls, keys=(server.keys.access_key, server.keys.secret_key)) as remote:
        for start in range(len(names) + 1):
            after = names[start - 1] if start else ""
            assert await listed(lambda key: list_remote(remote, bucket, "p/", key), after) == names[start:]
        assert await listed(lambda key: list_remote(remote, bucket, "nothing/", key)) == []
        with pytest.raises(NoSuchBucket):
            await listed(lambda key: list_remote(remote, bucket + "-missing", "p/", key))


# -- trees ------------------------------------------------------------------------------------------------------------


def tree(root: Root, threads: FileThreads) -> Lister:
    return lambda after: list_files(root, threads, after)


async def test_a_tree_and_a_bucket_merge_in_key_order(tmp_path: Path, threads: FileThreads) -> None:
    """Directory order is not key order: `test/foo.txt` stands between `test-123.txt` and `test.txt` or behind both."""
    sizes = {"test/foo.txt": 1, "test-123.txt": 2, "test.txt": 3, "a b/c": 4, "a!": 5, "a/z": 6, "é": 7}
    (tmp_path / "src").mkdir()
    write_tree(tmp_path / "src", sizes)
    root = Root.source(str(tmp_path / "src"))
    bench = Bench(tmp_path, Options(delete=True))
    bucket = Bucket({**sizes, "test.txt": 9, "test/": 0, "old": 1}, page=2)
    await bench.run(tree(root, threads), bucket.lister(), route=UPLOAD)
    assert keys(bench.work_off()) == ["test.txt"]
    await bench.run(tree(root, threads), bucket.lister(), route=UPLOAD, phase=Phase.DELETE)
    assert keys(bench.work_off()) == ["old"]  # not the folder marker: trees have none
    root.close()


async def test_what_a_tree_hides_fails_and_is_not_deleted(tmp_path: Path, threads: FileThreads) -> None:
    source = tmp_path / "src"
    write_tree(source, {"a": 1, "shut": 1, "z": 1})
    (source / os.fsdecode(b"bad\xff")).write_bytes(b"1")
    (source / "away").symlink_to("/etc")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(source / "socket"))
    root = Root.source(str(source))
    bench = Bench(tmp_path, Options(delete=True))
    bucket = Bucket({"a": 1, "away/x": 1, "away/y": 1, "awayx": 1, "socket": 1, "z": 1}, page=1)
    await bench.run(tree(root, threads), bucket.lister(), route=UPLOAD)
    assert keys(bench.work_off()) == ["shut"]
    failures = [failure for step in bench.steps for failure in step.failures]
    assert [(failure.item.key, failure.error) for failure in failures] == [("bad\\xff", "bad_name")]
    counters = bench.state().counters
    assert (counters.listed, counters.excluded, counters.failed, counters.extra) == (6, 2, 1, 1)
    await bench.run(tree(root, threads), bucket.lister(), route=UPLOAD, phase=Phase.DELETE)
    assert bench.work_off() == []  # a name that cannot be sent has failed
    assert bench.state().state is JobState.INCOMPLETE
    (source / os.fsdecode(b"bad\xff")).unlink()
    bench.store.retry(bench.job.id)
    assert bench.work_off() == []
    await bench.run(tree(root, threads), bucket.lister(), route=UPLOAD, phase=Phase.DELETE)
    assert bench.work_off() == []
    assert bench.state().state is JobState.INCOMPLETE  # only a new job lists it anew
    root.close()


async def test_an_unmounted_source_is_no_empty_source(tmp_path: Path, threads: FileThreads) -> None:
    source = tmp_path / "src"
    write_tree(source, {"a": 1})
    root = Root.source(str(source))
    source.rename(tmp_path / "elsewhere")
    source.mkdir()
    bench = Bench(tmp_path, Options(delete=True))
    with pytest.raises(RootLost):
        await bench.run(tree(root, threads), Bucket({"a": 1}).lister(), route=UPLOAD)
    root.close()


# -- copy -------------------------------------------------------------------------------------------------------------


ASKED = Options(compare=Compare.ALWAYS)
"""What `headrace copy` means where nothing else is said."""


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("options", [ASKED, Options(no_clobber=True), replace(ASKED, dry_run=True)])
async def test_copy_plans_one_item(tmp_path: Path, there: bool, options: Options) -> None:
    bench = Bench(tmp_path, options, Kind.COPY)

    async def source() -> Entry | None:
        return Entry("", 5, 7, "e")

    async def destination() -> Entry | None:
        return Entry("", 5, 9) if there else None

    lease = bench.lease()
    assert await plan_one(lease, source, destination, BUCKETS, bench.ports(lease)) is PlanEnd.FINISHED
    planned = [] if options.dry_run or (options.no_clobber and there) else [Item("", 5, 7, "e")]
    assert bench.work_off() == planned
    assert bench.told == ([("", Action.COPY, "asked")] if options.dry_run else [])
    assert bench.state().state is JobState.DONE


async def test_copy_of_nothing_fails_the_job(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Options(), Kind.COPY)

    async def nothing() -> Entry | None:
        return None

    lease = bench.lease()
    with pytest.raises(JobFailure, match=r"lake://b/p/: there is no such object"):
        await plan_one(lease, nothing, nothing, BUCKETS, bench.ports(lease))


# -- archive ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [Options(), Options(no_clobber=True)])
async def test_an_archive_is_never_taken_for_unchanged_by_its_size(tmp_path: Path, options: Options) -> None:
    """Archives are filled up to whole records: two of one size may well hold different files."""
    bench = Bench(tmp_path, options, Kind.ARCHIVE)
    passed: list[Problem] = []

    async def measure(pass_over: Callable[[Problem], None]) -> Entry:
        pass_over(Problem("pipe", "special_file", "a named pipe"))
        return Entry("", 10240, 7)

    async def there() -> Entry | None:
        return Entry("", 10240, 9)

    lease = bench.lease()
    ports = replace(bench.ports(lease), passed=passed.append)
    assert await plan_archive(lease, measure, there, UPLOAD, ports) is PlanEnd.FINISHED
    assert bench.work_off() == ([] if options.no_clobber else [Item("", 10240, 7)])
    assert [problem.key for problem in passed] == ["pipe"]
    counters = bench.state().counters
    assert (counters.listed, counters.excluded, counters.unchanged) == (2, 1, int(options.no_clobber))


# -- after data repository tasks --------------------------------------------------------------------------------------


def holding(*entries: Entry) -> Lister:
    """A side that holds just these."""

    async def pages(after: str) -> Listing:
        yield EntryPage([entry for entry in entries if entry.key > after])

    return pages


SECOND = 10**9


async def test_what_an_export_moved_counts_as_moved(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Options())
    source = holding(Entry("new", 5, 90 * SECOND), Entry("old", 5, 10 * SECOND), Entry("other", 5, 0))
    destination = holding(Entry("new", 5, 100 * SECOND), Entry("old", 5, 50 * SECOND), Entry("other", 6, 100 * SECOND))
    await bench.run(source, destination, after=AfterTasks(exported_since=100 * SECOND))
    assert (bench.moved, keys(bench.work_off())) == (["new"], ["other"])
    counters = bench.state().counters
    assert (counters.planned, counters.done, counters.done_bytes, counters.unchanged) == (2, 2, 5, 1)


async def test_what_an_export_missed_is_sent_although_the_sizes_agree(tmp_path: Path) -> None:
    """FSx named it, or it was written after its object; in the very second of its object it counts as moved."""
    bench = Bench(tmp_path, Options())
    source = holding(*(Entry(key, 5, 60 * SECOND + 7) for key in ("again", "late", "named", "same")))
    times = {"again": 100, "late": 59, "named": 70, "same": 60}
    destination = holding(*(Entry(key, 5, seconds * SECOND) for key, seconds in times.items()))
    after = AfterTasks(exported_since=100 * SECOND, doubtful=True, named=frozenset({"named"}))
    await bench.run(source, destination, after=after)
    assert (bench.moved, keys(bench.work_off())) == (["again"], ["late", "named"])


async def test_what_a_task_did_not_move_fails_where_nothing_is_streamed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Options())
    await bench.run(holding(Entry("a", 5, 0)), holding(), after=AfterTasks(only="FSx did not move it"))
    assert bench.state().state is JobState.INCOMPLETE
    ((_, failure),) = bench.store.failures(bench.job.id)
    assert (failure.error, failure.message, failure.attempts) == ("task_failed", "FSx did not move it", 0)


async def test_files_without_their_data_are_restored_where_that_is_asked_for(tmp_path: Path) -> None:
    """All of them, or those alone that lost it since a task began."""
    expected = {None: ["other"], 0: ["early", "late", "other"], 50: ["late", "other"]}
    for since, restored in expected.items():
        (tmp_path / str(since)).mkdir()
        bench = Bench(tmp_path / str(since), Options())
        source = holding(*(Entry(key, 5, 0) for key in ("early", "here", "late")), Entry("other", 6, 0))
        destination = holding(
            Entry("early", 5, 0, hollow=49), Entry("here", 5, 0), Entry("late", 5, 0, hollow=50), Entry("other", 5, 0)
        )
        await bench.run(source, destination, restores_since=since)
        items = bench.work_off()
        assert keys(items) == restored
        assert {item.key for item in items if item.action is Action.COPY} == {"other"}


async def test_what_an_export_took_along_that_was_not_finished_leaves_the_bucket(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Options())
    part = f"x/{temp_name(7, 'x' * 8)}"
    source, destination = holding(), holding(Entry("x/foreign", 5, 0), Entry(part, 5, 0))
    await bench.run(source, destination, after=AfterTasks(exported_since=0))
    assert [(item.key, item.action) for item in bench.work_off()] == [(part, Action.DELETE)]
    assert bench.state().state is JobState.DONE


async def test_what_was_not_released_is_a_failure_of_its_own(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Options())
    await bench.run(holding(), holding(), after=AfterTasks(exported_since=0, unreleased="release failed"))
    ((_, failure),) = bench.store.failures(bench.job.id)
    assert (failure.error, failure.message, bench.state().state) == (
        "not_released",
        "release failed",
        JobState.INCOMPLETE,
    )


async def test_what_is_newer_at_the_destination_is_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Options())
    source = holding(*(Entry(key, 5, 10 * SECOND) for key in "abc"))
    destination = holding(Entry("a", 5, 12 * SECOND), Entry("b", 5, 10 * SECOND + 7), Entry("c", 6, 12 * SECOND))
    lease = bench.lease()
    plan = CopyPlan(PlanTask(lease, source, destination, BUCKETS, tmp_path, SMALL), bench.ports(lease))
    await plan.run()
    assert plan.newer == 1

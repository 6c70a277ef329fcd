"""Looks at data repository tasks, on a real queue: FSx as a test scripts it, a bucket in memory, a clock of its own."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from headrace_daemon.facts import Facts, Outcome
from headrace_daemon.fsx.api import (
    FsxApi,
    FsxBusy,
    FsxDenied,
    FsxError,
    FsxNotFound,
    FsxRefused,
    FsxUnreachable,
    NewTask,
    RepositoryTask,
)
from headrace_daemon.fsx.dra import looks, reports
from headrace_daemon.fsx.dra.failures import read_block
from headrace_daemon.fsx.dra.keeper import TaskKeeper
from headrace_daemon.fsx.dra.looks import NOBODY_KNOWS, NOT_THERE, REPORT_SECONDS, Looks
from headrace_daemon.keeping import LOOK
from headrace_daemon.s3.errors import AccessDenied, S3Error
from headrace_daemon.s3.remote import Remote
from headrace_daemon.s3.types import Listed, Page
from headrace_queue.config_fsx import FsxConfig
from headrace_queue.errors import UsageError
from headrace_queue.jobs import Item, Job
from headrace_queue.sqlite import SqliteStore
from headrace_queue.states import JobState
from headrace_queue.tasks import Task, TaskChanges, TaskKind, TaskState
from headrace_queue.writer import Queue
from tests.support.queue import Clock, open_sqlite
from tests.support.task_rows import TaskBench

FS = "fs-0123456789abcdef0"
DAY = 86_400.0
POLL = 3600.0
BUSY = FsxBusy("DataRepositoryTaskExecuting", "another one runs")
THROTTLED = FsxBusy("ThrottlingException", "slower")
DENIED = FsxDenied("AccessDenied", "you may not")
GONE = FsxNotFound("FileSystemNotFound", "no such file system")
REFUSED = FsxRefused("BadRequest", "not this one")
LOST = FsxUnreachable("", "no answer")


def lines_of(*names: str) -> bytes:
    return "".join(f"{name},failed,S3AccessDenied\n" for name in names).encode()


@dataclass
class Fsx:
    """answers: what CreateDataRepositoryTask answers next, each an error, or taken and an error in place of the answer;
    then it takes what comes. listing: what the list of tasks answers. seen: what was asked for, by name of section."""

    clock: Clock
    answers: list[FsxError | tuple[str, FsxError]] = field(default_factory=list)
    listing: FsxError | None = None
    known: dict[str, RepositoryTask] = field(default_factory=dict)
    asked: list[NewTask] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    silent: FsxError | None = None
    seen: list[str] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None

    def get(self, name: str) -> FsxApi:
        self.seen.append(name)
        return cast(FsxApi, self)

    async def create_task(self, task: NewTask) -> RepositoryTask:
        self.asked.append(task)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, FsxError):
            raise answer
        taken = RepositoryTask(
            f"task-{len(self.known):04}", task.file_system_id, "EXPORT", "EXECUTING", self.clock.now, tags=task.tags
        )
        self.known[taken.id] = taken
        if answer is not None:
            raise answer[1]
        return taken

    async def task(self, task_id: str) -> RepositoryTask:
        self.meanwhile()
        if self.silent is not None:
            raise self.silent
        if task_id not in self.known:
            raise FsxNotFound("DataRepositoryTaskNotFound", "no such task")
        return self.known[task_id]

    async def tasks(self, file_system_id: str) -> Sequence[RepositoryTask]:
        if self.listing is not None:
            raise self.listing
        return list(self.known.values())

    async def cancel_task(self, task_id: str) -> None:
        self.cancelled.append(task_id)

    def ends(self, task_id: str, lifecycle: str, failed: int = 0) -> None:
        self.known[task_id] = replace(self.known[task_id], lifecycle=lifecycle, total=9, failed=failed)


@dataclass
class Bucket:
    """A remote, or what its name leads to. trouble: what a read does first."""

    objects: dict[str, bytes] = field(default_factory=dict)
    trouble: Callable[[], Awaitable[None]] | None = None
    read: int = 0

    def get(self, name: str) -> Remote:
        return cast(Remote, self)

    async def list_page(self, bucket: str, prefix: str, **_: Any) -> Page:
        keys = [key for key in sorted(self.objects) if key.startswith(prefix)]
        return Page([Listed(key, len(self.objects[key]), 0, "etag") for key in keys[:1000]], None)

    async def get_range(
        self, bucket: str, key: str, start: int, end: int, *, if_match: str, total: int, consume: Any, chunk: int = 7
    ) -> bytes:
        if self.trouble is not None:
            await self.trouble()
        body = self.objects[key][start:end]
        assert (len(body), total, if_match) == (end - start, len(self.objects[key]), "etag")
        self.read += len(body)

        async def chunks() -> AsyncIterator[bytes]:
            for at in range(0, len(body), chunk):
                yield body[at : at + chunk]

        collected: bytes = await consume(chunks(), "")
        return collected

    async def delete(self, bucket: str, keys: Sequence[str]) -> dict[str, S3Error]:
        for key in keys:
            del self.objects[key]
        return {}


@dataclass
class Told(Facts):
    """The report of jobs, and events. flushed: groups of lines, each with what state the task was in then."""

    store: SqliteStore
    kept: list[tuple[str, str]] = field(default_factory=list)
    flushed: list[tuple[TaskState, list[tuple[str, str]]]] = field(default_factory=list)
    events: list[tuple[str, str]] = field(default_factory=list)
    trouble: OSError | None = None

    def write(self, job: int, item: Item, outcome: Outcome) -> None:
        assert outcome.state == "task_failed"
        self.kept.append((item.key, outcome.error))

    def flush(self, job: int) -> None:
        if self.trouble is not None:
            raise self.trouble
        (task,) = self.store.tasks(job)
        self.flushed.append((task.state, self.kept))
        self.kept = []

    def job_event(self, job: int, event: str, detail: str) -> None:
        self.events.append((event, detail))

    def lines(self) -> list[tuple[str, str]]:
        return [line for _, lines in self.flushed for line in lines]

    def of(self, event: str) -> str:
        return "\n".join(detail for word, detail in self.events if word == event)


@dataclass
class Scene:
    """bench writes to the queue as commands do."""

    bench: TaskBench
    queue: Queue
    sections: dict[str, FsxConfig]
    fsx: Fsx
    bucket: Bucket
    told: Told
    made: list[TaskKeeper] = field(default_factory=list)

    def keeper(self) -> TaskKeeper:
        """The daemon's; a new one after `made.clear()`."""
        if not self.made:
            clock = self.bench.clock
            one = Looks(self.queue, self.sections, self.fsx, self.bucket, self.told, self.told, clock)
            self.made.append(TaskKeeper(self.queue, one, self.told, clock))
        return self.made[0]

    async def looks(self, times: int = 1, after: float = 0.0) -> None:
        """So many looks at what is due so much later."""
        self.bench.clock.now += after
        for _ in range(times):
            await self.keeper().look()

    def begin(self, *kinds: TaskKind, job: Job | None = None) -> list[Task]:
        lease = self.bench.queue.plan_lease(job or self.bench.queue.job())
        return self.bench.store.begin_tasks(lease, [self.bench.spec(FS, kind) for kind in kinds or (TaskKind.EXPORT,)])

    async def running(self) -> Task:
        (task,) = self.begin()
        await self.looks()
        return self.now(task, TaskState.RUNNING)

    def now(self, task: Task, *states: TaskState) -> Task:
        """The task as it stands, which is in one of these states."""
        found = self.bench.store.task(task.id)
        assert not states or found.state in states, found
        return found

    def job(self, task: Task) -> Job:
        return self.bench.store.job(task.job_id)

    def report(self, task: Task, body: bytes, name: str = "failures.csv") -> str:
        key = f".reports/{task.task_id}/{name}"
        self.bucket.objects[key] = body
        return key


def section(file_system_id: str = FS) -> FsxConfig:
    return FsxConfig(file_system_id=file_system_id, mount=Path("/fsx"), poll=POLL)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    clock = Clock()
    store = open_sqlite(tmp_path, clock)
    assert isinstance(store, SqliteStore)
    path = tmp_path / "queue.db"
    queue = Queue(lambda: SqliteStore(path, clock=clock), lambda: SqliteStore(path, read_only=True, clock=clock))
    await queue.start()
    try:
        yield Scene(TaskBench(store, clock), queue, {"scratch": section()}, Fsx(clock), Bucket(), Told(store))
    finally:
        await queue.close()
        store.close()


# -- FSx's report -----------------------------------------------------------------------------------------------------


async def test_a_report_is_in_the_jobs_before_the_task_has_ended_and_is_removed(scene: Scene) -> None:
    task = await scene.running()
    scene.report(task, lines_of("run/7/a", "run/7/b"))
    other = scene.report(replace(task, task_id=task.task_id + "5"), b"of another task")
    scene.fsx.ends(task.task_id, "FAILED", failed=2)
    await scene.looks(after=POLL)
    ended = scene.now(task, TaskState.FAILED)
    assert scene.told.flushed == [(TaskState.RUNNING, [("a", "S3AccessDenied"), ("b", "S3AccessDenied")])]
    assert ended.error == "2 of 9 files failed; the report names 2 of them"
    assert list(scene.bucket.objects) == [other]
    assert scene.told.of("task_report_unread") == ""


async def test_a_report_with_a_quote_that_is_not_closed_costs_one_line(scene: Scene) -> None:
    task = await scene.running()
    rest = [f"f{number}" for number in range(9_000)]
    scene.report(task, lines_of("a") + b'"run/7/b,failed,Conflict\n' + lines_of(*rest))
    scene.fsx.ends(task.task_id, "FAILED", failed=9_002)
    await scene.looks(after=POLL)
    assert "names 9,001 of them, 1 of its lines" in (scene.now(task, TaskState.FAILED).error or "")
    assert [key for key, _ in scene.told.lines()] == ["a", *rest]
    assert scene.bucket.objects == {}


async def test_of_a_long_report_the_first_lines_are_read(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "MAX_ROWS", 5)
    monkeypatch.setattr(reports, "BLOCK", 2)
    task = await scene.running()
    scene.report(task, lines_of(*"abcdefg"))
    scene.fsx.ends(task.task_id, "FAILED", failed=7)
    await scene.looks(after=POLL)
    assert [[key for key, _ in lines] for _, lines in scene.told.flushed] == [["a", "b"], ["c", "d"], ["e"]]
    error = scene.now(task, TaskState.FAILED).error or ""
    assert error.startswith("7 of 9 files failed; the report names 5 of them, it is longer than the 5 lines")
    assert scene.bucket.objects == {}


async def test_of_a_large_report_the_first_bytes_are_read(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = lines_of("a", "b", "c")
    monkeypatch.setattr(reports, "MAX_BYTES", len(whole) - 9)
    task = await scene.running()
    scene.report(task, whole)
    scene.report(task, whole, "more.csv")
    scene.fsx.ends(task.task_id, "FAILED", failed=6)
    await scene.looks(after=POLL)
    assert scene.bucket.read == len(whole) - 9
    assert [key for key, _ in scene.told.lines()] == ["a", "b"], "a line that is cut off may name another file"
    assert "names 2 of them, it is longer" in (scene.now(task, TaskState.FAILED).error or "")


async def test_a_report_is_read_in_another_thread(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    def watched(report: Any, most: int) -> Any:
        threads.append(threading.current_thread())
        return read_block(report, most)

    monkeypatch.setattr(reports, "read_block", watched)
    task = await scene.running()
    scene.report(task, lines_of("a"))
    scene.fsx.ends(task.task_id, "FAILED", failed=1)
    await scene.looks(after=POLL)
    assert threads
    assert threading.current_thread() not in threads


def raising(error: Exception) -> Callable[[], Awaitable[None]]:
    async def trouble() -> None:
        raise error

    return trouble


async def never() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (raising(AccessDenied("AccessDenied", "no", 403)), "AccessDenied: no"),
        (raising(ValueError("not this one")), "not this one"),
        (raising(OSError("no space")), "no space"),
        (raising(UsageError("a", "b", "c")), "a: b. c"),
        (never, "TimeoutError"),
    ],
    ids=["S3", "value", "disk", "credentials", "time"],
)
async def test_a_report_that_cannot_be_read_keeps_no_task_from_its_end(
    trouble: Callable[[], Awaitable[None]], words: str, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "REPORT_SECONDS", 0.02)
    task = await scene.running()
    key = scene.report(task, lines_of("a"))
    scene.bucket.trouble = trouble
    scene.fsx.ends(task.task_id, "FAILED", failed=1)
    await scene.looks(after=POLL)
    assert scene.now(task, TaskState.FAILED).error == "1 of 9 files failed; its report could not be read"
    assert words in scene.told.of("task_report_unread")
    assert f"s3://b/.reports/{task.task_id}/ could not be read, and is left there" in scene.told.of(
        "task_report_unread"
    )
    assert list(scene.bucket.objects) == [key]


async def test_a_disk_that_takes_no_lines_keeps_no_task_from_its_end(scene: Scene) -> None:
    task = await scene.running()
    scene.report(task, lines_of("a"))
    scene.told.trouble = OSError("no space")
    scene.fsx.ends(task.task_id, "FAILED", failed=1)
    await scene.looks(after=POLL)
    scene.now(task, TaskState.FAILED)
    assert "no space" in scene.told.of("task_report_unread")


def test_the_time_for_a_report_leaves_some_for_the_rest_of_the_look() -> None:
    assert REPORT_SECONDS <= LOOK / 2


@pytest.mark.parametrize("lifecycle", ["SUCCEEDED", "FAILED", "CANCELED"])
@pytest.mark.parametrize("cancelled", [False, True])
async def test_the_report_is_removed_whatever_the_end(lifecycle: str, cancelled: bool, scene: Scene) -> None:
    task = await scene.running()
    scene.report(task, lines_of("a"))
    if cancelled:
        scene.bench.store.cancel(task.job_id)
        await scene.looks()
    scene.fsx.ends(task.task_id, lifecycle, failed=lifecycle == "FAILED")
    await scene.looks(after=POLL)
    assert scene.now(task).finished is not None
    assert scene.bucket.objects == {}


async def test_the_report_of_a_task_that_fsx_has_forgotten_is_taken_over(scene: Scene) -> None:
    task = await scene.running()
    scene.report(task, lines_of("a"))
    scene.fsx.known.clear()
    await scene.looks(after=POLL)
    assert "no such task" in (scene.now(task, TaskState.FAILED).error or "")
    assert scene.told.lines() == [("a", "S3AccessDenied")]
    assert scene.bucket.objects == {}


@pytest.mark.parametrize("key", [".reports/{}/failures.csv", ".reports/2026/x-{}.csv", ".reports/z/{}"])
async def test_a_report_is_found_among_those_of_many_tasks(key: str, scene: Scene) -> None:
    task = await scene.running()
    below = f".reports/{task.task_id[:5]}"
    many = {f"{below}{'-' if '{}/' in key else '/~'}{number:04}/failures.csv": b"" for number in range(1200)}
    if "{}/" not in key:
        many = dict(list(many.items())[:900])
    scene.bucket.objects |= many
    scene.bucket.objects[key.format(task.task_id)] = lines_of("a")
    scene.fsx.ends(task.task_id, "FAILED", failed=1)
    await scene.looks(after=POLL)
    assert scene.told.lines() == [("a", "S3AccessDenied")]
    assert scene.bucket.objects == many


# -- a file system that config.toml does not name ---------------------------------------------------------------------


async def test_a_section_serves_under_any_name(scene: Scene) -> None:
    task = await scene.running()
    scene.sections["other"] = scene.sections.pop("scratch")
    scene.fsx.seen.clear()
    await scene.looks(after=POLL)
    assert "on other" in (scene.job(task).waiting or "")
    scene.fsx.ends(task.task_id, "SUCCEEDED")
    await scene.looks(after=POLL)
    scene.now(task, TaskState.SUCCEEDED)
    assert set(scene.fsx.seen) == {"other"}


async def test_a_section_of_the_name_for_another_file_system_does_not_serve(scene: Scene) -> None:
    scene.sections["scratch"] = section("fs-00000000000000001")
    (task,) = scene.begin()
    await scene.looks()
    scene.now(task, TaskState.WAITING)
    assert FS in (scene.job(task).waiting or "")
    assert scene.fsx.asked == []


async def test_a_waiting_task_of_a_cancelled_job_needs_no_section(scene: Scene) -> None:
    (task,) = scene.begin()
    scene.sections.clear()
    await scene.looks()
    scene.bench.store.cancel(task.job_id)
    await scene.looks()
    assert scene.now(task, TaskState.CANCELLED).error is None


@pytest.mark.parametrize("state", [TaskState.ASKED, TaskState.RUNNING, TaskState.CANCELLING])
async def test_an_unwanted_task_of_a_file_system_that_nobody_knows_blocks_it_for_a_day(
    state: TaskState, scene: Scene
) -> None:
    (task,) = scene.begin()
    (behind,) = scene.begin()
    scene.fsx.answers = [LOST] if state is TaskState.ASKED else []
    await scene.looks(after=1)
    known = dict(scene.sections)
    if state is TaskState.CANCELLING:
        scene.bench.store.cancel(task.job_id)
        await scene.looks()
    scene.now(task, state)
    scene.sections.clear()
    if state is not TaskState.CANCELLING:
        scene.bench.store.cancel(task.job_id)
    for _ in range(3):
        await scene.looks(after=POLL)
    scene.now(task, TaskState.CANCELLING)
    note = scene.job(task).note or ""
    assert "no [fsx.scratch]" in note
    assert FS in note
    assert scene.told.of("warning") == note, "once"
    changed = scene.now(task).changed
    await scene.looks(after=changed + DAY - 1 - scene.bench.clock.now)
    scene.now(task, TaskState.CANCELLING)
    await scene.looks(after=31)
    assert "within a day" in (scene.now(task, TaskState.CANCELLED).error or "")
    scene.sections |= known
    await scene.looks(after=POLL)
    scene.now(behind, TaskState.RUNNING)
    assert NOBODY_KNOWS == DAY


async def test_a_wanted_task_of_a_file_system_that_nobody_knows_waits_for_it(scene: Scene) -> None:
    task = await scene.running()
    known = dict(scene.sections)
    scene.sections.clear()
    await scene.looks(after=9 * DAY)
    scene.now(task, TaskState.RUNNING)
    assert "no [fsx.scratch]" in (scene.job(task).waiting or "")
    scene.sections |= known
    scene.fsx.ends(task.task_id, "SUCCEEDED")
    await scene.looks(after=POLL)
    scene.now(task, TaskState.SUCCEEDED)


# -- an answer that was lost ------------------------------------------------------------------------------------------


async def test_a_task_is_not_given_up_for_an_answer_that_says_nothing_of_it(scene: Scene) -> None:
    scene.fsx.answers = [("taken", LOST), THROTTLED]
    (task,) = scene.begin()
    await scene.looks()
    await scene.looks(after=POLL)
    assert "slower" in (scene.job(task).waiting or "")
    scene.now(task, TaskState.ASKED)
    scene.bench.store.cancel(task.job_id)
    await scene.looks(3)
    (found,) = scene.fsx.known
    assert scene.now(task, TaskState.CANCELLING).task_id == found
    assert scene.fsx.cancelled == [found]


@pytest.mark.parametrize("later", [False, True], ids=["first", "after a lost answer"])
@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (BUSY, TaskState.WAITING),
        (FsxBusy("ServiceLimitExceeded", "too many"), TaskState.WAITING),
        (THROTTLED, TaskState.ASKED),
        (FsxBusy("SlowDown", "slower"), TaskState.ASKED),
        (LOST, TaskState.ASKED),
        (DENIED, TaskState.REFUSED),
        (REFUSED, TaskState.REFUSED),
        (GONE, TaskState.REFUSED),
    ],
    ids=lambda value: getattr(value, "code", None) or None,
)
async def test_what_fsx_does_not_have_is_put_off_refused_or_asked_again(
    answer: FsxError, state: TaskState, later: bool, scene: Scene
) -> None:
    scene.fsx.answers = [LOST, answer] if later else [answer]
    scene.fsx.listing = None if later else DENIED  # who was refused at once needs no other right
    (task,) = scene.begin()
    await scene.looks()
    if later:
        await scene.looks(after=POLL)
    assert len(scene.fsx.asked) == 1 + later
    scene.now(task, state)


@pytest.mark.parametrize("answer", [BUSY, DENIED, REFUSED], ids=lambda error: error.code)
async def test_what_fsx_has_is_followed_whatever_it_answers_when_asked_again(answer: FsxError, scene: Scene) -> None:
    scene.fsx.answers = [("taken", LOST), answer]
    (task,) = scene.begin()
    await scene.looks()
    scene.made.clear()  # another daemon goes on
    await scene.looks(after=POLL)
    (found,) = scene.fsx.known
    assert scene.now(task, TaskState.RUNNING).task_id == found


async def test_a_daemon_that_died_while_it_asked_may_have_been_heard(scene: Scene) -> None:
    (task,) = scene.begin()
    asked = scene.bench.move(task, "ask")
    assert asked.looks == 0
    await scene.fsx.create_task(
        NewTask(TaskKind.EXPORT, FS, (), "", task.spec.token, {"headrace-task": task.spec.token})
    )
    scene.fsx.answers = [DENIED]
    await scene.looks()
    scene.now(task, TaskState.RUNNING)


@pytest.mark.parametrize("answer", [BUSY, DENIED], ids=lambda error: error.code)
@pytest.mark.parametrize("listing", [DENIED, LOST, THROTTLED], ids=lambda error: error.code)
async def test_while_fsx_does_not_say_whether_it_has_it_the_task_waits(
    answer: FsxError, listing: FsxError, scene: Scene
) -> None:
    scene.fsx.answers = [LOST, answer, answer]
    scene.fsx.listing = listing
    (task,) = scene.begin()
    await scene.looks()
    await scene.looks(after=POLL)
    assert scene.now(task, TaskState.ASKED).next_look == scene.bench.clock.now + POLL
    assert "is not known" in (scene.job(task).waiting or "")
    scene.fsx.listing = None
    await scene.looks(after=POLL)
    scene.now(task, TaskState.WAITING if answer is BUSY else TaskState.REFUSED)


async def test_a_task_of_a_file_system_that_is_gone_does_not_stay_to_be_cancelled(scene: Scene) -> None:
    scene.fsx.answers = [LOST]
    (task,) = scene.begin()
    await scene.looks()
    scene.bench.store.cancel(task.job_id)
    scene.fsx.listing = GONE
    await scene.looks(2)
    await scene.looks(after=NOT_THERE)
    scene.now(task, TaskState.CANCELLED)


# -- cancel, and retry ------------------------------------------------------------------------------------------------

BOTH = (TaskKind.EXPORT, TaskKind.RELEASE)


async def test_a_cancellation_is_passed_on_at_once_however_long_the_poll(scene: Scene) -> None:
    task = await scene.running()
    await scene.looks()
    assert scene.now(task).next_look == scene.bench.clock.now + POLL
    scene.bench.store.cancel(task.job_id)
    await scene.looks(2)
    assert scene.fsx.cancelled == [task.task_id]
    assert scene.now(task, TaskState.CANCELLING).next_look == scene.bench.clock.now + POLL


async def test_a_cancellation_during_a_look_is_not_forgotten_by_it(scene: Scene) -> None:
    task = await scene.running()
    scene.fsx.meanwhile = lambda: scene.bench.store.cancel(task.job_id)
    await scene.looks()
    assert scene.fsx.cancelled == []
    scene.fsx.meanwhile = lambda: None
    await scene.looks(2, after=1.0)
    assert scene.fsx.cancelled == [task.task_id]


async def test_a_retry_before_the_keeper_saw_the_release_begins_both_anew(scene: Scene) -> None:
    export, _ = scene.begin(*BOTH)
    await scene.looks()
    job = scene.job(export)
    scene.bench.store.cancel(job.id)
    scene.bench.move(export, "cancel")  # as a keeper does, who has not come to the release
    scene.bench.store.retry(job.id)
    (at_fsx,) = scene.fsx.known
    scene.fsx.ends(at_fsx, "CANCELED")
    await scene.looks(2, after=POLL)
    (given_up,) = scene.bench.store.tasks(job.id)
    assert (given_up.id, given_up.state, given_up.error) == (export.id, TaskState.CANCELLED, None)
    scene.bench.clock.now += 1
    again, later = scene.begin(*BOTH, job=job)
    await scene.looks()
    scene.fsx.ends(scene.now(again, TaskState.RUNNING).task_id, "SUCCEEDED")
    await scene.looks(after=POLL)
    await scene.looks(after=POLL)
    scene.now(later, TaskState.RUNNING)


async def test_a_release_alone_goes_on_past_an_export_that_was_given_up(scene: Scene) -> None:
    """Nothing is to be exported any more when the job is planned anew."""
    export, _ = scene.begin(*BOTH)
    await scene.looks()
    job = scene.job(export)
    scene.bench.store.cancel(job.id)
    await scene.looks(2)
    scene.bench.store.retry(job.id)
    scene.fsx.ends(next(iter(scene.fsx.known)), "CANCELED")
    await scene.looks(after=POLL)
    scene.now(export, TaskState.CANCELLED)
    scene.bench.clock.now += 1
    (alone,) = scene.begin(TaskKind.RELEASE, job=job)
    await scene.looks()
    scene.now(alone, TaskState.RUNNING)


async def test_a_release_is_given_up_with_the_export_that_it_was_to_follow(scene: Scene) -> None:
    export, release = scene.begin(*BOTH)
    scene.bench.move(export, "cancel")
    await scene.looks()
    assert scene.now(release, TaskState.CANCELLED).error is None


@pytest.mark.parametrize("way", [("ask", "refuse"), ("ask", "accept", "fail"), ("ask", "accept", "cancelled")])
async def test_nothing_is_released_where_not_everything_was_exported(way: tuple[str, ...], scene: Scene) -> None:
    export, release = scene.begin(*BOTH)
    export = scene.bench.move(export, *way[:-1])
    changes = TaskChanges(error="somebody did")
    scene.bench.store.move_task(export.id, way[-1], changes)
    await scene.looks()
    assert "not everything was exported" in (scene.now(release, TaskState.CANCELLED).error or "")
    assert scene.job(release).state is JobState.RUNNING


# -- what else may keep it from ending --------------------------------------------------------------------------------


async def test_fsx_that_will_not_say_how_a_task_is_is_waited_for_and_then_done_without(scene: Scene) -> None:
    task = await scene.running()
    scene.fsx.silent = DENIED
    await scene.looks(after=POLL)
    assert "you may not" in (scene.bench.store.job(task.job_id).waiting or "")
    scene.now(task, TaskState.RUNNING)
    assert looks.REFUSED <= POLL
    await scene.looks(after=POLL)
    assert "may be at it still" in (scene.now(task, TaskState.FAILED).error or "")


async def test_a_task_of_a_paused_job_is_not_asked_for(scene: Scene) -> None:
    (task,) = scene.begin(TaskKind.EXPORT)
    scene.bench.store.pause(task.job_id)
    await scene.looks()
    assert (scene.fsx.asked, scene.now(task, TaskState.WAITING).task_id) == ([], "")
    scene.bench.store.resume(task.job_id)
    await scene.looks(after=POLL)
    scene.now(task, TaskState.RUNNING)

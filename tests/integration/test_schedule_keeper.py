"""The keeper of schedules on a real queue: what it fires, what it says, and who watches."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from headrace_daemon.facts import Facts
from headrace_daemon.s3.connect import Remotes
from headrace_daemon.schedules.build import keeper_of
from headrace_daemon.schedules.firing import Firing
from headrace_daemon.schedules.firings import Firings
from headrace_daemon.schedules.keeper import ScheduleKeeper
from headrace_daemon.schedules.reading import CommandReader, NoAnswer
from headrace_daemon.schedules.reconcile import reconcile
from headrace_queue.config import Config
from headrace_queue.jobs import Job
from headrace_queue.name_list import list_path
from headrace_queue.schedules import Rule, Schedule, ScheduleSpec, Standing, Trigger
from headrace_queue.sqlite import SqliteStore
from headrace_queue.store import Store
from headrace_queue.writer import Queue
from tests.support.queue import Clock, worker

# typer imports what click deprecates; the commands are built as the daemon builds them, when it fires
pytestmark = pytest.mark.filterwarnings("ignore:'click.utils:DeprecationWarning")


@dataclass
class Told(Facts):
    events: list[tuple[str, str, str]] = field(default_factory=list)

    def schedule_event(self, name: str, event: str, detail: str) -> None:
        self.events.append((name, event, detail))


@dataclass
class Host:
    """A queue with one worker, and a keeper that may run. now: what the clock says."""

    directory: Path
    queue: Queue
    now: float = 10_000.0
    told: Told = field(default_factory=Told)
    watched: list[str] = field(default_factory=list)
    broken: bool = False

    def config(self, **schedules: Any) -> Config:
        datasets = {name: {"source": f"s3://b/{name}/", "destination": f"/data/{name}"} for name in ("a", "b")}
        sections = {"state_dir": self.directory, "remotes": {}, "datasets": datasets, "schedules": schedules}
        return Config.model_validate(sections)

    def firings(self) -> Firings:
        return Firings(self.queue, self.config(), None, self.told, lambda: self.now)

    @asynccontextmanager
    async def keeper(self, worker_id: str = "w1", **schedules: Any) -> AsyncIterator[None]:
        async def watch(schedule: Schedule) -> None:
            self.watched.append(f"{worker_id} {schedule.name}")
            if self.broken:
                raise RuntimeError("broken")
            try:
                await asyncio.Event().wait()
            finally:
                self.watched.append(f"{worker_id} leaves {schedule.name}")

        configured = self.config(**schedules).schedules
        watches = {Trigger.WATCH: watch}
        keeper = ScheduleKeeper(self.queue, self.firings(), watches, self.told, lambda: self.now, worker_id, configured)
        task = asyncio.create_task(keeper.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def add(self, name: str, trigger: Trigger, rule: Rule, *command: str, **standing: Any) -> None:
        def make(store: Store) -> None:
            store.add_schedule(ScheduleSpec(name, trigger, rule, command, "/"))
            store.change_schedule(name, Standing(**standing))

        await self.queue.write(make)

    async def row(self, name: str) -> Schedule:
        return await self.queue.read(lambda store: store.schedule(name))

    async def jobs(self) -> list[Job]:
        return await self.queue.read(lambda store: store.jobs())

    async def until(self, holds: Callable[[], Any]) -> Any:
        """The first true result of a coroutine function."""
        async with asyncio.timeout(60):
            while not (found := await holds()):  # noqa: ASYNC110 - what is waited for stands in the queue
                await asyncio.sleep(0.01)
        return found


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    path = tmp_path / "queue.db"
    clock = Clock(0.0)
    queue = Queue(lambda: SqliteStore(path, clock=clock), lambda: SqliteStore(path, read_only=True))
    await queue.start()
    for name in ("w1", "w2"):
        await queue.write(lambda store, name=name: store.register(worker(name)))  # type: ignore[misc]
    yield Host(tmp_path, queue)
    await queue.close()


HOURLY = Rule(every=3600.0)


async def test_what_is_due_is_fired_once_by_two_of_them(host: Host) -> None:
    await host.add("s", Trigger.EVERY, HOURLY, "run", "a", "b", planned=9000.0, due=9000.0)
    async with host.keeper("w1"), host.keeper("w2"):
        jobs = await host.until(host.jobs)
        row = await host.row("s")
    assert [job.spec.destination for job in jobs] == ["/data/b", "/data/a"]
    assert (row.standing.jobs, row.standing.fired) == ((1, 2), 10_000.0)
    assert row.standing.planned is not None
    assert row.standing.planned > host.now
    assert ("s", "fired", "job 1, 2: caught up on what was planned for 1970-01-01 02:30:00 +0000") in host.told.events


async def test_a_command_that_works_no_more_is_told_and_tried_at_its_next_time(host: Host) -> None:
    await host.add("s", Trigger.EVERY, HOURLY, "run", "gone", planned=9990.0, due=9990.0)

    async def failed() -> Schedule | None:
        row = await host.row("s")
        return row if row.standing.error else None

    async with host.keeper():
        row = await host.until(failed)
        assert row.standing.error == "dataset 'gone': config.toml has no dataset of this name. There are: a, b."
        assert row.standing.due > host.now
        await host.queue.write(lambda store: store.respecify_schedule(replace(row.spec, command=("run", "a"))))
        await host.until(lambda: _due(host, "s"))
        host.now += 8000.0
        assert [job.spec.destination for job in await host.until(host.jobs)] == ["/data/a"]
        assert (await host.row("s")).standing.error is None
    assert [event for _, event, _ in host.told.events] == ["failed", "fired"]


async def _due(host: Host, name: str) -> bool:
    return (await host.row(name)).standing.due is not None


async def test_a_path_that_hangs_loses_no_firing_and_takes_one_thread(host: Host) -> None:
    """It hangs in a read that only the end of a dead mount would break off."""
    answers, asked = threading.Event(), []

    def hanging() -> str:
        asked.append(threading.current_thread())
        answers.wait(60)
        return "late"

    reader = CommandReader(patience=0.01)
    with pytest.raises(NoAnswer, match=r"gave no answer in 0\.01 s"):
        await reader.read("n", hanging)
    firings = Firings(host.queue, host.config(), None, host.told, lambda: host.now, reader=reader)
    await host.add("n", Trigger.EVERY, HOURLY, "run", "a", planned=9_000.0, due=9_000.0)
    await host.add("after", Trigger.AFTER, Rule(after="b"), "run", "a", pending=(7,))
    for _ in range(3):
        assert not await firings.timed(await host.row("n"))
    row = await host.row("n")
    assert (row.standing.due, "gave no answer" in (row.standing.error or "")) == (9_000.0, True)
    assert len(host.told.events) == 1, "said once"
    assert [thread.daemon for thread in asked] == [True], "it keeps nobody from ending, and no second one joined it"
    with pytest.raises(NoAnswer):
        await reader.read("after", hanging)
    assert not await firings.after(await host.row("after"))
    assert (await host.row("after")).standing.pending == (7,)
    answers.set()
    for thread in asked:
        await asyncio.to_thread(thread.join)
    assert await Firings(host.queue, host.config(), None, host.told, lambda: host.now).timed(row)
    row = await host.row("n")
    assert await Firings(host.queue, host.config(), None, host.told, lambda: host.now).timed(row) is False
    assert [job.spec.labels[-1] for job in await host.jobs()] == [("schedule", "n")]


async def test_what_overlaps_is_passed_over_also_another_job_in_the_way(host: Host) -> None:
    await host.add("s", Trigger.EVERY, HOURLY, "run", "a", planned=9990.0, due=9990.0)
    await host.add("t", Trigger.EVERY, HOURLY, "sync", "s3://b/other/", "/data/a", planned=9990.0, due=9990.0)

    async def both() -> bool:
        rows = [await host.row(name) for name in ("s", "t")]
        return all((row.standing.due or 0) > host.now for row in rows)

    async with host.keeper():
        await host.until(both)
    assert len(await host.jobs()) == 1
    notes = [(await host.row(name)).standing.note for name in ("s", "t")]
    assert {note for note in notes if note} == {"passed over 1970-01-01 02:46:30 +0000: job 1 was not over"}
    assert sorted(event for _, event, _ in host.told.events) == ["fired", "passed_over"]


async def test_each_end_of_another_job_fires_once_one_after_the_other(host: Host) -> None:
    await host.add("s", Trigger.AFTER, Rule(after="x"), "run", "a", pending=(7, 8))

    async def fired(count: int) -> bool:
        return len(await host.jobs()) == count

    async with host.keeper():
        await host.until(lambda: fired(1))
        assert (await host.row("s")).standing.pending == (8,)
        await host.queue.write(lambda store: store.cancel(1))
        host.now += 60.0
        await host.until(lambda: fired(2))
    assert [job.spec.submission_id for job in await host.jobs()] == ["schedule:s:after-8", "schedule:s:after-7"]
    assert (await host.row("s")).standing.pending == ()


# -- config.toml ------------------------------------------------------------------------------------------------------


async def test_the_file_counts_and_what_happened_stays(host: Host) -> None:
    nightly = {"cron": "0 3 * * *", "command": "run a", "timezone": "UTC"}
    await host.queue.write(lambda store: reconcile(store, host.config(n=nightly, m=nightly).schedules))
    await host.add("mine", Trigger.EVERY, HOURLY, "run", "b")
    await host.queue.write(lambda store: store.change_schedule("n", Standing(paused=True, fired=5.0, jobs=(3,))))
    same = await host.row("n")
    await host.queue.write(lambda store: reconcile(store, host.config(n=nightly, m=nightly).schedules))
    assert await host.row("n") == same
    other = nightly | {"command": ["run", "b"]}
    await host.queue.write(lambda store: reconcile(store, host.config(n=other).schedules))
    rows = {row.name: row for row in await host.queue.read(lambda store: store.schedules())}
    assert set(rows) == {"n", "mine"}
    assert rows["n"].spec.command == ("run", "b")
    assert (rows["n"].standing.paused, rows["n"].standing.fired, rows["n"].standing.jobs) == (True, 5.0, (3,))


# -- watching ---------------------------------------------------------------------------------------------------------


async def test_one_daemon_watches_and_another_takes_over(host: Host) -> None:
    await host.add("w", Trigger.WATCH, Rule(), "sync", "/data/a", "s3://b/a/")

    async def seen(text: str) -> bool:
        return text in host.watched

    async with host.keeper("w2"), host.keeper("w1"):
        await host.until(lambda: seen("w1 w") if "w2 w" not in host.watched else seen("w2 w"))
        first, other = ("w1", "w2") if "w1 w" in host.watched else ("w2", "w1")
        await host.queue.write(lambda store: store.expire([first]))
        host.now += 60.0
        await host.until(lambda: seen(f"{other} w"))
        await host.until(lambda: seen(f"{first} leaves w"))
        row = await host.row("w")
        await host.queue.write(lambda store: store.change_schedule("w", replace(row.standing, paused=True)))
        await host.until(lambda: seen(f"{other} leaves w"))


async def test_a_watch_that_breaks_harms_nobody_else(host: Host) -> None:
    host.broken = True
    await host.add("w", Trigger.WATCH, Rule(), "sync", "/data/a", "s3://b/a/")
    async with host.keeper():
        await host.until(lambda: _told(host, ("w", "trouble", "RuntimeError: broken")))
        await host.add("s", Trigger.EVERY, HOURLY, "run", "a", planned=9990.0, due=9990.0)
        await host.until(host.jobs)


async def _told(host: Host, event: tuple[str, str, str]) -> bool:
    return event in host.told.events


async def test_a_watched_folder_that_is_gone_is_in_the_list_while_it_lasts(host: Host, tmp_path: Path) -> None:
    """The real watch of a daemon: the folder is not there when it starts, comes, and goes."""
    root = tmp_path / "root"
    config = Config.model_validate({"state_dir": tmp_path, "remotes": {}})
    words = ("sync", str(root), "s3://b/root/")
    keeper = keeper_of(config, None, host.queue, Remotes(config, host.told), host.told, "w1")
    await host.add("s", Trigger.WATCH, Rule(settle=0.05), *words)

    async def note(told: bool) -> bool:
        error = (await host.row("s")).standing.error
        return (error is not None and str(root) in error) is told

    task = asyncio.create_task(keeper.run())
    try:
        await host.until(lambda: note(True))
        task.cancel()
        await asyncio.wait([task])
        root.mkdir()
        task = asyncio.create_task(
            keeper_of(config, None, host.queue, Remotes(config, host.told), host.told, "w1").run()
        )
        await host.until(host.jobs)
        assert await note(False)
        root.rename(tmp_path / "away")
        await host.until(lambda: note(True))
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_names_that_changed_become_the_list_of_the_job(host: Host, tmp_path: Path) -> None:
    source = tmp_path / "files"
    source.mkdir()
    await host.add("w", Trigger.WATCH, Rule(), "sync", str(source), "s3://b/a/", "--delete", "--exclude", "*.tmp")
    fire = host.firings().of("w")
    assert await fire(Firing("2 files", ("b/x", "a"), newest_ns=5))
    (job,) = await host.jobs()
    options = job.spec.options
    assert options.files_from is not None
    assert list_path(tmp_path, options.files_from).read_bytes() == b"a\0b/x\0"
    assert (options.delete, options.newest_ns, len(options.rules)) == (False, 5, 1)
    assert job.spec.submission_id is None
    assert (await host.row("w")).standing.note == "2 files"
    assert not await fire(Firing("1 file", ("c",))), "its last job is not over"
    await host.queue.write(lambda store: store.cancel(job.id))
    assert await fire(Firing("everything"))
    assert (await host.jobs())[0].spec.options.delete
    await host.queue.write(lambda store: store.cancel(2))
    assert await fire(Firing("1 file", ("no\udcfftext",))), "no list holds it: there is nothing to do"
    assert len(await host.jobs()) == 2
    source.rmdir()
    assert not await fire(Firing("everything"))
    assert "there is no such file or folder" in ((await host.row("w")).standing.error or "")
    await host.queue.write(lambda store: store.remove_schedule("w"))
    assert await fire(Firing("everything")), "nobody wants it any more"

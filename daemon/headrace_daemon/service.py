"""The life of one worker: start, run, drain, stop. Everything is composed here and nowhere else."""

import asyncio
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from headrace_daemon.apart.process import FileProcess
from headrace_daemon.asked_to_stop import signals
from headrace_daemon.dispatcher import Dispatcher
from headrace_daemon.facts import Facts
from headrace_daemon.files.room import Room
from headrace_daemon.files.threads import FileThreads
from headrace_daemon.flow.memory import MemoryBudget
from headrace_daemon.flow.switching import BandwidthLimits
from headrace_daemon.hearing import hearing_of_writes
from headrace_daemon.heartbeat import Heartbeat, this_worker
from headrace_daemon.janitor import Janitor
from headrace_daemon.notices.build import Notices
from headrace_daemon.observe.console import ConsoleFacts
from headrace_daemon.observe.fan_out import FanOut
from headrace_daemon.observe.log import LogFacts, Redaction, set_up
from headrace_daemon.observe.metrics import Metrics
from headrace_daemon.observe.notify import Notifier
from headrace_daemon.observe.report import ReportWriter
from headrace_daemon.open_files import descriptors_needed, too_few
from headrace_daemon.s3.connect import Remotes, connect
from headrace_daemon.session import Host, Sessions
from headrace_daemon.standstill import Answers, Standstill
from headrace_daemon.thawing.keeper import ThawKeeper
from headrace_daemon.transfer.tally import TallyFacts
from headrace_daemon.watchdog import Watchdog
from headrace_queue.config import Config
from headrace_queue.jobs import Job
from headrace_queue.render import shown
from headrace_queue.states import EXIT_CODE, JobState
from headrace_queue.store import Store, open_store
from headrace_queue.tasks import TaskState
from headrace_queue.writer import Queue

if TYPE_CHECKING:
    from headrace_daemon.api.server import ApiServer
    from headrace_daemon.fsx.dra.jobs import JobTasks

DEPTH_SECONDS = 2.0
IDLE_LOOK_SECONDS = 0.1
NOTICE_SECONDS = 5.0
"""In which a drain tells what became of its jobs, before it ends; what is left waits in the queue."""
MAX_LOOKED_AT = 10_000
"""Jobs that a drain looks at to see whether anything moves."""
_UNWANTED = frozenset({JobState.CANCELLING, JobState.CANCELLED, JobState.FAILED})
FILE_THREADS = 8
"""Each step of a file lets go of Python's lock and waits to get it back: more threads only wait more."""


@dataclass(frozen=True, slots=True)
class Worker:
    """The parts of a running worker that its commands drive."""

    config: Config
    queue: Queue
    dispatcher: Dispatcher
    heartbeat: Heartbeat
    janitor: Janitor
    metrics: Metrics
    facts: Facts
    remotes: Remotes
    host: Host
    notices: Notices


async def serve(config: Config, file: Path | None = None, process: FileProcess | None = None) -> int:
    """Work until SIGTERM or SIGINT, then drain. Raises UsageError, QueueError. The exit code: 0.

    file: the one that --config named, None where the configuration was searched. process: for small files.
    """
    from headrace_daemon.observe.http import StatusServer  # a drain does without

    redaction = set_up()
    stop = asyncio.Event()
    notifier = Notifier(os.environ)
    async with _worker(config, redaction, process) as worker, signals(stop):
        watchdog = _watchdog(worker, notifier)
        ready = asyncio.Event()
        status = StatusServer(
            config.daemon.listen, worker.metrics, watchdog.problems, lambda: ready.is_set() and not stop.is_set()
        )
        await status.start()
        try:
            async with _api(worker) as api, _background(worker, watchdog, api, file):
                ready.set()
                notifier.ready()
                worker.facts.job_event(0, "serving", f"{config.queue_url} http://{config.daemon.listen}")
                await stop.wait()
                notifier.stopping(config.daemon.drain_seconds)
                async with asyncio.TaskGroup() as ending:
                    if api is not None:
                        ending.create_task(api.close(config.daemon.drain_seconds), name="api end")
                    ending.create_task(_stop(worker, config.daemon.drain_seconds), name="end")
        finally:
            await status.close()
    return 0


async def drain(
    config: Config,
    only_job: int | None = None,
    give_up_after: float | None = None,
    process: FileProcess | None = None,
) -> int:
    """Work until nothing is left to do. The exit code is that of the worst job this worker had a part in.

    only_job: work on this one and leave the rest. give_up_after: end after so many seconds in which every job that is
    left only waited, for a remote that is down for instance; None waits for ever. What a job waits for, and why one
    failed, is said on standard error. process: for small files. Raises UsageError, QueueError, UnknownJob.
    """
    redaction = set_up()
    stop = asyncio.Event()
    answers = Answers()
    sinks = (answers, ConsoleFacts(lambda line: print(f"headraced: {redaction.text(line)}", file=sys.stderr)))
    working = _worker(config, redaction, process, only_job, sinks)
    async with working as worker, signals(stop), _background(worker, None, None):
        given_up = await _until_idle(worker, stop, answers, only_job, give_up_after)
        await worker.notices.flush(NOTICE_SECONDS)
        await _stop(worker, config.daemon.drain_seconds if stop.is_set() else 0.0)
        await worker.janitor.sweep()
        jobs = await worker.queue.read(lambda store: [store.job(job_id) for job_id in worker.dispatcher.touched])
        if stop.is_set():  # perhaps before it had a part in any
            jobs += await worker.queue.read(lambda store: _unfinished(store, only_job))
        jobs += _left_held(await worker.queue.read(lambda store: _held(store, only_job)))
    return max(worst(jobs), worst(given_up))


async def _until_idle(
    worker: Worker, stop: asyncio.Event, answers: Answers, only_job: int | None, give_up_after: float | None
) -> list[Job]:
    """Until nothing is left to do, or a signal came; the jobs that are left because nothing but waiting is."""
    standstill = Standstill(give_up_after) if give_up_after is not None else None
    while not stop.is_set() and not (await worker.dispatcher.idle() and await _fsx_is_told(worker)):
        if standstill is not None:
            jobs = await worker.queue.read(lambda store: _unfinished(store, only_job))
            moved = answers.count + await worker.queue.read(_moved_by_fsx)
            if standstill.look(time.monotonic(), jobs, moved):
                for job in jobs:
                    said = f"job {job.id} is left in the queue; it waits: {shown(job.waiting or '')}"
                    print(f"headraced: {said}", file=sys.stderr)
                return jobs
        await _wait(stop, IDLE_LOOK_SECONDS)
    return []


async def _fsx_is_told(worker: Worker) -> bool:
    """Whether no data repository task works for a job that was cancelled, without FSx having been asked to end it."""
    if worker.host.tasks is None:
        return True

    def untold(store: Store) -> bool:
        tasks = store.tasks(open_only=True)
        asked = [task for task in tasks if task.state is TaskState.CANCELLING and task.looks]
        return any(store.job(task.job_id).state in _UNWANTED for task in tasks if task not in asked)

    return not await worker.queue.read(untold)


def _moved_by_fsx(store: Store) -> int:
    """Grows while a data repository task gets on."""
    tasks = store.tasks(open_only=True)
    return sum(task.total + task.succeeded + task.failed + (task.state is not TaskState.WAITING) for task in tasks)


def _unfinished(store: Store, only_job: int | None) -> list[Job]:
    if only_job is not None:
        return [store.job(only_job)]
    return store.jobs((JobState.QUEUED, JobState.RUNNING, JobState.CANCELLING), MAX_LOOKED_AT)


def _held(store: Store, only_job: int | None) -> list[Job]:
    """Jobs that start after others, which are not done: a person paused those, or another worker has them."""
    return [job for job in _unfinished(store, only_job) if job.spec.after and store.is_held(job.id)]


def _left_held(jobs: list[Job]) -> list[Job]:
    for job in jobs:
        print(f"headraced: job {job.id} is left in the queue; it waits: {shown(job.waiting or '')}", file=sys.stderr)
    return jobs


def worst(jobs: list[Job]) -> int:
    """The highest exit code of these jobs; one that is not at its end counts as cancelled: it was not finished."""
    return max((EXIT_CODE.get(job.state, EXIT_CODE[JobState.CANCELLED]) for job in jobs), default=0)


async def _stop(worker: Worker, seconds: float) -> None:
    worker.dispatcher.stop()
    await worker.dispatcher.finish(seconds)
    await worker.heartbeat.retire()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


@asynccontextmanager
async def _background(
    worker: Worker, watchdog: Watchdog | None, api: "ApiServer | None", file: Path | None = None
) -> AsyncIterator[None]:
    """The tasks beside the transfers. The first that fails ends the worker with its error."""
    # before any task runs: what is wrong with the configuration is said as such
    keepers = _tasks_of_fsx(worker) | ({} if watchdog is None else _staging(worker))
    keepers["notices"] = worker.notices.run
    keepers["objects being restored"] = ThawKeeper(worker.host, time.time).run
    if worker.host.bandwidth.switches:
        keepers["bandwidth timetable"] = worker.host.bandwidth.run
    if watchdog is not None:
        from headrace_daemon.schedules.build import keeper_of as schedules_of  # a drain does without

        ids = (worker.facts, worker.heartbeat.worker_id)
        keepers["schedules"] = schedules_of(worker.config, file, worker.queue, worker.remotes, *ids).run
    async with asyncio.TaskGroup() as owned:
        tasks = [
            owned.create_task(worker.dispatcher.run(), name="dispatcher"),
            owned.create_task(worker.heartbeat.run(), name="heartbeat"),
            owned.create_task(worker.janitor.run(), name="janitor"),
            owned.create_task(_measure_depth(worker), name="queue depth"),
        ]
        if watchdog is not None:
            tasks.append(owned.create_task(watchdog.run(), name="watchdog"))
        tasks += [owned.create_task(run(), name=name) for name, run in keepers.items()]
        if api is not None:
            tasks.append(owned.create_task(api.watch(), name="api watch"))
        yield
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def _api(worker: Worker) -> AsyncIterator["ApiServer | None"]:
    """The HTTP API, where it is configured. Raises UsageError, Occupied."""
    api = worker.config.api
    if api is None:
        yield None
        return
    from headrace_daemon.api.compose import serving  # brings FastAPI and uvicorn

    async with serving(worker.host, api) as server:
        worker.facts.job_event(0, "serving_api", api.listen)
        yield server


def _staging(worker: Worker) -> dict[str, Callable[[], Coroutine[None, None, None]]]:
    """The tasks that watch transfers, by name. Raises UsageError."""
    if worker.config.api is None or worker.config.staging is None:
        return {}
    from headrace_daemon.staging.build import tasks_of  # only who has an API needs it

    return tasks_of(worker.config, worker.queue, worker.remotes, worker.facts, time.time)


def _tasks_of_fsx(worker: Worker) -> dict[str, Callable[[], Coroutine[None, None, None]]]:
    """The task that watches data repository tasks, by name."""
    if worker.host.tasks is None:
        return {}
    return {"data repository tasks": worker.host.tasks.keeper(worker.host.report, time.time).run}


async def _measure_depth(worker: Worker) -> None:
    while True:
        worker.metrics.set_depth(await worker.queue.read(lambda store: store.depth()))
        await asyncio.sleep(DEPTH_SECONDS)


def _watchdog(worker: Worker, notifier: Notifier) -> Watchdog:
    markers = {
        "queue writer": lambda: worker.queue.progress_marker,
        "dispatcher": lambda: worker.dispatcher.turns,
    }
    return Watchdog(markers, notifier, worker.facts, time.monotonic)


@asynccontextmanager
async def _worker(
    config: Config,
    redaction: Redaction,
    process: FileProcess | None,
    only_job: int | None = None,
    sinks: Sequence[Facts] = (),
) -> AsyncIterator[Worker]:
    """Open everything, in order; close it in the reverse order, whatever happens. sinks: beside metrics and log."""
    metrics = Metrics(version("headrace"))
    facts = FanOut(metrics, LogFacts(), TallyFacts(), *sinks)
    queue = Queue(lambda: _open(config), lambda: _open(config, read_only=True), facts.committed)
    await queue.start()
    threads = FileThreads(FILE_THREADS)
    if (warning := too_few(descriptors_needed(config))) is not None:
        facts.job_event(0, "warning", warning)
    if process is not None:
        process.attach(lambda why: facts.job_event(0, "warning", why))
    report = ReportWriter(config.state_dir)
    remotes = Remotes(config, facts, partial(connect, hide=redaction.hide))
    tasks = _job_tasks(config, queue, remotes, facts, redaction)
    try:
        host = _host(config, queue, remotes, threads, process, report, facts, tasks)
        row = this_worker()
        heartbeat = Heartbeat(queue, row, report, facts, time.time, host.pulse)
        await heartbeat.start()
        dispatcher = Dispatcher(queue, row.id, Sessions(host), facts, time.time, only_job)
        janitor = Janitor(queue, Sessions(host), facts, time.time)
        notices = Notices(config, queue, facts, redaction)
        try:
            with hearing_of_writes(config.queue_url, dispatcher.written):
                yield Worker(config, queue, dispatcher, heartbeat, janitor, metrics, facts, remotes, host, notices)
        finally:
            await notices.close()
            await dispatcher.finish(0.0)  # nothing may be in flight when its tools are put away
    finally:
        async with AsyncExitStack() as ends:  # the last one first, each whatever became of those before it
            ends.push_async_callback(queue.close)
            ends.callback(threads.close)
            if process is not None:
                ends.callback(process.close)
            ends.callback(_close_report, report, facts)
            ends.push_async_callback(remotes.close)
            if tasks is not None:
                ends.push_async_callback(tasks.close)


def _close_report(report: ReportWriter, facts: Facts) -> None:
    """A full disk is no reason to leave the rest open, nor to end in another way than the work did."""
    try:
        report.close()
    except OSError as error:
        lost = "the last lines of the report are not written; the objects that they are of are moved again"
        facts.job_event(0, "cleanup_failed", f"{error}: {lost}")


def _job_tasks(config: Config, queue: Queue, remotes: Remotes, facts: Facts, redaction: Redaction) -> "JobTasks | None":
    """What jobs ask of FSx; nothing of it is loaded where no file system is configured."""
    if not config.fsx:
        return None
    from headrace_daemon.fsx.aws import FsxApis, aws_api
    from headrace_daemon.fsx.dra.jobs import JobTasks

    apis = FsxApis(config, facts, partial(aws_api, hide=redaction.hide))
    return JobTasks(config, apis, remotes, queue, facts, lambda: f"headrace-{uuid.uuid4().hex}")


def _host(
    config: Config,
    queue: Queue,
    remotes: Remotes,
    threads: FileThreads,
    process: FileProcess | None,
    report: ReportWriter,
    facts: Facts,
    tasks: "JobTasks | None",
) -> Host:
    limits = BandwidthLimits(config, facts, time.time, time.monotonic)
    return Host(
        config=config,
        queue=queue,
        remotes=remotes,
        threads=threads,
        process=process,
        memory=MemoryBudget(config.transfer.memory),
        bandwidth=limits,
        report=report,
        facts=facts,
        now=time.time,
        room=Room(config.transfer.min_free),
        tasks=tasks,
    )


def _open(config: Config, *, read_only: bool = False) -> Store:
    return open_store(config.queue_url, read_only=read_only, max_attempts=config.transfer.attempts)

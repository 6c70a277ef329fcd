"""What Headrace needs of the host: who runs it, a place for its state, a safe SQLite, its queue, folders, the kernel.

It is safe beside a daemon. A queue is never made; one that is there is read, and SQLite may leave its -wal and -shm
files beside it then, as after any command that reads it.
"""

import os
import pwd
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final

import apsw

from headrace_daemon.doctor.check import Check, Status, ok, refused
from headrace_daemon.doctor.folders import data_folders, state_directory
from headrace_daemon.doctor.kernel import kernel_checks
from headrace_queue.client import live_workers, process_started, queue_exists
from headrace_queue.config import Config
from headrace_queue.errors import QueueError, UsageError
from headrace_queue.jobs import QueueDepth, Worker
from headrace_queue.sqlite_connection import check_sqlite
from headrace_queue.states import FINAL, BatchState
from headrace_queue.store import open_store

_SERVICE_USER: Final = "headrace"
"""As whom the unit of systemd/ runs."""


def user() -> Check:
    """Whose rights everything below was tried with."""
    number = os.geteuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = "a user without a name"
    if number == 0:
        how = f": sudo -u {_SERVICE_USER} headraced doctor" if _exists(_SERVICE_USER) else ""
        return ok("user", f"root, who may do more than another user of the daemon{how}")
    return ok("user", f"{name} ({number})")


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def sqlite() -> Check:
    """Whether the SQLite in this process is safe for several writers."""
    version = apsw.sqlite_lib_version()
    try:
        check_sqlite(version)
    except QueueError as error:
        return refused("SQLite", error)
    return ok("SQLite", f"{version}, of apsw {apsw.apsw_version()}")


def queue(url: str, now: float) -> Check:
    """Whether the queue opens, and who works on it. A queue that is not there yet is not made."""
    place = url.removeprefix("sqlite://") if url.startswith("sqlite://") else f"{url.partition('://')[0]}://…"
    try:
        there = queue_exists(url)
    except UsageError:
        return ok("queue", f"{place}: not there yet; its directory is the problem, see above")
    if not there:
        return ok("queue", f"{place}: not there yet, made when the first job is enqueued")
    try:
        with closing(open_store(url, read_only=True)) as store:
            depth, workers = store.depth(), store.workers()
    except (UsageError, QueueError) as error:
        return refused("queue", error)
    return _described("queue", place, depth, live_workers(workers, now, socket.gethostname(), process_started))


def _described(name: str, place: str, depth: QueueDepth, living: Sequence[Worker]) -> Check:
    open_jobs = sum(jobs for state, jobs in depth.jobs.items() if state not in FINAL)
    daemons = ", ".join(f"{worker.host} (process {worker.pid})" for worker in living) or "none"
    detail = f"{place}: opens; jobs not ended: {open_jobs:,}; daemons at work: {daemons}"
    if dead := depth.batches.get(BatchState.DEAD, 0):
        detail += f"; dead batches: {dead:,}"
        return Check(name, Status.WARN, detail, "`headrace jobs` shows whose they are; `headrace retry JOB`.")
    if open_jobs and not living:
        return Check(name, Status.WARN, detail, "Start the daemon: systemctl start headraced, or `headraced drain`.")
    return ok(name, detail)


def machine_checks(config: Config) -> list[Check]:
    """All of them. Synchronous, and quick unless a file system hangs."""
    return [
        user(),
        *_looked("state directory", lambda: [state_directory(config.state_dir)]),
        sqlite(),
        queue(config.queue_url, time.time()),
        *_looked("folders of datasets", lambda: data_folders(config)),
        *_looked("kernel", lambda: kernel_checks(config)),
    ]


def _looked(name: str, look: Callable[[], list[Check]]) -> list[Check]:
    """The checks of one subject; the operating system's own refusal is one, too, and keeps no other from being made."""
    try:
        return look()
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        remedy = "Run it as the daemon's user, or as root."
        return [Check(name, Status.FAIL, f"{where}{error.strerror or error}", remedy)]

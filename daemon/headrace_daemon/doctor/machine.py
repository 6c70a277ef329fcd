"""What Headrace needs of the host: a place for its state, a safe SQLite, descriptors, and a few calls of the kernel.

Everything is only looked at, so that it is safe beside a daemon. A queue is never made; one that is there is read, and
SQLite may leave its -wal and -shm files beside it then, as after any command that reads it.
"""

import errno
import os
import resource
import socket
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import apsw

from headrace_daemon.doctor.check import Check, Status, ok, refused
from headrace_daemon.files import mounts
from headrace_queue.client import live_workers, process_started, queue_exists
from headrace_queue.config import Config
from headrace_queue.errors import QueueError, UsageError
from headrace_queue.filesystem import SHARED, magic
from headrace_queue.jobs import QueueDepth, Worker
from headrace_queue.sqlite_connection import check_sqlite
from headrace_queue.states import FINAL, BatchState
from headrace_queue.store import open_store
from headrace_queue.units import format_bytes

LOW_SPACE: Final = 2**30
"""Free bytes of the state directory below which it is said: queue, reports and sorted listings lie there."""

_FOLDERS_KEPT_OPEN: Final = 256  # of one job's tree, see files.root
_BASE: Final = 128  # interpreter, event loop, queue, reports, status port


def state_directory(path: Path) -> Check:
    """Whether the daemon can write there, and what kind of file system it is."""
    name = "state directory"
    existing = path
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        return Check(name, Status.FAIL, f"{path}: {existing} is no directory", "Correct state_dir in config.toml.")
    if not os.access(existing, os.R_OK | os.W_OK | os.X_OK):
        user = f"user {os.geteuid()}"
        remedy = f"Run: install -d -m 750 -o USER {path}, with the daemon's user, or set state_dir in config.toml."
        return Check(name, Status.FAIL, f"{path}: {user} may not write to {existing}", remedy)
    shared = SHARED.get(magic(existing))
    if shared is not None:
        remedy = "Set state_dir in config.toml to a path on a local disk."
        return Check(name, Status.WARN, f"{path}: lies on {shared}, which is shared between hosts", remedy)
    return _space(name, path, existing)


def _space(name: str, path: Path, existing: Path) -> Check:
    fd = os.open(existing, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        kind, free = mounts.file_system(fd), mounts.space(fd).free_bytes
    finally:
        os.close(fd)
    made = "" if existing == path else ", made at the first start"
    detail = f"{path}: writable, {kind}, {format_bytes(free)} free{made}"
    if free < LOW_SPACE:
        return Check(name, Status.WARN, detail, "Free space there: a full disk stops the queue.")
    return ok(name, detail)


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
    if not queue_exists(url):
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


def descriptors_needed(config: Config) -> int:
    """How many descriptors a busy daemon holds: its connections, files under way, folders kept open."""
    sockets = sum(max(1, len(remote.endpoint_urls)) * remote.max_requests for remote in config.remotes.values())
    return _BASE + _FOLDERS_KEPT_OPEN + 2 * config.transfer.objects + sockets


def file_limit(needed: int, soft: int, hard: int) -> Check:
    """soft, hard: RLIMIT_NOFILE of this process; a daemon under systemd has that of its unit."""
    name = "file limit"
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return ok(name, f"{_limit_text(soft)} open files, about {needed:,} needed")
    enough = hard == resource.RLIM_INFINITY or hard >= needed
    by_hand = f"`ulimit -n {needed}` before it is started" if enough else "raise nofile in /etc/security/limits.conf"
    remedy = f"LimitNOFILE=65536 in headraced.service, or {by_hand}; or lower max_requests of the remotes."
    return Check(name, Status.WARN, f"{_limit_text(soft)} open files, about {needed:,} needed when busy", remedy)


def _limit_text(limit: int) -> str:
    return "unlimited" if limit == resource.RLIM_INFINITY else f"{limit:,}"


def kernel() -> Check:
    """The calls that Python has no name for; without some there is a slower way that is as safe."""
    release = os.uname().release
    if os.uname().sysname != "Linux" or process_started(os.getpid()) is None:
        return Check("kernel", Status.FAIL, f"{os.uname().sysname} {release}, /proc not mounted", "Run it on Linux.")
    slower = []
    if not _has_openat2():
        slower.append("openat2 (paths are walked by hand, as safe and slower)")
    if mounts.kernel_version(release) < (5, 8):
        slower.append("syncfs that tells of errors (every file is synced alone)")
    if slower:
        return Check("kernel", Status.WARN, f"Linux {release} lacks {', '.join(slower)}", "Use Linux 5.8 or newer.")
    return ok("kernel", f"Linux {release}, openat2, syncfs that tells of errors")


def _has_openat2() -> bool:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.close(mounts.openat2(root, b".", os.O_PATH | os.O_DIRECTORY, 0, mounts.RESOLVE_BENEATH))
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM, errno.EINVAL):
            return False
        raise
    finally:
        os.close(root)
    return True


def machine_checks(config: Config) -> list[Check]:
    """All of them. Synchronous, and quick unless a file system hangs. Raises OSError."""
    return [
        state_directory(config.state_dir),
        sqlite(),
        queue(config.queue_url, time.time()),
        file_limit(descriptors_needed(config), *resource.getrlimit(resource.RLIMIT_NOFILE)),
        kernel(),
    ]

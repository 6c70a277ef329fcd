"""A host whose /fsx is linked to a bucket: a fake FSx with its mount, the daemon and the commands, a real S3 server."""

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace_daemon.demo.servers import S3Server
from headrace_queue.jobs import Job, JobSpec, Kind, Options, Owner
from headrace_queue.states import EXIT_CODE, FINAL
from headrace_queue.store import Store, open_store
from headrace_queue.tasks import Task, TaskState
from tests.support.buckets import fresh_bucket
from tests.support.commands import remote_of
from tests.support.fsx_mount import FakeMount
from tests.support.fsx_server import FakeFsx, fsx_server
from tests.support.site import Site, until

REGION = "us-east-1"
SMALL = ("task_from_objects = 3",)
"""From so many on a task is worth its start."""


@dataclass
class LinkedSite:
    """bucket: the name of the linked one; its prefix `data/` is the folder `/` of the mount. served: a daemon runs, and
    nobody drains."""

    site: Site
    fsx: FakeFsx
    mount: FakeMount
    server: S3Server
    bucket: str
    file_system: str
    association: str
    served: bool = False
    _seen: int = 0

    def __post_init__(self) -> None:
        self._seen = len(self.fsx.requests)

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/data"

    @property
    def root(self) -> Path:
        return self.mount.root

    def put(self, key: str, body: bytes, **more: Any) -> None:
        with closing(self.server.client()) as client:
            client.put_object(Bucket=self.bucket, Key=f"data/{key}", Body=body, **more)

    def objects(self) -> dict[str, int]:
        """What the bucket holds below data/, with sizes."""
        with closing(self.server.client()) as client:
            listed = client.list_objects_v2(Bucket=self.bucket, Prefix="data/").get("Contents", [])
        return {one["Key"].removeprefix("data/"): one["Size"] for one in listed}

    def body(self, key: str) -> bytes:
        with closing(self.server.client()) as client:
            content: bytes = client.get_object(Bucket=self.bucket, Key=f"data/{key}")["Body"].read()
        return content

    def write(self, name: str, body: bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return path

    def export(self, code: int = 0, **options: Any) -> Job:
        """A sync from the mount to the bucket, and a drain that ends with this code; the job at its end."""
        return self.drained(self.enqueue(self.root, f"{self.url}/", **options), code)

    def bring(self, code: int = 0, **options: Any) -> Job:
        """The other way."""
        return self.drained(self.enqueue(f"{self.url}/", self.root, **options), code)

    def enqueue(self, source: object, destination: object, owner: Owner | None = None, **options: Any) -> int:
        """Without a command, which would take longer than the job; options: of `Options`."""
        self.site.state.mkdir(mode=0o700, exist_ok=True)
        with self._writing() as store:
            return store.enqueue(JobSpec(Kind.SYNC, str(source), str(destination), Options(**options), owner=owner))[
                0
            ].id

    def drained(self, job_id: int, code: int = 0) -> Job:
        """The job at its end, which has this exit code."""
        if not self.served:
            self.site.run("headraced", "drain", code=code)
            return self.site.job(job_id)
        job = self.site.until_job(job_id, lambda job: job.state in FINAL)
        assert EXIT_CODE[job.state] == code, f"{job}\n{self.site.logs()}"
        return job

    def retry(self, job_id: int, code: int = 0) -> Job:
        with self._writing() as store:
            store.retry(job_id)
        return self.drained(job_id, code)

    def cancel(self, job_id: int) -> None:
        with self._writing() as store:
            store.cancel(job_id)

    def pause(self, job_id: int) -> None:
        with self._writing() as store:
            store.pause(job_id)

    def resume(self, job_id: int) -> None:
        with self._writing() as store:
            store.resume(job_id)

    @contextmanager
    def _writing(self) -> Iterator[Store]:
        with closing(open_store(f"sqlite://{self.site.state / 'queue.db'}")) as store:
            yield store

    def created(self) -> list[Any]:
        """The tasks that FSx was asked for, without those that were asked for twice."""
        asked = [one for one in self.fsx.calls("CreateDataRepositoryTask") if one["FileSystemId"] == self.file_system]
        return list({one["ClientRequestToken"]: one for one in asked}.values())

    def asked(self) -> int:
        """How many requests FSx got since this site began."""
        return len(self.fsx.requests) - self._seen

    def states(self, job_id: int) -> list[tuple[str, str]]:
        """Kind and state of the job's tasks."""
        return [(str(task.spec.kind), str(task.state)) for task in self.tasks(job_id)]

    def until_task(self, job_id: int, state: TaskState) -> Task:
        def look() -> Task | None:
            return next((task for task in self.tasks(job_id) if task.state is state), None)

        return until(look, what=lambda: f"{self.tasks(job_id)}\n{self.site.job(job_id)}\n{self.site.logs()}")

    def tasks(self, job_id: int) -> list[Task]:
        with self.site.store() as store:
            return store.tasks(job_id)

    def outcomes(self, job_id: int) -> dict[str, str]:
        return {key: entry.outcome for key, entry in self.site.report(job_id).items()}

    def tree(self) -> dict[str, bytes]:
        """The files of the mount."""
        found = {}
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = Path(folder) / name
                found[path.relative_to(self.root).as_posix()] = path.read_bytes()
        return found


@contextmanager
def linked_site(
    directory: Path, server: S3Server, *section: str, path: str = "/", lfs: str = ""
) -> Iterator[LinkedSite]:
    """section: further lines of [fsx.scratch]. path: of the association. lfs: another command in place of the fake."""
    with fsx_server() as fsx, FakeMount(directory / "fsx", server) as mount:
        bucket = fresh_bucket(server, "linked")
        file_system = fsx.add_file_system(mount)
        association = fsx.add_association(file_system, path, f"s3://{bucket}/data/")
        lines = section_of("scratch", fsx, mount, file_system, lfs or str(mount.lfs_command(directory)))
        site = Site(directory / "site", {"s3": remote_of(server)}, more=[*lines, *section])
        try:
            yield LinkedSite(site, fsx, mount, server, bucket, file_system, association)
        finally:
            site.close()


def section_of(name: str, fsx: FakeFsx, mount: FakeMount, file_system: str, lfs: str) -> list[str]:
    return [
        f"[fsx.{name}]",
        f'file_system_id = "{file_system}"',
        f'mount = "{mount.root}"',
        'mounted_as = "any"',
        f'region = "{REGION}"',
        f'endpoint_url = "{fsx.url}"',
        f'lfs = "{lfs}"',
        'poll = "50ms"',
    ]


class Fleet:
    """One daemon that runs, for many tests one after the other: each gets a file system of its own."""

    def __init__(
        self, site: Site, fsx: FakeFsx, server: S3Server, mounts: Sequence[tuple[str, FakeMount, str, str]]
    ) -> None:
        """mounts: file system, mount, bucket and association of each."""
        self._site, self._fsx, self._server = site, fsx, server
        self._free = list(mounts)

    @contextmanager
    def lend(self) -> Iterator[LinkedSite]:
        """The next one; what the fake was told for it is forgotten at the end."""
        file_system, mount, bucket, association = self._free.pop()
        self._server.make_bucket(bucket)
        try:
            yield LinkedSite(self._site, self._fsx, mount, self._server, bucket, file_system, association, served=True)
        finally:
            self._fsx.forget()


@contextmanager
def fleet_of(directory: Path, server: S3Server, size: int, *section: str) -> Iterator[Fleet]:
    """section: further lines of each [fsx.NAME]."""
    with ExitStack() as stack:
        fsx = stack.enter_context(fsx_server())
        lines: list[str] = []
        mounts = []
        for number in range(size):
            folder = directory / str(number)
            folder.mkdir(parents=True)
            mount = stack.enter_context(FakeMount(folder / "fsx", server))
            file_system = fsx.add_file_system(mount)
            bucket = f"fleet-{os.getpid()}-{next(_numbers)}"
            association = fsx.add_association(file_system, "/", f"s3://{bucket}/data/")
            lines += section_of(f"n{number}", fsx, mount, file_system, str(mount.lfs_command(folder)))
            lines += section
            mounts.append((file_system, mount, bucket, association))
        site = Site(directory / "site", {"s3": remote_of(server)}, more=lines)
        stack.callback(site.close)
        site.serve()
        yield Fleet(site, fsx, server, mounts)


_numbers = itertools.count()

"""One host for many acceptance tests: every server as a remote, a daemon at work, and places to fill and to read.

Places are read and filled by other means than Headrace's own: botocore for buckets, the file system for folders.
"""

import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from botocore.handlers import add_expect_header

from headrace_daemon.demo.servers import S3Server
from headrace_queue.report_file import ReportEntry
from tests.support.buckets import fresh_bucket
from tests.support.loaded import LoadedCommand
from tests.support.site import COMMAND_SECONDS, Daemon, RemoteTable, Site
from tests.support.trees import Tree, keys_of, read_tree, write_tree

MIB = 2**20
PART = 5 * MIB
THRESHOLD = PART
TRANSFER = ['part_size = "5MiB"', 'multipart_threshold = "5MiB"', 'memory = "64MiB"']

FAULTS = ("worker_fault", "batch_failed", "cleanup_failed")
"""Events of a daemon that has done something wrong itself."""

NOTHING_MORE: Mapping[str, str] = {}

_numbers = itertools.count(1)


class Place(Protocol):
    """Where a job reads or writes."""

    @property
    def url(self) -> str:
        """As it is written on the command line; of a folder, without a slash at its end."""
        ...

    def fill(self, tree: Mapping[str, bytes]) -> None: ...

    def read(self) -> Tree: ...

    def delete(self, *keys: str) -> None: ...


@dataclass(frozen=True)
class Folder:
    """A tree of files."""

    path: Path

    @property
    def url(self) -> str:
        return str(self.path)

    def fill(self, tree: Mapping[str, bytes]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        write_tree(self.path, tree)

    def read(self) -> Tree:
        return read_tree(self.path)

    def delete(self, *keys: str) -> None:
        for key in keys:
            (self.path / key).unlink()

    def folders(self) -> set[str]:
        """Every folder below it."""
        return {path.relative_to(self.path).as_posix() for path in self.path.rglob("*") if path.is_dir()}


@dataclass(frozen=True)
class Bucket:
    """A bucket, or what lies below a prefix of it; a prefix ends in a slash."""

    server: S3Server
    remote: str
    name: str
    prefix: str = ""

    @property
    def url(self) -> str:
        return f"{self.remote}://{self.name}/{self.prefix}".removesuffix("/")

    @property
    def door(self) -> frozenset[str]:
        """The endpoints that lead there."""
        return frozenset(self.server.endpoint_urls)

    def fill(self, tree: Mapping[str, bytes]) -> None:
        with self.client() as client:
            for key, content in tree.items():
                client.put_object(Bucket=self.name, Key=self.prefix + key, Body=content)

    def read(self) -> Tree:
        keys = [key.removeprefix(self.prefix) for key in keys_of(self.server, self.name, self.prefix)]
        with self.client() as client:
            return {
                key: client.get_object(Bucket=self.name, Key=self.prefix + key)["Body"].read()
                for key in keys
                if key and not key.endswith("/")
            }

    def delete(self, *keys: str) -> None:
        with self.client() as client:
            for key in keys:
                client.delete_object(Bucket=self.name, Key=self.prefix + key)

    def head(self, key: str) -> dict[str, Any]:
        with self.client() as client:
            answer: dict[str, Any] = client.head_object(Bucket=self.name, Key=self.prefix + key)
            return answer

    @contextmanager
    def client(self) -> Iterator[Any]:
        """A botocore client that waits for no 100 Continue: servers here send none for an empty body."""
        with closing(self.server.client()) as client:
            client.meta.events.unregister("before-call.s3", add_expect_header)
            yield client


class Hub:
    """A site whose daemon serves every test of a process. servers: by the name of their remote."""

    def __init__(self, directory: Path, servers: Mapping[str, S3Server], loaded: LoadedCommand) -> None:
        self.servers = servers
        remotes = {name: remote_of(server) for name, server in servers.items()}
        self.site = Site(directory, remotes, TRANSFER, loaded=loaded)
        self.daemon: Daemon = self.site.serve()
        self._shared: dict[str, str] = {}

    def close(self) -> None:
        """The daemon ends as asked, whatever it went through, and met no fault of its own."""
        try:
            assert self.daemon.stop() == 0, self.daemon.log()
            assert [self.site.events(f"job_{name}") for name in FAULTS] == [[]] * len(FAULTS)
        finally:
            self.site.close()

    def bucket(self, remote: str) -> Bucket:
        """A bucket of its own."""
        server = self.servers[remote]
        return Bucket(server, remote, fresh_bucket(server))

    def prefix(self, remote: str) -> Bucket:
        """A prefix that nobody else writes to: cheaper than a bucket."""
        if remote not in self._shared:
            self._shared[remote] = fresh_bucket(self.servers[remote], "shared")
        return Bucket(self.servers[remote], remote, self._shared[remote], f"p{next(_numbers)}/")

    def place(self, kind: str, directory: Path) -> Place:
        """A prefix of the remote `kind`, or for `files` a folder that does not exist yet."""
        return Folder(directory / f"f{next(_numbers)}") if kind == "files" else self.prefix(kind)

    def sync(self, source: Place, destination: Place, *options: object, code: int = 0) -> Any:
        """`headrace sync SRC DST --wait`; the job at its end."""
        return self.site.headrace("sync", source.url, destination.url, "--wait", *options, code=code)["job"]

    def copy(self, source: str, destination: str, *options: object, code: int = 0) -> Any:
        """`headrace copy SRC DST --wait`; the job at its end."""
        return self.site.headrace("copy", source, destination, "--wait", *options, code=code)["job"]

    def lines(self, job: Any) -> list[ReportEntry]:
        """Every line of the job's report."""
        return self.site.report_lines(job["id"])


class Said(NamedTuple):
    """What a command wrote to its two streams."""

    out: str
    errors: str


def call(
    site: Site, name: str, *arguments: object, code: int = 0, environment: Mapping[str, str] = NOTHING_MORE
) -> Said:
    """One call of an installed command to its end. The exit code is checked, and that no traceback came out."""
    with site.popen(name, *arguments, **environment) as process:
        try:
            said = Said(*process.communicate(timeout=COMMAND_SECONDS))
        except BaseException:
            process.kill()
            raise
    assert process.returncode == code, f"{name} {arguments}: exit code {process.returncode}\n{said}"
    assert "Traceback" not in said.errors
    return said


def complaint(site: Site, name: str, *arguments: object) -> tuple[str, str, str]:
    """What a command says that refuses to start: what is wrong, why, and what to do. It leaves with exit code 2."""
    first, why, remedy = call(site, name, *arguments, code=2).errors.splitlines()
    assert first.startswith(f"{name}: ")
    assert why.startswith("  why: ")
    assert remedy.startswith("  do:  ")
    return first.removeprefix(f"{name}: "), why.removeprefix("  why: "), remedy.removeprefix("  do:  ")


def json_lines(text: str) -> list[dict[str, Any]]:
    """What a command prints that prints one JSON object a line."""
    return [json.loads(line) for line in text.splitlines()]


def remote_of(server: S3Server, urls: Sequence[str] = (), *lines: str) -> RemoteTable:
    """A remote of config.toml for a running server, its authority trusted where it has one."""
    trust = [f'ca_file = "{server.ca_file}"'] if server.ca_file else []
    return RemoteTable.of(server, urls, *trust, *lines)


def outcomes(lines: Sequence[ReportEntry]) -> dict[str, str]:
    """Key -> outcome of a report; every key stands there once."""
    assert len({line.key for line in lines}) == len(lines), lines
    return {line.key: line.outcome for line in lines}


def sent(job: Mapping[str, Any]) -> tuple[int, int, int]:
    """Of a job's counters: done, unchanged, failed."""
    counters = job["counters"]
    return counters["done"], counters["unchanged"], counters["failed"]


def noise(size: int) -> bytes:
    """Bytes that nothing compresses and no second call repeats."""
    return os.urandom(size)

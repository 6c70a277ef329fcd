"""A machine that runs Headrace: its configuration, the installed commands, and daemons that may be killed."""

import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from headrace_daemon.demo.process import OwnedProcess, PortClaim, wait_until_ready
from headrace_daemon.demo.servers import Keys, S3Server, program
from headrace_queue.jobs import Job, Multipart
from headrace_queue.report_file import ReportEntry, parse_line, report_path
from headrace_queue.states import FINAL, JobState
from headrace_queue.store import Store, open_store
from tests.support.loaded import Ended, LoadedCommand

T = TypeVar("T")

# a shared machine may be many times slower than a developer's; only what fails waits so long
DEADLINE = 150.0
LOOK_SECONDS = 0.01
COMMAND_SECONDS = DEADLINE


def until(look: Callable[[], T | None], seconds: float = DEADLINE, what: Callable[[], object] = lambda: "it") -> T:
    """The first result of `look` that is true; fails after the deadline, showing `what`."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"never happened: {what()}")
        time.sleep(LOOK_SECONDS)
    return found


@dataclass(frozen=True, slots=True)
class RemoteTable:
    """A section of config.toml: where a service is and how to get in. lines: further settings, as TOML."""

    urls: Sequence[str]
    keys: Keys
    region: str
    lines: Sequence[str] = ()

    @classmethod
    def of(cls, server: S3Server, urls: Sequence[str] = (), *lines: str) -> "RemoteTable":
        """A running server; urls: other doors to it, a fault proxy for instance."""
        return cls(urls or server.endpoint_urls, server.keys, server.region, lines)


class Daemon:
    """A `headraced serve` that runs. Ends with the test whatever happens."""

    def __init__(self, site: "Site", environment: Mapping[str, str]) -> None:
        self._claim = PortClaim(1)
        (port,) = self._claim.ports
        self.url = f"127.0.0.1:{port}"
        surroundings = {**environment, "HEADRACE_DAEMON__LISTEN": self.url}
        log = site.directory / f"headraced-{port}.log"
        self.process = OwnedProcess([program("headraced"), "serve", "--config", str(site.config)], log, surroundings)

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_until_ready(self) -> None:
        wait_until_ready(self.process, lambda: self.get("/readyz") is not None, DEADLINE, "headraced serve")

    def get(self, path: str) -> str | None:
        """What its HTTP port answers; None where it is not 200 or nobody listens."""
        connection = http.client.HTTPConnection(self.url, timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read().decode()
        except (OSError, http.client.HTTPException):
            return None
        else:
            return body if answer.status == 200 else None
        finally:
            connection.close()

    def children(self) -> list[int]:
        """The process ids of what it started."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def metric(self, name: str, **labels: str) -> float:
        """The sum of its series with these labels."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        lines = (self.get("/metrics") or "").splitlines()
        of_name = (line for line in lines if line.startswith(f"{name}{{") and all(one in line for one in wanted))
        return sum(float(line.split()[-1]) for line in of_name)

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self.process.stop(grace=0)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def exit_code(self, seconds: float = DEADLINE) -> int:
        """Waits for its end."""
        until(lambda: self.process.exit_code is not None, seconds, self.log)
        assert self.process.exit_code is not None
        return self.process.exit_code

    def stop(self, grace: float = DEADLINE) -> int:
        """SIGTERM; the exit code."""
        return self.process.stop(grace)

    def close(self) -> None:
        self.process.stop(grace=0)
        self._claim.release()

    def log(self) -> str:
        return self.process.log.read_text(errors="replace")

    def events(self) -> list[dict[str, Any]]:
        """Its log, line by line; without one that it is about to write."""
        lines = (line for line in self.log().split("\n")[:-1] if line.startswith("{"))
        return [json.loads(line) for line in lines]


@dataclass
class Site:
    """directory: holds everything. transfer, daemon: lines of those sections of config.toml; more: whole sections.

    loaded: runs `headrace` in the place of the installed command, but for `popen`.
    """

    directory: Path
    remotes: Mapping[str, RemoteTable]
    transfer: Sequence[str] = ()
    daemon_lines: Sequence[str] = ()
    state: Path = Path()
    more: Sequence[str] = ()
    loaded: LoadedCommand | None = None
    _daemons: list[Daemon] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.state = self.state if self.state != Path() else self.directory / "state"
        self.write_config()

    @property
    def config(self) -> Path:
        return self.directory / "config.toml"

    def write_config(self) -> None:
        lines = [f"state_dir = {json.dumps(str(self.state))}", "[daemon]", *self.daemon_lines]
        lines += ["[transfer]", *self.transfer]
        for name, remote in self.remotes.items():
            keys = self.directory / f"{name}.ini"
            keys.touch(mode=0o600)
            keys.write_text(
                f"[default]\naws_access_key_id = {remote.keys.access_key}\n"
                f"aws_secret_access_key = {remote.keys.secret_key}\n"
            )
            lines += [
                f"[remotes.{name}]",
                f"region = {json.dumps(remote.region)}",
                f"endpoint_urls = {json.dumps(list(remote.urls))}",
                f"credentials = {{ file = {json.dumps(str(keys))} }}",
                *remote.lines,
            ]
        lines += self.more
        self.config.write_text("\n".join(lines) + "\n")

    def configure(self, transfer: Sequence[str]) -> None:
        """Other lines of that section, for every daemon and command that starts from here on."""
        self.transfer = transfer
        self.write_config()

    # -- commands -------------------------------------------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("HEADRACE_", "NOTIFY_"))}
        return plain | {"HOME": str(self.directory), "HEADRACE_CONFIG": str(self.config)}

    def popen(self, name: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
        """An installed command in the background; the caller waits for it."""
        return subprocess.Popen(
            [program(name), *map(str, arguments)],
            env=self.environment() | environment,
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, name: str, *arguments: object, code: int = 0) -> str:
        """One call of a command to its end; its standard output. The exit code is checked."""
        if self.loaded is not None and name == "headrace":
            ended = self.loaded.run(list(map(str, arguments)), self.environment(), self.directory, COMMAND_SECONDS)
        else:
            ended = self._run_installed(name, *arguments)
        assert ended.code == code, f"{name} {arguments}: exit code {ended.code}\n{ended.output}\n{ended.errors}"
        return ended.output

    def _run_installed(self, name: str, *arguments: object) -> Ended:
        with self.popen(name, *arguments) as process:
            try:
                output, errors = process.communicate(timeout=COMMAND_SECONDS)
            except BaseException:
                process.kill()
                raise
        return Ended(process.returncode, output, errors)

    def headrace(self, *arguments: object, code: int = 0) -> Any:
        """What `headrace … --json` prints."""
        return json.loads(self.run("headrace", *arguments, "--json", code=code))

    def enqueue(self, source: object, destination: object, *options: object) -> int:
        """`headrace sync`; the job's number."""
        job_id: int = self.headrace("sync", source, destination, *options)["job"]["id"]
        return job_id

    def status(self, job_id: int) -> Any:
        return self.headrace("status", job_id)

    # -- daemons --------------------------------------------------------------------------------------------------

    def serve(self, **environment: str) -> Daemon:
        """A daemon that is ready."""
        daemon = Daemon(self, self.environment() | environment)
        self._daemons.append(daemon)
        daemon.wait_until_ready()
        return daemon

    def close(self) -> None:
        for daemon in self._daemons:
            daemon.close()

    # -- what the queue and the reports say -----------------------------------------------------------------------

    @contextmanager
    def store(self) -> Iterator[Store]:
        with closing(open_store(f"sqlite://{self.state / 'queue.db'}", read_only=True)) as store:
            yield store

    def job(self, job_id: int) -> Job:
        with self.store() as store:
            return store.job(job_id)

    def multipart(self, job_id: int, key: str) -> Multipart | None:
        with self.store() as store:
            return store.multipart(job_id, key)

    def until_job(self, job_id: int, holds: Callable[[Job], bool], seconds: float = DEADLINE) -> Job:
        """The job as soon as it is so. Looks every few milliseconds; fails when it ends otherwise."""
        with self.store() as store:

            def look() -> Job | None:
                job = store.job(job_id)
                assert holds(job) or job.state not in FINAL, f"it ended too early: {job}\n{self.logs()}"
                return job if holds(job) else None

            return until(look, seconds, lambda: f"{store.job(job_id)}\n{self.logs()}")

    def until_parts(self, job_id: int, key: str, count: int) -> None:
        """Until so many parts of a large object are recorded."""
        with self.store() as store:

            def recorded() -> bool:
                record = store.multipart(job_id, key)
                return record is not None and len(record.parts) >= count

            until(recorded, what=lambda: f"{store.job(job_id)}\n{self.logs()}")

    def finish(self, job_id: int, seconds: float = DEADLINE) -> Job:
        """The job, done with nothing failed."""
        return self.until_job(job_id, lambda job: job.state is JobState.DONE, seconds)

    def report_lines(self, job_id: int) -> list[ReportEntry]:
        """Every line of the report as it stands there, repeated ones included; a torn one is left out."""
        path = report_path(self.state, job_id)
        lines = path.read_bytes().splitlines() if path.exists() else []
        return [entry for entry in map(parse_line, lines) if entry is not None]

    def report(self, job_id: int) -> dict[str, ReportEntry]:
        """The last line of every object."""
        return {entry.key: entry for entry in self.report_lines(job_id)}

    def events(self, name: str) -> list[dict[str, Any]]:
        """What the daemons logged under this name."""
        return [event for daemon in self._daemons for event in daemon.events() if event.get("event") == name]

    def logs(self) -> str:
        return "\n".join(f"-- {daemon.process.log.name}\n{daemon.process.log_tail(25)}" for daemon in self._daemons)


@contextmanager
def site_of(
    directory: Path,
    remotes: Mapping[str, RemoteTable],
    transfer: Sequence[str] = (),
    daemon: Sequence[str] = (),
    loaded: LoadedCommand | None = None,
) -> Iterator[Site]:
    """A site in a folder of its own that ends with the block."""
    site = Site(directory / "site", remotes, transfer, daemon, loaded=loaded)
    try:
        yield site
    finally:
        site.close()


def ends_of(direction: str, files: Path, source: str, target: str, back: Path) -> tuple[object, object]:
    """Source and destination of an upload, a relay or a download: `source` is a bucket of the remote lake, `target`
    one of vault."""
    return {
        "upload": (files, f"vault://{target}/"),
        "relay": (f"lake://{source}/", f"vault://{target}/"),
        "download": (f"lake://{source}/", back),
    }[direction]

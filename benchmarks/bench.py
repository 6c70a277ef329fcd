"""`make bench`: every row of benchmarks/scenarios.py by every program that can do it, into one page of Markdown."""

import argparse
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.contenders import Contender, Headrace, JuiceFS, S5cmd, Stage
from benchmarks.measure import RunFailed, Usage
from benchmarks.quiet import wait_until_quiet
from benchmarks.scenarios import BLOCK, FULL, QUICK, Folders, Kind, Scale, Scenario, check_done, make_source, scenarios
from benchmarks.server import NullServer, build_server, make_certificate, null_server
from benchmarks.table import Row, page
from headrace_queue.errors import HeadraceError

BUILD = Path("build")
MANY = 1_000
"""Files of a download before which the disk must be quiet."""
RUNS = count(1)
"""Numbers the runs, each of which has a destination of its own."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Two endpoints without TLS and two with it."""

    plain: tuple[NullServer, NullServer]
    tls: tuple[NullServer, NullServer]

    def stage(self, scenario: Scenario, folders: Folders) -> Stage:
        near, far = self.tls if scenario.tls else self.plain
        return Stage(scenario, near, far, folders)


@contextmanager
def four_servers(folder: Path) -> Iterator[Servers]:
    binary = build_server(BUILD)
    certificate = make_certificate(folder)
    with (
        null_server(binary, None) as near,
        null_server(binary, None) as far,
        null_server(binary, certificate) as near_tls,
        null_server(binary, certificate) as far_tls,
    ):
        yield Servers((near, far), (near_tls, far_tls))


def prepare(folders: Folders) -> None:
    """An empty destination, an empty work folder, and nothing left for the disk to do that this run would pay."""
    shutil.rmtree(folders.work, ignore_errors=True)
    for folder in (folders.destination, folders.work):
        folder.mkdir(parents=True)
    os.sync()


def run_once(contender: Contender, stage: Stage) -> Usage:
    """One measured run, checked. Raises RunFailed."""
    prepare(stage.folders)
    with contender.ready(stage) as work:
        near, far = stage.near.counts(), stage.far.counts()
        usage = work()
    check_done(
        stage.scenario, stage.near.counts().since(near), stage.far.counts().since(far), stage.folders.destination
    )
    if stage.scenario.size >= BLOCK:
        shutil.rmtree(stage.folders.destination)
    return usage


def run_row(stage: Stage, contenders: Sequence[Contender], runs: int) -> Row:
    """All runs of one scenario, the programs by turns, so that a slow minute of the machine meets all of them."""
    scenario = stage.scenario
    if scenario.kind is Kind.UPLOAD:
        make_source(stage.folders.source(scenario), scenario.count, scenario.size)
    if scenario.size:
        stage.near.warm(scenario.bucket)
    row = Row(scenario)
    able = [contender for contender in contenders if contender.can(scenario.kind)]
    for turn in range(runs):
        if scenario.kind is Kind.DOWNLOAD and scenario.count > MANY:
            wait_until_quiet(stage.folders.root / f"quiet-{scenario.title}-{turn}")
        for contender in able:
            if contender.name in row.failed:
                continue
            try:
                folders = replace(stage.folders, run=next(RUNS))
                usage = run_once(contender, replace(stage, folders=folders))
            except (RunFailed, HeadraceError, OSError) as error:
                row.failed[contender.name] = str(error)
                output = error.output if isinstance(error, RunFailed) else ""
                print(f"{scenario.title}: {contender.name} FAILED, {error}\n{output}", file=sys.stderr)
                continue
            row.usages.setdefault(contender.name, []).append(usage)
    return row


def machine() -> str:
    """Processor, cores, memory, kernel."""
    fields = (line.partition(":") for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines())
    names = [value.strip() for name, _, value in fields if name.strip() == "model name"]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    processor = names[0] if names else platform.machine()
    return f"{processor}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}"


def facts(date: str, contenders: Sequence[Contender]) -> dict[str, str]:
    versions = ", ".join(f"{contender.name} {contender.version()}" for contender in contenders)
    return {"date": date, "machine": machine(), "versions": f"{versions}, Python {platform.python_version()}"}


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__)
    parser.add_argument("--date", required=True, help="what the page gives as its date")
    parser.add_argument("--output", type=Path, required=True, help="the page")
    parser.add_argument("--quick", action="store_true", help="little of everything, once: shows that it works")
    parser.add_argument("--runs", type=int, help="how often each program does each row (3)")
    parser.add_argument("--only", default="", help="rows whose title contains this")
    parser.add_argument("--folder", type=Path, default=BUILD / "bench", help="where files are read and written")
    return parser.parse_args(arguments)


def measure(scale: Scale, runs: int, only: str, root: Path, contenders: Sequence[Contender]) -> list[Row]:
    """Every wanted row, each told on standard error as it is done. root: an empty folder to work in."""
    folders = Folders(root)
    rows = []
    with four_servers(root) as servers:
        for scenario in scenarios(scale):
            if only not in scenario.title:
                continue
            row = run_row(servers.stage(scenario, folders), contenders, runs)
            rows.append(row)
            for name, usage in row.medians().items():
                print(f"{scenario.title}: {name} {usage.wall:.2f} s, CPU {usage.cpu:.2f} s", file=sys.stderr)
    return rows


def main(arguments: Sequence[str]) -> int:
    """0 where every program did every row that it can do, else 1; the page is written either way."""
    options = parse(arguments)
    scale = QUICK if options.quick else FULL
    runs = options.runs or scale.runs
    contenders: list[Contender] = [Headrace(), S5cmd(), JuiceFS()]
    about = facts(options.date, contenders)
    options.folder.mkdir(parents=True, exist_ok=True)
    # in a folder of its own: what is removed at the end must be what was made here
    with TemporaryDirectory(prefix="headrace-bench-", dir=options.folder.resolve()) as root:
        rows = measure(scale, runs, options.only, Path(root), contenders)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(page(rows, about, runs), encoding="utf-8")
    return 1 if any(row.failed for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

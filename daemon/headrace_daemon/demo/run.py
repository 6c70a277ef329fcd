"""`headraced demo`: files -> S3 -> another S3 -> files, through queue and daemon, as a user would; then the proof."""

import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from headrace_daemon.demo.compare import compare_trees
from headrace_daemon.demo.outage import Outage
from headrace_daemon.demo.sample import LARGE_MIB, make_sample
from headrace_daemon.demo.servers import program
from headrace_daemon.demo.site import LAKE_BUCKET, VAULT_BUCKET, Site, open_site
from headrace_daemon.demo.table import Row, print_table
from headrace_daemon.demo.verdict import problems
from headrace_queue.errors import UsageError
from headrace_queue.jobs import Job
from headrace_queue.report_file import read_report, report_path, summarise

SMALL_FILES = 3_000
SEED = 20_150_623
LIMIT_SECONDS = 300.0
DYING_GATEWAY = 1


def run_demo(
    keep: Path | None = None,
    small: int = SMALL_FILES,
    large_mib: tuple[int, ...] = LARGE_MIB,
    limit_seconds: float = LIMIT_SECONDS,
) -> int:
    """The whole demo. The exit code: 0 where all is proven, 1 where anything differs or failed, 130 when interrupted.

    keep: a new or empty directory in which everything stays; without it nothing does. small, large_mib: how many
    small files and how large the large ones. limit_seconds: for each of the three jobs. Raises UsageError where a
    server is not installed or `keep` is not empty, StartFailed where one does not start.
    """
    program("weed")
    began = time.monotonic()
    try:
        with _ended_by_sigterm(), _workplace(keep) as directory:
            proven = _play(directory, small, large_mib, limit_seconds)
            _say(f"{time.monotonic() - began:.0f} s in all.{what_stays(keep)}")
    except KeyboardInterrupt:
        print("interrupted: everything that was started is stopped", file=sys.stderr)
        return 130
    return 0 if proven else 1


def _play(directory: Path, small: int, large_mib: tuple[int, ...], limit_seconds: float) -> bool:
    files, back = directory / "files", directory / "files-back"
    sample = make_sample(files, small, SEED, large_mib)
    _say(f"{sample.files:,} files with {sample.bytes / 1e6:,.1f} MB are made. Two S3 services and the daemon start.")
    with open_site(directory) as site:
        outage = Outage(lambda: _kill_endpoint(site), lambda: _revive_endpoint(site), clock=time.time)

        def strike(job: Job) -> None:
            outage.look(job.counters.done, sample.files)

        lake, vault = f"lake://{LAKE_BUCKET}/", f"vault://{VAULT_BUCKET}/"
        rows = [
            _sync(site, "files -> lake", str(files), lake, _only_watch, limit_seconds),
            _sync(site, "lake -> vault", lake, vault, strike, limit_seconds),
            _sync(site, "vault -> files", vault, str(back), _only_watch, limit_seconds),
        ]
        site.stop_daemon()
        _say("The daemon is stopped. Both trees are read and compared, byte by byte.")
        comparison = compare_trees(files, back)
        print_table(rows, _endpoint_names(site))
        _tell_of_the_outage(site, rows[1], outage)
    found = problems(rows, sample, comparison, outage.state)
    for problem in found:
        _say(f"NOT PROVEN: {problem}")
    if not found:
        _say(f"PROVEN: {comparison.files:,} files, {comparison.bytes:,} bytes, read at both ends, are the same.")
    return not found


def _sync(
    site: Site, title: str, source: str, destination: str, watch: Callable[[Job], None], limit_seconds: float
) -> Row:
    """One `headrace sync`, followed to its end."""
    _say(f"\n{title}: headrace sync {source} {destination}")
    # its folder is its own, also where --keep names one in a clone of this repository
    job_id = site.headrace("sync", source, destination, "--allow-git")["job"]["id"]
    site.follow(job_id, watch, sys.stderr, time.monotonic() + limit_seconds)
    job = site.headrace("status", str(job_id))
    report = report_path(site.state_dir, job_id)
    _say(f"  {job['state']}: {job['counters']['done']:,} objects in {job['seconds']:.1f} s")
    return Row(title, job, summarise(read_report(report)))


def _only_watch(job: Job) -> None:
    """Nothing happens in this step."""


def _kill_endpoint(site: Site) -> None:
    site.lake.stop_gateway(DYING_GATEWAY)
    _say(f"  endpoint {site.lake.endpoint_urls[DYING_GATEWAY]} of the lake is killed")


def _revive_endpoint(site: Site) -> None:
    site.lake.start_gateway(DYING_GATEWAY)
    _say(f"  endpoint {site.lake.endpoint_urls[DYING_GATEWAY]} of the lake is back")


def _tell_of_the_outage(site: Site, row: Row, outage: Outage) -> None:
    if outage.came_back is not None:
        url, back = site.lake.endpoint_urls[DYING_GATEWAY], outage.came_back
        entries = read_report(report_path(site.state_dir, row.job["id"]))
        served = sum(1 for entry in entries if entry.source_endpoint == url and entry.time > back)
        then = f"served {served:,} more objects" if served else "was taken back too late to serve another object"
        _say(f"{_endpoint_names(site)[url]} was killed in the middle, came back, and {then}.")


def _endpoint_names(site: Site) -> dict[str, str]:
    """Short names for the endpoint URLs."""
    lake = {url: f"lake {letter}" for url, letter in zip(site.lake.endpoint_urls, "AB", strict=True)}
    return lake | dict.fromkeys(site.vault.endpoint_urls, "vault")


def _say(text: str) -> None:
    print(text, flush=True)


def what_stays(keep: Path | None) -> str:
    """What is left of it, and what one can do with that."""
    if keep is None:
        return ""
    look = f"headrace jobs --config {keep / 'config.toml'}"
    return f" Everything is in {keep}; the servers are stopped. `{look}` still shows the jobs, `report` the objects."


@contextmanager
def _workplace(keep: Path | None) -> Iterator[Path]:
    """A directory for everything. Raises UsageError where the one to keep holds something already."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="headrace-demo-") as directory:
            yield Path(directory)
        return
    keep.mkdir(parents=True, exist_ok=True)
    if any(keep.iterdir()):
        raise UsageError(f"--keep {keep}", "this directory is not empty", "Name a new one.")
    yield keep.resolve()


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does: with everything stopped and removed."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

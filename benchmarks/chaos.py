"""`make chaos`: random trees, daemons killed and endpoints lost at random moments; each trial ends with a proof.

    python -m benchmarks.chaos [--seeds 20] [--first 1] [--folder DIR]

A seed names a trial: its tree, its direction and its misfortunes are the same in every run. What exactly is in flight
when one strikes differs from run to run, and that is the point.
"""

import argparse
import itertools
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.support.proxy_thread import ProxyThread
from tests.support.site import Daemon, RemoteTable, Site, site_of, until
from tests.support.trees import Tree, open_uploads, read_bucket, read_tree, temporary_files, write_tree

from headrace_daemon.demo.servers import Keys, S3Server, SeaweedFS
from headrace_queue.jobs import Job
from headrace_queue.states import FINAL, JobState

MIB = 2**20
TRIAL_SECONDS = 240.0
WORK_SECONDS = 3
"""How long a trial's bytes take beyond its strokes: at full speed it would be over before anything strikes."""

DOORS = 2
TRANSFER = ['part_size = "5MiB"', 'multipart_threshold = "5MiB"', 'memory = "32MiB"', "attempts = 50"]
"""attempts: every kill takes one of the batches in flight, which is not what is on trial here."""


class Misfortune(StrEnum):
    KILL = "kill"  # SIGKILL, and another daemon starts
    STOP = "stop"  # SIGTERM, drains for a second, and another daemon starts
    LOSE_ENDPOINT = "lose endpoint"  # it comes back with the next stroke
    LOSE_ALL = "lose all endpoints"


@dataclass(frozen=True, slots=True)
class Stroke:
    """after: seconds since the stroke before it, or since the job started. lasts: for which endpoints are away."""

    after: float
    what: Misfortune
    lasts: float


@dataclass(frozen=True, slots=True)
class Trial:
    """One seed's. small: object sizes in bytes; large: in whole bytes above a part."""

    seed: int
    direction: str
    daemons: int
    small: tuple[int, ...]
    large: tuple[int, ...]
    strokes: tuple[Stroke, ...]

    @property
    def objects(self) -> int:
        return len(self.small) + len(self.large)

    @property
    def bandwidth(self) -> int:
        """Bytes a second of each daemon. Twice the time of the strokes: on a busy machine they come late."""
        seconds = WORK_SECONDS + 2 * sum(stroke.after for stroke in self.strokes)
        return int((sum(self.small) + sum(self.large)) / seconds / self.daemons) + 1


def draw(seed: int) -> Trial:
    """The trial that a seed names."""
    dice = random.Random(seed)
    kinds = dice.choices(list(Misfortune), weights=[5, 2, 2, 1], k=dice.randint(2, 5))
    return Trial(
        seed=seed,
        direction=dice.choice(["upload", "relay", "download"]),
        daemons=dice.choice([1, 1, 2]),
        small=tuple(dice.choice([0, 1, dice.randint(2, 2000), dice.randint(2000, 60_000)]) for _ in range(400)),
        large=tuple(dice.randint(5 * MIB, 25 * MIB) for _ in range(dice.randint(0, 3))),
        strokes=tuple(Stroke(dice.uniform(0.0, 1.2), what, dice.uniform(0.1, 1.5)) for what in kinds),
    )


def make_content(trial: Trial) -> Tree:
    """The objects of a trial, a key for each."""
    dice = random.Random(trial.seed)
    sizes = [*trial.small, *trial.large]
    return {
        f"d{dice.randrange(9)}/e{number % 4}/f{number:04}": dice.randbytes(size) for number, size in enumerate(sizes)
    }


class Stage:
    """One trial under way: its site, its proxies, its daemons."""

    def __init__(self, trial: Trial, site: Site, doors: Sequence[ProxyThread]) -> None:
        self._trial = trial
        self._site = site
        self._doors = doors
        self._dice = random.Random(trial.seed)
        self._daemons: list[Daemon] = []
        self.struck: Counter[str] = Counter()

    def play(self, job_id: int) -> Job:
        """All strokes, then the job's end."""
        deadline = time.monotonic() + TRIAL_SECONDS
        self._daemons = [self._site.serve() for _ in range(self._trial.daemons)]
        with self._site.store() as store:
            until(lambda: store.job(job_id).started, deadline - time.monotonic(), self._site.logs)
            for stroke in self._trial.strokes:
                time.sleep(stroke.after)
                if store.job(job_id).state not in FINAL:
                    self.struck[stroke.what] += 1
                    self._strike(stroke)
            return until(
                lambda: found if (found := store.job(job_id)).state in FINAL else None,
                deadline - time.monotonic(),
                lambda: f"{store.job(job_id)}\n{self._site.logs()}",
            )

    def _strike(self, stroke: Stroke) -> None:
        if stroke.what in (Misfortune.KILL, Misfortune.STOP):
            index = self._dice.randrange(len(self._daemons))
            victim = self._daemons[index]
            victim.process.stop(grace=0 if stroke.what is Misfortune.KILL else 30)
            self._daemons[index] = self._site.serve()
            return
        lost = self._doors if stroke.what is Misfortune.LOSE_ALL else [self._dice.choice(self._doors)]
        for door in lost:
            door.stop()
        time.sleep(stroke.lasts)
        for door in lost:
            door.start()


@dataclass(frozen=True, slots=True)
class Verdict:
    """struck: which misfortunes came before the job was over, and how often. faults: what is not as it should be."""

    struck: Counter[str]
    faults: list[str]


def run_trial(trial: Trial, server: S3Server, folder: Path) -> Verdict:
    """Plays it. folder: empty, for everything the trial writes."""
    tree = make_content(trial)
    files, back = write_tree(folder / "files", tree), folder / "back"
    source, target = f"source-{trial.seed}-{time.time_ns()}", f"target-{trial.seed}-{time.time_ns()}"
    for bucket in (source, target):
        server.make_bucket(bucket)
    with _site(server, folder) as (site, doors):
        if trial.direction != "upload":
            site.enqueue(files, f"plain://{source}/")
            site.run("headraced", "drain")
        ends = {
            "upload": (files, f"lake://{target}/"),
            "relay": (f"plain://{source}/", f"lake://{target}/"),
            "download": (f"lake://{source}/", back),
        }[trial.direction]
        job_id = site.enqueue(*ends, "--bandwidth", f"{trial.bandwidth}B/s")
        stage = Stage(trial, site, doors)
        try:
            job = stage.play(job_id)
        except AssertionError as stuck:
            return Verdict(stage.struck, [str(stuck)])
        found = read_tree(back) if trial.direction == "download" else read_bucket(server, target)
        lost_uploads = _uploads_with_parts(server, target)
        faults = [*_job_faults(job, site, tree), *_end_faults(found, tree, back, lost_uploads)]
        return Verdict(stage.struck, faults)


@contextmanager
def _site(server: S3Server, folder: Path) -> Iterator[tuple[Site, list[ProxyThread]]]:
    """`lake` is the server through doors that fail, `plain` the server itself."""
    with ExitStack() as stack:
        urls = itertools.islice(itertools.cycle(server.endpoint_urls), DOORS)
        doors = [stack.enter_context(ProxyThread(url)) for url in urls]
        remotes = {"lake": RemoteTable.of(server, [door.url for door in doors]), "plain": RemoteTable.of(server)}
        site = stack.enter_context(site_of(folder, remotes, TRANSFER, ['drain_seconds = "1s"']))
        yield site, doors


def _job_faults(job: Job, site: Site, tree: Tree) -> Iterator[str]:
    """What queue and report say of the job, against what was asked of it."""
    counters = job.counters
    if job.state is not JobState.DONE:
        yield f"the job is {job.state}: {job.error or counters}\n{site.logs()}"
    if (counters.planned, counters.done, counters.failed) != (len(tree), len(tree), 0):
        yield f"{len(tree)} objects, but {counters}"
    if counters.done_bytes != sum(map(len, tree.values())):
        yield f"{counters.done_bytes} bytes counted instead of {sum(map(len, tree.values()))}"
    report = site.report(job.id)
    if missing := sorted(tree.keys() - report.keys()):
        yield f"no line in the report for {missing[:5]}"
    if wrong := [key for key, entry in report.items() if entry.outcome != "transferred" or not entry.proof]:
        yield f"not proven in the report: {sorted(wrong)[:5]}"
    with site.store() as store:
        if left := store.multiparts(job.id):
            yield f"still recorded as under way: {[record.key for record in left]}"


def _end_faults(found: Tree, tree: Tree, back: Path, lost_uploads: list[str]) -> Iterator[str]:
    """What stands at the destination."""
    if missing := sorted(tree.keys() - found.keys()):
        yield f"missing: {missing[:5]}"
    if extra := sorted(found.keys() - tree.keys()):
        yield f"too many: {extra[:5]}"
    if differs := sorted(key for key in tree.keys() & found.keys() if found[key] != tree[key]):
        yield f"other bytes: {differs[:5]}"
    if back.exists() and (left := temporary_files(back)):
        yield f"temporary files: {left[:5]}"
    if lost_uploads:
        yield f"multipart uploads that hold parts: {lost_uploads}"


def _uploads_with_parts(server: S3Server, bucket: str) -> list[str]:
    """An upload that was made in the very moment of a kill is in no record; it holds nothing, and costs nothing."""
    with closing(server.client()) as client:
        return [
            upload["Key"]
            for upload in open_uploads(server, bucket)
            if client.list_parts(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]).get("Parts")
        ]


def _describe(trial: Trial, verdict: Verdict) -> str:
    told = ", ".join(f"{count} x {what}" for what, count in verdict.struck.items()) or "nothing struck in time"
    return f"seed {trial.seed}: {trial.direction}, {trial.objects} objects, {trial.daemons} daemons; {told}"


def main() -> int:
    """The exit code: 0 where every trial ended as it should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="how many trials")
    parser.add_argument("--first", type=int, default=1, help="the first seed; the others follow it")
    parser.add_argument("--folder", type=Path, help="where everything stays; without it nothing does")
    given = parser.parse_args()
    failed: list[int] = []
    with ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-chaos-")))
        keys = Keys("CHAOSKEY0000001", "only-for-this-run")
        server = stack.enter_context(SeaweedFS(folder / "lake", keys))
        for seed in range(given.first, given.first + given.seeds):
            trial, began = draw(seed), time.monotonic()
            verdict = run_trial(trial, server, folder / f"seed-{seed}")
            ended = "FAILED" if verdict.faults else "ok"
            print(f"{_describe(trial, verdict)}: {ended}, {time.monotonic() - began:.1f} s", flush=True)
            for fault in verdict.faults:
                print(f"  {fault}", flush=True)
            if verdict.faults:
                failed.append(seed)
    print(f"{given.seeds - len(failed)} of {given.seeds} trials ok" + (f"; failed seeds: {failed}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""What a person sees: in terminals wide and narrow, without colours, drawn over or line by line, and in pipes.

The worker's part is played here, through the Store: the rows are the same every time, and so are the screens.
"""

import itertools
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from headrace_daemon.demo.servers import program
from headrace_queue.client import process_started
from headrace_queue.jobs import Batch, Counters, Failure, Item, JobSpec, Kind, Multipart, PartRecord, PlanStep, Worker
from headrace_queue.states import JobState
from headrace_queue.store import Store, open_store
from tests.support.snapshots import PAGE, REWRITE, check, shown_in, with_snapshots
from tests.support.terminal import Terminal, quiet_environment

pytestmark = pytest.mark.server

MIB = 2**20
CONFIG = """
state_dir = "{state}"
[daemon]
listen = "127.0.0.1:9"
[remotes.lake]
endpoint_urls = ["http://127.0.0.1:9"]
"""
_numbers = itertools.count(1)


@dataclass
class Scene:
    """A queue with rows that are the same every time, and the command."""

    home: Path
    store: Store
    worker: str = "by-hand"
    held: dict[int, Batch] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {"HEADRACE_CONFIG": str(self.home / "config.toml"), "HOME": str(self.home)}

    def terminal(self, *words: object, columns: int = 80, rows: int = 24, **more: object) -> Terminal:
        env = self.environment | dict(more.pop("env", {}))  # type: ignore[call-overload]
        return Terminal([program("headrace"), *words], columns=columns, rows=rows, env=env, seconds=30, **more)  # type: ignore[arg-type]

    def piped(self, *calls: Sequence[object]) -> list[str]:
        """What each of these calls prints, beside each other: most of their time is the start of Python."""
        environment, pipe = quiet_environment(self.environment), subprocess.PIPE
        with ExitStack() as stack:
            started = [
                stack.enter_context(
                    subprocess.Popen(
                        [program("headrace"), *map(str, words)], env=environment, stdout=pipe, stderr=pipe, text=True
                    )
                )
                for words in calls
            ]
            said = [one.communicate(timeout=60) for one in started]
        assert [one.returncode for one in started] == [0] * len(calls), said
        return [output for output, _ in said]

    def arrive(self) -> None:
        started = process_started(os.getpid())
        assert started is not None
        self.store.register(Worker(self.worker, os.uname().nodename, os.getpid(), started))

    def job(self, name: str, **more: object) -> int:
        spec = JobSpec(Kind.SYNC, f"s3://glacier/{name}/", f"lake://archive/{name}/", **more)  # type: ignore[arg-type]
        return self.store.enqueue(spec)[0].id

    def plan(self, number: int, sizes: list[int], *, finished: bool = True, listed: int = 0) -> None:
        """As many objects as there are sizes, in one batch."""
        items = tuple(Item(f"scene-{place}.tif", size, 0) for place, size in enumerate(sizes))
        lease = self.store.claim_plan(self.worker, 100, number)
        assert lease is not None
        seen = Counters(listed=listed or len(items), planned=len(items), planned_bytes=sum(sizes))
        self.store.commit_plan(lease, PlanStep((items,) if items else (), "k", seen, finished=finished))
        self.store.release_plan(lease)

    def take(self, number: int) -> Batch:
        """The batch of this job, as this worker has it."""
        if number not in self.held:
            (self.held[number],) = self.store.claim(self.worker, 1, number)
        return self.held[number]

    def work(self, number: int, done: int, failed: int = 0) -> None:
        """So many of the objects that are left of its batch end well, and so many after them fail."""
        batch = self.take(number)
        some = batch.open_items()[: done + failed]
        failures = [Failure(item, "access_denied", "AccessDenied: the bucket says no") for _, item in some[done:]]
        moved = Counters(done=done, done_bytes=sum(item.size for _, item in some[:done]))
        self.store.progress(batch.lease, [index for index, _ in some], moved, failures)
        batch.finished.add(index for index, _ in some)
        if not batch.open_items():
            self.store.complete(batch.lease)

    def leave(self) -> None:
        """The worker goes, and its leases go back."""
        self.store.retire(self.worker)
        self.held.clear()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    (tmp_path / "config.toml").write_text(CONFIG.format(state=tmp_path / "state"), encoding="utf-8")
    with closing(open_store(f"sqlite://{tmp_path / 'state' / 'queue.db'}")) as store:
        yield Scene(tmp_path, store)


def busy(scene: Scene) -> None:
    """1: three quarters, some of it as parts of a large object; 2: listing, and waiting; 3: paused; 4: failures; 5:
    queued."""
    scene.arrive()
    for name in ("sentinel2", "landsat", "arctic-dem", "velocity", "bedrock"):
        scene.job(name, labels=(("dataset", name),))
    scene.plan(1, [100 * MIB, 50 * MIB, 50 * MIB])
    batch = scene.take(1)
    scene.work(1, done=1)
    scene.store.begin_multipart(batch.lease, Multipart(1, "scene-1.tif", "t", 50 * MIB, 10 * MIB, "f", "w"))
    scene.store.add_parts(batch.lease, "scene-1.tif", [PartRecord(part, 10 * MIB, "", "") for part in range(1, 6)])
    scene.plan(2, [], finished=False, listed=12345)
    scene.store.set_waiting(2, "no endpoint answers (http://127.0.0.1:9: Connection refused)")
    scene.plan(3, [MIB])
    scene.store.pause(3)
    scene.plan(4, [MIB, MIB, MIB, MIB])
    scene.work(4, done=1, failed=2)


# -- watch -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "columns", "rows", "env"),
    [
        ("watch-80x24", 80, 24, {}),
        ("watch-40x20", 40, 20, {}),
        ("watch-132x30", 132, 30, {}),
        ("watch-ascii", 80, 24, {"PYTHONIOENCODING": "ascii"}),
    ],
)
def test_watch_shows_all_jobs_on_one_screen(
    name: str, columns: int, rows: int, env: dict[str, str], scene: Scene
) -> None:
    busy(scene)
    with scene.terminal("watch", columns=columns, rows=rows, env=env) as terminal:
        terminal.wait_for("q quit")
        check(name, terminal.screen())
        assert "\x1b[3" not in terminal.text().replace("\x1b[?", ""), "NO_COLOR is set"
        terminal.send("q")
        assert terminal.end() == 0
        assert terminal.text().index("\x1b[?1049h") < terminal.text().index("\x1b[?1049l")


def test_watch_goes_with_the_jobs_and_with_the_window(scene: Scene) -> None:
    """Errors as they come, jobs that end and jobs that come, and another size; q leaves with the worst code."""
    busy(scene)
    with scene.terminal("watch", columns=100, colour=True) as terminal:
        terminal.wait_for("4  running")
        assert "\x1b[36m" in terminal.text()
        scene.leave()
        terminal.wait_for("NO WORKER")
        scene.arrive()
        scene.work(4, done=0, failed=1)
        terminal.wait_for("4  incomplete")
        terminal.wait_for("access_denied: scene-3.tif")
        scene.job("new")
        terminal.wait_for("6  queued")
        terminal.resize(40, 20)
        terminal.wait_until(lambda lines: len(lines) == 20 and lines[19].startswith("q quit"))
        assert max(map(len, terminal.screen())) <= 40
        terminal.send("q")
        assert terminal.end() == 1
    assert "job 4 ended, but not everything arrived" in terminal.text()


def test_watch_of_one_job_ends_with_it(scene: Scene) -> None:
    busy(scene)
    with scene.terminal("watch", 4) as terminal:
        terminal.wait_for("q quit")
        check("watch-job", terminal.screen())
        scene.work(4, done=1)
        assert terminal.end() == 1
    assert "2 objects failed: headrace report 4 --failed" in terminal.text()


def test_leaving_one_job_is_not_its_end(scene: Scene) -> None:
    busy(scene)
    for key in ("q", "\x03"):
        with scene.terminal("watch", 4) as terminal:
            terminal.wait_for("q quit")
            terminal.send(key)
            assert terminal.end() == 130
        assert "job 4 stays in the queue and goes on without you" in terminal.text()
    assert scene.store.job(4).state is JobState.RUNNING


@pytest.mark.parametrize(("words", "env"), [(("--plain",), {}), ((), {"TERM": "dumb"})], ids=["plain", "dumb"])
def test_lines_one_below_the_other_for_those_who_hear_them(
    words: tuple[str, ...], env: dict[str, str], scene: Scene
) -> None:
    busy(scene)
    with scene.terminal("watch", *words, columns=100, env=env) as terminal:
        terminal.wait_for("job 5 ")
        with scene.store.group():  # so that nobody sees a half of it
            for number in (1, 2, 3, 5):
                scene.store.cancel(number)
            scene.leave()
            scene.arrive()
            scene.work(4, done=1)
        assert terminal.end() == 3
        check("watch-plain", terminal.screen())
    assert "\x1b" not in terminal.text()
    assert "\r" not in terminal.text().replace("\r\n", "")


# -- --wait, jobs, explain -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 40])
def test_waiting_draws_a_bar_that_fits(columns: int, scene: Scene) -> None:
    busy(scene)
    with scene.terminal("wait", 1, 3, columns=columns) as terminal:
        terminal.wait_for("job 3 ")
        terminal.wait_until(lambda lines: any(line.startswith("job 1 ") and " of 3" in line for line in lines))
        check(f"wait-{columns}", terminal.screen())
        terminal.send("\x03")
        assert terminal.end() == 130


def test_jobs_are_filtered_and_sorted(scene: Scene) -> None:
    busy(scene)

    wanted = {
        ("--state", "running", "--sort", "bytes"): [1, 4, 2],
        ("--label", "dataset=landsat"): [2],
        ("--dataset", "velocity", "--source", "s3://*/ve*", "--since", "1h", "--destination", "velocity"): [4],
        ("--sort", "state", "--reverse", "--limit", "1"): [3],
    }
    found = [json.loads(said)["jobs"] for said in scene.piped(*(("jobs", "--json", *words) for words in wanted))]
    assert [[job["id"] for job in jobs] for jobs in found] == list(wanted.values())


def test_explain_says_why_a_job_stands(scene: Scene) -> None:
    busy(scene)
    told = [said.splitlines() for said in scene.piped(*(("explain", number) for number in (2, 3, 5)))]
    scene.leave()
    text, as_json = scene.piped(("explain", 5), ("explain", 5, "--json"))
    told.append(text.splitlines())
    check(
        "explain",
        itertools.chain.from_iterable([f"$ headrace explain {lines[0].split()[1][:-1]}", *lines, ""] for lines in told),
    )
    found = json.loads(as_json)
    assert found["job"]["id"] == 5
    assert found["findings"][0]["what"].startswith("No worker is running")
    assert set(found["findings"][0]) == {"what", "evidence", "remedy"}


# -- the page --------------------------------------------------------------------------------------------------------


def test_the_page_shows_what_is_seen() -> None:
    page = PAGE.read_text(encoding="utf-8")
    if REWRITE:
        PAGE.write_text(with_snapshots(page), encoding="utf-8")
    assert len(shown_in(page)) >= 5
    assert with_snapshots(PAGE.read_text(encoding="utf-8")) == PAGE.read_text(encoding="utf-8")

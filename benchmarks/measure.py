"""One command run once: its seconds, its CPU seconds, the most memory it had. The whole process tree counts."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

SAMPLE_SECONDS = 0.1  # more often it takes a share of the cores that can be measured
LONGEST_RUN = 900.0


class Usage(NamedTuple):
    """wall and cpu (user and system) in seconds; peak: resident bytes of the tree, sampled."""

    wall: float
    cpu: float
    peak: int


class RunFailed(Exception):
    """A measured command ended badly or left its work undone: the figure would mean nothing.

    output: the end of what the command printed.
    """

    def __init__(self, why: str, output: str = "") -> None:
        super().__init__(why)
        self.output = output


def children(pid: int) -> list[int]:
    """Every process below pid, as far as it still lives."""
    found: list[int] = []
    try:
        files = list(Path(f"/proc/{pid}/task").glob("*/children"))
    except OSError:  # the process ended while we looked
        return found
    for file in files:
        try:
            direct = [int(word) for word in file.read_text().split()]
        except OSError:  # the thread ended while we looked
            continue
        for child in direct:
            found += [child, *children(child)]
    return found


def resident(pid: int) -> tuple[int, int]:
    """Resident bytes of a process now and at its highest; zeros for one that is gone."""
    now = highest = 0
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                now = int(line.split()[1]) * 1024
            elif line.startswith("VmHWM:"):
                highest = int(line.split()[1]) * 1024
    except OSError:
        return 0, 0
    return now, highest


class PeakSampler:
    """Watches the memory of a process tree. ru_maxrss would not do: after fork it begins at what the parent had."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak-sampler")
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.is_set():
            sizes = [resident(pid) for pid in (self._pid, *children(self._pid))]
            self._peak = max(self._peak, sum(now for now, _ in sizes), max(highest for _, highest in sizes))
            self._ended.wait(SAMPLE_SECONDS)

    def stop(self) -> int:
        self._ended.set()
        self._thread.join()
        return self._peak


def tail(log: Path, characters: int = 2000) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-characters:]


def run_measured(command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> Usage:
    """Runs a command to its end, in `folder`, its output in `log`. Raises RunFailed on any exit code but 0."""
    with log.open("wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        sampler = PeakSampler(process.pid)
        # the group is the command's own: only what was started here is ended
        alarm = threading.Timer(LONGEST_RUN, os.killpg, (process.pid, signal.SIGKILL))
        alarm.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.monotonic() - started
        finally:
            alarm.cancel()
            peak = sampler.stop()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RunFailed(f"{Path(command[0]).name} ended with {process.returncode}", tail(log))
    return Usage(wall, usage.ru_utime + usage.ru_stime, peak)

"""Waits until the disk has forgotten what was deleted on it.

ext4 gives out no inode that was freed within the last minute (five, where that was not written out yet), and searches
for another one at every file that is made: where thousands of files were deleted just before, each new one costs ten
times as much, whoever makes it. A test run before the benchmark is enough for that.
"""

import itertools
import sys
import time
from pathlib import Path

FILES = 400
QUICK_SECONDS = 150e-6
"""For one empty file: about 30 us on a quiet ext4, 400 us and more after deletions."""
LOOK_SECONDS = 20.0
LONGEST_SECONDS = 400.0


def wait_until_quiet(folder: Path) -> None:
    """Returns when files are made as quickly as they should be, or after LONGEST_SECONDS, which is told.

    folder: on the disk in question; what is made here stays, for deleting it would begin the wait anew.
    """
    deadline = time.monotonic() + LONGEST_SECONDS
    for number in itertools.count():
        seconds = _make_files(folder / f"trial-{number}")
        if seconds < QUICK_SECONDS:
            return
        if time.monotonic() > deadline:
            print(f"making a file still takes {seconds * 1e6:.0f} us: downloads will look slow", file=sys.stderr)
            return
        print(f"making a file takes {seconds * 1e6:.0f} us after deletions: waiting", file=sys.stderr)
        time.sleep(LOOK_SECONDS)


def _make_files(folder: Path) -> float:
    """Seconds for each."""
    folder.mkdir(parents=True)
    started = time.perf_counter()
    for number in range(FILES):
        (folder / str(number)).touch()
    return (time.perf_counter() - started) / FILES

"""Makes docs/terminal.svg, the recording in the README: `python -m docs.generate_recording`, at the top.

The real commands run in a pseudo-terminal, against a real service and a real daemon, with sample data. What they wrote
is played into one screen, with the commands typed before it; a pause in which nothing moves is cut short.
"""

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

from tests.support.site import Daemon, RemoteTable, Site
from tests.support.terminal import Emulator, Terminal
from tests.support.terminal_svg import Frame, drawn, shown_now

from headrace_daemon.demo.servers import Keys, RcloneS3, program

PAGE: Final = Path(__file__).with_name("terminal.svg")
COLUMNS, ROWS = 104, 22
BASE: Final = Path("/tmp/fsx")
"""Where the sample data arrives: a path that says nothing of whoever runs this."""

PROMPT: Final = "\x1b[32m$\x1b[0m "
_TYPED: Final = 3  # characters at once
_TYPING: Final = 0.12
_READING: Final = 2.2
_LONGEST_PAUSE: Final = 0.6
_LOOK_ON: Final = 9.0
_MIB: Final = 1 << 20

CONFIG: Final = """
[datasets.sentinel2]
source = "s3://glacier/sentinel2/"
destination = "/tmp/fsx/sentinel2"
[datasets.sentinel2.presets.exclude-downloads]
exclude_folders = ["download"]
[datasets.landsat]
source = "s3://glacier/landsat/"
destination = "/tmp/fsx/landsat"
"""
TRANSFER: Final = ('bandwidth = "16MiB/s"', 'part_size = "5MiB"', 'multipart_threshold = "5MiB"')
"""Slow, and in parts, so that there is something to see."""
REGIONS: Final = ("001_Alison", "134_Arsuk", "191_Hagen_Brae")


@dataclass(frozen=True)
class Scene:
    """A command as it is typed. steer: what is done while it runs, if it does not end by itself. clear: on an empty
    screen."""

    words: str
    steer: Callable[[Terminal], object] | None = None
    clear: bool = False


def _look_on(term: Terminal) -> None:
    """Until one job is done and the other is on its way, and then away."""
    began = time.monotonic()
    term.wait_until(lambda lines: time.monotonic() - began > _LOOK_ON, "the end of the patience")
    term.send("q")


SCENES: Final = (
    Scene("headrace ls s3://glacier/sentinel2/134_Arsuk/"),
    Scene("headrace run sentinel2 --exclude-downloads --dry-run"),
    Scene("headrace run sentinel2 --exclude-downloads --wait", clear=True),
    Scene("headrace run --all --label who=night"),
    Scene("headrace watch", _look_on, clear=True),
    Scene("headrace pause 4", clear=True),
    Scene("headrace explain 4"),
    Scene("headrace jobs"),
)


class Recorder:
    """One screen, and its frames. now: seconds since the start, by its own clock."""

    def __init__(self, columns: int = COLUMNS, rows: int = ROWS) -> None:
        self.frames: list[Frame] = []
        self.now = 0.0
        self._columns = columns
        self._emulator = Emulator(columns, rows)

    def play(self, scene: Scene, run: Callable[[str], Sequence[tuple[float, bytes]]]) -> None:
        """Types the command, and shows what it writes. run: gives what a command wrote, with the seconds."""
        if scene.clear or not self.frames:
            self._show(f"\x1b[2J\x1b[H{PROMPT}")
        for start in range(0, len(scene.words), _TYPED):
            self.now += _TYPING
            self._show(scene.words[start : start + _TYPED])
        self.now += _LONGEST_PAUSE
        self._show("\r\n")
        before = 0.0
        for at, chunk in run(scene.words):
            self.now += min(at - before, _LONGEST_PAUSE)
            before = at
            self._show(chunk.decode(errors="replace"))
        self._show(PROMPT)
        self.now += _READING

    def svg(self, title: str) -> str:
        said = "; ".join(scene.words for scene in SCENES)
        return drawn(self.frames, self._columns, title, f"In a terminal, one after the other: {said}")

    def _show(self, text: str) -> None:
        self._emulator.feed(text)
        self.frames.append(Frame(self.now, shown_now(self._emulator.screen)))


@contextmanager
def sample_site(directory: Path) -> Iterator[tuple[Site, Daemon]]:
    """A service with data of three regions, a configuration, and a daemon that is at work. Raises FileExistsError."""
    BASE.mkdir()
    try:
        yield from _site(directory)
    finally:
        shutil.rmtree(BASE)


def _site(directory: Path) -> Iterator[tuple[Site, Daemon]]:
    with RcloneS3(directory / "rclone", Keys("RECORDINGKEY01", "recording/0001")) as server:
        _fill(server.folder / "glacier")
        site = Site(directory / "site", {"s3": RemoteTable.of(server)}, TRANSFER, more=[CONFIG])
        with closing(site):
            yield site, site.serve()


def _fill(bucket: Path) -> None:
    chance = Random(1)
    for dataset, size in (("sentinel2", 6), ("landsat", 7)):
        for region in REGIONS:
            folders = (bucket / dataset / region, bucket / dataset / region / "download")
            for folder, prefix in zip(folders, ("clipped", "tile"), strict=True):
                folder.mkdir(parents=True)
                for month in range(6, 9):
                    name = f"{prefix}_2024-{month:02}-14.tif"
                    (folder / name).write_bytes(chance.randbytes(size * _MIB + chance.randrange(_MIB)))


def _record(site: Site, daemon: Daemon, scene: Scene) -> Callable[[str], Sequence[tuple[float, bytes]]]:
    def run(words: str) -> Sequence[tuple[float, bytes]]:
        environment = site.environment() | {"HEADRACE_DAEMON__LISTEN": daemon.url}
        name, *rest = words.split()
        command = [program(name), *rest]
        with Terminal(command, columns=COLUMNS, rows=ROWS, env=environment, cwd=BASE, colour=True) as term:
            if scene.steer is not None:
                scene.steer(term)
            term.end()
            return term.recorded

    return run


def recording() -> str:
    recorder = Recorder()
    with TemporaryDirectory(prefix="headrace-") as folder, sample_site(Path(folder)) as (site, daemon):
        for scene in SCENES:
            recorder.play(scene, _record(site, daemon, scene))
    return recorder.svg("Headrace in a terminal")


if __name__ == "__main__":
    svg = recording()
    PAGE.write_text(svg, encoding="utf-8")
    print(f"{PAGE}: {len(svg.encode()) / 1000:.0f} kB", file=sys.stderr)

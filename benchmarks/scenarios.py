"""What is measured: each row of the table, its files and buckets, and what shows that it was really done."""

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from benchmarks.measure import RunFailed
from benchmarks.server import Counts

BLOCK = 1 << 20
FIRST_SIZE = 64 << 20


class Kind(StrEnum):
    """Which way the bytes go."""

    UPLOAD = "upload"
    DOWNLOAD = "download"
    RELAY = "relay"  # bucket to bucket between two servers, through the client
    COPY = "server-side copy"  # bucket to bucket on one server
    NO_OP = "no-op sync"  # both sides hold the same keys
    START = "start, one object, stop"  # what a daemon pays once


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row. size: bytes of each object."""

    kind: Kind
    count: int
    size: int
    tls: bool

    @property
    def bucket(self) -> str:
        return f"src-{self.count}-{self.size}"

    @property
    def title(self) -> str:
        scheme = "TLS" if self.tls else "plain"
        if self.kind is Kind.START:
            return f"{self.kind}, {scheme}"
        if self.kind is Kind.NO_OP:
            return f"{self.kind}, {self.count:,} keys on both sides, {scheme}"
        return f"{self.kind}, {self.count:,} x {in_units(self.size)}, {scheme}"


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything."""

    small: tuple[int, int]  # objects, bytes of each
    large: tuple[int, int]
    keys: int
    runs: int


FULL = Scale(small=(5_000, 16 << 10), large=(2, 1 << 30), keys=500_000, runs=3)
QUICK = Scale(small=(200, 16 << 10), large=(1, 64 << 20), keys=2_000, runs=1)


@dataclass(frozen=True, slots=True)
class Folders:
    """Where files of a run live: sources stay for all runs, the rest is of one run.

    run: every run has a destination of its own, and small files stay until the end: ext4 searches long for inodes while
    thousands were freed within the last minute, which whoever runs next would pay.
    """

    root: Path
    run: int = 0

    def source(self, scenario: Scenario) -> Path:
        return self.root / f"source-{scenario.count}-{scenario.size}"

    @property
    def destination(self) -> Path:
        return self.root / f"destination-{self.run}"

    @property
    def work(self) -> Path:
        return self.root / "work"


def in_units(size: int) -> str:
    """4 KiB, 1 GiB: whole binary units."""
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 1 << power:
            return f"{size >> power} {unit}"
    return f"{size} B"


def scenarios(scale: Scale) -> Iterator[Scenario]:
    """Every row of the table, in its order."""
    for tls in (False, True):
        yield Scenario(Kind.START, 1, scale.small[1], tls)
    for count, size in (scale.small, scale.large):
        for kind in (Kind.UPLOAD, Kind.DOWNLOAD, Kind.RELAY):
            for tls in (False, True):
                yield Scenario(kind, count, size, tls)
    # of large objects it would be two requests: nothing but the start of a program
    yield Scenario(Kind.COPY, *scale.small, tls=False)
    yield Scenario(Kind.NO_OP, scale.keys, 1024, tls=False)


def first_of(scenario: Scenario) -> Scenario:
    """One object of the same kind, in parts where the row's are: what a daemon does before it is measured."""
    return replace(scenario, count=1, size=min(scenario.size, FIRST_SIZE))


def make_source(folder: Path, count: int, size: int) -> None:
    """`count` files of `size` random bytes, once."""
    if folder.exists() and sum(file.stat().st_size for file in folder.iterdir()) == count * size:
        return
    folder.mkdir(parents=True, exist_ok=True)
    randomness = random.Random(f"{count} {size}")
    for number in range(count):
        with (folder / f"object-{number:09d}").open("wb") as file:
            for start in range(0, size, BLOCK):
                file.write(randomness.randbytes(min(BLOCK, size - start)))


def check_done(scenario: Scenario, near: Counts, far: Counts, destination: Path) -> None:
    """Raises RunFailed where the servers did not see, or the destination does not hold, what the row is about."""
    total = scenario.count * scenario.size
    landing = far if scenario.kind is Kind.RELAY else near
    if scenario.kind in (Kind.DOWNLOAD, Kind.START):
        sizes = [entry.stat().st_size for entry in os.scandir(destination)]
        expect("files", len(sizes), scenario.count)
        expect("bytes in files", sum(sizes), total)
    elif scenario.kind is Kind.NO_OP:
        expect("objects written", near.objects + far.objects, 0)
        expect("both sides listed", near.listed + far.listed >= 2 * scenario.count, True)
    else:
        expect("objects written", landing.objects, scenario.count)
    if scenario.kind in (Kind.UPLOAD, Kind.RELAY):
        # not equal: signed chunks travel with what frames them
        expect("every byte received", landing.received >= total, True)


def expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise RunFailed(f"{what}: {found} in place of {wanted}")

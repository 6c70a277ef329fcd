"""Measured runs as a page of Markdown: medians, ratios, and whether the targets are met."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.measure import Usage
from benchmarks.scenarios import Kind, Scenario

OURS = "headrace"
SMALL = 1 << 20  # bytes: objects below it are what a target calls small
SMALL_OBJECT_MS = 0.3
PEAK_MIB = 256
NO_OP_PEAK_MIB = 150
HEAD = """| run | program | wall s | CPU s | CPU-ms an object | peak RSS MiB | wall, ours / best | CPU, ours / best |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"""


@dataclass(slots=True)
class Row:
    """All runs of one scenario, by program. failed: why a program has no figure."""

    scenario: Scenario
    usages: dict[str, list[Usage]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def medians(self) -> dict[str, Usage]:
        """One Usage a program, each figure the median of its own."""
        return {
            name: Usage(median(u.wall for u in runs), median(u.cpu for u in runs), int(median(u.peak for u in runs)))
            for name, runs in self.usages.items()
            if name not in self.failed
        }


def ratio(row: Row, field_name: str) -> float | None:
    """Ours over the best of the others; None where there is nothing to compare."""
    medians = row.medians()
    others = [getattr(usage, field_name) for name, usage in medians.items() if name != OURS]
    if OURS not in medians or not others:
        return None
    return float(getattr(medians[OURS], field_name) / min(others))


def figure(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def object_ms(row: Row, usage: Usage) -> float | None:
    """CPU milliseconds for one small object; large ones, listings and a start are not counted so."""
    small = row.scenario.size < SMALL and row.scenario.kind not in (Kind.NO_OP, Kind.START)
    return usage.cpu / row.scenario.count * 1000 if small else None


def table_lines(row: Row) -> list[str]:
    """A line a program, ours first."""
    medians = row.medians()
    lines = []
    for name in sorted([*medians, *row.failed], key=lambda name: (name != OURS, name)):
        if name in row.failed:
            lines.append(f"| {row.scenario.title} | {name} | failed | | | | | |")
            continue
        usage = medians[name]
        ratios = [figure(ratio(row, part)) if name == OURS else "" for part in ("wall", "cpu")]
        figures = [figure(usage.wall), figure(usage.cpu), figure(object_ms(row, usage)), f"{usage.peak / 2**20:.0f}"]
        shown = f"**{name}**" if name == OURS else name
        lines.append(" | ".join([f"| {row.scenario.title}", shown, *figures, *ratios]) + " |")
    return lines


def targets(rows: Sequence[Row]) -> list[str]:
    """Each target with what was measured, and yes or no."""
    ours = [(row, row.medians()[OURS]) for row in rows if OURS in row.medians()]
    walls = [(wall, row.scenario.title) for row in rows if (wall := ratio(row, "wall")) is not None]
    per_object = [(ms, row.scenario.title) for row, usage in ours if (ms := object_ms(row, usage)) is not None]
    peaks = [(usage.peak / 2**20, row.scenario.title) for row, usage in ours if row.scenario.kind is not Kind.NO_OP]
    no_op = [(usage.peak / 2**20, row.scenario.title) for row, usage in ours if row.scenario.kind is Kind.NO_OP]
    wanted = [
        ("no slower than the better of the others in any row (wall, ours / best)", walls, 1.0),
        ("CPU-ms for a small object", per_object, SMALL_OBJECT_MS),
        ("peak RSS of a transfer, MiB", peaks, PEAK_MIB),
        ("peak RSS of a no-op sync, MiB", no_op, NO_OP_PEAK_MIB),
    ]
    lines = ["| target | at most | worst row | met |", "| --- | ---: | --- | --- |"]
    for what, measured, limit in wanted:
        worst, title = max(measured, default=(math.inf, "not measured"))
        lines.append(f"| {what} | {limit:g} | {worst:.2f}: {title} | {'yes' if worst <= limit else 'no'} |")
    return lines


def page(rows: Sequence[Row], facts: Mapping[str, str], runs: int) -> str:
    """The whole of docs/bench.md. facts: date, machine, versions, in the order in which they are to stand."""
    parts = [
        "# Benchmark",
        "Written by `make bench`. Programs run by turns against an S3 endpoint on the same machine that keeps nothing"
        " (benchmarks/nulls3), so the figures are what the client costs, and the endpoint takes its share of the same"
        f" cores. Each figure is the median of {runs}; CPU is user and system time, peak RSS the most that all of a"
        " program's processes held. Headrace is a running `headraced serve` that has done one job before, of one object"
        " (of 64 MiB at most) in the same direction, and is given the job that is measured: wall is from enqueued to"
        " done, CPU is the daemon's and that of the command that enqueues; with the durable queue, CRC64NVME of every"
        " byte and fsync of every file, where the others sync no file. What a daemon pays once, its start, its first"
        " job and its stop, stands in rows of its own. s5cmd knows one endpoint a run and cannot relay; juicefs has no"
        " server-side copy.",
        "\n".join(f"- {name}: {value}" for name, value in facts.items()),
        "## Targets",
        "\n".join(targets(rows)),
        "## All rows",
        "\n".join([HEAD, *(line for row in rows for line in table_lines(row))]),
    ]
    failures = [f"- {row.scenario.title}, {name}: {why}" for row in rows for name, why in row.failed.items()]
    if failures:
        parts += ["## Failed runs", "\n".join(failures)]
    return "\n\n".join(parts) + "\n"

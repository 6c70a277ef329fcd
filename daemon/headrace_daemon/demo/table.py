"""The demo's last words: what was moved, how fast, over which endpoints, and what proves it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from headrace_queue.report_file import ReportSummary, Tally

_TEXTS = ("step", "by endpoint", "proof")
_PLAIN_WIDTH = 120


@dataclass(frozen=True, slots=True)
class Row:
    """One step. job: as `headrace status JOB --json` gives it; summary: of its report."""

    title: str
    job: Mapping[str, Any]
    summary: ReportSummary


def print_table(rows: Sequence[Row], endpoint_names: Mapping[str, str], console: Console | None = None) -> None:
    """Fits into 80 columns. endpoint_names: a short name for each endpoint URL."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    for heading in ("step", "objects", "MB", "seconds", "MB/s", "retries", "by endpoint", "proof"):
        table.add_column(heading, justify="left" if heading in _TEXTS else "right", no_wrap=True)
    for row in rows:
        table.add_row(*cells(row, endpoint_names))
    (console or _console()).print(table)


def cells(row: Row, endpoint_names: Mapping[str, str]) -> list[str]:
    """The texts of one row."""
    counters = row.job["counters"]
    seconds = row.job["seconds"] or 0.0
    megabytes = counters["done_bytes"] / 1e6
    tallies = (row.summary.source_endpoints, row.summary.destination_endpoints)
    shares = [text for tally in tallies for text in _shares(tally, endpoint_names)]
    return [
        row.title,
        f"{counters['done']:,}",
        f"{megabytes:,.1f}",
        f"{seconds:.1f}",
        f"{megabytes / seconds:,.1f}" if seconds else "-",
        f"{counters['retries']:,}",
        "\n".join(shares),
        "\n".join(f"{name} {objects:,}" for name, objects in sorted(row.summary.proofs.items())),
    ]


def _shares(tallies: Mapping[str, Tally], endpoint_names: Mapping[str, str]) -> list[str]:
    """`lake A 52 %`, by objects, for every endpoint."""
    objects: dict[str, float] = {}
    for urls, tally in tallies.items():
        together = urls.split(",")  # parts of a large object travel over several endpoints
        for url in together:
            name = endpoint_names.get(url, url)
            objects[name] = objects.get(name, 0.0) + tally["objects"] / len(together)
    total = sum(objects.values())
    return [f"{name} {100 * share / total:.0f} %" for name, share in sorted(objects.items())]


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_PLAIN_WIDTH)

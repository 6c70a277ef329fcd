"""Whether the demo has proven what it set out to prove."""

from collections.abc import Sequence

from headrace_daemon.demo.compare import Comparison
from headrace_daemon.demo.outage import OutageState
from headrace_daemon.demo.sample import Sample
from headrace_daemon.demo.table import Row

_MAX_DIFFERENCES = 10


def problems(rows: Sequence[Row], sample: Sample, comparison: Comparison, outage: OutageState) -> list[str]:
    """A line for everything that is not as it should be; nothing where all is proven."""
    found = [text for row in rows for text in _problems_of_step(row, sample)]
    if outage is not OutageState.BACK:
        found.append("the endpoint did not die and come back while the relay ran, so nothing was shown of that")
    found += comparison.differences[:_MAX_DIFFERENCES]
    if len(comparison.differences) > _MAX_DIFFERENCES:
        found.append(f"… and {len(comparison.differences) - _MAX_DIFFERENCES:,} more differences")
    if (comparison.files, comparison.bytes) != (sample.files, sample.bytes):
        found.append(
            f"{comparison.files:,} files with {comparison.bytes:,} bytes are the same at both ends, "
            f"of {sample.files:,} with {sample.bytes:,}"
        )
    return found


def _problems_of_step(row: Row, sample: Sample) -> list[str]:
    job, counters = row.job, row.job["counters"]
    found = []
    if job["exit_code"] != 0:
        reason = f": {job['error']}" if job["error"] else ""
        found.append(f"{row.title}: the job is {job['state']}, {counters['failed']:,} objects failed{reason}")
    if (counters["done"], counters["done_bytes"]) != (sample.files, sample.bytes):
        found.append(f"{row.title}: {counters['done']:,} objects with {counters['done_bytes']:,} bytes were moved")
    proven = sum(row.summary.proofs.values())
    if proven != sample.files:
        found.append(f"{row.title}: the report names a proof for {proven:,} of {sample.files:,} objects")
    return found

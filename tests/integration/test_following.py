"""Standing by while jobs run: what is said at the end of a dry run."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from headrace_queue import following
from headrace_queue.free_space import Reserve
from headrace_queue.jobs import JobSpec, Kind, Options
from headrace_queue.report_file import ReportSummary
from headrace_queue.states import JobState
from headrace_queue.store import open_store

SPEC = JobSpec(Kind.SYNC, "s3://b/p/", "/", Options(dry_run=True))


@pytest.mark.parametrize(("state", "told"), [(JobState.DONE, True), (JobState.FAILED, False)])
def test_a_dry_run_that_failed_does_not_say_that_it_fits(
    state: JobState, told: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(open_store(f"sqlite://{tmp_path / 'queue.db'}")) as store:
        job, _ = store.enqueue(SPEC)
    following._print_dry_run_end(replace(job, state=state), ReportSummary(), Reserve(), False)
    assert ("fits" in capsys.readouterr().out) == told

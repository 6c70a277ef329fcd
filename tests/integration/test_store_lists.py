"""What every engine has to pass: a retry leaves what only a listing can tell, and tells how many."""

import pytest

from headrace_queue.jobs import Counters, Failure, Item, Options, PlanStep
from headrace_queue.name_list import MISSING
from headrace_queue.states import JobState
from tests.support.queue import Bench, items

ABSENT = Failure(Item("none", 0, 0), MISSING, "it is not at the source", attempts=0)
DENIED = Failure(Item("closed", 7, 1), "access_denied", "no")
CLOSED = Failure(Item("closed/", 0, 0), "access_denied", "a folder: nobody knows what is in it", attempts=0)


@pytest.mark.parametrize(
    ("failures", "sent", "left"),
    [
        ((ABSENT,), [], [ABSENT]),
        ((ABSENT, DENIED), ["closed"], [ABSENT]),
        ((DENIED,), ["closed"], []),
        ((CLOSED, DENIED, ABSENT), ["closed"], [CLOSED, ABSENT]),
    ],
    ids=["missing", "both", "denied", "folder"],
)
def test_a_retry_sends_nothing_of_which_nothing_is_known(
    failures: tuple[Failure, ...], sent: list[str], left: list[Failure], bench: Bench
) -> None:
    job = bench.job(options=Options(files_from="0" * 64))
    bench.store.commit_plan(
        bench.plan_lease(job), PlanStep((tuple(items(1)),), "z", Counters(), failures, finished=True)
    )
    assert bench.finish(bench.claim()).state is JobState.INCOMPLETE
    assert bench.store.retry(job.id).counters.failed == len(left)
    batches = bench.store.claim("w1", 9)
    assert [item.key for batch in batches for item in batch.items] == sent
    for batch in batches:
        bench.finish(batch)
    assert bench.store.job(job.id).state is (JobState.INCOMPLETE if left else JobState.DONE)
    assert [failure for _, failure in bench.store.failures(job.id)] == left


def test_a_dry_run_looks_for_them_again(bench: Bench) -> None:
    job = bench.job(options=Options(files_from="0" * 64, dry_run=True))
    bench.store.commit_plan(bench.plan_lease(job), PlanStep((), "z", Counters(), (ABSENT,), finished=True))
    retried = bench.store.retry(job.id)
    assert (retried.state, retried.counters.failed, bench.store.failures(job.id)) == (JobState.QUEUED, 0, [])

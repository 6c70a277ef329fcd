"""Linux shares out processors to threads, each by a policy of its own: these tests change only their own thread's."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from headrace_daemon.cpu_policy import prefer_throughput


def in_a_thread(work: Callable[[], int]) -> int:
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(work).result(30)


@pytest.mark.parametrize(
    ("before", "after"), [(os.SCHED_OTHER, os.SCHED_BATCH), (os.SCHED_IDLE, os.SCHED_IDLE)], ids=["usual", "chosen"]
)
def test_what_somebody_chose_stays(before: int, after: int) -> None:
    def work() -> int:
        os.sched_setscheduler(0, before, os.sched_param(0))
        prefer_throughput()
        return os.sched_getscheduler(0)

    assert in_a_thread(work) == after


def test_a_process_that_may_not_change_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", denied)
    prefer_throughput()

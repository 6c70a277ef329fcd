"""When a drain gives up, and what it says on the way."""

from dataclasses import replace

from headrace_daemon.facts import Outcome
from headrace_daemon.observe.console import ConsoleFacts
from headrace_daemon.standstill import Answers, Standstill
from headrace_queue.advice import with_advice
from headrace_queue.jobs import Counters, Item, Job, JobSpec, Kind, Phase
from headrace_queue.states import JobState


def waiting(job_id: int = 1, reason: str | None = "no endpoint answers", done: int = 0) -> Job:
    spec = JobSpec(Kind.SYNC, "s3://b/p/", "/data")
    return Job(job_id, spec, JobState.RUNNING, Phase.COPY, Counters(done=done), 0.0, 0.0, None, None, reason)


def test_only_waiting_for_long_enough_is_a_standstill() -> None:
    still = Standstill(10.0)
    assert not still.look(0.0, [waiting()], 0)
    assert not still.look(1.0, [waiting()], 0)
    assert not still.look(10.9, [waiting()], 0)
    assert still.look(11.0, [waiting()], 0)


def test_whatever_moves_starts_the_patience_anew() -> None:
    other = replace(waiting(2), waiting=None)
    moving: list[tuple[list[Job], int]] = [
        ([waiting(), other], 0),  # another job does not wait
        ([waiting(done=1)], 0),  # another daemon moved an object
        ([waiting()], 1),  # a service answered: a part of a large object, a page of a listing
        ([], 0),
    ]
    for jobs, answered in moving:
        still = Standstill(10.0)
        for now in (0.0, 1.0):
            assert not still.look(now, [waiting()], 0)
        assert not still.look(10.0, jobs, answered)
        assert not still.look(12.0, [waiting()], answered)
        assert not still.look(21.0, [waiting()], answered)
        assert still.look(31.0, [waiting()], answered)


def test_only_good_answers_count() -> None:
    answers = Answers()
    for status in (0, 200, 206, 301, 403, 404, 500, 503):
        answers.request("lake", "http://e", "GetObject", status, 0.1, 0, 0)
    assert answers.count == 2


def test_a_reason_is_said_once_until_something_moves() -> None:
    said: list[str] = []
    console = ConsoleFacts(said.append)
    console.job_event(1, "waiting", "a")
    console.job_event(1, "waiting", "a")
    console.job_event(2, "waiting", "a")
    console.job_event(1, "waiting", "b\x1b")
    console.object_done(1, "upload", Item("k", 1, 0), Outcome("transferred"))
    console.job_event(1, "waiting", "b\x1b")
    console.job_event(1, "ended", "done")
    assert said == ["job 1 waits: a", "job 2 waits: a", "job 1 waits: b\\x1b", "job 1 waits: b\\x1b"]


def test_why_a_job_failed_is_said_with_what_to_do() -> None:
    said: list[str] = []
    console = ConsoleFacts(said.append)
    console.job_event(1, "failed", with_advice("NoSuchBucket: lake://b: none", "Create it."))
    console.job_event(2, "failed", "just so")
    console.job_event(3, "warning", "nothing is at s3://b/\x1b")
    assert said == [
        "job 1 failed: NoSuchBucket: lake://b: none",
        "  do:  Create it.",
        "job 2 failed: just so",
        "job 3: warning: nothing is at s3://b/\\x1b",
    ]

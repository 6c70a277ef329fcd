"""Why a job is not moving: every reason is told by what one sees it, and a job that moves is told so."""

from dataclasses import replace
from typing import Any

import pytest

from headrace_daemon.dispatcher import MAX_BATCHES, MAX_PLANS
from headrace_daemon.transfer.judge import _PAUSE as PAUSES
from headrace_queue.explaining import (
    BATCHES,
    PLANS,
    Facts,
    Finding,
    Limit,
    explain_job,
    finding_json,
    finding_lines,
)
from headrace_queue.jobs import Counters, Failure, Item, Job, JobSpec, Kind, Options, Phase
from headrace_queue.metrics_client import Endpoint
from headrace_queue.pace import Estimate
from headrace_queue.situation import Situation
from headrace_queue.states import FINAL, JobState
from headrace_queue.tasks import Task, TaskKind, TaskSpec, TaskState
from headrace_queue.waiting_reasons import REASONS

NOW = 1_000_000.0
UP, DOWN = Endpoint("lake", "https://one", True), Endpoint("lake", "https://two", False)


def make(state: JobState = JobState.RUNNING, *, options: Options | None = None, **changes: Any) -> Job:
    spec = JobSpec(Kind.SYNC, "lake://b/p/", "/data", options or Options())
    started = None if state is JobState.QUEUED else NOW - 60
    finished = NOW - 10 if state in FINAL else None
    counters = changes.pop("counters", Counters(listed=9, planned=9, planned_bytes=900, done=3, done_bytes=300))
    job = Job(7, spec, state, Phase.DONE, counters, NOW - 60, started, finished, None, None)
    return replace(job, **changes)


def facts(job: Job | None = None, **more: Any) -> Facts:
    return Facts(**{"job": job or make(), "now": NOW, "workers": 1, "situation": Situation(leased=1), **more})


def task(state: TaskState, **more: Any) -> Task:
    spec = TaskSpec(TaskKind.EXPORT, "scratch", "fs-01", "run/7", "", "token")
    return Task(3, 7, spec, state, NOW, NOW, NOW, **more)


def failed(word: str, attempts: int = 1) -> Failure:
    return Failure(Item("k", 1, 0), word, "no", attempts)


OTHER = replace(make(JobState.RUNNING), id=5)
BROKEN = replace(make(JobState.FAILED, error="no such bucket"), id=5)
GONE = Counters(planned=3, done=1, failed=2)

TABLE: dict[str, tuple[Facts, str, str, str]] = {
    # what is given: the first finding, what one sees it by, what to do
    "done": (facts(make(JobState.DONE)), "It is done; nothing is left", "3 objects", "headrace report 7"),
    "done with nothing": (
        facts(make(JobState.DONE, counters=Counters())),
        "It is done, but nothing is at lake://b/p/.",
        "job 7 is done",
        "mistyped prefix",
    ),
    "failed": (
        facts(make(JobState.FAILED, error="NoSuchBucket: lake://b: none. do: Create it.")),
        "It failed as a whole: NoSuchBucket: lake://b: none.",
        "job 7 FAILED",
        "Create it.",
    ),
    "failed without advice": (facts(make(JobState.FAILED, error="odd")), "as a whole: odd", "", "headrace retry 7"),
    "cancelled": (facts(make(JobState.CANCELLED)), "It was cancelled.", "job 7 was cancelled", "headrace retry 7"),
    "incomplete": (
        facts(make(JobState.INCOMPLETE, counters=GONE), failures=[failed("io"), failed("io")]),
        "2 objects failed (io)",
        "2 FAILED",
        "`headrace retry 7` tries only those again",
    ),
    "incomplete by its listing": (
        facts(make(JobState.INCOMPLETE, counters=GONE), failures=[failed("gone", 0), failed("gone", 0)]),
        "2 objects failed (gone)",
        "",
        "enqueue the sync anew: a retry lists nothing",
    ),
    "paused": (
        facts(make(JobState.PAUSED), situation=Situation(leased=2)),
        "A person paused it.",
        "2 of its batches are in flight",
        "headrace resume 7",
    ),
    "cancelling": (
        facts(make(JobState.CANCELLING), situation=Situation(leased=2)),
        "ends when its workers have let go",
        "workers still have 2 of its batches",
        "",
    ),
    "no worker": (facts(make(JobState.QUEUED), workers=0), "No worker is running", "no sign", "headraced serve"),
    "no worker while it ran": (facts(workers=0), "No worker is running", "last 30 s", "headraced drain"),
    "after one that runs": (
        facts(make(JobState.QUEUED, waiting="for job 5"), before={5: OTHER}),
        "It comes after job 5, which is not over.",
        "job 5 is running: 3 of 9",
        "headrace explain 5",
    ),
    "after one that failed": (
        facts(make(JobState.QUEUED), before={5: BROKEN}),
        "It comes after job 5, which ended failed.",
        "no such bucket",
        "headrace retry 5",
    ),
    "after one that was purged": (
        facts(make(JobState.QUEUED), before={5: None}),
        "It was to come after job 5, which is gone.",
        "purged",
        "headrace cancel 7",
    ),
    "a task at FSx": (
        facts(tasks=[task(TaskState.RUNNING, task_id="task-01", total=10, succeeded=4)], situation=Situation()),
        "FSx works on its export (scratch)",
        "task-01; 4 of 10 done",
        "",
    ),
    "a task that waits": (
        facts(make(waiting="export by FSx waits for its turn"), tasks=[task(TaskState.WAITING)], situation=Situation()),
        "Its export by FSx waits for its turn on scratch.",
        "waits for its turn",
        "",
    ),
    "a remote that is down": (
        facts(make(waiting="no endpoint answers (https://one)")),
        "The remote does not answer.",
        "https://one",
        "headraced doctor",
    ),
    "credentials": (facts(make(waiting="credentials are not accepted (ExpiredToken)")), "credentials", "Exp", "Renew"),
    "a full destination": (
        facts(make(waiting="the destination is full (/fsx: 1.0 GiB has to stay free)")),
        "There is no room",
        "/fsx",
        "Free some space there",
    ),
    "a full disk": (
        facts(make(waiting="the disk of queue and reports is full (x)")),
        "disk of the queue",
        "x",
        "purge",
    ),
    "a mount": (facts(make(waiting="the file system is not there (/fsx)")), "is not there.", "/fsx", "Mount"),
    "throttled": (
        facts(make(waiting="the service asks to slow down (SlowDown)")),
        "fewer requests",
        "SlowDown",
        "Nothing to do",
    ),
    "a fault": (facts(make(waiting="the planner failed, which is a fault of Headrace")), "itself failed", "", "log"),
    "something else": (facts(make(waiting="the moon is full of it")), "It waits", "the moon", ""),
    "all endpoints": (
        facts(endpoints=[DOWN]),
        "Every endpoint of lake is set aside",
        "https://two",
        "headraced doctor",
    ),
    "silence": (
        facts(endpoints=[replace(UP, in_flight=2, heard=NOW - 12), DOWN]),
        "lake is silent: nothing has come from it for 12 s.",
        "2 requests under way at https://one",
        "headraced doctor",
    ),
    "batches that sleep": (
        facts(situation=Situation(sleeping=3, wakes=NOW + 5)),
        "All of its batches sleep; the first is tried again in 5.0 s.",
        "3 of 3 batches",
        "",
    ),
    "a plan that is held": (
        facts(make(phase=Phase.COPY), situation=Situation(plan_not_before=NOW + 5)),
        "Its listing is held, and goes on in 5.0 s.",
        "held until",
        "",
    ),
    "behind a higher priority": (
        facts(situation=Situation(ready=3, ahead=(9, 12))),
        "Jobs of a higher priority come first.",
        "jobs 9, 12 have a higher priority than 0",
        "--priority 1",
    ),
    "behind others": (
        facts(make(JobState.QUEUED, phase=Phase.COPY), situation=Situation(others=8, planning=4)),
        "Other jobs have every slot",
        "8 batches of other jobs, and list 4",
        "headrace watch",
    ),
    "an archive class": (
        facts(make(waiting="412 objects are restored"), situation=Situation(thawing=412, readable=NOW)),
        "Objects are being restored from an archive class",
        "412 objects asked for; the first can be read by about",
        "--restore-tier",
    ),
    "an archive class, by the quickest tier": (
        facts(make(options=Options(restore_tier="Expedited")), situation=Situation(thawing=1)),
        "Objects are being restored from an archive class",
        "1 object asked for",
        "Nothing to do: S3 takes minutes to days.",
    ),
    "its daemon was killed": (
        facts(workers=0, last_sign=NOW - 4),
        "No worker is running",
        "the process of its daemon is gone; its last sign of life was 4.0 s ago",
        "headraced serve",
    ),
    "it moves by parts": (facts(moved=True, under_way=50), "It moves.", "3 of 9, 350 B so far", ""),
    "failed with parts": (
        facts(make(JobState.FAILED), under_way=50),
        "as a whole",
        "50 B of large objects are safe",
        "headrace retry 7",
    ),
    "it moves": (facts(rate=2.0**20, moved=True), "It moves: 1.0 MiB/s. Nothing is wrong.", "3 of 9, 300 B so far", ""),
    "it moves, with an end in sight": (
        facts(rate=2.0**20, moved=True, left=Estimate(60, 60)),
        "It moves",
        "about 1 min left",
        "",
    ),
    "it lists": (
        facts(make(phase=Phase.COPY, counters=Counters(listed=5)), moved=True),
        "It lists and compares. Nothing is wrong.",
        "listing, 5 seen",
        "",
    ),
    "a large object": (facts(), "Its objects are in flight", "nothing was finished while this looked", "large object"),
    "a listing that takes long": (
        facts(make(phase=Phase.COPY), situation=Situation(planned_by="w")),
        "Its listing goes on.",
        "9 objects seen",
        "",
    ),
    "just enqueued": (
        facts(make(JobState.QUEUED, phase=Phase.COPY, created=NOW - 1), situation=Situation(others=7, planning=3)),
        "It was just enqueued",
        "enqueued",
        "",
    ),
    "enqueued a while ago": (
        facts(make(JobState.QUEUED, phase=Phase.COPY), situation=Situation(others=99)),
        "It waits for its turn, and no reason is known here.",
        "enqueued",
        "headraced doctor",
    ),
    "ready, and others have the slots": (
        facts(situation=Situation(ready=1, others=8)),
        "Other jobs have every slot",
        "8 batches",
        "headrace watch",
    ),
    "nobody knows": (facts(situation=Situation()), "Nothing of it moves", "3 of 9", "headraced doctor"),
    "from afar": (facts(situation=None), "no reason is known here", "3 of 9", "headraced doctor"),
}


@pytest.mark.parametrize("name", TABLE)
def test_every_reason_is_told_first(name: str) -> None:
    given, what, evidence, remedy = TABLE[name]
    first = explain_job(given)[0]
    assert what in first.what
    if name != "no worker":
        assert evidence in first.evidence
    assert remedy in first.remedy
    if not remedy:
        assert not first.remedy


def test_the_slots_are_those_of_a_worker() -> None:
    assert (PLANS, BATCHES) == (MAX_PLANS, MAX_BATCHES)
    two = facts(situation=Situation(ready=1, others=8), workers=2)
    assert "Other jobs" not in explain_job(two)[0].what


@pytest.mark.parametrize("text", [text for text, _ in PAUSES.values()])
def test_what_a_daemon_writes_is_understood(text: str) -> None:
    """Its words for what a job waits for, each."""
    assert [one for one in REASONS if f"{text} (why)".startswith(one[0])], text
    assert "It waits, and goes on" not in explain_job(facts(make(waiting=f"{text} (why)")))[0].what


def words(given: Facts) -> list[str]:
    return [finding.what for finding in explain_job(given)]


def test_the_reasons_of_one_standstill_are_told_once() -> None:
    """A job that waits for another has no other reason, whatever the queue shows of it."""
    waiting = make(JobState.QUEUED, waiting="for job 5", phase=Phase.COPY)
    held = Situation(plan_not_before=NOW + 1e12, others=8)
    assert len(words(facts(waiting, before={5: OTHER}, situation=held))) == 1
    thawing = facts(make(waiting="412 objects are restored"), situation=Situation(thawing=412))
    assert len(words(thawing)) == 1


def test_a_job_that_moves_is_not_said_to_stand_though_a_reason_is_there() -> None:
    told = words(facts(make(waiting="no endpoint answers"), rate=1000.0, moved=True))
    assert "It moves" in told[0]
    assert told[1] == "The remote does not answer."


def test_what_a_person_should_know_beside_it() -> None:
    job = make(
        options=Options(deadline=NOW + 60, max_errors=2), counters=Counters(listed=9, planned=9, done=3, failed=2)
    )
    told = explain_job(
        facts(
            job,
            rate=95.0,
            moved=True,
            left=Estimate(600, 700),
            limits=[Limit("--bandwidth", 100), Limit("bandwidth of [transfer]", 1000)],
            endpoints=[UP, DOWN],
            failures=[failed("io"), failed("access_denied")],
        )
    )
    assert [finding.what for finding in told[1:]] == [
        "It is as fast as --bandwidth allows.",
        "One endpoint of lake is set aside; the others do its work.",
        "Some of its objects failed; the others go on.",
        "It ends as failed once more than 2 objects have.",
        "Its deadline is in 1 min 00 s, and it takes longer.",
    ]
    assert "access_denied, io" in told[3].evidence


def test_an_endpoint_among_others_holds_nothing() -> None:
    assert "Every endpoint" not in " ".join(words(facts(endpoints=[UP, DOWN])))


@pytest.mark.parametrize(
    ("ends", "moved"),
    [
        ([replace(UP, in_flight=2, heard=NOW - 9)], False),
        ([replace(UP, in_flight=0, heard=NOW - 900)], False),
        ([replace(UP, in_flight=2)], False),
        ([replace(UP, in_flight=2, heard=NOW - 90), replace(DOWN, healthy=True, in_flight=1, heard=NOW)], False),
        ([replace(UP, in_flight=2, heard=NOW - 90)], True),
    ],
    ids=["a moment", "idle", "never asked", "one of two", "the job moves"],
)
def test_what_is_no_silence(ends: list[Endpoint], moved: bool) -> None:
    assert "silent" not in " ".join(words(facts(endpoints=ends, moved=moved)))


@pytest.mark.parametrize("state", list(JobState))
def test_every_state_has_a_finding(state: JobState) -> None:
    for situation in (None, Situation()):
        assert explain_job(facts(make(state), workers=0, situation=situation))


def test_a_finding_is_read_by_people_and_by_programs() -> None:
    finding = Finding("It waits\x1b.", "seen\n", "")
    assert finding_lines(finding) == ["It waits\\x1b.", "  seen: seen\\n"]
    assert finding_lines(Finding("a", "b", "c")) == ["a", "  seen: b", "  do:   c"]
    assert finding_json(finding) == {"what": "It waits\x1b.", "evidence": "seen\n", "remedy": None}


@pytest.mark.parametrize(("tier", "said"), [("Bulk", True), ("Standard", False), ("Expedited", False)])
def test_no_tier_is_proposed_that_was_given(tier: str, said: bool) -> None:
    job = make(options=Options(restore_tier=tier))
    (finding,) = explain_job(facts(job, situation=Situation(thawing=1)))
    assert ("Standard" in finding.remedy) == said
    assert ("not for DEEP_ARCHIVE" in finding.remedy) == (tier != "Expedited")

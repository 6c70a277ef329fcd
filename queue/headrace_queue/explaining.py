"""Why a job is not moving, in plain words: facts in, findings out. Nothing here reads or writes anything.

A finding says what holds the job, by what one sees it, and what to type. They come in the order in which one should
look at them. A job that moves gets one that says so.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from headrace_queue.advice import split_advice
from headrace_queue.client import HEARTBEAT_SECONDS
from headrace_queue.job_json import warning_of
from headrace_queue.jobs import Failure, Job, Phase
from headrace_queue.metrics_client import Endpoint
from headrace_queue.pace import Estimate
from headrace_queue.render import clock, count, ending_line, progress_text, shown
from headrace_queue.situation import Situation
from headrace_queue.states import FINAL, JobState
from headrace_queue.tasks import TASK_AT_FSX, TASK_ENDED, Task
from headrace_queue.units import format_bytes, format_duration, format_rate
from headrace_queue.waiting_reasons import LOG, REASONS

_NEAR: Final = 0.85
"""A rate of this share of a limit is at the limit."""
_SOON_SECONDS: Final = 900.0
_AT_ONCE_SECONDS: Final = 10.0
_MOMENT: Final = 0.5
_SILENT_SECONDS: Final = 10.0
"""A service may think for some seconds over a large CompleteMultipartUpload or a listing."""
_EVER: Final = 10 * 365 * 86400.0
"""Whatever is held until later than this is held until something else happens."""
PLANS: Final = 4
BATCHES: Final = 8
"""How many listings and how many batches of one priority a worker has under way at most."""


@dataclass(frozen=True, slots=True)
class Finding:
    """what: in a sentence. evidence: where one sees it. remedy: what to type or do; '' where there is nothing to do."""

    what: str
    evidence: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """A bandwidth that holds for the job. name: the option or the key of config.toml; rate: bytes a second."""

    name: str
    rate: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a job. now: seconds since the epoch.

    workers: how many are alive. situation: None where it cannot be told. before: the jobs that come first (`--after`),
    None for one that is gone. endpoints: of the remotes of this job; None where the daemon could not be asked. rate:
    bytes a second just now; moved: whether anything at all happened while one looked. under_way: bytes of large objects
    that are safe as parts. last_sign: of any worker, seconds since the epoch; None where no worker is known.
    """

    job: Job
    now: float
    workers: int
    situation: Situation | None = None
    tasks: Sequence[Task] = ()
    failures: Sequence[Failure] = ()
    before: Mapping[int, Job | None] = field(default_factory=dict)
    endpoints: Sequence[Endpoint] | None = None
    rate: float | None = None
    moved: bool = False
    under_way: int = 0
    last_sign: float | None = None
    left: Estimate | None = None
    limits: Sequence[Limit] = ()


def explain_job(facts: Facts) -> list[Finding]:
    """At least one."""
    if facts.job.state in FINAL:
        return _ended(facts)
    held = list(_held(facts))
    if held and not (facts.moved and facts.job.state is JobState.RUNNING):
        return held + list(_remarks(facts))
    return [_moving(facts), *held, *_remarks(facts)]


def finding_json(finding: Finding) -> dict[str, Any]:
    """what, evidence and remedy; the names are a contract."""
    return {"what": finding.what, "evidence": finding.evidence or None, "remedy": finding.remedy or None}


def finding_lines(finding: Finding) -> list[str]:
    """As a person reads it."""
    named = (("seen", finding.evidence), ("do", finding.remedy))
    return [shown(finding.what), *(f"  {f'{name}:':<6}{shown(text)}" for name, text in named if text)]


# -- ended -----------------------------------------------------------------------------------------------------------


def _ended(facts: Facts) -> list[Finding]:
    job = facts.job
    why, remedy = split_advice(job.error or "")
    line = ending_line(job, facts.now)
    if facts.under_way:
        line += f"; {format_bytes(facts.under_way)} of large objects are safe as parts"
    if job.state is JobState.FAILED:
        again = f"`headrace retry {job.id}` goes on where it stopped."
        return [Finding(f"It failed as a whole: {why}.", line, remedy or again)]
    if job.state is JobState.CANCELLED:
        return [Finding("It was cancelled.", line, f"`headrace retry {job.id}` takes it up again.")]
    if job.state is JobState.INCOMPLETE:
        return [_incomplete(facts, line)]
    warning = warning_of(job)
    if warning is not None:
        return [Finding(f"It is done, but {warning}.", line, "Check the source: a mistyped prefix looks like this.")]
    return [Finding("It is done; nothing is left to do.", line, f"`headrace report {job.id}` tells of every object.")]


def _incomplete(facts: Facts, line: str) -> Finding:
    job, seen = facts.job, facts.job.counters
    words = _words(facts.failures)
    why = f" ({words})" if words else ""
    known = len(facts.failures) == seen.failed
    if known and facts.failures and not any(failure.attempts for failure in facts.failures):
        remedy = "Mend what the report names, then enqueue the sync anew: a retry lists nothing."
    else:
        remedy = f"`headrace report {job.id} --failed` names them, `headrace retry {job.id}` tries only those again."
    return Finding(f"It ended, but {count(seen.failed, 'object')} failed{why}.", line, remedy)


def _words(failures: Iterable[Failure]) -> str:
    """The commonest reasons: `access_denied, io`."""
    counts: dict[str, int] = {}
    for failure in failures:
        counts[failure.error] = counts.get(failure.error, 0) + 1
    return ", ".join(sorted(counts, key=lambda word: (-counts[word], word))[:3])


# -- held ------------------------------------------------------------------------------------------------------------


def _held(facts: Facts) -> Iterable[Finding]:
    """What keeps a live job from moving."""
    job = facts.job
    if job.state is JobState.PAUSED:
        yield _paused(facts)
    if job.state is JobState.CANCELLING:
        leased = facts.situation.leased if facts.situation is not None else 0
        seen = f"workers still have {leased:,} of its batches" if leased else ""
        yield Finding("It was cancelled, and ends when its workers have let go.", seen)
    if not facts.workers:
        yield Finding(
            "No worker is running: nothing moves until one does.",
            _no_sign_of_life(facts),
            "Start one: `headraced serve`, or `headraced drain` to work until the queue is empty.",
        )
    if job.state is JobState.PAUSED or job.state is JobState.CANCELLING:
        return
    yield from _after_others(facts)
    yield from _by_tasks(facts)
    thaws = facts.situation is not None and facts.situation.thawing
    if job.waiting and not thaws and not _comes_later(facts) and not _works_by_tasks(facts):
        yield _waiting(job.waiting)
    yield from _by_endpoints(facts)
    if facts.situation is not None and facts.workers:
        yield from _by_the_queue(facts, facts.situation)


def _no_sign_of_life(facts: Facts) -> str:
    """A daemon that was killed is known to be gone before its last sign of life is old."""
    since = None if facts.last_sign is None else facts.now - facts.last_sign
    if since is not None and since <= HEARTBEAT_SECONDS:
        return f"the process of its daemon is gone; its last sign of life was {format_duration(max(since, 0.0))} ago"
    return f"no daemon has given a sign of life to this queue in the last {HEARTBEAT_SECONDS:.0f} s"


def _comes_later(facts: Facts) -> bool:
    """Whether a job that comes first is not done."""
    return any(other is None or other.state is not JobState.DONE for other in facts.before.values())


def _works_by_tasks(facts: Facts) -> bool:
    return any(task.state not in TASK_ENDED for task in facts.tasks)


def _paused(facts: Facts) -> Finding:
    leased = facts.situation.leased if facts.situation is not None else 0
    seen = "its state is paused" + (f"; {leased:,} of its batches are in flight and finish" if leased else "")
    stop = f" `headrace cancel {facts.job.id}` stops those at once." if leased else ""
    return Finding("A person paused it.", seen, f"`headrace resume {facts.job.id}` goes on.{stop}")


def _after_others(facts: Facts) -> Iterable[Finding]:
    for number, other in facts.before.items():
        if other is None:
            yield Finding(
                f"It was to come after job {number}, which is gone.",
                "the job was purged",
                f"`headrace cancel {facts.job.id}`, then enqueue it anew without --after.",
            )
        elif other.state not in FINAL:
            seen = f"job {number} is {other.state}: {progress_text(other) if other.started else 'not started'}"
            yield Finding(
                f"It comes after job {number}, which is not over.",
                seen,
                f"`headrace explain {number}` says how it stands.",
            )
        elif other.state is not JobState.DONE:
            remedy = f"`headrace retry {number}`; this one starts when that is done."
            yield Finding(f"It comes after job {number}, which ended {other.state}.", shown(other.error or ""), remedy)


def _by_tasks(facts: Facts) -> Iterable[Finding]:
    """Data repository tasks: FSx moves the data, and the job waits for it."""
    for task in facts.tasks:
        if task.state in TASK_ENDED:
            continue
        if task.state in TASK_AT_FSX:
            seen = f"{task.task_id or 'FSx has not answered yet'}; {task.succeeded:,} of {task.total:,} done"
            yield Finding(f"FSx works on its {task.spec.kind} ({task.spec.fsx}); Headrace looks again by itself.", seen)
        else:
            seen = facts.job.waiting or "FSx works on one task of a file system at a time"
            yield Finding(f"Its {task.spec.kind} by FSx waits for its turn on {task.spec.fsx}.", seen)


def _waiting(reason: str) -> Finding:
    for beginning, what, remedy in REASONS:
        if reason.startswith(beginning):
            return Finding(what, reason, remedy)
    return Finding("It waits, and goes on by itself when the reason is gone.", reason, "")


def _by_endpoints(facts: Facts) -> Iterable[Finding]:
    by_remote: dict[str, list[Endpoint]] = {}
    for one in facts.endpoints or ():
        by_remote.setdefault(one.remote, []).append(one)
    for remote, ends in by_remote.items():
        down = [one.url for one in ends if not one.healthy]
        if len(down) == len(ends):
            yield Finding(
                f"Every endpoint of {remote} is set aside: none of them answered.",
                ", ".join(down),
                "Check the service and the network: `headraced doctor`. Endpoints are tried again by themselves.",
            )
        elif not facts.moved:
            yield from _by_silence(facts, ends)


def _by_silence(facts: Facts, ends: Sequence[Endpoint]) -> Iterable[Finding]:
    """Requests that are under way, and nothing has come of any of them for a while."""
    busy = [one for one in ends if one.healthy and one.in_flight and one.heard is not None]
    silent = [one for one in busy if one.heard is not None and facts.now - one.heard >= _SILENT_SECONDS]
    if not silent or len(silent) < len(busy):
        return  # some of them answer: the job goes on
    since = format_duration(facts.now - max(one.heard or 0.0 for one in silent))
    seen = ", ".join(f"{count(one.in_flight, 'request')} under way at {one.url}" for one in silent)
    yield Finding(
        f"{silent[0].remote} is silent: nothing has come from it for {since}.",
        seen,
        "Look at the service and the network: `headraced doctor`. A request that gets nothing for read_timeout is sent "
        "again. While a part is sent over a slow line it looks the same.",
    )


def _by_the_queue(facts: Facts, now: Situation) -> Iterable[Finding]:
    """Batches that sleep, a listing that is held, and slots that others have."""
    job = facts.job
    if now.thawing:
        first = "" if now.readable is None else f"; the first can be read by about {clock(now.readable)}"
        yield Finding(
            "Objects are being restored from an archive class; the job waits without holding anything.",
            f"{count(now.thawing, 'object')} asked for{first}",
            f"Nothing to do: S3 takes minutes to days.{_quicker(job.spec.options.restore_tier)}",
        )
    if now.leased or _comes_later(facts) or _works_by_tasks(facts):
        return
    if now.sleeping and not now.ready and now.wakes is not None:
        wait = format_duration(max(now.wakes - facts.now, 0.0))
        yield Finding(
            f"All of its batches sleep; the first is tried again in {wait}.",
            f"{now.sleeping:,} of {now.sleeping + now.ready:,} batches wait for their time, until {clock(now.wakes)}",
        )
    elif now.ready and facts.workers:
        yield from _behind_others(facts, now)
    elif (
        job.phase is not Phase.DONE
        and now.planned_by is None
        and facts.now + _MOMENT < now.plan_not_before < facts.now + _EVER
    ):
        wait = format_duration(now.plan_not_before - facts.now)
        yield Finding(f"Its listing is held, and goes on in {wait}.", f"held until {clock(now.plan_not_before)}")
    elif job.state is JobState.QUEUED and job.phase is not Phase.DONE and now.planned_by is None:
        yield from _behind_others(facts, now)


def _quicker(tier: str) -> str:
    """What is quicker than this tier. S3 refuses Expedited for DEEP_ARCHIVE (API reference, RestoreObject)."""
    expedited = "--restore-tier Expedited is quicker and dearer, but not for DEEP_ARCHIVE, where S3 refuses it."
    told = {"Bulk": f" Another time, --restore-tier Standard is quicker and dearer. {expedited}"}
    return told.get(tier, f" Another time, {expedited}" if tier == "Standard" else "")


def _behind_others(facts: Facts, now: Situation) -> Iterable[Finding]:
    raised = f"`headrace pause JOB` holds one of them; --priority {facts.job.spec.priority + 1} at the next submission."
    if now.ahead:
        numbers = ", ".join(map(str, now.ahead))
        seen = f"jobs {numbers} have a higher priority than {facts.job.spec.priority}"
        yield Finding("Jobs of a higher priority come first.", seen, raised)
    elif now.others >= BATCHES * facts.workers if now.ready else now.planning >= PLANS * facts.workers:
        seen = f"workers have {now.others:,} batches of other jobs, and list {now.planning:,} of them"
        yield Finding("Other jobs have every slot; its turn comes.", seen, "`headrace watch` shows them.")


# -- moving, and what else is worth knowing ---------------------------------------------------------------------------


def _moving(facts: Facts) -> Finding:
    job, seen = facts.job, facts.job.counters
    left = f", {facts.left} left" if facts.left is not None else ""
    so_far = f"{progress_text(job)}, {format_bytes(seen.done_bytes + facts.under_way)} so far{left}"
    if job.state is JobState.QUEUED:
        if facts.situation is not None and facts.now - job.created < _AT_ONCE_SECONDS:
            what = "It was just enqueued, and a worker takes it up in a moment."
            return Finding(what, f"enqueued {clock(job.created)}")
        return Finding("It waits for its turn, and no reason is known here.", f"enqueued {clock(job.created)}", LOG)
    if facts.rate:
        return Finding(f"It moves: {format_rate(facts.rate)}. Nothing is wrong.", so_far)
    if facts.moved:
        what = "deletes" if job.phase is Phase.DELETE else "lists and compares" if not seen.planned else "moves"
        return Finding(f"It {what}. Nothing is wrong.", so_far)
    if facts.situation is not None and facts.situation.leased:
        what = f"Its objects are in flight: {facts.situation.leased:,} batches are with a worker."
        large = "A large object shows only when a part of it is safe; a slow service only when it answers."
        return Finding(what, f"{so_far}; nothing was finished while this looked", large)
    if facts.situation is not None and facts.situation.planned_by is not None:
        return Finding("Its listing goes on.", f"{seen.listed:,} objects seen, {seen.planned:,} to send so far")
    if facts.situation is None:
        return Finding("Nothing of it moved while this looked, and no reason is known here.", so_far, LOG)
    return Finding("Nothing of it moves, and the queue shows no reason.", so_far, LOG)


def _remarks(facts: Facts) -> Iterable[Finding]:
    """What does not hold it, but a person should know."""
    job, options = facts.job, facts.job.spec.options
    for limit in facts.limits:
        if facts.rate is not None and facts.rate >= limit.rate * _NEAR:
            what = f"It is as fast as {limit.name} allows."
            yield Finding(what, f"{format_rate(facts.rate)} of {format_rate(limit.rate)}", f"Raise {limit.name}.")
    for one in facts.endpoints or ():
        others = [other for other in facts.endpoints or () if other.remote == one.remote]
        if not one.healthy and any(other.healthy for other in others):
            what = f"One endpoint of {one.remote} is set aside; the others do its work."
            yield Finding(what, one.url, "It is tried again by itself.")
    if job.counters.failed:
        words = _words(facts.failures)
        seen = f"{count(job.counters.failed, 'object')} failed" + (f": {words}" if words else "")
        yield Finding("Some of its objects failed; the others go on.", seen, f"`headrace report {job.id} --failed`")
        if options.max_errors is not None and job.counters.failed > options.max_errors * _NEAR:
            yield Finding(f"It ends as failed once more than {options.max_errors:,} objects have.", "--max-errors")
    if options.deadline is not None:
        yield from _deadline(facts, options.deadline)


def _deadline(facts: Facts, deadline: float) -> Iterable[Finding]:
    left = deadline - facts.now
    if left <= 0:
        return  # one that was over when the job was tried again does not count
    slow = facts.left is not None and facts.left.least > left
    if left < _SOON_SECONDS or slow:
        what = f"Its deadline is in {format_duration(max(left, 0.0))}" + (", and it takes longer." if slow else ".")
        remedy = f"Afterwards `headrace retry {facts.job.id}` goes on." if slow else ""
        yield Finding(what, f"--deadline {clock(deadline)}", remedy)

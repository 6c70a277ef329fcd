"""/v1/jobs: what `headrace sync`, `copy`, `jobs`, `status` and their kin do, for people on other hosts.

Everybody sees and steers what is theirs; whoever has the permission `admin`, everything.
"""

import asyncio
import stat
import time
from collections.abc import AsyncIterator, Callable
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response, StreamingResponse

from headrace_daemon.api.asking import CurrentUser, asked, require
from headrace_daemon.api.errors import ApiError, conflict, missing
from headrace_daemon.api.parts import Parts
from headrace_daemon.api.v1_answers import NOTHING_MORE, Json, problems
from headrace_daemon.api.v1_events import EVENT_SCHEMA, Stream, Watching, told_to_the_end
from headrace_daemon.api.v1_models import (
    MAX_ROW,
    Before,
    FailuresOut,
    JobIn,
    JobNumber,
    JobOut,
    JobsOut,
    Limit,
)
from headrace_daemon.api.v1_submit import (
    Side,
    is_theirs,
    refuse_lost_rights,
    refuse_of_transfer,
    refused_collision,
    sides_of,
    spec_of,
)
from headrace_daemon.api.who import Permission, User
from headrace_queue.collisions import Collision, enqueue_all, refuse_collision
from headrace_queue.errors import IllegalTransition, UnknownJob, UsageError
from headrace_queue.job_json import failure_json, job_json, to_text
from headrace_queue.jobs import Job, JobSpec
from headrace_queue.overlap import Services
from headrace_queue.report_file import ReportEntry, entry_json, read_report, report_path
from headrace_queue.states import FINAL, JobState
from headrace_queue.store import Store

MAX_OPEN_JOBS: Final = 200
"""Of one user."""

_LINES_AT_ONCE: Final = 500
_OPEN: Final = tuple(state for state in JobState if state not in FINAL)
_EVENTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "`event: state` or `event: progress`, with the job as JSON in `data`; ends after its last state",
        "content": {"text/event-stream": {"schema": EVENT_SCHEMA}},
    },
}
_REPORT: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "A JSON object a line", "content": {"application/jsonl": {"schema": {"type": "string"}}}}
}
_ENQUEUED: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": JobOut, "description": "The job that had this submission id already"}
}


def shown(job: Job, now: float) -> dict[str, Any]:
    """JobOut."""
    return job_json(job, now)


def router(parts: Parts) -> APIRouter:
    """The routes, below /v1."""
    routes = APIRouter(prefix="/jobs", tags=["jobs"])
    _add_submission(routes, parts)
    _add_looks(routes, parts)
    _add_moves(routes, parts)
    _add_streams(routes, parts)
    return routes


# -- enqueueing --------------------------------------------------------------------------------------------------------


def _add_submission(routes: APIRouter, parts: Parts) -> None:
    @routes.post(
        "",
        status_code=201,
        summary="Enqueue a job",
        response_model=JobOut,
        responses=_ENQUEUED | problems(409, 413),
        operation_id="enqueue_job",
    )
    async def enqueue(request: Request, user: CurrentUser, given: JobIn) -> Response:
        """Everything that can be refused at once is refused here, by the rules of `headrace sync` and `copy`. With a
        `submission_id` that one of your jobs has already, that job is the answer, with 200."""
        asked(request).about = f"{given.kind} {given.source} -> {given.destination}"
        source, destination = sides_of(parts.config, user, given)
        destination = await _checked(parts, user, given.kind, source, destination)
        spec = spec_of(parts.config, user, given, source, destination, parts.now())
        job, created = await _enqueued(parts, user, spec)
        headers = {"Location": f"/v1/jobs/{job.id}"}
        asked(request).job = job.id
        return Json(shown(job, parts.now()), 201 if created else 200, headers=headers)


async def _checked(parts: Parts, user: User, kind: str, source: Side, destination: Side) -> Side:
    """The destination as it is meant: a copy into a folder that exists goes below it. With the rights of the user.

    Raises ApiError 400, 404 for what cannot work.
    """
    if source.place is not None:
        mode = (await parts.files.status(user, source.place, follow=True)).st_mode
        if kind == "sync" and not stat.S_ISDIR(mode):
            raise ApiError(400, f"{source.text}: sync takes folders, and this is none. Use `copy` for one file.")
        if kind == "copy" and not stat.S_ISREG(mode):
            raise ApiError(400, f"{source.text}: copy takes one regular file, and this is none. Use `sync` for a tree.")
    if destination.place is None or destination.text.endswith("/"):
        return destination
    try:
        mode = (await parts.files.status(user, destination.place, follow=True)).st_mode
    except ApiError as error:
        if error.status == 404:
            return destination
        raise
    if kind == "sync" and not stat.S_ISDIR(mode):
        raise ApiError(400, f"{destination.text}: sync takes folders, and this is none. Name a folder.")
    return Side(destination.text + "/", destination.place) if stat.S_ISDIR(mode) else destination


async def _enqueued(parts: Parts, user: User, spec: JobSpec) -> tuple[Job, bool]:
    services = Services(parts.config.remotes)

    def enqueue(store: Store) -> tuple[Job, bool]:
        with store.group():
            ((job, created),) = enqueue_all(store, [spec], services)
            if created and not user.may(Permission.ADMIN):
                _refuse_one_more(store, user)
        return job, created

    try:
        job, created = await parts.queue.write(enqueue)
    except Collision as error:
        raise refused_collision(error, error.other, user) from None
    except UsageError as error:  # the submission id is another job's of theirs
        raise conflict(str(error).replace(f"--submission-id {spec.submission_id}", "submission_id")) from None
    return job, created


def _refuse_one_more(store: Store, user: User) -> None:
    """Every new job is compared with those that are not over. Raises ApiError 429."""
    if len(store.jobs(_OPEN, MAX_OPEN_JOBS + 1, None, user.name)) > MAX_OPEN_JOBS:
        said = f"you have {MAX_OPEN_JOBS} jobs that are not over; wait for one, or cancel one"
        raise ApiError(429, said, retry_after=30.0)


# -- looking -----------------------------------------------------------------------------------------------------------


def _add_looks(routes: APIRouter, parts: Parts) -> None:
    @routes.get("", summary="List jobs", response_model=JobsOut, responses=problems(), operation_id="list_jobs")
    async def list_jobs(
        user: CurrentUser,
        state: Annotated[list[JobState] | None, Query(max_length=20, description="Only these.")] = None,
        limit: Limit = 100,
        before: Before = None,
    ) -> Response:
        """Newest first. The next page begins `before` the smallest number of this one."""
        whose = None if user.may(Permission.ADMIN) else user.name
        jobs = await parts.queue.read(lambda store: store.jobs(state or (), limit, before, whose))
        return Json({"jobs": [shown(job, parts.now()) for job in jobs]})

    @routes.get(
        "/{job:int}", summary="Look at a job", response_model=JobOut, responses=problems(), operation_id="get_job"
    )
    async def get_job(user: CurrentUser, job: JobNumber) -> Response:
        """State, counters and options of one job."""
        row = await parts.queue.read(lambda store: their_job(store, user, job))
        return Json(shown(row, parts.now()))

    @routes.get(
        "/{job:int}/failures",
        summary="List what failed",
        response_model=FailuresOut,
        responses=problems(),
        operation_id="list_failures",
    )
    async def list_failures(
        user: CurrentUser,
        job: JobNumber,
        limit: Limit = 100,
        after: Annotated[int, Query(ge=0, le=MAX_ROW, description="Only later ones, to page.")] = 0,
    ) -> Response:
        """Which objects could not be moved, and why; a retry of the job tries them again."""

        def read(store: Store) -> list[dict[str, Any]]:
            their_job(store, user, job)
            found = store.failures(job, after, limit)
            return [{"number": number} | failure_json(failure) for number, failure in found]

        rows = await parts.queue.read(read)
        return Json({"failures": rows, "next": rows[-1]["number"] if len(rows) == limit else None})


def their_job(store: Store, user: User, number: int) -> Job:
    """The job. Raises ApiError 404, for one that there is not just as for another's."""
    try:
        job = store.job(number)
    except UnknownJob:
        job = None
    if job is None or not is_theirs(user, job):
        raise missing(f"job {number}: no such job")
    return job


# -- steering ----------------------------------------------------------------------------------------------------------


def _add_moves(routes: APIRouter, parts: Parts) -> None:
    services = Services(parts.config.remotes)

    def retry(store: Store, number: int) -> Job:
        row = store.retry(number)
        refuse_collision(store, row, services)
        return row

    moves: tuple[tuple[str, str, Callable[[Store, int], Job]], ...] = (
        ("cancel", "End a job; objects that are there already stay", lambda store, number: store.cancel(number)),
        ("pause", "Start nothing more of a job; what is in flight finishes", lambda store, number: store.pause(number)),
        ("resume", "Go on with a paused job", lambda store, number: store.resume(number)),
        ("retry", "Try again, but only what failed or was never reached", retry),
    )
    for name, summary, act in moves:
        _add_move(routes, parts, name, summary, act)


def _add_move(routes: APIRouter, parts: Parts, name: str, summary: str, act: Callable[[Store, int], Job]) -> None:
    @routes.post(
        f"/{{job:int}}/{name}",
        summary=summary,
        response_model=JobOut,
        responses=problems(409),
        operation_id=f"{name}_job",
        description=f"{summary}. 409 where the job is in no state for it.",
    )
    async def move(request: Request, user: CurrentUser, job: JobNumber) -> Response:
        asked(request).job = job
        require(user, Permission.JOBS)

        def run(store: Store) -> Job:
            with store.group():
                row = their_job(store, user, job)
                refuse_of_transfer(parts.config, user, row)
                if name in ("resume", "retry"):
                    refuse_lost_rights(parts.config, user, row)
                return act(store, job)

        try:
            row = await parts.queue.write(run)
        except IllegalTransition as error:
            raise conflict(f"job {job}: {error}") from None
        except Collision as error:
            raise refused_collision(error, error.other, user) from None
        return Json(shown(row, parts.now()))


# -- streams -----------------------------------------------------------------------------------------------------------


def _add_streams(routes: APIRouter, parts: Parts) -> None:
    api = parts.config.api
    interval = api.events_poll if api is not None else 0.5
    watching = Watching(parts.queue, lambda store, number: store.job(number), interval, time.monotonic)
    stream = Stream(
        watching,
        lambda job: shown(job, parts.now()),
        lambda job: str(job.state),
        lambda job: job.state in FINAL,
    )

    @routes.get(
        "/{job:int}/report",
        summary="What became of every object",
        response_class=Response,
        responses=_REPORT | problems(),
        operation_id="get_report",
    )
    async def get_report(
        user: CurrentUser,
        job: JobNumber,
        failed: Annotated[bool, Query(description="Only objects that failed.")] = False,
    ) -> Response:
        """A line of JSON for every object: outcome, bytes, seconds, endpoints, checksum, proof, error."""
        await parts.queue.read(lambda store: their_job(store, user, job))
        lines = _report_lines(report_path(parts.config.state_dir, job), failed=failed)
        return StreamingResponse(lines, media_type="application/jsonl")

    @routes.get(
        "/{job:int}/events",
        summary="Follow a job",
        response_class=Response,
        responses=_EVENTS | NOTHING_MORE | problems(),
        operation_id="follow_job",
    )
    async def follow_job(
        user: CurrentUser, job: JobNumber, last_event_id: Annotated[str | None, Header(max_length=100)] = None
    ) -> Response:
        """Server-sent events: the job at once, then whenever it changed, until it is over."""
        row = await parts.queue.read(lambda store: their_job(store, user, job))
        if row.state in FINAL and told_to_the_end(last_event_id):
            return Response(status_code=204)
        return stream.response(user.name, job, row, last_event_id)


async def _report_lines(path: Path, *, failed: bool) -> AsyncIterator[bytes]:
    entries = (entry for entry in read_report(path) if entry.failed or not failed)

    def some() -> list[ReportEntry]:
        return list(islice(entries, _LINES_AT_ONCE))

    while block := await asyncio.to_thread(some):
        yield "".join(f"{to_text(entry_json(entry))}\n" for entry in block).encode("ascii")

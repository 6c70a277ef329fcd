"""One firing of a schedule: its jobs are enqueued and the schedule knows of them, in one commit."""

from collections.abc import Sequence
from dataclasses import replace

from headrace_queue.collisions import enqueue_all
from headrace_queue.command_specs import jobs_of
from headrace_queue.errors import UnknownJob
from headrace_queue.jobs import Job, JobSpec
from headrace_queue.overlap import Services
from headrace_queue.schedules import MOST_JOBS, Schedule, Standing
from headrace_queue.states import FINAL
from headrace_queue.store import Store


def fire(
    store: Store,
    schedule: Schedule,
    standing: Standing,
    specs: Sequence[JobSpec],
    services: Services,
    *,
    instant: str | None,
    now: float,
) -> list[Job] | None:
    """The jobs; None where somebody changed the schedule since it was read, and nothing happened.

    standing: what is known of it after the firing, without its time and its jobs. instant: as of `jobs_of`. Raises
    UnknownSchedule; Collision where a job would be in the way of another.
    """
    with store.group():
        if store.schedule(schedule.name).revision != schedule.revision:
            return None
        jobs = [job for job, _ in enqueue_all(store, jobs_of(schedule.name, instant, specs), services)]
        numbers = tuple(job.id for job in jobs)[-MOST_JOBS:]
        store.change_schedule(schedule.name, replace(standing, fired=now, jobs=numbers, error=None))
    return jobs


def busy_job(store: Store, schedule: Schedule) -> int | None:
    """A job of its last firing that is not over."""
    for number in schedule.standing.jobs:
        try:
            if store.job(number).state not in FINAL:
                return number
        except UnknownJob:
            continue  # over long ago, and purged
    return None

"""Two jobs that write to one place at the same time: each would undo or overwrite what the other does.

Refused are a second job into the same destination, and one whose destination lies inside another's, or around it, where
either of the two deletes: it would take what the other brings for something that the source does not have. Without
--delete, nested destinations are fine: whoever lays `all/` and `all/2024/` out knows which keys come from where. A dry
run writes nothing, and is in nobody's way. Nor are two jobs of which one starts after the other.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import Final

from headrace_queue.errors import UnknownJob, UsageError
from headrace_queue.jobs import Job, JobSpec
from headrace_queue.locations import Location
from headrace_queue.overlap import Relation, Services
from headrace_queue.states import FINAL, JobState
from headrace_queue.store import Store

_OPEN: Final = tuple(state for state in JobState if state not in FINAL)
_PAGE: Final = 1000


class Collision(UsageError):
    """other: the job that is in the way."""

    def __init__(self, what: str, why: str, remedy: str, other: Job) -> None:
        super().__init__(what, why, remedy)
        self.other = other


def enqueue_all(
    store: Store, specs: Sequence[JobSpec], services: Services, *, attach: bool = False
) -> list[tuple[Job, bool]]:
    """Every job and whether it is new, as Store.enqueue gives it, in one commit: all of them or none.

    attach: a job that is not over and does exactly what is asked for is taken in place of a new one. Raises Collision
    where one of them would be in the way of another, or of a job that is not over.
    """
    entries: list[tuple[Job, bool]] = []
    with store.group():
        for spec in specs:
            under_way = _same(store, spec) if attach else None
            job, created = store.enqueue(spec) if under_way is None else (under_way, False)
            if created:
                refuse_collision(store, job, services, with_it={other.id for other, new in entries if new})
            entries.append((job, created))
    return entries


def _same(store: Store, spec: JobSpec) -> Job | None:
    """A job under way that does this already. Who asked first decides its priority and labels. One that was cancelled
    is none: it ends without having done it."""
    if spec.options.dry_run or spec.submission_id is not None:
        return None
    wanted, open_jobs = _work(spec), (job for job in _open_jobs(store) if job.state is not JobState.CANCELLING)
    return next((job for job in open_jobs if _work(job.spec) == wanted), None)


def _work(spec: JobSpec) -> tuple[object, ...]:
    return (
        spec.kind,
        spec.source,
        spec.destination,
        spec.options,
        spec.owner,
        spec.after,
        dict(spec.labels).get("dataset"),
    )


def refuse_collision(store: Store, job: Job, services: Services, with_it: Collection[int] = ()) -> None:
    """with_it: jobs of the same call, whose numbers nobody knows yet. Raises Collision."""
    if job.spec.options.dry_run:
        return
    place = Location.parse(job.spec.destination)
    before = _those_before(store, job)
    for other in _open_jobs(store):
        if other.id == job.id or other.spec.options.dry_run or other.id in before:
            continue
        relation = services.relation(place, Location.parse(other.spec.destination))
        deletes = job.spec.options.delete or other.spec.options.delete
        if relation is Relation.SAME or (relation is not Relation.APART and deletes):
            raise _refused(job, other, relation, together=other.id in with_it)


def _those_before(store: Store, job: Job) -> set[int]:
    """The jobs that this one starts after, those that these start after, and so on."""
    found: set[int] = set()
    look = list(job.spec.after)
    while look:
        number = look.pop()
        if number not in found:
            found.add(number)
            with suppress(UnknownJob):  # done long ago, and purged
                look += store.job(number).spec.after
    return found


def _open_jobs(store: Store) -> Iterator[Job]:
    before: int | None = None
    while page := store.jobs(_OPEN, _PAGE, before):
        yield from page
        before = page[-1].id


def _refused(job: Job, other: Job, relation: Relation, *, together: bool) -> Collision:
    what = f"{job.spec.source} -> {job.spec.destination}"
    route = f"{other.spec.source} -> {other.spec.destination}"
    whose = f"the same call ({route})" if together else f"job {other.id}, which is {other.state} ({route}),"
    if relation is Relation.SAME:
        why = f"{whose} writes to the same place"
    else:
        lies = "inside" if relation is Relation.INSIDE else "around"
        why = f"its destination lies {lies} that of {whose} and --delete would remove what the other brings"
    if together:
        return Collision(what, why, "Enqueue one of them with --wait, and then the other.", other)
    first = f"`headrace wait {other.id}` waits for its end, `headrace cancel {other.id}` ends it"
    return Collision(what, why, f"First one, then the other: {first}.", other)

"""Two jobs that write to one place at the same time: each would undo or overwrite what the other does.

Refused are a second job into the same destination, and one whose destination lies inside another's, or around it, where
either of the two deletes: it would take what the other brings for something that the source does not have. Without
--delete, nested destinations are fine: whoever lays `all/` and `all/2024/` out knows which keys come from where. A dry
run writes nothing, and is in nobody's way.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from headrace_queue.errors import UsageError
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


def enqueue_all(store: Store, specs: Sequence[JobSpec], services: Services) -> list[tuple[Job, bool]]:
    """Every job and whether it is new, as Store.enqueue gives it, in one commit: all of them or none.

    Raises Collision where one of them would be in the way of another, or of a job that is not over.
    """
    entries: list[tuple[Job, bool]] = []
    with store.group():
        for spec in specs:
            job, created = store.enqueue(spec)
            if created:
                refuse_collision(store, job, services, with_it={other.id for other, new in entries if new})
            entries.append((job, created))
    return entries


def refuse_collision(store: Store, job: Job, services: Services, with_it: Collection[int] = ()) -> None:
    """with_it: jobs of the same call, whose numbers nobody knows yet. Raises Collision."""
    if job.spec.options.dry_run:
        return
    place = Location.parse(job.spec.destination)
    for other in _open_jobs(store):
        if other.id == job.id or other.spec.options.dry_run:
            continue
        relation = services.relation(place, Location.parse(other.spec.destination))
        deletes = job.spec.options.delete or other.spec.options.delete
        if relation is Relation.SAME or (relation is not Relation.APART and deletes):
            raise _refused(job, other, relation, together=other.id in with_it)


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

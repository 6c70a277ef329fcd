"""What a dry run says of the room at its destination, where that is a path: a bucket has no size to ask for."""

from typing import Any

from headrace_queue.free_space import Free, Need, Reserve, fit_text, free_at, shortage
from headrace_queue.jobs import Job
from headrace_queue.locations import Location
from headrace_queue.render import shown


def room_lines(job: Job, reserve: Reserve) -> list[str]:
    """One line for people, or none: free bytes and inodes, and whether everything fits that would be transferred."""
    path = Location.parse(job.spec.destination).path
    if path is None:
        return []
    try:
        free = free_at(path)
    except OSError as error:
        return [f"{shown(str(path))}: how much is free cannot be told ({error.strerror})"]
    return [fit_text(shown(str(path)), _need(job), free, reserve)]


def room_json(job: Job, reserve: Reserve) -> dict[str, Any] | None:
    """The same as fields: free_bytes, free_inodes (or null), fits, missing (a text, '' where it fits).

    None for a bucket, and where it cannot be told.
    """
    path = Location.parse(job.spec.destination).path
    free: Free | None
    try:
        free = None if path is None else free_at(path)
    except OSError:
        free = None
    if free is None:
        return None
    missing = shortage(_need(job), free, reserve)
    return {"free_bytes": free.size, "free_inodes": free.inodes, "fits": not missing, "missing": missing}


def _need(job: Job) -> Need:
    """All that would be transferred, as if nothing of it replaced anything: the safe side."""
    return Need(job.counters.planned_bytes, job.counters.planned)

"""`copy`: exactly one object or file, without a listing."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from headrace_daemon.planner.compare import Route, Verdict, decide
from headrace_daemon.planner.entries import Entry, to_item
from headrace_daemon.planner.errors import JobFailure
from headrace_daemon.planner.task import PlanEnd, PlanPorts
from headrace_queue.jobs import Compare, Counters, Options, Phase, PlanLease, PlanStep

Probe: TypeAlias = Callable[[], Awaitable[Entry | None]]
"""Looks at one object or file; None where there is none. The entry's key is empty: the root is the object itself."""


async def plan_one(lease: PlanLease, source: Probe, destination: Probe, route: Route, ports: PlanPorts) -> PlanEnd:
    """Plans the one item of the job, in one commit. The destination is looked at only where it matters.

    Raises JobFailure where the source is missing or too large, errors of the probes and LeaseLost as they are.
    """
    if lease.phase is not Phase.COPY:
        await ports.commit(PlanStep((), lease.cursor, Counters(), finished=True))
        return PlanEnd.FINISHED
    spec = lease.job.spec
    entry = await source()
    if entry is None:
        raise JobFailure(f"{spec.source}: there is no such object. Nothing was copied; check the name.")
    limit = route.destination.max_object
    if limit is not None and entry.size > limit:
        raise JobFailure(
            f"{spec.source}: {entry.size:,} bytes; the destination takes objects of up to {limit:,} bytes."
        )
    entry = entry._replace(key="")
    reason = await _why_sent(entry, destination, spec.options, route, ports)
    if reason is None:
        counters = Counters(listed=1, unchanged=1, unchanged_bytes=entry.size)
        step = PlanStep((), "", counters, finished=True)
    else:
        counters = Counters(listed=1, planned=1, planned_bytes=entry.size)
        item = to_item(entry)
        if spec.options.dry_run:
            ports.tell(item, reason)
        step = PlanStep(() if spec.options.dry_run else ((item,),), "", counters, finished=True)
    await ports.commit(step)
    return PlanEnd.FINISHED


async def _why_sent(entry: Entry, destination: Probe, options: Options, route: Route, ports: PlanPorts) -> str | None:
    """Why the object is sent; None where it is left alone."""
    if options.compare is Compare.ALWAYS and not options.no_clobber:
        return "asked"
    other = await destination()
    verdict, reason = decide(entry, other, options, route)
    if verdict is Verdict.CHECK and await ports.same(entry, other):
        return None
    return None if verdict is Verdict.SKIP else reason

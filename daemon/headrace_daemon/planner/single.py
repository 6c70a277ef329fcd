"""`copy`: exactly one object or file, without a listing."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from headrace_daemon.planner.compare import Decision, Route, Verdict, decide
from headrace_daemon.planner.entries import Entry, to_item
from headrace_daemon.planner.errors import JobFailure
from headrace_daemon.planner.task import PlanEnd, PlanPorts
from headrace_queue.jobs import Compare, Counters, Options, Phase, PlanLease, PlanStep

Probe: TypeAlias = Callable[[], Awaitable[Entry | None]]
"""Looks at one object or file; None where there is none. The entry's key is empty: the root is the object itself."""

ASKED: Final = Decision(Verdict.TRANSFER, "asked")
"""A copy that says nothing of what is there sends without looking."""


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
        version = f" in version {spec.options.version_id}" if spec.options.version_id else ""
        raise JobFailure(f"{spec.source}: there is no such object{version}. Nothing was copied; check the name.")
    limit = route.destination.max_object
    if limit is not None and entry.size > limit:
        raise JobFailure(
            f"{spec.source}: {entry.size:,} bytes; the destination takes objects of up to {limit:,} bytes."
        )
    entry = entry._replace(key="")
    decision = await _decide(entry, destination, spec.options, route, ports)
    await ports.commit(_step(entry, decision, spec.options, ports))
    return PlanEnd.FINISHED


def _step(entry: Entry, decision: Decision, options: Options, ports: PlanPorts) -> PlanStep:
    item = to_item(entry)
    if decision.verdict is Verdict.EXCLUDE:
        return PlanStep((), "", Counters(listed=1, excluded=1), finished=True)
    if decision.verdict is Verdict.SKIP:
        if decision.proof:
            ports.kept(item, decision)
        counters = Counters(listed=1, unchanged=1, unchanged_bytes=entry.size)
        return PlanStep((), "", counters, finished=True)
    if options.dry_run:
        ports.tell(item, decision.reason)
    counters = Counters(listed=1, planned=1, planned_bytes=entry.size)
    return PlanStep(() if options.dry_run else ((item,),), "", counters, finished=True)


async def _decide(entry: Entry, destination: Probe, options: Options, route: Route, ports: PlanPorts) -> Decision:
    if options.compare is Compare.ALWAYS and not options.no_clobber and not options.existing:
        return ASKED
    other = await destination()
    decision = decide(entry, other, options, route)
    return await ports.look(entry, other) if decision.verdict is Verdict.CHECK else decision

"""`archive`: a whole folder as one object, whose size is found out by a first walk."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from headrace_daemon.planner.compare import Route
from headrace_daemon.planner.entries import Entry, Problem
from headrace_daemon.planner.single import Probe, plan_one
from headrace_daemon.planner.task import PlanEnd, PlanPorts
from headrace_queue.jobs import Compare, PlanLease, PlanStep

Measure = Callable[[Callable[[Problem], None]], Awaitable[Entry]]
"""Walks the folder; the entry of the archive, key '' and size in bytes. Calls its argument with each thing that has no
content and is passed over."""


async def plan_archive(
    lease: PlanLease, measure: Measure, destination: Probe, route: Route, ports: PlanPorts
) -> PlanEnd:
    """Plans the one item of the job, in one commit. What is passed over stands in the report, and counts as excluded.

    Raises JobFailure where the archive is too large, errors of the probes and LeaseLost as they are.
    """
    passed = 0

    def pass_over(problem: Problem) -> None:
        nonlocal passed
        passed += 1
        ports.passed(problem)

    async def commit(step: PlanStep) -> int:
        counters = replace(step.counters, listed=step.counters.listed + passed, excluded=passed)
        return await ports.commit(replace(step, counters=counters))

    return await plan_one(
        _whatever_is_there(lease), lambda: measure(pass_over), destination, route, replace(ports, commit=commit)
    )


def _whatever_is_there(lease: PlanLease) -> PlanLease:
    """An archive is filled up to whole records: two of one size may well hold different files."""
    spec = lease.job.spec
    options = replace(spec.options, compare=Compare.ALWAYS)
    return replace(lease, job=replace(lease.job, spec=replace(spec, options=options)))

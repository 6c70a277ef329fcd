"""How Linux shares out the processors among this process's threads and others (sched(7))."""

import os
from contextlib import suppress


def prefer_throughput() -> None:
    """SCHED_BATCH for the calling thread and all that it starts: one that is woken does not push out one that works.

    The threads of a stream hand over to each other thousands of times a second, and each time what the other had in the
    cache would be lost. Nobody is kept waiting for longer than a slice of some milliseconds. A policy that whoever
    started the process chose stays. Where the process may not change it, as in a unit with a filter of system calls, it
    is left to the unit.
    """
    with suppress(OSError):
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))

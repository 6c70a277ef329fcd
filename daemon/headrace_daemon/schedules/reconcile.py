"""[schedules] of config.toml and the rows of the queue: what stands in the file is in the queue, once a daemon runs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from headrace_queue.schedules import Origin
from headrace_queue.store import Store

if TYPE_CHECKING:
    from headrace_queue.config_schedules import ScheduleConfig


def reconcile(store: Store, configured: Mapping[str, "ScheduleConfig"]) -> None:
    """New ones are added, changed ones changed, those that are gone from the file removed. What is known of one that
    stays, stays: when it last fired, whether a person paused it. A name that a command used is the file's from now on.
    """
    rows = {row.name: row for row in store.schedules()}
    for name, row in rows.items():
        if row.spec.origin is Origin.CONFIG and name not in configured:
            store.remove_schedule(name)
    for name, section in configured.items():
        spec = section.spec(name)
        if name not in rows:
            store.add_schedule(spec)
        elif rows[name].spec != spec:
            store.respecify_schedule(spec)

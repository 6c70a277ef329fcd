"""What of a job of a schedule's command is meant, where a folder or a bucket named what changed."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from headrace_daemon.schedules.firing import Firing
from headrace_queue.jobs import JobSpec, Kind
from headrace_queue.name_list import keep

Narrow: TypeAlias = Callable[[JobSpec], JobSpec | None]
"""From a job of the command to the one that is enqueued; None: none."""


def by_names(state_dir: Path, firing: Firing) -> Narrow:
    """The names and the latest instant of a firing."""

    def narrow(spec: JobSpec) -> JobSpec | None:
        options = spec.options
        if firing.newest_ns is not None:
            newest = firing.newest_ns if options.newest_ns is None else min(options.newest_ns, firing.newest_ns)
            spec = replace(spec, options=replace(options, newest_ns=newest))
        return spec if firing.names is None else only(state_dir, spec, firing.names)

    return narrow


def only(state_dir: Path, spec: JobSpec, names: Iterable[str]) -> JobSpec | None:
    """The job restricted to these names, which are kept as a list; None where none of them is text.

    It deletes nothing, for a list says nothing of what is not in it. A job that moves one object or a whole archive, or
    that has a list of its own, is the same whatever the names are. Raises UsageError where the list cannot be kept.
    """
    if spec.kind is not Kind.SYNC or spec.options.files_from is not None:
        return spec
    raw = sorted({name.encode("utf-8", "surrogateescape") for name in names if _is_text(name)})
    if not raw:
        return None
    plain = replace(spec.options, delete=False, max_delete=1000, max_delete_percent=None, trash=None)
    kept = keep(state_dir, raw)
    return replace(spec, options=replace(plain, files_from=kept, allow_empty_source=False, changed=True))


def _is_text(name: str) -> bool:
    """No list holds another name, and no key of S3 is one; a look at everything tells of it as a failure."""
    return bool(name) and "\0" not in name and not any("\ud800" <= character <= "\udfff" for character in name)

"""File systems, associations and tasks as text and as JSON, and how far something is, on a terminal or in a log."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Protocol, TextIO

from headrace_daemon.fsx.api import Association, FileSystem, RepositoryTask
from headrace_daemon.fsx.make.cloud_init import HostPart, config_section, mount_command
from headrace_daemon.fsx.make.making import ApiRequest, Description, Made
from headrace_daemon.fsx.make.waiting import Step
from headrace_queue.render import plain_table, shown
from headrace_queue.units import format_duration

_LINE_SECONDS: Final = 60.0
_LINK_COLUMNS: Final = ("ASSOCIATION", "PATH", "REPOSITORY", "STATE", "IMPORTS", "EXPORTS")
_TASK_COLUMNS: Final = ("TASK", "KIND", "STATE", "FILES", "FAILED", "BEGAN")


class Display(Protocol):
    """Shows how far something is until it is closed."""

    def __enter__(self) -> "Display": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def say(self, step: Step) -> None: ...


class Lines:
    """A line when something changes, and one a minute while it does not."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._said: dict[str, tuple[str, str, float]] = {}

    def __enter__(self) -> "Lines":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Every line is out already."""

    def say(self, step: Step) -> None:
        lifecycle, trouble, elapsed = self._said.get(step.what, ("", "", 0.0))
        if (lifecycle, trouble) == (step.lifecycle, step.trouble) and step.elapsed - elapsed < _LINE_SECONDS:
            return
        self._said[step.what] = (step.lifecycle, step.trouble, step.elapsed)
        self._write(f"{step_text(step)}, {format_duration(step.elapsed)}")


class Spinner:
    """One line that shows the last step and the time, drawn by rich."""

    def __init__(self, stream: TextIO) -> None:
        # rich costs 60 ms to import, and only a terminal needs it
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._tasks: dict[str, Any] = {}
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=Console(file=stream),
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> "Spinner":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, step: Step) -> None:
        if not self._tasks:
            self._progress.start()  # not before: what is only looked at needs no line
        if step.what not in self._tasks:
            self._tasks[step.what] = self._progress.add_task("", total=1)
        completed = 0 if step.lifecycle in ("", "CREATING", "PENDING", "DELETING") else 1
        self._progress.update(self._tasks[step.what], description=step_text(step), completed=completed)


def display_for(stream: TextIO) -> Display:
    """A spinner on a terminal, lines elsewhere."""
    if stream.isatty():
        return Spinner(stream)
    return Lines(lambda line: print(line, file=stream, flush=True))


def step_text(step: Step) -> str:
    """`file system fs-0123 CREATING`, and why nothing newer is known."""
    words = [word for word in (step.what, step.id, step.lifecycle) if word]
    return shown(" ".join(words) + (f" (no news: {step.trouble})" if step.trouble else ""))


# -- what there is ----------------------------------------------------------------------------------------------------


def file_system_lines(found: FileSystem) -> list[str]:
    size = f"{found.capacity:,} GiB" if found.capacity else "elastic"
    fields = {
        "state": found.lifecycle + (f": {found.failure}" if found.failure else ""),
        "type": f"{found.deployment_type} {found.storage_type}, {size}, Lustre {found.lustre_version or 'unknown'}",
        "region": f"{found.region}, account {found.owner_id}",
        "network": " ".join((found.vpc_id, *found.subnet_ids, *found.network_interface_ids)),
        "dns_name": found.dns_name,
        "mount_name": found.mount_name,
        "arn": found.arn,
        "repository": found.repository,
        "made": "" if found.created is None else _iso(found.created),
    }
    width = max(map(len, fields))
    return [found.id, *(f"  {name.ljust(width)}  {shown(value)}" for name, value in fields.items() if value)]


def description_lines(found: Description) -> list[str]:
    lines = file_system_lines(found.file_system)
    links = [_link_row(link) for link in found.associations]
    lines += ["", *_table(_LINK_COLUMNS, links)] if links else ["", "no associations"]
    lines += [f"{link.id}: {shown(link.failure)}" for link in found.associations if link.failure]
    tasks = [_task_row(task) for task in found.tasks]
    lines += ["", *_table(_TASK_COLUMNS, tasks)] if tasks else ["no tasks"]
    return lines + [f"{task.id}: {shown(task.failure)}" for task in found.tasks if task.failure]


def made_lines(made: Made, host: HostPart, remote: str, region: str) -> list[str]:
    """What to do with a new file system. remote and region: as config_section() has them."""
    found = made.file_system
    lines = file_system_lines(found)
    lines += [f"association {link.id}: {shown(link.path)} = {shown(link.repository)}" for link in made.associations]
    if made.missing:
        paths = shown(", ".join(made.missing))
        lines += ["", f"Not linked yet: {paths}. The same command with --wait links it, and makes no second one."]
    if found.dns_name and found.mount_name:
        lines += ["", "Mount it:", f"  {mount_command(found.dns_name, found.mount_name, host.mount)}"]
    section = config_section(host, found.id, remote, region)
    return [*lines, "", "Tell Headrace, in config.toml:", *(f"  {line}" for line in section.splitlines())]


def request_lines(requests: Sequence[ApiRequest], as_text: Callable[[Any], str]) -> list[str]:
    """Requests as they would be sent. as_text: JSON on several lines."""
    return [line for request in requests for line in (request.operation, *as_text(request.parameters).splitlines())]


# -- JSON -------------------------------------------------------------------------------------------------------------


def file_system_json(found: FileSystem) -> dict[str, Any]:
    return {**asdict(found), "created": None if found.created is None else _iso(found.created)}


def association_json(found: Association) -> dict[str, Any]:
    return asdict(found)


def task_json(found: RepositoryTask) -> dict[str, Any]:
    times = {name: getattr(found, name) for name in ("created", "started", "ended")}
    return {**asdict(found), **{name: None if at is None else _iso(at) for name, at in times.items()}}


def description_json(found: Description) -> dict[str, Any]:
    return {
        "file_system": file_system_json(found.file_system),
        "associations": [association_json(link) for link in found.associations],
        "tasks": [task_json(task) for task in found.tasks],
    }


def made_json(made: Made, host: HostPart, remote: str, region: str) -> dict[str, Any]:
    found = made.file_system
    ready = bool(found.dns_name and found.mount_name)
    return {
        "file_system": file_system_json(found),
        "associations": [association_json(link) for link in made.associations],
        "missing_associations": list(made.missing),
        "mount_command": mount_command(found.dns_name, found.mount_name, host.mount) if ready else None,
        "config": config_section(host, found.id, remote, region),
    }


def _link_row(link: Association) -> tuple[str, ...]:
    events = (",".join(link.auto_import) or "-", ",".join(link.auto_export) or "-")
    return (link.id, link.path, link.repository, link.lifecycle, *events)


def _task_row(task: RepositoryTask) -> tuple[str, ...]:
    files = f"{task.succeeded:,} of {task.total:,}"
    return (task.id, task.kind, task.lifecycle, files, f"{task.failed:,}", _iso(task.created))


def _table(columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> list[str]:
    return plain_table(columns, [tuple(map(shown, row)) for row in rows])


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""What the commands of `headraced fsx dra` print, as lines and as JSON: pure."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from headrace_daemon.fsx.api import Association, RepositoryTask
from headrace_daemon.fsx.dra.applies import Asked, Reason, applies
from headrace_daemon.fsx.dra.links import Link, export_path, import_path, report_path
from headrace_queue.render import plain_table, shown

_ASSOCIATIONS: Final = ("SECTION", "ASSOCIATION", "STATE", "PATH", "REPOSITORY", "IMPORTS", "EXPORTS")
_TASKS: Final = ("TASK", "KIND", "STATE", "FILES", "FAILED", "CREATED", "PATHS")
_KINDS: Final = {
    "EXPORT_TO_REPOSITORY": "export",
    "IMPORT_METADATA_FROM_REPOSITORY": "import",
    "RELEASE_DATA_FROM_FILESYSTEM": "release",
}


def check_lines(asked: Asked, link: Link | None, told: Sequence[Reason]) -> list[str]:
    """link: None where there is none, or where nothing could be asked."""
    bucket_side = f"{asked.remote}://{asked.bucket}/{asked.prefix}"
    sides = (str(asked.path), bucket_side) if asked.to_bucket else (bucket_side, str(asked.path))
    answer = "yes" if applies(told) else "no"
    lines = [f"{shown(sides[0])} -> {shown(sides[1])} by data repository tasks: {answer}"]
    if link is not None:
        one = link.association
        whose = f"{one.id} of {link.file_system.id} ([fsx.{link.fsx}])"
        lines.append(f"  linked  {shown(one.path)} and {shown(one.repository)} by {whose}")
        task = _task_of(asked, link)
        lines.append(f"  task    {task['kind']} of {shown(task['path']) or 'the whole file system'}")
    for reason in told:
        lines.append(f"  {'why' if reason.blocks else 'note':<6}  {shown(reason.text)}")
        lines.append(f"  {'do':<6}  {shown(reason.remedy)}")
    return lines


def check_json(asked: Asked, link: Link | None, told: Sequence[Reason]) -> dict[str, Any]:
    """fsx, file_system_id, association_id and task (kind, path, report) are null where nothing is linked."""
    return {
        "applies": applies(told),
        "path": str(asked.path),
        "bucket": asked.bucket,
        "prefix": asked.prefix,
        "direction": "export" if asked.to_bucket else "import",
        "fsx": link.fsx if link is not None else None,
        "file_system_id": link.file_system.id if link is not None else None,
        "association_id": link.association.id if link is not None else None,
        "task": _task_of(asked, link) if link is not None else None,
        "reasons": [asdict(reason) for reason in told],
    }


def association_lines(rows: Sequence[tuple[str, Association]]) -> list[str]:
    """rows: the name of the section, or '' for none, and an association."""
    if not rows:
        return ["there is no data repository association"]
    cells = [
        (name, one.id, one.lifecycle, one.path, one.repository, ",".join(one.auto_import), ",".join(one.auto_export))
        for name, one in rows
    ]
    lines = plain_table(_ASSOCIATIONS, [tuple(shown(cell) for cell in row) for row in cells])
    return lines + [f"{one.id}: {shown(one.failure)}" for _, one in rows if one.failure]


def association_json(name: str, one: Association) -> dict[str, Any]:
    return {"fsx": name or None, **asdict(one)}


def task_lines(tasks: Sequence[RepositoryTask]) -> list[str]:
    if not tasks:
        return ["FSx remembers no data repository task"]
    cells = [
        (
            task.id,
            _KINDS.get(task.kind, task.kind),
            task.lifecycle,
            f"{task.succeeded + task.failed:,} of {task.total:,}",
            f"{task.failed:,}",
            datetime.fromtimestamp(task.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            ", ".join(task.paths) or "everything",
        )
        for task in tasks
    ]
    lines = plain_table(_TASKS, [tuple(shown(cell) for cell in row) for row in cells])
    return lines + [f"{task.id}: {shown(task.failure)}" for task in tasks if task.failure]


def task_json(task: RepositoryTask) -> dict[str, Any]:
    return {**asdict(task), "tags": dict(task.tags)}


def objection_text(objections: Sequence[Reason]) -> tuple[str, str]:
    """All of them as one why and one remedy."""
    return "; ".join(one.text for one in objections), " ".join(_sentence(one.remedy) for one in objections)


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _task_of(asked: Asked, link: Link) -> dict[str, str]:
    kind, path = ("export", export_path(link)) if asked.to_bucket else ("import", import_path(link))
    return {"kind": kind, "path": path, "report": report_path(link)}

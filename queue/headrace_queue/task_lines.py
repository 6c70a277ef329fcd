"""Data repository tasks as `headrace status` tells of them. The names in JSON are a contract, as those of job_json.

id (ours), kind, state, fsx (the section of config.toml), file_system_id, path, task_id (FSx's own, null before it has
one), started and finished (seconds since the epoch or null), total, succeeded and failed (objects or files so far),
error (text or null).
"""

from typing import Any

from headrace_queue.render import shown
from headrace_queue.tasks import Task, TaskKind, TaskState


def task_json(task: Task) -> dict[str, Any]:
    return {
        "id": task.id,
        "kind": str(task.spec.kind),
        "state": str(task.state),
        "fsx": task.spec.fsx,
        "file_system_id": task.spec.file_system_id,
        "path": task.spec.path,
        "task_id": task.task_id or None,
        "started": task.started,
        "finished": task.finished,
        "total": task.total,
        "succeeded": task.succeeded,
        "failed": task.failed,
        "error": task.error,
    }


def task_line(task: Task) -> str:
    """`export task-0123 on scratch: succeeded, 1,234 of 1,234 files`."""
    spec = task.spec
    words = [spec.kind, task.task_id, "on", spec.fsx]
    text = f"{shown(' '.join(filter(None, words)))}: {task.state}"
    if task.total or task.state is TaskState.SUCCEEDED:
        things = "objects" if spec.kind is TaskKind.IMPORT else "files"
        text += f", {task.succeeded:,} of {task.total:,} {things}"
    if task.failed:
        text += f", {task.failed:,} FAILED"
    return f"{text}; {shown(task.error)}" if task.error else text

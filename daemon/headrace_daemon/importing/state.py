"""Where Headrace would keep its queue on this host, and what to say where that does not work."""

import os
from pathlib import Path

from headrace_queue.filesystem import SHARED, magic
from headrace_queue.render import shown
from headrace_queue.whereabouts import default_state_dir


def state_dir_here() -> Path:
    """Of a configuration that does not name one."""
    given = os.environ.get("HEADRACE_STATE_DIR")
    return Path(given).expanduser() if given else default_state_dir()


def file_system_of(path: Path) -> str | None:
    """The name of the shared file system on which it lies, or would lie; None for a disk of this host, and where nobody
    can tell."""
    try:
        existing = path.absolute()
        while not existing.exists():
            existing = existing.parent
        return SHARED.get(magic(existing))
    except OSError:
        return None


def on_shared(state_dir: Path, kind: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Lines for the top of the file and warnings; none of either on a disk of this host."""
    if kind is None:
        return (), ()
    local = f"/var/tmp/{os.geteuid()}-headrace"
    head = (
        f"Here {shown(str(state_dir))} would be on {kind}, where no queue can be kept. Name a folder of your",
        "own on a local disk; each host has a queue of its own then:",
        f'state_dir = "{local}"',
    )
    what = f"the queue would be in {state_dir}, on {kind}, where it is refused"
    return head, (f'{what}. do: set state_dir to a folder on a local disk, such as "{local}"',)

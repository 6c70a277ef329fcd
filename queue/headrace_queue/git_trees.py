"""Data never ends up in a code repository: whether a path lies in the work tree of a git repository.

Only names are looked at, and git is not called: a `.git` folder with a HEAD in it, or a `.git` file, as submodules and
linked work trees have it (https://git-scm.com/docs/gitrepository-layout).
"""

import os
from pathlib import Path

from headrace_queue.errors import UsageError


def work_tree_of(path: Path) -> Path | None:
    """The top of the work tree that a path lies in, wherever its links lead; None where it lies in none. The path need
    not exist yet."""
    real = Path(os.path.realpath(path))
    return next((folder for folder in (real, *real.parents) if _is_top(folder)), None)


def refuse_git(path: Path, *, allowed: bool) -> None:
    """Raises UsageError for a destination inside a work tree, unless that is allowed."""
    if allowed:
        return
    top = work_tree_of(path)
    if top is not None:
        why = f"it lies in the git work tree {top}, and data does not belong into a code repository"
        raise UsageError(str(path), why, "Name a folder outside of it, or add --allow-git.")


def _is_top(folder: Path) -> bool:
    mark = folder / ".git"
    try:
        return mark.is_file() or (mark.is_dir() and os.path.lexists(mark / "HEAD"))
    except OSError:
        return False  # not for this user to see

"""Which config.toml is read: the places that are looked at, in their order.

1. `--config`, 2. `HEADRACE_CONFIG`, 3. `headrace.toml` next to the executable, or next to anything in the chain of
links by which it was called, 4. `headrace.toml` in the working directory, 5. the user's own, 6. the host's. The first
that is there counts. `./config.toml` is never read by itself: that is the commented example.
"""

import os
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headrace_queue.errors import UsageError

SYSTEM_FILE: Final = Path("/etc/headrace/config.toml")
NEARBY: Final = "headrace.toml"
_MOST_LINKS: Final = 40  # as many as the kernel follows, path_resolution(7)


@dataclass(frozen=True, slots=True)
class Found:
    """file: None where there is none. why: how it was found. passed: the places before it, where there is none."""

    file: Path | None
    why: str
    passed: tuple[str, ...] = ()
    nearby: bool = False  # a process that is called in another way, or elsewhere, would not find it


def search(path: Path | None, environ: Mapping[str, str], called_as: str | None = None) -> Found:
    """path: of --config. called_as: the executable as it was called, by default this process's. Raises UsageError for a
    file that is named and not there, and for a `headrace.toml` that somebody else could have put there."""
    if path is not None:
        return Found(_must_exist(path.expanduser(), "--config"), "named by --config")
    if named := environ.get("HEADRACE_CONFIG"):
        return Found(_must_exist(Path(named).expanduser(), "HEADRACE_CONFIG"), "named by HEADRACE_CONFIG")
    passed: list[str] = []
    for candidate, why in _nearby(sys.argv[0] if called_as is None else called_as):
        if os.path.lexists(candidate):
            return Found(candidate, why, tuple(passed), nearby=True)
        passed.append(f"{candidate} ({why})")
    for candidate, why in _usual(environ):
        if os.path.lexists(candidate):
            return Found(candidate, why, tuple(passed))
        passed.append(f"{candidate} ({why})")
    return Found(None, "no file in any of the usual places", tuple(passed))


def found_nearby(environ: Mapping[str, str]) -> Path | None:
    """The file that this process found next to its executable or in its working directory, to be handed to another
    process by `--config`; None where that finds the same by itself. Raises UsageError."""
    found = search(None, environ)
    return found.file if found.nearby else None


def links_of(called_as: str) -> list[Path]:
    """The executable as it was called, and what each link leads to: ~/data/headrace -> ~/repo/headrace -> /opt/….

    [] for what is no file, such as a module that Python was told to run.
    """
    at = Path(os.path.abspath(called_as))
    chain: list[Path] = []
    if not called_as or at.name == "__main__.py" or not at.exists():
        return []
    while len(chain) < _MOST_LINKS:
        chain.append(at)
        if not at.is_symlink():
            break
        at = Path(os.path.normpath(at.parent / os.readlink(at)))
    return chain


def _nearby(called_as: str) -> Iterator[tuple[Path, str]]:
    """Each place, and why it is looked at. Raises UsageError for a file there that is not to be trusted."""
    seen: set[Path] = set()
    for link in links_of(called_as):
        candidate = link.parent / NEARBY
        if candidate not in seen:
            seen.add(candidate)
            _refuse_foreign(candidate, {link.lstat().st_uid}, stat.S_IWOTH)
            yield candidate, f"next to {link}"
    try:
        candidate = Path.cwd() / NEARBY
    except FileNotFoundError:
        return  # the working directory was removed
    if candidate not in seen:
        _refuse_foreign(candidate, set(), stat.S_IWOTH | stat.S_IWGRP)
        yield candidate, "in the working directory"


def _refuse_foreign(candidate: Path, owners: set[int], writable: int) -> None:
    """A configuration says which credentials go where: whoever could have put it there could have them. That is who
    owns the file, and where it is a link, who made that: it may lead to any file of yours, also to a downloaded one.
    owners: beside this user and root; who owns the link that was called decides what is run, too. Raises UsageError."""
    try:
        name, status = candidate.lstat(), candidate.stat()
    except OSError:
        return  # not there, or reading it will tell
    what = f"configuration {candidate}"
    remedy = "Name another one with --config or HEADRACE_CONFIG, or go to another directory."
    for one, called in ((name, "the link" if stat.S_ISLNK(name.st_mode) else "it"), (status, "it")):
        if one.st_uid not in owners | {0, os.geteuid()}:
            raise UsageError(what, f"{called} belongs to user {one.st_uid}, neither to you nor to root", remedy)
    if status.st_mode & writable:
        who = "others" if status.st_mode & stat.S_IWOTH else "its group"
        why = f"{who} can write to it (mode {stat.S_IMODE(status.st_mode):04o})"
        raise UsageError(what, why, f"Run: chmod go-w {candidate}")


def _usual(environ: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    base = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".config")
    yield Path(base) / "headrace" / "config.toml", "your own"
    yield SYSTEM_FILE, "of this host"


def _must_exist(file: Path, named_by: str) -> Path:
    try:
        there = file.exists()
    except PermissionError as error:
        remedy = f"Let this user search the folders above it (chmod o+x), or correct {named_by}."
        raise UsageError(f"configuration {file}", f"{error.strerror}", remedy) from None
    if not there:
        raise UsageError(f"configuration {file}", "there is no such file", f"Correct {named_by}, or leave it out.")
    return file

"""Moves files out of one tree into another on the same file system, replacing nothing."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count

from headrace_daemon.files.mounts import rename_no_replace
from headrace_daemon.files.names import Blocked, FileError, file_error, is_marker, raw_name, shown, split_key
from headrace_daemon.files.root import Root

MOST_NAMES = 1000
"""How many names are tried for one file: as many versions of it may lie there."""


def put_aside(
    source: Root, keys: Sequence[str], folder: str, opened: Callable[[str], Root] = Root.destination
) -> list[str | FileError]:
    """Moves the files under these keys into `folder`, a path that is made where it is missing. opened: how.

    Where each went, or what went wrong with it. Of a marker the empty folder goes, for there is nothing to keep. A file
    that is gone already raises nothing: '' stands in its place. Raises UsageError where the folder cannot be made.
    """
    target = opened(folder)
    try:
        return [_one(source, key, target) for key in keys]
    finally:
        target.close()


def _one(source: Root, key: str, target: Root) -> str | FileError:
    if is_marker(key):
        return source.remove(key) or ""
    try:
        # looked at first: its absence must not be taken for that of the folder it goes to
        source.status(key)
        for name in free_names(key):
            try:
                _move(source, key, target, name)
            except (FileExistsError, IsADirectoryError, NotADirectoryError, Blocked):
                continue
            return name
    except FileNotFoundError:
        return ""
    except OSError as error:
        return file_error(error, key)
    except FileError as error:
        return error
    return Blocked(key, f"{shown(target.path)} holds {MOST_NAMES} files of this name already")


def free_names(key: str) -> Iterator[str]:
    """The name itself, then with numbers as `cp --backup=numbered` gives them, in every component from then on: what
    is in the way may be a file where a folder is needed."""
    yield key
    for number in count(1):
        if number >= MOST_NAMES:
            return
        yield f"{key}.~{number}~"
        if "/" in key:
            yield "/".join(f"{component}.~{number}~" for component in key.split("/"))


def _move(source: Root, key: str, target: Root, name: str) -> None:
    old_folder, old = split_key(key)
    new_folder, new = split_key(name)

    def into(new_fd: int) -> None:
        source.about_to_change(old_folder, raw_name(old))
        source.within(old_folder, lambda old_fd: rename_no_replace(old_fd, old.encode(), new.encode(), new_fd))

    target.within(new_folder, into, make=True)

"""What folders of a destination get of the markers that stand for them."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from headrace_daemon.files.acting import overrides_modes
from headrace_daemon.files.names import FileError, check_key, file_error, sync_error
from headrace_daemon.files.posix import Posix, give_folder, let_write
from headrace_daemon.files.root import Root


class Gift(NamedTuple):
    """What one folder gets. path: below the root, with or without a `/` at its end. whole, last: see `give_folder`."""

    path: str
    posix: Posix
    whole: bool
    last: bool


def give_folders(root: Root, gifts: Sequence[Gift], *, sync: bool) -> list[FileError | None]:
    """Gives each its own, and makes it durable with `sync`. A folder that is gone gets nothing, which is no error.

    A folder is given away only by who may work in it all the same: the next file would not get in.
    """
    away = overrides_modes()
    results: list[FileError | None] = []
    given: dict[str, int] = {}
    for index, gift in enumerate(gifts):
        folder = gift.path.removesuffix("/")
        try:
            check_key(gift.path)
            _give(root, folder, gift if away else gift._replace(posix=replace(gift.posix, uid=None)))
            given[folder] = index
        except FileNotFoundError:
            results.append(None)
        except OSError as error:
            results.append(file_error(error, gift.path))
        except FileError as error:
            results.append(error)
        else:
            results.append(None)
    for folder, lost in (root.sync_folders(given) if sync else {}).items():
        results[given[folder]] = sync_error(lost, gifts[given[folder]].path)
    return results


def _give(root: Root, folder: str, gift: Gift) -> None:
    fd = root.open_folder(folder)
    try:
        give_folder(fd, gift.posix, whole=gift.whole, last=gift.last)
    finally:
        os.close(fd)


def open_to_write(root: Root, folders: Sequence[tuple[str, Posix]]) -> bool:
    """Lets the daemon write in those of these folders that their markers make read-only, and that are its own; whether
    there is such a one. Folders that are not there, or not for us, are none."""
    found = False
    for path, posix in folders:
        try:
            check_key(path)
            fd = root.open_folder(path.removesuffix("/"))
            try:
                found = let_write(fd, posix) or found
            finally:
                os.close(fd)
        except (OSError, FileError):
            continue
    return found

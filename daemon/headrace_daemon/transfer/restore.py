"""Brings back the data of files that are at their destination and that Lustre has released: none passes this host.

Told `restored` is what Lustre itself says is here, of the size that was planned. Blocks are no proof: a file that is
sparse or compressed to nothing has none, and where OSTs lie on ZFS, one that came just now is told to have none yet.
"""

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from headrace_daemon.facts import Outcome
from headrace_daemon.files.lustre import LustreError, is_hollow
from headrace_daemon.files.names import DestinationFull, FileError
from headrace_daemon.files.released import NOT_TOLD, Progress, Restoring
from headrace_daemon.transfer.ends import End, FilesEnd, Work
from headrace_daemon.transfer.judge import Pause, judge
from headrace_daemon.transfer.mover import Numbered, Tell
from headrace_daemon.transfer.released import absolute
from headrace_queue.free_space import Need
from headrace_queue.jobs import Item
from headrace_queue.render import count


@dataclass(frozen=True, slots=True)
class Left:
    """What is not back. failed: with why. pause: until others may have come; None where none is on its way."""

    failed: list[tuple[Numbered, str]]
    pause: Pause | None


class _There(NamedTuple):
    """What stands under the name of a file. path: absolute. size in bytes. hollow: it has none of them here. wrong: why
    it is not the file that was planned, None where it is."""

    path: str
    size: int = 0
    hollow: bool = False
    wrong: Exception | str | None = None


async def restore(work: Work, end: End, group: Sequence[Numbered], tell: Tell) -> Left:
    """Asks for all that is not here, tells what is. Raises Pause, JobFailed where the tree is not there."""
    assert isinstance(end, FilesEnd), "only files are released"
    assert end.restoring is not None, "planned on Lustre alone"
    any_size = work.job.spec.options.no_clobber  # what is there counts, whatever it is
    found = await work.threads.run(_look, end, [item for _, item in group], any_size)
    failed = [(one, _why(there.wrong)) for one, there in zip(group, found, strict=True) if there.wrong is not None]
    by_path = {there.path: one for one, there in zip(group, found, strict=True) if there.wrong is None}
    if not by_path:
        return Left(failed, None)
    hollow = {there.path: there.size for there in found if there.hollow}
    progress, pause = await _ask(work, end, end.restoring, list(by_path), hollow)
    for path in progress.here:
        index, item = by_path[path]
        await tell(index, item, Outcome("restored", size=item.size, proof="fsx"), 0)
    failed += [(by_path[path], why) for path, why in progress.failed.items()]
    failed += [(by_path[path], NOT_TOLD) for path in progress.unknown]
    return Left(failed, pause)


def _look(end: FilesEnd, items: Sequence[Item], any_size: bool) -> list[_There]:
    """Blocking; does not bring anything back."""
    keys = [end.key(item.key) for item in items]
    found = []
    for item, key, path in zip(items, keys, absolute(end.root, keys), strict=True):
        try:
            status = end.root.status(key)
        except FileNotFoundError:
            there = _There(path, wrong="it was there, and is gone")
        except (FileError, OSError) as error:
            there = _There(path, wrong=error)
        else:
            there = _There(path, status.st_size, is_hollow(status), _mismatch(status, item, any_size))
        found.append(there)
    return found


def _mismatch(status: os.stat_result, item: Item, any_size: bool) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return "it is no regular file any more"
    if status.st_size != item.size and not any_size:
        return f"it has {status.st_size:,} bytes, and not {item.size:,} any more"
    return None


def _why(wrong: Exception | str) -> str:
    """Raises Pause, JobFailed where it concerns more than one file."""
    if isinstance(wrong, Exception):
        judge(wrong)
    return str(wrong)


async def _ask(
    work: Work, end: FilesEnd, restoring: Restoring, paths: Sequence[str], hollow: Mapping[str, int]
) -> tuple[Progress, Pause | None]:
    """Nothing is asked for that the file system has no room for: restores would fail one by one, after they filled it.
    hollow: path -> size."""
    try:
        short = await _shortage(work, end, sum(hollow.values()))
        if short:
            # of files without blocks some may be sparse: these need no room
            seen = await restoring.refuse(work.threads, paths)
            short = await _shortage(work, end, sum(hollow.get(path, 0) for path in seen.failed))
            if short:
                return Progress(seen.here, unknown=seen.unknown), Pause(short, restoring.poll)
        progress = await restoring.ask(work.threads, paths)
    except LustreError as error:
        return Progress(), Pause(f"released files cannot be brought back now: {error}", restoring.poll)
    if not progress.waiting:
        return progress, None
    files = count(len(progress.waiting), "file")
    return progress, Pause(f"Lustre brings the data of {files} back", restoring.poll)


async def _shortage(work: Work, end: FilesEnd, size: int) -> str:
    """Why so many bytes do not fit, '' where they do."""
    if end.landing is None or not size:
        return ""
    try:
        await work.threads.run(end.landing.room.check, end.root.fd, end.root.path, Need(size, 0))
    except DestinationFull as error:
        return f"the destination is full ({error})"
    except OSError as error:
        judge(error)  # raises what concerns the whole batch; else the files will say what is wrong
    return ""
